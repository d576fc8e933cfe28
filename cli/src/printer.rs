//! The only way out: data to stdout, everything else to stderr.
//!
//! A closed pipe on stdout is no error: printing goes quiet, and a command that only reads may
//! stop ([`Printer::is_closed`]). A command that changes something goes on, since its reader
//! went away, not its purpose. Output that is lost in another way, as on a full disk, is an
//! error at the end ([`Printer::lost`]).

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
    /// A JSON object a line, for programs.
    Json,
    /// HOST/NAME, one a line.
    Name,
}

/// Writes to stdout and stderr.
pub struct Printer {
    /// Format of the data.
    pub format: Format,
    /// No remarks and no progress.
    pub quiet: bool,
    /// Progress bars; they step aside for every line.
    pub bars: MultiProgress,
    closed: Cell<bool>,
    lost: RefCell<Option<io::Error>>,
    colour: bool,
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
            colour: io::stderr().is_terminal() && !set("NO_COLOR") && !dumb,
        }
    }

    /// Whether the output is for programs.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether the reader of stdout has gone.
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Why data could not be written, other than for want of a reader.
    pub fn lost(&self) -> Option<String> {
        self.lost.borrow().as_ref().map(|error| format!("cannot write to standard output: {error}"))
    }

    /// A line of data.
    pub fn data(&self, line: &str) {
        if self.closed.get() {
            return;
        }
        self.bars.suspend(|| {
            let mut stdout = io::stdout().lock();
            let written = stdout.write_all(line.as_bytes()).and_then(|()| stdout.write_all(b"\n"));
            if let Err(error) = written {
                self.closed.set(true);
                if error.kind() != io::ErrorKind::BrokenPipe {
                    self.lost.replace(Some(error));
                }
            }
        });
    }

    /// A remark on stderr; not with `--quiet`.
    pub fn note(&self, line: &str) {
        if !self.quiet {
            self.stderr(line);
        }
    }

    /// A warning on stderr.
    pub fn warning(&self, line: &str) {
        self.stderr(&format!("{} {}", self.paint("33", "warning:"), printable(line)));
    }

    /// An error on stderr.
    pub fn error(&self, line: &str) {
        self.stderr(&format!("{} {}", self.paint("31", "error:"), printable(line)));
    }

    /// An error of one host or item on stderr.
    pub fn error_of(&self, what: &str, line: &str) {
        self.stderr(&format!("{what}: {} {}", self.paint("31", "error:"), printable(line)));
    }

    /// A plain line on stderr, whatever `--quiet` says.
    pub fn stderr(&self, line: &str) {
        self.bars.suspend(|| {
            // Nobody is left to tell when stderr is closed.
            let _ = writeln!(io::stderr().lock(), "{line}");
        });
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[1;{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// One line without control characters: what a host says must do nothing to a terminal.
pub fn printable(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Columns of the terminal on stdout: `COLUMNS`, else its size. `None` elsewhere, where
/// nothing is cut off.
pub fn width() -> Option<u16> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let set = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let size = || rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col);
    set.or_else(size).filter(|columns| *columns > 0)
}
