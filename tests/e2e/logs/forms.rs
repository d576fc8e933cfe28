//! What a log can be like, on every kind of Engine.

use serde_json::{Value, json};
use testbed::{EngineKind, Image};

use super::process::Running;
use crate::generations::stage::Stage;
use crate::support::kinds::on_engines;

on_engines!(outputs_long_lines_and_terminals: all);
on_engines!(what_cannot_be_read_is_refused: all);

/// Long lines are of three pieces for Docker.
const LONG: usize = 40_000;

async fn outputs_long_lines_and_terminals(kind: EngineKind) -> anyhow::Result<()> {
    let mut stage = Stage::of(kind).await?;
    let image = stage.image("v1", &Image::new("v1")).await?;
    let base = stage.name.clone();
    let script = format!(
        "echo first; echo error >&2; head -c {LONG} /dev/zero | tr '\\0' x; echo; echo last; \
         printf 'no end'"
    );
    let body = |tty: bool| {
        json!({
            "Image": image, "Cmd": ["/bin/sh", "-c", script], "Tty": tty,
            "HostConfig": {"NetworkMode": "none"},
        })
    };
    let long = "x".repeat(LONG);
    for tty in [false, true] {
        stage.name = format!("{base}-{tty}");
        stage.run(body(tty)).await?;
        let container = format!("one/{}", stage.name);
        // It follows to the end of the container, which is soon.
        let mut running = Running::start(&stage.cli, &["-f", &container])?;
        assert_eq!(running.end().await?, Some(0), "{}", running.stderr()?);
        let (stdout, stderr) = (running.stdout()?, running.stderr()?);
        let again = stage.cli.run(&["logs", &container]).await?.expect(0)?;
        assert_eq!((&again.stdout, &again.stderr), (&stdout, &stderr), "followed or not");
        let lines: Vec<&str> = stdout.lines().map(str::trim_end).collect();
        if tty {
            assert_eq!(lines, ["first", "error", &long, "last", "no end"]);
            assert!(stdout.contains("last\r\n"), "as the terminal wrote it");
        } else {
            assert_eq!(lines, ["first", &long, "last", "no end"]);
            assert_eq!(stderr, "error\n");
        }

        let tail = stage.cli.run(&["logs", "-n", "2", "--prefix", &container]).await?.expect(0)?;
        // Which two the Engine stored last depends on which output it read first, and podman 4.3 joins
        // a line without an end to another one here.
        let lines: Vec<&str> = tail.stdout.lines().chain(tail.stderr.lines()).collect();
        assert_eq!(lines.len(), 2, "{tail:?}");
        let prefix = format!("{container} | ");
        assert!(lines.iter().all(|line| line.starts_with(&prefix)), "{tail:?}");
        assert!(tail.stdout.contains("no end"), "{tail:?}");

        let json = stage.cli.run(&["logs", "-o", "json", &container]).await?.expect(0)?;
        let lines: Vec<Value> = json.json_lines()?;
        let texts: Vec<&Value> =
            lines.iter().filter(|line| line["type"] == "line").map(|line| &line["line"]).collect();
        assert_eq!(texts.len(), 5, "{texts:?}");
        let time = lines.last().map(|line| line["time"].as_str().unwrap_or_default().to_owned());
        let time = time.unwrap_or_default();
        assert!(time.len() == 30 && time.ends_with('Z'), "{time}");
        // The time of a line is the first of what is shown again.
        let since = stage.cli.run(&["logs", "--since", "1h", "-t", &container]).await?.expect(0)?;
        assert!(since.stdout.contains(&time), "{}", since.stdout.len());
        let none = stage.cli.run(&["logs", "--until", "1h", &container]).await?.expect(0)?;
        assert_eq!(none.stdout, "");
    }
    stage.name = base;
    stage.clear().await
}

async fn what_cannot_be_read_is_refused(kind: EngineKind) -> anyhow::Result<()> {
    let stage = Stage::of(kind).await?;
    let image = stage.image("v1", &Image::new("v1")).await?;
    stage
        .run(json!({
            "Image": image, "Cmd": ["/bin/sh", "-c", "echo unheard"],
            "HostConfig": {"NetworkMode": "none", "LogConfig": {"Type": "none"}},
        }))
        .await?;
    let container = format!("one/{}", stage.name);
    for follow in [&[][..], &["-f"]] {
        let output = stage.cli.run(&[&["logs", &container], follow].concat()).await?.expect(1)?;
        assert_eq!(output.stdout, "");
        assert!(output.stderr.contains("ENGINE_UNSUPPORTED"), "{}", output.stderr);
        assert!(output.stderr.contains("such as local"), "{}", output.stderr);
    }
    let output = stage.cli.run(&["logs", "-A", "nobody-is-here"]).await?.expect(1)?;
    assert!(output.stderr.contains("one/nobody-is-here"), "{}", output.stderr);
    assert!(output.stderr.contains("CONTAINER_NOT_FOUND"), "{}", output.stderr);
    let output = stage.cli.run(&["logs", "-A", "--label", "no=such"]).await?.expect(1)?;
    assert!(output.stderr.contains("no container with label no=such"), "{}", output.stderr);
    for (arguments, said) in [
        (&["--tail", "abc"][..], "must be a number of lines, or all"),
        (&["--since", "yesterday"], "\"yesterday\" is not a time"),
        (&["--since", "1h", "--until", "2h"], "is before --since"),
        (&["-f", "--max-parallel", "2"], "--max-parallel"),
    ] {
        let line = [&["logs", &container], arguments].concat();
        let output = stage.cli.run(&line).await?.expect(2)?;
        assert!(output.stderr.contains(said), "{arguments:?}: {}", output.stderr);
    }
    stage.clear().await
}
