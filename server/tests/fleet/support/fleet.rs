//! A server with its simulated hosts and a client.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;
use tonic::transport::Channel;
use tracing::level_filters::LevelFilter;
use wharf::client::Target;
use wharf::v1::build_service_client::BuildServiceClient;
use wharf::v1::container_service_client::ContainerServiceClient;
use wharf::v1::exec_service_client::ExecServiceClient;
use wharf::v1::file_service_client::FileServiceClient;
use wharf::v1::host_service_client::HostServiceClient;
use wharf::v1::image_service_client::ImageServiceClient;
use wharf::v1::network_service_client::NetworkServiceClient;
use wharf::v1::registry_service_client::RegistryServiceClient;
use wharf::v1::rollout_service_client::RolloutServiceClient;
use wharf::v1::system_service_client::SystemServiceClient;
use wharf::v1::volume_service_client::VolumeServiceClient;
use wharf_server::app::Server;
use wharf_server::config::{
    Access, Config, ConfigFile, FileHosts, Limits, Listen, LogFormat, ViewOptions, Web,
};
use wharf_server::domain::{Host, HostAddress, HostName, HostSource, Labels, Transport, UnixPath};
use wharf_server::engine::ApiVersion;
use wharf_server::store::{Store, StoreOptions};
use wharf_simulator::SimHost;
use wharf_simulator::http::{HttpHost, SimServer};
use wharf_simulator::model::{EngineOptions, ImageContent, Registries, SimRegistry};

/// The image that every host has, and that `registry.test` gives as `registry.test/app:v2`.
pub const IMAGE: &str = "app:v1";

/// What a fleet is made of.
pub struct FleetOptions {
    /// The Engines, one a host.
    pub engines: Vec<EngineOptions>,
    /// One listener for all hosts, for many of them; hosts that are down then reset connections.
    pub shared_listener: bool,
    /// `max_parallel` of the server.
    pub max_parallel: usize,
    /// Containers of each host, made from [`IMAGE`] and named `c0`, `c1`, …
    pub containers: usize,
    /// What callers and hosts may use of the server.
    pub limits: Limits,
    /// How hosts are followed.
    pub view: ViewOptions,
}

/// A server with its hosts and a client.
pub struct Fleet {
    /// A connection to the server.
    pub channel: Channel,
    /// Open for everybody as `registry.test`, with a password as `private.test`.
    pub registries: Registries,
    simulation: SimServer,
    server: Option<Server>,
    /// Set where the server is to be killed: it ends with its runtime.
    runtime: Option<Runtime>,
    config: Config,
    directory: TempDir,
}

/// The name of the host at a place.
pub fn name(place: usize) -> String {
    format!("host-{place:04}")
}

/// Seconds.
pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl FleetOptions {
    /// Engines of API 1.41 with one container each.
    pub fn of(hosts: usize) -> Self {
        let engines = (0..hosts).map(|place| EngineOptions::new(&name(place))).collect();
        let limits = Limits::default();
        let view = ViewOptions::default();
        Self { engines, shared_listener: false, max_parallel: 256, containers: 1, limits, view }
    }
}

impl Fleet {
    /// Hosts of API 1.41 that have one container each.
    pub async fn new(hosts: usize) -> Self {
        Self::with(FleetOptions::of(hosts)).await
    }

