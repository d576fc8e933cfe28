//! The real `wharfd`: started in front of the hosts, and measured through its API.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::Instant;
use wharf::client::Target;

use super::Measure;
use super::bare::tag;
use super::client::Client;
use super::process::Process;
use super::record::{Meter, Phase, Round, Work};

#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    measure: Measure,
    /// The binary.
    #[arg(long)]
    wharfd: PathBuf,
    /// How long to watch it do nothing at the end, while it follows all hosts; for `list-view`.
    #[arg(long, default_value_t = 0)]
    idle: u64,
}

/// A server in front of some hosts. It ends, and its data with it, when this is dropped.
pub struct Wharfd {
    pub process: Process,
    pub address: String,
    _directory: TempDir,
}

impl Wharfd {
    /// Starts the binary with these hosts in its configuration file, and its defaults for the rest.
    pub async fn start(
        binary: &Path,
        addresses: &[String],
        tls: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let directory = TempDir::new()?;
        let mut config = String::new();
        if let Some(tls) = tls {
            let tls = std::fs::canonicalize(tls)?;
            let file = |name: &str| tls.join(name).display().to_string();
            let (ca, cert, key) = (file("ca.pem"), file("cert.pem"), file("key.pem"));
            writeln!(config, "[tls.bench]\nca = {ca:?}\ncert = {cert:?}\nkey = {key:?}\n")?;
        }
        let tls = if tls.is_some() { "tls = \"bench\"\n" } else { "" };
        for (place, address) in addresses.iter().enumerate() {
            let name = format!("host-{place:05}");
            writeln!(config, "[[host]]\nname = \"{name}\"\naddress = \"{address}\"\n{tls}")?;
        }
        let file = directory.path().join("wharfd.toml");
        std::fs::write(&file, config)?;
        let address = format!("unix://{}", directory.path().join("wharfd.sock").display());
        let mut command = Command::new(binary);
        command.arg("--config").arg(&file).arg("--data-dir").arg(directory.path().join("data"));
        command.args(["--no-local", "--listen", &address]);
        command.stderr(std::fs::File::create(directory.path().join("log"))?);
        let process = Process::start(&mut command).await.with_context(|| {
            std::fs::read_to_string(directory.path().join("log")).unwrap_or_default()
        })?;
        Ok(Self { process, address, _directory: directory })
    }
}

/// A new server for each kind of work, so that the first round is cold.
pub async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let measure = &arguments.measure;
    let addresses = measure.addresses()?;
    for &work in &measure.work {
        let started = Instant::now();
        let server = Wharfd::start(&arguments.wharfd, &addresses, measure.tls.as_deref()).await?;
        let process = server.process.id()?;
        let since_start = Meter::since_its_start("wharfd", &process);
        let meter = Meter::start("wharfd", &process)?;
        let begun = Instant::now();
        let mut client = Client::new(Target::parse(&server.address)?.connect().await?, measure);
        let mut first = client.round(work, tag(0), begun).await?;
        meter.print(work, Phase::Cold, &first)?;
        let before = begun - started;
        let all = Round {
            wall: first.wall + before,
            healthy: first.healthy + before,
            first: first.first + before,
            ..first
        };
        since_start.print(work, Phase::Start, &all)?;
        let waiting = Instant::now();
        while work == Work::ListView && first.asked > 0 {
            ensure!(waiting.elapsed() < Duration::from_secs(300), "{} not followed", first.asked);
            // Not so often that these lists are most of what the server does.
            tokio::time::sleep(first.wall.max(Duration::from_millis(200))).await;
            first = client.round(work, tag(0), Instant::now()).await?;
        }
        for number in 1..=measure.rounds {
            let meter = Meter::start("wharfd", &process)?;
            let again = client.round(work, tag(number), Instant::now()).await?;
            meter.print(work, Phase::Warm, &again)?;
        }
        if work == Work::ListView && arguments.idle > 0 {
            let (meter, begun) = (Meter::start("wharfd", &process)?, Instant::now());
            tokio::time::sleep(Duration::from_secs(arguments.idle)).await;
            meter.print(work, Phase::Idle, &Round { wall: begun.elapsed(), ..first })?;
        }
    }
    Ok(())
}
