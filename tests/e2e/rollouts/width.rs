//! The number and order of hosts: the window, waves, the canary, the delay, and unhealthy hosts
//! first.

use anyhow::{Context, ensure};
use testbed::eventually;
use wharf::v1::{
    HostState, HostStep, PauseCause, PromoteRolloutRequest, Rollout, RolloutPolicy, RolloutState,
};

use super::scene::{QUICK, Scene, held, millis, quick, told};
use crate::support::HOSTS;

/// Which hosts wait at the gate, which are done, and which were not started.
fn stand(rollout: &Rollout) -> String {
    let of = |step: &wharf::v1::RolloutStep| match step.state() {
        HostState::Updating if step.step() == HostStep::Gate => 'g',
        HostState::Updated => 'u',
        HostState::Waiting | HostState::Pulled => '-',
        _ => '?',
    };
    let mut steps: Vec<_> = rollout.steps.iter().collect();
    steps.sort_by(|one, other| one.host.cmp(&other.host));
    steps.into_iter().map(of).collect()
}

/// Waits until hosts stand so: a letter for each host, see [`stand`]; the Engines say the same of
/// those that were not started.
async fn stands(
    scene: &Scene,
    id: &str,
    before: &[super::engines::Found; 3],
    expected: &str,
) -> anyhow::Result<Rollout> {
    let is_so = |rollout: &Rollout| stand(rollout) == expected;
    let rollout = scene.until(id, expected, is_so).await?;
    let found = scene.found().await?;
    for ((found, before), letter) in found.iter().zip(before).zip(expected.chars()) {
        let names: Vec<_> = found.iter().map(|it| it.name.as_str()).collect();
        ensure!(found.len() == if letter == '-' { 1 } else { 2 }, "{expected}: {names:?}");
        ensure!(letter != '-' || found[0] == *before, "{expected}: {found:?}");
    }
    Ok(rollout)
}

#[tokio::test]
async fn no_more_hosts_are_at_work_than_the_window_allows() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let cases = [
        ("1", ["g--", "ug-"]),
        // Rounded down: 2 of 3, and 1 of 3.
        ("67%", ["gg-", "ugg"]),
        ("50%", ["g--", "ug-"]),
        // Three would be allowed, and one may be down.
        ("3 and 1", ["g--", "ug-"]),
    ];
    let others = tokio::try_join!(scene.another(), scene.another(), scene.another())?;
    let scenes = [&scene, &others.0, &others.1, &others.2];
    let run = scenes.into_iter().zip(cases).map(async |(scene, (amounts, [first, then]))| {
        let before = scene.alone().await?;
        let (parallel, unavailable) = amounts.split_once(" and ").unwrap_or((amounts, ""));
        let policy = RolloutPolicy {
            max_parallel: parallel.to_owned(),
            max_unavailable: unavailable.to_owned(),
            ..held()
        };
        let id = scene.begin(scene.spec_with("v2", policy).await?).await?.id;
        stands(scene, &id, &before, first).await?;
        scene.put(&["alpha"], "open")?;
        stands(scene, &id, &before, then).await?;
        scene.put(&HOSTS, "open")?;
        let rollout = scene.end(&id).await?;
        ensure!(rollout.state() == RolloutState::Succeeded, "{}", told(&rollout));
        scene.check(&rollout, &before, "v2", &HOSTS).await.context(amounts)
    });
    futures_util::future::try_join_all(run).await?;
    Ok(())
}

#[tokio::test]
async fn a_wave_begins_when_the_one_before_has_ended() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let other = scene.another().await?;
    let (before, before_other) = tokio::try_join!(scene.alone(), other.alone())?;
    let wide = || RolloutPolicy { max_parallel: "100%".to_owned(), ..held() };
    let batches = ["2", "100%"].map(str::to_owned).to_vec();
    let waves = RolloutPolicy { batches, ..wide() };
    let canary = RolloutPolicy { canary: "1".to_owned(), ..wide() };
    let waves = scene.begin(scene.spec_with("v2", waves).await?).await?;
    let canary = other.begin(other.spec_with("v2", canary).await?).await?;
    let hosts = |rollout: &Rollout| {
        let plan = rollout.plan.clone().unwrap_or_default();
        plan.waves.into_iter().map(|wave| wave.hosts).collect::<Vec<_>>()
    };
    assert_eq!(hosts(&waves), [vec!["alpha", "beta"], vec!["gamma"]]);
    assert_eq!(hosts(&canary), [vec!["alpha"], vec!["beta", "gamma"]]);

    stands(&scene, &waves.id, &before, "gg-").await?;
    stands(&other, &canary.id, &before_other, "g--").await?;
    // One host of a wave is not the wave.
    scene.put(&["beta"], "open")?;
    other.put(&["alpha"], "open")?;
    stands(&scene, &waves.id, &before, "gu-").await?;
    // The canary is promoted by itself.
    let second = stands(&other, &canary.id, &before_other, "ugg").await?;
    assert_eq!((second.wave, second.waves), (2, 2));
    scene.put(&["alpha"], "open")?;
    stands(&scene, &waves.id, &before, "uug").await?;

    scene.put(&HOSTS, "open")?;
    other.put(&HOSTS, "open")?;
    let (waves, canary) = tokio::try_join!(scene.end(&waves.id), other.end(&canary.id))?;
    scene.check(&waves, &before, "v2", &HOSTS).await?;
    other.check(&canary, &before_other, "v2", &HOSTS).await
}

