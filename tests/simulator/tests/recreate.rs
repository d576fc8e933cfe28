//! Containers that are recreated on the model, with the API versions that no Engine here speaks.

use std::sync::Arc;

use serde_json::json;
use wharf_server::domain::{ContainerName, ContainerRef};
use wharf_server::engine::{ApiVersion, ContainerEngine};
use wharf_server::rollout::facts::gather;
use wharf_server::rollout::recreate::{Options, compare, recreate};
use wharf_server::rollout::spec::{Change, Policy};
use wharf_simulator::{EngineOptions, ImageContent, Registries, SimEngine, SimHost};

#[tokio::test(start_paused = true)]
async fn a_container_on_the_model_is_made_anew_as_it_is() {
    for minor in [35, 41, 43, 44, 45, 46, 47, 48, 50, 51, 52, 53, 54, 55] {
        let api_version = ApiVersion::new(1, minor);
        let options = EngineOptions { api_version, ..EngineOptions::new("sim") };
        let host = SimHost::new(options, Registries::default());
        host.with(|model, _| {
            let content = ImageContent::builder("v1")
                .config("Cmd", json!(["/bin/idle"]))
                .config("Env", json!(["COLOUR=blue"]))
                .label("origin", "image")
                .build();
            model.load("app:v1", &content);
            model.add_network("front");
        });
        let engine = Arc::new(SimEngine::new(host));
        let body = json!({
            "Image": "app:v1",
            "Env": ["A=1"],
            "Labels": {"team": "a"},
            "HostConfig": {"NetworkMode": "front", "RestartPolicy": {"Name": "always"}},
            "NetworkingConfig": {"EndpointsConfig": {"front": {"Aliases": ["w"]}}},
        });
        let name = ContainerName::parse("web").unwrap();
        let created = engine.create_container(Some(&name), None, &body).await.unwrap();
        let id = ContainerRef::parse(&created.id).unwrap();
        engine.start_container(&id).await.unwrap();

        let facts = gather(&*engine, &name).await.unwrap();
        assert_eq!(facts.host.api_version, api_version);
        let names: Vec<&str> =
            facts.host.networks.iter().map(|network| network.name.as_str()).collect();
        assert_eq!(names, ["bridge", "front", "host", "none"]);
        let old = facts.old.expect("the container is there");
        let options = Options::from(&Policy::default());
        let made = recreate(&old, &facts.host, &Change::default(), &options).unwrap();
        assert_eq!(made.diff, [""; 0], "1.{minor}");
        assert_eq!(made.body["Env"], json!(["A=1"]));
        assert_eq!(made.body["Labels"], json!({"team": "a"}));
        assert_eq!(
            made.body["NetworkingConfig"]["EndpointsConfig"],
            json!({"front": {"Aliases": ["w"]}}),
            "1.{minor}"
        );
        let other = ContainerName::parse("web.new-0123abcd").unwrap();
        let created = engine.create_container(Some(&other), None, &made.body).await.unwrap();
        let id = ContainerRef::parse(&created.id).unwrap();
        let new = engine.inspect_container(&id, false).await.unwrap().parse().unwrap();
        assert_eq!(compare(&made.body, &new), [""; 0], "1.{minor}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_beginning_of_an_id_is_no_name() {
    let host = SimHost::new(EngineOptions::new("sim"), Registries::default());
    host.with(|model, _| model.load("app:v1", &ImageContent::builder("v1").build()));
    let engine = Arc::new(SimEngine::new(host));
    let body = json!({"Image": "app:v1", "Cmd": ["x"]});
    let created = engine.create_container(None, None, &body).await.unwrap();
    let beginning = ContainerName::parse(&created.id[..8]).unwrap();
    let facts = gather(&*engine, &beginning).await.unwrap();
    assert_eq!(facts.old, None);
    assert_eq!(facts.host.containers.len(), 1);
}
