//! The view: what the server knows of the containers of hosts without asking, kept up to date by the
//! events of their Engines.
//!
//! Called by the gRPC edge for lists and watches. Decisions that change something do not use it: they ask
//! the Engine.
//!
//! A host is followed from the first time that somebody wants its view until nobody has wanted it for
//! [`ViewOptions::idle`]. The promise: a content is one that the Engine gave; a view that is read
//! ([`HostView::read`]) is live, and nothing is known that could have changed the host since: neither
//! an event nor a call of this server ([`crate::engine::SystemEngine::writes`]). So what is read is
//! late by no more than the delivery of an event or, where an Engine drops events, by the time to the
//! next complete list ([`ViewOptions::resync`]).
//!
//! - [`state`]: pure; what is known, and what is known to be out of date.
//! - [`status`]: pure; the words of a duration, some time later.
//! - `effect`: pure; what an event may have changed.
//! - [`filter`]: pure; what a list wants.
//! - [`host`]: the view of one host, and the questions to its Engine; `together`: one question for all who
//!   ask at the same time.
//! - [`watchers`]: who is told that something changed.
//! - [`follower`]: the task that keeps one up to date.

mod effect;
pub mod filter;
pub mod follower;
pub mod host;
pub mod state;
pub mod status;
mod together;
pub mod watchers;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::host::{HostView, ViewNote};
use self::status::Millis;
use self::watchers::{Changes, Watchers};
use super::inventory::Snapshot;
use super::pool::EnginePool;
use crate::config::ViewOptions;
use crate::domain::{Host, HostName};
use crate::engine::{ContainerSummary, EngineError};

/// Hosts that are read for the first time, or after a failure, at the same time.
const STARTING: usize = 64;

/// How the readers of views want containers.
pub trait Form: Send + Sync + 'static {
    /// A container without its status. Fails for one that no reader can take.
    fn write(&self, container: &ContainerSummary) -> Result<Bytes, EngineError>;
    /// The labels of a written container.
    fn labels(&self, form: &[u8]) -> BTreeMap<String, String>;
}

/// The views of all hosts. Clones share them.
#[derive(Clone)]
pub struct View(Arc<Views>);

struct Views {
    options: ViewOptions,
    most: usize,
    pool: Arc<EnginePool>,
    shared: Arc<Shared>,
    hosts: Mutex<HashMap<HostName, Arc<HostView>>>,
    starting: Arc<Semaphore>,
    stopping: CancellationToken,
}

/// What all views share.
pub struct Shared {
    form: Box<dyn Form>,
    started: Instant,
    /// How many hosts are followed.
    followed: AtomicUsize,
    /// Changes of all hosts so far.
    revision: AtomicU64,
    watchers: Watchers,
    /// Identifies this run of the server.
    epoch: String,
}

/// How well a host is followed, for metrics.
#[derive(Debug, Clone)]
pub struct HostSync {
    /// The host.
    pub host: HostName,
    /// The state of its view.
    pub note: ViewNote,
    /// Since the Engine last said anything.
    pub silent: Duration,
}

impl View {
    /// No host is followed yet, and never more than `most`. `stopping` ends all.
    pub fn new(
        options: ViewOptions,
        most: usize,
        pool: Arc<EnginePool>,
        form: impl Form,
        stopping: CancellationToken,
    ) -> Self {
        let shared = Arc::new(Shared {
            form: Box::new(form),
            started: Instant::now(),
            followed: AtomicUsize::new(0),
            revision: AtomicU64::new(0),
            watchers: Watchers::default(),
            epoch: Uuid::new_v4().to_string(),
        });
        let starting = Arc::new(Semaphore::new(STARTING));
        let hosts = Mutex::default();
        Self(Arc::new(Views { options, most, pool, shared, hosts, starting, stopping }))
    }

