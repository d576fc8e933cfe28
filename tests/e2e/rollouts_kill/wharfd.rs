//! `wharfd` is killed with SIGKILL before and after the effect of every write of a rollout, on the
//! way forward and on the way back.

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use testbed::Fleet;
use wharf::v1::{HealthGate, HealthProbe, HostState, RolloutPolicy, RolloutState};

use super::lane::{Lane, UPGRADE_WRITES, quick};
use crate::support::cut::Side;

/// Lanes at the same time; each takes every so-many-th write.
const LANES: usize = 3;

#[tokio::test]
async fn every_write_of_an_upgrade_may_be_cut() -> anyhow::Result<()> {
    let fleet = Fleet::shared().await?;
    let cut = try_join_all((0..LANES).map(|first| upgrades(fleet, first))).await?;
    let cut: usize = cut.into_iter().sum();
    // Create, stop, fence, twice a name, start; before and after each.
    ensure!(cut >= 2 * UPGRADE_WRITES, "only {cut} points were cut");
    Ok(())
}

async fn upgrades(fleet: &Fleet, first: usize) -> anyhow::Result<usize> {
    let [a, b, c] = &fleet.engines;
    let pairs = [[a, b], [b, c], [c, a]];
    let lane = Lane::start(&pairs[first % 3]).await?;
    let (mut versions, mut cuts) = (["v2", "v1"].into_iter().cycle(), 0);
    for number in (first..).step_by(LANES) {
        for side in [Side::Before, Side::After] {
            let old = [lane.seen(0).await?[0].id.clone(), lane.seen(1).await?[0].id.clone()];
            let version = versions.next().context("a version")?;
            lane.arm_kill(number, side);
            let ended = lane.roll(version, quick(), async || lane.wharfd.restart().await).await?;
            let what = || format!("{side:?} write {number} of {:#?}", lane.proxy.writes());
            ensure!(ended.state() == RolloutState::Succeeded, "{}: {ended:#?}", what());
            for (host, old) in old.iter().enumerate() {
                lane.check_upgraded(host, version, old).await.with_context(what)?;
            }
            if lane.proxy.is_armed() {
                // There are no more writes.
                return Ok(cuts);
            }
            cuts += 1;
        }
    }
    Ok(cuts)
}

#[tokio::test]
async fn every_write_of_a_failed_upgrade_and_its_way_back_may_be_cut() -> anyhow::Result<()> {
    let fleet = Fleet::shared().await?;
    let cut = try_join_all((0..LANES).map(|first| failures(fleet, first))).await?;
    let cut: usize = cut.into_iter().sum();
    // The start; then stop, twice a name, the restart policy, start, remove. What comes before is cut in
    // an upgrade that succeeds.
    ensure!(cut >= 14, "only {cut} points were cut");
    Ok(())
}

/// The gate never lets it pass, and the new container runs until it is stopped.
pub fn fails() -> RolloutPolicy {
    let probe = HealthProbe { command: vec!["false".to_owned()], ..Default::default() };
    RolloutPolicy {
        health: HealthGate::Exec.into(),
        probe: Some(probe),
        min_healthy_time: Some(prost_types::Duration { seconds: 0, nanos: 100_000_000 }),
        healthy_deadline: Some(prost_types::Duration { seconds: 0, nanos: 700_000_000 }),
        ..quick()
    }
}

async fn failures(fleet: &Fleet, first: usize) -> anyhow::Result<usize> {
    let [a, b, c] = &fleet.engines;
    let pairs = [[a, b], [b, c], [c, a]];
    let lane = Lane::start(&pairs[first % 3]).await?;
    let before = [lane.seen(0).await?, lane.seen(1).await?];
    let mut cuts = 0;
    for number in (UPGRADE_WRITES - 1 + first..).step_by(LANES) {
        for side in [Side::Before, Side::After] {
            lane.arm_kill(number, side);
            let ended = lane.roll("v2", fails(), async || lane.wharfd.restart().await).await?;
            let what = || format!("{side:?} write {number} of {:#?}", lane.proxy.writes());
            ensure!(ended.state() == RolloutState::Aborted, "{}: {ended:#?}", what());
            let states: Vec<_> = ended.steps.iter().map(wharf::v1::RolloutStep::state).collect();
            ensure!(states == [HostState::Restored, HostState::Pulled], "{}: {states:?}", what());
            // The same containers with the same names and settings, and no others.
            for (host, before) in before.iter().enumerate() {
                let seen = lane.seen(host).await?;
                ensure!(seen == *before, "{}: host {host}: {seen:#?}", what());
            }
            if lane.proxy.is_armed() {
                return Ok(cuts);
            }
            cuts += 1;
        }
    }
    Ok(cuts)
}
