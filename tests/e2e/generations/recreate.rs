//! Rollouts on Engines of other generations: settings that only newer API versions support, and
//! networks that newer Engines join only if they are listed.

use anyhow::ensure;
use serde_json::{Value, json};
use testbed::{Engine, EngineKind, EngineOptions, Image, eventually};
use wharf::v1::{Dependents, HostState, RolloutPolicy, RolloutState};

use crate::recreate::bridge::Bridge;
use crate::rollout_host::stage::{Stage, quick, states};
use crate::support::kinds::on_engines;

on_engines!(the_default_bridge_and_a_link_survive:
    machine = Machine, docker26 = Docker26, docker28 = Docker28);

async fn the_default_bridge_and_a_link_survive(kind: EngineKind) -> anyhow::Result<()> {
    let bridge = Bridge::add()?;
    let arguments = vec![format!("--bridge={}", bridge.name())];
    let engine =
        Engine::start_with(EngineOptions { kind, arguments, ..Default::default() }).await?;
    let engine: &'static Engine = Box::leak(Box::new(engine));
    let result = in_both_networks(engine).await;
    // What is leaked is never dropped, and the bridge must not outlive the Engine's use of it.
    engine.stop().await?;
    drop(bridge);
    result
}

async fn in_both_networks(engine: &'static Engine) -> anyhow::Result<()> {
    let stage = Stage::on(engine).await?;
    let scene = &stage.scene;
    let web = |version| Image::new(version).command(&["/bin/web"]);
    let v1 = scene.image("v1", web("v1")).await?;
    let v2 = scene.image("v2", web("v2")).await?;
    let (back, _) = scene.network("back").await?;
    scene.create_as_it_is(&scene.name, json!({"Image": v1})).await?;
    let connect = json!({"Container": scene.name});
    scene.engine.post(&format!("/networks/{back}/connect"), Some(connect)).await?;
    scene.start(&scene.name).await?;
    let linker = scene.other("linker");
    let links = json!([format!("{}:backend", scene.name)]);
    scene.create_as_it_is(&linker, json!({"Image": v1, "HostConfig": {"Links": links}})).await?;
    scene.start(&linker).await?;
    let whole = async |version: &str| {
        let found = stage.current().await?;
        let networks = &found["NetworkSettings"]["Networks"];
        for network in ["bridge", &back] {
            let address = networks[network]["IPAddress"].as_str().unwrap_or_default();
            ensure!(!address.is_empty(), "no address in {network}: {networks}");
        }
        let found = scene.inspect(&linker).await?;
        let expected = json!([format!("/{}:/{linker}/backend", scene.name)]);
        ensure!(found["HostConfig"]["Links"] == expected, "{}", found["HostConfig"]["Links"]);
        let asked = eventually("the server behind the link", async || {
            stage.run_in(&linker, "wget -q -O- http://backend:8080/version").await
        });
        assert_eq!(asked.await?, version);
        anyhow::Ok(())
    };
    whole("v1").await?;

    let said = stage.refusals(&v2, quick()).await?;
    assert!(said.contains(&format!("the container {linker} has a link to it")), "{said}");
    let policy = RolloutPolicy { dependents: Dependents::Recreate.into(), strict: true, ..quick() };
    let done = stage.roll(&v2, policy).await?;
    assert_eq!(states(&done), (RolloutState::Succeeded, HostState::Updated), "{done:#?}");
    assert_eq!(done.steps[0].warnings, Vec::<String>::new());
    whole("v2").await?;
    let policy = RolloutPolicy { dependents: Dependents::Recreate.into(), ..quick() };
    let undone = stage.undo_with(&done, policy).await?;
    assert_eq!(states(&undone), (RolloutState::Succeeded, HostState::Updated), "{undone:#?}");
    whole("v1").await
}

on_engines!(what_only_newer_versions_can_say_survives: docker28 = Docker28);

async fn what_only_newer_versions_can_say_survives(kind: EngineKind) -> anyhow::Result<()> {
    let engine = Engine::start_with(EngineOptions { kind, ..EngineOptions::default() }).await?;
    let engine: &'static Engine = Box::leak(Box::new(engine));
    let result = newest(engine).await;
    engine.stop().await?;
    result
}

async fn newest(engine: &'static Engine) -> anyhow::Result<()> {
    let stage = Stage::on(engine).await?;
    let scene = &stage.scene;
    let v1 = scene.image("v1", Image::new("v1")).await?;
    let v2 = scene.image("v2", Image::new("v2")).await?;
    let (front, _) = scene.network("front").await?;
    let (back, _) = scene.network("back").await?;
    // A subpath has to be there.
    let (volume, filler) = (scene.other("volume"), scene.other("filler"));
    let binds = json!({"Binds": [format!("{volume}:/volume")]});
    let id = scene.create(&filler, json!({"Image": v1, "HostConfig": binds})).await?;
    scene.start(&id).await?;
    stage.run_in(&filler, "mkdir /volume/part").await?;
    let mac = "00:16:3e:00:00:77";
    let subpath = json!({
        "Type": "volume", "Source": volume, "Target": "/data",
        "VolumeOptions": {"Subpath": "part"},
    });
    let scratch =
        json!({"Type": "tmpfs", "Target": "/scratch", "TmpfsOptions": {"Options": [["noexec"]]}});
    let image = json!({"Type": "image", "Source": v1, "Target": "/image"});
    let body = json!({
        "Image": v1,
        "HostConfig": {"NetworkMode": front, "Mounts": [subpath, image, scratch]},
        "NetworkingConfig": {"EndpointsConfig": {
            front.as_str(): {"Aliases": ["web"]},
            back.as_str(): {"GwPriority": 7, "MacAddress": mac},
        }},
    });
    let told = |found: &Value| {
        let networks = &found["NetworkSettings"]["Networks"];
        let mut mounts = found["HostConfig"]["Mounts"].clone();
        if let Some(mounts) = mounts.as_array_mut() {
            mounts.sort_by_key(|mount| mount["Target"].to_string());
        }
        let (front, back) = (&networks[&front], &networks[&back]);
        json!([front["Aliases"], back["GwPriority"], back["MacAddress"], mounts])
    };
    scene.run(body).await?;
    let before = told(&stage.current().await?);
    assert_eq!((&before[1], &before[2]), (&json!(7), &json!(mac)));
    let done = stage.roll(&v2, RolloutPolicy { strict: true, ..quick() }).await?;
    assert_eq!(states(&done), (RolloutState::Succeeded, HostState::Updated), "{done:#?}");
    assert_eq!(done.steps[0].warnings, Vec::<String>::new());
    assert_eq!(told(&stage.current().await?), before);
    Ok(())
}
