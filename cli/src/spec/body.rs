//! The Engine's own JSON body (`-f body.json`): read, stripped of comment lines, checked to be an
//! object, and sent unchanged. The server merges it and joins `Tag` to `Image`.

use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};
use wharf::v1::EngineJson;

use crate::exit::Failure;

/// The limit of a request.
const LIMIT: usize = 4 << 20;

/// A body that is a JSON object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    text: String,
    object: Map<String, Value>,
}

impl Body {
    /// The value of `Image` with `Tag`, if any.
    pub fn image(&self) -> Option<String> {
        let text =
            |key| self.object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let image = text("Image")?;
        Some(text("Tag").map_or_else(|| image.to_owned(), |tag| format!("{image}:{tag}")))
    }

    /// The text, for a request.
    pub fn into_engine_json(self) -> EngineJson {
        EngineJson { json: self.text, api_version: String::new() }
    }
}

/// Reads a file, or stdin if the path is `-`.
pub fn read(path: &Path) -> Result<Body, Failure> {
    let bytes = read_bytes(path)?;
    parse(&bytes).map_err(|problem| Failure::Usage(format!("{}: {problem}", name(path))))
}

/// Reads a text file, or stdin if the path is `-`.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    let bytes = read_bytes(path)?;
    let wrong = |problem| Failure::Usage(format!("{}: {problem}", name(path)));
    if bytes.len() > LIMIT {
        return Err(wrong("larger than 4 MiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong("not UTF-8 text"))?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

/// The path in messages.
pub fn name(path: &Path) -> String {
    if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() }
}

/// Reads one byte more than the limit, to detect a file that is too large.
fn read_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let limit = LIMIT as u64 + 1;
    let read = if path == Path::new("-") {
        std::io::stdin().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    let failed = |error| Failure::Usage(format!("cannot read {}: {error}", name(path)));
    read.map_err(failed).map(|_| bytes)
}

/// Parses the text of a body.
fn parse(bytes: &[u8]) -> Result<Body, String> {
    if bytes.len() > LIMIT {
        return Err("larger than 4 MiB".to_owned());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8 text".to_owned())?;
    let text = without_comments(text.trim_start_matches('\u{feff}'));
    let value: Value = serde_json::from_str(&text).map_err(|error| {
        let message = error.to_string();
        let what = message.split(" at line ").next().unwrap_or_default();
        format!("line {}, column {}: not valid JSON: {what}", error.line(), error.column())
    })?;
    match value {
        Value::Object(object) => Ok(Body { text, object }),
        _ => Err("line 1, column 1: the body must be a JSON object, {…}".to_owned()),
    }
}

/// Blanks lines that begin with `#`, so that later lines keep their numbers. No JSON value
/// contains such a line: a line end in a string is written `\n`.
fn without_comments(text: &str) -> String {
    let keep = |line: &str| {
        if line.trim_start().starts_with('#') { String::new() } else { line.to_owned() }
    };
    text.split('\n').map(keep).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comment_lines_go_and_the_rest_stays_as_written() {
        let body = parse(
            b"# a comment\n{\"Image\": \"app\",\n  # another\n  \"Tag\":\"v1\", \"X\": 1.10}\n",
        )
        .unwrap();
        assert_eq!(body.image().as_deref(), Some("app:v1"));
        assert_eq!(
            body.into_engine_json().json,
            "\n{\"Image\": \"app\",\n\n  \"Tag\":\"v1\", \"X\": 1.10}\n"
        );
    }

    #[test]
    fn mistakes_are_told_with_line_and_column() {
        let error = parse(b"# one\n{\"Image\": }\n").unwrap_err();
        assert!(error.starts_with("line 2, column 11: not valid JSON: expected value"), "{error}");
        assert!(parse(b"[1]").unwrap_err().contains("must be a JSON object"));
        assert!(parse(b"").unwrap_err().contains("not valid JSON"));
        assert!(parse(&vec![b' '; LIMIT + 1]).unwrap_err().contains("4 MiB"));
        assert!(parse(b"\xff").unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let Err(Failure::Usage(message)) = read(Path::new("/nonexistent/body.json")) else {
            panic!()
        };
        assert!(message.starts_with("cannot read /nonexistent/body.json"), "{message}");
    }
}
