//! The identity of a container: rules C11 to C16 and C26.

use serde_json::{Value, json};
use testbed::Image;
use wharf_server::rollout::model::names::backup;
use wharf_server::rollout::recreate::{Options, complete, names, recreate, retarget};
use wharf_server::rollout::spec::{Change, Dependents};

use super::scene::{Scene, options, to_image};

async fn two_versions(scene: &Scene) -> anyhow::Result<(String, String)> {
    let v1 = scene.image("v1", Image::new("v1")).await?;
    let v2 = scene.image("v2", Image::new("v2")).await?;
    Ok((v1, v2))
}

#[tokio::test]
async fn c11_the_new_container_has_a_host_name_of_its_own() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let (v1, v2) = two_versions(&scene).await?;
    scene.run(json!({"Image": v1})).await?;
    let new = scene.upgrade(&v2).await?;
    let id = new["Id"].as_str().unwrap_or_default();
    assert_eq!(new["Config"]["Hostname"], id[..12]);
    Ok(())
}

#[tokio::test]
async fn c11_a_host_name_that_was_asked_for_stays() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let (v1, v2) = two_versions(&scene).await?;
    let body = json!({"Image": v1, "Hostname": "abcdef012345", "Domainname": "example.org"});
    scene.run(body).await?;
    let recreated = scene.planned(&to_image(&v2)?).await?;
    assert!(recreated.risks.iter().any(|risk| risk.contains("looks like the ID of another")));
    let new = scene.replace(&recreated).await?;
    assert_eq!(new["Config"]["Hostname"], "abcdef012345");
    assert_eq!(new["Config"]["Domainname"], "example.org");
    Ok(())
}

#[tokio::test]
async fn c12_a_container_in_the_network_of_another_can_be_made_anew() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let image = |version| Image::new(version).change("EXPOSE 80".to_owned());
    let (v1, v2) = (scene.image("v1", image("v1")).await?, scene.image("v2", image("v2")).await?);
    let parent = scene.other("parent");
    let parent_id = scene
        .create(&parent, json!({"Image": v1, "Hostname": "parent", "Domainname": "a.b"}))
        .await?;
    scene.start(&parent).await?;
    let mode = format!("container:{parent}");
    scene.run(json!({"Image": v1, "HostConfig": {"NetworkMode": mode}})).await?;
    // What makes it hard: the parent's names are in its inspection.
    let old = scene.inspect(&scene.name).await?;
    assert_eq!(old["Config"]["Hostname"], "parent");
    let new = scene.upgrade(&v2).await?;
    assert_eq!(new["HostConfig"]["NetworkMode"], format!("container:{parent_id}"));
    assert_eq!(new["State"]["Running"], true);
    Ok(())
}

#[tokio::test]
async fn c13_in_the_network_of_the_host_its_name_is_not_asked_for() -> anyhow::Result<()> {
    for uts in ["", "host"] {
        let scene = Scene::new().await?;
        let (v1, v2) = two_versions(&scene).await?;
        let host_config = json!({"NetworkMode": "host", "UTSMode": uts});
        scene.run(json!({"Image": v1, "HostConfig": host_config})).await?;
        let old = scene.inspect(&scene.name).await?;
        let recreated = scene.planned(&to_image(&v2)?).await?;
        assert_eq!(recreated.body.get("Hostname"), None);
        let new = scene.replace(&recreated).await?;
        assert_eq!(new["Config"]["Hostname"], old["Config"]["Hostname"]);
        assert_eq!(new["State"]["Running"], true);
    }
    Ok(())
}

