//! Commands for rollouts: pause, resume, abort; and the exclusion of concurrent rollouts.

use tonic::Code;
use wharf::v1::{
    AbortRolloutRequest, CreateRolloutRequest, FailureAction, HostStep, PauseCause,
    PauseRolloutRequest, PromoteRolloutRequest, ResumeRolloutRequest, Rollout, RolloutPolicy,
    RolloutState,
};

use super::scene::{Scene, held, refusal, told};
use crate::support::{HOSTS, all, hosts};

/// Waits until the first host is at its gate.
async fn at_the_gate(scene: &Scene, id: &str) -> anyhow::Result<Rollout> {
    let is_there = |rollout: &Rollout| rollout.steps[0].step() == HostStep::Gate;
    scene.until(id, "the gate of the first host", is_there).await
}

#[tokio::test]
async fn a_pause_lets_the_host_at_work_end_and_begins_no_other() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    let id = scene.begin(scene.spec_with("v2", held()).await?).await?.id;
    let rollout = at_the_gate(&scene, &id).await?;
    let mut rollouts = scene.world.server.rollouts();

    // Only by whoever saw it last.
    let revision = rollout.revision;
    let stale = PauseRolloutRequest {
        id: id.clone(),
        expected_revision: revision - 1,
        ..Default::default()
    };
    let (code, reason, message) = refusal(&rollouts.pause_rollout(stale).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (Code::Aborted, "REVISION_CHANGED"), "{message}");
    // There is no canary to promote.
    let promote = PromoteRolloutRequest { id: id.clone(), ..Default::default() };
    let (code, reason, _) = refusal(&rollouts.promote_rollout(promote).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (Code::FailedPrecondition, "ROLLOUT_STATE"));
    scene.cli(&["pause", &scene.name]).await?.expect(0)?;
    let paused = |rollout: &Rollout| rollout.state() == RolloutState::Paused;
    let rollout = scene.until(&id, "the pause", paused).await?;
    assert_eq!(rollout.pause_cause(), PauseCause::User);
    // A second wish for the same is no error.
    rollouts.pause_rollout(PauseRolloutRequest { id: id.clone(), ..Default::default() }).await?;

    scene.put(&HOSTS, "open")?;
    let rollout = scene.end(&id).await?;
    assert_eq!(rollout.pause_cause(), PauseCause::User, "{}", told(&rollout));
    scene.check(&rollout, &before, "v2", &["alpha"]).await?;

    let expected_revision = rollout.revision;
    let resume = ResumeRolloutRequest { id: id.clone(), expected_revision, ..Default::default() };
    rollouts.resume_rollout(resume).await?;
    let rollout = scene.end(&id).await?;
    assert_eq!(rollout.state(), RolloutState::Succeeded, "{}", told(&rollout));
    scene.check(&rollout, &before, "v2", &HOSTS).await?;

    // What has ended is not steered any longer.
    let resume = ResumeRolloutRequest { id: id.clone(), ..Default::default() };
    let (code, reason, message) = refusal(&rollouts.resume_rollout(resume).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (Code::FailedPrecondition, "ROLLOUT_ENDED"));
    assert!(message.contains("has ended") && message.contains("wharf rollout show"), "{message}");
    let abort = AbortRolloutRequest { id, ..Default::default() };
    let (_, reason, _) = refusal(&rollouts.abort_rollout(abort).await.unwrap_err());
    assert_eq!(reason, "ROLLOUT_ENDED");
    Ok(())
}

#[tokio::test]
async fn an_abort_in_the_middle_leaves_the_mix_and_says_so() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    scene.put(&["alpha"], "open")?;
    let id = scene.begin(scene.spec_with("v2", held()).await?).await?.id;
    let is_there = |rollout: &Rollout| rollout.steps[1].step() == HostStep::Gate;
    scene.until(&id, "the gate of the second host", is_there).await?;
    scene.cli(&["abort", &id[..8]]).await?.expect(0)?;
    let aborting = |rollout: &Rollout| rollout.state() == RolloutState::Aborting;
    scene.until(&id, "the abort", aborting).await?;
    scene.put(&["beta"], "open")?;
    let rollout = scene.end(&id).await?;
    assert_eq!(rollout.state(), RolloutState::Aborted, "{}", told(&rollout));
    scene.check(&rollout, &before, "v2", &["alpha", "beta"]).await?;
    let counts = rollout.counts.unwrap_or_default();
    assert_eq!((counts.succeeded, counts.waiting, counts.failed), (2, 1, 0));
    let watched = scene.cli(&["watch", &id]).await?.expect(1)?;
    assert!(watched.stdout.contains("was aborted with 2 of 3 hosts on the new version"));
    Ok(())
}

