//! Rule C27: the policy `stopped` for a container that is not running; a paused one is skipped.

use std::collections::BTreeMap;

use anyhow::ensure;
use serde_json::{Value, json};
use testbed::{Image, eventually};
use wharf::v1::{HostState, RolloutAction, RolloutPolicy, RolloutState, StoppedAction};

use super::stage::{Stage, failing, quick, states};

fn stopped(action: StoppedAction, policy: RolloutPolicy) -> RolloutPolicy {
    RolloutPolicy { stopped: action.into(), ..policy }
}

/// Upgrades a container that does not run, without starting it. The gate would never pass: it is
/// not asked.
async fn upgraded(stage: &Stage, policy: &str, v2: &str) -> anyhow::Result<()> {
    let old = stage.current().await?;
    let policy_of_rollout = stopped(StoppedAction::Keep, failing());
    let plan = stage.plan(v2, policy_of_rollout.clone()).await?;
    assert!(!plan.start && plan.risks.iter().any(|it| it.contains("not started")), "{plan:#?}");
    let done = stage.roll(v2, policy_of_rollout).await?;
    assert_eq!(states(&done), (RolloutState::Succeeded, HostState::Updated), "{done:#?}");
    let counts = done.counts.unwrap_or_default();
    assert_eq!((counts.succeeded, counts.not_started), (1, 1), "{done:#?}");
    assert!(done.steps[0].not_started, "{done:#?}");
    assert!(done.steps[0].health.is_empty(), "{done:#?}");
    let new = stage.current().await?;
    assert_eq!(new["State"]["Status"], "created");
    assert_eq!(new["Config"]["Image"], json!(v2));
    assert_eq!(new["HostConfig"]["RestartPolicy"]["Name"], policy);
    let backup = stage.backup(&done).await?;
    assert_eq!(backup["Id"], old["Id"]);
    assert_eq!(backup["State"], old["State"]);
    assert_eq!(backup["HostConfig"]["RestartPolicy"]["Name"], "no");
    assert_eq!(stage.names().await?, [stage.scene.name.clone(), stage.named("old", &done)]);

    let undone = stage.undo(&done).await?;
    assert_eq!(states(&undone), (RolloutState::Succeeded, HostState::Updated), "{undone:#?}");
    let back = stage.current().await?;
    assert_eq!((&back["Id"], &back["State"]), (&old["Id"], &old["State"]));
    assert_eq!(back["HostConfig"]["RestartPolicy"]["Name"], policy);
    Ok(())
}

#[tokio::test]
async fn c27_one_that_never_ran_is_made_anew_and_not_started() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let v1 = stage.scene.image("v1", Image::new("v1")).await?;
    let v2 = stage.scene.image("v2", Image::new("v2")).await?;
    let policy = json!({"RestartPolicy": {"Name": "always"}});
    stage.scene.create(&stage.scene.name, json!({"Image": v1, "HostConfig": policy})).await?;
    upgraded(&stage, "always", &v2).await
}

#[tokio::test]
async fn c27_one_that_was_stopped_is_made_anew_and_not_started() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let v1 = stage.scene.image("v1", Image::new("v1")).await?;
    let v2 = stage.scene.image("v2", Image::new("v2")).await?;
    let policy = json!({"RestartPolicy": {"Name": "unless-stopped"}});
    stage.scene.run(json!({"Image": v1, "HostConfig": policy})).await?;
    stage.scene.stop(&stage.scene.name).await?;
    upgraded(&stage, "unless-stopped", &v2).await
}

/// A container of version 1 that was stopped, the reference of version 2, and how the Engine
/// shows the container.
async fn scene_stopped() -> anyhow::Result<(Stage, String, Value)> {
    let stage = Stage::new().await?;
    let v1 = stage.scene.image("v1", Image::new("v1")).await?;
    let v2 = stage.scene.image("v2", Image::new("v2")).await?;
    stage.scene.run(json!({"Image": v1})).await?;
    stage.scene.stop(&stage.scene.name).await?;
    let old = stage.current().await?;
    Ok((stage, v2, old))
}

#[tokio::test]
async fn c27_one_that_was_stopped_is_started_and_passes_the_gate() -> anyhow::Result<()> {
    let (stage, v2, old) = scene_stopped().await?;
    let plan = stage.plan(&v2, quick()).await?;
    let risk = format!("{} is not running", stage.scene.name);
    assert!(plan.start && plan.risks.iter().any(|it| it.contains(&risk)), "{plan:#?}");
    let done = stage.roll(&v2, quick()).await?;
    assert_eq!(states(&done), (RolloutState::Succeeded, HostState::Updated), "{done:#?}");
    assert_eq!(done.counts.unwrap_or_default().not_started, 0);
    assert!(!done.steps[0].health.is_empty(), "{done:#?}");
    let new = stage.current().await?;
    assert_eq!((&new["State"]["Status"], &new["Config"]["Image"]), (&json!("running"), &json!(v2)));
    // An undo does not take down what runs now.
    let undone = stage.undo(&done).await?;
    assert_eq!(states(&undone), (RolloutState::Succeeded, HostState::Updated), "{undone:#?}");
    let back = stage.current().await?;
    assert_eq!((&back["Id"], &back["State"]["Status"]), (&old["Id"], &json!("running")));
    Ok(())
}

