//! A connection to `wharfd`.
//!
//! ```ignore
//! let channel = wharf::client::Target::parse("unix:///run/wharf/wharfd.sock")?.connect().await?;
//! let mut hosts = wharf::v1::host_service_client::HostServiceClient::new(channel);
//! ```

use std::fmt;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Error, Identity};
use tonic::{Request, Status};

/// How long a connection attempt may take. A server on the same network answers in
/// milliseconds; a longer wait only hides a wrong address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Interval of HTTP/2 pings, so that proxies and firewalls keep a silent stream open.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Where a server listens, and how to secure the connection.
#[derive(Clone)]
pub struct Target {
    address: String,
    tls: Tls,
}

/// PEM texts for `https://` targets.
#[derive(Clone, Default)]
pub struct Tls {
    /// Authorities that may have signed the server's certificate.
    pub ca_pem: Option<String>,
    /// Client certificate with its private key.
    pub identity_pem: Option<(String, String)>,
    /// Name to expect in the server's certificate instead of the host of the address.
    pub server_name: Option<String>,
}

/// An address that is not one of the three forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidTarget {
    address: String,
    problem: &'static str,
}

/// Adds `authorization: Bearer TOKEN` to every call.
#[derive(Clone, Default)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Target {
    /// Takes `unix:///PATH`, `tcp://HOST:PORT` (no TLS) or `https://HOST:PORT`.
    pub fn parse(address: &str) -> Result<Self, InvalidTarget> {
        let invalid = |problem| InvalidTarget { address: address.to_owned(), problem };
        let uri = if let Some(path) = address.strip_prefix("unix://") {
            if !path.starts_with('/') {
                return Err(invalid("the path of a unix socket must be absolute"));
            }
            address.to_owned()
        } else if let Some(authority) = address.strip_prefix("tcp://") {
            format!("http://{}", authority_with_port(authority).map_err(invalid)?)
        } else if let Some(authority) = address.strip_prefix("https://") {
            format!("https://{}", authority_with_port(authority).map_err(invalid)?)
        } else {
            return Err(invalid("it begins with none of unix://, tcp://, https://"));
        };
        Ok(Self { address: uri, tls: Tls::default() })
    }

    /// Sets what secures an `https://` target.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// Connects now, so that a wrong address is an error here and not at the first call.
    pub async fn connect(&self) -> Result<Channel, Error> {
        self.endpoint()?.connect().await
    }

    fn endpoint(&self) -> Result<Endpoint, Error> {
        let mut endpoint = Endpoint::from_shared(self.address.clone())?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .user_agent(concat!("wharf/", env!("CARGO_PKG_VERSION")))?;
        if self.address.starts_with("https://") {
            let mut config = ClientTlsConfig::new();
            if let Some(ca) = &self.tls.ca_pem {
                config = config.ca_certificate(Certificate::from_pem(ca));
            }
            if let Some((certificate, key)) = &self.tls.identity_pem {
                config = config.identity(Identity::from_pem(certificate, key));
            }
            if let Some(name) = &self.tls.server_name {
                config = config.domain_name(name);
            }
            endpoint = endpoint.tls_config(config)?;
        }
        Ok(endpoint)
    }
}

impl Bearer {
    /// An empty token adds nothing. `None` where the token cannot stand in a header.
    #[must_use]
    pub fn new(token: &str) -> Option<Self> {
        if token.is_empty() {
            return Some(Self(None));
        }
        let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse().ok()?;
        value.set_sensitive(true);
        Some(Self(Some(value)))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

impl fmt::Display for InvalidTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "invalid server address \"{}\": {}; use unix:///PATH, tcp://HOST:PORT or https://HOST:PORT",
            self.address.escape_debug(),
            self.problem
        )
    }
}

impl std::error::Error for InvalidTarget {}

fn authority_with_port(authority: &str) -> Result<&str, &'static str> {
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let Some((host, port)) = authority.rsplit_once(':') else {
        return Err("the port is missing");
    };
    if host.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
        return Err("it is not HOST:PORT");
    }
    if port.parse::<u16>().is_err() {
        return Err("the port is not a number from 0 to 65535");
    }
    Ok(authority)
}
