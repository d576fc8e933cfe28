//! Rule C36: after the start, the new container is compared with the request. An Engine silently
//! drops settings that it does not know, such as a misspelled one.

use anyhow::Context;
use serde_json::json;
use testbed::Image;
use wharf::v1::{EngineJson, HostState, HostStep, RolloutSpec, RolloutState};

use super::bench::{Bench, quick, reason_of, told};

const WARNING: &str = "requested and found: HostConfig.Anotation: \"web\" -> none";

/// A container of version 1, and a rollout to version 2 with a setting that the Engine drops.
async fn bench(strict: bool) -> anyhow::Result<(Bench, RolloutSpec)> {
    let bench = Bench::new(1).await?;
    let v1 = bench.image("v1", &Image::new("v1")).await?;
    let v2 = bench.image("v2", &Image::new("v2")).await?;
    bench.run(&json!({"Image": v1, "HostConfig": {"RestartPolicy": {"Name": "always"}}})).await?;
    let patch = json!({"HostConfig": {"Anotation": "web"}});
    let mut spec = bench.spec(&v2);
    spec.merge_patch = Some(EngineJson { json: patch.to_string(), ..EngineJson::default() });
    spec.policy.get_or_insert_with(quick).strict = strict;
    Ok((bench, spec))
}

#[tokio::test]
async fn c36_what_the_engine_made_otherwise_is_a_warning() -> anyhow::Result<()> {
    let (bench, spec) = bench(false).await?;
    let done = bench.roll(spec.clone()).await?;
    assert_eq!(done.state(), RolloutState::Succeeded, "{}", told(&done));
    let warnings = &done.steps[0].warnings;
    assert_eq!(*warnings, [WARNING]);

    // It is in the journal: another process tells it too.
    bench.wharfd.restart().await?;
    let shown = bench.cli(&["show", &done.id]).await?.expect(0)?;
    let line = format!("alpha: warning: {}", warnings[0]);
    assert!(shown.stdout.contains(&line), "{shown:?}");

    // Where the Engine does as it is asked, there is nothing to tell.
    let mut plain = spec;
    plain.merge_patch = None;
    plain.image.clear();
    let restarted = bench.roll(plain).await?;
    assert_eq!(restarted.state(), RolloutState::Succeeded, "{}", told(&restarted));
    assert_eq!(restarted.steps[0].warnings, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn c36_with_strict_it_fails_the_host_which_is_restored() -> anyhow::Result<()> {
    let (bench, spec) = bench(true).await?;
    let before = bench.current().await?;
    let failed = bench.roll(spec).await?;
    assert_eq!(failed.state(), RolloutState::Paused, "{}", told(&failed));
    let step = &failed.steps[0];
    assert_eq!((step.state(), step.failed_step()), (HostState::Restored, HostStep::Compare));
    assert_eq!(reason_of(step), "ROLLOUT_SETTINGS_DIFFER");
    let status = step.status.as_ref().context("a status")?;
    assert!(status.message.contains(WARNING), "{status:?}");
    let after = bench.current().await?;
    assert_eq!(after[0]["Id"], before[0]["Id"]);
    assert_eq!(after[0]["State"]["Running"], true);
    assert_eq!(after[0]["HostConfig"]["RestartPolicy"]["Name"], "always");
    assert_eq!(bench.names(0).await?, [bench.name()]);
    Ok(())
}
