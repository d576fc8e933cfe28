//! Containers on three hosts write numbered lines while an Engine is killed and the server restarts.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use testbed::{Engine, EngineOptions, Image, Wharf, Wharfd, eventually, unique};

use super::process::Running;
use crate::support::{HOSTS, Server};

/// How much is written.
struct Size {
    /// Containers of each host.
    containers: usize,
    /// Lines of each container.
    lines: usize,
}

impl Size {
    /// With `WHARF_FULL_SIZE=1` a size that takes minutes; see `docs/benchmarks.md`.
    fn chosen() -> Size {
        match std::env::var("WHARF_FULL_SIZE").as_deref() {
            Ok("1") => Size { containers: 17, lines: 20_000 },
            _ => Size { containers: 5, lines: 4000 },
        }
    }
}

/// Writes its lines in groups, every tenth to standard error, and stops in the middle until it is told
/// to go on.
const WRITER: &str = "i=0; while [ $i -lt LINES ]; do \
    if [ $((i % 10)) = 9 ]; then echo \"line $i\" >&2; else echo \"line $i\"; fi; i=$((i + 1)); \
    if [ $((i % 20)) = 0 ]; then sleep 0.05; fi; \
    if [ $i = HALF ]; then while [ ! -e /gate/go ]; do sleep 0.05; done; fi; done";

struct Stage {
    engines: Vec<Engine>,
    wharfd: Wharfd,
    cli: Wharf,
    label: String,
    size: Size,
}

impl Stage {
    async fn start() -> anyhow::Result<Stage> {
        // Containers survive the end of their Engine, as on most servers.
        let options = || EngineOptions {
            arguments: vec!["--live-restore".to_owned()],
            ..EngineOptions::default()
        };
        let engines = try_join_all(HOSTS.map(|_| Engine::start_with(options()))).await?;
        let wharfd = Wharfd::start().await?;
        let server = Server::of(&wharfd).await?;
        for (host, engine) in HOSTS.iter().zip(&engines) {
            server.add(host, engine.address()).await?;
        }
        let cli = wharfd.cli()?;
        Ok(Stage { engines, wharfd, cli, label: unique("writers"), size: Size::chosen() })
    }

    /// Starts the writers of every host.
    async fn write(&self) -> anyhow::Result<()> {
        let lines = self.size.lines;
        let script =
            WRITER.replace("LINES", &lines.to_string()).replace("HALF", &(lines / 2).to_string());
        for engine in &self.engines {
            engine.import("writer:v1", &Image::new("v1")).await?;
            for number in 0..self.size.containers {
                let body = json!({
                    "Image": "writer:v1",
                    "Cmd": ["/bin/sh", "-c", script],
                    "Labels": {"test": self.label},
                    "HostConfig": {
                        "NetworkMode": "none",
                        "Binds": [format!("{}:/gate:ro", self.cli.home().display())],
                    },
                });
                let path = format!("/containers/create?name=writer{number}");
                engine.post(&path, Some(body)).await?;
                engine.post(&format!("/containers/writer{number}/start"), None).await?;
            }
        }
        Ok(())
    }

    /// The lines that an Engine has stored, in its own words.
    async fn stored(&self) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
        let mut stored = BTreeMap::new();
        for (host, engine) in HOSTS.iter().zip(&self.engines) {
            for number in 0..self.size.containers {
                let name = format!("writer{number}");
                let lines = stored_lines(engine, &name).await?;
                stored.insert(format!("{host}/{name}"), lines);
            }
        }
        Ok(stored)
    }
}

/// The log of a container as its file has it.
async fn stored_lines(engine: &Engine, name: &str) -> anyhow::Result<Vec<String>> {
    let found = engine.container(name).await?.context("a container")?;
    let path = found["LogPath"].as_str().context("a log file")?;
    let text = std::fs::read_to_string(path).with_context(|| path.to_owned())?;
    let lines = text.lines().map(|line| {
        let entry: Value = serde_json::from_str(line)?;
        Ok(entry["log"].as_str().context("an entry")?.trim_end_matches('\n').to_owned())
    });
    lines.collect()
}

/// The lines of each container in the output of `wharf logs`.
fn received(output: &str) -> BTreeMap<String, Vec<String>> {
    let mut received: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // Notes about hosts and the server are between them.
    for (container, line) in output.lines().filter_map(|line| line.split_once(" | ")) {
        received.entry(container.trim().to_owned()).or_default().push(line.to_owned());
    }
    received
}

