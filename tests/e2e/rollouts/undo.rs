//! Undo: of a finished rollout, of a partly finished one, of an undo, and of one that changed
//! nothing.

use anyhow::Context;
use tonic::Code;
use wharf::v1::{
    AbortRolloutRequest, ContainerSpec, FailureAction, HostState, HostStep, Rollout, RolloutAction,
    RolloutPolicy, RolloutSpec, RolloutState, UndoRolloutRequest,
};

use super::scene::{Scene, careful, held, refusal, told};
use crate::support::HOSTS;

async fn undo(scene: &Scene, id: &str) -> Result<Rollout, tonic::Status> {
    let request = UndoRolloutRequest { id: id.to_owned(), ..Default::default() };
    let answer = scene.world.server.rollouts().undo_rollout(request).await?.into_inner();
    Ok(answer.rollout.unwrap_or_default())
}

/// IDs of the container that serves and of the one that is kept, on each host.
async fn pairs(scene: &Scene) -> anyhow::Result<[(String, String); 3]> {
    let found = scene.found().await?;
    for found in &found {
        assert!(found.len() == 2 && found[0].status == "running", "{found:#?}");
        assert!(found[1].status == "exited" && found[1].restart == "no", "{found:#?}");
        assert_eq!(found[0].restart, "unless-stopped");
    }
    Ok(found.map(|found| (found[0].id.clone(), found[1].id.clone())))
}

#[tokio::test]
async fn kept_containers_take_their_place_again_and_again() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let rollout = scene.carry_out(scene.spec("v2").await?).await?;
    assert_eq!(rollout.state(), RolloutState::Succeeded, "{}", told(&rollout));
    let on_v2 = pairs(&scene).await?;

    // What it would do changes nothing.
    let plan = scene.cli(&["undo", &scene.name, "--plan"]).await?.expect(0)?;
    assert!(HOSTS.iter().all(|host| plan.stdout.contains(host)), "{}", plan.stdout);
    assert_eq!(pairs(&scene).await?, on_v2);

    let undone = scene.cli(&["undo", &scene.name]).await?.expect(0)?;
    let last = undone.stdout.lines().last().context("a last line")?;
    assert!(
        last.contains(&format!("(undo of {}) succeeded on 3 hosts", &rollout.id[..8])),
        "{last}"
    );
    let swapped = on_v2.clone().map(|(new, old)| (old, new));
    assert_eq!(pairs(&scene).await?, swapped);
    let id = last.split(':').next().unwrap_or_default();
    let back = scene.get(id).await?;
    // What was replaced last goes back first.
    let waves = &back.plan.as_ref().context("a plan")?.waves;
    assert_eq!(waves[0].hosts, ["gamma", "beta", "alpha"]);
    assert_eq!(back.undo_of, rollout.id);

    // The undo is a rollout and is undone like one.
    let again = scene.end(&undo(&scene, id).await?.id).await?;
    assert_eq!(again.state(), RolloutState::Succeeded, "{}", told(&again));
    assert_eq!(pairs(&scene).await?, on_v2);
    Ok(())
}

#[tokio::test]
async fn what_is_partly_done_is_undone_where_it_is() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    scene.put(&["alpha"], "open")?;
    let id = scene.begin(scene.spec_with("v2", held()).await?).await?.id;
    let is_there = |rollout: &Rollout| rollout.steps[1].step() == HostStep::Gate;
    scene.until(&id, "the gate of the second host", is_there).await?;
    // Not before it has ended.
    let (code, reason, message) = refusal(&undo(&scene, &id).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (Code::FailedPrecondition, "ROLLOUT_STATE"), "{message}");
    let abort = AbortRolloutRequest { id: id.clone(), ..Default::default() };
    scene.world.server.rollouts().abort_rollout(abort).await?;
    scene.put(&HOSTS, "open")?;
    let rollout = scene.end(&id).await?;
    assert_eq!(rollout.state(), RolloutState::Aborted, "{}", told(&rollout));

    // On one of the two hosts the kept container is gone.
    let kept = format!("{}.old-{}", scene.name, &id[..8]);
    scene.engine("alpha").delete(&format!("/containers/{kept}")).await?;
    let back = undo(&scene, &id).await?;
    let plan = back.plan.clone().context("a plan")?;
    let actions: Vec<_> =
        plan.hosts.iter().map(|host| (host.host.as_str(), host.action())).collect();
    let expected = [
        ("alpha", RolloutAction::Replace),
        ("beta", RolloutAction::Adopt),
        ("gamma", RolloutAction::Skip),
    ];
    assert_eq!(actions, expected);
    let back = scene.end(&back.id).await?;
    assert_eq!(back.state(), RolloutState::Succeeded, "{}", told(&back));
    let [alpha, beta, gamma] = scene.found().await?;
    let v1 = scene.image("v1").await?;
    let made = scene.engine("alpha").container(&alpha[0].id).await?.context("it is there")?;
    // The tag might mean another image by now: it is made from that of the old one, and by its
    // name where that is the same.
    let v1_id = scene.engine("alpha").image(&v1).await?.context("v1 is there")?["Id"].clone();
    assert_eq!((&made["Image"], &made["Config"]["Image"]), (&v1_id, &v1.into()));
    assert!(alpha[0].id != before[0].id && alpha[0].status == "running", "{alpha:#?}");
    assert_eq!((&beta[0].id, beta[0].status.as_str()), (&before[1].id, "running"));
    assert_eq!(gamma, std::slice::from_ref(&before[2]));

    // Not while another one works on the container.
    scene.take(&HOSTS, "open")?;
    let other = scene.begin(scene.spec_with("v2", held()).await?).await?.id;
    let refused = refusal(&undo(&scene, &id).await.unwrap_err());
    assert_eq!((refused.0, refused.1.as_str()), (Code::FailedPrecondition, "ROLLOUT_ACTIVE"));
    assert!(refused.2.contains(&other[..8]), "{}", refused.2);
    scene.put(&HOSTS, "open")?;
    let other = scene.end(&other).await?;
    assert_eq!(other.state(), RolloutState::Succeeded, "{}", told(&other));
    Ok(())
}

