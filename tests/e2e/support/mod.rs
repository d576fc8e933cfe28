//! Shared by the tests: a `wharfd` with the three Engines of the fixture, parsed responses, a proxy
//! that records requests to an Engine, and one that interferes with them.

pub mod answer;
pub mod cut;
pub mod kinds;
pub mod recorder;
pub mod relay;
pub mod small_disk;
pub mod terminal;

use anyhow::Context;
use futures_util::future::try_join_all;
use serde_json::Value;
use testbed::{Engine, Fleet, Image, Output, Wharf, Wharfd, WharfdOptions, unique};
use tonic::transport::Channel;
use wharf::client::Target;
use wharf::v1::container_service_client::ContainerServiceClient;
use wharf::v1::event_service_client::EventServiceClient;
use wharf::v1::exec_service_client::ExecServiceClient;
use wharf::v1::file_service_client::FileServiceClient;
use wharf::v1::host_selector::Selection;
use wharf::v1::host_service_client::HostServiceClient;
use wharf::v1::image_service_client::ImageServiceClient;
use wharf::v1::network_service_client::NetworkServiceClient;
use wharf::v1::registry_service_client::RegistryServiceClient;
use wharf::v1::rollout_service_client::RolloutServiceClient;
use wharf::v1::system_service_client::SystemServiceClient;
use wharf::v1::volume_service_client::VolumeServiceClient;
use wharf::v1::{AddHostRequest, AllHosts, HostNames, HostSelector, RegistryCredentials};

pub use answer::{collect, reason};
pub use recorder::Recorder;

/// An Engine prunes once at a time, and tests share Engines.
pub static PRUNING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The hosts of [`World`], in the order of the fixture's Engines.
pub const HOSTS: [&str; 3] = ["alpha", "beta", "gamma"];

/// A `wharfd` of one test, which knows the three Engines of the fixture: `alpha` and `beta` with
/// the label `tier=web`, `gamma` with `tier=db`.
pub struct World {
    pub fleet: &'static Fleet,
    pub wharfd: Wharfd,
    pub cli: Wharf,
    pub server: Server,
}

/// Clients of one server.
#[derive(Clone)]
pub struct Server(pub Channel);

impl World {
    pub async fn start() -> anyhow::Result<World> {
        World::start_with(WharfdOptions::default()).await
    }

    pub async fn start_with(options: WharfdOptions) -> anyhow::Result<World> {
        let fleet = Fleet::shared().await?;
        let wharfd = Wharfd::start_with(options).await?;
        let server = Server::of(&wharfd).await?;
        for ((host, engine), tier) in HOSTS.iter().zip(&fleet.engines).zip(["web", "web", "db"]) {
            server.add_labelled(host, engine.address(), &[("tier", tier)]).await?;
        }
        let cli = wharfd.cli()?;
        Ok(World { fleet, wharfd, cli, server })
    }

    /// The three Engines.
    pub fn engines(&self) -> &'static [Engine; 3] {
        &self.fleet.engines
    }

    /// Makes an image on all three Engines under a name of its own. Returns the reference.
    pub async fn image(&self, image: &Image) -> anyhow::Result<String> {
        let reference = format!("{}:v1", unique("app"));
        try_join_all(self.engines().iter().map(|engine| engine.import(&reference, image))).await?;
        Ok(reference)
    }

    /// Runs a container of this image on all three Engines, without Wharf.
    pub async fn run(&self, name: &str, image: &str) -> anyhow::Result<()> {
        try_join_all(self.engines().iter().map(|engine| engine.run(name, image))).await?;
        Ok(())
    }

    /// What the inspections of a container have at a JSON pointer, in the order of the hosts;
    /// null where there is no such container or value.
    pub async fn read(&self, container: &str, pointer: &str) -> anyhow::Result<[Value; 3]> {
        let found = try_join_all(self.engines().iter().map(|e| e.container(container))).await?;
        let of = |found: Option<Value>| found?.pointer(pointer).cloned();
        let values: Vec<Value> = found.into_iter().map(|f| of(f).unwrap_or_default()).collect();
        values.try_into().ok().context("three answers")
    }

    /// `State.Status` of a container on each host.
    pub async fn states(&self, container: &str) -> anyhow::Result<[Value; 3]> {
        self.read(container, "/State/Status").await
    }

    /// Runs `wharf -A -o json ARGUMENTS`, which must succeed with one line for each host that
    /// says `changed`.
    pub async fn act(&self, arguments: &[&str], changed: bool) -> anyhow::Result<()> {
        let output = self.cli.run(&[&["-A", "-o", "json"], arguments].concat()).await?.expect(0)?;
        assert_eq!(
            changes(&output)?,
            HOSTS.map(|host| (host.to_owned(), changed)),
            "{arguments:?}"
        );
        Ok(())
    }
}

