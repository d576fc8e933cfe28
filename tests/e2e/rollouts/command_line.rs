//! `wharf rollout` as people and scripts use it: Ctrl-C, lines, events, the last line, the exit
//! status.

use std::process::Stdio;

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use testbed::LIMIT;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use wharf::v1::RolloutState;

use super::scene::{QUICK, Scene, told};
use crate::support::HOSTS;

const HELD: [&str; 4] = ["--health", "exec", "--probe-command", "test -e /gate/open"];

#[tokio::test]
async fn ctrl_c_stops_the_following_and_not_the_rollout() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    let image = scene.image("v2").await?;
    let arguments = [&["rollout", "start", &scene.name, "--image", &image], &QUICK[..], &HELD];
    let mut command = scene.world.cli.command(&arguments.concat())?;
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
    let gate = async {
        while let Some(line) = lines.next_line().await? {
            if line == "alpha: updating: gate" {
                return Ok(());
            }
        }
        anyhow::bail!("it ended before the gate")
    };
    tokio::time::timeout(LIMIT, gate).await??;
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).context("its number")?;
    kill_process(pid, Signal::INT)?;
    let status = tokio::time::timeout(LIMIT, child.wait()).await??;
    assert_eq!(status.code(), Some(130));
    let mut said = String::new();
    child.stderr.take().context("its errors")?.read_to_string(&mut said).await?;
    let hint = said.lines().last().context("a hint")?;
    let id = hint.split("wharf rollout watch ").nth(1).context("the way back")?;
    let id = id.get(..8).context("an ID")?.to_owned();
    assert!(hint.contains("detached; the rollout continues"), "{said}");

    let rollout = scene.get(&id).await?;
    assert_eq!(rollout.state(), RolloutState::Running, "{}", told(&rollout));
    scene.put(&HOSTS, "open")?;
    let watched = scene.cli(&["watch", &id]).await?.expect(0)?;
    ensure!(watched.stdout.contains("succeeded on 3 hosts"), "{}", watched.stdout);
    scene.check(&scene.get(&id).await?, &before, "v2", &HOSTS).await
}

#[tokio::test]
async fn a_pipe_gets_lines_and_a_program_gets_events() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let other = scene.another().await?;
    let quiet = scene.another().await?;
    let image = scene.image("v2").await?;
    let arguments = |scene: &Scene, more: &[&str]| {
        let name = scene.name.clone();
        let all = [&["start", "--image", &image, &name], &QUICK[..], more].concat();
        all.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let run = async |scene: &Scene, more: &[&str]| {
        let arguments = arguments(scene, more);
        scene.cli(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await
    };
    let (lines, events, detached) = tokio::try_join!(
        run(&scene, &[]),
        run(&other, &["-o", "json"]),
        run(&quiet, &["--detach", "-o", "name"]),
    )?;

    let lines = lines.expect(0)?;
    assert!(!lines.stdout.contains('\u{1b}') && lines.stderr.is_empty(), "{lines:?}");
    let order = [
        "alpha: updating: stop-old",
        "alpha: updating: start-new",
        "alpha: updated, container ",
        "beta: updating: create",
        "gamma: updated, container ",
        "succeeded, 3 of 3 done",
        "to undo it, run: wharf rollout undo ",
    ];
    let mut rest = lines.stdout.as_str();
    for line in order {
        let at = rest.find(line).with_context(|| format!("{line}: {}", lines.stdout))?;
        rest = &rest[at..];
    }

    let events = events.expect(0)?;
    let told = events.json_lines()?;
    assert!(told[0]["snapshot"]["rollouts"][0]["steps"].is_array(), "{}", told[0]);
    let last = told.last().context("events")?;
    assert_eq!(last["rollout"]["state"], "ROLLOUT_STATE_SUCCEEDED", "{last}");
    assert!(told.iter().any(|it| it["step"]["step"]["state"] == "HOST_STATE_UPDATED"));
    assert!(told.iter().all(|event| event["cursor"]["epoch"].is_string()));
    let sentence = events.stderr.lines().last().context("a sentence")?;
    assert!(sentence.contains("succeeded on 3 hosts"), "{sentence}");

    let detached = detached.expect(0)?;
    let id = detached.stdout.trim();
    let rollout = quiet.end(id).await?;
    assert_eq!(rollout.id, id);
    let shown = quiet.cli(&["show", id, "-o", "json"]).await?.expect(0)?;
    let shown: Value = serde_json::from_str(&shown.stdout)?;
    assert_eq!((&shown["id"], &shown["state"]), (&id.into(), &"ROLLOUT_STATE_SUCCEEDED".into()));
    let shown = quiet.cli(&["show", &quiet.name]).await?.expect(0)?;
    assert!(HOSTS.iter().all(|host| shown.stdout.contains(host)), "{}", shown.stdout);
    Ok(())
}

#[tokio::test]
async fn the_exit_status_and_the_last_line_say_how_it_ended() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    let image = scene.image("v3").await?;
    let careful = ["-A", "--monitor", "0s", "--min-healthy-time", "100s"];
    let start = [&["start", &scene.name, "--image", &image][..], &careful].concat();
    for (action, said) in [
        ("pause", "is paused with 0 of 3 hosts on the new version (1 host failed"),
        (
            "rollback",
            "was rolled back; every host that it changed is as it was before (1 host failed",
        ),
        ("abort", "was aborted with 0 of 3 hosts on the new version"),
        ("continue", "failed with 0 of 3 hosts on the new version (3 hosts are not on"),
    ] {
        let arguments = [&start[..], &["--on-failure", action]].concat();
        let output = scene.cli(&arguments).await?.expect(1)?;
        let last = output.stdout.lines().last().context("a last line")?;
        assert!(last.contains(said) && last.contains("wharf rollout "), "{action}: {last}");
        assert!(output.stdout.contains("alpha: | this version does not start"), "{action}");
        if action == "pause" {
            scene.cli(&["abort", &scene.name]).await?.expect(0)?;
            let id = last.split(':').next().unwrap_or_default();
            assert_eq!(scene.end(id).await?.state(), RolloutState::Aborted);
        }
        scene.check_restored(&before).await.with_context(|| action)?;
    }
    Ok(())
}
