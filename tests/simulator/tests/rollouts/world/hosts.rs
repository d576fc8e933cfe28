//! The hosts as a rollout uses them: model Engines, and probes of their containers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;
use wharf_server::domain::{HostName, Reason, RegistryHost, RegistryLogin};
use wharf_server::engine::{Engine, UploadSpace};
use wharf_server::rollout::hosts::{Hosts, HttpProbe, ProbeTarget};
use wharf_server::rollout::model::Trouble;
use wharf_simulator::SimEngine;

/// Puts something between the rollout and an Engine.
pub type Wrap = Arc<dyn Fn(SimEngine) -> Arc<dyn Engine> + Send + Sync>;

pub struct SimHosts {
    engines: BTreeMap<HostName, SimEngine>,
    /// For images on their way from one host to others.
    uploads: TempDir,
    wrap: Mutex<Option<Wrap>>,
}

impl SimHosts {
    pub fn new(engines: BTreeMap<HostName, SimEngine>) -> Self {
        let uploads = tempfile::tempdir().expect("a directory");
        Self { engines, uploads, wrap: Mutex::default() }
    }

    pub fn wrap(&self, wrap: Wrap) {
        *self.wrap.lock().unwrap_or_else(PoisonError::into_inner) = Some(wrap);
    }
}

#[async_trait]
impl Hosts for SimHosts {
    fn engine(&self, host: &HostName) -> Result<Arc<dyn Engine>, Trouble> {
        let engine = self.engines.get(host).cloned();
        let engine = engine.ok_or_else(|| Trouble::new(Reason::HostNotFound, "no such host"))?;
        let wrap = self.wrap.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(match wrap {
            Some(wrap) => wrap(engine),
            None => Arc::new(engine),
        })
    }

    fn published_at(&self, host: &HostName) -> Option<String> {
        self.engines.contains_key(host).then(|| host.to_string())
    }

    fn upload_space(&self) -> UploadSpace {
        UploadSpace::new(self.uploads.path().to_owned(), 1 << 30)
    }

    async fn login(&self, _: &RegistryHost) -> Option<Arc<RegistryLogin>> {
        None
    }

    async fn probe_http(&self, target: &ProbeTarget, _: &str, _: Duration) -> HttpProbe {
        match self.probe_tcp(target, Duration::ZERO).await {
            Ok(()) => HttpProbe::Answered { status: 200, body: "ok".to_owned() },
            Err(problem) => HttpProbe::Failed(problem),
        }
    }

    async fn probe_tcp(&self, target: &ProbeTarget, _: Duration) -> Result<(), String> {
        let engine = self.engines.get(&target.host).ok_or("no such host")?;
        let answers = engine.host().with(|model, _| {
            model.containers().any(|container| {
                container.state.status.has_process()
                    && container
                        .endpoints
                        .values()
                        .filter_map(|endpoint| endpoint.address.as_ref())
                        .any(|address| address.ip == target.address)
            })
        });
        if answers { Ok(()) } else { Err("connection refused".to_owned()) }
    }
}
