//! The hosts of the fleet, as rollouts see them: Engines from the pool, credentials from the
//! store, probes over the network.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{HostAddress, HostName, Reason, RegistryHost, RegistryLogin};
use crate::engine::http::probe;
use crate::engine::{Engine, UploadSpace};
use crate::fleet::inventory::Inventory;
use crate::fleet::pool::EnginePool;
use crate::rollout::hosts::{Hosts, HttpProbe, ProbeTarget};
use crate::rollout::model::Trouble;
use crate::store::Store;

/// The hosts of the fleet.
#[derive(Debug, Clone)]
pub struct FleetHosts {
    inventory: Inventory,
    pool: Arc<EnginePool>,
    store: Store,
    uploads: UploadSpace,
}

impl FleetHosts {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        inventory: Inventory,
        pool: Arc<EnginePool>,
        store: Store,
        uploads: UploadSpace,
    ) -> Self {
        Self { inventory, pool, store, uploads }
    }
}

#[async_trait]
impl Hosts for FleetHosts {
    fn engine(&self, host: &HostName) -> Result<Arc<dyn Engine>, Trouble> {
        let snapshot = self.inventory.snapshot();
        let known = snapshot.get(host).ok_or_else(|| Trouble {
            reason: Reason::HostNotFound,
            message: format!("{host} is no longer in the inventory; add it again"),
        })?;
        self.pool
            .engine(known)
            .map_err(|error| Trouble { reason: error.kind.reason(), message: error.to_string() })
    }

    fn published_at(&self, host: &HostName) -> Option<String> {
        match &self.inventory.snapshot().get(host)?.address {
            HostAddress::Unix(_) => Some("127.0.0.1".to_owned()),
            HostAddress::Tcp(address) => {
                Some(address.host().to_string().trim_matches(['[', ']']).to_owned())
            }
            HostAddress::Ssh(address) => Some(address.destination()),
        }
    }

    fn upload_space(&self) -> UploadSpace {
        self.uploads.clone()
    }

    async fn login(&self, registry: &RegistryHost) -> Option<Arc<RegistryLogin>> {
        match self.store.login(registry).await {
            Ok(login) => login.map(Arc::new),
            Err(error) => {
                tracing::error!(%error, %registry, "cannot read a login");
                None
            }
        }
    }

    async fn probe_http(&self, target: &ProbeTarget, path: &str, limit: Duration) -> HttpProbe {
        match probe::get(&target.authority(), path, limit).await {
            Ok((status, body)) => HttpProbe::Answered { status, body },
            Err(problem) => HttpProbe::Failed(problem),
        }
    }

    async fn probe_tcp(&self, target: &ProbeTarget, limit: Duration) -> Result<(), String> {
        probe::connect(&target.authority(), limit).await
    }
}
