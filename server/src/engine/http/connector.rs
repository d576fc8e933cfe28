//! Creates the clients of hosts, with shared parts.
//!
//! A client costs memory and, with certificates, time; connections are pooled within one. So
//! all hosts over plain TCP share one, hosts with the same certificates share one, and each
//! unix socket, also one over ssh, has a small one of its own.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::ClientBuilder;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use url::Url;

use super::HttpEngine;
use super::answers::AnswerMemory;
use super::clients::{CONNECT, Clients, unusable};
use super::lanes::Lanes;
use super::link::{Link, VersionCell, Writes};
use super::sessions::Sessions;
use super::traffic::Traffic;
use super::transport::Security;
use super::tunnel::TunnelLayer;
use crate::domain::{HostAddress, TcpHost, TlsMaterial};
use crate::engine::health::HealthRecord;
use crate::engine::ssh::{Ssh, Tunnel};
use crate::engine::{Engine, EngineError, ErrorKind, Result};

/// For the login of a host over ssh, with those before it. Callers have their own deadlines.
const SSH_CONNECT: Duration = Duration::from_secs(300);

/// How long the client waits of its own accord. All other deadlines are those of its callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorSettings {
    /// For a connection: name resolution, TCP and TLS. 5 seconds by default.
    pub connect: Duration,
    /// For the negotiation of the API version with a host. 10 seconds by default.
    pub negotiation: Duration,
    /// For the next byte of a pull or push. 5 minutes by default: Engines verify and unpack
    /// large layers without a word.
    pub stall: Duration,
    /// Maximum bytes of progress reports for one pull or push. 1 GiB by default, enough for a pull
    /// of several hours: an Engine that reports forever would keep the pull in progress forever.
    pub report: u64,
    /// Maximum bytes of responses of all Engines at the same time. 512 MiB by default.
    pub answer_memory: usize,
    /// How long an answer waits for room in that. 10 seconds by default.
    pub answer_wait: Duration,
    /// Where the private directory for the sockets of hosts over ssh is created. By default, a
    /// directory of this process in that of temporary files.
    pub ssh_directory: PathBuf,
    /// Maximum number of logins over ssh at the same time. 8 by default: an sshd drops some from the
    /// tenth on.
    pub ssh_handshakes: usize,
}

/// Creates an [`Engine`] for an address. Cheap: the same address and certificates give the same
/// client, with its connections and its negotiated version.
pub struct HttpConnector {
    settings: ConnectorSettings,
    answers: AnswerMemory,
    traffic: Traffic,
    ssh: Arc<Ssh>,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    plain: Option<Clients>,
    identities: HashMap<TlsMaterial, Identity>,
    next_identity: u64,
    engines: HashMap<(HostAddress, Option<u64>), Arc<HttpEngine>>,
}

/// The clients that all hosts with the same certificates share.
#[derive(Clone)]
struct Identity {
    number: u64,
    clients: Clients,
    sessions: Arc<Sessions>,
}

impl Default for ConnectorSettings {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            negotiation: Duration::from_secs(10),
            stall: Duration::from_secs(300),
            report: 1 << 30,
            answer_memory: 512 << 20,
            answer_wait: Duration::from_secs(10),
            ssh_directory: std::env::temp_dir()
                .join(format!("wharf-ssh-{}", uuid::Uuid::new_v4().simple())),
            ssh_handshakes: 8,
        }
    }
}

impl HttpConnector {
    /// A connector without clients.
    #[must_use]
    pub fn new(settings: ConnectorSettings) -> Self {
        let answers = AnswerMemory::new(settings.answer_memory, settings.answer_wait);
        let traffic = Traffic::new(answers.clone());
        let ssh = Ssh::new(settings.ssh_directory.clone(), settings.ssh_handshakes);
        Self { settings, answers, traffic, ssh, cache: Mutex::default() }
    }

