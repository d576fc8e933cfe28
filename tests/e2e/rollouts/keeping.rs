//! Retention and pulls: old containers, anonymous volumes, images; and the old container that keeps
//! running until the new one is healthy.

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use testbed::{Image, Method, eventually, unique};
use tonic::Code;
use wharf::v1::{
    AnonymousVolumes, HostState, HostStep, PullPolicy, Rollout, RolloutOrder, RolloutPolicy,
    RolloutState,
};

use super::scene::{Scene, held, quick, refusal, told};
use crate::support::{HOSTS, Recorder, hosts};

/// The three Engines once more, under names that are in no word of a message.
const RECORDED: [&str; 3] = ["host-one", "host-two", "host-three"];

/// Everywhere at once.
fn everywhere() -> RolloutPolicy {
    RolloutPolicy { max_parallel: "100%".to_owned(), ..quick() }
}

#[tokio::test]
async fn as_many_old_containers_are_kept_as_the_policy_says() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let mut served = vec![scene.alone().await?];
    for (version, keep_old, kept) in [("v2", 2, 1), ("v1", 2, 2), ("v2", 2, 2), ("v1", 1, 1)] {
        let policy = RolloutPolicy { keep_old: Some(keep_old), ..everywhere() };
        let rollout = scene.carry_out(scene.spec_with(version, policy).await?).await?;
        ensure!(rollout.state() == RolloutState::Succeeded, "{}", told(&rollout));
        // What need not be kept goes soon after the end.
        let found = eventually("the old containers that are kept", async || {
            let found = scene.found().await?;
            for (host, found) in found.iter().enumerate() {
                // The newest of those that served.
                let mut ids: Vec<_> = found[1..].iter().map(|it| it.id.as_str()).collect();
                let newest = served.iter().rev().take(kept);
                let mut expected: Vec<_> = newest.map(|served| served[host].id.as_str()).collect();
                ids.sort_unstable();
                expected.sort_unstable();
                ensure!(ids == expected, "{keep_old} are kept: {found:#?}");
            }
            Ok(found)
        })
        .await?;
        served.push(found.map(|mut found| found.remove(0)));
    }
    Ok(())
}

#[tokio::test]
async fn anonymous_volumes_go_with_the_container_or_are_renewed() -> anyhow::Result<()> {
    let scene = Scene::empty().await?;
    let script = "test -e /data/first || hostname > /data/first; exec /bin/idle";
    let command = ["/bin/sh", "-c", script];
    scene
        .run("v1", |_, body| {
            body["Volumes"] = serde_json::json!({"/data": {}});
            body["Cmd"] = serde_json::json!(command);
        })
        .await?;
    let volume = async || -> anyhow::Result<Vec<(String, u16)>> {
        let mut volumes = Vec::new();
        for host in HOSTS {
            let engine = scene.engine(host);
            let found = engine.container(&scene.name).await?.context("it is there")?;
            let mut mounts = found["Mounts"].as_array().into_iter().flatten();
            let mount = mounts.find(|mount| mount["Destination"] == "/data").context("/data")?;
            let path = format!("/containers/{}/archive?path=/data/mark", scene.name);
            let (marked, _) = engine.api(Method::GET, &path, None).await?;
            volumes.push((mount["Name"].as_str().unwrap_or_default().to_owned(), marked));
        }
        Ok(volumes)
    };
    for host in HOSTS {
        scene.exec(host, &["touch", "/data/mark"]).await?;
    }
    let before = volume().await?;
    assert!(before.iter().all(|(_, marked)| *marked == 200), "{before:?}");
    let rollout = scene.carry_out(scene.spec_with("v2", everywhere()).await?).await?;
    assert_eq!(rollout.state(), RolloutState::Succeeded, "{}", told(&rollout));
    assert_eq!(volume().await?, before);

    let renew = AnonymousVolumes::Renew.into();
    let policy = RolloutPolicy { anonymous_volumes: renew, ..everywhere() };
    let rollout = scene.carry_out(scene.spec_with("v1", policy).await?).await?;
    assert_eq!(rollout.state(), RolloutState::Succeeded, "{}", told(&rollout));
    for ((new, marked), (old, _)) in volume().await?.iter().zip(&before) {
        assert!(new != old && *marked == 404, "{new} {marked}");
    }
    Ok(())
}

