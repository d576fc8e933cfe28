//! The composition root: the only place that names the concrete parts and puts them together.
//!
//! Start: store, inventory, listeners, services, then the ready line. Stop: health reports it, open
//! streams end with UNAVAILABLE, calls in progress get a moment, then the process ends.

mod listeners;
mod rollout_hosts;

use std::collections::HashSet;
use std::io::Write;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;
use wharf::v1;

use crate::api::builds::Builds;
use crate::api::call_limit::CallLimit;
use crate::api::container_form::ContainerForm;
use crate::api::containers::Containers;
use crate::api::edge::Edge;
use crate::api::events::Events;
use crate::api::exec::Exec;
use crate::api::files::Files;
use crate::api::hosts::Hosts;
use crate::api::images::Images;
use crate::api::logs::Logs;
use crate::api::methods::Methods;
use crate::api::networks::Networks;
use crate::api::registries::Registries;
use crate::api::rollouts::RolloutApi;
use crate::api::stats::Stats;
use crate::api::system::System;
use crate::api::volumes::Volumes;
use crate::config::{Access, Config, ConfigFile, Listen};
use crate::domain::{Host, UnixPath};
use crate::engine::http::{ConnectorSettings, HttpConnector};
use crate::engine::{Engine, EngineError, UploadSpace, raise_file_limit};
use crate::fleet::inventory::{Inventory, Reloaded, Snapshot};
use crate::fleet::pool::{Connector, EnginePool};
use crate::fleet::view::View;
use crate::listener::{self, Connections, Listener};
use crate::metrics::calls::{CallLayer, Calls};
use crate::metrics::rollouts::RolloutWatch;
use crate::metrics::{Metrics, Sources};
use crate::rollout::clock::Clock;
use crate::rollout::journal::Journal;
use crate::rollout::requests::Rollouts;
use crate::rollout::supervisor::Supervisor;
use crate::store::Store;
use crate::traces::Traces;
use crate::traces::export::SpanCounts;
use listeners::{Admission, own_validity, serve, serve_metrics, web_access};
use rollout_hosts::FleetHosts;

/// Time for calls in progress after a stop was requested. Supervisors send SIGKILL after about 10
/// s; people expect a stop to be quick.
const GRACE: Duration = Duration::from_millis(1500);

/// Docker's default socket.
const LOCAL_SOCKET: &str = "/var/run/docker.sock";

/// A running server. It serves until [`Server::stop`]; dropped without that, it stops listening and
/// leaves calls in progress to the end of the runtime.
#[derive(Debug)]
pub struct Server {
    file: ConfigFile,
    edge: Arc<Edge>,
    rollouts: Supervisor,
    health: HealthReporter,
    listening: Vec<String>,
    metrics: Option<String>,
    traces: Option<Traces>,
    listeners: JoinSet<Result<(), tonic::transport::Error>>,
}

/// Runs the server until SIGTERM or SIGINT.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let mut hangups = signal(SignalKind::hangup())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let mut server = Server::start(config).await?;
    // The one line that scripts wait for.
    let ready = format!(
        "wharfd {} is ready on {}",
        env!("CARGO_PKG_VERSION"),
        server.listening().join(" ")
    );
    writeln!(std::io::stdout(), "{ready}").ok();
    loop {
        tokio::select! {
            _ = terminations.recv() => break,
            _ = tokio::signal::ctrl_c() => break,
            _ = hangups.recv() => server.reload().await,
            ended = server.failed() => ended?,
        }
    }
    tracing::info!("stopping");
    server.stop().await;
    Ok(())
}

impl Server {
    /// Opens the store, binds every place and serves there.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let files = raise_file_limit();
        let store = Store::open(&config.store).await?;
        let inventory = Inventory::open(store.clone(), config.hosts.clone()).await?;
        if config.local {
            take_in_local(&inventory).await?;
        }
        let connector = HttpConnector::new(ConnectorSettings {
            answer_memory: config.limits.answer_memory,
            ssh_directory: config.store.data_dir.join("ssh"),
            ssh_handshakes: config.limits.ssh_handshakes,
            ..ConnectorSettings::default()
        });
        let traffic = connector.traffic();
        let pool = Arc::new(EnginePool::new(HttpHosts(connector)));
        let stopping = CancellationToken::new();
        let view = View::new(
            config.view,
            most_followed(files),
            Arc::clone(&pool),
            ContainerForm,
            stopping.clone(),
        );
        tokio::spawn(follow(inventory.clone(), Arc::clone(&pool), view.clone(), stopping.clone()));
        let uploads =
            UploadSpace::new(config.store.data_dir.join("uploads"), config.limits.upload_disk);
        let edge = Arc::new(Edge::new(
            inventory.clone(),
            Arc::clone(&pool),
            view.clone(),
            store.clone(),
            uploads.clone(),
            config.max_parallel,
            stopping.clone(),
        ));

