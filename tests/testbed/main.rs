//! Daemons for `scripts/demo`, and the reaper of every run of the tests; see the library.

mod health;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::{Parser, Subcommand};
use futures_util::future::{OptionFuture, try_join_all};
use rustix::process::Signal;
use testbed::process::ProcessId;
use testbed::run::{REAPER_READY, Run};
use testbed::tools::free_port;
use testbed::{Engine, EngineKind, EngineOptions, Image, Registry, Wharfd, eventually, run, sweep};
use tokio::signal::unix::{SignalKind, signal};

/// Docker Engines and a registry of their own for the tests and the demo of Wharf
#[derive(Parser)]
#[command(name = "wharf-testbed")]
struct Arguments {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Start daemons and stay until SIGTERM or SIGINT; then end them and remove their data
    Up(Up),
    /// End what `up` started, and wait until it is gone
    Down {
        /// The directory that was given to `up`
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
    /// End and remove what killed runs have left
    Sweep,
    /// Wait for the end of standard input, then clean up a run
    #[command(hide = true)]
    Reaper { directory: PathBuf },
    /// Have podman look after the health of its containers, every second
    #[command(hide = true)]
    PodmanHealth { socket: PathBuf },
}

/// What a container of a broken image runs: long enough to be seen running.
const BROKEN: &[&str] = &[
    "/bin/sh",
    "-c",
    "echo 'opening the database'; sleep 0.5; echo 'error: no table \"orders\"' >&2; exit 1",
];

#[derive(clap::Args)]
struct Up {
    /// How many Engines to start
    #[arg(long, default_value_t = 3, value_name = "N")]
    engines: usize,
    /// Which Engines: machine, docker26, docker28, podman4 or podman5
    #[arg(long, default_value = "machine", value_name = "KIND")]
    kind: EngineKind,
    /// Start a registry that asks for this user and password
    #[arg(long, value_name = "USER:PASSWORD")]
    registry_password: Option<String>,
    /// Make this image on the first Engine; its version is the tag. May be repeated
    #[arg(long = "image", value_name = "NAME:TAG")]
    images: Vec<String>,
    /// Make this image on the first Engine: it logs that its database lacks a table, and
    /// ends with 1. May be repeated
    #[arg(long = "broken-image", value_name = "NAME:TAG")]
    broken_images: Vec<String>,
    /// Find so many ports on which nothing listens: PORT_1, …
    #[arg(long, default_value_t = 0, value_name = "N")]
    ports: usize,
    /// Start a wharfd that knows no host
    #[arg(long)]
    wharfd: bool,
    /// Where to write the file `env`, which a shell can source: ENGINE_1, ENGINE_1_PID, …, PORT_1,
    /// …, REGISTRY, REGISTRY_USER, REGISTRY_PASSWORD, WHARF_SERVER
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// End also when standard input is closed
    #[arg(long)]
    until_stdin_closes: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Verb::Up(up) => up.run().await,
        Verb::Down { dir } => down(&dir).await,
        Verb::Sweep => sweep_up(),
        Verb::Reaper { directory } => reap(&directory),
        Verb::PodmanHealth { socket } => health::watch(&socket).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when stderr is closed.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Up {
    async fn run(&self) -> anyhow::Result<()> {
        let login = self
            .registry_password
            .as_ref()
            .map(|login| login.split_once(':').context("--registry-password takes USER:PASSWORD"))
            .transpose()?;
        // Before anything is started, so that no signal finds us with daemons and no handler.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let serve = async {
            let engines = try_join_all((0..self.engines).map(|_| {
                Engine::start_with(EngineOptions { kind: self.kind, ..EngineOptions::default() })
            }))
            .await?;
            let registry: OptionFuture<_> =
                login.map(|(user, password)| Registry::with_password(user, password)).into();
            let registry = registry.await.transpose()?;
            let working = self.images.iter().map(|reference| (reference, &["/bin/web"][..]));
            let broken = self.broken_images.iter().map(|reference| (reference, BROKEN));
            for (reference, command) in working.chain(broken) {
                let version = reference.rsplit_once(':').map_or("latest", |(_, tag)| tag);
                let image = Image::new(version).command(command);
                let engine = engines.first().context("--image needs an Engine")?;
                engine.import(reference, &image).await?;
            }
            let wharfd = OptionFuture::from(self.wharfd.then(Wharfd::start)).await.transpose()?;
            self.write_environment(&engines, registry.as_ref(), wharfd.as_ref())?;
            if self.until_stdin_closes {
                stdin_closed().await;
                return Ok(());
            }
            std::future::pending().await
        };
        let result = tokio::select! {
            result = serve => result,
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        };
        remove_environment(&self.dir);
        if let Ok(run) = Run::current() {
            run.end()?;
        }
        result
    }

