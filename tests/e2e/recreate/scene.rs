//! One container and its replacement. The names of everything that a scene creates begin with the
//! scene's name, and are removed with it.

use std::sync::Arc;

use anyhow::{Context, anyhow, ensure};
use serde_json::{Value, json};
use testbed::{Engine, EngineKind, Fleet, Image, unique};
use wharf_server::domain::{ContainerName, ContainerRef, HostAddress, Transport};
use wharf_server::engine::http::HttpConnector;
use wharf_server::engine::{ApiVersion, Engine as Client};
use wharf_server::rollout::facts::{Facts, OldContainer, gather};
use wharf_server::rollout::recreate::{Options, Recreated, compare, recreate};
use wharf_server::rollout::spec::{Change, Policy};

/// A container on an Engine.
pub struct Scene {
    /// The Engine, for the test's own requests.
    pub engine: &'static Engine,
    /// The same, as the server sees it.
    pub client: Arc<dyn Client>,
    /// The name of the container.
    pub name: String,
}

impl Scene {
    /// On an Engine that has no network of its own, of the kind under test.
    pub async fn new() -> anyhow::Result<Scene> {
        match EngineKind::under_test()? {
            EngineKind::Machine => Scene::on(&Fleet::shared().await?.engines[0]),
            kind => Scene::on(Engine::shared(kind).await?.context("the kind is in WHARF_ENGINES")?),
        }
    }

    pub fn on(engine: &'static Engine) -> anyhow::Result<Scene> {
        testbed::tools::install_crypto();
        let address = HostAddress::parse(engine.address(), Transport::Plain)?;
        let client = HttpConnector::default().engine(&address, None)?;
        Ok(Scene { engine, client, name: unique("made") })
    }

    /// Makes an image; returns its reference.
    pub async fn image(&self, tag: &str, image: Image) -> anyhow::Result<String> {
        let reference = format!("{}:{tag}", self.name);
        self.engine.import(&reference, &image).await?;
        Ok(reference)
    }

    /// Creates a container of the scene, without a network where the body names none. Returns its
    /// ID.
    pub async fn create(&self, name: &str, mut body: Value) -> anyhow::Result<String> {
        if body["HostConfig"]["NetworkMode"].is_null() {
            body["HostConfig"]["NetworkMode"] = "none".into();
        }
        self.create_as_it_is(name, body).await
    }

    pub async fn create_as_it_is(&self, name: &str, body: Value) -> anyhow::Result<String> {
        let path = format!("/containers/create?name={name}");
        let created = self.engine.post(&path, Some(body)).await?;
        Ok(created["Id"].as_str().context("an answer without an ID")?.to_owned())
    }

    /// Creates the container and starts it.
    pub async fn run(&self, body: Value) -> anyhow::Result<String> {
        let id = self.create(&self.name, body).await?;
        self.start(&id).await?;
        Ok(id)
    }

    pub async fn start(&self, container: &str) -> anyhow::Result<()> {
        self.engine.post(&format!("/containers/{container}/start"), None).await.map(drop)
    }

    pub async fn stop(&self, container: &str) -> anyhow::Result<()> {
        self.engine.post(&format!("/containers/{container}/stop"), None).await.map(drop)
    }

    /// A name that belongs to the scene.
    pub fn other(&self, what: &str) -> String {
        format!("{}-{what}", self.name)
    }

    /// Makes a network of the scene with addresses of its own; returns its name and the first
    /// three numbers of its addresses.
    pub async fn network(&self, what: &str) -> anyhow::Result<(String, String)> {
        let name = self.other(what);
        for attempt in 0..20_u8 {
            let bytes = unique("x")
                .bytes()
                .fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
            let (second, third) = (64 + bytes % 64, (bytes / 64 + u32::from(attempt)) % 256);
            let prefix = format!("10.{second}.{third}");
            let body = json!({
                "Name": name,
                "CheckDuplicate": true,
                "IPAM": { "Config": [{ "Subnet": format!("{prefix}.0/24") }] },
            });
            let (status, answer) =
                self.engine.api(testbed::Method::POST, "/networks/create", Some(body)).await?;
            match status {
                201 => return Ok((name, prefix)),
                403 | 500 if answer.to_string().contains("overlaps") => {}
                _ => return Err(anyhow!("creating a network: {status}: {answer}")),
            }
        }
        Err(anyhow!("no free addresses for a network"))
    }

