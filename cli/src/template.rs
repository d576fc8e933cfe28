//! `--format`: the part of Go's templates that people use with docker. Pure.
//!
//! Templates rather than a choice of columns, because scripts for docker have them and inspections
//! are nested. Understood are fields (`{{.State.Status}}`), `json`, `index`, `join`, `len`, `upper`,
//! `lower`, pipes, `range`, `if`, `else`, `end`, trimming (`{{-`), and `table` and `json` in front of
//! or instead of a template. Variables, comparisons, and definitions are refused: they are for a
//! program, and `-o json` is.

use std::iter::Peekable;
use std::vec::IntoIter;

use serde_json::{Map, Value};

use crate::printer::blanked;

/// A template.
#[derive(Debug, Clone)]
pub struct Template {
    /// Whether the output is a table with titles.
    pub table: bool,
    nodes: Vec<Node>,
}

#[derive(Debug, Clone)]
enum Node {
    Text(String),
    Print(Pipe),
    Range(Pipe, Vec<Node>, Vec<Node>),
    If(Pipe, Vec<Node>, Vec<Node>),
}

/// Calls, each of which takes what the one before it came to as its last argument.
type Pipe = Vec<Vec<Word>>;

#[derive(Debug, Clone)]
enum Word {
    /// `.`, `.A.B`.
    Field(Vec<String>),
    Text(String),
    Number(usize),
    Function(String),
}

/// A piece of the text: what stands between actions, or an action.
enum Token {
    Text(String),
    Action(String),
}

const FUNCTIONS: [&str; 6] = ["index", "join", "json", "len", "lower", "upper"];

impl Template {
    /// Reads a template. `\t` and `\n` stand for a tab and the end of a line, as with docker.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (table, text) = match text.trim().strip_prefix("table ") {
            Some(rest) => (true, rest.trim_start()),
            None if text.trim() == "json" => (false, "{{json .}}"),
            None => (false, text),
        };
        let mut tokens =
            tokens(&text.replace("\\t", "\t").replace("\\n", "\n"))?.into_iter().peekable();
        let nodes = nodes(&mut tokens)?;
        match tokens.next() {
            Some(Token::Action(action)) => Err(format!("{{{{{action}}}}} ends nothing")),
            _ => Ok(Self { table, nodes }),
        }
    }

    /// The first name of every field outside of `range`, so that a listing can name an unknown one.
    pub fn fields(&self) -> Vec<&str> {
        let mut fields = Vec::new();
        collect(&self.nodes, &mut fields);
        fields
    }

    /// The text for a value.
    pub fn render(&self, value: &Value) -> String {
        let mut out = String::new();
        write(&self.nodes, value, &mut out);
        out
    }
}

/// Lines whose cells end with tabs, in columns.
pub fn aligned(lines: &[String]) -> Vec<String> {
    let cells: Vec<Vec<&str>> = lines.iter().map(|line| line.split('\t').collect()).collect();
    let columns = cells.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let widths = cells.iter().filter_map(|row| row.get(column));
        widths.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<&str>| {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("   ").trim_end().to_owned()
    };
    cells.iter().map(line).collect()
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let (mut rest, mut trim) = (text, false);
    loop {
        let (before, after) = rest.split_once("{{").map_or((rest, None), |(b, a)| (b, Some(a)));
        let mut before = if trim { before.trim_start() } else { before };
        let Some(after) = after else {
            tokens.push(Token::Text(before.to_owned()));
            return Ok(tokens);
        };
        let (mut action, next) = after.split_once("}}").ok_or("{{ without }}")?;
        if let Some(inner) = action.strip_prefix("- ") {
            (action, before) = (inner, before.trim_end());
        }
        trim = action.ends_with(" -");
        action = action.strip_suffix(" -").unwrap_or(action);
        tokens.push(Token::Text(before.to_owned()));
        tokens.push(Token::Action(action.trim().to_owned()));
        rest = next;
    }
}

