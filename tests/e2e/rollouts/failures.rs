//! Failed hosts: the failure budget, the action beyond it, and how a rollout continues.

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use wharf::v1::{
    FailureAction, HostState, PauseCause, ResumeRolloutRequest, RollbackScope, Rollout,
    RolloutPolicy, RolloutState,
};

use super::scene::{Scene, careful, told};
use crate::support::HOSTS;

/// A host fails, and the policy decides.
struct Case {
    name: &'static str,
    broken: &'static str,
    policy: RolloutPolicy,
    ends: (RolloutState, PauseCause),
    /// Hosts on the new version at the end.
    on_new: &'static [&'static str],
}

impl Case {
    async fn run(&self, scene: &Scene) -> anyhow::Result<()> {
        let scene = scene.another().await?;
        let before = scene.alone().await?;
        scene.put(&[self.broken], "broken")?;
        let spec = scene.spec_with("v2", self.policy.clone()).await?;
        let rollout = scene.carry_out(spec).await?;
        let ends = (rollout.state(), rollout.pause_cause());
        ensure!(ends == self.ends, "{}", told(&rollout));
        self.check(&scene, &rollout, &before).await
    }

    async fn check(
        &self,
        scene: &Scene,
        rollout: &Rollout,
        before: &[super::engines::Found; 3],
    ) -> anyhow::Result<()> {
        let image = scene.image("v2").await?;
        for ((host, found), old) in HOSTS.iter().zip(scene.found().await?).zip(before) {
            let all = || format!("{host}: {found:#?}\n{}", told(rollout));
            if self.on_new.contains(host) {
                ensure!(found.len() == 2 && found[0].image == image, "{}", all());
                ensure!(found[0].status == "running" && found[1].id == old.id, "{}", all());
            } else {
                ensure!(found.len() == 1 && found[0].id == old.id, "{}", all());
                ensure!(found[0].status == "running", "{}", all());
                ensure!(found[0].restart == old.restart, "{}", all());
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn the_policy_decides_when_a_host_fails() -> anyhow::Result<()> {
    let scene = Scene::empty().await?;
    let acts = |action: FailureAction| RolloutPolicy { on_failure: action.into(), ..careful() };
    let rolls_back = |scope: RollbackScope| RolloutPolicy {
        rollback_scope: scope.into(),
        ..acts(FailureAction::Rollback)
    };
    let allows = |amount: &str| RolloutPolicy { max_failures: amount.to_owned(), ..careful() };
    let paused = (RolloutState::Paused, PauseCause::Budget);
    let failed = (RolloutState::Failed, PauseCause::Unspecified);
    let rolled_back = (RolloutState::RolledBack, PauseCause::Unspecified);
    let aborted = (RolloutState::Aborted, PauseCause::Unspecified);
    let alpha: &[&str] = &["alpha"];
    let waves = ["1", "100%"].map(str::to_owned).to_vec();
    let wave = RolloutPolicy { batches: waves, ..rolls_back(RollbackScope::Wave) };
    let cases = [
        ("pause", "beta", acts(FailureAction::Pause), paused, alpha),
        ("continue", "beta", acts(FailureAction::Continue), failed, &["alpha", "gamma"]),
        ("abort", "beta", acts(FailureAction::Abort), aborted, alpha),
        ("rollback of all", "gamma", rolls_back(RollbackScope::All), rolled_back, &[]),
        ("rollback of the wave", "gamma", wave, failed, alpha),
        ("rollback of none", "beta", rolls_back(RollbackScope::Failed), failed, alpha),
        ("one is allowed", "beta", allows("1"), failed, &["alpha", "gamma"]),
        // Rounded down: 1 of 3, and none.
        ("34% are allowed", "beta", allows("34%"), failed, &["alpha", "gamma"]),
        ("33% are allowed", "beta", allows("33%"), paused, alpha),
    ];
    let run = cases.map(|(name, broken, policy, ends, on_new)| {
        let (case, scene) = (Case { name, broken, policy, ends, on_new }, &scene);
        // Together they are too much for a stack.
        Box::pin(async move { case.run(scene).await.with_context(|| case.name) })
    });
    try_join_all(run).await?;
    Ok(())
}

#[tokio::test]
async fn a_paused_rollout_goes_on_with_or_without_what_failed() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let other = scene.another().await?;
    let (before, before_other) = tokio::try_join!(scene.alone(), other.alone())?;
    let image = scene.image("v2").await?;
    scene.put(&["beta"], "broken")?;
    other.put(&["beta"], "broken")?;
    let (start, start_other) = (start(&scene.name, &image), start(&other.name, &image));
    let started = tokio::try_join!(scene.cli(&start), other.cli(&start_other))?;
    let ids = [started.0, started.1].map(|output| {
        let output = output.expect(1)?;
        let last = output.stdout.lines().last().context("a last line")?.to_owned();
        let id = last.split(':').next().unwrap_or_default().to_owned();
        // What happened, and why, and what to do.
        for said in [
            "is paused with 1 of 3 hosts on the new version (1 host failed, limit 0: beta:",
            &format!("to resume it, run: wharf rollout resume {id} --retry-failed"),
        ] {
            ensure!(last.contains(said), "{last}");
        }
        // The log of what failed.
        ensure!(output.stdout.contains("beta: | broken on purpose"), "{}", output.stdout);
        anyhow::Ok(id)
    });
    let [id, other_id] = ids;
    let (id, other_id) = (id?, other_id?);

    // Without: the host stays as it is and counts.
    let request = ResumeRolloutRequest { id: id.clone(), ..Default::default() };
    scene.world.server.rollouts().resume_rollout(request).await?;
    let rollout = scene.end(&id).await?;
    assert_eq!(rollout.state(), RolloutState::Failed, "{}", told(&rollout));
    let states = rollout.steps.iter().map(|step| (step.host.as_str(), step.state()));
    let expected = [
        ("alpha", HostState::Updated),
        ("beta", HostState::Restored),
        ("gamma", HostState::Updated),
    ];
    assert_eq!(states.collect::<Vec<_>>(), expected);
    let [_, beta, gamma] = scene.found().await?;
    assert_eq!((beta[0].id.as_str(), beta.len()), (before[1].id.as_str(), 1));
    assert_eq!((gamma[0].image.as_str(), gamma.len()), (image.as_str(), 2));

    // With: it is put right, and tried again.
    other.take(&["beta"], "broken")?;
    other.cli(&["resume", &other.name, "--retry-failed"]).await?.expect(0)?;
    let watched = other.cli(&["watch", &other_id]).await?.expect(0)?;
    assert!(watched.stdout.contains("succeeded on 3 hosts"), "{}", watched.stdout);
    let rollout = other.get(&other_id).await?;
    assert_eq!(rollout.steps[1].attempt, 2, "{}", told(&rollout));
    let before_beta = &before_other[1];
    let [_, beta, _] = other.found().await?;
    assert_eq!((beta[1].id.as_str(), beta.len()), (before_beta.id.as_str(), 2), "{beta:#?}");
    assert!(other.found().await?.iter().all(|found| found[0].image == image));
    Ok(())
}

/// The arguments of a careful rollout on the command line.
fn start<'a>(name: &'a str, image: &'a str) -> Vec<&'a str> {
    let gate = ["--health", "exec", "--probe-command", "test ! -e /gate/broken"];
    let careful = ["-A", "--min-healthy-time", "0s", "--monitor", "0s"];
    [&["start", name, "--image", image], &careful[..], &gate].concat()
}
