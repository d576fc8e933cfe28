//! The Engine is killed with SIGKILL at points of a rollout and restarted: rules C28 and C29. An
//! old container with the policy `always` must not start beside the new one.

use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, ensure};
use serde_json::Value;
use testbed::{Engine, eventually};
use wharf::v1::{GetRolloutRequest, HostStep, RolloutPolicy, RolloutState};

use super::lane::{Lane, quick};
use crate::support::cut::Side;

/// Numbers of writes: create, stop, fence, the old one's name, the new one's, start.
const STOP: usize = 1;
const FENCE: usize = 2;
const START: usize = 5;

/// One rollout with the Engine killed after a write.
async fn killed_after(
    lane: &Lane<'_>,
    engine: &Arc<Engine>,
    write: usize,
    version: &str,
) -> anyhow::Result<()> {
    let old = lane.seen(0).await?[0].id.clone();
    let killed = Arc::clone(engine);
    lane.proxy.arm(write, Side::After, move || killed.kill());
    let ended = lane
        .roll(version, quick(), async || {
            engine.restart().await?;
            if write >= FENCE {
                let seen = lane.seen(0).await?;
                let lives = seen.iter().any(|it| it.id == old && it.running);
                ensure!(!lives, "the old one is back after write {write}: {seen:#?}");
            }
            Ok(())
        })
        .await?;
    ensure!(!lane.proxy.is_armed(), "there is no write {write}: {:?}", lane.proxy.writes());
    ensure!(ended.state() == RolloutState::Succeeded, "after write {write}: {ended:#?}");
    lane.check_upgraded(0, version, &old).await.with_context(|| format!("after write {write}"))?;
    Ok(())
}

#[tokio::test]
async fn c29_an_engine_that_dies_between_stop_and_start_brings_no_old_one_back()
-> anyhow::Result<()> {
    let engine = Arc::new(Engine::start().await?);
    let lane = Lane::start(&[&engine]).await?;
    for (write, version) in (STOP..START).zip(["v2", "v1"].into_iter().cycle()) {
        killed_after(&lane, &engine, write, version).await?;
    }
    Ok(())
}

#[tokio::test]
async fn c29_an_engine_that_dies_during_the_gate_and_later_brings_no_old_one_back()
-> anyhow::Result<()> {
    let engine = Arc::new(Engine::start().await?);
    let lane = Lane::start(&[&engine]).await?;
    killed_after(&lane, &engine, START, "v2").await?;

    let old = lane.seen(0).await?[0].id.clone();
    let healthy = Some(prost_types::Duration { seconds: 10, nanos: 0 });
    let policy = RolloutPolicy { min_healthy_time: healthy, ..quick() };
    let id = lane.begin("v1", policy).await?;
    eventually("the gate", async || {
        let request = GetRolloutRequest { id: id.clone(), ..Default::default() };
        let rollout = lane.client().await?.get_rollout(request).await?.into_inner().rollout;
        let rollout = rollout.context("a rollout")?;
        let step = &rollout.steps[0];
        ensure!(step.step() == HostStep::Gate && step.healthy_since.is_some(), "{step:#?}");
        Ok(())
    })
    .await?;
    engine.restart().await?;
    let ended = lane.end_of(&id).await?;
    ensure!(ended.state() == RolloutState::Succeeded, "{ended:#?}");
    lane.check_upgraded(0, "v1", &old).await?;

    // Long after the rollout: only the one that has the name is started again.
    engine.restart().await?;
    lane.check_upgraded(0, "v1", &old).await?;
    Ok(())
}

#[tokio::test]
async fn c28_a_container_that_restarts_always_is_stopped_for_good() -> anyhow::Result<()> {
    let engine = Engine::start().await?;
    let lane = Lane::start(&[&engine]).await?;
    let old = lane.seen(0).await?[0].id.clone();
    let unix = || SystemTime::UNIX_EPOCH.elapsed().map(|since| since.as_secs_f64());
    let begun = unix()?;
    let never = usize::MAX;
    lane.proxy.arm(never, Side::Before, || ());
    let ended = lane.roll("v2", quick(), async || Ok(())).await?;
    ensure!(ended.state() == RolloutState::Succeeded, "{ended:#?}");
    lane.check_upgraded(0, "v2", &old).await?;
    // Only `/stop` without a signal tells the Engine not to start it again.
    let writes = lane.proxy.writes();
    let stops: Vec<_> =
        writes.iter().filter(|it| it.contains(&old) && it.contains("/stop")).collect();
    ensure!(stops.len() == 1 && !stops[0].contains("signal"), "{writes:#?}");
    ensure!(!writes.iter().any(|it| it.contains("/kill")), "{writes:#?}");

    let path = format!("/events?since={begun}&until={}", unix()?);
    let Value::Array(events) = engine.get(&path).await? else { anyhow::bail!("no events") };
    let of_old: Vec<_> = events
        .iter()
        .filter(|event| event["Actor"]["ID"] == *old)
        .filter_map(|event| event["Action"].as_str())
        .collect();
    ensure!(of_old.contains(&"stop"), "{of_old:?}");
    ensure!(!of_old.iter().any(|it| matches!(*it, "start" | "restart")), "{of_old:?}");
    Ok(())
}
