//! The inventory: every host, from the configuration file and from the store, as one immutable
//! snapshot at a time.
//!
//! A change is written to the store first and then seen by everyone at once. Who keeps
//! connections follows [`Inventory::subscribe`]. Called by the API; opened, and given a changed
//! file, by the composition root.

mod snapshot;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{Mutex, watch};

use crate::config::FileHosts;
use crate::domain::{
    Cordon, Host, HostAddress, HostError, HostName, HostSource, LabelKey, Labels, TlsMaterial,
    UnixPath, quoted,
};
use crate::store::{Store, StoreError, StoredHost, StoredTls};

pub use snapshot::Snapshot;

/// The inventory. Clones share it.
#[derive(Clone)]
pub struct Inventory {
    shared: Arc<Shared>,
}

/// A host that is to be added.
#[derive(Debug, Clone)]
pub struct NewHost {
    /// Its name.
    pub name: HostName,
    /// The address of its Engine.
    pub address: HostAddress,
    /// Its labels.
    pub labels: Labels,
    /// How its connection is secured.
    pub tls: NewTls,
    /// Whether plain TCP to another machine is accepted.
    pub insecure: bool,
}

/// How the connection of a new host is secured.
#[derive(Debug, Clone)]
pub enum NewTls {
    /// Not at all.
    Plain,
    /// By a group of the configuration file.
    Group(String),
    /// By the host's own certificates.
    Own(TlsMaterial),
}

/// The result of applying a changed configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Hosts that were not there before.
    pub added: Vec<HostName>,
    /// Hosts whose address, certificates, labels, or source changed.
    pub changed: Vec<HostName>,
    /// Hosts that are gone.
    pub removed: Vec<HostName>,
}

/// Maximum number of labels per host: a page of hosts has to fit in a message.
const MOST_LABELS: usize = 64;

/// Why the inventory does not change.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The name is taken by a host that differs.
    #[error("host {0} already exists; use another name, or remove that host first")]
    Exists(HostName),
    /// The hosts come from the configuration file.
    #[error(
        "{} from {file} and cannot be changed over the API; change the file and send SIGHUP to wharfd",
        come(.hosts)
    )]
    ReadOnly {
        /// The hosts, sorted.
        hosts: Vec<HostName>,
        /// The file.
        file: PathBuf,
    },
    /// There are no such hosts.
    #[error("no such host: {}; to list hosts, run `wharf host ls`", join(.0))]
    NotFound(Vec<HostName>),
    /// The configuration file has no such group.
    #[error(
        "no certificate group {}; the configuration file has {}",
        quoted(.group),
        if .known.is_empty() { "none".to_owned() } else { .known.join(", ") }
    )]
    UnknownGroup {
        /// The requested group.
        group: String,
        /// The groups there are, sorted.
        known: Vec<String>,
    },
    /// Hosts that were added over the API use a group that the configuration file lacks.
    #[error(
        "{} with the certificate group {}, which is missing from the configuration file; add [tls.{group}] again",
        added(.hosts), quoted(.group)
    )]
    GroupMissing {
        /// The missing group.
        group: String,
        /// Hosts that use it, sorted.
        hosts: Vec<HostName>,
    },
    /// A host would have more labels than there is room for.
    #[error("{0} would have more than {MOST_LABELS} labels; use fewer labels")]
    TooManyLabels(HostName),
    /// Address and security do not go together.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

struct Shared {
    store: Store,
    /// Held during a whole change, so that the store and the snapshot stay in sync.
    sources: Mutex<Sources>,
    current: watch::Sender<Arc<Snapshot>>,
}

/// The sources of a snapshot.
#[derive(Debug, Clone)]
struct Sources {
    file: FileHosts,
    stored: BTreeMap<HostName, StoredHost>,
    cordons: BTreeMap<HostName, Cordon>,
}

impl std::fmt::Debug for Inventory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hosts = self.shared.current.borrow().len();
        formatter.debug_struct("Inventory").field("hosts", &hosts).finish_non_exhaustive()
    }
}

impl Inventory {
    /// Merges the hosts of the store and of the file.
    pub async fn open(store: Store, file: FileHosts) -> Result<Self, InventoryError> {
        let stored = store.hosts().await?;
        let stored = stored.into_iter().map(|host| (host.name.clone(), host)).collect();
        let cordons = store.cordons().await?;
        let sources = Sources { file, stored, cordons };
        let snapshot = sources.compose(&Snapshot::default())?;
        let (current, _) = watch::channel(Arc::new(snapshot));
        Ok(Self { shared: Arc::new(Shared { store, sources: Mutex::new(sources), current }) })
    }

