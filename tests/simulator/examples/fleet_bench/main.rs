//! Lists the containers of many simulated hosts through `wharfd`, and with a loop around reqwest
//! that parses the same fields, and prints a comparison. To interpret it, see docs/benchmarks.md.
//!
//! ```text
//! cargo run --release -p wharf-simulator --example fleet_bench -- [HOSTS] [CONTAINERS] [ROUNDS]
//! ```
//!
//! Hosts and server are separate processes, so that the CPU time of each can be measured: this
//! program starts itself again for them.

mod bare;
mod roles;
mod served;

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::Command;
use tokio::time::Instant;

use served::Kind;

/// Hosts in progress at once, on both sides.
pub const AT_ONCE: usize = 256;

/// How long to watch the server do nothing.
const IDLE: Duration = Duration::from_secs(30);

/// What one list of all hosts took.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// Until the last host was there.
    pub wall: Duration,
    /// Of the process that asked the hosts.
    pub cpu: Duration,
    /// Until the first host was there.
    pub first: Duration,
}

/// The first list, which opens the connections, and the median of those after it.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    pub cold: Round,
    pub warm: Round,
}

fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    wharf_server::engine::raise_file_limit();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default: usize| match arguments.get(place) {
        Some(text) => text.parse().with_context(|| format!("{text:?} is not a number")),
        None => Ok(default),
    };
    let runtime = tokio::runtime::Runtime::new()?;
    match arguments.first().map(String::as_str) {
        Some("serve-hosts") => runtime.block_on(roles::hosts(number(1, 0)?, number(2, 0)?)),
        Some("serve-api") => runtime.block_on(roles::server()),
        _ => runtime.block_on(compare(number(0, 1000)?, number(1, 20)?, number(2, 11)?)),
    }
}

/// Measures one after the other, against the same hosts.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
async fn compare(hosts: usize, containers: usize, rounds: usize) -> anyhow::Result<()> {
    let simulation =
        roles::start(&["serve-hosts", &hosts.to_string(), &containers.to_string()], &[])
            .await
            .context("the simulated hosts")?;
    let addresses: Vec<String> = simulation.said.split(' ').map(str::to_owned).collect();
    if addresses.len() != hosts {
        bail!("{} addresses for {hosts} hosts", addresses.len());
    }
    let api = roles::start(&["serve-api"], &addresses).await.context("the server")?;

    let bare = bare::measure(&addresses, containers, rounds).await?;
    let summary = served::measure(&api, hosts, containers, rounds, Kind::Typed).await?;
    let full = served::measure(&api, hosts, containers, rounds, Kind::WithJson).await?;
    let unfollowed = api.memory()?;
    let views = served::measure(&api, hosts, containers, rounds, Kind::FromViews).await?;
    let idle = idle(&api).await?;
    let curl = curl(&addresses).await;

    println!("{hosts} simulated hosts, {containers} containers each, {AT_ONCE} at once");
    println!(
        "{:28} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "", "cold ms", "warm ms", "CPU ms", "cold CPU", "first ms"
    );
    let row = |name: &str, measured: &Measured, cold: bool| {
        let cold = |duration| if cold { format!("{:.1}", ms(duration)) } else { "-".to_owned() };
        println!(
            "{name:28} {:>9} {:>9.1} {:>9.1} {:>9} {:>9.1}",
            cold(measured.cold.wall),
            ms(measured.warm.wall),
            ms(measured.warm.cpu),
            cold(measured.cold.cpu),
            ms(measured.warm.first),
        );
    };
    row("reqwest, same parse", &bare, true);
    row("wharfd, typed view", &summary, true);
    // Its connections were open already.
    row("wharfd, with Engine JSON", &full, false);
    row("wharfd, from views", &views, false);
    match curl {
        Ok(wall) => println!("{:28} {:>9.1}", "curl -Z, no parse", ms(wall)),
        Err(error) => println!("curl -Z: not measured: {error:#}"),
    }
    let ratio = |one: Duration, other: Duration| one.as_secs_f64() / other.as_secs_f64();
    println!("CPU, typed view : reqwest        {:.2}", ratio(summary.warm.cpu, bare.warm.cpu));
    println!("CPU, Engine JSON : reqwest       {:.2}", ratio(full.warm.cpu, bare.warm.cpu));
    println!("cold wall, typed view : reqwest  {:.2}", ratio(summary.cold.wall, bare.cold.wall));
    println!("CPU, from views : typed, asked   {:.3}", ratio(views.warm.cpu, summary.warm.cpu));
    println!("wall, from views : typed, asked  {:.3}", ratio(views.warm.wall, summary.warm.wall));
    let kilobytes = |bytes: u64| bytes as f64 / 1024.0 / hosts as f64;
    println!("memory per host, asked           {:.1} KB", kilobytes(unfollowed));
    println!("memory per host, followed        {:.1} KB", kilobytes(api.memory()?));
    println!("CPU of following, nothing happens {:.1} % of a core", idle * 100.0);
    Ok(())
}

/// The share of a processor that the server uses when nothing happens: pings and complete lists.
async fn idle(api: &roles::Role) -> anyhow::Result<f64> {
    let (begun, cpu) = (Instant::now(), api.cpu()?);
    tokio::time::sleep(IDLE).await;
    Ok((api.cpu()? - cpu).as_secs_f64() / begun.elapsed().as_secs_f64())
}

/// The median of each figure, which need not be of one round.
pub fn median(rounds: &[Round]) -> Round {
    let of = |figure: fn(&Round) -> Duration| {
        let mut figures: Vec<_> = rounds.iter().map(figure).collect();
        figures.sort();
        figures.get(figures.len() / 2).copied().unwrap_or_default()
    };
    Round {
        wall: of(|round| round.wall),
        cpu: of(|round| round.cpu),
        first: of(|round| round.first),
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// What people have at hand: one curl for all hosts, which connects to each and reads.
async fn curl(addresses: &[String]) -> anyhow::Result<Duration> {
    let directory = tempfile::TempDir::new()?;
    let config = directory.path().join("curl");
    let urls = addresses.iter().map(|address| {
        let authority = address.trim_start_matches("tcp://");
        format!(
            "url = \"http://{authority}/v1.41/containers/json?all=true\"\noutput = \"/dev/null\"\n"
        )
    });
    std::fs::write(&config, urls.collect::<String>())?;
    let mut walls = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        let status = Command::new("curl")
            .args(["-q", "--silent", "-Z", "--parallel-max", &AT_ONCE.to_string(), "-K"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await
            .context("curl")?;
        if !status.success() {
            bail!("curl ended with {status}");
        }
        walls.push(begun.elapsed());
    }
    walls.sort();
    Ok(walls[walls.len() / 2])
}
