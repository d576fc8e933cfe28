//! The composition root: the only place that names the concrete parts and puts them together.
//!
//! Start: store, inventory, listeners, services, then the ready line. Stop: health reports it, open
//! streams end with UNAVAILABLE, calls in progress get a moment, then the process ends.

mod rollout_hosts;

use std::collections::HashSet;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};
use tonic_health::server::HealthReporter;
use tonic_web::GrpcWebLayer;
use wharf::v1;

use crate::api::auth::{self, AuthLayer};
use crate::api::builds::Builds;
use crate::api::call_limit::CallLimit;
use crate::api::containers::Containers;
use crate::api::deadline::DeadlineLayer;
use crate::api::edge::Edge;
use crate::api::events::Events;
use crate::api::exec::Exec;
use crate::api::files::Files;
use crate::api::hosts::Hosts;
use crate::api::images::Images;
use crate::api::incoming::IncomingLayer;
use crate::api::logs::Logs;
use crate::api::methods::Methods;
use crate::api::networks::Networks;
use crate::api::origin::WebAccess;
use crate::api::registries::Registries;
use crate::api::rollouts::RolloutApi;
use crate::api::stats::Stats;
use crate::api::system::System;
use crate::api::view_form::ContainerForm;
use crate::api::volumes::Volumes;
use crate::config::{Access, Config, ConfigFile, Limits, Listen};
use crate::domain::{Host, UnixPath};
use crate::engine::http::{ConnectorSettings, HttpConnector};
use crate::engine::{Engine, EngineError, UploadSpace, raise_file_limit};
use crate::fleet::inventory::{Inventory, Reloaded, Snapshot};
use crate::fleet::pool::{Connector, EnginePool};
use crate::fleet::view::View;
use crate::listener::{self, Connections, Listener};
use crate::rollout::clock::Clock;
use crate::rollout::journal::Journal;
use crate::rollout::supervisor::Supervisor;
use crate::store::Store;
use rollout_hosts::FleetHosts;

/// Time for calls in progress after a stop was requested. Supervisors send SIGKILL after about 10
/// s; people expect a stop to be quick.
const GRACE: Duration = Duration::from_millis(1500);

