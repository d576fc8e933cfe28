//! The new container is in the same networks: rules C17 to C23.

use serde_json::{Value, json};
use testbed::Image;
use wharf_server::engine::NetworkSummary;
use wharf_server::rollout::recreate::recreate;

use super::scene::{Scene, options, sorted, to_image};

async fn two_versions(scene: &Scene) -> anyhow::Result<(String, String)> {
    let v1 = scene.image("v1", Image::new("v1")).await?;
    let v2 = scene.image("v2", Image::new("v2")).await?;
    Ok((v1, v2))
}

/// A body whose own network is `network`, with the endpoint.
fn within(image: &str, network: &str, endpoint: &Value) -> Value {
    json!({
        "Image": image,
        "HostConfig": {"NetworkMode": network},
        "NetworkingConfig": {"EndpointsConfig": {network: endpoint}},
    })
}

async fn connect(scene: &Scene, network: &str, endpoint: Value) -> anyhow::Result<()> {
    let body = json!({"Container": scene.name, "EndpointConfig": endpoint});
    scene.engine.post(&format!("/networks/{network}/connect"), Some(body)).await.map(drop)
}

#[tokio::test]
async fn c17_all_networks_are_joined_before_the_start() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let (v1, v2) = two_versions(&scene).await?;
    // Its own network is not the first by name.
    let (own, _) = scene.network("own").await?;
    let (back, _) = scene.network("back").await?;
    let (aside, _) = scene.network("aside").await?;
    scene.create(&scene.name, within(&v1, &own, &json!({}))).await?;
    connect(&scene, &back, json!({"Aliases": ["db"]})).await?;
    connect(&scene, &aside, json!({})).await?;
    scene.start(&scene.name).await?;

    let recreated = scene.planned(&to_image(&v2)?).await?;
    let extra: Vec<&str> = recreated.extra_networks.iter().map(|(name, _)| name.as_str()).collect();
    if scene.speaks(1, 44).await? {
        let asked = &recreated.body["NetworkingConfig"]["EndpointsConfig"];
        assert_eq!(asked.as_object().map_or(0, serde_json::Map::len), 3, "{asked}");
        assert_eq!(extra, [""; 0]);
    } else {
        assert_eq!(extra, [&aside, &back]);
    }
    let new = scene.replace(&recreated).await?;
    assert_eq!(new["HostConfig"]["NetworkMode"], own);
    let networks = new["NetworkSettings"]["Networks"].as_object().expect("networks");
    for name in [&own, &back, &aside] {
        assert_ne!(networks[name]["IPAddress"], "", "{name}");
    }
    assert_eq!(networks.len(), 3);
    assert!(sorted(&networks[&back]["Aliases"]).contains(&"db".to_owned()));
    Ok(())
}

#[tokio::test]
async fn c18_a_network_that_was_given_by_its_id_keeps_its_settings() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let (v1, v2) = two_versions(&scene).await?;
    let (own, prefix) = scene.network("own").await?;
    let id = scene.engine.get(&format!("/networks/{own}")).await?["Id"].clone();
    let id = id.as_str().expect("an ID");
    let address = format!("{prefix}.77");
    let endpoint = json!({"IPAMConfig": {"IPv4Address": address}});
    scene.run(within(&v1, id, &endpoint)).await?;
    let old = scene.inspect(&scene.name).await?;
    assert_eq!(old["HostConfig"]["NetworkMode"], id);
    let recreated = scene.planned(&to_image(&v2)?).await?;
    assert_eq!(recreated.body["HostConfig"]["NetworkMode"], own);
    let new = scene.replace(&recreated).await?;
    assert_eq!(new["NetworkSettings"]["Networks"][&own]["IPAddress"], address);
    Ok(())
}

#[tokio::test]
async fn c19_settings_of_an_endpoint_stay_and_what_the_run_made_does_not() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let (v1, v2) = two_versions(&scene).await?;
    let (own, prefix) = scene.network("own").await?;
    let db = scene.other("db");
    scene.create(&db, within(&v1, &own, &json!({}))).await?;
    scene.start(&db).await?;
    let endpoint = json!({
        "Aliases": ["web"],
        "Links": [format!("{db}:database")],
        "DriverOpts": {"com.example.option": "1"},
        "IPAMConfig": {"IPv4Address": format!("{prefix}.50")},
    });
    scene.run(within(&v1, &own, &endpoint)).await?;
    let recreated = scene.planned(&to_image(&v2)?).await?;
    assert_eq!(recreated.body["NetworkingConfig"]["EndpointsConfig"][&own], endpoint);
    let new = scene.replace(&recreated).await?;
    let found = &new["NetworkSettings"]["Networks"][&own];
    assert_eq!(found["Links"], endpoint["Links"]);
    assert_eq!(found["DriverOpts"], endpoint["DriverOpts"]);
    Ok(())
}

