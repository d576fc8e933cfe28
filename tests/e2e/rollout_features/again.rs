//! A pipeline that requests the same rollout twice upgrades once, and succeeds twice.

use anyhow::Context;
use serde_json::{Value, json};
use testbed::Image;
use wharf::v1::{ContainerSpec, HostState, RolloutState};

use super::bench::{Bench, QUICK};

fn ids(containers: &[Value]) -> Vec<&Value> {
    containers.iter().map(|container| &container["Id"]).collect()
}

#[tokio::test]
async fn hosts_that_are_on_the_version_already_are_a_success() -> anyhow::Result<()> {
    let bench = Bench::new(3).await?;
    let v1 = bench.image("v1", &Image::new("v1")).await?;
    let v2 = bench.image("v2", &Image::new("v2")).await?;
    bench.run(&json!({"Image": v1})).await?;
    let start = [&["start", bench.name(), "--image", &v2, "-A", "-e", "LEVEL=1"], &QUICK[..]];
    let start = start.concat();
    bench.cli(&start).await?.expect(0)?;
    let after = bench.current().await?;

    let again = bench.cli(&start).await?.expect(0)?;
    let last = again.stdout.lines().last().context("a line")?;
    assert!(last.contains("changed nothing: all 3 hosts are already on this version"), "{last}");
    let after_again = bench.current().await?;
    assert_eq!(ids(&after_again), ids(&after));

    // The same in one answer, for programs, and for the eyes.
    let mut spec = bench.spec(&v2);
    let stored = bench.begin(spec.clone()).await?;
    assert_eq!(stored.state(), RolloutState::Succeeded);
    assert_eq!(stored.waves, 0);
    for step in &stored.steps {
        assert_eq!(step.state(), HostState::Skipped);
        assert_eq!(step.status.as_ref().map(|it| &*it.message), Some("already on this version"));
    }
    let counts = stored.counts.context("counts")?;
    assert_eq!((counts.total, counts.skipped, counts.failed), (0, 3, 0));
    let detached = bench.cli(&[&start[..], &["--detach"]].concat()).await?.expect(0)?;
    assert!(detached.stdout.contains("are already on this version"), "{detached:?}");
    let mut plan = start.clone();
    plan[0] = "plan";
    let plan = bench.cli(&plan).await?.expect(0)?;
    let line = "nothing to change: all 3 hosts are already on this version";
    assert!(plan.stdout.contains(line), "{plan:?}");

    // A change of settings alone is done once as well.
    spec.image.clear();
    spec.set = Some(ContainerSpec { env: vec!["LEVEL=1".to_owned()], ..Default::default() });
    let same = bench.begin(spec.clone()).await?;
    assert_eq!(same.state(), RolloutState::Succeeded);

    // A restart is never done already, and another value is another version.
    let name = bench.name();
    bench.cli(&[&["restart", name, "-A"], &QUICK[..]].concat()).await?.expect(0)?;
    let restarted = bench.current().await?;
    assert!(ids(&restarted).iter().zip(ids(&after)).all(|(new, old)| *new != old));
    Ok(())
}

#[tokio::test]
async fn a_host_that_lags_behind_is_the_only_one_that_is_touched() -> anyhow::Result<()> {
    let bench = Bench::new(3).await?;
    let v1 = bench.image("v1", &Image::new("v1")).await?;
    let v2 = bench.image("v2", &Image::new("v2")).await?;
    for (scene, image) in bench.scenes.iter().zip([&v2, &v1, &v2]) {
        scene.run(json!({"Image": image})).await?;
    }
    let before = bench.current().await?;
    let rollout = bench.upgrade(&v2).await?;
    let states: Vec<_> =
        rollout.steps.iter().map(|step| (step.host.as_str(), step.state())).collect();
    let expected = [
        ("beta", HostState::Updated),
        ("alpha", HostState::Skipped),
        ("gamma", HostState::Skipped),
    ];
    assert_eq!(states, expected);
    let after = bench.current().await?;
    assert_eq!((&after[0]["Id"], &after[2]["Id"]), (&before[0]["Id"], &before[2]["Id"]));
    assert_eq!(after[1]["Config"]["Image"], json!(v2));
    // What is there is undone on that host, and only there.
    let undone = bench.undo(&rollout).await?;
    assert_eq!(undone.state(), RolloutState::Succeeded);
    assert_eq!(bench.current().await?[1]["Id"], before[1]["Id"]);
    Ok(())
}