#[tokio::test]
async fn images_are_pulled_always_when_they_are_missing_or_never() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let registry = &scene.world.fleet.open_registry;
    let repository = unique("pulled");
    let image = registry.reference(&format!("{repository}:v1"));
    let first = scene.engine("alpha");
    first.import(&image, &Image::new("one")).await?;
    first.push(&image, None).await?;
    let mut recorders = Vec::new();
    for (host, engine) in RECORDED.iter().zip(scene.world.engines()) {
        let recorder = Recorder::start(engine).await?;
        scene.world.server.add(host, recorder.address()).await?;
        recorders.push(recorder);
    }
    let pulls = || recorders.iter().map(|it| it.sent().matches("/images/create?").count());
    let to = |pull_policy: PullPolicy| wharf::v1::RolloutSpec {
        container: scene.name.clone(),
        targets: hosts(&RECORDED),
        image: image.clone(),
        // Something that changes.
        set: Some(wharf::v1::ContainerSpec {
            env: vec![format!("RUN={}", unique("run"))],
            command: vec!["/bin/idle".to_owned()],
            ..Default::default()
        }),
        policy: Some(RolloutPolicy { pull_policy: pull_policy.into(), ..everywhere() }),
        ..Default::default()
    };

    // Where it is missing on a host, nothing is started.
    let status = scene.begin(to(PullPolicy::Never)).await.unwrap_err();
    let (code, reason, message) = refusal(&status);
    assert_eq!((code, reason.as_str()), (Code::FailedPrecondition, "PLAN_REFUSED"), "{message}");
    assert!(message.contains("host-two") && message.contains("host-three"), "{message}");
    assert!(!message.contains("host-one") && message.contains(&image), "{message}");

    for (pull_policy, expected) in [
        // One host has it already.
        (PullPolicy::Missing, [0, 1, 1]),
        (PullPolicy::Missing, [0, 0, 0]),
        (PullPolicy::Always, [1, 1, 1]),
        (PullPolicy::Never, [0, 0, 0]),
    ] {
        let before: Vec<_> = pulls().collect();
        let rollout = scene.carry_out(to(pull_policy)).await?;
        ensure!(rollout.state() == RolloutState::Succeeded, "{}", told(&rollout));
        let made: Vec<_> = pulls().zip(before).map(|(now, before)| now - before).collect();
        assert_eq!(made, expected, "{pull_policy:?}");
    }

    // The tag moves: what hosts have under it is not what it means.
    first.import(&image, &Image::new("two")).await?;
    first.push(&image, None).await?;
    let moved = first.image(&image).await?.context("it is there")?["Id"].clone();
    let rollout = scene.carry_out(to(PullPolicy::Missing)).await?;
    ensure!(rollout.state() == RolloutState::Succeeded, "{}", told(&rollout));
    assert_eq!(scene.read(["/Image"]).await?, [[moved.clone()], [moved.clone()], [moved]]);

    // One that is in no registry.
    let local = format!("{}:v1", unique("local"));
    let everywhere = scene.world.engines().iter();
    let image = Image::new("local");
    try_join_all(everywhere.map(|engine| engine.import(&local, &image))).await?;
    let mut spec = to(PullPolicy::Missing);
    spec.image.clone_from(&local);
    let rollout = scene.carry_out(spec.clone()).await?;
    ensure!(rollout.state() == RolloutState::Succeeded, "{}", told(&rollout));
    spec.policy.get_or_insert_default().pull_policy = PullPolicy::Always.into();
    let (_, reason, message) = refusal(&scene.begin(spec).await.unwrap_err());
    assert_eq!(reason, "PLAN_REFUSED", "{message}");
    Ok(())
}

#[tokio::test]
async fn start_first_stops_the_old_one_when_the_new_one_is_good() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    let order = RolloutOrder::StartFirst.into();
    let policy = RolloutPolicy { order, max_parallel: "100%".to_owned(), ..held() };
    scene.put(&["beta"], "broken")?;
    let id = scene.begin(scene.spec_with("v2", policy).await?).await?.id;
    let at_gate = |rollout: &Rollout| {
        let gates = rollout.steps.iter().filter(|it| it.step() == HostStep::Gate).count();
        gates == 2 && rollout.steps[1].state() == HostState::Unchanged
    };
    scene.until(&id, "two gates and a host that is put back", at_gate).await?;
    let candidate = format!("{}.new-{}", scene.name, &id[..8]);
    let [alpha, beta, gamma] = scene.found().await?;
    for (found, old) in [(alpha, &before[0]), (gamma, &before[2])] {
        let [serving, new] = &found[..] else { panic!("{found:#?}") };
        assert_eq!(serving, old);
        assert_eq!((&new.name, new.status.as_str()), (&candidate, "running"));
    }
    // Where it failed, the old one was not even stopped.
    assert_eq!(beta, std::slice::from_ref(&before[1]));
    scene.put(&["alpha", "gamma"], "open")?;
    let rollout = scene.end(&id).await?;
    scene.check(&rollout, &before, "v2", &["alpha", "gamma"]).await
}
