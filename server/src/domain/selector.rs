//! Label selectors in the syntax of Kubernetes: `env=prod,tier in (web,api),!canary`
//! (<https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>).
//! Called by the API, which parses, and by `fleet::select`, which matches.

use std::collections::BTreeSet;
use std::fmt;

use super::labels::{InvalidLabel, LabelKey, LabelValue, Labels};
use super::text::quoted;

/// Longest selector, in bytes.
pub const LONGEST: usize = 4096;
/// Terms that a selector may have.
pub const MOST_TERMS: usize = 64;

/// Requirements that must all hold; at least one. Its `Display` is canonical and parses to the same
/// value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelSelector(Vec<Requirement>);

/// One requirement on the labels of a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Requirement {
    /// `key=a`, `key==a`, `key in (a,b)`: the label exists with one of these values.
    In(LabelKey, BTreeSet<LabelValue>),
    /// `key!=a`, `key notin (a,b)`: the label is not there, or has another value.
    NotIn(LabelKey, BTreeSet<LabelValue>),
    /// `key`: the label exists.
    Exists(LabelKey),
    /// `!key`: the label is not there.
    NotExists(LabelKey),
}

/// Why a text is not a selector, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("label selector: at byte {position}: found {found}, expected {expected}")]
pub struct SelectorError {
    /// Start of the wrong part, in bytes from 0.
    pub position: usize,
    /// The wrong part in quotes, or `the end`.
    pub found: String,
    /// What is valid there.
    pub expected: String,
}

impl LabelSelector {
    /// Reads a selector. An empty one is an error: it would mean every host.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        // Before tokenizing: each byte may become a token, which uses memory.
        if text.len() > LONGEST {
            return Err(SelectorError {
                position: LONGEST,
                found: format!("{} more bytes", text.len() - LONGEST),
                expected: format!("the end: a selector has at most {LONGEST} bytes"),
            });
        }
        let mut parser = Parser { tokens: tokens(text), next: 0, end: text.len() };
        let mut requirements = vec![parser.requirement()?];
        loop {
            match parser.take() {
                (_, Token::End) => return Ok(Self(requirements)),
                (position, Token::Comma) if requirements.len() == MOST_TERMS => {
                    return Err(SelectorError {
                        position,
                        found: "another term".to_owned(),
                        expected: format!("the end: a selector has at most {MOST_TERMS} terms"),
                    });
                }
                (_, Token::Comma) => requirements.push(parser.requirement()?),
                other => return Err(unexpected(&other, "\",\" or the end of the selector")),
            }
        }
    }

    /// Whether all requirements hold for these labels.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matches_values(|key| labels.get(key).map(LabelValue::as_str))
    }

    /// Whether all requirements hold for the values that `value` returns.
    pub fn matches_values<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|requirement| requirement.holds(value(requirement.key().as_str())))
    }

    /// The requirements, as they were written.
    pub fn requirements(&self) -> &[Requirement] {
        &self.0
    }
}