#[tokio::test]
async fn a_canary_waits_for_its_promotion() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    let image = scene.image("v2").await?;
    let canary = ["start", &scene.name, "--image", &image, "--canary", "1", "--promote", "manual"];
    let started = scene.cli(&[&canary[..], &QUICK].concat()).await?.expect(1)?;
    let last = started.stdout.lines().last().context("a last line")?;
    let id = last.split(':').next().unwrap_or_default().to_owned();
    assert_eq!(
        last,
        format!(
            "{id}: the canary of {} to {image} is healthy; to continue, run: wharf rollout promote \
             {id}; to stop, run: wharf rollout abort {id}",
            scene.name
        )
    );
    let rollout = scene.get(&id).await?;
    assert_eq!(rollout.pause_cause(), PauseCause::Promotion, "{}", told(&rollout));
    scene.check(&rollout, &before, "v2", &["alpha"]).await?;

    // It is promoted and not resumed.
    let resumed = scene.cli(&["resume", &id]).await?.expect(2)?;
    assert!(resumed.stderr.contains("promote the rollout"), "{resumed:?}");
    scene.cli(&["promote", &scene.name]).await?.expect(0)?;
    let rollout = scene.end(&id).await?;
    assert_eq!(rollout.state(), RolloutState::Succeeded, "{}", told(&rollout));
    scene.check(&rollout, &before, "v2", &HOSTS).await?;
    let request = PromoteRolloutRequest { id, ..Default::default() };
    let again = scene.world.server.rollouts().promote_rollout(request).await;
    assert_eq!(crate::support::reason(&again.expect_err("it has ended")), "ROLLOUT_ENDED");
    Ok(())
}

#[tokio::test]
async fn the_delay_lies_between_one_host_and_the_next() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    let policy = RolloutPolicy { delay: millis(1500), ..quick() };
    let rollout = scene.carry_out(scene.spec_with("v2", policy).await?).await?;
    scene.check(&rollout, &before, "v2", &HOSTS).await?;
    let times = scene.read(["/Created", "/State/StartedAt"]).await?;
    let seconds = |time: &serde_json::Value| -> anyhow::Result<f64> {
        // The three Engines have one clock.
        let (_, clock) = time.as_str().and_then(|it| it.split_once('T')).context("a time")?;
        let parts: Result<Vec<f64>, _> =
            clock.trim_end_matches('Z').split(':').map(str::parse).collect();
        Ok(parts?.into_iter().fold(0.0, |sum, part| sum * 60.0 + part))
    };
    for pair in times.windows(2) {
        let passed = (seconds(&pair[1][0])? - seconds(&pair[0][1])?).rem_euclid(86_400.0);
        assert!((1.5..43_200.0).contains(&passed), "{passed} s: {times:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_unhealthy_goes_first() -> anyhow::Result<()> {
    let scene = Scene::empty().await?;
    let sick = scene.image("v5").await?;
    scene
        .run("v1", |host, body| {
            if host == "gamma" {
                body["Image"] = sick.as_str().into();
            }
        })
        .await?;
    scene.put(&["gamma"], "sick")?;
    eventually("an unhealthy container", async || {
        let [_, _, [health]] = scene.read(["/State/Health/Status"]).await?;
        ensure!(health == "unhealthy", "{health}");
        Ok(())
    })
    .await?;
    let before = scene.alone().await?;
    let id = scene.begin(scene.spec_with("v2", held()).await?).await?.id;
    let rollout = stands(&scene, &id, &before, "--g").await?;
    let plan = rollout.plan.context("a plan")?;
    assert_eq!(plan.waves[0].hosts, ["gamma", "alpha", "beta"]);
    scene.put(&HOSTS, "open")?;
    let rollout = scene.end(&id).await?;
    scene.check(&rollout, &before, "v2", &HOSTS).await
}