/// Up to an `end` or `else`, which stays.
fn nodes(tokens: &mut Peekable<IntoIter<Token>>) -> Result<Vec<Node>, String> {
    let ends = |token: &Token| matches!(token, Token::Action(action) if action == "end" || action == "else");
    let mut nodes = Vec::new();
    while let Some(token) = tokens.next_if(|token| !ends(token)) {
        let action = match token {
            Token::Text(text) => {
                nodes.push(Node::Text(text));
                continue;
            }
            Token::Action(action) => action,
        };
        let (keyword, rest) = action.split_once(' ').unwrap_or((&action, ""));
        if !matches!(keyword, "range" | "if") {
            nodes.push(Node::Print(pipe(&action)?));
            continue;
        }
        let condition = pipe(rest)?;
        let inner = self::nodes(tokens)?;
        let end = |token: Option<Token>| match token {
            Some(Token::Action(action)) => Ok(action),
            _ => Err(format!("{{{{{action}}}}} has no {{{{end}}}}")),
        };
        let mut otherwise = Vec::new();
        if end(tokens.next())? == "else" {
            otherwise = self::nodes(tokens)?;
            end(tokens.next())?;
        }
        nodes.push(match keyword {
            "range" => Node::Range(condition, inner, otherwise),
            _ => Node::If(condition, inner, otherwise),
        });
    }
    Ok(nodes)
}

fn pipe(text: &str) -> Result<Pipe, String> {
    let mut pipe = vec![Vec::new()];
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let word = match character {
            ' ' | '\t' => continue,
            '|' => {
                pipe.push(Vec::new());
                continue;
            }
            '"' | '`' => {
                let mut inner = String::new();
                loop {
                    match characters.next() {
                        None => return Err(format!("a quote in {{{{{text}}}}} does not end")),
                        Some(end) if end == character => break,
                        Some('\\') if character == '"' => inner.extend(characters.next()),
                        Some(other) => inner.push(other),
                    }
                }
                Word::Text(inner)
            }
            first => {
                let mut word = String::from(first);
                while let Some(next) = characters.next_if(|c| !matches!(c, ' ' | '\t' | '|')) {
                    word.push(next);
                }
                self::word(&word)?
            }
        };
        if let Some(call) = pipe.last_mut() {
            call.push(word);
        }
    }
    for (index, call) in pipe.iter().enumerate() {
        let name = |word: &Word| match word {
            Word::Function(name) => Some(name.clone()),
            _ => None,
        };
        if let Some(name) = call.iter().skip(1).find_map(name) {
            return Err(format!("{name} must be the first word of {{{{{text}}}}} or follow a |"));
        }
        if index == 0 && call.len() < 2 && call.first().is_none_or(|word| name(word).is_some()) {
            return Err(format!("{{{{{text}}}}} has no value"));
        }
        if call.is_empty() {
            return Err(format!("{{{{{text}}}}} has nothing after |"));
        }
    }
    Ok(pipe)
}

fn word(word: &str) -> Result<Word, String> {
    if word == "." {
        return Ok(Word::Field(Vec::new()));
    }
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if let Some(path) = word.strip_prefix('.')
        && path.split('.').all(is_name)
    {
        return Ok(Word::Field(path.split('.').map(str::to_owned).collect()));
    }
    if let Ok(number) = word.parse() {
        return Ok(Word::Number(number));
    }
    if FUNCTIONS.contains(&word) {
        return Ok(Word::Function(word.to_owned()));
    }
    Err(format!(
        "\"{}\" is not understood; write fields such as .State.Status, range, if, and the functions {}",
        word.escape_debug(),
        FUNCTIONS.join(", ")
    ))
}

fn collect<'a>(nodes: &'a [Node], fields: &mut Vec<&'a str>) {
    for node in nodes {
        let pipe = match node {
            Node::Text(_) => continue,
            Node::Print(pipe) | Node::Range(pipe, ..) => pipe,
            Node::If(pipe, inner, otherwise) => {
                collect(inner, fields);
                collect(otherwise, fields);
                pipe
            }
        };
        for word in pipe.iter().flatten() {
            if let Word::Field(path) = word {
                fields.extend(path.first().map(String::as_str));
            }
        }
    }
}

fn write(nodes: &[Node], dot: &Value, out: &mut String) {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Print(pipe) => out.push_str(&blanked(&shown(&run(pipe, dot)))),
            Node::If(pipe, inner, otherwise) => {
                write(if is_true(&run(pipe, dot)) { inner } else { otherwise }, dot, out);
            }
            Node::Range(pipe, inner, otherwise) => {
                let value = run(pipe, dot);
                let items: Vec<&Value> = match &value {
                    Value::Array(list) => list.iter().collect(),
                    Value::Object(map) => sorted(map).into_iter().map(|(_, item)| item).collect(),
                    _ => Vec::new(),
                };
                if items.is_empty() {
                    write(otherwise, dot, out);
                }
                for item in items {
                    write(inner, item, out);
                }
            }
        }
    }
}