#[tokio::test]
async fn every_line_arrives_once_and_in_order() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    stage.write().await?;
    let label = format!("test={}", stage.label);
    // Each output on its own: two streams of a process have no order between them.
    let mut logs = Vec::new();
    for source in ["stdout", "stderr"] {
        let output = ["-f", "-A", "--label", &label, "--source", source];
        let lines = Running::start(&stage.cli, &output)?;
        logs.push(lines);
    }
    let mut whole = Running::start(&stage.cli, &["-f", "-A", "--label", &label, "-o", "json"])?;
    // Of every host: one that was not read from yet, and does not answer, is an error instead of a gap.
    let has_all = |text: &str| HOSTS.iter().all(|host| text.contains(host));
    for running in &mut logs {
        running.until("lines of all hosts", |out, err| has_all(out) || has_all(err)).await?;
    }
    let busy = |stdout: &str, _: &str| stdout.lines().count() > 50 && has_all(stdout);
    whole.until("the first lines", busy).await?;

    // The server is killed in the middle, twice, and an Engine once.
    let mut peaks = vec![stage.wharfd.peak_resident_bytes()?];
    stage.wharfd.restart().await?;
    let back = |times: usize| {
        move |_: &str, stderr: &str| stderr.matches("connected to wharfd again").count() >= times
    };
    whole.until("the first return", back(1)).await?;
    stage.engines[1].kill();
    whole.until("the gap", |stdout, _| stdout.contains("\"type\":\"gap\"")).await?;
    stage.engines[1].restart().await?;
    whole.until("the Engine is back", |stdout, _| stdout.contains("\"away\":\"")).await?;
    peaks.push(stage.wharfd.peak_resident_bytes()?);
    stage.wharfd.restart().await?;
    whole.until("the second return", back(2)).await?;
    stage.cli.write("go", "")?;

    for running in logs.iter_mut().chain([&mut whole]) {
        let status = running.end().await?;
        ensure!(status == Some(0), "{status:?}: {}", running.stderr()?);
    }
    peaks.push(stage.wharfd.peak_resident_bytes()?);
    eventually("the end of all writers", async || {
        for engine in &stage.engines {
            let running = engine.get("/containers/json").await?;
            ensure!(running == json!([]), "{running}");
        }
        Ok(())
    })
    .await?;

    let stored = stage.stored().await?;
    let of = |line: &String| line.strip_prefix("line ").and_then(|it| it.parse::<usize>().ok());
    let mut notes = format!("most resident memory of each wharfd, in bytes: {peaks:?}\n");
    for (container, lines) in &stored {
        let missing = stage.size.lines - lines.iter().filter_map(of).count();
        if missing > 0 {
            writeln!(notes, "the Engine lost {missing} lines of {container}")?;
        }
    }
    std::io::Write::write_all(&mut std::io::stderr(), notes.as_bytes())?;
    let by_source = [logs[0].stdout()?, logs[1].stderr()?];
    for (source, output) in by_source.iter().enumerate() {
        let received = received(output);
        ensure!(received.len() == stored.len(), "{:?}", received.keys());
        for (container, lines) in received {
            let is_stderr = |line: &&String| of(line).is_some_and(|it| it % 10 == 9);
            let expected: Vec<&String> =
                stored[&container].iter().filter(|line| is_stderr(line) == (source == 1)).collect();
            ensure!(
                lines.iter().eq(expected.iter().copied()),
                "{}",
                difference(&container, &lines, &expected)
            );
        }
    }

    // Both outputs in one stream: each line once, in the order of its output.
    let mut together: BTreeMap<(String, bool), Vec<usize>> = BTreeMap::new();
    for line in whole.stdout()?.lines() {
        let line: Value = serde_json::from_str(line)?;
        if line["type"] == "line" {
            let text = line["line"].as_str().unwrap_or_default().to_owned();
            let container = format!("{}/{}", line["host"], line["name"]).replace('"', "");
            let numbers = together.entry((container, line["source"] == "stderr")).or_default();
            numbers.push(of(&text).with_context(|| text.clone())?);
        }
    }
    for ((container, stderr), numbers) in together {
        let expected = stored[&container].iter().filter_map(of);
        let expected: Vec<usize> = expected.filter(|it| (it % 10 == 9) == stderr).collect();
        ensure!(numbers == expected, "{container}: {numbers:?}");
    }
    Ok(())
}

/// The first place where two logs differ.
fn difference(container: &str, lines: &[String], expected: &[&String]) -> String {
    let place = lines.iter().zip(expected).position(|(left, right)| left != *right);
    let place = place.unwrap_or(lines.len().min(expected.len()));
    format!(
        "{container}: {} lines instead of {}; at {place}: {:?} instead of {:?}",
        lines.len(),
        expected.len(),
        lines.get(place),
        expected.get(place)
    )
}
