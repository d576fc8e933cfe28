//! Rollouts whose image comes from a host of the fleet. No registry answers under the names here, so
//! that a host that asked one would fail.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use testbed::{Engine, EngineKind, Fleet, Image, eventually, unique};
use tonic::Code;
use wharf::v1::{
    HostState, PullPolicy, RegistryCredentials, RolloutPolicy, RolloutSpec, RolloutState,
};

use super::bench::{Bench, QUICK, quick, told};
use crate::recreate::scene::Scene;
use crate::support::kinds::{here_and, on_engines, shared, with_containerd};
use crate::support::relay::Relay;
use crate::support::{HOSTS, credentials, reason};

/// A name in a registry that does not answer.
fn reference(bench: &Bench, tag: &str) -> String {
    format!("127.0.0.1:9/{}:{tag}", bench.name())
}

/// Version 1 runs on every host.
async fn run_v1(bench: &Bench) -> anyhow::Result<()> {
    let v1 = reference(bench, "v1");
    for scene in &bench.scenes {
        scene.engine.import(&v1, &Image::new("v1")).await?;
    }
    bench.run(&json!({"Image": v1})).await
}

/// A rollout to an image that comes from a host.
fn from(bench: &Bench, image: &str, host: &str) -> RolloutSpec {
    RolloutSpec { image_from: host.to_owned(), ..bench.spec(image) }
}

/// Checks that each host has the image under its name, and that its container runs it.
async fn check_all_run(bench: &Bench, image: &str, id: &str) -> anyhow::Result<()> {
    for scene in &bench.scenes {
        let there = scene.engine.image(image).await?.context("the image is there")?;
        assert_eq!(there["Id"], id);
        let container = scene.inspect(bench.name()).await?;
        assert_eq!(
            (&container["Image"], &container["Config"]["Image"]),
            (&json!(id), &json!(image))
        );
        assert_eq!(container["State"]["Status"], "running");
    }
    Ok(())
}

#[tokio::test]
async fn an_image_from_a_host_is_rolled_out_and_taken_back_without_a_registry() -> anyhow::Result<()>
{
    let bench = Bench::new(3).await?;
    run_v1(&bench).await?;
    let before = bench.current().await?;
    let v2 = reference(&bench, "v2");
    let id = bench.scenes[0].engine.import(&v2, &Image::new("v2").padding(4 << 20)).await?;
    let refused = bench.plan(bench.spec(&v2)).await.err().context("no registry answers")?;
    assert_eq!(reason(&refused), "PLAN_REFUSED", "{refused:?}");

    let plan = bench.plan(from(&bench, &v2, "alpha")).await?;
    assert_eq!((&*plan.image_from, &plan.image_id, &*plan.image_digest), ("alpha", &id, ""));
    assert_eq!(plan.warnings, [""; 0]);
    let done = bench.roll(from(&bench, &v2, "alpha")).await?;
    assert_eq!(done.state(), RolloutState::Succeeded, "{}", told(&done));
    assert_eq!(done.image_from, "alpha");
    assert!(done.steps.iter().all(|step| step.new_image_id == id), "{}", told(&done));
    check_all_run(&bench, &v2, &id).await?;

    let again = bench.roll(from(&bench, &v2, "alpha")).await?;
    let counts = again.counts.context("counts")?;
    assert_eq!((again.state(), counts.skipped), (RolloutState::Succeeded, 3), "{}", told(&again));

    let undone = bench.undo(&done).await?;
    assert_eq!(undone.state(), RolloutState::Succeeded, "{}", told(&undone));
    for (now, before) in bench.current().await?.iter().zip(&before) {
        assert_eq!((&now["Id"], &now["Image"]), (&before["Id"], &before["Image"]));
        assert_eq!(now["State"]["Status"], "running");
    }
    Ok(())
}