/// A pipeline that runs twice while the first rollout is in the gate must not be told that its
/// version is there: the first rollout may yet be rolled back.
#[tokio::test]
async fn a_container_that_a_rollout_is_changing_is_never_up_to_date() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    let policy = RolloutPolicy { on_failure: FailureAction::Rollback.into(), ..held() };
    let first = scene.begin(scene.spec_with("v2", policy).await?).await?;
    at_the_gate(&scene, &first.id).await?;
    // What runs on alpha has the image of v2 already; gamma waits for its turn with that of v1.
    for (version, targets) in [
        ("v2", hosts(&["alpha"])),
        ("v2", all()),
        ("v1", hosts(&["gamma"])),
        ("v1", hosts(&["beta", "gamma"])),
    ] {
        let mut spec = scene.spec(version).await?;
        spec.targets = targets;
        let status = scene.begin(spec.clone()).await.unwrap_err();
        let (code, reason, message) = refusal(&status);
        assert_eq!((code, &*reason), (Code::FailedPrecondition, "ROLLOUT_ACTIVE"), "{message}");
        assert!(message.contains(&first.id[..8]), "{message}");
        let request =
            CreateRolloutRequest { spec: Some(spec), validate_only: true, ..Default::default() };
        let status = scene.world.server.rollouts().create_rollout(request).await.unwrap_err();
        assert_eq!(refusal(&status).1, "ROLLOUT_ACTIVE", "a plan");
    }
    scene
        .world
        .server
        .rollouts()
        .abort_rollout(AbortRolloutRequest { id: first.id.clone(), ..Default::default() })
        .await?;
    scene.put(&["alpha"], "open")?;
    let ended = scene.end(&first.id).await?;
    scene.check(&ended, &before, "v2", &["alpha"]).await?;
    // Now it is so.
    let mut again = scene.spec("v2").await?;
    again.targets = hosts(&["alpha"]);
    let again = scene.carry_out(again).await?;
    assert_eq!(again.state(), RolloutState::Succeeded, "{}", told(&again));
    Ok(())
}

#[tokio::test]
async fn one_rollout_at_most_works_on_a_container_of_a_host() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let other = scene.another().await?;
    let before = scene.alone().await?;
    let mut spec = scene.spec_with("v2", held()).await?;
    spec.targets = hosts(&["alpha", "beta"]);
    let request_id = uuid::Uuid::new_v4().to_string();
    let request =
        CreateRolloutRequest { spec: Some(spec.clone()), request_id, ..Default::default() };
    let mut rollouts = scene.world.server.rollouts();
    let first = rollouts.create_rollout(request.clone()).await?.into_inner().rollout;
    let first = first.unwrap_or_default();

    // The same request is the same rollout; another one under its ID is refused.
    let again = rollouts.create_rollout(request.clone()).await?.into_inner().rollout;
    assert_eq!(again.unwrap_or_default().id, first.id);
    let mut different = request;
    different.spec.get_or_insert_default().image = scene.image("v5").await?;
    let (code, reason, _) = refusal(&rollouts.create_rollout(different).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (Code::AlreadyExists, "REQUEST_ID_REUSED"));

    // One host in common is enough, and is named with the first rollout.
    let mut second = scene.spec("v5").await?;
    second.targets = hosts(&["beta", "gamma"]);
    let status = scene.begin(second.clone()).await.unwrap_err();
    let (code, reason, message) = refusal(&status);
    assert_eq!((code, reason.as_str()), (Code::FailedPrecondition, "ROLLOUT_ACTIVE"));
    assert!(message.contains("beta") && message.contains(&first.id[..8]), "{message}");
    let info = tonic_types::StatusExt::get_error_details(&status);
    let info = info.error_info().map(|info| info.metadata.clone()).unwrap_or_default();
    assert_eq!(info.get("rollout"), Some(&first.id));
    let image = scene.image("v5").await?;
    let refused = scene.cli(&["start", &scene.name, "-H", "beta", "--image", &image]).await?;
    assert!(refused.expect(2)?.stderr.contains(&first.id[..8]));

    // Other hosts, and other containers on the same hosts, are free.
    second.targets = hosts(&["gamma"]);
    let on_gamma = scene.carry_out(second.clone()).await?;
    assert_eq!(on_gamma.state(), RolloutState::Succeeded, "{}", told(&on_gamma));
    let beside = other.carry_out(other.spec("v2").await?).await?;
    assert_eq!(beside.state(), RolloutState::Succeeded, "{}", told(&beside));

    // The hosts are free again when it has ended.
    scene.put(&HOSTS, "open")?;
    let first = scene.end(&first.id).await?;
    assert_eq!(first.state(), RolloutState::Succeeded, "{}", told(&first));
    let [alpha, _, _] = scene.found().await?;
    assert_eq!(alpha[1].id, before[0].id);
    second.targets = hosts(&["beta"]);
    let after = scene.carry_out(second).await?;
    assert_eq!(after.state(), RolloutState::Succeeded, "{}", told(&after));
    Ok(())
}