impl Server {
    pub async fn of(wharfd: &Wharfd) -> anyhow::Result<Server> {
        Ok(Server(Target::parse(&wharfd.address())?.connect().await?))
    }

    pub fn events(&self) -> EventServiceClient<Channel> {
        EventServiceClient::new(self.0.clone())
    }

    pub fn exec(&self) -> ExecServiceClient<Channel> {
        ExecServiceClient::new(self.0.clone())
    }

    pub fn files(&self) -> FileServiceClient<Channel> {
        FileServiceClient::new(self.0.clone())
    }

    pub fn containers(&self) -> ContainerServiceClient<Channel> {
        ContainerServiceClient::new(self.0.clone())
    }

    pub fn images(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.0.clone())
    }

    pub fn networks(&self) -> NetworkServiceClient<Channel> {
        NetworkServiceClient::new(self.0.clone())
    }

    pub fn volumes(&self) -> VolumeServiceClient<Channel> {
        VolumeServiceClient::new(self.0.clone())
    }

    pub fn hosts(&self) -> HostServiceClient<Channel> {
        HostServiceClient::new(self.0.clone())
    }

    pub fn registries(&self) -> RegistryServiceClient<Channel> {
        RegistryServiceClient::new(self.0.clone())
    }

    pub fn rollouts(&self) -> RolloutServiceClient<Channel> {
        RolloutServiceClient::new(self.0.clone())
    }

    pub fn system(&self) -> SystemServiceClient<Channel> {
        SystemServiceClient::new(self.0.clone())
    }

    pub async fn add(&self, name: &str, address: &str) -> anyhow::Result<()> {
        self.add_labelled(name, address, &[]).await
    }

    pub async fn add_labelled(
        &self,
        name: &str,
        address: &str,
        labels: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        let request = AddHostRequest {
            name: name.to_owned(),
            address: address.to_owned(),
            labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..Default::default()
        };
        self.hosts().add_host(request).await?;
        Ok(())
    }
}

/// Every host.
pub fn all() -> Option<HostSelector> {
    selector(Selection::All(AllHosts {}))
}

/// These hosts.
pub fn hosts(names: &[&str]) -> Option<HostSelector> {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    selector(Selection::Hosts(HostNames { names }))
}

/// Hosts by label.
pub fn labels(labels: &str) -> Option<HostSelector> {
    selector(Selection::Labels(labels.to_owned()))
}

fn selector(selection: Selection) -> Option<HostSelector> {
    Some(HostSelector { selection: Some(selection), exclude: Vec::new() })
}

/// User and password for a call.
pub fn credentials(registry: &str, username: &str, password: &str) -> Option<RegistryCredentials> {
    Some(RegistryCredentials {
        registry: registry.to_owned(),
        username: username.to_owned(),
        password: password.to_owned(),
        identity_token: String::new(),
    })
}

/// Host and `changed` of each line of `-o json`, sorted by host.
pub fn changes(output: &Output) -> anyhow::Result<Vec<(String, bool)>> {
    let mut changes = Vec::new();
    for line in output.json_lines()? {
        let host = line["host"].as_str().with_context(|| line.to_string())?.to_owned();
        let changed = line["changed"].as_bool();
        changes.push((host, changed.with_context(|| line.to_string())?));
    }
    changes.sort();
    Ok(changes)
}

/// The lines of the standard output, sorted: hosts answer in any order.
pub fn sorted(output: &Output) -> Vec<&str> {
    let mut lines: Vec<&str> = output.stdout.lines().collect();
    lines.sort_unstable();
    lines
}

/// The first payload of a host that is of this variant.
macro_rules! payload {
    ($answer:expr, $host:expr, $variant:path) => {{
        #[allow(unreachable_patterns)]
        let found = $answer.of($host).find_map(|event| match event {
            $variant(payload) => Some(payload),
            _ => None,
        });
        found
            .with_context(|| format!("no {} of {}: {:#?}", stringify!($variant), $host, $answer))?
    }};
}
pub(crate) use payload;

/// `alpha/NAME`, `beta/NAME`, `gamma/NAME`.
pub fn on_hosts(name: &str) -> [String; 3] {
    HOSTS.map(|host| format!("{host}/{name}"))
}