/// HTTP/2 pings, so that a client that vanished is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

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
        let pool = Arc::new(EnginePool::new(HttpHosts(HttpConnector::new(ConnectorSettings {
            answer_memory: config.limits.answer_memory,
            ssh_directory: config.store.data_dir.join("ssh"),
            ssh_handshakes: config.limits.ssh_handshakes,
            ..ConnectorSettings::default()
        }))));
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
            view,
            store.clone(),
            uploads.clone(),
            config.max_parallel,
            stopping.clone(),
        ));

        // All are bound before any is served, so that a port in use leaves nothing half started.
        let mut bound = Vec::with_capacity(config.listen.len());
        for listen in &config.listen {
            bound.push(Listener::bind(listen).await?);
        }
        let listening = bound.iter().map(ToString::to_string).collect();
        let (health, health_service) = tonic_health::server::health_reporter();
        announce(&health, tonic_health::ServingStatus::Serving).await;
        // Not before the addresses are bound: a second server that cannot start must not take over
        // the rollouts of the first.
        let hosts = Arc::new(FleetHosts::new(inventory, pool, store.clone(), uploads));
        let journal: Arc<dyn Journal> = Arc::new(store);
        let rollouts = Supervisor::start(
            Arc::clone(&journal),
            hosts,
            Clock::of_system(),
            stopping.clone(),
            config.rollout_history,
        )
        .await?;
        let routes = routes(&edge, &rollouts, journal)?.add_service(health_service);
        let mut listeners = JoinSet::new();
        let methods = Arc::new(Methods::load());
        let calls = CallLimit::new(config.limits.max_calls_per_caller);
        let count =
            |tcp| config.listen.iter().filter(|at| matches!(at, Listen::Tcp { .. }) == tcp).count();
        for (listener, listen) in bound.into_iter().zip(&config.listen) {
            let is_tcp = matches!(listener, Listener::Tcp(_));
            let configured = config.limits.max_connections;
            let most = listener::share(files, is_tcp, count(is_tcp), configured);
            let admission = Admission {
                methods: Arc::clone(&methods),
                web: web_access(&config, listen),
                connections: Connections::new(most, &config.limits),
                calls: calls.clone(),
                limits: config.limits,
            };
            let access = &config.access;
            let served = serve(listener, routes.clone(), access, admission, stopping.clone())?;
            listeners.spawn(served);
        }
        Ok(Self { file: config.file, edge, rollouts, health, listening, listeners })
    }

    /// The listen addresses, with the ports that the system assigned.
    pub fn listening(&self) -> &[String] {
        &self.listening
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
        .add_service(v1::exec_service_server::ExecServiceServer::new(Exec(Arc::clone(edge))))
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

/// The rules of a listener for requests from browsers. Only over plain TCP can a page use its own
/// host name: unix sockets have no host names, and TLS verifies them.
fn web_access(config: &Config, listen: &Listen) -> WebAccess {
    let hosts = match listen {
        Listen::Tcp { host, .. } if config.access == Access::InsecureWithoutAuthentication => {
            let own = host.to_string().to_ascii_lowercase();
            let own = own.trim_matches(['[', ']']).to_owned();
            let everywhere = own.parse::<IpAddr>().is_ok_and(|it| it.is_unspecified());
            let own = Some(own).filter(|_| !everywhere);
            Some(config.web.hosts.iter().cloned().chain(own).collect())
        }
        Listen::Tcp { .. } | Listen::Unix(_) => None,
    };
    WebAccess { hosts, origins: config.web.origins.clone() }
}

/// Authentication and limits for callers of one listener.
struct Admission {
    methods: Arc<Methods>,
    web: WebAccess,
    connections: Connections,
    calls: CallLimit,
    limits: Limits,
}

/// Serves one listener until `stopping`.
fn serve(
    listener: Listener,
    routes: Routes,
    access: &Access,
    admission: Admission,
    stopping: CancellationToken,
) -> anyhow::Result<impl Future<Output = Result<(), tonic::transport::Error>> + use<>> {
    let mut server = tonic::transport::Server::builder()
        // gRPC-Web uses HTTP/1.1; this also lets the server close a connection without any data,
        // which an HTTP/2-only server waits for at its end.
        .accept_http1(true)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .max_concurrent_streams(admission.limits.max_streams_per_connection);
    let Admission { methods, web, connections, calls, limits } = admission;
    let credentials = match (&listener, access) {
        (Listener::Unix(..), _) => auth::Access::UnixSocket,
        (Listener::Tcp(_), Access::Secured { identity, tokens }) => {
            let mut tls = ServerTlsConfig::new().timeout(limits.handshake_timeout).identity(
                Identity::from_pem(identity.certificate_pem(), identity.private_key_pem().expose()),
            );
            if let Some(authorities) = identity.client_ca_pem() {
                // Optional, because a token is sufficient.
                tls = tls
                    .client_ca_root(Certificate::from_pem(authorities))
                    .client_auth_optional(true);
            }
            server = server.tls_config(tls)?;
            let tokens = tokens.iter().map(|token| auth::Token {
                name: token.name.clone(),
                role: token.role,
                sha256: token.sha256,
            });
            auth::Access::Credentials(tokens.collect())
        }
        (Listener::Tcp(_), Access::InsecureWithoutAuthentication) => {
            tracing::warn!(
                %listener,
                "plain TCP without authentication: anyone who can connect is root on every host"
            );
            auth::Access::Everybody
        }
        (Listener::Tcp(_), Access::UnixOnly) => anyhow::bail!("no credentials for {listener}"),
    };
    let router = server
        .layer(connections.clone())
        .layer(tower::util::option_layer(web.cors()))
        .layer(GrpcWebLayer::new())
        .layer(AuthLayer::new(Arc::clone(&methods), credentials, web))
        .layer(calls)
        // Inside, so that the log of calls has this end too.
        .layer(DeadlineLayer)
        .layer(IncomingLayer::new(methods, limits.first_request_timeout))
        .add_routes(routes);
    let name = listener.to_string();
    Ok(async move {
        let stopped = stopping.cancelled_owned();
        match listener {
            Listener::Unix(listener, _file) => {
                let incoming = Box::pin(connections.of(listener, name));
                router.serve_with_incoming_shutdown(incoming, stopped).await
            }
            Listener::Tcp(listener) => {
                let incoming = Box::pin(connections.of(listener, name));
                router.serve_with_incoming_shutdown(incoming, stopped).await
            }
        }
    })
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