#[tokio::test]
async fn c27_one_that_was_stopped_stays_so_where_the_new_one_fails() -> anyhow::Result<()> {
    let (stage, v2, old) = scene_stopped().await?;
    let done = stage.roll(&v2, failing()).await?;
    assert_eq!(states(&done), (RolloutState::Paused, HostState::Restored), "{done:#?}");
    let now = stage.current().await?;
    assert_eq!((&now["Id"], &now["State"]), (&old["Id"], &old["State"]));
    assert_eq!(stage.names().await?, std::slice::from_ref(&stage.scene.name));
    Ok(())
}

#[tokio::test]
async fn c27_one_that_was_stopped_is_skipped_or_refused_on_demand() -> anyhow::Result<()> {
    let (stage, v2, old) = scene_stopped().await?;
    for action in [StoppedAction::Skip, StoppedAction::Refuse] {
        let said = stage.refusals(&v2, stopped(action, quick())).await?;
        let expected = format!("{} is not running, and `stopped` is", stage.scene.name);
        assert!(said.contains(&expected), "{action:?}: {said}");
    }
    let now = stage.current().await?;
    assert_eq!((&now["Id"], &now["State"]), (&old["Id"], &old["State"]));
    Ok(())
}

#[tokio::test]
async fn c27_one_that_is_down_on_the_wanted_version_is_not_up_to_date() -> anyhow::Result<()> {
    let (stage, v2, _) = scene_stopped().await?;
    let keep = stopped(StoppedAction::Keep, quick());
    let done = stage.roll(&v2, keep.clone()).await?;
    assert_eq!(states(&done), (RolloutState::Succeeded, HostState::Updated), "{done:#?}");
    let said = stage.refusals(&v2, stopped(StoppedAction::Refuse, quick())).await?;
    assert!(said.contains(&format!("{} is not running", stage.scene.name)), "{said}");
    // Where it may be down, nothing is left to do.
    let again = stage.roll(&v2, keep).await?;
    assert_eq!((again.state(), again.waves), (RolloutState::Succeeded, 0), "{again:#?}");
    let started = stage.roll(&v2, quick()).await?;
    assert_eq!(states(&started), (RolloutState::Succeeded, HostState::Updated), "{started:#?}");
    assert!(!started.steps[0].health.is_empty(), "{started:#?}");
    assert_eq!(stage.current().await?["State"]["Status"], "running");
    Ok(())
}

#[tokio::test]
async fn c27_one_that_is_unhealthy_on_the_wanted_version_is_not_up_to_date() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let v1 = stage.scene.image("v1", Image::new("v1")).await?;
    let check = json!({"Test": ["CMD", "false"], "Interval": 100_000_000, "Retries": 1});
    stage.scene.run(json!({"Image": v1, "Healthcheck": check})).await?;
    eventually("the container to be unhealthy", async || {
        let state = stage.current().await?["State"].clone();
        ensure!(state["Health"]["Status"] == "unhealthy", "{state}");
        Ok(())
    })
    .await?;
    let sick = stage.current().await?;
    let done = stage.roll(&v1, failing()).await?;
    assert_eq!(states(&done), (RolloutState::Paused, HostState::Restored), "{done:#?}");
    assert_eq!(stage.current().await?["Id"], sick["Id"]);
    Ok(())
}

#[tokio::test]
async fn c27_a_paused_one_is_left_out_and_stays_paused() -> anyhow::Result<()> {
    let mut stage = Stage::new().await?;
    let v1 = stage.scene.image("v1", Image::new("v1")).await?;
    let v2 = stage.scene.image("v2", Image::new("v2")).await?;
    stage.scene.run(json!({"Image": v1})).await?;
    let pause = format!("/containers/{}/pause", stage.scene.name);
    stage.scene.engine.post(&pause, None).await?;
    let paused = stage.current().await?;
    // Alone, it leaves nothing to do, which is told with the reason.
    let reason = format!("{} is paused; unpause it to take part", stage.scene.name);
    let said = stage.refusals(&v2, quick()).await?;
    assert!(said.contains(&reason), "{said}");

    let neighbour = stage.neighbour().await?;
    for (tag, version) in [("v1", "v1"), ("v2", "v2")] {
        neighbour.image(tag, Image::new(version)).await?;
    }
    neighbour.run(json!({"Image": v1})).await?;
    let plan = stage.plan(&v2, quick()).await?;
    assert_eq!((plan.action(), &plan.skip_reason), (RolloutAction::Skip, &reason));
    let done = stage.roll(&v2, quick()).await?;
    assert_eq!(done.state(), RolloutState::Succeeded, "{done:#?}");
    let ends: BTreeMap<_, _> =
        done.steps.iter().map(|step| (step.host.as_str(), step.state())).collect();
    let expected = [("alpha", HostState::Skipped), ("beta", HostState::Updated)];
    assert_eq!(ends, BTreeMap::from(expected), "{done:#?}");
    let now = stage.current().await?;
    assert_eq!((&now["Id"], &now["State"]), (&paused["Id"], &paused["State"]));
    assert_eq!(neighbour.inspect(&neighbour.name).await?["Config"]["Image"], json!(v2));
    Ok(())
}