#[tokio::test]
async fn c14_containers_that_share_its_namespaces_are_found_and_follow_it() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let (v1, v2) = two_versions(&scene).await?;
    let old_id = scene
        .run(json!({"Image": v1, "HostConfig": {"IpcMode": "shareable"}, "Volumes": {"/data": {}}}))
        .await?;
    let mode = format!("container:{}", scene.name);
    for (what, host_config) in [
        ("net", json!({"NetworkMode": mode})),
        ("ipc", json!({"IpcMode": mode, "PidMode": mode})),
        ("vol", json!({"VolumesFrom": [format!("{}:ro", scene.name)]})),
    ] {
        let name = scene.other(what);
        scene.create(&name, json!({"Image": v1, "HostConfig": host_config})).await?;
        scene.start(&name).await?;
    }
    let change = to_image(&v2)?;
    let refused = scene.plan(&change, &options()).await?.expect_err("three hang on it");
    assert_eq!(refused, ["DEPENDENT_CONTAINER"; 3]);

    let allowed = Options { dependents: Dependents::Recreate, ..options() };
    let recreated = scene.plan(&change, &allowed).await?.expect("it was allowed");
    let found: Vec<String> = recreated
        .dependents
        .iter()
        .map(|dependent| format!("{} {}", dependent.name, dependent.shares.join("+")))
        .collect();
    let expected = ["ipc ipc+pid", "net network", "vol volumes"];
    assert_eq!(found, expected.map(|text| format!("{}-{text}", scene.name)));

    let new = scene.replace(&recreated).await?;
    let new_id = new["Id"].as_str().unwrap_or_default();
    let facts = scene.facts().await?;
    let old = facts.old.expect("the old one is there").inspect.facts;
    assert_eq!(old.id, old_id);
    for what in ["net", "ipc", "vol"] {
        let target = wharf_server::domain::ContainerName::parse(&scene.other(what))?;
        let facts = wharf_server::rollout::facts::gather(&*scene.client, &target).await?;
        let dependent = facts.old.expect("the dependent is there");
        let anew = recreate(&dependent, &facts.host, &Change::default(), &options())
            .map_err(|refusals| anyhow::anyhow!("{refusals:?}"))?;
        let body = retarget(&anew.body, &old, new_id);
        let name = scene.other(&format!("{what}-2"));
        scene.create_as_it_is(&name, body).await?;
        scene.start(&name).await?;
        let host_config = scene.inspect(&name).await?["HostConfig"].clone();
        let text = host_config.to_string();
        assert!(text.contains(new_id) && !text.contains(&old_id), "{what}: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn c14_one_that_shares_with_a_container_that_is_gone_is_refused() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let (v1, v2) = two_versions(&scene).await?;
    let parent = scene.other("parent");
    scene.create(&parent, json!({"Image": v1})).await?;
    scene.start(&parent).await?;
    let mode = format!("container:{parent}");
    scene.run(json!({"Image": v1, "HostConfig": {"NetworkMode": mode}})).await?;
    scene.engine.delete(&format!("/containers/{parent}?force=1")).await?;
    let refused = scene.plan(&to_image(&v2)?, &options()).await?.expect_err("the parent is gone");
    assert_eq!(refused, ["NAMESPACE_GONE"]);
    Ok(())
}

#[tokio::test]
async fn c16_names_that_are_taken_and_names_of_ours_are_told() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let (v1, v2) = two_versions(&scene).await?;
    scene.create(&scene.name, json!({"Image": v1})).await?;
    let backup = backup(&scene.name, "0123abcd");
    let foreign = scene.create(&backup, json!({"Image": v1})).await?;
    let facts = scene.facts().await?;
    assert_eq!(names::taken(&facts.host, &scene.name, "0123abcd"), [(backup.clone(), foreign)]);
    assert_eq!(names::taken(&facts.host, &scene.name, "0123abce"), []);

    let target = wharf_server::domain::ContainerName::parse(&backup)?;
    let facts = wharf_server::rollout::facts::gather(&*scene.client, &target).await?;
    let old = facts.old.expect("it is there");
    let refused = recreate(&old, &facts.host, &to_image(&v2)?, &options())
        .expect_err("a backup is no target");
    assert_eq!(refused[0].reason.as_str(), "RETAINED_CONTAINER");
    Ok(())
}

#[tokio::test]
async fn c26_compose_finds_the_new_image_and_swarm_keeps_its_tasks() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let (v1, v2) = two_versions(&scene).await?;
    let labels = json!({
        "com.docker.compose.service": "web",
        "com.docker.compose.image": "sha256:old",
        "com.docker.compose.config-hash": "abc",
    });
    scene.run(json!({"Image": v1, "Labels": labels})).await?;
    let mut recreated = scene.planned(&to_image(&v2)?).await?;
    assert!(recreated.risks.iter().any(|risk| risk.contains("its next `up` undoes this")));
    let image = scene.engine.image(&v2).await?.expect("the image is there");
    let image_id = image["Id"].as_str().unwrap_or_default();
    recreated.body =
        complete(&recreated.body, Some(image_id), &[("io.wharf.rollout.id", "r1".to_owned())]);
    let new = scene.replace(&recreated).await?;
    assert_eq!(new["Config"]["Labels"]["com.docker.compose.image"], new["Image"]);
    assert_eq!(new["Config"]["Labels"]["com.docker.compose.config-hash"], "abc");
    assert_eq!(new["Config"]["Labels"]["io.wharf.rollout.id"], "r1");

    let scene = Scene::new().await?;
    let v1 = scene.image("v1", Image::new("v1")).await?;
    let task: Value =
        json!({"com.docker.swarm.task.id": "x", "com.docker.swarm.service.name": "s"});
    scene.run(json!({"Image": v1, "Labels": task})).await?;
    let refused = scene.plan(&Change::default(), &options()).await?.expect_err("it is Swarm's");
    assert_eq!(refused, ["SWARM_TASK"]);
    Ok(())
}
