//! The Engines of the fleet: one for each host, created when first needed and kept, with its
//! connections and negotiated version, until the host changes.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::breaker::{Breaker, Unreachable};
use super::inventory::Snapshot;
use crate::domain::{Host, HostName};
use crate::engine::{Engine, EngineError, Health};

/// Creates the Engine of a host. Implemented by the HTTP client and, in tests, by models.
pub trait Connector: Send + Sync + 'static {
    /// Does not connect yet; fails only if the host's settings allow no connection.
    fn engine(&self, host: &Host) -> Result<Arc<dyn Engine>, EngineError>;

    /// Drops everything that no host of the inventory uses.
    fn keep_only(&self, hosts: &Snapshot);
}

/// The Engines of the fleet.
pub struct EnginePool {
    connector: Box<dyn Connector>,
    engines: Mutex<HashMap<HostName, Entry>>,
}

struct Entry {
    host: Arc<Host>,
    engine: Arc<dyn Engine>,
    breaker: Arc<Breaker>,
}

impl EnginePool {
    /// An empty pool.
    pub fn new(connector: impl Connector) -> Self {
        Self { connector: Box::new(connector), engines: Mutex::default() }
    }

    /// The Engine of a host. A host whose connection settings changed gets a new one.
    pub fn engine(&self, host: &Arc<Host>) -> Result<Arc<dyn Engine>, EngineError> {
        self.engine_and_breaker(host).map(|(engine, _)| engine)
    }

    /// The same, and whether the host is known not to answer.
    pub fn engine_and_breaker(
        &self,
        host: &Arc<Host>,
    ) -> Result<(Arc<dyn Engine>, Arc<Breaker>), EngineError> {
        let mut engines = self.lock();
        if let Some(entry) = engines.get_mut(&host.name)
            && (Arc::ptr_eq(&entry.host, host) || entry.host.same_connection(host))
        {
            entry.host = Arc::clone(host);
            return Ok((Arc::clone(&entry.engine), Arc::clone(&entry.breaker)));
        }
        let engine = self.connector.engine(host)?;
        let breaker = Breaker::new(host.name.clone(), Arc::clone(&engine));
        let entry = Entry {
            host: Arc::clone(host),
            engine: Arc::clone(&engine),
            breaker: Arc::clone(&breaker),
        };
        engines.insert(host.name.clone(), entry);
        Ok((engine, breaker))
    }

    /// What is known of a host, if it is unreachable. Contacts no host.
    pub fn unreachable(&self, host: &HostName) -> Option<Unreachable> {
        self.lock().get(host)?.breaker.unreachable()
    }

    /// What is known of each of these hosts from calls so far, in their order; `None` for those that
    /// were not called since they have their connection settings. Calls none.
    pub fn health<'a>(&self, hosts: impl Iterator<Item = &'a Arc<Host>>) -> Vec<Option<Health>> {
        let engines: Vec<Option<Arc<dyn Engine>>> = {
            let known = self.lock();
            let engine = |host: &Arc<Host>| {
                let entry = known.get(&host.name)?;
                let is_same = Arc::ptr_eq(&entry.host, host) || entry.host.same_connection(host);
                is_same.then(|| Arc::clone(&entry.engine))
            };
            hosts.map(engine).collect()
        };
        engines.into_iter().map(|engine| engine?.health()).collect()
    }

    /// Lets go of the Engines of hosts that are gone or are reached in another way now. Calls
    /// in flight finish.
    pub fn keep_only(&self, hosts: &Snapshot) {
        self.lock().retain(|name, entry| {
            hosts.get(name).is_some_and(|host| host.same_connection(&entry.host))
        });
        self.connector.keep_only(hosts);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<HostName, Entry>> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for EnginePool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("EnginePool").field("engines", &self.lock().len()).finish()
    }
}
