//! One pattern of a `.dockerignore` file, with docker's meaning. Pure.
//!
//! The rules are those of Go's `path.Match` with `**` besides, as docker has them (moby's
//! patternmatcher): `*` and `?` don't match `/`; a class such as `[a-z]` or `[^a-z]` is one
//! character; `\` makes the next character literal; `**` is any number of directories, at the end
//! everything below. `**` in front of plain text is any text: `**.go` is every Go file.

use std::iter::Peekable;
use std::str::Chars;

/// A pattern that can be compared with paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Token>);

/// A pattern that means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A `[` without its `]`, or an empty class.
    #[error("a character class must be closed and not empty, as in [a-z]")]
    Class,
    /// A `\` at the end.
    #[error("\\ must precede a character")]
    Escape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// This character.
    Literal(char),
    /// One character but `/`.
    AnyCharacter,
    /// Any characters but `/`.
    AnyName,
    /// Any characters.
    AnyPath,
    /// Nothing, or any characters and a `/`.
    Directories,
    /// One character in one of the ranges, or in none of them.
    Class { negated: bool, ranges: Vec<(char, char)> },
}

/// How far a pattern matches: for each token, whether what is left begins there, and whether it
/// is within the characters of [`Token::Directories`].
struct Position {
    at: Vec<bool>,
    within: Vec<bool>,
}

impl Pattern {
    /// Reads a pattern that is already a clean path (`clean`).
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut tokens = Vec::new();
        let mut rest = text.chars().peekable();
        let mut begins = false;
        while let Some(character) = rest.next() {
            tokens.push(match character {
                '*' if rest.next_if_eq(&'*').is_some() => {
                    let slash = rest.next_if_eq(&'/').is_some();
                    begins |= tokens.is_empty() && !slash;
                    match rest.peek() {
                        None => Token::AnyPath,
                        Some(_) => Token::Directories,
                    }
                }
                '*' => Token::AnyName,
                '?' => Token::AnyCharacter,
                '[' => class(&mut rest)?,
                '\\' => Token::Literal(rest.next().ok_or(Malformed::Escape)?),
                literal => Token::Literal(literal),
            });
        }
        // `**.go`: docker compares the end of the path.
        let is_plain = |token: &Token| matches!(token, Token::Literal(_));
        if begins && tokens[1..].iter().all(is_plain) && !text.contains('\\') {
            tokens[0] = Token::AnyPath;
        }
        Ok(Self(tokens))
    }

    /// Whether the pattern is for exactly this path.
    pub fn matches(&self, path: &str) -> bool {
        let position = self.after(path);
        position.at[self.0.len()]
    }

    /// Whether it can match anything below this directory.
    pub fn may_match_below(&self, directory: &str) -> bool {
        let position = self.after(&format!("{directory}/"));
        position.at.iter().chain(&position.within).any(|alive| *alive)
    }

    /// How far it matches after the characters of `text`.
    fn after(&self, text: &str) -> Position {
        let size = self.0.len() + 1;
        let mut position = Position { at: vec![false; size], within: vec![false; size] };
        position.at[0] = true;
        self.skip_what_may_be_empty(&mut position);
        for character in text.chars() {
            let mut next = Position { at: vec![false; size], within: vec![false; size] };
            for (index, token) in self.0.iter().enumerate() {
                if position.within[index] || position.at[index] && *token == Token::Directories {
                    next.within[index] = true;
                    next.at[index + 1] |= character == '/';
                    continue;
                }
                if !position.at[index] {
                    continue;
                }
                match token {
                    Token::AnyName => next.at[index] |= character != '/',
                    Token::AnyPath => next.at[index] = true,
                    token => next.at[index + 1] |= token.is(character),
                }
            }
            self.skip_what_may_be_empty(&mut next);
            position = next;
        }
        position
    }

    fn skip_what_may_be_empty(&self, position: &mut Position) {
        for (index, token) in self.0.iter().enumerate() {
            let may_be_empty =
                matches!(token, Token::AnyName | Token::AnyPath | Token::Directories);
            position.at[index + 1] |= position.at[index] && may_be_empty;
        }
    }
}

impl Token {
    /// Whether it is this one character.
    fn is(&self, character: char) -> bool {
        match self {
            Self::Literal(literal) => *literal == character,
            Self::AnyCharacter => character != '/',
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&character)) != *negated
            }
            Self::AnyName | Self::AnyPath | Self::Directories => false,
        }
    }
}

/// A class after its `[`.
fn class(rest: &mut Peekable<Chars<'_>>) -> Result<Token, Malformed> {
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let low = match rest.next().ok_or(Malformed::Class)? {
            ']' if ranges.is_empty() => return Err(Malformed::Class),
            ']' => return Ok(Token::Class { negated, ranges }),
            '\\' => rest.next().ok_or(Malformed::Escape)?,
            '-' => return Err(Malformed::Class),
            low => low,
        };
        let high = match rest.next_if_eq(&'-') {
            None => low,
            Some(_) => match rest.next().ok_or(Malformed::Class)? {
                '\\' => rest.next().ok_or(Malformed::Escape)?,
                ']' | '-' => return Err(Malformed::Class),
                high => high,
            },
        };
        ranges.push((low, high));
    }
}