    /// The view of a host, which is followed from now on. `None` if views are off, as many hosts are
    /// followed as may be, or the settings of the host allow no connection.
    pub fn follow(&self, host: &Arc<Host>) -> Option<Arc<HostView>> {
        let views = &self.0;
        if !views.options.enabled {
            return None;
        }
        let mut hosts = views.hosts();
        if let Some(known) = hosts.get(&host.name)
            && (Arc::ptr_eq(known.host(), host) || known.host().same_connection(host))
        {
            known.touch();
            return Some(Arc::clone(known));
        }
        if hosts.len() >= views.most || views.stopping.is_cancelled() {
            return None;
        }
        let engine = views.pool.engine(host).ok()?;
        let ended = views.stopping.child_token();
        let view =
            Arc::new(HostView::new(Arc::clone(host), engine, Arc::clone(&views.shared), ended));
        if let Some(before) = hosts.insert(host.name.clone(), Arc::clone(&view)) {
            before.end();
        }
        views.shared.followed.store(hosts.len(), Ordering::Relaxed);
        drop(hosts);
        let follower =
            follower::Follower::new(Arc::clone(&view), Arc::clone(&views.starting), views.options);
        let (weak, own) = (Arc::downgrade(views), Arc::clone(&view));
        tokio::spawn(async move {
            follower.run(|| weak.upgrade().is_none_or(|views| views.drop_idle(&own))).await;
        });
        Some(view)
    }

    /// The view of a host that is followed.
    pub fn followed(&self, host: &HostName) -> Option<Arc<HostView>> {
        self.0.hosts().get(host).cloned()
    }

    /// What is said of a host after a call that may have changed something there.
    pub fn after_change(&self, host: &HostName) -> Option<ViewNote> {
        self.followed(host).map(|view| view.after_change())
    }

    /// Lets go of hosts that are gone or are reached in another way now.
    pub fn keep_only(&self, snapshot: &Snapshot) {
        let mut hosts = self.0.hosts();
        hosts.retain(|name, view| {
            let keep = snapshot.get(name).is_some_and(|host| host.same_connection(view.host()));
            if !keep {
                view.end();
            }
            keep
        });
        self.0.shared.followed.store(hosts.len(), Ordering::Relaxed);
    }

    /// How well each followed host is followed, sorted by name.
    pub fn states(&self) -> Vec<HostSync> {
        let views: Vec<Arc<HostView>> = self.0.hosts().values().cloned().collect();
        let mut states: Vec<HostSync> = views.iter().map(|view| view.sync_state()).collect();
        states.sort_by(|one, other| one.host.cmp(&other.host));
        states
    }

    /// Tells which hosts change from now on, as long as the result exists.
    pub fn watch(&self) -> Arc<Changes> {
        self.0.shared.watchers.join()
    }

    /// Identifies this run of the server, which numbers its changes.
    pub fn epoch(&self) -> &str {
        &self.0.shared.epoch
    }

    /// The last change. Who looks at the hosts that were told after this was read has it.
    pub fn revision(&self) -> u64 {
        self.0.shared.revision.load(Ordering::Acquire)
    }

    /// Whether hosts are followed at all.
    pub fn is_enabled(&self) -> bool {
        self.0.options.enabled
    }

    /// How containers are written.
    pub fn form(&self) -> &dyn Form {
        self.0.shared.form()
    }

    /// The time of [`status::StatusText`].
    pub fn now(&self) -> Millis {
        self.0.shared.now()
    }
}

impl Views {
    fn hosts(&self) -> MutexGuard<'_, HashMap<HostName, Arc<HostView>>> {
        // Every change under the lock is one call on the map.
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a view that nobody has wanted for long. Returns whether it did.
    fn drop_idle(&self, view: &Arc<HostView>) -> bool {
        let mut hosts = self.hosts();
        if !view.is_idle(self.options.idle) {
            return false;
        }
        let name = &view.host().name;
        if hosts.get(name).is_some_and(|known| Arc::ptr_eq(known, view)) {
            hosts.remove(name);
            self.shared.followed.store(hosts.len(), Ordering::Relaxed);
        }
        true
    }
}

impl Shared {
    fn form(&self) -> &dyn Form {
        &*self.form
    }

    fn now(&self) -> Millis {
        Millis::try_from(self.started.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    fn followed(&self) -> usize {
        self.followed.load(Ordering::Relaxed)
    }

    /// The number of a change of a host, which its lock guards: who watches is told before.
    fn next_revision(&self, host: &HostName) -> u64 {
        self.watchers.tell(host);
        self.revision.fetch_add(1, Ordering::AcqRel) + 1
    }
}

/// Where the stamps of a host begin: later than those of any earlier process.
fn beginning() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX / 2)
}

impl fmt::Debug for View {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("View").field("hosts", &self.0.hosts().len()).finish()
    }
}
