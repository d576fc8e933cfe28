//! Parses YAML to a tree whose nodes have positions. Scalars keep their source text; the field
//! decides its type. Pure.

use std::collections::HashMap;
use std::fmt;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};

/// Maximum nesting, and maximum number of nodes after alias expansion: a tiny file could expand to
/// billions.
const DEEPEST: usize = 64;
const MOST_NODES: usize = 100_000;

/// A value with its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub at: Place,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Source text, without quotes.
    Scalar {
        /// The text.
        text: String,
        /// Whether it had no quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// Unique keys, with their positions.
    Mapping(Vec<(Key, Node)>),
}

/// A key.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Its position.
    pub at: Place,
    /// The key.
    pub name: String,
}

/// Line and column, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    line: usize,
    column: usize,
}

/// A problem and its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    at: Place,
    message: String,
}

impl Node {
    /// Whether there is no value: nothing after the key, or `~` or `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }
}

impl Place {
    /// A problem at this position.
    pub fn problem(self, message: impl Into<String>) -> Problem {
        Problem { at: self, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.at.line, self.at.column, self.message)
    }
}

/// Reads one document.
pub fn parse(text: &str) -> Result<Node, Problem> {
    let mut reader =
        Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
    let mut document = None;
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => break,
            (Event::DocumentStart(_), at) => {
                if document.is_some() {
                    return Err(
                        at.problem("unexpected second document; a file describes one rollout")
                    );
                }
                let (event, at) = reader.next()?;
                document = Some(reader.node(event, at, 0)?);
            }
            _ => {}
        }
    }
    let start = Place { line: 1, column: 1 };
    document.filter(|node| !node.is_null()).ok_or_else(|| start.problem("the file is empty"))
}

struct Reader<'text> {
    parser: Parser<'text, saphyr_parser::StrInput<'text>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'text> Reader<'text> {
    fn next(&mut self) -> Result<(Event<'text>, Place), Problem> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, place(span.start))),
            Some(Err(error)) => Err(syntax(&error)),
            None => Ok((Event::StreamEnd, Place { line: 1, column: 1 })),
        }
    }

    fn node(&mut self, event: Event<'text>, at: Place, depth: usize) -> Result<Node, Problem> {
        self.count(1, at)?;
        if depth > DEEPEST {
            return Err(at.problem(format!("nested deeper than {DEEPEST} levels")));
        }
        let (anchor, value) = match event {
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                let node = known.ok_or_else(|| at.problem("an alias refers to itself"))?;
                self.count(size(&node), at)?;
                return Ok(node);
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = is_text(tag.as_deref(), at)?;
                let plain = style == ScalarStyle::Plain && !is_text;
                (anchor, Value::Scalar { text: text.into_owned(), plain })
            }
            Event::SequenceStart(anchor, tag) => {
                refuse(tag.as_deref(), at)?;
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break (anchor, Value::List(items)),
                        (event, at) => items.push(self.node(event, at, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(anchor, tag) => {
                refuse(tag.as_deref(), at)?;
                (anchor, Value::Mapping(self.mapping(depth)?))
            }
            _ => return Err(at.problem("a value is missing")),
        };
        let node = Node { at, value };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<(Key, Node)>, Problem> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(entries);
            }
            let Value::Scalar { text: name, .. } = self.node(event, at, depth + 1)?.value else {
                return Err(at.problem("a key must be a string"));
            };
            if entries.iter().any(|(key, _)| key.name == name) {
                return Err(at.problem(format!("duplicate key \"{}\"", name.escape_debug())));
            }
            let (event, value_at) = self.next()?;
            let value = self.node(event, value_at, depth + 1)?;
            entries.push((Key { at, name }, value));
        }
    }

    fn count(&mut self, nodes: usize, at: Place) -> Result<(), Problem> {
        self.nodes += nodes;
        if self.nodes > MOST_NODES {
            return Err(at.problem(format!("more than {MOST_NODES} values")));
        }
        Ok(())
    }
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { .. } => 1,
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Mapping(entries) => {
            1 + entries.iter().map(|(_, node)| 1 + size(node)).sum::<usize>()
        }
    }
}

fn is_text(tag: Option<&Tag>, at: Place) -> Result<bool, Problem> {
    match tag {
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Ok(true),
        tag => refuse(tag, at).map(|()| false),
    }
}

fn refuse(tag: Option<&Tag>, at: Place) -> Result<(), Problem> {
    match tag {
        None => Ok(()),
        Some(tag) => Err(at.problem(format!("unsupported tag {tag}; remove it"))),
    }
}

fn place(marker: Marker) -> Place {
    Place { line: marker.line(), column: marker.col() + 1 }
}

fn syntax(error: &ScanError) -> Problem {
    place(*error.marker()).problem(format!("not YAML: {}", error.info()))
}