        // All are bound before any is served, so that a port in use leaves nothing half started.
        let mut bound = Vec::with_capacity(config.listen.len());
        for listen in &config.listen {
            bound.push(Listener::bind(listen, "--listen").await?);
        }
        let listening = bound.iter().map(ToString::to_string).collect();
        let for_metrics = match &config.metrics {
            Some(listen) => Some((Listener::bind(listen, "--metrics-listen").await?, listen)),
            None => None,
        };
        let metrics = for_metrics.as_ref().map(|(listener, _)| listener.to_string());
        let (health, health_service) = tonic_health::server::health_reporter();
        announce(&health, tonic_health::ServingStatus::Serving).await;
        // Not before the addresses are bound: a second server that cannot start must not take over
        // the rollouts of the first.
        let hosts = FleetHosts::new(inventory.clone(), Arc::clone(&pool), store.clone(), uploads);
        let hosts = Arc::new(hosts);
        let journal: Arc<dyn Journal> = Arc::new(store.clone());
        let rollouts = Supervisor::start(
            Arc::clone(&journal),
            hosts,
            Clock::of_system(),
            stopping.clone(),
            config.rollout_history,
        )
        .await?;
        let routes = routes(&edge, &rollouts, Arc::clone(&journal))?.add_service(health_service);
        let spans = SpanCounts::default();
        let traces = match &config.collector {
            Some(collector) => Some(Traces::start(collector, spans.clone())?),
            None => None,
        };
        let mut listeners = JoinSet::new();
        let methods = Arc::new(Methods::load());
        let calls = CallLimit::new(config.limits.max_calls_per_caller);
        let all = || config.listen.iter().chain(&config.metrics);
        let connections = |listener: &Listener| {
            let is_tcp = matches!(listener, Listener::Tcp(_));
            let alike = all().filter(|at| matches!(at, Listen::Tcp { .. }) == is_tcp).count();
            let most = listener::share(files, is_tcp, alike, config.limits.max_connections);
            Connections::new(most, &config.limits)
        };
        let counted = for_metrics.is_some().then(|| Arc::new(Calls::default()));
        let mut of_listeners = Vec::new();
        for (listener, listen) in bound.into_iter().zip(&config.listen) {
            let connections = connections(&listener);
            of_listeners.push((listener.to_string(), connections.clone()));
            let is_plain = config.access == Access::InsecureWithoutAuthentication;
            let admission = Admission {
                methods: Arc::clone(&methods),
                web: web_access(&config, listen, is_plain),
                connections,
                counted: counted.clone().map(CallLayer),
                traced: traces.as_ref().map(Traces::layer),
                calls: calls.clone(),
                limits: config.limits,
            };
            let access = &config.access;
            let served = serve(listener, routes.clone(), access, admission, stopping.clone())?;
            listeners.spawn(served);
        }
        if let (Some((listener, listen)), Some(calls)) = (for_metrics, counted) {
            let connections = connections(&listener);
            of_listeners.push((listener.to_string(), connections.clone()));
            let supervisor = rollouts.clone();
            let is_stuck = move |id| supervisor.stuck(id).is_some();
            let watch = Arc::new(RolloutWatch::new(is_stuck));
            tokio::spawn(Arc::clone(&watch).follow(journal, stopping.clone()));
            let metrics = Metrics::new(Sources {
                inventory,
                pool,
                view,
                traffic,
                store,
                rollouts: watch,
                listeners: of_listeners,
                certificate: own_validity(&config.access),
                calls,
                spans,
            });
            let served = serve_metrics(metrics, (listener, listen), connections, &config, stopping);
            listeners.spawn(async move {
                served.await;
                Ok(())
            });
        }
        let file = config.file;
        Ok(Self { file, edge, rollouts, health, listening, metrics, traces, listeners })
    }

    /// The listen addresses, with the ports that the system assigned.
    pub fn listening(&self) -> &[String] {
        &self.listening
    }

    /// The address of the metrics, with the port that the system assigned; `None` if they are off.
    pub fn metrics(&self) -> Option<&str> {
        self.metrics.as_deref()
    }

    /// Reads the hosts of the configuration file again. A bad file changes nothing.
    pub async fn reload(&self) {
        reload(&self.file, &self.edge.inventory).await;
    }

    /// Waits until a listener ends by itself, which only happens with an error.
    pub async fn failed(&mut self) -> anyhow::Result<()> {
        match self.listeners.join_next().await {
            Some(ended) => Ok(ended??),
            None => std::future::pending().await,
        }
    }

    /// Stops: health reports it, open streams end with UNAVAILABLE, and calls in progress get a
    /// moment.
    pub async fn stop(mut self) {
        announce(&self.health, tonic_health::ServingStatus::NotServing).await;
        self.edge.stopping.cancel();
        self.edge.background.close();
        let finish = async {
            while self.listeners.join_next().await.is_some() {}
            self.rollouts.stopped().await;
            self.edge.background.wait().await;
        };
        if tokio::time::timeout(GRACE, finish).await.is_err() {
            tracing::warn!("calls were still in progress; their work may continue on the hosts");
        }
        if let Some(traces) = self.traces {
            traces.stop().await;
        }
        self.edge.store.close().await;
    }
}

