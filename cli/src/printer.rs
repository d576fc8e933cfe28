//! All output goes through here: data to stdout, everything else to stderr.
//!
//! A closed pipe on stdout is not an error: printing stops, and a command that only reads may
//! stop too ([`Printer::is_closed`]). A command that changes something continues. Output that is
//! lost for another reason, such as a full disk, is an error at the end ([`Printer::lost`]).

use std::cell::{Cell, RefCell};
use std::io::{self, IsTerminal, Write};

use indicatif::MultiProgress;

/// Format of the data on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// A table for people.
    #[default]
    Table,
    /// A table with all columns.
    Wide,
    /// One JSON object per line, for programs.
    Json,
    /// HOST/NAME, one per line.
    Name,
}

/// A stream of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Writes to stdout and stderr.
pub struct Printer {
    /// Format of the data.
    pub format: Format,
    /// Whether to suppress notes and progress.
    pub quiet: bool,
    /// Progress bars, which are suspended for every line.
    pub bars: MultiProgress,
    closed: Cell<bool>,
    lost: RefCell<Option<io::Error>>,
    /// Whether they are terminals, by [`Stream`].
    terminals: [bool; 2],
    may_colour: bool,
}

impl Printer {
    /// A printer on the streams of this process.
    pub fn new(format: Format, quiet: bool) -> Self {
        let set = |name| {
            std::env::var_os(name).is_some_and(|value: std::ffi::OsString| !value.is_empty())
        };
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            format,
            quiet,
            bars: MultiProgress::new(),
            closed: Cell::new(false),
            lost: RefCell::new(None),
            terminals: [io::stdout().is_terminal(), io::stderr().is_terminal()],
            may_colour: !set("NO_COLOR") && !dumb,
        }
    }

    /// Whether the output is for programs.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether the reader of stdout has closed it.
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Why data could not be written, except for a closed pipe.
    pub fn lost(&self) -> Option<String> {
        self.lost.borrow().as_ref().map(|error| format!("cannot write to standard output: {error}"))
    }

    /// A line of data. Control characters from hosts never reach the terminal: JSON escapes them,
    /// other formats replace them with spaces.
    pub fn data(&self, line: &str) {
        self.text(&if self.is_json() { escaped(line) } else { blanked(line) });
    }

    /// Data that says what a command has changed. If stdout is lost, it goes to stderr, because a
    /// user who learns only of the full disk might start the change a second time.
    pub fn result(&self, line: &str) {
        self.data(line);
        if self.lost.borrow().is_some() {
            self.stderr(line);
        }
    }

    /// Data of several lines, unchanged: without text from hosts, or already escaped.
    pub fn text(&self, text: &str) {
        self.bytes(format!("{text}\n").as_bytes());
    }

    fn bytes(&self, bytes: &[u8]) {
        if self.closed.get() {
            return;
        }
        self.bars.suspend(|| {
            let mut stdout = io::stdout().lock();
            let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
            if let Err(error) = written {
                self.closed.set(true);
                if error.kind() != io::ErrorKind::BrokenPipe {
                    self.lost.replace(Some(error));
                }
            }
        });
    }

    /// Whether the stream is a terminal.
    pub fn is_terminal(&self, stream: Stream) -> bool {
        self.terminals[stream as usize]
    }

    /// Whether colours may be used on the stream.
    pub fn has_colour(&self, stream: Stream) -> bool {
        self.may_colour && self.is_terminal(stream)
    }

    /// Bytes that are written as they are, such as lines of a log.
    pub fn raw(&self, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Stdout => self.bytes(bytes),
            Stream::Stderr => self.bars.suspend(|| {
                // A closed stderr leaves nowhere to report an error.
                let _ = io::stderr().lock().write_all(bytes);
            }),
        }
    }

    /// A note on stderr; not with `--quiet`.
    pub fn note(&self, line: &str) {
        if !self.quiet {
            self.stderr(line);
        }
    }

    /// A warning on stderr.
    pub fn warning(&self, line: &str) {
        self.write_line(&format!("{} {}", self.paint("33", "warning:"), printable(line)));
    }

    /// An error on stderr.
    pub fn error(&self, line: &str) {
        self.write_line(&format!("{} {}", self.paint("31", "error:"), printable(line)));
    }

    /// An error of one host or item on stderr.
    pub fn error_of(&self, what: &str, line: &str) {
        let what = printable(what);
        self.write_line(&format!("{what}: {} {}", self.paint("31", "error:"), printable(line)));
    }

    /// A plain line on stderr, even with `--quiet`.
    pub fn stderr(&self, line: &str) {
        self.write_line(&blanked(line));
    }

    fn write_line(&self, line: &str) {
        self.bars.suspend(|| {
            // A closed stderr leaves nowhere to report an error.
            let _ = writeln!(io::stderr().lock(), "{line}");
        });
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.has_colour(Stream::Stderr) {
            format!("\x1b[1;{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// One line without control characters and invisible characters: text from a host must not
/// affect the terminal, and two different names must not look the same.
pub fn printable(text: &str) -> String {
    blanked(text).trim().to_owned()
}

/// The same, without trimming.
pub fn blanked(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            _ if c.is_control() => ' ',
            _ if does_something(c) => '\u{fffd}',
            _ => c,
        })
        .collect()
}

/// JSON text, of one or more lines, that does not affect the terminal and has the same meaning.
pub fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        // JSON has line ends only between its values, and no other raw control characters.
        if does_something(c) && !matches!(c, '\n' | '\t') {
            for unit in c.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            text.push(c);
        }
    }
    text
}

/// Whether this character controls the terminal, reorders text, or is invisible: control
/// characters, line separators, directional marks, and characters without width.
pub fn does_something(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Columns of the terminal on stdout: `COLUMNS`, or its size. `None` without a terminal, so that
/// nothing is truncated.
pub fn width() -> Option<u16> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let set = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let size = || rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col);
    set.or_else(size).filter(|columns| *columns > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str =
        "  a\u{1b}[2Jb\u{1b}]0;c\u{7}d\u{9b}31me\u{202e}f\u{2028}g\r\nexit status 0";

    #[test]
    fn what_a_host_says_does_nothing_to_a_terminal() {
        assert_eq!(blanked(HOSTILE), "  a [2Jb ]0;c d 31me\u{fffd}f\u{fffd}g  exit status 0");
        assert_eq!(printable(" \u{1b}[31mnaïve Größe 日本\n"), "[31mnaïve Größe 日本");
        assert_ne!(printable("we\u{200b}b"), "web", "another name, and it must look like one");
        assert_eq!(printable("we\u{200b}b\u{e0041}"), "we\u{fffd}b\u{fffd}");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = serde_json::json!({ "log": HOSTILE, "name": "we\u{200b}b\u{e0041}" });
        for json in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let text = escaped(&json);
            assert!(!text.chars().any(|c| does_something(c) && c != '\n'), "{text:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        }
    }
}
