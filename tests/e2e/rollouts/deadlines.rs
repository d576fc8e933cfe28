//! Deadlines: of a host, of the whole, and of a stop.

use std::sync::Arc;

use anyhow::Context;
use serde_json::json;
use testbed::{Image, Registry};
use wharf::v1::{
    FailureAction, HostState, PauseCause, ResumeRolloutRequest, Rollout, RolloutPolicy,
    RolloutState,
};

use super::scene::{Scene, held, millis, quick, told};
use crate::support::cut::Proxy;
use crate::support::{HOSTS, Recorder, hosts};

#[tokio::test]
async fn a_host_that_is_not_good_in_time_is_put_back() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    scene.put(&["alpha", "gamma"], "open")?;
    let policy = RolloutPolicy {
        max_parallel: "3".to_owned(),
        healthy_deadline: millis(1500),
        on_failure: FailureAction::Continue.into(),
        ..held()
    };
    let rollout = scene.carry_out(scene.spec_with("v2", policy).await?).await?;
    assert_eq!(rollout.state(), RolloutState::Failed, "{}", told(&rollout));
    let beta = rollout.steps[1].status.as_ref().context("a status")?;
    assert!(
        beta.message.contains("not healthy for long enough within 1s 500ms"),
        "{}",
        beta.message
    );
    let [alpha, beta, gamma] = scene.found().await?;
    assert_eq!([alpha.len(), beta.len(), gamma.len()], [2, 1, 2]);
    assert_eq!((&beta[0].id, beta[0].status.as_str()), (&before[1].id, "running"));
    Ok(())
}

#[tokio::test]
async fn a_standstill_pauses_the_rollout_and_hosts_at_work_come_to_their_end() -> anyhow::Result<()>
{
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    let drain = ["/bin/sh", "-c", "until test -e /gate/open; do sleep 0.1; done"];
    let policy = RolloutPolicy {
        drain: drain.map(str::to_owned).to_vec(),
        max_parallel: "3".to_owned(),
        healthy_deadline: millis(1000),
        progress_deadline: millis(2000),
        ..quick()
    };
    let id = scene.begin(scene.spec_with("v2", policy).await?).await?.id;
    let paused = |rollout: &Rollout| rollout.state() == RolloutState::Paused;
    let rollout = scene.until(&id, "the pause", paused).await?;
    assert_eq!(rollout.pause_cause(), PauseCause::Progress, "{}", told(&rollout));
    let why = rollout.reason.as_ref().context("a reason")?;
    assert_eq!(why.message, "no host finished for 2 seconds");
    scene.put(&HOSTS, "open")?;
    let rollout = scene.end(&id).await?;
    assert_eq!(rollout.pause_cause(), PauseCause::Progress, "{}", told(&rollout));
    scene.check(&rollout, &before, "v2", &HOSTS).await?;
    let request = ResumeRolloutRequest { id: id.clone(), ..Default::default() };
    scene.world.server.rollouts().resume_rollout(request).await?;
    let rollout = scene.end(&id).await?;
    assert_eq!(rollout.state(), RolloutState::Succeeded, "{}", told(&rollout));
    Ok(())
}

/// A container that ignores SIGTERM and would have an hour to end.
#[tokio::test]
async fn the_grace_period_is_the_containers_own_unless_one_is_set() -> anyhow::Result<()> {
    let scene = Scene::start_as("v1", |_, body| {
        body["Cmd"] = json!(["sleep", "100000"]);
        body["StopTimeout"] = 3600.into();
    })
    .await?;
    let recorder = Recorder::start(scene.engine("alpha")).await?;
    let add = wharf::v1::AddHostRequest {
        name: "recorded".to_owned(),
        address: recorder.address().to_owned(),
        insecure: true,
        ..Default::default()
    };
    scene.world.server.hosts().add_host(add).await?;
    let policy = RolloutPolicy { stop_timeout: millis(1000), ..quick() };
    let mut spec = scene.spec_with("v2", policy).await?;
    spec.targets = hosts(&["beta", "recorded"]);
    spec.unset = vec!["command".to_owned(), "stop_timeout".to_owned()];
    let rollout = scene.carry_out(spec).await?;
    assert_eq!(rollout.state(), RolloutState::Succeeded, "{}", told(&rollout));
    for host in ["alpha", "beta"] {
        let kept = format!("/containers/{}.old-{}/json", scene.name, &rollout.id[..8]);
        let kept = scene.engine(host).get(&kept).await?;
        assert_eq!(kept["State"]["ExitCode"], 137, "{host}");
    }
    let stops = || {
        let sent = recorder.sent();
        let lines = sent.lines().filter(|line| line.contains("/stop"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let told = stops();
    assert!(told.len() == 1 && told[0].contains("/stop?t=1 "), "{told:?}");

    let mut spec = scene.spec("v1").await?;
    spec.targets = hosts(&["recorded"]);
    let rollout = scene.carry_out(spec).await?;
    assert_eq!(rollout.state(), RolloutState::Succeeded, "{}", super::scene::told(&rollout));
    let told = stops();
    assert!(told.len() == 2 && told[1].contains("/stop "), "{told:?}");
    Ok(())
}

#[tokio::test]
async fn a_pull_that_stands_still_ends_before_a_container_is_touched() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    let registry = Arc::new(Registry::open().await?);
    let image = registry.reference("app:v2");
    let alpha = scene.engine("alpha");
    alpha.import(&image, &Image::new("stalled").command(&["/bin/web"])).await?;
    alpha.push(&image, None).await?;
    // The registry says what the image is, and nothing more once a host asks for it.
    let proxy = Proxy::start(scene.engine("beta")).await?;
    scene.world.server.add("behind", proxy.address()).await?;
    let stalls = Arc::clone(&registry);
    proxy.ahead(|line| line.contains("/images/create?"), async move |_| stalls.freeze());
    let mut spec = scene.spec("v2").await?;
    spec.image.clone_from(&image);
    spec.targets = hosts(&["behind"]);
    spec.policy.get_or_insert_default().pull_timeout = millis(1500);
    let id = scene.begin(spec).await?.id;
    let rollout = scene.end(&id).await?;
    assert_eq!(rollout.pause_cause(), PauseCause::Budget, "{}", told(&rollout));
    assert_eq!(rollout.steps[0].state(), HostState::Unchanged, "{}", told(&rollout));
    let why = rollout.steps[0].status.clone().unwrap_or_default().message;
    assert!(why.contains("no progress for 1s 500ms"), "{why}");
    assert_eq!(scene.alone().await?, before);

    registry.thaw();
    scene.cli(&["resume", &id, "--retry-failed"]).await?.expect(0)?;
    let rollout = scene.end(&id).await?;
    assert_eq!(rollout.state(), RolloutState::Succeeded, "{}", told(&rollout));
    let [alpha, beta, gamma] = scene.found().await?;
    assert_eq!((&beta[0].image, beta[0].status.as_str()), (&image, "running"), "{beta:#?}");
    assert_eq!(
        (&beta[1].id, alpha, gamma),
        (&before[1].id, before[..1].to_vec(), before[2..].to_vec())
    );
    Ok(())
}
