//! `wharfd` is killed with SIGKILL after every write of a rollout that recreates a container and a
//! dependent in its network, on the way forward and on the way back.

use anyhow::{Context, bail, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use testbed::{Engine, Fleet, eventually};
use wharf::v1::{Dependents, HostState, RolloutPolicy, RolloutState};

use super::lane::{Lane, Seen, UPGRADE_WRITES, quick};
use super::wharfd::fails;
use crate::support::cut::Side;

/// Lanes at the same time; each takes every so-many-th write.
const LANES: usize = 3;

/// Where the way back of a failed upgrade begins: after the writes of the target, and create, stop, and
/// fence of the dependent. The one before is cut as well.
const WAY_BACK: usize = UPGRADE_WRITES + 2;

/// A container, and one in its network.
struct Pair<'a> {
    lane: Lane<'a>,
    engine: &'a Engine,
    side: String,
}

impl<'a> Pair<'a> {
    async fn start(engine: &'a Engine) -> anyhow::Result<Pair<'a>> {
        let lane = Lane::start(&[engine]).await?;
        let side = format!("{}-side", lane.name);
        let target = lane.seen(0).await?.remove(0);
        let body = json!({
            "Image": target.image,
            "HostConfig": {
                "NetworkMode": format!("container:{}", target.id),
                "RestartPolicy": {"Name": "always"},
            },
        });
        let created = engine.post(&format!("/containers/create?name={side}"), Some(body)).await?;
        let id = created["Id"].as_str().context("an ID")?;
        engine.post(&format!("/containers/{id}/start"), None).await?;
        Ok(Pair { lane, engine, side })
    }

    /// What has the two names. Both run, and the one is in the network of the other's run.
    async fn joined(&self) -> anyhow::Result<[Value; 2]> {
        let inspect = async |name: &str| self.engine.container(name).await?.context("a container");
        let (target, side) = (inspect(&self.lane.name).await?, inspect(&self.side).await?);
        let network = format!("container:{}", target["Id"].as_str().unwrap_or_default());
        ensure!(side["HostConfig"]["NetworkMode"] == network, "{target:#}\n{side:#}");
        let begun = |container: &Value| -> anyhow::Result<(i64, i32)> {
            ensure!(container["State"]["Running"] == true, "{container:#}");
            let policy = &container["HostConfig"]["RestartPolicy"]["Name"];
            ensure!(policy == "always", "{policy}");
            let at = container["State"]["StartedAt"].as_str().unwrap_or_default();
            let at: prost_types::Timestamp = at.parse()?;
            Ok((at.seconds, at.nanos))
        };
        ensure!(begun(&target)? <= begun(&side)?, "{target:#}\n{side:#}");
        Ok([target, side])
    }

    /// That both are new, their old ones are their backups, and nothing else is there, once the
    /// backups of the rollout before are removed.
    async fn is_upgraded(&self, image: &str, old: &[Value; 2]) -> anyhow::Result<()> {
        let [target, _] = self.joined().await?;
        ensure!(target["Config"]["Image"] == image, "{target:#}");
        let seen = self.lane.seen(0).await?;
        let [_, _, old_side, old_target] = &seen[..] else { bail!("{seen:#?}") };
        for (backup, old) in [(old_target, &old[0]), (old_side, &old[1])] {
            let is_fenced = !backup.running && backup.restart == "no";
            ensure!(old["Id"] == backup.id.as_str() && is_fenced, "{seen:#?}");
        }
        Ok(())
    }
}

fn recreate(policy: RolloutPolicy) -> RolloutPolicy {
    RolloutPolicy { dependents: Dependents::Recreate.into(), ..policy }
}

#[tokio::test]
async fn every_write_of_an_upgrade_with_a_dependent_may_be_cut() -> anyhow::Result<()> {
    let fleet = Fleet::shared().await?;
    let cut = try_join_all((0..LANES).map(|first| upgrades(&fleet.engines[first], first))).await?;
    let cut: usize = cut.into_iter().sum();
    // Create, stop, fence, twice a name, start; of both.
    ensure!(cut >= 12, "only {cut} points were cut");
    Ok(())
}

async fn upgrades(engine: &Engine, first: usize) -> anyhow::Result<usize> {
    let pair = Pair::start(engine).await?;
    let Pair { lane, .. } = &pair;
    let mut versions = ["v2", "v1"].into_iter().cycle();
    for (cuts, number) in (first..).step_by(LANES).enumerate() {
        let old = pair.joined().await?;
        let version = versions.next().context("a version")?;
        lane.arm_kill(number, Side::After);
        let again = async || lane.wharfd.restart().await;
        let ended = lane.roll(version, recreate(quick()), again).await?;
        let what = || format!("write {number} of {:#?}", lane.proxy.writes());
        ensure!(ended.state() == RolloutState::Succeeded, "{}: {ended:#?}", what());
        let image = lane.image(version);
        let upgraded = async || pair.is_upgraded(&image, &old).await;
        eventually("both to be new", upgraded).await.with_context(what)?;
        if lane.proxy.is_armed() {
            // There are no more writes.
            return Ok(cuts);
        }
    }
    Ok(0)
}

#[tokio::test]
async fn every_write_of_a_failed_upgrade_with_a_dependent_may_be_cut() -> anyhow::Result<()> {
    let fleet = Fleet::shared().await?;
    let cut = try_join_all((0..LANES).map(|first| failures(&fleet.engines[first], first))).await?;
    let cut: usize = cut.into_iter().sum();
    // From the end of the way forward: stop, twice a name, the restart policy, start, and remove of the
    // target; the restart policy, start, and remove of the dependent. What comes before is cut in an
    // upgrade that succeeds.
    ensure!(cut >= 10, "only {cut} points were cut");
    Ok(())
}

async fn failures(engine: &Engine, first: usize) -> anyhow::Result<usize> {
    let pair = Pair::start(engine).await?;
    let Pair { lane, .. } = &pair;
    let before: Vec<Seen> = lane.seen(0).await?;
    for (cuts, number) in (WAY_BACK + first..).step_by(LANES).enumerate() {
        lane.arm_kill(number, Side::After);
        let again = async || lane.wharfd.restart().await;
        let ended = lane.roll("v2", recreate(fails()), again).await?;
        let what = || format!("write {number} of {:#?}", lane.proxy.writes());
        ensure!(ended.state() == RolloutState::Aborted, "{}: {ended:#?}", what());
        ensure!(ended.steps[0].state() == HostState::Restored, "{}: {ended:#?}", what());
        // The same containers with the same names and settings, and no others.
        let seen = lane.seen(0).await?;
        ensure!(seen == before, "{}: {seen:#?}", what());
        pair.joined().await.with_context(what)?;
        if lane.proxy.is_armed() {
            return Ok(cuts);
        }
    }
    Ok(0)
}
