//! Hooks, and failures after the gate: while a host is monitored, and while a wave bakes.

use anyhow::Context;
use testbed::Method;
use wharf::v1::{HostState, HostStep, PauseCause, Rollout, RolloutPolicy, RolloutState};

use super::scene::{Scene, millis, quick, told};
use crate::support::HOSTS;

fn shell(line: &str) -> Vec<String> {
    ["/bin/sh", "-c", line].map(str::to_owned).to_vec()
}

/// Everywhere at once.
fn everywhere() -> RolloutPolicy {
    RolloutPolicy { max_parallel: "100%".to_owned(), ..quick() }
}

fn message<'a>(rollout: &'a Rollout, host: &str) -> &'a str {
    let step = rollout.steps.iter().find(|step| step.host == host);
    step.and_then(|step| step.status.as_ref()).map_or("", |status| &status.message)
}

#[tokio::test]
async fn hooks_run_in_the_old_and_in_the_new_container() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    let policy = RolloutPolicy {
        drain: shell("touch /drained"),
        verify: shell("test \"$VERSION\" = 2 && touch /verified"),
        ..everywhere()
    };
    let rollout = scene.carry_out(scene.spec_with("v2", policy).await?).await?;
    scene.check(&rollout, &before, "v2", &HOSTS).await?;
    for (host, old) in HOSTS.iter().zip(&before) {
        let engine = scene.engine(host);
        for (container, file, there) in [
            (&old.id, "drained", 200),
            (&scene.name, "drained", 404),
            (&scene.name, "verified", 200),
        ] {
            let path = format!("/containers/{container}/archive?path=/{file}");
            let (status, _) = engine.api(Method::GET, &path, None).await?;
            assert_eq!(status, there, "{host}: {container} {file}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_hook_that_fails_fails_its_host() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let other = scene.another().await?;
    let (before, before_other) = tokio::try_join!(scene.alone(), other.alone())?;
    let drain = RolloutPolicy { drain: shell("echo still busy; exit 7"), ..everywhere() };
    let verify = RolloutPolicy { verify: shell("echo wrong version; exit 8"), ..everywhere() };
    let (drain, verify) = tokio::try_join!(
        scene.carry_out(scene.spec_with("v2", drain).await?),
        other.carry_out(other.spec_with("v2", verify).await?),
    )?;
    for host in HOSTS {
        assert_eq!(message(&drain, host), "the drain command ended with 7: still busy");
        assert_eq!(message(&verify, host), "the verify command ended with 8: wrong version");
    }
    let failed = [(&drain, HostStep::Drain), (&verify, HostStep::Verify)];
    for (rollout, at) in failed {
        assert!(rollout.steps.iter().all(|it| it.failed_step() == at), "{}", told(rollout));
        assert_eq!(rollout.pause_cause(), PauseCause::Budget);
    }
    scene.check_restored(&before).await?;
    // The old containers were not even stopped.
    assert_eq!(scene.alone().await?, before);
    other.check_restored(&before_other).await
}

/// Waits until a host is at this step.
async fn at(scene: &Scene, id: &str, host: &str, step: HostStep) -> anyhow::Result<()> {
    let is_there =
        |rollout: &Rollout| rollout.steps.iter().any(|it| it.host == host && it.step() == step);
    scene.until(id, &format!("{host} at {step:?}"), is_there).await.map(drop)
}

#[tokio::test]
async fn what_gets_worse_while_it_is_monitored_is_put_back() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let other = scene.another().await?;
    let (before, before_other) = tokio::try_join!(scene.alone(), other.alone())?;
    let policy = RolloutPolicy { monitor: millis(60_000), ..quick() };
    // One ends, the other one becomes unhealthy.
    let ends = scene.begin(scene.spec_with("v2", policy.clone()).await?).await?;
    let sickens = other.begin(other.spec_with("v5", policy).await?).await?;
    tokio::try_join!(
        at(&scene, &ends.id, "alpha", HostStep::Monitor),
        at(&other, &sickens.id, "alpha", HostStep::Monitor),
    )?;
    scene.engine("alpha").post(&format!("/containers/{}/kill", scene.name), None).await?;
    other.put(&["alpha"], "sick")?;
    let (ends, sickens) = tokio::try_join!(scene.end(&ends.id), other.end(&sickens.id))?;
    for rollout in [&ends, &sickens] {
        assert_eq!(rollout.pause_cause(), PauseCause::Budget, "{}", told(rollout));
        assert_eq!(rollout.steps[0].state(), HostState::Restored, "{}", told(rollout));
        assert_eq!(rollout.steps[0].failed_step(), HostStep::Monitor, "{}", told(rollout));
    }
    assert!(message(&ends, "alpha").contains("unhealthy again: it is exited"), "{}", told(&ends));
    assert!(
        message(&sickens, "alpha").contains("unhealthy again: it is unhealthy"),
        "{}",
        told(&sickens)
    );
    scene.check_restored(&before).await?;
    other.check_restored(&before_other).await
}

#[tokio::test]
async fn what_gets_worse_while_its_wave_bakes_is_put_back() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    let batches = ["2", "100%"].map(str::to_owned).to_vec();
    let policy = RolloutPolicy { bake: millis(20_000), batches, ..everywhere() };
    let begun = scene.begin(scene.spec_with("v2", policy).await?).await?;
    let bakes = |rollout: &Rollout| rollout.state() == RolloutState::Baking;
    let baking = scene.until(&begun.id, "a wave that bakes", bakes).await?;
    assert!(baking.bake_until.is_some());
    scene.check(&baking, &before, "v2", &["alpha", "beta"]).await?;

    scene.engine("beta").post(&format!("/containers/{}/kill", scene.name), None).await?;
    let rollout = scene.end(&begun.id).await?;
    assert_eq!(rollout.pause_cause(), PauseCause::Budget, "{}", told(&rollout));
    let states: Vec<_> = rollout.steps.iter().map(wharf::v1::RolloutStep::state).collect();
    assert_eq!(states, [HostState::Updated, HostState::Restored, HostState::Pulled]);
    let [_, beta, _] = scene.found().await?;
    let [back] = &beta[..] else { panic!("{beta:#?}") };
    assert_eq!((&back.id, back.status.as_str()), (&before[1].id, "running"));
    assert_eq!(back.restart, before[1].restart);

    // Once more, and this time it stays good; nothing is left to be done after the bake.
    let policy = RolloutPolicy { bake: millis(1000), ..everywhere() };
    let other = scene.another().await?;
    let before = other.alone().await?;
    let rollout = other.carry_out(other.spec_with("v2", policy).await?).await?;
    assert_eq!(rollout.state(), RolloutState::Succeeded, "{}", told(&rollout));
    let at = |it: prost_types::Timestamp| (it.seconds, it.nanos);
    let done = at(rollout.ended_at.context("it has ended")?);
    let last = rollout.steps.iter().filter_map(|step| step.since).map(at).max();
    assert!(done > last.context("steps")?, "{}", told(&rollout));
    other.check(&rollout, &before, "v2", &HOSTS).await
}