    pub async fn inspect(&self, container: &str) -> anyhow::Result<Value> {
        self.engine.container(container).await?.with_context(|| format!("no container {container}"))
    }

    /// Whether the Engine speaks this version of its API.
    pub async fn speaks(&self, major: u16, minor: u16) -> anyhow::Result<bool> {
        Ok(self.facts().await?.host.api_version >= ApiVersion::new(major, minor))
    }

    pub async fn facts(&self) -> anyhow::Result<Facts> {
        Ok(gather(&*self.client, &ContainerName::parse(&self.name)?).await?)
    }

    /// The container with what belongs to it.
    pub async fn old(&self) -> anyhow::Result<OldContainer> {
        self.facts().await?.old.context("the container is there")
    }

    /// What would replace the container; the reasons where nothing can.
    pub async fn plan(
        &self,
        change: &Change,
        options: &Options,
    ) -> anyhow::Result<Result<Recreated, Vec<String>>> {
        let facts = self.facts().await?;
        let old = facts.old.context("the container is there")?;
        Ok(recreate(&old, &facts.host, change, options).map_err(|refusals| {
            refusals.into_iter().map(|trouble| trouble.reason.to_string()).collect()
        }))
    }

    /// As [`Scene::plan`], where nothing stands against it.
    pub async fn planned(&self, change: &Change) -> anyhow::Result<Recreated> {
        self.plan(change, &options()).await?.map_err(|refusals| anyhow!("refused: {refusals:?}"))
    }

    /// Recreates the container under another name, the old one stopped, and returns what the
    /// Engine says of the new one, which runs where the old one did. Whatever differs from what
    /// was asked for is an error.
    pub async fn replace(&self, recreated: &Recreated) -> anyhow::Result<Value> {
        let running = self.inspect(&self.name).await?["State"]["Running"] == true;
        let id = self.create_planned(recreated).await?;
        if running {
            self.stop(&self.name).await?;
            self.start(&id).await?;
        }
        let new = self.inspect(&id).await?;
        let differences = compare(&recreated.body, &new);
        ensure!(differences.is_empty(), "{differences:#?}");
        Ok(new)
    }

    /// Creates the planned container and connects its networks, as a rollout does.
    pub async fn create_planned(&self, recreated: &Recreated) -> anyhow::Result<String> {
        let name = ContainerName::parse(&self.other("new"))?;
        let created = self.client.create_container(Some(&name), None, &recreated.body).await?;
        let id = ContainerRef::parse(&created.id)?;
        for (network, endpoint) in &recreated.extra_networks {
            self.client.connect_network(network, &id, endpoint).await?;
        }
        Ok(created.id)
    }

    /// Upgrades to an image: plan, replacement, inspection.
    pub async fn upgrade(&self, image: &str) -> anyhow::Result<Value> {
        let recreated = self.planned(&to_image(image)?).await?;
        self.replace(&recreated).await
    }

    async fn clean_up(&self) -> anyhow::Result<()> {
        let begins = format!("{{\"name\":[\"^/?{}\"]}}", self.name);
        let filters: String = begins
            .bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect();
        let list = self.engine.get(&format!("/containers/json?all=1&filters={filters}")).await?;
        for container in list.as_array().into_iter().flatten() {
            let id = container["Id"].as_str().unwrap_or_default();
            // One that is being removed already is as good as gone.
            let _ = self.engine.delete(&format!("/containers/{id}?force=1&v=1")).await;
        }
        let list = self.engine.get("/networks").await?;
        for network in list.as_array().into_iter().flatten() {
            let name = network["Name"].as_str().unwrap_or_default();
            if name.starts_with(&self.name) {
                self.engine.delete(&format!("/networks/{name}")).await?;
            }
        }
        Ok(())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // A network that stayed would leave a network card on this machine.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                if let Ok(runtime) = runtime {
                    let _ = runtime.block_on(self.clean_up());
                }
            });
        });
    }
}

/// The defaults of a rollout.
pub fn options() -> Options {
    Options::from(&Policy::default())
}

/// A change of the image.
pub fn to_image(image: &str) -> anyhow::Result<Change> {
    Ok(Change { image: Some(image.parse()?), ..Change::default() })
}

/// The texts of a list, sorted.
pub fn sorted(list: &Value) -> Vec<String> {
    let mut texts: Vec<String> = list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    texts.sort();
    texts
}
