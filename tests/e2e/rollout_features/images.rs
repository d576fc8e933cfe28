//! Rule C34: a tag is resolved once, and every host gets exactly that image.

use std::collections::BTreeSet;

use anyhow::Context;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testbed::{Fleet, Image, unique};
use wharf::v1::watch_rollouts_response::Event;
use wharf::v1::{
    HostState, Promote, PromoteRolloutRequest, PullPolicy, RolloutState, WatchRolloutsRequest,
};

use super::bench::{Bench, reason_of, told};
use crate::support::reason;

/// Pushes an image under a tag of the open registry; the name that the bench's hosts know it by.
async fn push(bench: &Bench, repository: &str, tag: &str, image: &Image) -> anyhow::Result<String> {
    let reference = Fleet::shared().await?.open_registry.reference(&format!("{repository}:{tag}"));
    let engine = bench.scenes[0].engine;
    engine.import(&reference, image).await?;
    engine.push(&reference, None).await?;
    engine.delete(&format!("/images/{reference}?force=1")).await?;
    Ok(reference)
}

async fn run_v1(bench: &Bench) -> anyhow::Result<()> {
    let v1 = bench.image("v1", &Image::new("v1")).await?;
    bench.run(&json!({"Image": v1})).await
}

/// The content that each host's container was made from.
async fn contents(bench: &Bench) -> anyhow::Result<BTreeSet<String>> {
    let current = bench.current().await?;
    Ok(current.iter().map(|found| found["Image"].to_string()).collect())
}

#[tokio::test]
async fn c34_a_tag_that_moves_in_the_middle_changes_nothing() -> anyhow::Result<()> {
    let bench = Bench::new(3).await?;
    let repository = unique("moves");
    run_v1(&bench).await?;
    let reference = push(&bench, &repository, "v2", &Image::new("v2")).await?;
    let registry = &Fleet::shared().await?.open_registry;
    let digest = registry.digest(&repository, "v2").await?;
    // One host has something else by that name, from before.
    bench.scenes[1].engine.import(&reference, &Image::new("stale")).await?;

    let mut spec = bench.spec(&reference);
    let policy = spec.policy.get_or_insert_default();
    policy.canary = "1".to_owned();
    policy.promote = Promote::Manual.into();
    let half = bench.roll(spec).await?;
    assert_eq!(half.state(), RolloutState::Paused, "{}", told(&half));
    assert_eq!(half.plan.as_ref().context("a plan")?.image_digest, digest);
    push(&bench, &repository, "v2", &Image::new("v3")).await?;
    assert_ne!(registry.digest(&repository, "v2").await?, digest);

    let request = PromoteRolloutRequest { id: half.id.clone(), ..Default::default() };
    bench.rollouts().await?.promote_rollout(request).await?;
    let done = bench.rest(&half.id).await?;
    assert_eq!(done.state(), RolloutState::Succeeded, "{}", told(&done));
    assert_eq!(contents(&bench).await?.len(), 1);
    for scene in &bench.scenes {
        let image = scene.inspect(bench.name()).await?["Image"].clone();
        let image = scene.engine.image(image.as_str().unwrap_or_default()).await?;
        let digests = image.context("its image")?["RepoDigests"].to_string();
        assert!(digests.contains(&digest), "{digests}");
    }
    Ok(())
}

#[tokio::test]
async fn c34_as_it_is_means_the_image_that_the_plan_saw() -> anyhow::Result<()> {
    let bench = Bench::new(2).await?;
    run_v1(&bench).await?;
    let before = bench.current().await?;
    let mut restart = bench.spec("");
    let policy = restart.policy.get_or_insert_default();
    policy.canary = "1".to_owned();
    policy.promote = Promote::Manual.into();
    let half = bench.roll(restart).await?;
    assert_eq!(half.state(), RolloutState::Paused, "{}", told(&half));
    // Before the turn of the second host, somebody gives the name to another image there.
    bench.scenes[1].image("v1", Image::new("v2")).await?;

    let request = PromoteRolloutRequest { id: half.id.clone(), ..Default::default() };
    bench.rollouts().await?.promote_rollout(request).await?;
    let failed = bench.rest(&half.id).await?;
    assert_eq!(failed.state(), RolloutState::Paused, "{}", told(&failed));
    assert_eq!(reason_of(&failed.steps[1]), "ROLLOUT_IMAGE_MOVED", "{}", told(&failed));
    let after = bench.current().await?;
    assert_eq!(after[0]["Image"], before[0]["Image"]);
    assert_eq!((&after[1]["Id"], &after[1]["State"]["Running"]), (&before[1]["Id"], &json!(true)));
    assert_eq!(bench.names(1).await?, [bench.name()]);
    Ok(())
}

