//! A host whose Engine disappears before its turn: it is awaited, skipped, or counts as failed.

use anyhow::{Context, ensure};
use testbed::Engine;
use wharf::v1::{
    HostState, HostStep, PauseCause, ResumeRolloutRequest, Rollout, RolloutPolicy, RolloutState,
    UnreachableAction,
};

use super::engines::{Found, containers, create};
use super::scene::{QUICK, Scene, held, millis, told};
use crate::support::hosts;

/// The hosts of every rollout here; the last one has an Engine of its own.
const WITH_DELTA: [&str; 3] = ["alpha", "beta", "delta"];

/// A container on the first two hosts and on `delta`.
struct Far<'a> {
    scene: Scene,
    delta: &'a Engine,
}

impl<'a> Far<'a> {
    async fn start(base: &Scene, delta: &'a Engine) -> anyhow::Result<Far<'a>> {
        let scene = base.another().await?;
        let image = scene.image("v1").await?;
        delta.pull(&image, None).await?;
        create(delta, &scene.name, scene.body("beta", &image)).await?;
        Ok(Far { scene, delta })
    }

    /// Begins a rollout that is at the gate of the first host.
    async fn begin(&self, policy: RolloutPolicy) -> anyhow::Result<String> {
        let mut spec = self.scene.spec_with("v2", policy).await?;
        spec.targets = hosts(&WITH_DELTA);
        let id = self.scene.begin(spec).await?.id;
        let is_there = |rollout: &Rollout| rollout.steps[0].step() == HostStep::Gate;
        self.scene.until(&id, "the gate of the first host", is_there).await?;
        Ok(id)
    }

    /// Lets the first two hosts through.
    fn open(&self) -> anyhow::Result<()> {
        self.scene.put(&["alpha", "beta"], "open")
    }

    async fn on_delta(&self) -> anyhow::Result<Vec<Found>> {
        containers(self.delta, &self.scene.name).await
    }

    async fn ends(
        &self,
        id: &str,
        state: RolloutState,
        cause: PauseCause,
        delta: HostState,
    ) -> anyhow::Result<Rollout> {
        let rollout = self.scene.end(id).await?;
        ensure!((rollout.state(), rollout.pause_cause()) == (state, cause), "{}", told(&rollout));
        let states: Vec<_> = rollout.steps.iter().map(wharf::v1::RolloutStep::state).collect();
        let (updated, image) = (HostState::Updated, self.scene.image("v2").await?);
        ensure!(states == [updated, updated, delta], "{}", told(&rollout));
        let [alpha, beta, gamma] = self.scene.found().await?;
        ensure!([alpha, beta].iter().all(|found| found[0].image == image), "{}", told(&rollout));
        ensure!(gamma.len() == 1, "it takes no part: {gamma:#?}");
        Ok(rollout)
    }

    async fn resume(&self, id: &str) -> anyhow::Result<()> {
        let request =
            ResumeRolloutRequest { id: id.to_owned(), retry_failed: true, ..Default::default() };
        self.scene.world.server.rollouts().resume_rollout(request).await?;
        Ok(())
    }

    /// The container on `delta` is the new one, the old one is kept.
    async fn check_delta(&self) -> anyhow::Result<()> {
        let found = self.on_delta().await?;
        ensure!(found.len() == 2 && found[0].status == "running", "{found:#?}");
        ensure!(found[0].image == self.scene.image("v2").await?, "{found:#?}");
        Ok(())
    }
}

fn policy(action: UnreachableAction, most: &str) -> RolloutPolicy {
    RolloutPolicy { on_unreachable: action.into(), max_unreachable: most.to_owned(), ..held() }
}

#[tokio::test]
async fn a_host_that_went_away_before_its_turn() -> anyhow::Result<()> {
    let base = Scene::empty().await?;
    let delta = Engine::start().await?;
    base.world.server.add("delta", delta.address()).await?;
    let mut far = Vec::new();
    for _ in 0..5 {
        far.push(Far::start(&base, &delta).await?);
    }
    let [waits, stalls, skips, skips_too_many, fails] = &far[..] else { unreachable!() };
    let short = RolloutPolicy {
        healthy_deadline: millis(7000),
        progress_deadline: millis(8000),
        ..policy(UnreachableAction::Wait, "")
    };
    let begun = [
        waits.begin(policy(UnreachableAction::Wait, "")).await?,
        skips.begin(policy(UnreachableAction::Skip, "1")).await?,
        skips_too_many.begin(policy(UnreachableAction::Skip, "")).await?,
        fails.begin(policy(UnreachableAction::Fail, "")).await?,
        stalls.begin(short).await?,
    ];
    let [waiting, skipping, skipping_too_many, failing, stalling] = &begun;
    let before = waits.on_delta().await?;
    delta.kill();
    for far in &far {
        far.open()?;
    }

    let (none, unreachable) = (PauseCause::Unspecified, PauseCause::Unreachable);
    let paused = RolloutState::Paused;
    let skipped = skips.ends(skipping, RolloutState::Failed, none, HostState::Skipped).await?;
    let why = skipped.reason.as_ref().context("a reason")?;
    assert_eq!(why.message, "1 host is not on the new version: delta");
    let why = skips_too_many.ends(skipping_too_many, paused, unreachable, HostState::Skipped);
    let why = why.await?.reason.context("a reason")?;
    assert!(why.message.starts_with("1 host was skipped because of no answer, limit 0"));
    let why = fails.ends(failing, paused, PauseCause::Budget, HostState::Unchanged).await?;
    assert!(why.reason.context("a reason")?.message.contains("delta: "));
    stalls.ends(stalling, paused, PauseCause::Progress, HostState::Unreachable).await?;
    let is_away = |rollout: &Rollout| rollout.steps[2].state() == HostState::Unreachable;
    let rollout = waits.scene.until(waiting, "a host that is away", is_away).await?;
    assert_eq!(rollout.state(), RolloutState::Running, "{}", told(&rollout));

    delta.restart().await?;
    let after = waits.on_delta().await?;
    assert_eq!((after.len(), &after[0].id), (1, &before[0].id));
    // Its gate is opened by the directory of another host.
    stalls.resume(stalling).await?;
    skips_too_many.resume(skipping_too_many).await?;
    fails.resume(failing).await?;
    let good = RolloutState::Succeeded;
    for (far, id) in [
        (waits, waiting),
        (stalls, stalling),
        (skips_too_many, skipping_too_many),
        (fails, failing),
    ] {
        far.ends(id, good, none, HostState::Updated).await?;
        far.check_delta().await?;
    }
    assert_eq!(skips.on_delta().await?.len(), 1);

    // A plan without a host that is to be waited for is none.
    delta.kill();
    let image = skips.scene.image("v5").await?;
    let start = ["start", &skips.scene.name, "--image", &image, "-H", "alpha,beta,delta"];
    let refused = skips.scene.cli(&start).await?.expect(2)?;
    assert!(refused.stderr.contains("delta: "), "{refused:?}");
    for said in ["make it reachable", "on_unreachable"] {
        assert!(refused.stderr.contains(said), "{refused:?}");
    }
    let may_skip = ["--on-unreachable", "skip", "--max-unreachable", "1"];
    let skipping = [&start[..], &QUICK[1..], &may_skip].concat();
    let done = skips.scene.cli(&skipping).await?.expect(0)?;
    assert!(done.stdout.contains("succeeded on 2 hosts, 1 host skipped"), "{}", done.stdout);
    Ok(())
}

#[tokio::test]
async fn a_host_that_hangs_for_a_while_is_done_when_it_answers_again() -> anyhow::Result<()> {
    let base = Scene::empty().await?;
    let delta = Engine::start().await?;
    base.world.server.add("delta", delta.address()).await?;
    let far = Far::start(&base, &delta).await?;
    let id = far.begin(policy(UnreachableAction::Wait, "")).await?;
    delta.freeze();
    far.open()?;
    let is_begun = |rollout: &Rollout| rollout.steps[2].state() == HostState::Updating;
    far.scene.until(&id, "a host that does not answer", is_begun).await?;
    delta.thaw();
    far.ends(&id, RolloutState::Succeeded, PauseCause::Unspecified, HostState::Updated).await?;
    far.check_delta().await
}
