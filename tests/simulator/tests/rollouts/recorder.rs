//! A journal that can be watched and cut: it folds records as they are stored, and lets a chosen
//! append hang before or after it is done. Wraps any journal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use uuid::Uuid;
use wharf_server::domain::HostName;
use wharf_server::rollout::decide::decide;
use wharf_server::rollout::journal::{
    Entry, Journal, JournalError, NewRollout, NewSecret, Result, SecretKind, Summary,
};
use wharf_server::rollout::model::{
    Epoch, Event, HostEnd, HostEvent, Millis, Phase, Record, Revision, RolloutId, Step, Work,
};
use wharf_server::rollout::state::RolloutState;

use crate::world::clock;

/// A point of a call: before what it does, or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

#[derive(Clone)]
pub struct Recorder {
    inner: Arc<dyn Journal>,
    shared: Arc<Shared>,
}

struct Shared {
    seen: Mutex<Seen>,
    hung: Notify,
    moved: watch::Sender<u64>,
}

/// What is stored of the rollout of a world.
#[derive(Default)]
pub struct Seen {
    pub id: Option<RolloutId>,
    pub state: Option<RolloutState>,
    pub records: Vec<Record>,
    /// The step that is started and not done, by host; forgotten when the process dies.
    pub intents: BTreeMap<HostName, Step>,
    pub appends: usize,
    pub errors: Vec<String>,
    under_way: usize,
    cut: Option<(usize, Side)>,
    /// A planted bug: intents are acknowledged and not stored.
    pub drops_intents: bool,
    /// A planted bug: what a process that begins does not find in the journal.
    pub forgets: Option<Forgets>,
}

/// What a process that begins does not know of the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgets {
    /// Which hosts failed.
    Failures,
    /// When gates give up.
    GateDeadlines,
    /// How long there was no progress.
    Progress,
}

impl Forgets {
    fn forget(self, entries: Vec<Entry>) -> Vec<Entry> {
        match self {
            Self::GateDeadlines => {
                let is_gate = |entry: &Entry| {
                    let gate = HostEvent::Gate { deadline: Millis(0) };
                    happened(entry).is_some_and(|(_, happened)| {
                        std::mem::discriminant(happened) == std::mem::discriminant(&gate)
                    })
                };
                entries.into_iter().filter(|entry| !is_gate(entry)).collect()
            }
            Self::Progress => {
                let now = clock().now();
                let anew = |mut entry: Entry| {
                    entry.record.at = now;
                    entry
                };
                entries.into_iter().map(anew).collect()
            }
            Self::Failures => forget_failures(entries),
        }
    }
}

/// Hosts that failed and were restored count as left out.
fn forget_failures(entries: Vec<Entry>) -> Vec<Entry> {
    let is_failure = |entry: &Entry| match happened(entry) {
        Some((host, HostEvent::Ended { end: HostEnd::Restored | HostEnd::Unchanged })) => {
            Some(host.clone())
        }
        _ => None,
    };
    let failed: BTreeSet<HostName> = entries.iter().filter_map(is_failure).collect();
    let mut kept = Vec::new();
    for mut entry in entries {
        match is_failure(&entry) {
            Some(host) => {
                let end = HostEnd::Skipped { reason: "forgotten".to_owned() };
                entry.record.event = Event::Host { host, happened: HostEvent::Ended { end } };
                kept.push(entry);
            }
            None if happened(&entry).is_some_and(|(host, _)| failed.contains(host)) => {}
            None => kept.push(entry),
        }
    }
    kept
}

fn happened(entry: &Entry) -> Option<(&HostName, &HostEvent)> {
    match &entry.record.event {
        Event::Host { host, happened } => Some((host, happened)),
        _ => None,
    }
}

impl Recorder {
    pub fn new(inner: Arc<dyn Journal>) -> Self {
        let (moved, _) = watch::channel(0);
        let shared = Shared { seen: Mutex::default(), hung: Notify::new(), moved };
        Self { inner, shared: Arc::new(shared) }
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the append of that number hang, counted from 0 over all processes.
    pub fn cut(&self, number: usize, side: Side) {
        self.seen().cut = Some((number, side));
    }

    /// Ends when an append hangs.
    pub async fn hung(&self) {
        self.shared.hung.notified().await;
    }

    /// Another rollout is looked at from now on.
    pub fn follow(&self, id: RolloutId) {
        let mut seen = self.seen();
        let Seen { drops_intents, forgets, .. } = *seen;
        *seen = Seen { drops_intents, forgets, ..Seen::default() };
        seen.id = Some(id);
    }

    /// The process is gone; what it had given to the store is stored.
    pub async fn process_died(&self) {
        let mut moved = self.shared.moved.subscribe();
        loop {
            moved.mark_unchanged();
            if self.seen().under_way == 0 || moved.changed().await.is_err() {
                break;
            }
        }
        self.seen().intents.clear();
    }

    /// Ends when the rollout has ended, or is paused and nothing is in progress.
    pub async fn at_rest(&self) {
        let mut moved = self.shared.moved.subscribe();
        loop {
            moved.mark_unchanged();
            if self.seen().is_at_rest() {
                return;
            }
            if moved.changed().await.is_err() {
                return;
            }
        }
    }

    async fn hang<T>(&self) -> T {
        self.shared.hung.notify_one();
        std::future::pending().await
    }
}

impl Seen {
    pub fn is_at_rest(&self) -> bool {
        self.state.as_ref().is_some_and(|state| {
            let asked = &state.asked;
            let asked = asked.abort || asked.promote || asked.resume.is_some();
            state.phase.is_terminal()
                || matches!(state.phase, Phase::Paused { .. }) && !state.is_at_work() && !asked
        })
    }