#[tokio::test]
async fn c34_an_image_that_is_missing_is_found_before_anything_is_touched() -> anyhow::Result<()> {
    let bench = Bench::new(2).await?;
    run_v1(&bench).await?;
    let before = bench.current().await?;
    let registry = &Fleet::shared().await?.open_registry;
    let missing = registry.reference(&format!("{}:v2", unique("missing")));
    for validate in [true, false] {
        let spec = bench.spec(&missing);
        let refused =
            if validate { bench.plan(spec).await.err() } else { bench.begin(spec).await.err() };
        let refused = refused.context("it is refused")?;
        assert_eq!(reason(&refused), "PLAN_REFUSED");
        assert!(refused.message().contains(&missing), "{refused:?}");
    }
    assert_eq!(bench.current().await?, before);

    // Where nothing is pulled, one host that lacks it is enough, and is distinguished.
    let mut spec = bench.spec(&missing);
    bench.scenes[0].engine.import(&missing, &Image::new("v2")).await?;
    spec.policy.get_or_insert_default().pull_policy = PullPolicy::Never.into();
    let refused = bench.begin(spec).await.err().context("beta lacks it")?;
    assert!(refused.message().contains("beta: ") && !refused.message().contains("alpha: "));
    assert_eq!(bench.current().await?, before);
    Ok(())
}

#[tokio::test]
async fn c34_an_image_for_other_machines_is_found_before_anything_is_touched() -> anyhow::Result<()>
{
    let bench = Bench::new(2).await?;
    run_v1(&bench).await?;
    let before = bench.current().await?;
    let repository = unique("foreign");
    let reference = push(&bench, &repository, "v2", &Image::new("v2")).await?;
    make_foreign(&repository, "v2").await?;
    let refused = bench.begin(bench.spec(&reference)).await.err().context("it is for others")?;
    assert_eq!(reason(&refused), "PLAN_REFUSED");
    let line = format!("alpha, beta: {reference} is for linux/riscv64, not for linux/");
    assert!(refused.message().contains(&line), "{}", refused.message());
    assert_eq!(bench.current().await?, before);

    // Who has put it there knows of an emulator.
    for scene in &bench.scenes {
        scene.engine.pull(&reference, None).await?;
    }
    bench.plan(bench.spec(&reference)).await?;
    Ok(())
}

/// Gives a tag of the open registry another image, the same but for its architecture.
async fn make_foreign(repository: &str, tag: &str) -> anyhow::Result<()> {
    let registry = &Fleet::shared().await?.open_registry;
    let base = format!("http://{}/v2/{repository}", registry.address());
    let client = reqwest::Client::builder().no_proxy().build()?;
    let kind = "application/vnd.docker.distribution.manifest.v2+json";
    let manifest = format!("{base}/manifests/{tag}");
    let found = client.get(&manifest).header("Accept", kind).send().await?.bytes().await?;
    let mut found: Value = serde_json::from_slice(&found)?;
    let config = found["config"]["digest"].as_str().context("a config")?;
    let config = client.get(format!("{base}/blobs/{config}")).send().await?.bytes().await?;
    let mut config: Value = serde_json::from_slice(&config)?;
    config["architecture"] = "riscv64".into();
    let config = config.to_string();
    let digest: String = Sha256::digest(&config).iter().map(|byte| format!("{byte:02x}")).collect();
    let digest = format!("sha256:{digest}");
    let upload = client.post(format!("{base}/blobs/uploads/")).send().await?;
    let place = upload.headers()["location"].to_str()?.to_owned();
    let place = if place.starts_with('/') {
        format!("http://{}{place}", registry.address())
    } else {
        place
    };
    let mark = if place.contains('?') { '&' } else { '?' };
    let put = client.put(format!("{place}{mark}digest={digest}")).body(config.clone());
    put.send().await?.error_for_status()?;
    found["config"]["digest"] = digest.into();
    found["config"]["size"] = config.len().into();
    let put = client.put(&manifest).header("Content-Type", kind).body(found.to_string());
    put.send().await?.error_for_status()?;
    Ok(())
}

#[tokio::test]
async fn pulls_are_told_to_those_who_ask_for_them() -> anyhow::Result<()> {
    let bench = Bench::new(2).await?;
    run_v1(&bench).await?;
    let image = Image::new("v2").padding(8 << 20);
    let reference = push(&bench, &unique("pulls"), "v2", &image).await?;
    let mut watching = Vec::new();
    for progress in [true, false] {
        let request = WatchRolloutsRequest { progress, ..Default::default() };
        let stream = bench.rollouts().await?.watch_rollouts(request).await?;
        watching.push(stream.into_inner());
    }
    let begun = bench.begin(bench.spec(&reference)).await?;
    let mut hosts = Vec::new();
    for mut stream in watching {
        let mut pulls = BTreeSet::new();
        let mut steps = BTreeSet::new();
        while steps.len() < 2 {
            let message = stream.message().await?.context("the stream goes on")?;
            match message.event.context("an event")? {
                Event::PullProgress(pull) => {
                    assert_eq!(pull.rollout, begun.id);
                    let progress = pull.progress.context("where it stands")?;
                    assert!(progress.layers_done <= progress.layers_total, "{progress:?}");
                    pulls.insert(pull.host);
                }
                Event::Step(changed) => {
                    let step = changed.step.context("a host")?;
                    let updated = step.state() == HostState::Updated;
                    steps.extend(updated.then_some(step.host));
                }
                _ => {}
            }
        }
        hosts.push(pulls.into_iter().collect::<Vec<_>>());
    }
    assert_eq!(hosts, [vec!["alpha".to_owned(), "beta".to_owned()], Vec::new()]);
    Ok(())
}
