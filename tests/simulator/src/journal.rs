//! A journal in memory. Clones share it, so it survives the "process" of a simulation. The unit tests
//! of the server compile this file too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;
use wharf_server::domain::{ContainerName, HostName};
use wharf_server::rollout::journal::{
    Entry, Journal, JournalError, NewRollout, NewSecret, Result, SecretKind, Summary,
};
use wharf_server::rollout::model::{Epoch, Event, Record, Revision, RolloutId};

/// A journal in memory.
#[derive(Debug, Clone)]
pub struct MemoryJournal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store_id: Uuid,
    contents: Mutex<Contents>,
    newest: watch::Sender<Revision>,
}

#[derive(Debug)]
struct Contents {
    epoch: Epoch,
    newest: Revision,
    /// By revision.
    entries: Vec<Entry>,
    summaries: BTreeMap<RolloutId, Summary>,
    locks: BTreeMap<(HostName, ContainerName), RolloutId>,
    /// The revisions at which locks were released.
    releases: BTreeMap<(HostName, ContainerName), Revision>,
    secrets: BTreeMap<(RolloutId, Option<HostName>, SecretKind), String>,
}

impl MemoryJournal {
    /// An empty journal.
    #[must_use]
    pub fn new(store_id: Uuid) -> Self {
        let contents = Contents {
            epoch: Epoch(0),
            newest: Revision(0),
            entries: Vec::new(),
            summaries: BTreeMap::new(),
            locks: BTreeMap::new(),
            releases: BTreeMap::new(),
            secrets: BTreeMap::new(),
        };
        let (newest, _) = watch::channel(Revision(0));
        Self { shared: Arc::new(Shared { store_id, contents: Mutex::new(contents), newest }) }
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.shared.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    fn fence(&self, epoch: Epoch) -> Result<()> {
        if epoch < self.epoch { Err(JournalError::Fenced) } else { Ok(()) }
    }

    fn push(&mut self, id: RolloutId, record: &Record) -> Revision {
        let revision = Revision(self.newest.0 + 1);
        self.newest = revision;
        self.entries.push(Entry { revision, id, record: record.clone() });
        if let Event::Phase { to, .. } = &record.event
            && to.is_terminal()
        {
            let given_back = self.locks.extract_if(.., |_, holder| *holder == id);
            self.releases.extend(given_back.map(|(container, _)| (container, revision)));
            self.secrets.remove(&(id, None, SecretKind::Login));
            if let Some(summary) = self.summaries.get_mut(&id) {
                summary.ended_at = Some(record.at);
            }
        }
        revision
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    fn store_id(&self) -> Uuid {
        self.shared.store_id
    }

    async fn take_over(&self) -> Result<Epoch> {
        let mut contents = self.lock();
        contents.epoch.0 += 1;
        Ok(contents.epoch)
    }

    async fn create(&self, epoch: Epoch, rollout: NewRollout) -> Result<Revision> {
        let mut contents = self.lock();
        contents.fence(epoch)?;
        if contents.summaries.contains_key(&rollout.id) {
            let message = format!("rollout {} already exists", rollout.id);
            return Err(JournalError::Store(message.into()));
        }
        let id = rollout.id;
        let locks: Vec<_> =
            rollout.locks().map(|(host, container)| (host.clone(), container.clone())).collect();
        let skipped = rollout.skipped().map(|(host, container)| (host.clone(), container.clone()));
        for place in locks.iter().cloned().chain(skipped) {
            if let Some(by) = contents.locks.get(&place) {
                let (host, container) = place;
                return Err(JournalError::Locked { host, container, by: *by });
            }
            if contents.releases.get(&place).is_some_and(|at| *at > rollout.planned_at) {
                let (host, container) = place;
                return Err(JournalError::Outdated { host, container });
            }
        }
        contents.locks.extend(locks.into_iter().map(|lock| (lock, id)));
        let record = rollout.record();
        let container = rollout.plan.container;
        let summary = Summary { id, container, created_at: record.at, ended_at: None };
        contents.summaries.insert(id, summary);
        for secret in rollout.secrets {
            contents.secrets.insert((id, secret.host, secret.kind), secret.text);
        }
        let revision = contents.push(id, &record);
        drop(contents);
        self.shared.newest.send_replace(revision);
        Ok(revision)
    }

    async fn append(&self, epoch: Epoch, id: RolloutId, records: &[Record]) -> Result<Revision> {
        let mut contents = self.lock();
        contents.fence(epoch)?;
        if !contents.summaries.contains_key(&id) {
            return Err(JournalError::NotFound(id));
        }
        for record in records {
            contents.push(id, record);
        }
        let revision = contents.newest;
        drop(contents);
        self.shared.newest.send_replace(revision);
        Ok(revision)
    }

    async fn forget(&self, epoch: Epoch, id: RolloutId) -> Result<()> {
        let mut contents = self.lock();
        contents.fence(epoch)?;
        let has_ended = |summary: &Summary| summary.ended_at.is_some();
        if contents.summaries.get(&id).is_some_and(has_ended) {
            contents.summaries.remove(&id);
            contents.entries.retain(|entry| entry.id != id);
            contents.secrets.retain(|(of, ..), _| *of != id);
        }
        Ok(())
    }

    async fn records(&self, id: RolloutId) -> Result<Vec<Entry>> {
        self.after(Revision(0), Some(id), usize::MAX).await
    }

    async fn after(
        &self,
        revision: Revision,
        id: Option<RolloutId>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let contents = self.lock();
        let from = contents.entries.partition_point(|entry| entry.revision <= revision);
        let wanted = |entry: &&Entry| id.is_none_or(|id| entry.id == id);
        Ok(contents.entries[from..].iter().filter(wanted).take(limit).cloned().collect())
    }

    async fn open(&self) -> Result<Vec<RolloutId>> {
        let mut open: Vec<_> =
            self.lock().summaries.values().filter(|it| it.ended_at.is_none()).cloned().collect();
        open.sort_by_key(|summary| (summary.created_at, summary.id));
        Ok(open.into_iter().map(|summary| summary.id).collect())
    }

    async fn list(&self) -> Result<Vec<Summary>> {
        let mut all: Vec<_> = self.lock().summaries.values().cloned().collect();
        all.sort_by_key(|summary| std::cmp::Reverse((summary.created_at, summary.id)));
        Ok(all)
    }

    async fn replace_secret(&self, epoch: Epoch, id: RolloutId, secret: NewSecret) -> Result<()> {
        let mut contents = self.lock();
        contents.fence(epoch)?;
        contents.secrets.insert((id, secret.host, secret.kind), secret.text);
        Ok(())
    }

    async fn secret(
        &self,
        id: RolloutId,
        host: Option<&HostName>,
        kind: SecretKind,
    ) -> Result<Option<String>> {
        Ok(self.lock().secrets.get(&(id, host.cloned(), kind)).cloned())
    }

    fn changes(&self) -> watch::Receiver<Revision> {
        self.shared.newest.subscribe()
    }
}
