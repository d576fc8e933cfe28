//! Hosts that need manual repair: nothing is deleted there, and the rollout waits.

use serde_json::json;
use wharf::v1::{
    FailureAction, HostState, HostStep, PauseCause, Rollout, RolloutPolicy, RolloutState,
};

use super::scene::{Scene, held, millis, quick, told};
use crate::support::HOSTS;

#[tokio::test]
async fn what_somebody_moved_is_left_alone_until_it_is_put_right() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    let policy = RolloutPolicy { healthy_deadline: millis(15_000), ..held() };
    let id = scene.begin(scene.spec_with("v2", policy).await?).await?.id;
    let is_there = |rollout: &Rollout| rollout.steps[0].step() == HostStep::Gate;
    scene.until(&id, "the gate of the first host", is_there).await?;
    // The way back begins with the old container under the name that it got.
    let (alpha, old) = (scene.engine("alpha"), &before[0].id);
    let elsewhere = format!("{}-elsewhere", scene.name);
    alpha.post(&format!("/containers/{old}/rename?name={elsewhere}"), None).await?;
    let rollout = scene.end(&id).await?;
    assert_eq!(rollout.pause_cause(), PauseCause::NeedsAttention, "{}", told(&rollout));
    assert_eq!(rollout.steps[0].state(), HostState::NeedsAttention, "{}", told(&rollout));
    let why = rollout.reason.clone().unwrap_or_default().message;
    for said in ["alpha: ", "nothing was deleted", "--retry-failed", &elsewhere] {
        assert!(why.contains(said), "{said}: {why}");
    }
    let [found, beta, gamma] = scene.found().await?;
    let ids: Vec<_> = found.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, [rollout.steps[0].new_container_id.as_str(), old], "{found:#?}");
    assert_eq!((&beta[..], &gamma[..]), (&before[1..2], &before[2..]));

    // Put right by hand, it continues where it was.
    let backup = format!("{}.old-{}", scene.name, &id[..8]);
    alpha.post(&format!("/containers/{old}/rename?name={backup}"), None).await?;
    scene.put(&HOSTS, "open")?;
    scene.cli(&["resume", &id, "--retry-failed"]).await?.expect(0)?;
    let rollout = scene.end(&id).await?;
    assert_eq!(rollout.state(), RolloutState::Succeeded, "{}", told(&rollout));
    scene.check(&rollout, &before, "v2", &HOSTS).await
}

#[tokio::test]
async fn a_rollback_waits_where_the_old_container_does_not_become_good() -> anyhow::Result<()> {
    let scene = Scene::start_as("v1", |_, body| {
        let test = json!(["CMD-SHELL", "test ! -e /gate/sick"]);
        body["Healthcheck"] = json!({"Test": test, "Interval": 500_000_000, "Retries": 1});
    })
    .await?;
    let before = scene.alone().await?;
    let drain = ["/bin/sh", "-c", "until test -e /gate/open; do sleep 0.1; done"];
    let policy = RolloutPolicy {
        on_failure: FailureAction::Rollback.into(),
        drain: drain.map(str::to_owned).to_vec(),
        ..quick()
    };
    scene.put(&["alpha", "beta"], "open")?;
    let id = scene.begin(scene.spec_with("v2", policy).await?).await?.id;
    let is_there = |rollout: &Rollout| rollout.steps[2].step() == HostStep::Drain;
    scene.until(&id, "the last host", is_there).await?;
    // The last one fails; the one before, which goes back first, does not become good.
    scene.put(&["beta"], "sick")?;
    scene.put(&["gamma"], "broken")?;
    scene.put(&["gamma"], "open")?;
    let rollout = scene.end(&id).await?;
    assert_eq!(rollout.pause_cause(), PauseCause::NeedsAttention, "{}", told(&rollout));
    let states: Vec<_> = rollout.steps[1..].iter().map(wharf::v1::RolloutStep::state).collect();
    assert_eq!(states, [HostState::NeedsAttention, HostState::Restored], "{}", told(&rollout));
    // The old one has its place and runs; the new one is not removed.
    let [_, beta, _] = scene.found().await?;
    assert_eq!((&beta[0].id, beta[0].status.as_str()), (&before[1].id, "running"), "{beta:#?}");
    assert_eq!(beta[1].name, format!("{}.bad-{}", scene.name, &id[..8]), "{beta:#?}");

    scene.take(&["beta"], "sick")?;
    scene.cli(&["resume", &id, "--retry-failed"]).await?.expect(0)?;
    let rollout = scene.end(&id).await?;
    assert_eq!(rollout.state(), RolloutState::RolledBack, "{}", told(&rollout));
    scene.check_restored(&before).await
}
