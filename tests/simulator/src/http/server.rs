//! Listeners and connections of simulated hosts.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::counters::Counters;
use super::fault::HttpFault;
use super::memory::Memory;
use super::service::serve;
use super::wire::{Control, Stream, Wire};
use crate::host::{PowerState, SimHost};
use crate::rules::Rules;

/// Simulated hosts over HTTP. Everything ends when it is dropped.
#[derive(Debug)]
pub struct SimServer {
    hosts: Vec<Arc<HttpHost>>,
    // Ends its tasks when it is dropped.
    _listeners: JoinSet<()>,
}

/// A simulated host that is served over HTTP.
pub struct HttpHost {
    host: Arc<SimHost>,
    address: Address,
    tls: Option<TlsAcceptor>,
    latency: Mutex<Duration>,
    /// Whether answers are kept and given again.
    pub memory: Memory,
    /// Faults by call.
    pub faults: Rules<HttpFault>,
    /// What came in.
    pub counters: Counters,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl SimServer {
    /// Serves each host at a loopback address of its own, `127.1.0.1` and on, at ports that the
    /// kernel chooses. A host that is down refuses connections.
    pub async fn listen_each(hosts: Vec<Arc<SimHost>>) -> io::Result<Self> {
        let mut served = Vec::new();
        let mut listeners = JoinSet::new();
        for (place, host) in hosts.into_iter().enumerate() {
            let listener = TcpListener::bind((loopback(place), 0)).await?;
            let host = HttpHost::new(host, Address::Tcp(listener.local_addr()?), None);
            listeners.spawn(listen_alone(host.clone(), listener));
            served.push(host);
        }
        Ok(Self { hosts: served, _listeners: listeners })
    }

    /// Serves all hosts with one listener at a port (0: the kernel chooses); the local address
    /// of a connection tells whose it is. A host that is down resets connections.
    pub async fn listen_shared(hosts: Vec<Arc<SimHost>>, port: u16) -> io::Result<Self> {
        Self::listen_shared_with(hosts, port, |_| None).await
    }

    /// The same, with TLS where there is a configuration for the address of a host.
    pub async fn listen_shared_with(
        hosts: Vec<Arc<SimHost>>,
        port: u16,
        tls: impl Fn(IpAddr) -> Option<Arc<ServerConfig>>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
        let port = listener.local_addr()?.port();
        let address = |place| SocketAddr::new(IpAddr::V4(loopback(place)), port);
        let served: Vec<Arc<HttpHost>> = hosts
            .into_iter()
            .enumerate()
            .map(|(place, host)| {
                let address = address(place);
                HttpHost::new(host, Address::Tcp(address), tls(address.ip()))
            })
            .collect();
        let mut listeners = JoinSet::new();
        listeners.spawn(listen_for_all(served.clone(), listener));
        Ok(Self { hosts: served, _listeners: listeners })
    }

    /// Serves one host at a unix socket.
    pub async fn listen_unix(host: Arc<SimHost>, path: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        let host = HttpHost::new(host, Address::Unix(path.to_owned()), None);
        let mut listeners = JoinSet::new();
        listeners.spawn(listen_unix(host.clone(), listener));
        Ok(Self { hosts: vec![host], _listeners: listeners })
    }

    /// The hosts, in the order in which they were given.
    pub fn hosts(&self) -> &[Arc<HttpHost>] {
        &self.hosts
    }
}

impl HttpHost {
    fn new(host: Arc<SimHost>, address: Address, tls: Option<Arc<ServerConfig>>) -> Arc<Self> {
        Arc::new(Self {
            host,
            address,
            tls: tls.map(TlsAcceptor::from),
            memory: Memory::default(),
            latency: Mutex::default(),
            faults: Rules::default(),
            counters: Counters::default(),
        })
    }

    /// The model and its power switch.
    pub fn host(&self) -> &Arc<SimHost> {
        &self.host
    }

