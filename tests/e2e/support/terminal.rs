//! A terminal for a command, with what a user would see and type.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use testbed::Wharf;
use tokio::process::Child;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// How long to wait for a text.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal; several commands may run in it one after the other.
pub struct Terminal {
    typing: File,
    path: String,
    seen: UnboundedReceiver<Vec<u8>>,
    /// Without it, the terminal would end with the first process that has it.
    _kept: File,
}

impl Terminal {
    /// A terminal of that size, in characters.
    pub fn open(columns: u16, rows: u16) -> anyhow::Result<Terminal> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size)?;
        let path = ptsname(&master, Vec::new())?.into_string()?;
        let kept = File::options().read(true).write(true).open(&path)?;
        let typing = File::from(master);
        let mut reading = typing.try_clone()?;
        let (pieces, seen) = unbounded_channel();
        // Ends with the last process that has the terminal.
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = reading.read(&mut piece) {
                let _ = pieces.send(piece[..length].to_vec());
            }
        });
        Ok(Terminal { typing, path, seen, _kept: kept })
    }

    /// Starts `wharf` in it.
    pub fn start(&self, wharf: &Wharf, arguments: &[&str]) -> anyhow::Result<Child> {
        let terminal = || File::options().read(true).write(true).open(&self.path);
        let mut command = wharf.command(arguments)?;
        command.stdin(terminal()?).stdout(terminal()?).stderr(Stdio::from(terminal()?));
        Ok(command.spawn()?)
    }

    /// Types `keys`.
    pub fn type_keys(&mut self, keys: &[u8]) -> anyhow::Result<()> {
        Ok(self.typing.write_all(keys)?)
    }

    /// In a shell: Ctrl-C is a key of its command, not of wharf. The shell exits with 5.
    pub async fn interrupt_a_command_and_exit(&mut self) -> anyhow::Result<()> {
        self.type_keys(b"sh -c 'echo zero-$((40 + 2)); sleep 1000'\n")?;
        self.until("zero-42").await?;
        self.type_keys(b"\x03")?;
        self.type_keys(b"echo two-$((40 + 2)); exit 5\n")?;
        self.until("two-42").await.map(drop)
    }

    /// Waits until `text` is shown, and returns all that was shown since the last time.
    pub async fn until(&mut self, text: &str) -> anyhow::Result<String> {
        let mut all = String::new();
        while !all.contains(text) {
            let next = tokio::time::timeout(PATIENCE, self.seen.recv()).await;
            let piece = next.with_context(|| all.clone())?.context("the terminal is closed")?;
            all.push_str(&String::from_utf8_lossy(&piece));
        }
        Ok(all)
    }
}
