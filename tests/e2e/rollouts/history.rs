//! How many rollouts that have ended are remembered.

use anyhow::ensure;
use testbed::{WharfdOptions, eventually};
use tonic::Code;
use wharf::v1::{
    ContainerSpec, ListRolloutsRequest, Rollout, RolloutPolicy, RolloutSpec, RolloutState,
    UndoRolloutRequest,
};

use super::scene::{Scene, quick, refusal, told};
use crate::support::{Server, hosts};

/// The fewest that can be asked for.
const HISTORY: usize = 10;

async fn carried_out(scene: &Scene, spec: RolloutSpec) -> anyhow::Result<String> {
    let rollout = scene.carry_out(spec).await?;
    ensure!(rollout.state() == RolloutState::Succeeded, "{}", told(&rollout));
    Ok(rollout.id)
}

/// Waits until those are remembered that should be, the newest first.
async fn remembered(scene: &Scene, expected: &[&String]) -> anyhow::Result<()> {
    eventually("the history", async || {
        let mut rollouts = Server::of(&scene.world.wharfd).await?.rollouts();
        let list = rollouts.list_rollouts(ListRolloutsRequest::default()).await?.into_inner();
        let found: Vec<_> = list.rollouts.iter().map(|rollout| &rollout.id).collect();
        ensure!(found == expected, "{found:#?} and not {expected:#?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_newest_are_remembered_and_those_that_can_be_taken_back() -> anyhow::Result<()> {
    let arguments = ["--no-local", "--rollout-history", &HISTORY.to_string()];
    let arguments = Some(arguments.map(str::to_owned).to_vec());
    let scene = Scene::start_with(WharfdOptions { arguments, ..Default::default() }).await?;
    let before = scene.alone().await?;
    let kept = carried_out(&scene, scene.spec("v2").await?).await?;

    // Each changes something on one host, and keeps nothing of what it replaced.
    let busy = scene.another().await?;
    let mut changes = Vec::new();
    for run in 0..=HISTORY {
        let env = vec![format!("RUN={run}")];
        let policy = RolloutPolicy { keep_old: Some(0), ..quick() };
        let spec = RolloutSpec {
            image: String::new(),
            targets: hosts(&["alpha"]),
            set: Some(ContainerSpec { env, ..Default::default() }),
            ..busy.spec_with("v1", policy).await?
        };
        changes.push(carried_out(&busy, spec).await?);
    }
    // The first is forgotten, and the oldest of all is not: its old containers are there.
    let newest: Vec<_> = changes[1..].iter().rev().chain([&kept]).collect();
    remembered(&scene, &newest).await?;
    let gone = UndoRolloutRequest { id: changes[0].clone(), ..Default::default() };
    let status = scene.world.server.rollouts().undo_rollout(gone).await.unwrap_err();
    let (code, reason, message) = refusal(&status);
    assert_eq!((code, reason.as_str()), (Code::NotFound, "ROLLOUT_NOT_FOUND"), "{message}");

    // Those that find nothing to do push no others out.
    let mut idle = Vec::new();
    for _ in 0..=HISTORY {
        idle.push(carried_out(&scene, scene.spec("v2").await?).await?);
    }
    let all: Vec<_> = idle[1..].iter().rev().chain(newest.iter().copied()).collect();
    remembered(&scene, &all).await?;
    scene.world.wharfd.restart().await?;
    remembered(&scene, &all).await?;

    let mut rollouts = Server::of(&scene.world.wharfd).await?.rollouts();
    let undo = UndoRolloutRequest { id: kept.clone(), policy: Some(quick()), ..Default::default() };
    let undo = rollouts.undo_rollout(undo).await?.into_inner().rollout.unwrap_or_default().id;
    let done = eventually("the end of the undo", async || {
        let get = wharf::v1::GetRolloutRequest { id: undo.clone(), ..Default::default() };
        let rollout: Rollout =
            rollouts.get_rollout(get).await?.into_inner().rollout.unwrap_or_default();
        ensure!(rollout.state() >= RolloutState::Succeeded, "{}", told(&rollout));
        Ok(rollout)
    })
    .await?;
    assert_eq!(done.state(), RolloutState::Succeeded, "{}", told(&done));
    for (found, before) in scene.found().await?.iter().zip(&before) {
        assert_eq!((&found[0].id, found[0].status.as_str()), (&before.id, "running"));
    }
    // What was taken back needs to be remembered no more; nor does what it pushed out.
    let all: Vec<_> = [&undo]
        .into_iter()
        .chain(idle[1..].iter().rev())
        .chain(changes[2..].iter().rev())
        .collect();
    remembered(&scene, &all).await
}
