//! The clients of reqwest for a set of hosts: one that keeps its connections, and one for second
//! attempts, which keeps none, so that each has a connection of its own.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use rustls::ClientConfig;

use super::lanes::PacingLayer;
use crate::engine::{EngineError, ErrorKind, Result};

/// The name of connections in errors.
pub(super) const CONNECT: &str = "connect";
/// Idle connections to keep for each host.
pub(super) const IDLE_CONNECTIONS: usize = 4;
/// How long to keep an idle connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The clients of hosts that are reached in the same way. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Clients {
    kept: Client,
    /// Made when it is first needed: a client costs memory, and few hosts are asked twice.
    fresh: Arc<LazyLock<Result<Client>, Make>>,
}

type Make = Box<dyn FnOnce() -> Result<Client> + Send>;

impl Clients {
    /// Clients that wait for a connection for `connect`, unless `configure` says otherwise.
    pub(super) fn new(
        connect: Duration,
        tls: ClientConfig,
        configure: impl Fn(ClientBuilder) -> ClientBuilder + Send + 'static,
    ) -> Result<Self> {
        let kept = client(connect, IDLE_CONNECTIONS, tls.clone(), &configure)?;
        let make: Make = Box::new(move || client(connect, 0, tls, configure));
        Ok(Self { kept, fresh: Arc::new(LazyLock::new(make)) })
    }

    /// The client that keeps its connections.
    pub(super) fn kept(&self) -> &Client {
        &self.kept
    }

    /// The client that opens a connection for each call.
    pub(super) fn fresh(&self) -> Result<&Client> {
        LazyLock::force(&self.fresh).as_ref().map_err(Clone::clone)
    }
}

fn client(
    connect: Duration,
    idle_connections: usize,
    tls: ClientConfig,
    configure: impl Fn(ClientBuilder) -> ClientBuilder,
) -> Result<Client> {
    let builder = Client::builder()
        // A custom TLS configuration: reqwest would load the system's CAs for each client, 7 ms
        // and 100 kB, and they sign no Engine's certificate.
        .tls_backend_preconfigured(tls)
        .no_proxy()
        // Newer Engines offer HTTP/2 over TLS, over which hijacked connections don't work.
        .http1_only()
        // Following a 301 would turn a POST into a GET.
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(connect)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(idle_connections);
    // The layer that is added last is the outermost.
    let builder = configure(builder).connector_layer(PacingLayer);
    builder.build().map_err(|error| unusable(error.to_string()))
}

/// What is configured for a host cannot be used.
pub(super) fn unusable(problem: String) -> EngineError {
    EngineError::new(ErrorKind::Tls, CONNECT, problem)
}
