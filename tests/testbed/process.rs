//! Processes in `/proc`. Linux only, like Docker Engines.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

/// A process, distinguished from a later one with the same number by when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessId {
    pub pid: u32,
    /// In clock ticks since the machine started.
    pub started: u64,
}

impl ProcessId {
    /// The process that has the number now; none where there is none, or one that has ended and
    /// waits for its parent to notice.
    pub fn of(pid: u32) -> Option<ProcessId> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in the second field may hold anything, blanks and parentheses included.
        let (_, fields) = stat.rsplit_once(") ")?;
        let mut fields = fields.split(' ');
        if matches!(fields.next()?, "Z" | "X") {
            return None;
        }
        let started = fields.nth(18)?.parse().ok()?;
        Some(ProcessId { pid, started })
    }

    pub fn current() -> anyhow::Result<ProcessId> {
        ProcessId::of(std::process::id()).context("this process is not in /proc")
    }

    pub fn is_alive(self) -> bool {
        ProcessId::of(self.pid) == Some(self)
    }

    pub fn signal(self, signal: Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid.filter(|_| self.is_alive()) {
            // The one failure left is that it has ended meanwhile.
            let _ = kill_process(pid, signal);
        }
    }

    /// `PID-STARTED`, as in the names of run directories.
    pub fn parse(text: &str) -> Option<ProcessId> {
        let (pid, started) = text.trim().split_once('-')?;
        Some(ProcessId { pid: pid.parse().ok()?, started: started.parse().ok()? })
    }
}

impl std::fmt::Display for ProcessId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.pid, self.started)
    }
}

/// Whether every thread of a process is stopped by a signal.
pub fn is_stopped(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // One that ended meanwhile does not run either.
        stat.rsplit_once(") ").is_none_or(|(_, fields)| fields.starts_with('T'))
    })
}

/// The processes that this one has started and that have not ended.
pub fn children(parent: u32) -> Vec<ProcessId> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
            fields.split(' ').nth(1).is_some_and(|it| it.parse() == Ok(parent))
        })
        .filter_map(ProcessId::of)
        .collect()
}

/// All processes that run one of `programs` with an argument that names something below
/// `directory`.
pub fn find(programs: &[&str], directory: &Path) -> Vec<ProcessId> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let below = format!("{}/", directory.display());
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let Ok(command) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
            let command = String::from_utf8_lossy(&command);
            let mut arguments = command.split('\0');
            let program = PathBuf::from(arguments.next().unwrap_or_default());
            let program = program.file_name().unwrap_or_default().to_string_lossy();
            programs.iter().any(|name| program.starts_with(name))
                && arguments.any(|argument| argument.contains(&below))
        })
        .filter_map(ProcessId::of)
        .collect()
}

/// All processes in whose root the file `marker` names `directory` or something below it.
pub fn with_marker(marker: &str, directory: &Path) -> Vec<ProcessId> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            let found = fs::read_to_string(format!("/proc/{pid}/root{marker}"));
            found.is_ok_and(|text| Path::new(text.trim_end()).starts_with(directory))
        })
        .filter_map(ProcessId::of)
        .collect()
}