/// The path without `.`, `..`, and empty parts, as Go's `path.Clean` makes it.
pub fn clean(path: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if kept.last().is_some_and(|last| *last != "..") => {
                kept.pop();
            }
            ".." if is_absolute => {}
            part => kept.push(part),
        }
    }
    match (is_absolute, kept.is_empty()) {
        (true, _) => format!("/{}", kept.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => kept.join("/"),
    }
}

/// The pattern that is exactly this path.
pub fn literal(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for character in path.chars() {
        if matches!(character, '*' | '?' | '[' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every case is one of docker's own; `tests/e2e/build/` compares them with docker.
    #[test]
    fn patterns_match_as_docker_has_it() {
        for (pattern, matching, others) in [
            ("a/b", &["a/b"][..], &["a", "b", "a/b/c", "xa/b"][..]),
            ("*", &["a", ".a"], &["a/b"]),
            ("*.md", &["a.md", ".md"], &["a/b.md", "a.mdx"]),
            ("a/*/c", &["a/b/c"], &["a/c", "a/b/b/c"]),
            ("a?c", &["abc", "aéc"], &["ac", "a/c", "abbc"]),
            ("[a-c]x", &["ax", "cx"], &["dx", "x"]),
            ("[^a-c]x", &["dx"], &["ax"]),
            ("[\\]]x", &["]x"], &["\\x"]),
            ("a\\*", &["a*"], &["ab", "a\\*"]),
            ("**", &["a", "a/b/c"], &[]),
            ("**/b", &["b", "a/b", "a/a/b"], &["ab", "b/c", "a/xb"]),
            ("**b", &["b", "xb", "a/xb"], &["bx"]),
            ("**.go", &["a.go", "a/b.go", ".go"], &["a.gox"]),
            ("**/*.go", &["a.go", "a/b.go"], &["a.gox"]),
            ("**b*", &["b", "bx", "a/bx"], &["xb", "a/xb"]),
            ("a/**", &["a/b", "a/b/c"], &["a", "ab"]),
            ("a/**/c", &["a/c", "a/b/c", "a/b/b/c"], &["ac", "a/xc"]),
            ("a**/c", &["ac", "ax/c", "ab/b/c"], &["a"]),
            ("a**", &["a", "ab", "a/b"], &["b"]),
            ("a.b", &["a.b"], &["axb"]),
            ("a+(b)$", &["a+(b)$"], &["ab", "aab"]),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            for path in matching {
                assert!(parsed.matches(path), "{pattern} is for {path}");
            }
            for path in others {
                assert!(!parsed.matches(path), "{pattern} is not for {path}");
            }
        }
    }

    #[test]
    fn a_pattern_says_where_it_can_match() {
        for (pattern, below, not_below) in [
            ("a/b", &["a"][..], &["b", "a/b", "ab"][..]),
            ("a/*/c", &["a", "a/x"], &["a/x/c", "b"]),
            ("**/keep", &["a", "a/b/c"], &[]),
            ("a/**", &["a", "a/b"], &["b"]),
            ("*.md", &[], &["a", "a.md"]),
            ("*/b", &["a", "x"], &["a/b"]),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            for directory in below {
                assert!(parsed.may_match_below(directory), "{pattern}: {directory}");
            }
            for directory in not_below {
                assert!(!parsed.may_match_below(directory), "{pattern}: {directory}");
            }
        }
    }

    #[test]
    fn malformed_patterns_are_refused_and_none_takes_long() {
        for pattern in ["[", "[]", "[]a]", "[a", "[^]", "[-]", "[a-]", "a\\", "[\\"] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
        // Exponential for a matcher that goes back.
        let slow = Pattern::parse(&format!("{}b", "*a**/".repeat(30))).unwrap();
        assert!(!slow.matches(&"a".repeat(2000)));
    }

    #[test]
    fn paths_are_cleaned_and_escaped() {
        for (path, expected) in [
            ("a//b/./c/", "a/b/c"),
            ("./a", "a"),
            ("a/../b", "b"),
            ("../a", "../a"),
            ("/a/", "/a"),
            ("/..", "/"),
            ("", "."),
            ("a/..", "."),
            ("!/../a", "a"),
        ] {
            assert_eq!(clean(path), expected, "{path}");
        }
        for path in ["a*b", "[x]\\?", "plain"] {
            let pattern = Pattern::parse(&literal(path)).unwrap();
            assert!(pattern.matches(path));
            assert!(!pattern.matches("other"));
        }
    }
}
