//! The real `wharfd`, with a data directory of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::Signal;

use crate::cli::Wharf;
use crate::daemon::Daemon;
use crate::poll::eventually;
use crate::run::Run;
use crate::{sweep, tools};

/// What may differ between servers.
#[derive(Clone, Debug, Default)]
pub struct WharfdOptions {
    /// Text of the configuration file; without one, none is given.
    pub configuration: Option<String>,
    /// Where it listens, such as `tcp://127.0.0.1:7000`. Empty: on a unix socket of its own.
    pub listen: Vec<String>,
    /// More arguments. Without any, `--no-local` alone: a test must not reach the Docker of the
    /// machine that it runs on.
    pub arguments: Option<Vec<String>>,
    /// More variables of its environment, which is otherwise empty but for `PATH` and `HOME`.
    pub environment: Vec<(String, String)>,
    /// How many files it may have open, soft and hard limit; unset: that of the test.
    pub open_files: Option<u32>,
    /// A command with its arguments that becomes the server, such as `env --ignore-signal=XFSZ`.
    pub wrapper: Vec<String>,
}

/// A running server. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct Wharfd {
    directory: PathBuf,
    options: WharfdOptions,
    daemon: Mutex<Daemon>,
}

impl Wharfd {
    /// A server that knows no host and listens on a unix socket.
    pub async fn start() -> anyhow::Result<Wharfd> {
        Wharfd::start_with(WharfdOptions::default()).await
    }

    /// Returns when it has printed its line.
    ///
    /// # Errors
    /// When it ends instead; the error holds what it wrote.
    pub async fn start_with(options: WharfdOptions) -> anyhow::Result<Wharfd> {
        let directory = Run::current()?.new_directory("w")?;
        if let Some(configuration) = &options.configuration {
            fs::write(directory.join("wharfd.toml"), configuration)?;
        }
        let daemon = Mutex::new(spawn(&directory, &options)?);
        let wharfd = Wharfd { directory, options, daemon };
        wharfd.wait_until_ready().await?;
        Ok(wharfd)
    }

    /// Where the first of its listeners is, as `wharf --server` takes it.
    pub fn address(&self) -> String {
        match self.options.listen.first() {
            Some(address) => address.clone(),
            None => socket(&self.directory),
        }
    }

    /// A command line for this server, with a home directory of its own.
    pub fn cli(&self) -> anyhow::Result<Wharf> {
        Wharf::new(&self.address())
    }

    /// Its data directory, which stays the same over restarts.
    pub fn data_directory(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub fn pid(&self) -> u32 {
        self.daemon().pid()
    }

    /// What it printed since it was started last: the line that says it is ready.
    pub fn stdout(&self) -> String {
        self.daemon().stdout()
    }

    /// What it logged since it was started last.
    pub fn log(&self) -> String {
        self.daemon().stderr()
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        self.daemon().resident_bytes()
    }

    /// The most resident memory that it had since it was started last, in bytes.
    pub fn peak_resident_bytes(&self) -> anyhow::Result<u64> {
        self.daemon().peak_resident_bytes()
    }

    /// How it ended; none while it runs.
    pub fn exited(&self) -> Option<ExitStatus> {
        self.daemon().exited()
    }

    /// Ends it with SIGKILL.
    pub fn kill(&self) {
        self.daemon().kill();
    }

    /// Ends it with SIGTERM. Returns its status and how long it took.
    pub async fn terminate(&self) -> anyhow::Result<(ExitStatus, Duration)> {
        let started = Instant::now();
        self.daemon().signal(Signal::TERM);
        let status =
            eventually("the end of wharfd", async || self.exited().context("it still runs"))
                .await?;
        Ok((status, started.elapsed()))
    }

    /// Rewrites the configuration file and sends SIGHUP. When and whether it has been taken
    /// in, only the server can say.
    ///
    /// # Errors
    /// When it was started without a configuration file.
    pub fn reload(&self, configuration: &str) -> anyhow::Result<()> {
        if self.options.configuration.is_none() {
            bail!("this wharfd was started without a configuration file");
        }
        fs::write(self.directory.join("wharfd.toml"), configuration)?;
        self.daemon().signal(Signal::HUP);
        Ok(())
    }

    /// Starts it again with the same data; one that runs is killed first.
    pub async fn restart(&self) -> anyhow::Result<()> {
        {
            let mut daemon = self.daemon();
            daemon.kill();
            *daemon = spawn(&self.directory, &self.options)?;
        }
        self.wait_until_ready().await
    }

    async fn wait_until_ready(&self) -> anyhow::Result<()> {
        let mut ended = None;
        eventually("the line with which wharfd is ready", async || {
            ended = self.daemon().check_running().err();
            if ended.is_some() || self.stdout().contains('\n') {
                return Ok(());
            }
            bail!("it logged so far:\n{}", self.log())
        })
        .await?;
        ended.map_or(Ok(()), Err)
    }

    fn daemon(&self) -> MutexGuard<'_, Daemon> {
        self.daemon.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Wharfd {
    fn drop(&mut self) {
        self.kill();
        // What this leaves, the reaper takes.
        let _ = sweep::clean(&self.directory);
    }
}

fn socket(directory: &Path) -> String {
    format!("unix://{}/wharfd.sock", directory.display())
}

fn spawn(directory: &Path, options: &WharfdOptions) -> anyhow::Result<Daemon> {
    let program = tools::built("wharfd")?;
    let limit = options.open_files.map(|files| format!("--nofile={files}:{files}"));
    let limit = limit.map(|limit| ["prlimit".to_owned(), limit]);
    let mut line = options.wrapper.iter().cloned().chain(limit.into_iter().flatten());
    let mut command = match line.next() {
        None => Command::new(program),
        Some(first) => {
            let mut command = Command::new(first);
            command.args(line).arg(program);
            command
        }
    };
    command.arg("--data-dir").arg(directory.join("data"));
    if options.configuration.is_some() {
        command.arg("--config").arg(directory.join("wharfd.toml"));
    }
    let own = [socket(directory)];
    let listen = if options.listen.is_empty() { &own[..] } else { &options.listen };
    for address in listen {
        command.args(["--listen", address]);
    }
    match &options.arguments {
        Some(arguments) => command.args(arguments),
        None => command.arg("--no-local"),
    };
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", directory)
        .envs(options.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(directory);
    Daemon::spawn("wharfd", directory, command)
}