    /// The hosts as they are now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.current.borrow().clone()
    }

    /// Every snapshot from now on; a slow reader sees only the newest.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.shared.current.subscribe()
    }

    /// Adds a host. An existing one with the same definition is returned unchanged.
    pub async fn add(&self, new: NewHost, now: SystemTime) -> Result<Arc<Host>, InventoryError> {
        self.change(move |shared| async move {
            let mut sources = shared.sources.lock().await;
            let stored = stored_host(new, HostSource::Api, now);
            let host = snapshot::resolve(&stored, &sources.file).ok_or_else(|| {
                let known = sources.file.tls_groups.keys().cloned().collect();
                InventoryError::UnknownGroup { group: group_of(&stored), known }
            })?;
            host.check()?;
            few_enough(&host.name, &host.labels)?;
            match shared.current.borrow().get(&host.name) {
                Some(known) if known.same_definition(&host) => return Ok(known.clone()),
                Some(_) => return Err(InventoryError::Exists(host.name)),
                None => {}
            }
            shared.insert(&mut sources, stored).await
        })
        .await
    }

    /// Adds this machine's own Docker socket as `local`, if there are no hosts.
    pub async fn take_in_local(
        &self,
        socket: UnixPath,
        now: SystemTime,
    ) -> Result<Option<Arc<Host>>, InventoryError> {
        self.change(move |shared| async move {
            let mut sources = shared.sources.lock().await;
            if !shared.current.borrow().is_empty() {
                return Ok(None);
            }
            let new = NewHost {
                name: HostName::parse("local").expect("\"local\" is a host name"),
                address: HostAddress::Unix(socket),
                labels: Labels::default(),
                tls: NewTls::Plain,
                insecure: false,
            };
            let stored = stored_host(new, HostSource::Local, now);
            shared.insert(&mut sources, stored).await.map(Some)
        })
        .await
    }

    /// Removes labels from hosts and then sets others, on all or on none of them; returns the
    /// changed hosts, sorted.
    pub async fn update_labels(
        &self,
        names: Vec<HostName>,
        set: Labels,
        remove: Vec<LabelKey>,
    ) -> Result<Vec<Arc<Host>>, InventoryError> {
        self.change(move |shared| async move {
            let mut sources = shared.sources.lock().await;
            shared.require(&names)?;
            sources.require_writable(&names)?;
            let changed = names.iter().filter_map(|name| sources.stored.get(name)).map(|host| {
                let mut labels = host.labels.clone();
                for key in &remove {
                    labels.remove(key.as_str());
                }
                labels.extend(set.iter().map(|(key, value)| (key.clone(), value.clone())));
                (host.name.clone(), labels)
            });
            let changes: BTreeMap<HostName, Labels> = changed.collect();
            for (name, labels) in &changes {
                few_enough(name, labels)?;
            }
            shared.store.set_host_labels(&changes).await?;
            for (name, labels) in &changes {
                if let Some(host) = sources.stored.get_mut(name) {
                    host.labels = labels.clone();
                }
            }
            let snapshot = shared.publish(&sources)?;
            Ok(changes.keys().filter_map(|name| snapshot.get(name).cloned()).collect())
        })
        .await
    }

    /// Cordons hosts, or with `None` ends their cordons, on all or on none of them. A host that is
    /// cordoned already keeps its cordon unless the reason differs. Returns the hosts, sorted, each
    /// with whether that changed anything.
    pub async fn set_cordon(
        &self,
        names: Vec<HostName>,
        cordon: Option<Cordon>,
    ) -> Result<Vec<(HostName, bool)>, InventoryError> {
        self.change(move |shared| async move {
            let mut sources = shared.sources.lock().await;
            shared.require(&names)?;
            let differs = |name: &HostName| {
                let reason = |cordon: &Cordon| cordon.reason.clone();
                sources.cordons.get(name).map(reason) != cordon.as_ref().map(reason)
            };
            let mut changes: Vec<_> = names.iter().map(|it| (it.clone(), differs(it))).collect();
            changes.sort();
            let changed = changes.iter().filter(|(_, changes)| *changes);
            let changed: Vec<_> = changed.map(|(name, _)| name.clone()).collect();
            shared.store.set_cordons(&changed, cordon.as_ref()).await?;
            for name in changed {
                match &cordon {
                    Some(cordon) => sources.cordons.insert(name, cordon.clone()),
                    None => sources.cordons.remove(&name),
                };
            }
            shared.publish(&sources)?;
            Ok(changes)
        })
        .await
    }

    /// Removes a host; false if there is none with this name.
    pub async fn remove(&self, name: HostName) -> Result<bool, InventoryError> {
        self.change(move |shared| async move {
            let mut sources = shared.sources.lock().await;
            sources.require_writable(std::slice::from_ref(&name))?;
            let removed = shared.store.remove_host(&name).await?;
            sources.stored.remove(&name);
            sources.cordons.remove(&name);
            shared.publish(&sources)?;
            Ok(removed)
        })
        .await
    }

    /// Puts a newly read configuration file in the place of the one before. It is refused whole
    /// if hosts that were added over the API would lose their group of certificates.
    pub async fn reload_file(&self, file: FileHosts) -> Result<Reloaded, InventoryError> {
        let shared = &self.shared;
        let mut sources = shared.sources.lock().await;
        let before = self.snapshot();
        let after = Sources { file, ..sources.clone() };
        let snapshot = shared.publish(&after)?;
        *sources = after;
        Ok(Reloaded::between(&before, &snapshot))
    }

    /// Runs a change to its end even if the caller disconnects, when the store may have it but not
    /// the snapshot.
    async fn change<T, F>(&self, change: impl FnOnce(Arc<Shared>) -> F) -> Result<T, InventoryError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, InventoryError>> + Send + 'static,
    {
        match tokio::spawn(change(self.shared.clone())).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is ending, and with it the caller.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

impl Shared {
    async fn insert(
        &self,
        sources: &mut Sources,
        host: StoredHost,
    ) -> Result<Arc<Host>, InventoryError> {
        self.store.insert_host(&host).await?;
        let name = host.name.clone();
        sources.stored.insert(name.clone(), host);
        let snapshot = self.publish(sources)?;
        Ok(snapshot.get(&name).expect("the host was just put there").clone())
    }

    /// Requires that there are hosts with these names.
    fn require(&self, names: &[HostName]) -> Result<(), InventoryError> {
        let snapshot = self.current.borrow();
        let missing = names.iter().filter(|name| snapshot.get(name).is_none());
        let missing: Vec<_> = missing.cloned().collect();
        if missing.is_empty() { Ok(()) } else { Err(InventoryError::NotFound(missing)) }
    }

    fn publish(&self, sources: &Sources) -> Result<Arc<Snapshot>, InventoryError> {
        let before = self.current.borrow().clone();
        let snapshot = Arc::new(sources.compose(&before)?);
        self.current.send_replace(snapshot.clone());
        Ok(snapshot)
    }
}

impl Sources {
    fn compose(&self, before: &Snapshot) -> Result<Snapshot, InventoryError> {
        let mut snapshot = snapshot::compose(before, &self.file, &self.stored)?;
        snapshot.cordon(&self.cordons);
        Ok(snapshot)
    }

    fn require_writable(&self, names: &[HostName]) -> Result<(), InventoryError> {
        let mut hosts: Vec<_> =
            names.iter().filter(|name| self.file.hosts.contains_key(*name)).cloned().collect();
        if hosts.is_empty() {
            return Ok(());
        }
        hosts.sort();
        Err(InventoryError::ReadOnly { hosts, file: self.file.path.clone().unwrap_or_default() })
    }
}

impl Reloaded {
    fn between(before: &Snapshot, after: &Snapshot) -> Self {
        let mut reloaded = Self::default();
        for host in after.hosts() {
            match before.get(&host.name) {
                None => reloaded.added.push(host.name.clone()),
                Some(old) if old != host => reloaded.changed.push(host.name.clone()),
                Some(_) => {}
            }
        }
        let gone = before.hosts().filter(|host| after.get(&host.name).is_none());
        reloaded.removed = gone.map(|host| host.name.clone()).collect();
        reloaded
    }
}

fn stored_host(new: NewHost, source: HostSource, now: SystemTime) -> StoredHost {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // As precise as the store, so that the host is the same before and after a restart.
    let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    StoredHost {
        name: new.name,
        source,
        address: new.address,
        labels: new.labels,
        tls: match new.tls {
            NewTls::Plain => StoredTls::Plain,
            NewTls::Group(group) => StoredTls::Group(group),
            NewTls::Own(material) => StoredTls::Own(Arc::new(material)),
        },
        insecure: new.insecure,
        created_at: SystemTime::UNIX_EPOCH + Duration::from_millis(millis),
    }
}

fn group_of(host: &StoredHost) -> String {
    match &host.tls {
        StoredTls::Group(group) => group.clone(),
        _ => String::new(),
    }
}

fn few_enough(name: &HostName, labels: &Labels) -> Result<(), InventoryError> {
    if labels.len() > MOST_LABELS {
        return Err(InventoryError::TooManyLabels(name.clone()));
    }
    Ok(())
}

fn join(names: &[HostName]) -> String {
    names.iter().map(HostName::as_str).collect::<Vec<_>>().join(", ")
}

fn come(names: &[HostName]) -> String {
    match names {
        [name] => format!("host {name} comes"),
        _ => format!("hosts {} come", join(names)),
    }
}

fn added(names: &[HostName]) -> String {
    match names {
        [name] => format!("host {name} was added over the API"),
        _ => format!("hosts {} were added over the API", join(names)),
    }
}

#[cfg(test)]
mod tests;
