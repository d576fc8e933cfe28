//! One real Docker Engine: a containerd and a dockerd that share nothing with the machine's own.

mod client;
mod spawn;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use rustix::process::Signal;

use crate::daemon::Daemon;
use crate::poll::eventually;
use crate::run::Run;
use crate::tls::TlsFiles;
use crate::{sweep, tools};

/// Where an Engine listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listen {
    #[default]
    Unix,
    /// Plain TCP on 127.0.0.1.
    Tcp,
    /// TCP on 127.0.0.1 with certificates on both sides; see [`Engine::tls`].
    Tls,
}

/// What may differ between Engines.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    pub listen: Listen,
    /// More arguments for dockerd, such as `--live-restore`.
    pub arguments: Vec<String>,
}

/// A running Engine. Dropping it ends it, its containers included, and removes its data.
#[derive(Debug)]
pub struct Engine {
    directory: PathBuf,
    options: EngineOptions,
    address: String,
    tls: Option<TlsFiles>,
    daemons: Mutex<Daemons>,
}

#[derive(Debug)]
struct Daemons {
    containerd: Daemon,
    dockerd: Daemon,
}

impl Engine {
    /// An Engine on a unix socket.
    pub async fn start() -> anyhow::Result<Engine> {
        Engine::start_with(EngineOptions::default()).await
    }

    /// Returns when it answers.
    ///
    /// # Errors
    /// When this process is not root, or dockerd or containerd is missing or ends; the error
    /// holds what it wrote.
    pub async fn start_with(options: EngineOptions) -> anyhow::Result<Engine> {
        tools::require_root()?;
        let directory = Run::current()?.new_directory("e")?;
        let (address, tls) = match options.listen {
            Listen::Unix => (format!("unix://{}/docker.sock", directory.display()), None),
            Listen::Tcp => (format!("tcp://127.0.0.1:{}", tools::free_port()?), None),
            Listen::Tls => {
                let tls = TlsFiles::create(&directory.join("tls"))?;
                (format!("tcp://127.0.0.1:{}", tools::free_port()?), Some(tls))
            }
        };
        spawn::write_configuration(&directory)?;
        let containerd = spawn::containerd(&directory)?;
        let dockerd = spawn::dockerd(&directory, &address, tls.as_ref(), &options)?;
        let daemons = Mutex::new(Daemons { containerd, dockerd });
        let engine = Engine { directory, options, address, tls, daemons };
        engine.wait_until_ready().await?;
        Ok(engine)
    }

    /// `unix:///…` or `tcp://127.0.0.1:…`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The certificates of an Engine with [`Listen::Tls`].
    pub fn tls(&self) -> Option<&TlsFiles> {
        self.tls.as_ref()
    }

    /// The process ID of dockerd.
    pub fn pid(&self) -> u32 {
        self.daemons().dockerd.pid()
    }

    /// What dockerd logged since it was started last.
    pub fn log(&self) -> String {
        self.daemons().dockerd.stderr()
    }

    /// A directory of this Engine's own, on this machine: for bind mounts and files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Stops dockerd with SIGSTOP: connections are accepted, and nothing ever answers.
    pub fn freeze(&self) {
        self.daemons().dockerd.freeze();
    }

    /// Lets a frozen dockerd go on.
    pub fn thaw(&self) {
        self.daemons().dockerd.signal(Signal::CONT);
    }

    /// Ends dockerd with SIGKILL. containerd and the containers run on, as on a real host, until
    /// the next start.
    pub fn kill(&self) {
        self.daemons().dockerd.kill();
    }

    /// Ends dockerd with SIGTERM, which stops the containers first, and waits for it.
    pub async fn stop(&self) -> anyhow::Result<ExitStatus> {
        self.daemons().dockerd.signal(Signal::TERM);
        eventually("the end of dockerd", async || {
            self.daemons().dockerd.exited().context("it still runs")
        })
        .await
    }

    /// Starts dockerd again at the same address, with the same data; one that runs is killed
    /// first. Returns when it answers.
    pub async fn restart(&self) -> anyhow::Result<()> {
        self.kill();
        {
            let mut daemons = self.daemons();
            if daemons.containerd.exited().is_some() {
                daemons.containerd = spawn::containerd(&self.directory)?;
            }
            // A number in it that is by now another process's would keep dockerd from starting.
            let _ = fs::remove_file(self.directory.join("docker.pid"));
            let (tls, options) = (self.tls.as_ref(), &self.options);
            daemons.dockerd = spawn::dockerd(&self.directory, &self.address, tls, options)?;
        }
        self.wait_until_ready().await
    }

    async fn wait_until_ready(&self) -> anyhow::Result<()> {
        let mut ended = None;
        eventually("the Engine", async || {
            // Of no use to wait on for one that has ended.
            ended = self.check_running().err();
            if ended.is_some() {
                return Ok(());
            }
            self.get("/_ping").await.map(drop)
        })
        .await
        .map_err(|error| error.context(format!("dockerd wrote:\n{}", self.log())))?;
        ended.map_or(Ok(()), Err)
    }

    fn check_running(&self) -> anyhow::Result<()> {
        let daemons = self.daemons();
        daemons.containerd.check_running()?;
        daemons.dockerd.check_running()
    }

    fn daemons(&self) -> MutexGuard<'_, Daemons> {
        self.daemons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
        self.daemons().containerd.kill();
        // What this leaves, the reaper takes.
        let _ = sweep::clean(&self.directory);
    }
}
