//! The terminal of the user: its size, and its raw mode, in which keys such as Ctrl-C are input of
//! the command.

use std::io::{self, IsTerminal};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use wharf::v1::TerminalSize;

use crate::exit::Failure;

/// Raw mode until it is dropped.
pub struct RawMode(Termios);

/// Refuses a terminal where there is none.
pub fn check(interactive: bool, tty: bool) -> Result<(), Failure> {
    if interactive && tty && !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "-t needs a terminal on standard input, which is a pipe or a file; use -i without -t",
        ));
    }
    Ok(())
}

/// The size of the terminal, if there is one.
pub fn size() -> Option<TerminalSize> {
    let size = tcgetwinsize(io::stdout()).or_else(|_| tcgetwinsize(io::stdin())).ok()?;
    let (columns, rows) = (u32::from(size.ws_col), u32::from(size.ws_row));
    (columns > 0 && rows > 0).then_some(TerminalSize { columns, rows })
}

impl RawMode {
    /// Switches the terminal on standard input; `None` if it is none.
    pub fn enter() -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.0);
    }
}
