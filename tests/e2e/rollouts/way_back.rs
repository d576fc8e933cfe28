//! Rollback: with the width of the policy, interrupted by a pause, and to the old container as it
//! was, healthy or not.

use anyhow::ensure;
use serde_json::json;
use testbed::eventually;
use wharf::v1::{
    ContainerSpec, FailureAction, HealthGate, HostState, PauseCause, Rollout, RolloutPolicy,
    RolloutSpec, RolloutState, RolloutStep,
};

use super::scene::{Scene, careful, millis, told};
use crate::support::HOSTS;

/// Runs, unless its host is broken, and takes until the gate is open to stop.
const STOPS_LATE: &str = "test -e /gate/broken && exit 3; \
                          trap 'until test -e /gate/open; do sleep 0.1; done; exit 0' TERM; \
                          while :; do sleep 0.1; done";

fn shell(line: &str) -> Vec<String> {
    ["/bin/sh", "-c", line].map(str::to_owned).to_vec()
}

/// A rollout that fails on its last host, and whose containers stop when a test lets them.
async fn turns_back(scene: &Scene, rollback_parallel: &str) -> anyhow::Result<RolloutSpec> {
    scene.put(&["gamma"], "broken")?;
    let policy = RolloutPolicy {
        on_failure: FailureAction::Rollback.into(),
        rollback_parallel: rollback_parallel.to_owned(),
        stop_timeout: millis(80_000),
        ..careful()
    };
    let set = ContainerSpec { command: shell(STOPS_LATE), ..Default::default() };
    Ok(RolloutSpec { set: Some(set), ..scene.spec_with("v2", policy).await? })
}

fn states(rollout: &Rollout) -> Vec<HostState> {
    rollout.steps.iter().map(RolloutStep::state).collect()
}

#[tokio::test]
async fn as_many_hosts_go_back_at_once_as_the_policy_says() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    let id = scene.begin(turns_back(&scene, "2").await?).await?.id;
    let both = |rollout: &Rollout| states(rollout)[..2] == [HostState::RollingBack; 2];
    let rollout = scene.until(&id, "two hosts on their way back", both).await?;
    assert_eq!(rollout.state(), RolloutState::RollingBack, "{}", told(&rollout));
    let [alpha, beta, _] = scene.found().await?;
    for (found, old) in [(alpha, &before[0]), (beta, &before[1])] {
        assert_eq!((found[0].status.as_str(), found[1].status.as_str()), ("running", "exited"));
        assert_eq!((&found[0].name, &found[1].id), (&scene.name, &old.id));
    }
    scene.put(&HOSTS, "open")?;
    let rollout = scene.end(&id).await?;
    assert_eq!(rollout.state(), RolloutState::RolledBack, "{}", told(&rollout));
    scene.check_restored(&before).await
}

#[tokio::test]
async fn a_pause_holds_the_way_back_after_the_host_at_work() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    let id = scene.begin(turns_back(&scene, "").await?).await?.id;
    let (updated, back) = (HostState::Updated, HostState::RolledBack);
    // One at a time, as forwards; what was replaced last is the first to go.
    let begun = |rollout: &Rollout| states(rollout)[1] == HostState::RollingBack;
    let rollout = scene.until(&id, "a host on its way back", begun).await?;
    assert_eq!(states(&rollout)[0], updated, "{}", told(&rollout));
    scene.cli(&["pause", &id]).await?.expect(0)?;
    let paused = |rollout: &Rollout| rollout.state() == RolloutState::Paused;
    let rollout = scene.until(&id, "the pause", paused).await?;
    assert_eq!(rollout.pause_cause(), PauseCause::User, "{}", told(&rollout));
    assert_eq!(states(&rollout)[1], HostState::RollingBack, "{}", told(&rollout));

    scene.put(&HOSTS, "open")?;
    let rollout = scene.end(&id).await?;
    assert_eq!(rollout.pause_cause(), PauseCause::User, "{}", told(&rollout));
    assert_eq!(states(&rollout), [updated, back, HostState::Restored], "{}", told(&rollout));
    let [alpha, beta, gamma] = scene.found().await?;
    assert_eq!((alpha.len(), &alpha[1].id), (2, &before[0].id), "{alpha:#?}");
    for (found, old) in [(beta, &before[1]), (gamma, &before[2])] {
        assert_eq!((found.len(), &found[0].id), (1, &old.id), "{found:#?}");
        assert_eq!(found[0].status, "running");
    }

    scene.cli(&["resume", &id]).await?.expect(0)?;
    let rollout = scene.end(&id).await?;
    assert_eq!(rollout.state(), RolloutState::RolledBack, "{}", told(&rollout));
    assert_eq!(states(&rollout), [back, back, HostState::Restored], "{}", told(&rollout));
    scene.check_restored(&before).await
}

/// Rollouts that fail before the old container is stopped, and after; each puts back what was
/// there, and leaves nothing to a person.
async fn is_put_back(scene: &Scene) -> anyhow::Result<()> {
    let before = scene.alone().await?;
    let everywhere = RolloutPolicy {
        max_parallel: "100%".to_owned(),
        health: HealthGate::Running.into(),
        probe: None,
        min_healthy_time: millis(100_000),
        ..careful()
    };
    let fails_to_drain = RolloutPolicy { drain: shell("exit 1"), ..everywhere.clone() };
    for (policy, line) in [(fails_to_drain, "exec /bin/web"), (everywhere, "exit 3")] {
        let set = Some(ContainerSpec { command: shell(line), ..Default::default() });
        let rollout =
            scene.carry_out(RolloutSpec { set, ..scene.spec_with("v2", policy).await? }).await?;
        assert_eq!(rollout.pause_cause(), PauseCause::Budget, "{}", told(&rollout));
        assert_eq!(states(&rollout), [HostState::Restored; 3], "{}", told(&rollout));
        scene.check_restored(&before).await?;
        scene.cli(&["abort", &rollout.id]).await?.expect(0)?;
    }
    Ok(())
}

#[tokio::test]
async fn an_old_container_that_was_restarted_before_is_put_back() -> anyhow::Result<()> {
    let scene = Scene::start_as("v1", |_, body| {
        body["Cmd"] = json!(shell("test -e /gate/up || exit 1; exec /bin/web"));
        body["HostConfig"]["RestartPolicy"]["Name"] = "always".into();
    })
    .await?;
    let restarted = async |up: bool| {
        eventually("restarts", async || {
            let found = scene.read(["/RestartCount", "/State/Status"]).await?;
            let are = found.iter().all(|[restarts, status]| {
                restarts.as_i64().is_some_and(|it| it > 0) && (!up || status == "running")
            });
            ensure!(are, "{found:?}");
            Ok(())
        })
        .await
    };
    restarted(false).await?;
    scene.put(&HOSTS, "up")?;
    restarted(true).await?;
    is_put_back(&scene).await
}

#[tokio::test]
async fn an_old_container_that_was_unhealthy_before_is_put_back() -> anyhow::Result<()> {
    let scene = Scene::empty().await?;
    scene.put(&HOSTS, "sick")?;
    scene.run("v5", |_, _| {}).await?;
    eventually("bad health", async || {
        let found = scene.read(["/State/Health/Status"]).await?;
        ensure!(found.iter().all(|[health]| health == "unhealthy"), "{found:?}");
        Ok(())
    })
    .await?;
    is_put_back(&scene).await
}
