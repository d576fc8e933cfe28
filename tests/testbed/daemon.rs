//! A process that the testbed started and must end.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::Signal;

use crate::process::{self, ProcessId};

/// A running (or ended) child process with its output in files.
#[derive(Debug)]
pub struct Daemon {
    name: &'static str,
    directory: PathBuf,
    id: ProcessId,
    // A lock because the methods take `&self`: a fixture is shared between tests.
    child: Mutex<Child>,
}

impl Daemon {
    /// Starts `command` with its output in `NAME.out` and `NAME.err` below `directory`, and
    /// leaves there, in `NAME.process`, who it is: for the reaper, and for the next run.
    ///
    /// The child gets a process group of its own, so that Ctrl-C at a terminal reaches the tests
    /// and not, at the same moment, every Engine below them.
    pub fn spawn(
        name: &'static str,
        directory: &Path,
        mut command: Command,
    ) -> anyhow::Result<Daemon> {
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(File::create(directory.join(format!("{name}.out")))?)
            .stderr(File::create(directory.join(format!("{name}.err")))?)
            .spawn()
            .with_context(|| format!("starting {}", command.get_program().display()))?;
        // The number is ours until the child is waited for, so it can be neither gone nor
        // another's; a child that has ended already is found by `exited`.
        let id = ProcessId::of(child.id()).unwrap_or(ProcessId { pid: child.id(), started: 0 });
        fs::write(directory.join(format!("{name}.process")), id.to_string())?;
        Ok(Daemon { name, directory: directory.to_owned(), id, child: Mutex::new(child) })
    }

    pub fn pid(&self) -> u32 {
        self.id.pid
    }

    /// How it ended; none while it runs.
    pub fn exited(&self) -> Option<ExitStatus> {
        self.child().try_wait().ok().flatten()
    }

    /// Sends a signal; nothing happens when it has ended.
    pub fn signal(&self, signal: Signal) {
        let mut child = self.child();
        if matches!(child.try_wait(), Ok(None)) {
            self.id.signal(signal);
        }
    }

    /// Stops it with SIGSTOP, and returns once every thread of it has stopped: until then, one
    /// of them may still answer.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.exited().is_none()
            && !process::is_stopped(self.pid())
            && Instant::now() < deadline
        {
            // The kernel needs microseconds for it; not worth a wait of the runtime.
            std::thread::yield_now();
        }
    }

    /// Ends it with SIGKILL and waits until it is gone.
    pub fn kill(&self) {
        let mut child = self.child();
        // Both fail only where it has ended.
        let _ = child.kill();
        let _ = child.wait();
    }

    /// # Errors
    /// When it has ended; the error holds the end of what it wrote.
    pub fn check_running(&self) -> anyhow::Result<()> {
        let Some(status) = self.exited() else { return Ok(()) };
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("with status {code}"),
            (_, Some(signal)) => format!("by signal {signal}"),
            _ => status.to_string(),
        };
        bail!("{} ended {how}; it wrote:\n{}", self.name, tail(&self.stderr(), 2000))
    }

    /// All it wrote to its standard output so far.
    pub fn stdout(&self) -> String {
        self.read("out")
    }

    /// All it wrote to its standard error so far.
    pub fn stderr(&self) -> String {
        self.read("err")
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        self.memory("VmRSS:")
    }

    /// The most resident memory that it had so far, in bytes.
    pub fn peak_resident_bytes(&self) -> anyhow::Result<u64> {
        self.memory("VmHWM:")
    }

    fn memory(&self, field: &str) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kilobytes: u64 = kilobytes.with_context(|| format!("no {field} in /proc"))?.parse()?;
        Ok(kilobytes * 1024)
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, extension: &str) -> String {
        let path = self.directory.join(format!("{}.{extension}", self.name));
        String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// At most the last `length` bytes, from the start of a line.
fn tail(text: &str, length: usize) -> &str {
    let Some(cut) = text.len().checked_sub(length) else { return text };
    let start =
        text.char_indices().find(|(at, c)| *at >= cut && *c == '\n').map_or(0, |(at, _)| at);
    text[start..].trim_start()
}
