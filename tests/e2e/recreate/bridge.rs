//! Containers in the Engine's own default network: rules C15 and C22. The Engines of the fleet have
//! none, so this one gets its own bridge.

use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use testbed::{Engine, EngineKind, EngineOptions, Image, tools, unique};
use tokio::sync::OnceCell;
use wharf_server::engine::ContainerFacts;
use wharf_server::rollout::recreate;

use super::scene::{Scene, options, to_image};

/// A bridge of this machine, gone when it is dropped.
pub struct Bridge {
    name: String,
}

impl Bridge {
    pub fn add() -> anyhow::Result<Bridge> {
        // At most 15 characters.
        let name = unique("wbr").replace('-', "");
        let bridge = Bridge { name: name.clone() };
        ip(&["link", "add", "name", &name, "type", "bridge"])?;
        let number = name.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31) + u32::from(byte));
        let address = format!("10.{}.{}.1/24", 200 + number % 50, number / 50 % 256);
        ip(&["addr", "add", &address, "dev", &name])?;
        ip(&["link", "set", &name, "up"])?;
        Ok(bridge)
    }

    /// As `--bridge` takes it.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = ip(&["link", "del", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(tools::system("busybox")?);
    let output = command.arg("ip").args(arguments).output()?;
    ensure!(output.status.success(), "ip {arguments:?}: {output:?}");
    Ok(())
}

/// Everything on this bridge happens in one test, so that the bridge has an end.
#[tokio::test]
async fn c15_c22_links_and_the_network_of_the_engine() -> anyhow::Result<()> {
    static ENGINE: OnceCell<Engine> = OnceCell::const_new();
    let bridge = Bridge::add()?;
    let arguments = vec![format!("--bridge={}", bridge.name)];
    let kind = EngineKind::under_test()?;
    let started = Engine::start_with(EngineOptions { kind, arguments, ..EngineOptions::default() });
    let engine = ENGINE.get_or_try_init(|| started).await?;
    let result = async {
        links_are_asked_for_by_target_and_alias(engine).await?;
        names_and_addresses_are_not_asked_for(engine).await?;
        names_are_accepted_and_fail_at_the_start(engine).await
    }
    .await;
    // A static is never dropped, and the bridge must not outlive the Engine's use of it.
    engine.stop().await?;
    drop(bridge);
    result
}

async fn links_are_asked_for_by_target_and_alias(engine: &'static Engine) -> anyhow::Result<()> {
    let scene = Scene::on(engine)?;
    let v1 = scene.image("v1", Image::new("v1")).await?;
    let v2 = scene.image("v2", Image::new("v2")).await?;
    let db = scene.other("db");
    scene.create_as_it_is(&db, json!({"Image": v1})).await?;
    scene.start(&db).await?;
    let links = json!([format!("{db}:database")]);
    let body = json!({"Image": v1, "HostConfig": {"Links": links}});
    scene.create_as_it_is(&scene.name, body).await?;
    scene.start(&scene.name).await?;
    let old = scene.inspect(&scene.name).await?;
    assert_eq!(old["HostConfig"]["Links"], json!([format!("/{db}:/{}/database", scene.name)]));

    let recreated = scene.planned(&to_image(&v2)?).await?;
    assert_eq!(recreated.body["HostConfig"]["Links"], json!([format!("/{db}:database")]));
    let new = scene.replace(&recreated).await?;
    let expected = json!([format!("/{db}:/{}/database", scene.other("new"))]);
    assert_eq!(new["HostConfig"]["Links"], expected);

    // Who upgrades the target of a link is told who could not start again, or has it recreated.
    let target = wharf_server::domain::ContainerName::parse(&db)?;
    let facts = wharf_server::rollout::facts::gather(&*scene.client, &target).await?;
    let target = facts.old.context("the target is there")?;
    let refused = recreate::recreate(&target, &facts.host, &to_image(&v2)?, &options()).err();
    let refused = refused.context("the link stands against it")?;
    let told = format!("the container {} has a link to it", scene.name);
    assert!(refused[0].message.starts_with(&told), "{refused:?}");
    assert_eq!(refused[0].reason, wharf_server::domain::Reason::DependentContainer);

    // The target is replaced, and the link still leads to the old one: the one that has the
    // name now is meant.
    let kept = format!("{db}.old-0123abcd");
    scene.engine.post(&format!("/containers/{db}/rename?name={kept}"), None).await?;
    scene.create_as_it_is(&db, json!({"Image": v2})).await?;
    scene.start(&db).await?;
    let linker = scene.inspect(&scene.name).await?;
    let shown = json!([format!("/{kept}:/{}/database", scene.name)]);
    assert_eq!(linker["HostConfig"]["Links"], shown);
    let recreated = scene.planned(&to_image(&v2)?).await?;
    assert_eq!(recreated.body["HostConfig"]["Links"], json!([format!("/{db}:database")]));
    // And by its ID, as a dependent is made before the new target has the name.
    let new = scene.inspect(&db).await?;
    let (old, id) = (ContainerFacts::read(&new), new["Id"].as_str().context("an ID")?);
    let body = recreate::retarget(&recreated.body, &old, id);
    assert_eq!(body["HostConfig"]["Links"], json!([format!("{id}:database")]));
    let name = scene.other("by-id");
    scene.create_as_it_is(&name, body.clone()).await?;
    scene.start(&name).await?;
    let found = scene.inspect(&name).await?;
    assert_eq!(found["HostConfig"]["Links"], json!([format!("/{db}:/{name}/database")]));
    assert_eq!(recreate::compare(&body, &found), [""; 0]);
    Ok(())
}

