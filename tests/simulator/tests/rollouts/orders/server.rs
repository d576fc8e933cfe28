//! A process of the server: the service that callers meet, over a real supervisor.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;
use wharf_server::api::container_form::ContainerForm;
use wharf_server::api::edge::Edge;
use wharf_server::api::rollouts::RolloutApi;
use wharf_server::config::{FileHosts, ViewOptions};
use wharf_server::domain::{Host, HostAddress, HostName, HostSource, Labels, Transport};
use wharf_server::engine::{Engine, EngineError, ErrorKind, UploadSpace};
use wharf_server::fleet::inventory::{Inventory, Snapshot};
use wharf_server::fleet::pool::{Connector, EnginePool};
use wharf_server::fleet::view::View;
use wharf_server::rollout::journal::{Journal, JournalError};
use wharf_server::rollout::supervisor::Supervisor;
use wharf_server::store::{Store, StoreOptions};
use wharf_simulator::{Process, SimEngine};

use super::ledger::Ledger;
use crate::world::{SimHosts, clock, host};

/// Most hosts of a run.
pub const MOST_HOSTS: usize = 4;
/// Rollouts that are remembered: all.
const HISTORY: usize = 1000;

pub struct Server {
    pub process: Process,
    pub supervisor: Supervisor,
    api: RolloutApi,
    journal: Arc<dyn Journal>,
    stopping: CancellationToken,
}

impl Server {
    /// Begins, and resumes the rollouts of an earlier process.
    pub async fn start(
        engines: &BTreeMap<HostName, SimEngine>,
        ledger: &Ledger,
    ) -> Result<Self, JournalError> {
        let process = Process::default();
        let seen = |(name, engine): (&HostName, &SimEngine)| {
            (name.clone(), engine.as_seen_by(process.clone()))
        };
        let hosts = Arc::new(SimHosts::new(engines.iter().map(seen).collect()));
        let journal: Arc<dyn Journal> = Arc::new(ledger.as_seen_by(process.clone()));
        let stopping = CancellationToken::new();
        let supervisor =
            Supervisor::start(Arc::clone(&journal), hosts, clock(), stopping.clone(), HISTORY);
        let supervisor = supervisor.await?;
        let api = RolloutApi::new(edge(), Arc::clone(&journal), Arc::new(supervisor.clone()));
        Ok(Self { process, supervisor, api, journal, stopping })
    }

    /// Ends it as SIGKILL does. Its tasks, which can do nothing any longer, go too.
    pub fn end(&self) {
        self.process.kill();
        self.stopping.cancel();
    }

    /// The service.
    pub fn api(&self) -> RolloutApi {
        self.api.clone()
    }

    /// The service with a planted bug: whatever a caller claimed ends with its call.
    pub fn api_that_forgets_claims(&self) -> RolloutApi {
        RolloutApi::new(edge(), Arc::clone(&self.journal), Arc::new(self.supervisor.clone()))
    }
}

/// The hosts that can be selected. The service asks nothing else of it that is kept, so all runs
/// share one.
fn edge() -> Arc<Edge> {
    static EDGE: OnceLock<Arc<Edge>> = OnceLock::new();
    // The store needs a runtime whose clock continues.
    let made = || std::thread::spawn(make_edge).join().expect("an edge");
    Arc::clone(EDGE.get_or_init(made))
}

fn make_edge() -> Arc<Edge> {
    let directory = tempfile::tempdir().expect("a directory");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let options = StoreOptions { data_dir: directory.path().to_owned(), secret_key_file: None };
    let hosts = (0..MOST_HOSTS).map(|number| (host(number), some_host(number))).collect();
    let edge = runtime.block_on(async {
        let store = Store::open(&options).await.expect("the store opens");
        let file = FileHosts { hosts, ..FileHosts::default() };
        let inventory = Inventory::open(store.clone(), file).await.expect("an inventory");
        let pool = Arc::new(EnginePool::new(NoEngines));
        let uploads = UploadSpace::new("/nowhere".into(), 0);
        let off = ViewOptions { enabled: false, ..ViewOptions::default() };
        let stopping = CancellationToken::new();
        let view = View::new(off, 0, Arc::clone(&pool), ContainerForm, stopping.clone());
        Edge::new(inventory, pool, view, store, uploads, MOST_HOSTS, stopping)
    });
    // Nobody writes to the store.
    runtime.shutdown_background();
    Arc::new(edge)
}

fn some_host(number: usize) -> Host {
    let address = format!("tcp://127.0.0.1:{}", 2375 + number);
    Host {
        name: host(number),
        address: HostAddress::parse(&address, Transport::Plain).expect("an address"),
        labels: Labels::default(),
        source: HostSource::File,
        tls: None,
        insecure: false,
        created_at: None,
    }
}

/// Rollouts reach their Engines elsewhere.
struct NoEngines;

impl Connector for NoEngines {
    fn engine(&self, _: &Host) -> Result<Arc<dyn Engine>, EngineError> {
        Err(EngineError::new(ErrorKind::Unreachable, "simulation", "no Engine here"))
    }

    fn keep_only(&self, _: &Snapshot) {}
}
