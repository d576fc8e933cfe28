//! The hosts as a rollout uses them: an Engine for each, and probes of containers. The seam between
//! a rollout and the outside; simulations implement it with models.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::model::Trouble;
use crate::domain::{HostName, RegistryHost, RegistryLogin};
use crate::engine::{Engine, UploadSpace};

/// The hosts as a rollout uses them.
#[async_trait]
pub trait Hosts: Send + Sync + 'static {
    /// The Engine of a host; fails if the host is no longer in the inventory.
    fn engine(&self, host: &HostName) -> Result<Arc<dyn Engine>, Trouble>;

    /// Name or address under which published ports of a host are reachable; `None` if the host is
    /// no longer in the inventory.
    fn published_at(&self, host: &HostName) -> Option<String>;

    /// The disk space for images on their way from one host to others.
    fn upload_space(&self) -> UploadSpace;

    /// The stored credentials for a registry.
    async fn login(&self, registry: &RegistryHost) -> Option<Arc<RegistryLogin>>;

    /// Sends an HTTP request to `http://{target}{path}`.
    async fn probe_http(&self, target: &ProbeTarget, path: &str, timeout: Duration) -> HttpProbe;

    /// Opens a TCP connection; the error is in words.
    async fn probe_tcp(&self, target: &ProbeTarget, timeout: Duration) -> Result<(), String>;
}

/// The target of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeTarget {
    /// The host that the container is on; simulations find their model by it.
    pub host: HostName,
    /// A name or an address.
    pub address: String,
    /// The port there.
    pub port: u16,
}

/// Result of an HTTP probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpProbe {
    /// An answer.
    Answered {
        /// Its status.
        status: u16,
        /// The beginning of the body.
        body: String,
    },
    /// None; why, in words.
    Failed(String),
}

impl ProbeTarget {
    /// `address:port`, an IPv6 address in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        match self.address.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]:{}", self.port),
            _ => format!("{}:{}", self.address, self.port),
        }
    }
}