#[tokio::test]
async fn hosts_that_somebody_changed_are_left_and_the_others_undone() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    let set = ContainerSpec { env: vec!["LEVEL=debug".to_owned()], ..Default::default() };
    let spec = RolloutSpec { set: Some(set), ..scene.spec("v2").await? };
    let rollout = scene.carry_out(spec).await?;
    assert_eq!(rollout.state(), RolloutState::Succeeded, "{}", told(&rollout));
    // Gone on one host, taken back by hand on another, as docs/rollout.md says.
    let (name, kept) = (&scene.name, format!("{}.old-{}", scene.name, &rollout.id[..8]));
    scene.engine("alpha").delete(&format!("/containers/{name}?force=1")).await?;
    let beta = scene.engine("beta");
    beta.post(&format!("/containers/{name}/stop?t=1"), None).await?;
    beta.post(&format!("/containers/{name}/rename?name={name}.bad"), None).await?;
    beta.post(&format!("/containers/{kept}/rename?name={name}"), None).await?;
    beta.post(&format!("/containers/{name}/start"), None).await?;

    let back = undo(&scene, &rollout.id).await?;
    let plan = back.plan.clone().context("a plan")?;
    let [alpha, beta, gamma] = &plan.hosts[..] else { anyhow::bail!("{plan:?}") };
    assert_eq!((alpha.action(), beta.action()), (RolloutAction::Skip, RolloutAction::Skip));
    assert!(alpha.skip_reason.contains("it no longer has a container"), "{}", alpha.skip_reason);
    assert!(beta.skip_reason.contains("already runs the container"), "{}", beta.skip_reason);
    // Every difference is told, not only the image.
    let [v1, v2] = [scene.image("v1").await?, scene.image("v2").await?];
    let image = format!("image: {v2:?} -> {v1:?}");
    assert_eq!(gamma.diff, ["env.LEVEL: (hidden) -> none", &image]);
    let back = scene.end(&back.id).await?;
    assert_eq!(back.state(), RolloutState::Succeeded, "{}", told(&back));
    let found = scene.found().await?;
    assert!(found[0].iter().all(|it| it.name != *name), "{:#?}", found[0]);
    for (found, before) in found[1..].iter().zip(&before[1..]) {
        assert_eq!((&found[0].id, found[0].status.as_str()), (&before.id, "running"));
    }

    // Nothing of it is left to undo.
    let (_, reason, message) = refusal(&undo(&scene, &rollout.id).await.unwrap_err());
    assert_eq!(reason, "PLAN_REFUSED");
    let lines: Vec<_> = message.lines().collect();
    assert!(lines.len() == 2 && lines[1].starts_with("beta, gamma: "), "{message}");
    Ok(())
}

#[tokio::test]
async fn what_was_rolled_back_leaves_nothing_to_undo() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    scene.put(&["beta"], "broken")?;
    let policy = RolloutPolicy { on_failure: FailureAction::Rollback.into(), ..careful() };
    let rollout = scene.carry_out(scene.spec_with("v2", policy).await?).await?;
    assert_eq!(rollout.state(), RolloutState::RolledBack, "{}", told(&rollout));
    let states: Vec<_> = rollout.steps.iter().map(wharf::v1::RolloutStep::state).collect();
    assert_eq!(states[..2], [HostState::RolledBack, HostState::Restored]);
    scene.check_restored(&before).await?;
    let (code, reason, message) = refusal(&undo(&scene, &rollout.id).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (Code::FailedPrecondition, "PLAN_REFUSED"), "{message}");
    assert!(message.contains("nothing to undo"), "{message}");
    let by_name = scene.cli(&["undo", &scene.name]).await?.expect(2)?;
    assert!(by_name.stderr.contains("no rollout that can be undone"), "{by_name:?}");
    Ok(())
}