#[tokio::test]
async fn c20_the_short_id_that_the_engine_adds_is_no_name_of_the_new_container()
-> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let (v1, v2) = two_versions(&scene).await?;
    let (own, _) = scene.network("own").await?;
    let endpoint = json!({"Aliases": ["web", "abcdef012345"]});
    let old_id = scene.run(within(&v1, &own, &endpoint)).await?;
    let new = scene.upgrade(&v2).await?;
    let new_id = new["Id"].as_str().unwrap_or_default();
    let mut expected = vec!["web", "abcdef012345"];
    if !scene.speaks(1, 45).await? {
        expected.push(&new_id[..12]);
    }
    expected.sort_unstable();
    assert_eq!(sorted(&new["NetworkSettings"]["Networks"][&own]["Aliases"]), expected);
    assert_ne!(old_id, new_id);
    Ok(())
}

#[tokio::test]
async fn c21_a_mac_address_stays_only_where_it_was_asked_for() -> anyhow::Result<()> {
    for asked in [None, Some("02:42:0a:00:00:99")] {
        let scene = Scene::new().await?;
        let (v1, v2) = two_versions(&scene).await?;
        let (own, _) = scene.network("own").await?;
        let mut body = within(&v1, &own, &json!({}));
        body["MacAddress"] = json!(asked);
        scene.run(body).await?;
        let old = scene.inspect(&scene.name).await?;
        assert_ne!(old["NetworkSettings"]["Networks"][&own]["MacAddress"], "");
        let recreated = scene.planned(&to_image(&v2)?).await?;
        let (whole, endpoint) =
            (&recreated.body, &recreated.body["NetworkingConfig"]["EndpointsConfig"][&own]);
        let (has, has_not) =
            if scene.speaks(1, 44).await? { (endpoint, whole) } else { (whole, endpoint) };
        assert_eq!(has["MacAddress"].as_str(), asked);
        assert_eq!(has_not["MacAddress"], Value::Null);
        let new = scene.replace(&recreated).await?;
        let address = &new["NetworkSettings"]["Networks"][&own]["MacAddress"];
        if let Some(asked) = asked {
            assert_eq!(address, asked);
        }
    }
    Ok(())
}

#[tokio::test]
async fn c22_nothing_is_asked_of_networks_that_take_no_settings() -> anyhow::Result<()> {
    for mode in ["none", "host"] {
        let scene = Scene::new().await?;
        let (v1, v2) = two_versions(&scene).await?;
        scene.run(json!({"Image": v1, "HostConfig": {"NetworkMode": mode}})).await?;
        let recreated = scene.planned(&to_image(&v2)?).await?;
        assert_eq!(recreated.body.get("NetworkingConfig"), None, "{mode}");
        let new = scene.replace(&recreated).await?;
        assert_eq!(new["State"]["Running"], true, "{mode}");
    }
    // The Engine takes this one and fails at the start; so it is refused before.
    let scene = Scene::new().await?;
    let (v1, v2) = two_versions(&scene).await?;
    scene.run(json!({"Image": v1})).await?;
    let mut change = to_image(&v2)?;
    change.merge_patch = Some(json!({
        "HostConfig": {"NetworkMode": "bridge"},
        "NetworkingConfig": {"EndpointsConfig": {"bridge": {"Aliases": ["web"]}}},
    }));
    let refused = scene.plan(&change, &options()).await?.expect_err("no names there");
    assert_eq!(refused, ["INVALID_FIELD"]);
    Ok(())
}

#[tokio::test]
async fn c23_a_fixed_address_is_taken_over_once_the_old_container_stopped() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let (v1, v2) = two_versions(&scene).await?;
    let (own, prefix) = scene.network("own").await?;
    let address = format!("{prefix}.44");
    let endpoint = json!({"IPAMConfig": {"IPv4Address": address}});
    scene.run(within(&v1, &own, &endpoint)).await?;
    let recreated = scene.planned(&to_image(&v2)?).await?;

    let candidate = scene.create_planned(&recreated).await?;
    let path = format!("/containers/{candidate}/start");
    let (status, answer) = scene.engine.api(testbed::Method::POST, &path, None).await?;
    assert_eq!(status, 403, "{answer}");
    assert!(answer.to_string().contains("already in use"), "{answer}");
    scene.stop(&scene.name).await?;
    scene.start(&candidate).await?;
    let new = scene.inspect(&candidate).await?;
    assert_eq!(new["NetworkSettings"]["Networks"][&own]["IPAddress"], address);

    // What an overlay network shows may be the Engine's choice.
    let mut facts = scene.facts().await?;
    let network: &mut NetworkSummary =
        facts.host.networks.iter_mut().find(|network| network.name == own).expect("the network");
    network.scope = "swarm".to_owned();
    let old = facts.old.expect("the container is there");
    let overlay = recreate(&old, &facts.host, &to_image(&v2)?, &options())
        .map_err(|refusals| anyhow::anyhow!("{refusals:?}"))?;
    assert!(!overlay.body.to_string().contains(&address));
    assert!(overlay.risks.iter().any(|risk| risk.contains("it is not kept")));
    Ok(())
}
