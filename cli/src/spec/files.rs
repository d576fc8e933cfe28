//! Files of variables and labels, by docker's rules: one per line, `#` begins a comment line, no
//! quotes, no expansion. Pure.

/// A line of such a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Before the first `=`.
    pub key: String,
    /// After it, unchanged; `None` without a `=`.
    pub value: Option<String>,
}

/// Parses the content of a file.
pub fn parse(content: &[u8]) -> Result<Vec<Entry>, String> {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let mut entries = Vec::new();
    for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = std::str::from_utf8(line).map_err(|_| format!("line {number}: not UTF-8"))?;
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (line.trim_end(), None),
        };
        if key.is_empty() {
            return Err(format!("line {number}: no name before the ="));
        }
        if key.contains(char::is_whitespace) {
            return Err(format!(
                "line {number}: the name \"{}\" contains white space",
                key.escape_debug()
            ));
        }
        entries.push(Entry { key: key.to_owned(), value });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_rules_hold() {
        let text =
            b"\xef\xbb\xbf# comment\n\n  A=1\r\nB=a b = c # no comment\nC=\"quoted\"\nD\nE=\n";
        let entry = |key: &str, value: Option<&str>| Entry {
            key: key.into(),
            value: value.map(Into::into),
        };
        assert_eq!(
            parse(text).unwrap(),
            [
                entry("A", Some("1")),
                entry("B", Some("a b = c # no comment")),
                entry("C", Some("\"quoted\"")),
                entry("D", None),
                entry("E", Some("")),
            ]
        );
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        assert_eq!(parse(b"A=1\n=x\n").unwrap_err(), "line 2: no name before the =");
        assert!(parse(b"A B=1").unwrap_err().starts_with("line 1: the name"));
        assert_eq!(parse(b"A=\xff").unwrap_err(), "line 1: not UTF-8");
    }
}