#[tokio::test]
async fn a_wharfd_that_is_killed_in_the_middle_of_a_copy_goes_on_with_it() -> anyhow::Result<()> {
    let mut bench = Bench::new(2).await?;
    let engine = &Fleet::shared().await?.engines[2];
    let relay = Relay::to(engine).await?;
    bench.server.add(HOSTS[2], &relay.address).await?;
    let mut scene = Scene::on(engine)?;
    scene.name.clone_from(&bench.scenes[0].name);
    bench.scenes.push(scene);
    run_v1(&bench).await?;
    let before = bench.current().await?;
    let v2 = reference(&bench, "v2");
    let id = bench.scenes[0].engine.import(&v2, &Image::new("v2").padding(32 << 20)).await?;

    let begun = bench.begin(from(&bench, &v2, "alpha")).await?;
    relay.half_way().await;
    eventually("the copy to the other host", async || {
        let rollout = bench.get(&begun.id).await?;
        let pulled = rollout.steps.iter().filter(|step| step.state() == HostState::Pulled).count();
        ensure!(pulled == 2, "{}", told(&rollout));
        Ok(())
    })
    .await?;
    let rollout = bench.get(&begun.id).await?;
    assert_eq!(rollout.state(), RolloutState::Pulling, "{}", told(&rollout));
    bench.wharfd.kill();
    assert_eq!(engine.image(&v2).await?, None);
    for (now, before) in bench.current().await?.iter().zip(&before) {
        assert_eq!((&now["Id"], &now["State"]["Pid"]), (&before["Id"], &before["State"]["Pid"]));
    }

    relay.open();
    bench.wharfd.restart().await?;
    let done = bench.rest(&begun.id).await?;
    assert_eq!(done.state(), RolloutState::Succeeded, "{}", told(&done));
    check_all_run(&bench, &v2, &id).await?;
    let undone = bench.undo(&done).await?;
    assert_eq!(undone.state(), RolloutState::Succeeded, "{}", told(&undone));
    Ok(())
}