impl std::str::FromStr for LabelSelector {
    type Err = SelectorError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(formatter, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

impl Requirement {
    fn key(&self) -> &LabelKey {
        match self {
            Self::In(key, _) | Self::NotIn(key, _) | Self::Exists(key) | Self::NotExists(key) => {
                key
            }
        }
    }

    /// Whether it holds if its key has this value.
    fn holds(&self, value: Option<&str>) -> bool {
        match self {
            Self::In(_, values) => value.is_some_and(|value| values.contains(value)),
            Self::NotIn(_, values) => value.is_none_or(|value| !values.contains(value)),
            Self::Exists(_) => value.is_some(),
            Self::NotExists(_) => value.is_none(),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, one, many, values) = match self {
            Self::In(key, values) => (key, "=", "in", values),
            Self::NotIn(key, values) => (key, "!=", "notin", values),
            Self::Exists(key) => return write!(formatter, "{key}"),
            Self::NotExists(key) => return write!(formatter, "!{key}"),
        };
        let values: Vec<&str> = values.iter().map(LabelValue::as_str).collect();
        match values.as_slice() {
            [value] => write!(formatter, "{key}{one}{value}"),
            _ => write!(formatter, "{key} {many} ({})", values.join(",")),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Equals(&'a str),
    NotEquals,
    Not,
    Comma,
    Open,
    Close,
    End,
}

type Located<'a> = (usize, Token<'a>);

struct Parser<'a> {
    tokens: Vec<Located<'a>>,
    next: usize,
    end: usize,
}

impl<'a> Parser<'a> {
    fn take(&mut self) -> Located<'a> {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn peek(&self) -> Located<'a> {
        self.tokens.get(self.next).copied().unwrap_or((self.end, Token::End))
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        if let (_, Token::Not) = self.peek() {
            self.take();
            return Ok(Requirement::NotExists(self.key("a label key")?));
        }
        let key = self.key("a label key or \"!\"")?;
        Ok(match self.peek() {
            (_, Token::End | Token::Comma) => Requirement::Exists(key),
            (_, Token::Equals(_)) => {
                self.take();
                Requirement::In(key, self.one_value()?)
            }
            (_, Token::NotEquals) => {
                self.take();
                Requirement::NotIn(key, self.one_value()?)
            }
            (_, Token::Word("in")) => {
                self.take();
                Requirement::In(key, self.set()?)
            }
            (_, Token::Word("notin")) => {
                self.take();
                Requirement::NotIn(key, self.set()?)
            }
            other => {
                return Err(unexpected(&other, "=, ==, !=, in, notin, \",\" or the end"));
            }
        })
    }

    fn key(&mut self, expected: &str) -> Result<LabelKey, SelectorError> {
        match self.take() {
            (position, Token::Word(word)) => {
                LabelKey::parse(word).map_err(|error| invalid(position, word, &error))
            }
            other => Err(unexpected(&other, expected)),
        }
    }

    /// A value may be empty, as in `key=` or `key in (,a)`.
    fn value(&mut self) -> Result<LabelValue, SelectorError> {
        let (position, word) = match self.peek() {
            (position, Token::Word(word)) => {
                self.take();
                (position, word)
            }
            (position, _) => (position, ""),
        };
        LabelValue::parse(word).map_err(|error| invalid(position, word, &error))
    }

    fn one_value(&mut self) -> Result<BTreeSet<LabelValue>, SelectorError> {
        Ok(BTreeSet::from([self.value()?]))
    }

    fn set(&mut self) -> Result<BTreeSet<LabelValue>, SelectorError> {
        match self.take() {
            (_, Token::Open) => {}
            other => return Err(unexpected(&other, "\"(\" and a list of values")),
        }
        if let other @ (_, Token::Close) = self.peek() {
            return Err(unexpected(&other, "at least one value"));
        }
        let mut values = self.one_value()?;
        loop {
            match self.take() {
                (_, Token::Close) => return Ok(values),
                (_, Token::Comma) => {
                    values.insert(self.value()?);
                }
                other => return Err(unexpected(&other, "\",\" or \")\"")),
            }
        }
    }
}

fn tokens(text: &str) -> Vec<Located<'_>> {
    const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];
    const SPECIAL: [char; 5] = ['=', '!', ',', '(', ')'];
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(SPACE);
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '=' if rest.starts_with("==") => (Token::Equals("=="), 2),
            '=' => (Token::Equals("="), 1),
            '!' if rest.starts_with("!=") => (Token::NotEquals, 2),
            '!' => (Token::Not, 1),
            ',' => (Token::Comma, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            _ => {
                let ends = |c: char| SPACE.contains(&c) || SPECIAL.contains(&c);
                let length = rest.find(ends).unwrap_or(rest.len());
                (Token::Word(&rest[..length]), length)
            }
        };
        tokens.push((text.len() - rest.len(), token));
        rest = rest[length..].trim_start_matches(SPACE);
    }
    tokens
}

fn unexpected((position, token): &Located<'_>, expected: &str) -> SelectorError {
    let found = match token {
        Token::Word(word) | Token::Equals(word) => quoted(word),
        Token::NotEquals => quoted("!="),
        Token::Not => quoted("!"),
        Token::Comma => quoted(","),
        Token::Open => quoted("("),
        Token::Close => quoted(")"),
        Token::End => "the end".to_owned(),
    };
    SelectorError { position: *position, found, expected: expected.to_owned() }
}

fn invalid(position: usize, word: &str, error: &InvalidLabel) -> SelectorError {
    let expected = match error {
        InvalidLabel::Value(_) => {
            "a label value: at most 63 of a-z A-Z 0-9 - _ . beginning and ending with a letter or digit"
        }
        _ => {
            "a label key: 1 to 63 of a-z A-Z 0-9 - _ . beginning and ending with a letter or digit, after an optional prefix such as example.com/"
        }
    };
    SelectorError { position, found: quoted(word), expected: expected.to_owned() }
}

#[cfg(test)]
mod tests;
