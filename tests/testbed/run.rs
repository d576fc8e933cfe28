//! The directory of one run of the tests (or of the demo), and its cleanup.

use std::env;
use std::fs::{self, DirBuilder};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, anyhow, bail};

use crate::process::ProcessId;
use crate::{sweep, tools};

/// The line with which the reaper says that it is on its post.
pub const REAPER_READY: &str = "ready";

/// One run: `$TMPDIR/wharf-testbed-UID/PID-STARTED/`, with a directory for each daemon below.
#[derive(Debug)]
pub struct Run {
    directory: PathBuf,
    next: AtomicU32,
    // Holds the pipe whose end tells the reaper that this process is gone.
    reaper: Child,
}

impl Run {
    /// The run of this process. The first call sweeps up what earlier runs left, and starts the
    /// reaper.
    pub fn current() -> anyhow::Result<&'static Run> {
        static RUN: OnceLock<Result<Run, String>> = OnceLock::new();
        RUN.get_or_init(|| Run::start().map_err(|error| format!("{error:#}")))
            .as_ref()
            .map_err(|error| anyhow!("{error}"))
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A new directory, such as `e1`, `e2`. Short names: the path of a unix socket has at most
    /// 107 bytes, and containerd's are deep.
    pub fn new_directory(&self, prefix: &str) -> anyhow::Result<PathBuf> {
        let number = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let directory = self.directory.join(format!("{prefix}{number}"));
        fs::create_dir(&directory).with_context(|| format!("creating {}", directory.display()))?;
        Ok(directory)
    }

    /// Ends every daemon of this run and removes its directory, now. Nothing can be started in
    /// the run afterwards.
    pub fn end(&self) -> anyhow::Result<()> {
        sweep::clean(&self.directory)
    }

    /// The process that tidies up when this one is gone.
    pub fn reaper_pid(&self) -> u32 {
        self.reaper.id()
    }

    fn start() -> anyhow::Result<Run> {
        let root = root()?;
        for swept in sweep::sweep(&root)? {
            // Nothing of it is in our way, so it is no reason to stop.
            if let Err(error) = swept.result {
                let place = swept.directory.display();
                writeln!(std::io::stderr(), "left over in {place}: {error:#}")?;
            }
        }
        let directory = root.join(ProcessId::current()?.to_string());
        fs::create_dir(&directory).with_context(|| format!("creating {}", directory.display()))?;
        let log = fs::File::create(directory.join("reaper.log"))?;
        // Not in our process group: what ends that must not end the reaper. And none of our
        // streams: whoever reads them would wait for the reaper's end.
        let mut reaper = Command::new(tools::built("wharf-testbed")?)
            .arg("reaper")
            .arg(&directory)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("starting the reaper")?;
        let mut line = String::new();
        let output = reaper.stdout.take().context("the reaper has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        if line.trim_end() != REAPER_READY {
            let log = fs::read_to_string(directory.join("reaper.log")).unwrap_or_default();
            bail!("the reaper did not start: {log}");
        }
        Ok(Run { directory, next: AtomicU32::new(0), reaper })
    }
}

/// The directory of all runs of this user, `$TMPDIR/wharf-testbed-UID`.
///
/// # Errors
/// When somebody else owns it: what is in there says which processes to kill and what to remove.
pub fn root() -> anyhow::Result<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let temporary = fs::canonicalize(env::temp_dir()).context("the directory TMPDIR")?;
    let root = temporary.join(format!("wharf-testbed-{user}"));
    DirBuilder::new().recursive(true).mode(0o700).create(&root)?;
    let metadata = fs::symlink_metadata(&root)?;
    if !metadata.is_dir() || metadata.uid() != user || metadata.mode() & 0o022 != 0 {
        bail!("{} is not a directory that only this user can write to; remove it", root.display());
    }
    // containerd's longest, below the longest name of a run and of an Engine.
    let longest =
        root.as_os_str().len() + "/4194304-9999999999/e999/exec/containerd.sock.ttrpc".len();
    if longest > 107 {
        bail!("{} is too long for the paths of sockets below it; set TMPDIR", root.display());
    }
    Ok(root)
}
