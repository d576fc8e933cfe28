//! Rollouts of a container created by Docker Compose, and what the real Compose does afterwards,
//! with both image stores of the Engine.

use std::fs;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use testbed::{Engine, EngineKind, EngineOptions, Image, Registry};
use wharf::v1::{HostState, PullPolicy, Rollout, RolloutPolicy, RolloutState};

use crate::rollout_host::stage::{Stage, quick, states};
use crate::support::kinds::on_engines;

const PROJECT: &str = "shop";
const CONTAINER: &str = "shop-web-1";

on_engines!(compose_finds_one_container_after_a_rollout: docker28 = Docker28);
on_engines!(compose_finds_one_container_in_the_containerd_store: docker28_containerd = Docker28);

async fn compose_finds_one_container_after_a_rollout(kind: EngineKind) -> anyhow::Result<()> {
    beside_compose(kind, "--feature=containerd-snapshotter=false").await
}

async fn compose_finds_one_container_in_the_containerd_store(
    kind: EngineKind,
) -> anyhow::Result<()> {
    beside_compose(kind, "--feature=containerd-snapshotter=true").await
}

on_engines!(the_label_stays_of_the_kind_that_its_compose_wrote: docker28 = Docker28);

/// Compose 5.5, which no distribution has so far, compares digests of manifests.
async fn the_label_stays_of_the_kind_that_its_compose_wrote(
    kind: EngineKind,
) -> anyhow::Result<()> {
    on_engine(kind, "--feature=containerd-snapshotter=true", manifests_stay_manifests).await
}

async fn manifests_stay_manifests(engine: &'static Engine) -> anyhow::Result<()> {
    let project = Project::new(engine).await?;
    let (v1, first) = project.image("v1", "v1").await?;
    let (v2, second) = project.image("v2", "v2").await?;
    engine.pull(&v1, None).await?;
    let labels = json!({"com.docker.compose.project": PROJECT, "com.docker.compose.image": first});
    project.stage.scene.run(json!({"Image": v1, "Labels": labels})).await?;
    let label = async |version: &str| {
        let found = project.only(version).await?;
        anyhow::Ok(found["Config"]["Labels"]["com.docker.compose.image"].clone())
    };
    let done = project.roll(&v2).await?;
    assert_eq!(label("v2").await?, second);
    assert_ne!(project.only("v2").await?["Image"], second);
    project.stage.undo(&done).await?;
    assert_eq!(label("v1").await?, first);
    Ok(())
}

async fn beside_compose(kind: EngineKind, store: &str) -> anyhow::Result<()> {
    on_engine(kind, store, all_orders).await
}

async fn on_engine(
    kind: EngineKind,
    store: &str,
    test: impl AsyncFnOnce(&'static Engine) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let arguments = vec![store.to_owned()];
    let engine =
        Engine::start_with(EngineOptions { kind, arguments, ..Default::default() }).await?;
    let engine: &'static Engine = Box::leak(Box::new(engine));
    let result = test(engine).await;
    // What is leaked is never dropped.
    engine.stop().await?;
    result
}

async fn all_orders(engine: &'static Engine) -> anyhow::Result<()> {
    let project = Project::new(engine).await?;
    let (v1, v2) = (project.image("v1", "v1").await?.0, project.image("v2", "v2").await?.0);

    // The file names the image of before: `up` after an undo changes nothing.
    project.up(&v1).await?;
    let done = project.roll(&v2).await?;
    project.only("v2").await?;
    let undone = project.stage.undo(&done).await?;
    assert_eq!(states(&undone), (RolloutState::Succeeded, HostState::Updated), "{undone:#?}");
    let back = project.only("v1").await?;
    project.up(&v1).await?;
    assert_eq!(project.only("v1").await?["Id"], back["Id"]);

    // Without one, it undoes the rollout.
    project.roll(&v2).await?;
    project.up(&v1).await?;
    project.only("v1").await?;

    // The file names the new image: `up` recreates it once.
    project.roll(&v2).await?;
    let rolled = project.only("v2").await?;
    project.up(&v2).await?;
    let new = project.only("v2").await?;
    assert_ne!(new["Id"], rolled["Id"]);
    project.up(&v2).await?;
    assert_eq!(project.only("v2").await?["Id"], new["Id"]);

    // The same name, and another image behind it: `up` leaves alone what the rollout made.
    let (latest, _) = project.image("latest", "v3").await?;
    project.up(&latest).await?;
    project.only("v3").await?;
    project.image("latest", "v4").await?;
    project.roll(&latest).await?;
    let rolled = project.only("v4").await?;
    project.up(&latest).await?;
    assert_eq!(project.only("v4").await?["Id"], rolled["Id"]);
    Ok(())
}

/// A project of Compose with one service, on one Engine.
struct Project {
    engine: &'static Engine,
    registry: Registry,
    stage: Stage,
}

impl Project {
    async fn new(engine: &'static Engine) -> anyhow::Result<Project> {
        let mut stage = Stage::on(engine).await?;
        stage.scene.name = CONTAINER.to_owned();
        Ok(Project { engine, registry: Registry::open().await?, stage })
    }

    /// Makes an image for several platforms that is in the registry alone; returns its reference, and
    /// the digest of its manifest for this one.
    async fn image(&self, tag: &str, version: &str) -> anyhow::Result<(String, String)> {
        let single = format!("one-{version}");
        let reference = self.registry.reference(&format!("web:{single}"));
        self.engine.import(&reference, &Image::new(version).command(&["/bin/web"])).await?;
        self.engine.push(&reference, None).await?;
        self.engine.delete(&format!("/images/{reference}")).await?;
        let (_, manifest) = self.registry.put_index("web", &single, tag).await?;
        Ok((self.registry.reference(&format!("web:{tag}")), manifest))
    }

    /// Writes the file, and lets Compose bring the project up.
    async fn up(&self, image: &str) -> anyhow::Result<()> {
        let file = self.engine.directory().join("compose.yaml");
        // A network would need addresses that no other Engine here has.
        let service = format!("{{image: \"{image}\", network_mode: none, restart: always}}");
        fs::write(&file, format!("services: {{web: {service}}}\n"))?;
        let file = file.to_str().context("a path of text")?;
        let arguments = ["compose", "-p", PROJECT, "-f", file, "up", "--detach", "--timeout", "1"];
        self.engine.run_client("docker", &arguments).await.map(drop)
    }

    async fn roll(&self, image: &str) -> anyhow::Result<Rollout> {
        let policy = RolloutPolicy { pull_policy: PullPolicy::Always.into(), ..quick() };
        let done = self.stage.roll(image, policy).await?;
        assert_eq!(states(&done), (RolloutState::Succeeded, HostState::Updated), "{done:#?}");
        assert_eq!(done.steps[0].warnings, Vec::<String>::new());
        Ok(done)
    }

    /// The only container of the project, which runs this version.
    async fn only(&self, version: &str) -> anyhow::Result<Value> {
        let filters = format!("{{\"label\":[\"com.docker.compose.project={PROJECT}\"]}}");
        let listed =
            self.engine.get(&format!("/containers/json?all=true&filters={filters}")).await?;
        let names: Vec<_> =
            listed.as_array().into_iter().flatten().map(|it| &it["Names"]).collect();
        ensure!(names == [&json!([format!("/{CONTAINER}")])], "{names:?}");
        let found = self.stage.current().await?;
        ensure!(found["State"]["Status"] == "running", "{}", found["State"]);
        let running = self.stage.run_inside("cat /version").await?;
        ensure!(running == version, "{running} runs, and not {version}");
        Ok(found)
    }
}