    pub fn phase(&self) -> Option<&Phase> {
        self.state.as_ref().map(|state| &state.phase)
    }

    /// The step that stands in the journal as started on a host, or a pull.
    pub fn doing(&self, host: &HostName) -> (Option<Step>, Option<Work>) {
        let work = self.state.as_ref().and_then(|state| state.hosts.get(host)?.work);
        (self.intents.get(host).copied(), work)
    }

    /// What follows from a record is stored with it: else whoever reads in between sees a rollout
    /// at rest that is not, or the wrong reason for it.
    fn check_that_nothing_follows(&mut self) {
        let (Some(state), Some(last)) = (&self.state, self.records.last()) else { return };
        let follows = decide(state, last.at).records;
        if !follows.is_empty() && !self.drops_intents && self.forgets.is_none() {
            self.errors.push(format!("{:?} is stored without {follows:?}", last.event));
        }
    }

    fn take(&mut self, record: &Record) {
        self.records.push(record.clone());
        if let Event::Host { host, happened } = &record.event {
            match happened {
                HostEvent::Dependent { happened, .. } => {
                    if let HostEvent::Intent { step } = **happened {
                        self.intents.insert(host.clone(), step);
                    } else if matches!(**happened, HostEvent::Did { .. }) {
                        self.intents.remove(host);
                    }
                }
                HostEvent::Intent { step } => {
                    self.intents.insert(host.clone(), *step);
                }
                HostEvent::Begun { .. }
                | HostEvent::Did { .. }
                | HostEvent::Failed { .. }
                | HostEvent::Unreachable { .. }
                | HostEvent::Ended { .. } => {
                    self.intents.remove(host);
                }
                HostEvent::Pulled { .. }
                | HostEvent::Differs { .. }
                | HostEvent::Gate { .. }
                | HostEvent::Good { .. }
                | HostEvent::Passed { .. } => {}
            }
        }
        match &mut self.state {
            None => match RolloutState::from_created(record) {
                Ok(state) => self.state = Some(state),
                Err(error) => self.errors.push(error.to_string()),
            },
            Some(state) => {
                if let Err(error) = state.apply(record) {
                    self.errors.push(format!("an illegal record is stored: {error}"));
                }
            }
        }
    }
}

#[async_trait]
impl Journal for Recorder {
    fn store_id(&self) -> Uuid {
        self.inner.store_id()
    }

    async fn take_over(&self) -> Result<Epoch> {
        self.inner.take_over().await
    }

    async fn create(&self, epoch: Epoch, rollout: NewRollout) -> Result<Revision> {
        self.follow(rollout.id);
        let record = rollout.record();
        let revision = self.inner.create(epoch, rollout).await?;
        self.seen().take(&record);
        Ok(revision)
    }

    async fn append(&self, epoch: Epoch, id: RolloutId, records: &[Record]) -> Result<Revision> {
        let (cut, drops) = {
            let mut seen = self.seen();
            let number = seen.appends;
            seen.appends += 1;
            (seen.cut.filter(|(at, _)| *at == number).map(|(_, side)| side), seen.drops_intents)
        };
        if cut == Some(Side::Before) {
            return self.hang().await;
        }
        let kept: Vec<Record> = records
            .iter()
            .filter(|record| {
                !(drops
                    && matches!(
                        record.event,
                        Event::Host { happened: HostEvent::Intent { .. }, .. }
                    ))
            })
            .cloned()
            .collect();
        // A kill in the middle of it does not end what the store has started.
        let recorder = self.clone();
        self.seen().under_way += 1;
        let append = async move {
            let revision = recorder.inner.append(epoch, id, &kept).await;
            let mut seen = recorder.seen();
            seen.under_way -= 1;
            if revision.is_ok() && seen.id == Some(id) {
                for record in &kept {
                    seen.take(record);
                }
                seen.check_that_nothing_follows();
            }
            drop(seen);
            recorder.shared.moved.send_modify(|moved| *moved += 1);
            revision
        };
        let revision = tokio::spawn(append).await;
        let revision = revision.map_err(|error| JournalError::Store(Box::new(error)))?;
        if cut == Some(Side::After) {
            return self.hang().await;
        }
        match revision {
            Err(JournalError::Fenced) => {
                self.seen().errors.push("an old process still writes".to_owned());
                Err(JournalError::Fenced)
            }
            revision => revision,
        }
    }

    async fn replace_secret(&self, epoch: Epoch, id: RolloutId, secret: NewSecret) -> Result<()> {
        self.inner.replace_secret(epoch, id, secret).await
    }

    async fn forget(&self, epoch: Epoch, id: RolloutId) -> Result<()> {
        self.inner.forget(epoch, id).await
    }

    async fn records(&self, id: RolloutId) -> Result<Vec<Entry>> {
        let entries = self.inner.records(id).await?;
        let forgets = self.seen().forgets;
        Ok(match forgets {
            Some(forgets) => forgets.forget(entries),
            None => entries,
        })
    }

    async fn after(
        &self,
        revision: Revision,
        id: Option<RolloutId>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        self.inner.after(revision, id, limit).await
    }

    async fn open(&self) -> Result<Vec<RolloutId>> {
        self.inner.open().await
    }

    async fn list(&self) -> Result<Vec<Summary>> {
        self.inner.list().await
    }

    async fn secret(
        &self,
        id: RolloutId,
        host: Option<&HostName>,
        kind: SecretKind,
    ) -> Result<Option<String>> {
        self.inner.secret(id, host, kind).await
    }

    fn changes(&self) -> watch::Receiver<Revision> {
        self.inner.changes()
    }
}
