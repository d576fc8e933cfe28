//! How long an old container is kept, and what an undo does if it is gone.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use testbed::{Engine, Fleet, Image, eventually};
use wharf::v1::{AbortRolloutRequest, Promote, PromoteRolloutRequest, RolloutSpec, RolloutState};

use super::bench::{Bench, backup, told};

/// A rollout that keeps so many.
fn keeping(bench: &Bench, image: &str, count: u32) -> RolloutSpec {
    let mut spec = bench.spec(image);
    spec.policy.get_or_insert_default().keep_old = Some(count);
    spec
}

/// The same, which waits for somebody after its first host.
fn with_canary(mut spec: RolloutSpec) -> RolloutSpec {
    let policy = spec.policy.get_or_insert_default();
    policy.canary = "1".to_owned();
    policy.promote = Promote::Manual.into();
    spec
}

/// Waits until a host has these containers and no others.
async fn until_names(bench: &Bench, host: usize, expected: &[String]) -> anyhow::Result<()> {
    eventually("the containers that are kept", async || {
        let names = bench.names(host).await?;
        ensure!(names == expected, "{names:?} and not {expected:?}");
        Ok(())
    })
    .await
}

fn sorted<const N: usize>(names: [&str; N]) -> Vec<String> {
    let mut names = names.map(str::to_owned).to_vec();
    names.sort();
    names
}

#[tokio::test]
async fn none_is_kept_beyond_the_end_and_an_undo_makes_it_anew() -> anyhow::Result<()> {
    let bench = Bench::new(1).await?;
    let v1 = bench.image("v1", &Image::new("v1")).await?;
    let v2 = bench.image("v2", &Image::new("v2")).await?;
    let body = json!({
        "Image": v1,
        "Env": ["LEVEL=secret"],
        "Labels": {"tier": "web"},
        "Volumes": {"/data": {}},
        "Cmd": ["/bin/sh", "-c", "test -e /data/first || cat /version > /data/first; exec /bin/idle"],
        "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}},
    });
    bench.run(&body).await?;
    let old = bench.current().await?.remove(0);
    let done = bench.roll(keeping(&bench, &v2, 0)).await?;
    assert_eq!(done.state(), RolloutState::Succeeded, "{}", told(&done));
    until_names(&bench, 0, &sorted([bench.name()])).await?;
    let volume = old["Mounts"][0]["Name"].as_str().context("a volume")?;
    bench.scenes[0].engine.get(&format!("/volumes/{volume}")).await?;

    let undone = bench.undo(&done).await?;
    assert_eq!(undone.state(), RolloutState::Succeeded, "{}", told(&undone));
    let new = bench.current().await?.remove(0);
    assert_ne!(new["Id"], old["Id"]);
    assert_eq!((&new["Image"], &new["State"]["Running"]), (&old["Image"], &json!(true)));
    assert_eq!(new["Mounts"][0]["Name"], json!(volume));
    assert_eq!(new["HostConfig"]["RestartPolicy"], old["HostConfig"]["RestartPolicy"]);
    assert_eq!(new["Config"]["Env"], old["Config"]["Env"]);
    assert_eq!(new["Config"]["Cmd"], old["Config"]["Cmd"]);
    assert_eq!(new["Config"]["Labels"]["tier"], "web");
    // The undo keeps what the rollout that it takes back kept: nothing.
    until_names(&bench, 0, &sorted([bench.name()])).await
}

#[tokio::test]
async fn so_many_are_kept_and_nothing_that_is_somebodys_own_is_touched() -> anyhow::Result<()> {
    let bench = Bench::new(1).await?;
    let v1 = bench.image("v1", &Image::new("v1")).await?;
    let v2 = bench.image("v2", &Image::new("v2")).await?;
    let scene = &bench.scenes[0];
    scene.run(json!({"Image": v1})).await?;
    let foreign = format!("{}.old-0badcafe", bench.name());
    scene.create(&foreign, json!({"Image": v1})).await?;

    let first = bench.roll(keeping(&bench, &v2, 2)).await?;
    let second = bench.roll(keeping(&bench, &v1, 2)).await?;
    let third = bench.roll(keeping(&bench, &v2, 2)).await?;
    let (first, second, third) = (backup(&first), backup(&second), backup(&third));
    until_names(&bench, 0, &sorted([bench.name(), &foreign, &second, &third])).await?;
    assert!(scene.engine.container(&first).await?.is_none());

    // One gets another name and one is started: both are in use now.
    let own = scene.other("own");
    scene.engine.post(&format!("/containers/{second}/rename?name={own}"), None).await?;
    scene.start(&third).await?;
    let fourth = bench.roll(keeping(&bench, &v1, 0)).await?;
    assert_eq!(fourth.state(), RolloutState::Succeeded, "{}", told(&fourth));
    // Oldest first: when the newest is gone, the others have been looked at.
    until_names(&bench, 0, &sorted([bench.name(), &foreign, &own, &third])).await?;
    let third = scene.inspect(&third).await?;
    assert_eq!(third["State"]["Running"], true);
    Ok(())
}

