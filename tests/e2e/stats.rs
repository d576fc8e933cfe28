//! What containers use, beside what the docker command line says of the same Engine.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use testbed::{EngineKind, Image, eventually};

use crate::generations::stage::Stage;
use crate::support::kinds::on_engines;

on_engines!(usage_is_what_docker_shows: all);

/// Bytes that the container keeps in memory.
const MEMORY: u64 = 32 << 20;

async fn usage_is_what_docker_shows(kind: EngineKind) -> anyhow::Result<()> {
    let mut stage = Stage::of(kind).await?;
    let image = stage.image("v1", &Image::new("v1")).await?;
    let script = format!("head -c {MEMORY} /dev/zero > /dev/shm/kept; while :; do :; done");
    stage
        .run(json!({
            "Image": image, "Cmd": ["/bin/sh", "-c", script],
            "HostConfig": {"NetworkMode": "none", "NanoCpus": 500_000_000, "Memory": 128 << 20},
        }))
        .await?;
    let result = compare(kind, &stage).await;
    let result = match (kind, result) {
        (EngineKind::Machine, Ok(())) => followed(&mut stage, &image).await,
        (_, result) => result,
    };
    stage.clear().await?;
    result
}

/// The JSON of the container in one frame.
async fn measured(stage: &Stage) -> anyhow::Result<Value> {
    let container = format!("one/{}", stage.name);
    let output = stage.cli.run(&["stats", "--no-stream", "-o", "json", &container]).await?;
    let lines: Vec<Value> = output.expect(0)?.json_lines()?;
    let [of_container, of_host] = &*lines else { bail!("{lines:?}") };
    ensure!(of_container["type"] == "container" && of_host["type"] == "host", "{lines:?}");
    ensure!(of_host["usage"]["cpuPercent"] == of_container["usage"]["cpuPercent"], "{lines:?}");
    ensure!(of_host["cpus"].as_u64().is_some_and(|cpus| cpus > 0), "{of_host}");
    Ok(of_container.clone())
}

async fn compare(kind: EngineKind, stage: &Stage) -> anyhow::Result<()> {
    eventually("the container burns its half of a processor", async || {
        let found = measured(stage).await?;
        ensure!(found["name"] == stage.name.as_str(), "{found}");
        let usage = &found["usage"];
        let number = |field: &str| usage[field].as_str()?.parse::<u64>().ok();
        let percent = usage["cpuPercent"].as_f64().with_context(|| found.to_string())?;
        // The machine may be busy, but the limit holds.
        ensure!(percent > 0.5 && percent < 75.0, "{found}");
        let memory = number("memoryBytes").context("memory")?;
        ensure!(memory >= MEMORY && memory < MEMORY + (16 << 20), "{found}");
        ensure!(number("memoryLimitBytes") == Some(128 << 20), "{found}");
        ensure!(number("networkReceivedBytes") == Some(0), "{found}");
        ensure!(number("pids").is_some_and(|pids| (1..10).contains(&pids)), "{found}");
        if kind.is_podman() {
            return Ok(());
        }
        let format = "{{.CPUPerc}} {{.MemUsage}} {{.PIDs}}";
        let docker = stage.docker(&["stats", "--no-stream", "--format", format, &stage.name])?;
        let wharf = ["stats", "--no-stream", "--format", format, &stage.name];
        let wharf = stage.cli.run(&wharf).await?.expect(0)?.stdout;
        let parts = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let (docker, wharf) = (parts(&docker), parts(&wharf));
        let number = |text: &str| {
            let digits = text.trim_end_matches(|it: char| it.is_alphabetic() || it == '%');
            digits.parse::<f64>().with_context(|| text.to_owned())
        };
        // The same unit, and about the same number.
        ensure!(docker[1].ends_with("MiB") && wharf[1].ends_with("MiB"), "{docker:?} {wharf:?}");
        let difference = (number(&docker[1])? - number(&wharf[1])?).abs();
        ensure!(difference < 2.0, "{docker:?} {wharf:?}");
        ensure!(docker[3] == wharf[3], "the limit: {docker:?} {wharf:?}");
        ensure!((number(&docker[0])? - number(&wharf[0])?).abs() < 30.0, "{docker:?} {wharf:?}");
        Ok(())
    })
    .await
}

/// In a pipe, one table after the other, with what starts and without what stops.
async fn followed(stage: &mut Stage, image: &str) -> anyhow::Result<()> {
    let path = stage.cli.home().join("stats.out");
    let mut command = stage.cli.command(&["stats"])?;
    command.stdin(Stdio::null()).stdout(File::create(&path)?);
    let mut child = command.spawn()?;
    let last = || -> anyhow::Result<String> {
        let text = std::fs::read_to_string(&path)?;
        let tables: Vec<&str> = text.split("HOST ").collect();
        ensure!(tables.len() > 2, "{text}");
        // The last but one is complete.
        Ok(tables[tables.len() - 2].to_owned())
    };
    let until = async |what: &str, so: &dyn Fn(&str) -> bool| {
        eventually(what, async || {
            let table = last()?;
            ensure!(so(&table), "{table}");
            Ok(())
        })
        .await
    };
    let first = stage.name.clone();
    stage.name = stage.other("later");
    let (name, body) =
        (stage.name.clone(), json!({"Image": image, "HostConfig": {"NetworkMode": "none"}}));
    until("the first one", &|table| table.contains(&first) && !table.contains(&name)).await?;
    stage.run(body).await?;
    until("both", &|table| table.contains(&name) && table.contains("(total")).await?;
    stage.engine.delete(&format!("/containers/{name}?force=1")).await?;
    until("it is gone", &|table| table.contains(&first) && !table.contains(&name)).await?;
    stage.name = first;
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).context("it runs")?;
    let pid = rustix::process::Pid::from_raw(pid).context("a process ID")?;
    rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
    let status = tokio::time::timeout(Duration::from_secs(60), child.wait()).await??;
    ensure!(status.code() == Some(130), "{status}");

    for (arguments, said) in [
        (&["--max-parallel", "2"][..], "needs --no-stream"),
        (&["-o", "name"], "needs --no-stream"),
        (&["--format", "{{.Nothing}}"], "there is no field .Nothing"),
        (&["--format", "{{.Name}}", "-o", "json"], "exclude each other"),
    ] {
        let output = stage.cli.run(&[&["stats"], arguments].concat()).await?.expect(2)?;
        ensure!(output.stderr.contains(said), "{arguments:?}: {}", output.stderr);
    }
    let output = stage.cli.run(&["stats", "nobody-is-here"]).await?.expect(1)?;
    ensure!(output.stderr.contains("one/nobody-is-here"), "{}", output.stderr);
    ensure!(output.stderr.contains("CONTAINER_NOT_FOUND"), "{}", output.stderr);
    Ok(())
}