#[tokio::test]
async fn an_image_from_a_host_by_command_line() -> anyhow::Result<()> {
    let bench = Bench::new(3).await?;
    run_v1(&bench).await?;
    let v2 = reference(&bench, "v2");
    let id = bench.scenes[1].engine.import(&v2, &Image::new("v2")).await?;
    let name = bench.name();
    let cli = bench.wharfd.cli()?;
    let file =
        format!("container: {name}\nimage: {v2}\nimage_from: beta\ntargets: {{all: {{}}}}\n");
    let file = cli.write("web.yaml", &file)?;
    let planned = ["rollout", "plan", "-f", file.to_str().context("a path")?];
    let planned = cli.run(&planned).await?.expect(0)?;
    let head = format!("{name} to {v2} from beta ({id})\n");
    assert!(planned.stdout.starts_with(&head), "{planned:?}");

    let arguments = ["rollout", "start", name, "-A", "--image", &v2, "--image-from", "beta"];
    let started = cli.run(&[&arguments[..], &QUICK].concat()).await?.expect(0)?;
    let last = format!("{name} to {v2} from beta succeeded on 3 hosts");
    assert!(started.stdout.contains(&last) || started.stderr.contains(&last), "{started:?}");
    check_all_run(&bench, &v2, &id).await?;
    let shown = cli.run(&["rollout", "show", name]).await?.expect(0)?;
    assert!(shown.stdout.contains("image from beta"), "{shown:?}");
    let listed = cli.run(&["rollout", "show", name, "-o", "json"]).await?.expect(0)?;
    let [listed] = &listed.json_lines()?[..] else { panic!("{listed:?}") };
    assert_eq!((&listed["imageFrom"], &listed["plan"]["imageId"]), (&json!("beta"), &json!(id)));

    cli.run(&["rollout", "undo", name, QUICK[0], QUICK[1], QUICK[2], QUICK[3]]).await?.expect(0)?;
    let v1 = json!(reference(&bench, "v1"));
    for container in bench.current().await? {
        assert_eq!(
            (&container["Config"]["Image"], &container["State"]["Running"]),
            (&v1, &json!(true))
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_come_from_a_host_is_refused_before_anything_is_touched() -> anyhow::Result<()>
{
    let bench = Bench::new(2).await?;
    run_v1(&bench).await?;
    let before = bench.current().await?;
    let v2 = reference(&bench, "v2");
    bench.scenes[0].engine.import(&v2, &Image::new("v2")).await?;
    bench.server.add("away", "tcp://127.0.0.1:1").await?;
    let hosts = crate::support::hosts(&["alpha", "beta"]);
    let spec = |image: &str, host: &str| RolloutSpec {
        targets: hosts.clone(),
        ..from(&bench, image, host)
    };
    let never = RolloutPolicy { pull_policy: PullPolicy::Never.into(), ..quick() };
    let digest = format!("{v2}@sha256:{}", "1".repeat(64));
    for (spec, code, expected) in [
        (spec(&v2, "nobody"), Code::NotFound, "there is no host \"nobody\""),
        (spec(&v2, "No!"), Code::InvalidArgument, "spec.image_from"),
        (spec("", "alpha"), Code::InvalidArgument, "set `spec.image`"),
        (spec(&digest, "alpha"), Code::InvalidArgument, "with a tag"),
        (
            RolloutSpec { policy: Some(never), ..spec(&v2, "alpha") },
            Code::InvalidArgument,
            "never forbids",
        ),
        (spec(&v2, "beta"), Code::FailedPrecondition, "beta: it does not have"),
        (spec(&v2, "away"), Code::FailedPrecondition, "is to come from this host"),
    ] {
        let refused = bench.begin(spec.clone()).await.err().with_context(|| format!("{spec:?}"))?;
        assert_eq!(refused.code(), code, "{refused:?}");
        let text = format!(
            "{} {:?}",
            refused.message(),
            tonic_types::StatusExt::get_error_details(&refused)
        );
        assert!(text.contains(expected), "{text}");
    }
    let login: Option<RegistryCredentials> = credentials("127.0.0.1:9", "ann", "secret");
    let request = wharf::v1::CreateRolloutRequest {
        spec: Some(spec(&v2, "alpha")),
        credentials: login,
        ..Default::default()
    };
    let refused = bench.server.rollouts().create_rollout(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");

    let unknown = ["start", bench.name(), "-H", "alpha", "--image", &v2, "--image-from", "nobody"];
    let unknown = bench.cli(&unknown).await?.expect(2)?;
    assert!(unknown.stderr.contains("(HOST_NOT_FOUND)"), "{unknown:?}");
    let lacking = ["start", bench.name(), "-H", "alpha", "--image", &v2, "--image-from", "beta"];
    let lacking = bench.cli(&lacking).await?.expect(2)?;
    assert!(lacking.stderr.contains("it does not have"), "{lacking:?}");
    assert_eq!(bench.current().await?, before);
    assert_eq!(bench.scenes[1].engine.image(&v2).await?, None);
    Ok(())
}

/// From the machine's Engine to one of that kind, and back.
async fn to_and_from(kind: EngineKind) -> anyhow::Result<()> {
    between(shared(kind).await?).await
}

on_engines!(to_and_from: newer);

/// The same with containerd's store, in which images have other IDs.
async fn to_and_from_containerd(kind: EngineKind) -> anyhow::Result<()> {
    between(&with_containerd(kind).await?).await
}

on_engines!(to_and_from_containerd: docker28 = Docker28);

async fn between(there: &Engine) -> anyhow::Result<()> {
    let (here, wharfd, _server) = here_and(there).await?;
    let (name, cli) = (unique("web"), wharfd.cli()?);
    let image = |tag: &str| format!("127.0.0.1:9/{name}:{tag}");
    for engine in [here, there] {
        engine.import(&image("v1"), &Image::new("v1")).await?;
        engine.run(&name, &image("v1")).await?;
    }
    for (tag, from, engine) in [("v2", "here", here), ("v3", "there", there)] {
        engine.import(&image(tag), &Image::new(tag)).await?;
        let image = image(tag);
        let arguments = ["rollout", "start", &name, "-A", "--image", &image, "--image-from", from];
        cli.run(&[&arguments[..], &QUICK].concat()).await?.expect(0)?;
        let mut layers = Vec::new();
        for engine in [here, there] {
            let container = engine.container(&name).await?.context("the container")?;
            let found = engine.image(&image).await?.context("the image")?;
            let bare = |id: &Value| id.as_str().unwrap_or_default().replace("sha256:", "");
            assert_eq!(bare(&container["Image"]), bare(&found["Id"]));
            layers.push(found["RootFS"]["Layers"].clone());
        }
        assert_eq!(layers[0], layers[1]);
        // Nothing is left to do, whatever ID the image has there.
        let again = cli.run(&[&arguments[..], &QUICK].concat()).await?.expect(0)?;
        let told = format!("{}{}", again.stdout, again.stderr);
        assert!(told.contains("changed nothing"), "{again:?}");
    }
    cli.run(&[&["rollout", "undo", &name][..], &QUICK].concat()).await?.expect(0)?;
    for engine in [here, there] {
        let container = engine.container(&name).await?.context("the container")?;
        let found = engine.image(&image("v2")).await?.context("the image")?;
        let bare = |id: &Value| id.as_str().unwrap_or_default().replace("sha256:", "");
        assert_eq!(bare(&container["Image"]), bare(&found["Id"]));
        let list = engine.get("/containers/json?all=1").await?;
        for container in list.as_array().into_iter().flatten() {
            if container["Names"].to_string().contains(&name) {
                let id = container["Id"].as_str().unwrap_or_default();
                engine.delete(&format!("/containers/{id}?force=1&v=1")).await?;
            }
        }
    }
    Ok(())
}