#[tokio::test]
async fn while_a_rollout_is_open_its_old_containers_stay() -> anyhow::Result<()> {
    let bench = Bench::new(2).await?;
    let v1 = bench.image("v1", &Image::new("v1")).await?;
    let v2 = bench.image("v2", &Image::new("v2")).await?;
    bench.run(&json!({"Image": v1})).await?;
    let first = bench.roll(keeping(&bench, &v2, 1)).await?;
    let second = bench.roll(with_canary(keeping(&bench, &v1, 0))).await?;
    assert_eq!(second.state(), RolloutState::Paused, "{}", told(&second));
    // A server that starts again knows of both, and of the open one.
    bench.wharfd.restart().await?;
    let all = sorted([bench.name(), &backup(&first), &backup(&second)]);
    assert_eq!(bench.names(0).await?, all);

    let request = AbortRolloutRequest { id: second.id.clone(), ..Default::default() };
    bench.rollouts().await?.abort_rollout(request).await?;
    until_names(&bench, 0, &sorted([bench.name()])).await?;
    // The other host was not part of it any longer.
    assert_eq!(bench.names(1).await?, sorted([bench.name(), &backup(&first)]));
    Ok(())
}

#[tokio::test]
async fn a_host_that_was_away_is_looked_at_when_it_is_back() -> anyhow::Result<()> {
    // The Engine that goes away is this test's own; what is left of it goes with the process.
    let own: &'static Engine = Box::leak(Box::new(Engine::start().await?));
    let shared = &Fleet::shared().await?.engines[0];
    let bench = Bench::on([own, shared]).await?;
    let v1 = bench.image("v1", &Image::new("v1")).await?;
    let v2 = bench.image("v2", &Image::new("v2")).await?;
    bench.run(&json!({"Image": v1, "HostConfig": {"RestartPolicy": {"Name": "always"}}})).await?;
    let mut spec = with_canary(bench.spec(&v2));
    spec.policy.get_or_insert_default().keep_old_for = Some(prost_types::Duration::default());
    let rollout = bench.roll(spec).await?;
    assert_eq!(rollout.state(), RolloutState::Paused, "{}", told(&rollout));
    own.kill();
    let request = PromoteRolloutRequest { id: rollout.id.clone(), ..Default::default() };
    bench.rollouts().await?.promote_rollout(request).await?;
    let done = bench.rest(&rollout.id).await?;
    assert_eq!(done.state(), RolloutState::Succeeded, "{}", told(&done));
    until_names(&bench, 1, &sorted([bench.name()])).await?;

    // What is left to do outlives the server.
    bench.wharfd.restart().await?;
    own.restart().await?;
    until_names(&bench, 0, &sorted([bench.name()])).await?;
    let new: Value = bench.scenes[0].inspect(bench.name()).await?;
    assert_eq!(new["Config"]["Image"], json!(v2));
    own.kill();
    Ok(())
}

#[tokio::test]
async fn c35_a_backup_takes_its_place_again_without_the_name_of_its_image() -> anyhow::Result<()> {
    let bench = Bench::new(1).await?;
    let v1 = bench.image("v1", &Image::new("v1")).await?;
    let v2 = bench.image("v2", &Image::new("v2")).await?;
    bench.run(&json!({"Image": v1})).await?;
    let old = bench.current().await?.remove(0);
    let done = bench.upgrade(&v2).await?;
    let engine = bench.scenes[0].engine;
    engine.delete(&format!("/images/{v1}?force=1")).await?;
    assert!(engine.image(&v1).await?.is_none());
    let undone = bench.undo(&done).await?;
    assert_eq!(undone.state(), RolloutState::Succeeded, "{}", told(&undone));
    let back = bench.current().await?.remove(0);
    assert_eq!((&back["Id"], &back["State"]["Running"]), (&old["Id"], &json!(true)));
    Ok(())
}
