//! Obstacles to starting the new container while the old one runs: rule C32.

use serde_json::{Value, json};
use testbed::Image;
use wharf_server::rollout::model::Order;
use wharf_server::rollout::recreate::Options;
use wharf_server::rollout::spec::{Dependents, OrderPreference};

use super::scene::{Scene, options, to_image};

async fn obstacle(body: Value, expected: &str) -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let v1 = scene.image("v1", Image::new("v1")).await?;
    let v2 = scene.image("v2", Image::new("v2")).await?;
    let mut body = body;
    body["Image"] = json!(v1);
    if body["HostConfig"]["NetworkMode"] == "own" {
        let (own, _) = scene.network("own").await?;
        body["HostConfig"]["NetworkMode"] = own.into();
    }
    scene.run(body).await?;
    let change = to_image(&v2)?;
    let wish = |order| Options { order, dependents: Dependents::Recreate, ..options() };
    let first = scene.plan(&change, &wish(OrderPreference::StartFirst)).await?;
    assert_eq!(first.expect_err(expected), ["ROLLOUT_START_FIRST_IMPOSSIBLE"]);
    let auto = scene.plan(&change, &wish(OrderPreference::Auto)).await?.expect("auto falls back");
    assert_eq!(auto.order, Order::StopFirst);
    let said = auto.risks.iter().find(|risk| risk.starts_with("stop-first, because"));
    assert!(said.is_some_and(|said| said.contains(expected)), "{said:?}");
    Ok(())
}

#[tokio::test]
async fn c32_fixed_ports_host_network_shared_volumes_and_self_removal_stand_against_it()
-> anyhow::Result<()> {
    let ports = json!({"80/tcp": [{"HostPort": "18080"}]});
    obstacle(json!({"HostConfig": {"PortBindings": ports}}), "the host port 18080").await?;
    obstacle(json!({"HostConfig": {"NetworkMode": "host"}}), "the host's network").await?;
    obstacle(json!({"Volumes": {"/data": {}}}), "both write to").await?;
    obstacle(json!({"HostConfig": {"AutoRemove": true}}), "auto-remove").await?;
    let address = json!({"MacAddress": "02:42:0a:00:00:98", "HostConfig": {"NetworkMode": "own"}});
    obstacle(address, "a fixed MAC address").await
}

#[tokio::test]
async fn c32_where_nothing_stands_against_it_old_and_new_run_together() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let v1 = scene.image("v1", Image::new("v1")).await?;
    let v2 = scene.image("v2", Image::new("v2")).await?;
    let directory = scene.engine.directory().display().to_string();
    let binds = json!([format!("{directory}:/data:ro")]);
    scene.run(json!({"Image": v1, "HostConfig": {"Binds": binds}})).await?;
    let wish = Options { order: OrderPreference::StartFirst, ..options() };
    let recreated = scene.plan(&to_image(&v2)?, &wish).await?.expect("nothing stands against it");
    assert_eq!(recreated.order, Order::StartFirst);
    let id = scene.create_planned(&recreated).await?;
    scene.start(&id).await?;
    for container in [&scene.name, &id] {
        assert_eq!(scene.inspect(container).await?["State"]["Running"], true);
    }
    Ok(())
}

#[tokio::test]
async fn c32_ports_that_the_engine_chooses_are_told_to_change() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let v1 = scene.image("v1", Image::new("v1")).await?;
    let ports = json!({"80/tcp": [{"HostPort": ""}]});
    scene.run(json!({"Image": v1, "HostConfig": {"PortBindings": ports}})).await?;
    let recreated = scene.planned(&to_image(&v1)?).await?;
    assert_eq!(recreated.risks, ["the host's port for 80/tcp changes"]);
    Ok(())
}