fn run(pipe: &Pipe, dot: &Value) -> Value {
    let mut last = None;
    for call in pipe {
        let value = |word: &Word| match word {
            Word::Field(path) => path.iter().fold(dot, |value, key| &value[key.as_str()]).clone(),
            Word::Text(text) | Word::Function(text) => Value::from(text.as_str()),
            Word::Number(number) => Value::from(*number),
        };
        let (function, words) = match &call[..] {
            [Word::Function(name), words @ ..] => (name.as_str(), words),
            // `.Label "x"`: docker's fields that take a name.
            words => ("index", words),
        };
        let given: Vec<Value> = words.iter().map(value).chain(last.take()).collect();
        last = Some(apply(function, given));
    }
    last.unwrap_or_default()
}

fn apply(function: &str, given: Vec<Value>) -> Value {
    let mut given = given.into_iter();
    let first = given.next().unwrap_or_default();
    match function {
        "index" => given.fold(first, |value, key| match key {
            Value::String(key) => value[key].clone(),
            key => value[key.as_u64().unwrap_or_default() as usize].clone(),
        }),
        "json" => Value::from(first.to_string()),
        "len" => match first {
            Value::Array(list) => list.len(),
            Value::Object(map) => map.len(),
            other => shown(&other).len(),
        }
        .into(),
        "join" => {
            let between = given.next().as_ref().map(shown).unwrap_or_default();
            let items = first.as_array().into_iter().flatten();
            items.map(shown).collect::<Vec<_>>().join(&between).into()
        }
        "upper" => shown(&first).to_uppercase().into(),
        _ => shown(&first).to_lowercase().into(),
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(key, _)| *key);
    entries
}

/// A value as Go prints it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(" "))
        }
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| format!("{key}:{}", shown(value));
            format!("map[{}]", sorted(map).into_iter().map(entry).collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn templates_that_people_use_with_docker() {
        let value = json!({
            "Name": "/web", "State": {"Status": "running", "Running": true},
            "Config": {"Env": ["A=1", "B=2"], "Labels": {"a.b": "c", "x": "y"}, "Cmd": null},
            "Mounts": [{"Source": "/a", "Destination": "/b"}, {"Source": "/c", "Destination": "/d"}],
        });
        for (template, expected) in [
            ("{{.Name}}: {{ .State.Status }}", "/web: running"),
            ("{{json .State}}", r#"{"Status":"running","Running":true}"#),
            ("{{.State | json}}", r#"{"Status":"running","Running":true}"#),
            ("{{index .Config.Labels \"a.b\"}}", "c"),
            ("{{.Config.Labels}} {{index .Config.Env 1}}", "map[a.b:c x:y] B=2"),
            ("{{range .Mounts}}{{.Source}}:{{.Destination}}\\n{{end}}", "/a:/b\n/c:/d\n"),
            ("{{range .Config.Cmd}}x{{else}}none{{end}}", "none"),
            ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
            ("{{join .Config.Env \", \"}} {{len .Mounts}}", "A=1, B=2 2"),
            ("a {{- .Name -}} b", "a/webb"),
            ("{{.State.Nothing}}", "<no value>"),
            ("{{upper .Name}}", "/WEB"),
        ] {
            let found = Template::parse(template).unwrap().render(&value);
            assert_eq!(found, expected, "{template}");
        }
        assert_eq!(Template::parse("json").unwrap().render(&json!({"a": 1})), r#"{"a":1}"#);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (template, problem) in [
            ("{{.Name", "without"),
            ("{{}}", "has no value"),
            ("{{json}}", "has no value"),
            ("{{.A json}}", "must be the first word"),
            ("{{.A |}}", "nothing after |"),
            ("{{range .A}}", "no {{end}}"),
            ("{{end}}", "ends nothing"),
            ("{{eq .A 1}}", "\"eq\" is not understood"),
            ("{{$x}}", "\"$x\" is not understood"),
            ("{{index .A \"x}}", "does not end"),
        ] {
            let error = Template::parse(template).unwrap_err();
            assert!(error.contains(problem), "{template}: {error}");
        }
    }

    #[test]
    fn what_a_host_says_does_nothing_to_a_terminal() {
        let template = Template::parse("{{.A}}").unwrap();
        assert!(!template.render(&json!({"A": "\u{1b}[31m"})).contains('\u{1b}'));
    }
}
