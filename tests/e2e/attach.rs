//! Sessions with the own command of a container: `wharf run` without `-d`, and `wharf attach`.

use std::process::Stdio;

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use testbed::{EngineKind, Image, LIMIT, eventually, unique};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::generations::stage::Stage;
use crate::support::World;
use crate::support::kinds::on_engines;
use crate::support::terminal::Terminal;

on_engines!(a_run_shows_its_output_takes_input_and_ends_as_the_command_does: all);

async fn a_run_shows_its_output_takes_input_and_ends_as_the_command_does(
    kind: EngineKind,
) -> anyhow::Result<()> {
    let stage = Stage::of(kind).await?;
    let (engine, cli, name) = (stage.engine, &stage.cli, stage.name.clone());
    let image = stage.image("v1", &Image::new("v1")).await?;

    let named = ["-H", "one", "--network", "none", "--name", &name, &image];

    // The first and the last word are there, and the container is gone.
    let script = "printf 'first\\n'; echo wrong >&2; printf last; exit 7";
    let run = [&["run", "--rm"], &named[..], &["sh", "-c", script]].concat();
    let output = cli.run(&run).await?.expect(7)?;
    assert_eq!((&*output.stdout, &*output.stderr), ("first\nlast", "wrong\n"), "{kind:?}");
    eventually("the container is removed", async || {
        ensure!(engine.container(&name).await?.is_none());
        Ok(())
    })
    .await?;

    // The end of the input reaches the command.
    let run = ["run", "-i", "--rm", "-H", "one", "--network", "none", &image, "tr", "a-z", "A-Z"];
    let output = cli.run_with_input(&run, "hello\n").await?.expect(0)?;
    assert_eq!(output.stdout, "HELLO\n", "{kind:?}");

    // A session ends, another one follows, and Ctrl-C goes to the container.
    let script = "trap 'echo trapped; exit 9' INT; echo ready; \
                  while :; do echo tick; sleep 0.1; done";
    let run = [&["run", "-d"], &named[..], &["sh", "-c", script]].concat();
    cli.run(&run).await?.expect(0)?;
    let one = format!("one/{name}");
    let mut child =
        cli.command(&["attach", &one])?.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("a pipe")?).lines();
    // Also its very first line, if the Engine is slow to start it.
    while lines.next_line().await?.with_context(|| format!("{kind:?} says nothing"))? != "tick" {}
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).context("a process")?;
    kill_process(pid, Signal::INT)?;
    let mut last = String::new();
    while let Some(line) = lines.next_line().await? {
        last = line;
    }
    assert_eq!((child.wait().await?.code(), &*last), (Some(9), "trapped"), "{kind:?}");

    // What does not run is refused, and says what to do.
    let output = cli.run(&["attach", &one]).await?.expect(1)?;
    assert!(output.stderr.contains("start it, and retry (ENGINE_CONFLICT)"), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn a_terminal_is_detached_from_and_attached_to_again() -> anyhow::Result<()> {
    let world = World::start().await?;
    let (image, name) = (world.image(&Image::new("v1")).await?, unique("shell"));
    let mut terminal = Terminal::open(101, 33)?;
    let run = ["run", "-it", "-H", "alpha", "--network", "none", "--name", &name, &image, "sh"];
    let mut child = terminal.start(&world.cli, &run)?;
    terminal.type_keys(b"echo size-$(busybox stty size)\n")?;
    terminal.until("size-33 101").await?;
    terminal.type_keys(b"\x10\x11")?;
    terminal.until("the command continues").await?;
    assert_eq!(child.wait().await?.code(), Some(0));

    let mut child = terminal.start(&world.cli, &["attach", &format!("alpha/{name}")])?;
    terminal.interrupt_a_command_and_exit().await?;
    assert_eq!(child.wait().await?.code(), Some(5));
    Ok(())
}

/// As a shell has it for a program that a closed pipe ends.
#[tokio::test]
async fn a_reader_that_goes_away_ends_the_session() -> anyhow::Result<()> {
    let world = World::start().await?;
    let (image, name) = (world.image(&Image::new("v1")).await?, unique("web"));
    world.run(&name, &image).await?;
    let (container, other) = (format!("alpha/{name}"), unique("yes"));
    let run = ["run", "-H", "alpha", "--network", "none", "--name", &other, &image, "yes"];
    for arguments in [
        &["exec", &container, "yes"][..],
        &["exec", "-i", &container, "yes"],
        &["exec", "-A", &name, "yes"],
        &run,
    ] {
        let mut command = world.cli.command(arguments)?;
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("a pipe")?).lines();
        ensure!(lines.next_line().await?.is_some(), "{arguments:?}");
        drop(lines);
        let status = tokio::time::timeout(LIMIT, child.wait()).await;
        assert_eq!(status.context("it does not end")??.code(), Some(141), "{arguments:?}");
    }
    // With their containers, the commands end.
    world.cli.run(&["rm", "-f", &format!("alpha/{other}")]).await?.expect(0)?;
    world.cli.run(&["rm", "-f", "-A", &name]).await?.expect(0)?;
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_the_way_out() -> anyhow::Result<()> {
    let world = World::start().await?;
    let (image, name) = (world.image(&Image::new("v1")).await?, unique("web"));
    world.run(&name, &image).await?;
    for (arguments, status, text) in [
        (vec!["attach", "-A", &name], 2, "write HOST/CONTAINER"),
        (vec!["attach", "alpha/nosuch"], 1, "No such container"),
        (vec!["attach", "-o", "json", "alpha/nosuch"], 2, "omit -o json"),
        (vec!["run", "-A", &image, "true"], 2, "select one, such as -H alpha"),
        (vec!["run", "-it", "-H", "alpha", &image, "sh"], 2, "use -i without -t"),
        (vec!["run", "--pull", "never", "-H", "alpha", "nosuch:v1"], 125, "o such image"),
        (vec!["run", "-H", "alpha", "--name", &name, &image, "true"], 125, "NAME_IN_USE"),
        (vec!["run", "--rm", "-H", "alpha", &image, "nosuch"], 127, "COMMAND_NOT_FOUND"),
        (vec!["run", "--rm", "-H", "alpha", &image, "/etc"], 126, "COMMAND_NOT_EXECUTABLE"),
    ] {
        let output = world.cli.run(&arguments).await?;
        assert_eq!(output.status, status, "{arguments:?}: {output:?}");
        assert!(output.stderr.contains(text), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}: {output:?}");
    }
    Ok(())
}