async fn names_and_addresses_are_not_asked_for(engine: &'static Engine) -> anyhow::Result<()> {
    for mode in ["", "default", "bridge"] {
        let scene = Scene::on(engine)?;
        let v1 = scene.image("v1", Image::new("v1")).await?;
        let v2 = scene.image("v2", Image::new("v2")).await?;
        let (back, _) = scene.network("back").await?;
        let body = json!({
            "Image": v1,
            "MacAddress": "02:42:0a:00:00:77",
            "HostConfig": {"NetworkMode": mode},
        });
        scene.create_as_it_is(&scene.name, body).await?;
        let endpoint = json!({"Container": scene.name, "EndpointConfig": {"Aliases": ["w"]}});
        scene.engine.post(&format!("/networks/{back}/connect"), Some(endpoint)).await?;
        scene.start(&scene.name).await?;
        let recreated = scene.planned(&to_image(&v2)?).await?;
        if scene.speaks(1, 44).await? {
            let asked = &recreated.body["NetworkingConfig"]["EndpointsConfig"];
            assert_eq!(asked[&back], json!({"Aliases": ["w"]}), "{mode}");
        } else {
            assert_eq!(recreated.body.get("NetworkingConfig"), None, "{mode}");
            assert_eq!(recreated.extra_networks, [(back.clone(), json!({"Aliases": ["w"]}))]);
        }
        let new = scene.replace(&recreated).await?;
        let networks = &new["NetworkSettings"]["Networks"];
        assert_ne!(networks["bridge"]["IPAddress"], "", "{mode}");
        assert_eq!(networks["bridge"]["MacAddress"], "02:42:0a:00:00:77");
        assert_ne!(networks[&back]["IPAddress"], "", "{mode}");
    }
    Ok(())
}

/// Why [`super::networks`] expects a refusal: Engines before API 1.44 find out too late.
async fn names_are_accepted_and_fail_at_the_start(engine: &'static Engine) -> anyhow::Result<()> {
    let scene = Scene::on(engine)?;
    let v1 = scene.image("v1", Image::new("v1")).await?;
    let body = json!({
        "Image": v1,
        "NetworkingConfig": {"EndpointsConfig": {"bridge": {"Aliases": ["web"]}}},
    });
    if scene.speaks(1, 44).await? {
        let path = format!("/containers/create?name={}", scene.name);
        let (status, answer) = scene.engine.api(testbed::Method::POST, &path, Some(body)).await?;
        ensure!(status == 400 && answer.to_string().contains("alias"), "{status} {answer}");
        return Ok(());
    }
    let id = scene.create_as_it_is(&scene.name, body).await?;
    let path = format!("/containers/{id}/start");
    let (status, answer): (u16, Value) =
        scene.engine.api(testbed::Method::POST, &path, None).await?;
    assert!(status >= 400, "{status} {answer}");
    Ok(())
}
