//! One real Engine that shares nothing with the machine's own: containerd and dockerd, of this
//! machine or of another release, or podman's service.

mod client;
mod podman;
mod root;
mod spawn;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, ensure};
use rustix::process::Signal;
use tokio::sync::OnceCell;

use self::root::Root;
use crate::daemon::Daemon;
use crate::kind::EngineKind;
use crate::poll::eventually;
use crate::run::Run;
use crate::tls::TlsFiles;
use crate::{LIMIT, sweep, tools};

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
    pub kind: EngineKind,
    /// Podman listens on a unix socket only.
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
    /// Where the other processes are; none where that is this machine.
    root: Option<Root>,
    /// What needs no restart when the service gets one: containerd, or what asks podman for health
    /// checks.
    companion: Daemon,
    /// dockerd or podman.
    service: Daemon,
}

impl Daemons {
    fn start(
        root: Option<Root>,
        directory: &Path,
        address: &str,
        tls: Option<&TlsFiles>,
        options: &EngineOptions,
    ) -> anyhow::Result<Daemons> {
        let companion = Daemons::start_companion(root.as_ref(), directory, options)?;
        let service = Daemons::start_service(root.as_ref(), directory, address, tls, options)?;
        Ok(Daemons { root, companion, service })
    }

    fn start_companion(
        root: Option<&Root>,
        directory: &Path,
        options: &EngineOptions,
    ) -> anyhow::Result<Daemon> {
        if options.kind.is_podman() {
            podman::health(directory)
        } else {
            spawn::containerd(root, directory)
        }
    }

    fn start_service(
        root: Option<&Root>,
        directory: &Path,
        address: &str,
        tls: Option<&TlsFiles>,
        options: &EngineOptions,
    ) -> anyhow::Result<Daemon> {
        match root {
            Some(root) if options.kind.is_podman() => podman::service(root, directory, address),
            root => spawn::dockerd(root, directory, address, tls, options),
        }
    }
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
        let root = match options.kind.root()? {
            Some(release) => Some(Root::start(&release, &directory).await?),
            None => None,
        };
        if options.kind.is_podman() {
            ensure!(options.listen == Listen::Unix, "podman listens on a unix socket only");
            podman::write_configuration(&directory, options.kind)?;
        } else {
            spawn::write_configuration(&directory, options.kind)?;
        }
        let daemons = Daemons::start(root, &directory, &address, tls.as_ref(), &options)?;
        let daemons = Mutex::new(daemons);
        let engine = Engine { directory, options, address, tls, daemons };
        engine.wait_until_ready().await?;
        Ok(engine)
    }

    /// The Engine of this kind that the tests of this process share; none where `scripts/test` said
    /// that the kind is to be skipped.
    ///
    /// # Errors
    /// As [`Engine::start_with`] and [`EngineKind::is_available`].
    pub async fn shared(kind: EngineKind) -> anyhow::Result<Option<&'static Engine>> {
        static ENGINES: [OnceCell<Engine>; EngineKind::ALL.len()] =
            [const { OnceCell::const_new() }; EngineKind::ALL.len()];
        if !kind.is_available()? {
            return Ok(None);
        }
        let options = EngineOptions { kind, ..EngineOptions::default() };
        let engine = ENGINES[kind as usize].get_or_try_init(|| Engine::start_with(options)).await?;
        Ok(Some(engine))
    }

    pub fn kind(&self) -> EngineKind {
        self.options.kind
    }

    /// `unix:///…` or `tcp://127.0.0.1:…`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The certificates of an Engine with [`Listen::Tls`].
    pub fn tls(&self) -> Option<&TlsFiles> {
        self.tls.as_ref()
    }

    /// The process ID of dockerd or of podman's service.
    pub fn pid(&self) -> u32 {
        self.daemons().service.pid()
    }

    /// What it logged since it was started last.
    pub fn log(&self) -> String {
        self.daemons().service.stderr()
    }

    /// A directory of this Engine's own, on this machine: for bind mounts and files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Runs a program of the Engine's release that talks to it, such as `docker`. Returns what it
    /// wrote to its standard output. A path below [`Engine::directory`] is the same there and here.
    ///
    /// # Errors
    /// When the Engine is the machine's own, whose release has no more than dockerd; and when the
    /// program fails, with what it wrote.
    pub async fn run_client(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let command = {
            let daemons = self.daemons();
            let root = daemons.root.as_ref().context("the machine's own has no client")?;
            spawn::isolated(root.command(program)?, &self.directory)
        };
        let mut command = tokio::process::Command::from(command);
        command.args(arguments).env("DOCKER_HOST", &self.address).kill_on_drop(true);
        let output = tokio::time::timeout(LIMIT, command.output()).await;
        let output = output.with_context(|| format!("{program} {arguments:?} does not end"))??;
        let written = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{program} {arguments:?}: {}\n{written}", output.status);
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Stops dockerd with SIGSTOP: connections are accepted, and nothing ever answers.
    pub fn freeze(&self) {
        self.daemons().service.freeze();
    }

    /// Lets a frozen dockerd go on.
    pub fn thaw(&self) {
        self.daemons().service.signal(Signal::CONT);
    }

    /// Ends dockerd with SIGKILL. containerd and the containers run on, as on a real host, until
    /// the next start.
    pub fn kill(&self) {
        self.daemons().service.kill();
    }

    /// Ends dockerd with SIGTERM, which stops the containers first, and waits for it.
    pub async fn stop(&self) -> anyhow::Result<ExitStatus> {
        self.daemons().service.signal(Signal::TERM);
        eventually("the end of dockerd", async || {
            self.daemons().service.exited().context("it still runs")
        })
        .await
    }

    /// Starts dockerd again at the same address, with the same data; one that runs is killed
    /// first. Returns when it answers.
    pub async fn restart(&self) -> anyhow::Result<()> {
        self.kill();
        {
            let mut daemons = self.daemons();
            if daemons.companion.exited().is_some() {
                let root = daemons.root.as_ref();
                daemons.companion = Daemons::start_companion(root, &self.directory, &self.options)?;
            }
            // A number in it that is by now another process's would keep dockerd from starting.
            let _ = fs::remove_file(self.directory.join("docker.pid"));
            let (root, tls) = (daemons.root.as_ref(), self.tls.as_ref());
            let (directory, address) = (&self.directory, &self.address);
            daemons.service = Daemons::start_service(root, directory, address, tls, &self.options)?;
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
        .map_err(|error| error.context(format!("it wrote:\n{}", self.log())))?;
        ended.map_or(Ok(()), Err)
    }

    fn check_running(&self) -> anyhow::Result<()> {
        let daemons = self.daemons();
        daemons.companion.check_running()?;
        daemons.service.check_running()
    }

    fn daemons(&self) -> MutexGuard<'_, Daemons> {
        self.daemons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
        self.daemons().companion.kill();
        // What this leaves, the reaper takes.
        let _ = sweep::clean(&self.directory);
    }
}