/// The HTTP client for the hosts of the inventory.
struct HttpHosts(HttpConnector);

impl Connector for HttpHosts {
    fn engine(&self, host: &Host) -> Result<Arc<dyn Engine>, EngineError> {
        self.0.engine(&host.address, host.tls.as_ref().map(|tls| &*tls.material))
    }

    fn keep_only(&self, hosts: &Snapshot) {
        let used: HashSet<_> = hosts
            .hosts()
            .map(|host| (&host.address, host.tls.as_ref().map(|tls| &*tls.material)))
            .collect();
        self.0.retain(|address, tls| used.contains(&(address, tls)));
    }
}

/// All services of the contract but health, which has a state of its own.
fn routes(
    edge: &Arc<Edge>,
    rollouts: &Supervisor,
    journal: Arc<dyn Journal>,
) -> anyhow::Result<Routes> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(wharf::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // Both versions: the tools of Python still ask for v1alpha.
    Ok(Routes::new(v1::host_service_server::HostServiceServer::new(Hosts::new(Arc::clone(edge))))
        .add_service(v1::image_service_server::ImageServiceServer::new(Images(Arc::clone(edge))))
        .add_service(v1::build_service_server::BuildServiceServer::new(Builds(Arc::clone(edge))))
        .add_service(v1::container_service_server::ContainerServiceServer::new(Containers(
            Arc::clone(edge),
        )))
        .add_service(v1::event_service_server::EventServiceServer::new(Events(Arc::clone(edge))))
        .add_service(v1::exec_service_server::ExecServiceServer::new(Exec::new(Arc::clone(edge))))
        .add_service(v1::file_service_server::FileServiceServer::new(Files(Arc::clone(edge))))
        .add_service(v1::log_service_server::LogServiceServer::new(Logs(Arc::clone(edge))))
        .add_service(v1::stats_service_server::StatsServiceServer::new(Stats(Arc::clone(edge))))
        .add_service(v1::network_service_server::NetworkServiceServer::new(Networks(Arc::clone(
            edge,
        ))))
        .add_service(v1::volume_service_server::VolumeServiceServer::new(Volumes(Arc::clone(edge))))
        .add_service(v1::registry_service_server::RegistryServiceServer::new(Registries(
            Arc::clone(edge),
        )))
        .add_service(v1::rollout_service_server::RolloutServiceServer::new(RolloutApi::new(
            Arc::clone(edge),
            journal,
            Arc::new(rollouts.clone()),
        )))
        .add_service(v1::system_service_server::SystemServiceServer::new(System(Arc::clone(edge))))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}

async fn announce(health: &HealthReporter, status: tonic_health::ServingStatus) {
    // The empty name means the whole server.
    for service in [""].iter().chain(wharf::contract::SERVICES) {
        health.set_service_status(*service, status).await;
    }
}

/// Adds this machine's Docker socket if there are no hosts and the socket exists, so that a first
/// try needs only `wharfd` and `wharf ps`.
async fn take_in_local(inventory: &Inventory) -> anyhow::Result<()> {
    if !std::fs::metadata(LOCAL_SOCKET).is_ok_and(|file| file.file_type().is_socket()) {
        return Ok(());
    }
    let socket = UnixPath::parse(LOCAL_SOCKET).map_err(anyhow::Error::msg)?;
    if let Some(host) = inventory.take_in_local(socket, SystemTime::now()).await? {
        tracing::info!(
            "no hosts configured; added the local Docker socket {} as \"{}\" (--no-local disables this)",
            host.address,
            host.name
        );
    }
    Ok(())
}

/// How many hosts may be followed: each needs two connections, and an eighth of the files stays for
/// callers and the hosts that are not followed.
fn most_followed(files: Option<u64>) -> usize {
    let most = files.map_or(u64::MAX, |files| files / 16 * 7);
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// Lets go of the connections to hosts that are gone or are reached in another way now.
async fn follow(
    inventory: Inventory,
    pool: Arc<EnginePool>,
    view: View,
    stopping: CancellationToken,
) {
    let mut snapshots = inventory.subscribe();
    // It holds the inventory, and with it the store, which a stop must release.
    while let Some(Ok(())) = stopping.run_until_cancelled(snapshots.changed()).await {
        let now = snapshots.borrow_and_update().clone();
        pool.keep_only(&now);
        view.keep_only(&now);
    }
}

/// Applies a changed configuration file. An invalid one is refused as a whole and changes nothing.
async fn reload(file: &ConfigFile, inventory: &Inventory) {
    let refused = |error: &dyn std::fmt::Display| {
        tracing::error!("configuration refused; the previous one stays in effect: {error}");
    };
    match file.load_hosts() {
        Ok(hosts) => match inventory.reload_file(hosts).await {
            Ok(Reloaded { added, changed, removed }) => tracing::info!(
                added = added.len(),
                changed = changed.len(),
                removed = removed.len(),
                "configuration loaded"
            ),
            Err(error) => refused(&error),
        },
        Err(error) => refused(&error),
    }
}