    /// The file is complete when it is there, and only its owner can read the password in it.
    fn write_environment(
        &self,
        engines: &[Engine],
        registry: Option<&Registry>,
        wharfd: Option<&Wharfd>,
    ) -> anyhow::Result<()> {
        let mut text = format!("TESTBED_PID={}\n", std::process::id());
        for (number, engine) in (1..).zip(engines) {
            text += &format!("ENGINE_{number}={}\n", quote(engine.address()));
            text += &format!("ENGINE_{number}_PID={}\n", engine.pid());
        }
        for number in 1..=self.ports {
            text += &format!("PORT_{number}={}\n", free_port()?);
        }
        if let Some(registry) = registry {
            text += &format!("REGISTRY={}\n", quote(registry.address()));
            if let Some((user, password)) = registry.login() {
                text += &format!("REGISTRY_USER={}\n", quote(user));
                text += &format!("REGISTRY_PASSWORD={}\n", quote(password));
            }
        }
        if let Some(wharfd) = wharfd {
            text += &format!("WHARF_SERVER={}\n", quote(&wharfd.address()));
        }
        fs::create_dir_all(&self.dir)?;
        let partial = self.dir.join(".env.partial");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)?;
        file.write_all(text.as_bytes())?;
        Ok(fs::rename(partial, self.dir.join("env"))?)
    }
}

/// In a thread of its own: a read that waits would keep the runtime from ending.
async fn stdin_closed() {
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _sender = sender;
        // An error is an end as well.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    });
    // Never sent; it is the end of the sender that counts.
    let _ = receiver.await;
}

fn remove_environment(directory: &Path) {
    // It is not there when a signal came before it was written.
    let _ = fs::remove_file(directory.join("env"));
}

async fn down(directory: &Path) -> anyhow::Result<()> {
    let path = directory.join("env");
    let text = fs::read_to_string(&path)
        .with_context(|| format!("nothing is up in {}", directory.display()))?;
    let pid = text.lines().find_map(|line| line.strip_prefix("TESTBED_PID="));
    let pid: u32 = pid.with_context(|| format!("no TESTBED_PID in {}", path.display()))?.parse()?;
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let process =
        ProcessId::of(pid).filter(|_| String::from_utf8_lossy(&command).contains("wharf-testbed"));
    let Some(process) = process else {
        remove_environment(directory);
        bail!("the process {pid} of {} is gone; its reaper has cleaned up", path.display());
    };
    process.signal(Signal::TERM);
    eventually("the testbed to end", async || {
        ensure!(!process.is_alive(), "it still runs");
        Ok(())
    })
    .await
}

fn sweep_up() -> anyhow::Result<()> {
    let mut failures = 0;
    for swept in sweep::sweep(&run::root()?)? {
        let place = swept.directory.display();
        match swept.result {
            Ok(()) => writeln!(std::io::stdout(), "removed {place}")?,
            Err(error) => {
                failures += 1;
                writeln!(std::io::stderr(), "left over in {place}: {error:#}")?;
            }
        }
    }
    ensure!(failures == 0, "{failures} runs could not be removed");
    Ok(())
}

fn reap(directory: &Path) -> anyhow::Result<()> {
    let ready = || {
        // The owner may be gone already; there is all the more to do then.
        let _ = writeln!(std::io::stdout(), "{REAPER_READY}");
    };
    sweep::reap(directory, ready, std::io::stdin())
}

/// In single quotes, as a shell reads it back.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
