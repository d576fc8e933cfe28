//! Lines of logs as text. Pure.

use std::collections::HashMap;

use crate::printer::does_something;

/// Bytes of a line that is kept until it is whole. A longer one is printed in pieces.
const LONGEST: usize = 1 << 20;

/// Colours of prefixes: neither red, which marks errors, nor black or white.
const COLOURS: [&str; 6] = ["36", "33", "32", "35", "34", "96"];

/// Puts the lines of each output together again, since a long line comes in pieces and others may come
/// in between.
#[derive(Debug, Default)]
pub struct Assembler<K>(HashMap<K, Vec<u8>>);

impl<K: std::hash::Hash + Eq> Assembler<K> {
    /// Adds data, and passes every line that is now whole to `line`, without its end.
    pub fn push(&mut self, key: K, data: &[u8], continues: bool, mut line: impl FnMut(&[u8])) {
        let mut rest = self.0.remove(&key).unwrap_or_default();
        rest.extend_from_slice(data);
        let mut left = &*rest;
        while let Some(end) = memchr::memchr(b'\n', left) {
            line(&left[..end]);
            left = &left[end + 1..];
        }
        if left.is_empty() {
            return;
        }
        if continues && left.len() < LONGEST {
            let left = left.to_vec();
            self.0.insert(key, left);
        } else {
            line(left);
        }
    }

    /// Passes what is left of one output to `line`.
    pub fn end(&mut self, key: &K, line: impl FnOnce(&[u8])) {
        if let Some(rest) = self.0.remove(key) {
            line(&rest);
        }
    }

    /// Passes what is left to `line`.
    pub fn finish(&mut self, mut line: impl FnMut(&K, &[u8])) {
        self.0.drain().for_each(|(key, rest)| line(&key, &rest));
    }
}

/// The colour of a prefix, always the same for the same text.
pub fn colour(text: &str) -> &'static str {
    let sum = text.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    COLOURS[sum as usize % COLOURS.len()]
}

/// A line for a terminal: colours and other attributes of text are kept and end with the line. All
/// else that controls the terminal is replaced, as everywhere in text from hosts.
pub fn for_terminal(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    // A container with a terminal ends its lines with it.
    let text = text.strip_suffix('\r').unwrap_or(&text);
    let mut clean = String::with_capacity(text.len());
    let (mut rest, mut attributes) = (text, false);
    while let Some(c) = rest.chars().next() {
        if let Some(length) = attribute(rest) {
            clean.push_str(&rest[..length]);
            rest = &rest[length..];
            attributes = true;
            continue;
        }
        clean.push(match c {
            '\t' => '\t',
            _ if c.is_control() => ' ',
            _ if does_something(c) => '\u{fffd}',
            _ => c,
        });
        rest = &rest[c.len_utf8()..];
    }
    if attributes {
        clean.push_str("\x1b[0m");
    }
    clean
}

/// A line for a pipe or a file: without colours and other attributes of text.
pub fn without_attributes(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut rest = text.strip_suffix('\r').unwrap_or(&text);
    let mut plain = String::with_capacity(rest.len());
    while let Some(c) = rest.chars().next() {
        let length = attribute(rest).unwrap_or_else(|| {
            plain.push(c);
            c.len_utf8()
        });
        rest = &rest[length..];
    }
    plain
}

/// Bytes of the attribute of text (`ESC [ NUMBERS m`) at the beginning, if there is one.
fn attribute(text: &str) -> Option<usize> {
    let numbers = text.strip_prefix("\x1b[")?;
    let end = numbers.find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':')?;
    numbers[end..].starts_with('m').then_some(2 + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_interrupt_each_other_stay_whole() {
        let mut assembler = Assembler::default();
        let mut lines: Vec<String> = Vec::new();
        for (key, data, continues) in [
            ("out", "one\nbe", true),
            ("error", "bang\n", false),
            ("out", "gin", true),
            ("out", "\n\nlast", true),
        ] {
            assembler.push(key, data.as_bytes(), continues, |line| {
                lines.push(String::from_utf8_lossy(line).into_owned());
            });
        }
        assembler.finish(|key, line| {
            lines.push(format!("{key}: {}", String::from_utf8_lossy(line)));
        });
        assert_eq!(lines, ["one", "bang", "begin", "", "out: last"]);
        // Without an end, at the end of a log.
        assembler.push("out", b"$ ", false, |line| assert_eq!(line, b"$ "));
    }

    #[test]
    fn an_endless_line_takes_no_memory() {
        let mut assembler = Assembler::default();
        let mut bytes = 0;
        for _ in 0..100 {
            assembler.push("out", &[b'x'; 64 << 10], true, |line| bytes += line.len());
        }
        assert!(bytes > 5 << 20, "{bytes}");
    }

    #[test]
    fn a_terminal_gets_colours_and_nothing_else() {
        assert_eq!(for_terminal(b"\x1b[1;31mred\x1b[0m\tx\r"), "\x1b[1;31mred\x1b[0m\tx\x1b[0m");
        assert_eq!(without_attributes(b"\x1b[91mred\x1b[0m\tx\x1b[2J\r"), "red\tx\x1b[2J");
        assert_eq!(for_terminal(b"a\x1b[2Jb\x1b]0;c\x07d\rx"), "a [2Jb ]0;c d x");
        assert_eq!(for_terminal("e\u{202e}f \u{9b}31m".as_bytes()), "e\u{fffd}f  31m");
        assert_eq!(for_terminal(b"\xff\x1b[31"), "\u{fffd} [31");
        assert_eq!(colour("web1/web"), colour("web1/web"));
    }
}