    /// The calls of all its Engines, for those who watch them.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.traffic.clone()
    }

    /// The Engine at an address, with `tls` if given. Opens no connection.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Tls`] for certificates or a key that cannot be used, and for any with a
    /// unix socket, here or over ssh. [`ErrorKind::Unreachable`] if there is no place for the socket
    /// of a host over ssh.
    pub fn engine(
        &self,
        address: &HostAddress,
        tls: Option<&TlsMaterial>,
    ) -> Result<Arc<dyn Engine>> {
        let mut cache = self.cache();
        let identity = match tls {
            Some(_) if !matches!(address, HostAddress::Tcp(_)) => {
                return Err(unusable(format!("{address} is a unix socket, which takes no TLS")));
            }
            Some(tls) => Some(self.identity(&mut cache, tls)?),
            None => None,
        };
        let key = (address.clone(), identity.as_ref().map(|identity| identity.number));
        if let Some(engine) = cache.engines.get(&key) {
            return Ok(Arc::clone(engine) as Arc<dyn Engine>);
        }
        let secured = identity.is_some();
        let security = match tls {
            Some(tls) => Security::Tls { client: tls.client_validity() },
            None => Security::Plain,
        };
        let tunnel = match address {
            HostAddress::Ssh(ssh) => Some(Arc::new(self.ssh.tunnel(ssh).map_err(|error| {
                let message = format!("cannot create a socket for {address}: {error}");
                EngineError::new(ErrorKind::Unreachable, CONNECT, message)
            })?)),
            HostAddress::Unix(_) | HostAddress::Tcp(_) => None,
        };
        let clients = match (address, identity) {
            (_, Some(identity)) => identity.clients,
            (HostAddress::Ssh(_), None) => self.clients_over_ssh(tunnel.as_ref())?,
            (HostAddress::Unix(path), None) => {
                let path = path.to_string();
                self.clients(without_tls()?, move |builder| builder.unix_socket(path.as_str()))?
            }
            (HostAddress::Tcp(_), None) => match &cache.plain {
                Some(clients) => clients.clone(),
                None => {
                    let clients = self.clients(without_tls()?, |builder| builder)?;
                    cache.plain = Some(clients.clone());
                    clients
                }
            },
        };
        let engine = Arc::new(HttpEngine::new(Link {
            clients,
            base: base_url(address, secured)?,
            address: address.clone(),
            security,
            tunnel,
            stall: self.settings.stall,
            report: self.settings.report,
            negotiation: self.settings.negotiation,
            answers: self.answers.clone(),
            traffic: self.traffic.clone(),
            health: HealthRecord::new(),
            lanes: Arc::new(Lanes::new()),
            version: VersionCell::default(),
            writes: Writes::default(),
        }));
        cache.engines.insert(key, Arc::clone(&engine));
        Ok(engine)
    }

    /// Drops clients for addresses and certificates that `is_used` does not know, once no call uses
    /// them. Call it when hosts were removed or changed.
    pub fn retain(&self, is_used: impl Fn(&HostAddress, Option<&TlsMaterial>) -> bool) {
        let mut cache = self.cache();
        let Cache { identities, engines, plain, .. } = &mut *cache;
        let materials: HashMap<u64, &TlsMaterial> =
            identities.iter().map(|(material, identity)| (identity.number, material)).collect();
        engines.retain(|(address, number), _| {
            is_used(address, number.and_then(|number| materials.get(&number).copied()))
        });
        let mut names: HashMap<u64, HashSet<ServerName<'static>>> = HashMap::new();
        for (address, number) in engines.keys() {
            if let Some(number) = number {
                names.entry(*number).or_default().extend(server_name(address));
            }
        }
        identities.retain(|_, identity| {
            let Some(names) = names.get(&identity.number) else { return false };
            identity.sessions.retain(|name| names.contains(name));
            true
        });
        let is_plain = |key: &(HostAddress, Option<u64>)| {
            key.1.is_none() && matches!(key.0, HostAddress::Tcp(_))
        };
        if !engines.keys().any(is_plain) {
            *plain = None;
        }
    }

    fn identity(&self, cache: &mut Cache, tls: &TlsMaterial) -> Result<Identity> {
        if let Some(identity) = cache.identities.get(tls) {
            return Ok(identity.clone());
        }
        let sessions = Arc::new(Sessions::default());
        let mut config = with_tls(tls)?;
        config.resumption = Resumption::store(Arc::clone(&sessions) as _);
        let clients = self.clients(config, |builder| builder)?;
        let identity = Identity { number: cache.next_identity, clients, sessions };
        cache.next_identity += 1;
        cache.identities.insert(tls.clone(), identity.clone());
        Ok(identity)
    }

    fn clients_over_ssh(&self, tunnel: Option<&Arc<Tunnel>>) -> Result<Clients> {
        let tunnel = tunnel.cloned();
        self.clients(without_tls()?, move |builder| match &tunnel {
            // Inside of the layer that paces: only who really connects waits for the way.
            Some(tunnel) => builder
                .unix_socket(tunnel.socket())
                .connect_timeout(SSH_CONNECT)
                .connector_layer(TunnelLayer(Arc::clone(tunnel))),
            None => builder,
        })
    }

    fn clients(
        &self,
        tls: ClientConfig,
        configure: impl Fn(ClientBuilder) -> ClientBuilder + Send + 'static,
    ) -> Result<Clients> {
        Clients::new(self.settings.connect, tls, configure)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // A panic cannot leave the maps in an inconsistent state.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for HttpConnector {
    fn default() -> Self {
        Self::new(ConnectorSettings::default())
    }
}

