//! The data of a container: rules C24 and C25.

use serde_json::json;
use testbed::Image;
use wharf_server::rollout::recreate::Options;
use wharf_server::rollout::spec::AnonymousVolumes;

use super::scene::{Scene, options, to_image};

const WRITE: &str =
    "for d in /data /more /tree /named; do echo kept > $d/file; done; exec /bin/idle";

#[tokio::test]
async fn c24_anonymous_volumes_go_over_with_what_is_in_them() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let image = |version| Image::new(version).change("VOLUME /data".to_owned());
    let (v1, v2) = (scene.image("v1", image("v1")).await?, scene.image("v2", image("v2")).await?);
    let named = scene.other("named");
    let body = json!({
        "Image": v1,
        "Cmd": ["/bin/sh", "-c", WRITE],
        "Volumes": {"/more": {}},
        "HostConfig": {
            "Binds": [format!("{named}:/named")],
            "Mounts": [{"Type": "volume", "Target": "/tree"}],
        },
    });
    scene.run(body).await?;
    let old = scene.inspect(&scene.name).await?;
    let volumes = |inspect: &serde_json::Value| {
        let mut list: Vec<String> = inspect["Mounts"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|mount| format!("{} {}", mount["Destination"], mount["Name"]))
            .collect();
        list.sort();
        list
    };
    let recreated = scene.planned(&to_image(&v2)?).await?;
    assert_eq!(recreated.inherited_volumes.len(), 3);
    let told = recreated
        .risks
        .iter()
        .filter(|risk| risk.contains("removing a container no longer removes it"))
        .count();
    assert_eq!(told, 3);
    let new = scene.replace(&recreated).await?;
    assert_eq!(volumes(&new), volumes(&old));

    // They outlive the removal of either container with its volumes.
    scene.engine.delete(&format!("/containers/{}?v=1", scene.name)).await?;
    for name in &recreated.inherited_volumes {
        scene.engine.get(&format!("/volumes/{name}")).await?;
    }
    let id = new["Id"].as_str().unwrap_or_default();
    scene.engine.delete(&format!("/containers/{id}?force=1&v=1")).await?;
    for name in recreated.inherited_volumes.iter().chain([&named]) {
        scene.engine.delete(&format!("/volumes/{name}")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn c24_anonymous_volumes_can_be_renewed() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let image = |version| Image::new(version).change("VOLUME /data".to_owned());
    let (v1, v2) = (scene.image("v1", image("v1")).await?, scene.image("v2", image("v2")).await?);
    scene.run(json!({"Image": v1})).await?;
    let renew = Options { anonymous_volumes: AnonymousVolumes::Renew, ..options() };
    let recreated = scene.plan(&to_image(&v2)?, &renew).await?.expect("nothing stands against it");
    let old = scene.inspect(&scene.name).await?;
    let new = scene.replace(&recreated).await?;
    assert_ne!(new["Mounts"][0]["Name"], old["Mounts"][0]["Name"]);
    assert!(recreated.diff.iter().any(|line| line.starts_with("mounts./data: ")), "{recreated:?}");
    Ok(())
}

#[tokio::test]
async fn c24_volumes_from_another_container_stay_with_it() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let (v1, v2) =
        (scene.image("v1", Image::new("v1")).await?, scene.image("v2", Image::new("v2")).await?);
    let source = scene.other("source");
    scene.create(&source, json!({"Image": v1, "Volumes": {"/data": {}}})).await?;
    scene.run(json!({"Image": v1, "HostConfig": {"VolumesFrom": [source]}})).await?;
    let name = scene.inspect(&scene.name).await?["Mounts"][0]["Name"].clone();
    let recreated = scene.planned(&to_image(&v2)?).await?;
    assert_eq!(recreated.body["HostConfig"]["VolumesFrom"], json!([source]));
    assert_eq!(recreated.inherited_volumes, [""; 0]);

    // Without the source, by name.
    scene.engine.delete(&format!("/containers/{source}")).await?;
    let recreated = scene.planned(&to_image(&v2)?).await?;
    let new = scene.replace(&recreated).await?;
    assert_eq!(new["Mounts"][0]["Name"], name);
    Ok(())
}

#[tokio::test]
async fn c25_files_in_its_own_layer_are_told_before_they_are_lost() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let v1 = scene.image("v1", Image::new("v1")).await?;
    let v2 = scene.image("v2", Image::new("v2")).await?;
    let script = "mkdir /srv; echo a > /srv/orders.db; echo b > /data/kept; exec /bin/idle";
    let body = json!({
        "Image": v1,
        "Cmd": ["/bin/sh", "-c", script],
        "Volumes": {"/data": {}},
    });
    scene.run(body).await?;
    testbed::eventually("the file", async || {
        let path = format!("/containers/{}/changes", scene.name);
        let changes = scene.engine.get(&path).await?.to_string();
        anyhow::ensure!(changes.contains("orders.db"), "{changes}");
        Ok(())
    })
    .await?;
    let recreated = scene.planned(&to_image(&v2)?).await?;
    let told: Vec<_> = recreated.risks.iter().filter(|risk| risk.contains("lost:")).collect();
    assert_eq!(told, ["1 path changed in its own layer is lost: /srv/orders.db"]);
    Ok(())
}
