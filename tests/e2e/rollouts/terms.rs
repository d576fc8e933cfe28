//! Features for pipelines: exactly this plan, annotations, and a pause that returns when no host is
//! in progress.

use anyhow::Context;
use wharf::v1::{HostState, RolloutState};

use super::scene::{QUICK, Scene, held};
use crate::support::HOSTS;

#[tokio::test]
async fn a_pipeline_starts_what_was_looked_at_and_finds_it_again() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let image = scene.image("v2").await?;
    let what = [&[&*scene.name, "--image", &image], &QUICK[..]].concat();
    let plan = async || -> anyhow::Result<String> {
        let planned = scene.cli(&[&["plan", "-o", "json"], &what[..]].concat()).await?.expect(0)?;
        let plan = planned.json_lines()?.remove(0);
        Ok(plan["fingerprint"].as_str().context("a fingerprint")?.to_owned())
    };
    let before = scene.alone().await?;
    let first = plan().await?;
    assert_eq!(plan().await?, first);
    assert_eq!(scene.alone().await?, before, "a plan changes nothing");

    // Somebody restarts the fleet's containers by recreating them.
    scene.cli(&[&["restart", &scene.name], &QUICK[..]].concat()).await?.expect(0)?;
    let second = plan().await?;
    assert_ne!(second, first);
    let start = |fingerprint: &str| {
        let terms = ["--expect-plan", fingerprint, "--annotation", "commit=4f2a1c"];
        [&["start"], &what[..], &terms].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let run = async |arguments: Vec<String>| {
        scene.cli(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await
    };
    let refused = run(start(&first)).await?.expect(2)?;
    assert!(refused.stderr.contains("PLAN_CHANGED"), "{refused:?}");
    assert!(refused.stderr.contains(&second), "{refused:?}");
    run(start(&second)).await?.expect(0)?;

    let list = ["ls", "--annotation", "commit=4f2a1c", "-o", "json"];
    let listed = scene.cli(&[&list[..], &[&scene.name]].concat()).await?.expect(0)?.json_lines()?;
    let [rollout] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!(rollout["annotations"]["commit"], "4f2a1c");
    assert_eq!((&rollout["settled"], &rollout["image"]), (&true.into(), &image.into()));
    Ok(())
}

#[tokio::test]
async fn a_pause_that_waits_returns_when_the_host_at_work_has_ended() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let id = scene.begin(scene.spec_with("v2", held()).await?).await?.id;
    let at_work = |it: &wharf::v1::Rollout| it.steps[0].state() == HostState::Updating;
    assert!(!scene.until(&id, "the first host is at work", at_work).await?.settled);
    let open = async {
        let paused = |it: &wharf::v1::Rollout| it.state() == RolloutState::Paused;
        let paused = scene.until(&id, "the pause", paused).await?;
        assert!(!paused.settled, "{paused:?}");
        scene.put(&HOSTS, "open")
    };
    let pause = ["pause", &scene.name, "--wait", "-o", "json"];
    let (waited, opened) = tokio::join!(scene.cli(&pause), open);
    opened?;
    let rollout = waited?.expect(0)?.json_lines()?.remove(0);
    assert_eq!(rollout["settled"], true, "{rollout}");
    let states = rollout["steps"].as_array().context("steps")?.iter().map(|step| &step["state"]);
    let updated = states.filter(|state| **state == "HOST_STATE_UPDATED").count();
    assert_eq!(updated, 1, "{rollout}");
    Ok(())
}
