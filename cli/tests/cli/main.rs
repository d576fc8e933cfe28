//! The real binary against a scripted server on a unix socket: requests, output on both streams,
//! and exit status.

mod advice;
mod context;
mod hosts;
mod input;
mod reads;
mod rollout_starts;
mod rollout_terms;
mod rollouts;
mod script;
mod signals;
mod stats;
mod terminal;
mod tmux;
mod transfers;
mod ui;
mod used;
mod watch;
mod writes;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use script::Server;

/// A run of `wharf` that is over.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The lines of stdout.
    pub fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }

    /// The lines of stdout as JSON.
    pub fn json(&self) -> Vec<serde_json::Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// `wharf` with nothing of this environment but a home directory of its own.
pub fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.env_clear().env("HOME", home).args(arguments).stdin(Stdio::null());
    command
}

/// Runs `wharf` on a scripted server.
pub fn run(server: &Server, arguments: &[&str]) -> Run {
    run_with(server, arguments, |_| {})
}

/// As [`run`], with more said to the process.
pub fn run_with(server: &Server, arguments: &[&str], more: impl FnOnce(&mut Command)) -> Run {
    let mut command = command(server.home(), arguments);
    command.env("WHARF_SERVER", server.address());
    more(&mut command);
    Run::of(command.output().unwrap())
}

/// Runs `wharf` where no server is.
pub fn run_alone(home: &Path, arguments: &[impl AsRef<OsStr>]) -> Run {
    let mut command = command(home, &[]);
    command.env("WHARF_SERVER", "unix:///nonexistent/wharfd.sock").args(arguments);
    Run::of(command.output().unwrap())
}