    /// Where it listens, as `tcp://…` or `unix://…`.
    pub fn address(&self) -> String {
        match &self.address {
            Address::Tcp(address) => format!("tcp://{address}"),
            Address::Unix(path) => format!("unix://{}", path.display()),
        }
    }

    /// Every answer takes so much longer.
    pub fn set_latency(&self, latency: Duration) {
        *self.latency.lock().unwrap_or_else(PoisonError::into_inner) = latency;
    }

    pub(super) fn latency(&self) -> Duration {
        *self.latency.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_down(&self) -> bool {
        self.host.power().state == PowerState::Down
    }
}

impl fmt::Debug for HttpHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HttpHost").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The loopback address of the host at a place: `127.1.0.1`, `127.1.0.2`, …
fn loopback(place: usize) -> Ipv4Addr {
    let number = u32::try_from(place).unwrap_or(u32::MAX - 1) + 1;
    let [_, high, middle, low] = number.to_be_bytes();
    Ipv4Addr::new(127, high.saturating_add(1), middle, low)
}

async fn listen_alone(host: Arc<HttpHost>, listener: TcpListener) {
    let Ok(address) = listener.local_addr() else { return };
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    let mut power = host.host.watch_power();
    loop {
        while connections.try_join_next().is_some() {}
        match &listener {
            Some(bound) if !host.is_down() => {
                tokio::select! {
                    accepted = bound.accept() => if let Ok((stream, _)) = accepted {
                        connections.spawn(connection(host.clone(), Stream::Tcp(stream)));
                    },
                    _ = power.changed() => {}
                }
            }
            // Closed for as long as it is down, so that the kernel refuses.
            Some(_) => listener = None,
            None if host.is_down() => {
                if power.changed().await.is_err() {
                    return;
                }
            }
            None => match TcpListener::bind(address).await {
                Ok(bound) => listener = Some(bound),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
        }
    }
}

async fn listen_for_all(hosts: Vec<Arc<HttpHost>>, listener: TcpListener) {
    let by_address: BTreeMap<IpAddr, Arc<HttpHost>> = hosts
        .into_iter()
        .filter_map(|host| match host.address {
            Address::Tcp(address) => Some((address.ip(), host)),
            Address::Unix(_) => None,
        })
        .collect();
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: others must close first.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let host = stream.local_addr().ok().and_then(|address| by_address.get(&address.ip()));
        match host {
            Some(host) if !host.is_down() => {
                connections.spawn(connection(host.clone(), Stream::Tcp(stream)));
            }
            _ => Stream::Tcp(stream).reset(),
        }
    }
}

async fn listen_unix(host: Arc<HttpHost>, listener: UnixListener) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) if !host.is_down() => {
                connections.spawn(connection(host.clone(), Stream::Unix(stream)));
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Serves one connection until it ends or its Engine goes down.
async fn connection(host: Arc<HttpHost>, stream: Stream) {
    let _open = host.counters.connection();
    if let Stream::Tcp(stream) = &stream {
        // Small answers must not wait for the acknowledgement of the ones before.
        let _ = stream.set_nodelay(true);
    }
    let stream = match (&host.tls, stream) {
        (Some(tls), Stream::Tcp(stream)) => match tls.accept(stream).await {
            Ok(stream) => Stream::Tls(Box::new(stream)),
            // Why is the client's to tell.
            Err(_) => return,
        },
        (_, stream) => stream,
    };
    let control = Control::default();
    let wire = Wire::new(stream, control.clone());
    let service = {
        let host = host.clone();
        service_fn(move |request| serve(host.clone(), control.clone(), request))
    };
    let mut power = host.host.watch_power();
    let seen = host.host.power().crashes;
    let serving =
        http1::Builder::new().serve_connection(TokioIo::new(wire), service).with_upgrades();
    tokio::select! {
        // How a connection ends is the client's to tell.
        _ = serving => {}
        _ = power.wait_for(|power| power.state == PowerState::Down || power.crashes > seen) => {}
    }
}