    /// A fleet as it is asked for.
    pub async fn with(options: FleetOptions) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let registries = Registries::default();
        registries.add("registry.test", SimRegistry::open());
        registries.add("private.test", SimRegistry::with_user("ann", "opensesame"));
        let image = ImageContent::builder("v1").build();
        let newer = ImageContent::builder("v2").build();
        registries.publish("registry.test", "app", "v2", &newer);
        registries.publish("private.test", "app", "v2", &newer);
        let containers = options.containers;
        let hosts = options.engines.into_iter().map(|engine| {
            let host = SimHost::new(engine, registries.clone());
            host.with(|model, now| {
                model.load(IMAGE, &image);
                for number in 0..containers {
                    let (body, name) = (json!({"Image": IMAGE}), format!("c{number}"));
                    let version = ApiVersion::new(1, 41);
                    model.create(now, version, Some(&name), None, &body).expect("a container");
                }
            });
            host
        });
        let hosts: Vec<Arc<SimHost>> = hosts.collect();
        let simulation = if options.shared_listener {
            SimServer::listen_shared(hosts, 0).await
        } else {
            SimServer::listen_each(hosts).await
        };
        let simulation = simulation.expect("loopback addresses");
        let directory = TempDir::new().expect("a temporary directory");
        let hosts = inventory(&simulation);
        let config = Config {
            max_parallel: options.max_parallel,
            limits: options.limits,
            view: options.view,
            ..config(directory.path(), hosts)
        };
        let (server, channel) = serve(&config).await;
        Self {
            channel,
            registries,
            simulation,
            server: Some(server),
            runtime: None,
            config,
            directory,
        }
    }

    /// The simulated host at a place.
    pub fn host(&self, place: usize) -> &HttpHost {
        &self.simulation.hosts()[place]
    }

    /// All simulated hosts.
    pub fn hosts(&self) -> &[Arc<HttpHost>] {
        self.simulation.hosts()
    }

    /// Where the server keeps its data.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The configuration of the server.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A connection of its own.
    pub async fn connect(&self) -> Channel {
        connect(&self.config).await
    }

    /// Stops the server.
    pub async fn stop(&mut self) {
        self.server.take().expect("it runs").stop().await;
    }

    /// Starts the server again, with the same data.
    pub async fn start(&mut self) {
        let (server, channel) = serve(&self.config).await;
        self.channel = channel;
        self.server = Some(server);
    }

    /// Moves the server to a runtime of its own, so that it can be killed.
    pub async fn in_a_runtime_of_its_own(mut self) -> Self {
        self.stop().await;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let config = self.config.clone();
        let serving = runtime.spawn(async move { serve(&config).await.0 });
        self.server = Some(serving.await.expect("the server starts"));
        self.runtime = Some(runtime);
        self.channel = connect(&self.config).await;
        self.warm().await;
        self
    }

    /// Ends the server in the middle of whatever it does.
    pub async fn kill(&mut self) {
        self.runtime.take().expect("a runtime of its own").shutdown_background();
        drop(self.server.take());
        let data = self.config.store.clone();
        // Its tasks end at their next turn, and with the last the lock of its data.
        let deadline = Instant::now() + secs(20);
        while let Err(error) = Store::open(&data).await {
            assert!(Instant::now() < deadline, "{error}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Lets every connection be open and every version negotiated.
    pub async fn warm(&self) {
        super::Answer::of(self.containers().list_containers(super::list(super::all())))
            .await
            .all_succeeded();
    }

    pub fn files(&self) -> FileServiceClient<Channel> {
        FileServiceClient::new(self.channel.clone())
    }

    pub fn exec(&self) -> ExecServiceClient<Channel> {
        ExecServiceClient::new(self.channel.clone())
    }

    pub fn builds(&self) -> BuildServiceClient<Channel> {
        BuildServiceClient::new(self.channel.clone())
    }

    pub fn containers(&self) -> ContainerServiceClient<Channel> {
        ContainerServiceClient::new(self.channel.clone())
    }

    pub fn inventory(&self) -> HostServiceClient<Channel> {
        HostServiceClient::new(self.channel.clone())
    }

    pub fn images(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.channel.clone())
    }

    pub fn networks(&self) -> NetworkServiceClient<Channel> {
        NetworkServiceClient::new(self.channel.clone())
    }

    pub fn volumes(&self) -> VolumeServiceClient<Channel> {
        VolumeServiceClient::new(self.channel.clone())
    }

    pub fn registry(&self) -> RegistryServiceClient<Channel> {
        RegistryServiceClient::new(self.channel.clone())
    }

    pub fn rollouts(&self) -> RolloutServiceClient<Channel> {
        RolloutServiceClient::new(self.channel.clone())
    }

    pub fn system(&self) -> SystemServiceClient<Channel> {
        SystemServiceClient::new(self.channel.clone())
    }
}

/// Starts a server and connects to it.
async fn serve(config: &Config) -> (Server, Channel) {
    let server = Server::start(config.clone()).await.expect("the server starts");
    (server, connect(config).await)
}

async fn connect(config: &Config) -> Channel {
    let target = Target::parse(&config.listen[0].to_string()).expect("a place");
    target.connect().await.expect("a connection")
}

fn config(directory: &Path, hosts: FileHosts) -> Config {
    let socket = directory.join("wharfd.sock");
    let socket = UnixPath::parse(socket.to_str().expect("UTF-8")).expect("a path");
    Config {
        file: ConfigFile::None,
        store: StoreOptions { data_dir: directory.join("data"), secret_key_file: None },
        listen: vec![Listen::Unix(socket)],
        access: Access::UnixOnly,
        metrics: None,
        collector: None,
        web: Web::default(),
        local: false,
        max_parallel: 256,
        rollout_history: 1000,
        limits: Limits::default(),
        view: ViewOptions::default(),
        log_level: LevelFilter::INFO,
        log_format: LogFormat::Text,
        hosts,
    }
}

fn inventory(simulation: &SimServer) -> FileHosts {
    let hosts = simulation.hosts().iter().enumerate().map(|(place, host)| {
        let name = HostName::parse(&name(place)).expect("a name");
        let address = HostAddress::parse(&host.address(), Transport::Plain).expect("an address");
        let labels = Labels::from_pairs([("place", place.to_string())]).expect("labels");
        let source = HostSource::File;
        let host =
            Host { name, address, labels, source, tls: None, insecure: false, created_at: None };
        (host.name.clone(), host)
    });
    FileHosts { hosts: hosts.collect(), ..FileHosts::default() }
}
