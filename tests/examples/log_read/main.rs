//! Reads the logs of many containers on three real Engines: by `wharf logs`, and by `docker logs` for all
//! containers at the same time, in one run. Prints both times and the most memory that `wharfd` had. Run as
//! root, with `docker` in the PATH:
//!
//! ```text
//! cargo build --release -p wharf-server --bin wharfd -p wharf-cli --bin wharf
//! cargo run --release -p wharf-tests --example log_read -- [CONTAINERS] [LINES]
//! ```

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use serde_json::json;
use testbed::{Engine, Image, Wharf, Wharfd, eventually};
use tokio::process::Command;

const HOSTS: usize = 3;
const CONTAINERS: usize = 50;
const LINES: usize = 20_000;
/// Each way reads everything so many times, in turn; the medians count.
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let containers = arguments.next().transpose().context("CONTAINERS is a number")?;
    let lines = arguments.next().transpose().context("LINES is a number")?.unwrap_or(LINES);

    let engines = try_join_all((0..HOSTS).map(|_| Engine::start())).await?;
    let wharfd = Wharfd::start().await?;
    let cli = wharfd.cli()?;
    for (number, engine) in engines.iter().enumerate() {
        let name = format!("host{number}");
        cli.run(&["host", "add", &name, engine.address()]).await?.expect(0)?;
        engine.import("writer:v1", &Image::new("v1")).await?;
    }
    let written = write(&engines, containers.unwrap_or(CONTAINERS), lines).await?;

    let (mut by_wharf, mut by_docker) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        by_wharf.push(with_wharf(&cli, written.len(), lines).await?);
        by_docker.push(with_docker(&written, cli.home(), lines).await?);
    }
    let (by_wharf, by_docker) = (median(by_wharf), median(by_docker));

    let mut out = std::io::stdout();
    let count = written.len();
    writeln!(out, "{count} containers with {lines} lines each, on {HOSTS} real Engines")?;
    writeln!(out, "wharf logs                      {:8.2} s", by_wharf.as_secs_f64())?;
    writeln!(out, "docker logs, all in parallel    {:8.2} s", by_docker.as_secs_f64())?;
    let ratio = by_wharf.as_secs_f64() / by_docker.as_secs_f64();
    writeln!(out, "ratio                           {ratio:8.2}")?;
    let peak = wharfd.peak_resident_bytes()? as f64 / 1e6;
    writeln!(out, "peak memory of wharfd (VmHWM)   {peak:8.1} MB")?;
    Ok(())
}

/// Starts the containers in turn on each Engine, and waits until all have written their lines.
async fn write(
    engines: &[Engine],
    containers: usize,
    lines: usize,
) -> anyhow::Result<Vec<(&Engine, String)>> {
    let script = format!("i=0; while [ $i -lt {lines} ]; do echo \"line $i\"; i=$((i + 1)); done");
    let mut written = Vec::new();
    for (number, engine) in (0..containers).zip(engines.iter().cycle()) {
        let name = format!("writer{number}");
        let body = json!({
            "Image": "writer:v1",
            "Cmd": ["/bin/sh", "-c", script],
            "HostConfig": {"NetworkMode": "none"},
        });
        engine.post(&format!("/containers/create?name={name}"), Some(body)).await?;
        engine.post(&format!("/containers/{name}/start"), None).await?;
        written.push((engine, name));
    }
    for engine in engines {
        eventually("the end of the writers", async || {
            let running = engine.get("/containers/json").await?;
            ensure!(running == json!([]), "{running}");
            Ok(())
        })
        .await?;
    }
    Ok(written)
}

async fn with_wharf(cli: &Wharf, containers: usize, lines: usize) -> anyhow::Result<Duration> {
    let path = cli.home().join("wharf.out");
    let begun = Instant::now();
    // Every container that there is, by its name.
    let names: Vec<String> = (0..containers).map(|number| format!("writer{number}")).collect();
    let engines = (0..HOSTS).map(|host| format!("host{host}"));
    let mut read = vec!["logs".to_owned()];
    for (name, host) in names.iter().zip(engines.collect::<Vec<_>>().iter().cycle()) {
        read.push(format!("{host}/{name}"));
    }
    let status = cli.command(&read)?.stdout(File::create(&path)?).status().await?;
    let took = begun.elapsed();
    ensure!(status.success(), "wharf logs: {status}");
    let text = fs::read_to_string(&path)?;
    let mut next = vec![0; containers];
    for line in text.lines() {
        let (prefix, line) = line.split_once(" | ").context("a prefix")?;
        let number = prefix.trim().rsplit_once("/writer").context("a name")?.1;
        expect_next(&mut next[number.parse::<usize>()?], line)?;
    }
    ensure!(next.iter().all(|next| *next == lines), "lines are missing: {next:?}");
    Ok(took)
}

async fn with_docker(
    written: &[(&Engine, String)],
    directory: &Path,
    lines: usize,
) -> anyhow::Result<Duration> {
    let paths: Vec<PathBuf> =
        written.iter().map(|(_, name)| directory.join(format!("{name}.out"))).collect();
    let begun = Instant::now();
    try_join_all(written.iter().zip(&paths).map(async |((engine, name), path)| {
        let mut command = Command::new("docker");
        command.args(["-H", engine.address(), "logs", name]).kill_on_drop(true);
        let status = command.stdout(File::create(path)?).status().await.context("docker")?;
        ensure!(status.success(), "docker logs: {status}");
        anyhow::Ok(())
    }))
    .await?;
    let took = begun.elapsed();
    for path in paths {
        let mut next = 0;
        for line in fs::read_to_string(&path)?.lines() {
            expect_next(&mut next, line)?;
        }
        ensure!(next == lines, "{}: {next} lines", path.display());
    }
    Ok(took)
}

/// Each line once and in order.
fn expect_next(next: &mut usize, line: &str) -> anyhow::Result<()> {
    ensure!(line == format!("line {next}"), "{line:?} instead of line {next}");
    *next += 1;
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
