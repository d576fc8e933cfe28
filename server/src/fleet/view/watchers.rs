//! Who watches the views: each is told which hosts changed, not what, so one that reads slowly misses
//! nothing and costs no more than the names of the hosts.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use crate::domain::HostName;

/// All who watch.
#[derive(Debug, Default)]
pub(super) struct Watchers(Mutex<Vec<Weak<Changes>>>);

/// What changed since a watcher last looked.
#[derive(Debug, Default)]
pub struct Changes {
    hosts: Mutex<BTreeSet<HostName>>,
    noted: Notify,
}

impl Watchers {
    /// A new watcher, as long as the result exists.
    pub(super) fn join(&self) -> Arc<Changes> {
        let changes = Arc::default();
        let mut all = self.lock();
        all.retain(|watcher| watcher.strong_count() > 0);
        all.push(Arc::downgrade(&changes));
        changes
    }

    /// Tells everyone. To be called before the change can be seen.
    pub(super) fn tell(&self, host: &HostName) {
        for watcher in self.lock().iter().filter_map(Weak::upgrade) {
            watcher.add(host);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Changes>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    /// Waits until something changed.
    pub async fn noted(&self) {
        self.noted.notified().await;
    }

    /// The hosts that changed since the last look.
    pub fn take(&self) -> BTreeSet<HostName> {
        std::mem::take(&mut *self.hosts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, host: &HostName) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if !hosts.contains(host) {
            hosts.insert(host.clone());
        }
        drop(hosts);
        self.noted.notify_one();
    }
}