/// Without the clients, whose keys are certificates and private keys.
impl fmt::Debug for HttpConnector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HttpConnector")
            .field("settings", &self.settings)
            .field("engines", &self.cache().engines.len())
            .finish_non_exhaustive()
    }
}

fn base_url(address: &HostAddress, secured: bool) -> Result<Url> {
    let text = match address {
        // The host of a socket is a formality, and this is the one Docker's own tools send.
        HostAddress::Unix(_) | HostAddress::Ssh(_) => "http://localhost/".to_owned(),
        HostAddress::Tcp(tcp) if secured => format!("https://{tcp}/"),
        HostAddress::Tcp(tcp) => format!("http://{tcp}/"),
    };
    Url::parse(&text).map_err(|error| {
        let message = format!("{address} is not a valid address: {error}");
        EngineError::new(ErrorKind::Unreachable, CONNECT, message)
    })
}

/// The name by which rustls knows a server.
fn server_name(address: &HostAddress) -> Option<ServerName<'static>> {
    match address {
        HostAddress::Tcp(tcp) => match tcp.host() {
            TcpHost::Name(name) => ServerName::try_from(name.clone()).ok(),
            TcpHost::Ip(ip) => Some((*ip).into()),
        },
        HostAddress::Unix(_) | HostAddress::Ssh(_) => None,
    }
}

/// For plain connections: trusts no CA, and so cannot be used for TLS by mistake.
fn without_tls() -> Result<ClientConfig> {
    Ok(builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn with_tls(tls: &TlsMaterial) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(tls.ca_pem(), "CA certificate")? {
        roots
            .add(certificate)
            .map_err(|error| unusable(format!("the CA certificate cannot be read: {error}")))?;
    }
    let config = builder()?.with_root_certificates(roots);
    let (Some(chain), Some(key)) = (tls.certificate_pem(), tls.private_key_pem()) else {
        return Ok(config.with_no_client_auth());
    };
    let chain = certificates(chain, "client certificate")?;
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
        // The error is left out: it may quote the text.
        .map_err(|_| unusable("the private key is not readable PEM".to_owned()))?;
    config.with_client_auth_cert(chain, key).map_err(|error| {
        unusable(format!("the client certificate and key cannot be used: {error}"))
    })
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>> {
    // Explicit, so that it does not depend on the installed provider of the process.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error.to_string()))
}

fn certificates(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>> {
    let found: std::result::Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(unusable(format!("the {what} is not readable PEM"))),
    }
}
