//! The state of the old container, its twin, and the comparison of the new one: rules C27, C30,
//! C36; and recreating a recreated container gives the same result.

use anyhow::Context;
use serde_json::json;
use testbed::{Image, Method};
use wharf_server::rollout::model::OldFacts;
use wharf_server::rollout::recreate::{compare, old_facts, twin};
use wharf_server::rollout::spec::Change;

use super::scene::{Scene, to_image};

async fn facts(scene: &Scene) -> anyhow::Result<OldFacts> {
    let facts = scene.facts().await?;
    Ok(old_facts(&facts.old.context("the container is there")?, &facts.host))
}

#[tokio::test]
async fn c27_created_exited_and_paused_containers_are_told_apart() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let v1 = scene.image("v1", Image::new("v1")).await?;
    let policy = json!({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 4}});
    scene.create(&scene.name, json!({"Image": v1, "HostConfig": policy})).await?;
    let found = facts(&scene).await?;
    assert!(!found.running);
    assert_eq!((found.restart.name.as_str(), found.restart.maximum_retry_count), ("on-failure", 4));
    scene.start(&scene.name).await?;
    assert!(facts(&scene).await?.running);
    scene.engine.post(&format!("/containers/{}/pause", scene.name), None).await?;
    let paused = scene.old().await?;
    assert!(old_facts(&paused, &scene.facts().await?.host).running && paused.inspect.paused);
    scene.stop(&scene.name).await?;
    let stopped = scene.old().await?;
    assert!(!old_facts(&stopped, &scene.facts().await?.host).running && !stopped.inspect.paused);
    // One that did not run is recreated and not started.
    let recreated = scene.planned(&Change::default()).await?;
    let new = scene.replace(&recreated).await?;
    assert_eq!(new["State"]["Status"], "created");
    Ok(())
}

#[tokio::test]
async fn c30_the_twin_of_one_that_removes_itself_keeps_its_volumes() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let v1 = scene.image("v1", Image::new("v1")).await?;
    let script = "test -e /data/file || echo first > /data/file; exec /bin/idle";
    let body = json!({
        "Image": v1,
        "Cmd": ["/bin/sh", "-c", script],
        "Volumes": {"/data": {}},
        "HostConfig": {"AutoRemove": true},
    });
    let id = scene.run(body).await?;
    let facts = scene.facts().await?;
    let old = facts.old.context("the container is there")?;
    assert!(old_facts(&old, &facts.host).auto_remove);
    let stand_in = twin(&old, &facts.host).map_err(|refusals| anyhow::anyhow!("{refusals:?}"))?;
    let twin_id = scene.create_planned(&stand_in).await?;

    scene.stop(&id).await?;
    scene
        .engine
        .api(Method::POST, &format!("/containers/{id}/wait?condition=removed"), None)
        .await?;
    assert!(scene.engine.container(&id).await?.is_none());
    let volume = &stand_in.inherited_volumes[0];
    scene.engine.get(&format!("/volumes/{volume}")).await?;
    scene.start(&twin_id).await?;
    let twin = scene.inspect(&twin_id).await?;
    assert_eq!(twin["Mounts"][0]["Name"], json!(volume));
    assert_eq!(twin["HostConfig"]["AutoRemove"], false);
    assert_eq!(compare(&stand_in.body, &twin), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn c36_what_the_engine_made_of_a_request_is_compared_with_it() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let v1 = scene.image("v1", Image::new("v1")).await?;
    scene.run(json!({"Image": v1, "Env": ["PASSWORD=s3cret"]})).await?;
    let mut change = to_image(&v1)?;
    // No Engine knows the first one.
    change.merge_patch = Some(json!({"HostConfig": {"Colour": "blue", "Memory": 67_108_864}}));
    let recreated = scene.planned(&change).await?;
    let id = scene.create_planned(&recreated).await?;
    let new = scene.inspect(&id).await?;
    let differences = compare(&recreated.body, &new);
    assert_eq!(differences, ["requested and found: HostConfig.Colour: \"blue\" -> none"]);
    let mut asked = recreated.body.clone();
    asked["Env"] = json!(["PASSWORD=other"]);
    let differences = compare(&asked, &new).join("\n");
    assert!(differences.contains("env.PASSWORD: (hidden) -> (hidden), changed"), "{differences}");
    Ok(())
}

#[tokio::test]
async fn a_container_made_anew_is_made_anew_as_the_same() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let image = Image::new("v1")
        .env("A", "1")
        .label("l", "1")
        .healthcheck("true")
        .change("VOLUME /data".to_owned())
        .change("EXPOSE 80".to_owned());
    let v1 = scene.image("v1", image).await?;
    let (own, prefix) = scene.network("own").await?;
    let (back, _) = scene.network("back").await?;
    let body = json!({
        "Image": v1,
        "Env": ["B=2"],
        "Labels": {"team": "a"},
        "Volumes": {"/more": {}},
        "HostConfig": {
            "NetworkMode": own,
            "Memory": 67_108_864,
            "PortBindings": {"80/tcp": [{"HostPort": ""}]},
            "RestartPolicy": {"Name": "always"},
        },
        "NetworkingConfig": {"EndpointsConfig": {own.as_str(): {
            "Aliases": ["web"], "IPAMConfig": {"IPv4Address": format!("{prefix}.9")},
        }}},
    });
    scene.create(&scene.name, body).await?;
    let endpoint = json!({"Container": scene.name, "EndpointConfig": {"Aliases": ["w"]}});
    scene.engine.post(&format!("/networks/{back}/connect"), Some(endpoint)).await?;
    scene.start(&scene.name).await?;
    let first = scene.planned(&Change::default()).await?;
    assert_eq!(first.diff, [""; 0]);
    let new = scene.replace(&first).await?;

    let id = new["Id"].as_str().unwrap_or_default();
    scene
        .engine
        .post(&format!("/containers/{}/rename?name={}", scene.name, scene.other("old")), None)
        .await?;
    scene.engine.post(&format!("/containers/{id}/rename?name={}", scene.name), None).await?;
    let second = scene.planned(&Change::default()).await?;
    assert_eq!(second.body, first.body);
    assert_eq!(second.extra_networks, first.extra_networks);
    assert_eq!((second.diff.len(), &second.spec_sha), (0, &first.spec_sha));
    Ok(())
}
