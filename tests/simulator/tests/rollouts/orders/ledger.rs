//! The journal of all rollouts of a run: what is stored is folded and checked as it is stored. It
//! can be slow, and full, and let the process die around an append.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;
use wharf_server::domain::HostName;
use wharf_server::rollout::journal::{
    Entry, Journal, JournalError, MemoryJournal, NewRollout, NewSecret, Result, SecretKind, Summary,
};
use wharf_server::rollout::model::{
    Epoch, Event, HostEnd, HostEvent, Phase, Record, Revision, RolloutId, Step, TargetKind,
};
use wharf_server::rollout::spec::Stopped;
use wharf_server::rollout::state::RolloutState;
use wharf_simulator::Process;

use super::planted::Plant;
use super::rare::{Rare, Reached};
use crate::seeds::Random;

#[derive(Clone)]
pub struct Ledger {
    inner: MemoryJournal,
    process: Option<Process>,
    shared: Arc<Shared>,
}

struct Shared {
    book: Mutex<Book>,
    moved: watch::Sender<u64>,
}

/// Everything that is stored, and how the store behaves.
pub struct Book {
    pub rollouts: BTreeMap<RolloutId, Account>,
    pub errors: Vec<String>,
    pub reached: Reached,
    pub plant: Option<Plant>,
    /// Every write is refused.
    full: bool,
    /// It was so at some time: whoever was told so then may look at it now.
    pub was_full: bool,
    /// Each call takes so many milliseconds at most.
    pub latency: (Random, u64),
    /// The process dies at the append after so many.
    pub dies_in: Option<u64>,
    /// A process begins and has not yet asked what is open.
    begins: bool,
}

/// A rollout as it is stored.
pub struct Account {
    pub state: RolloutState,
    /// Its records with their places; the first is its creation.
    pub entries: Vec<(Revision, Record)>,
    /// A write of it was refused.
    pub was_refused: bool,
}

impl Account {
    pub fn created(&self) -> Revision {
        self.entries.first().map_or(Revision(0), |(revision, _)| *revision)
    }

    /// Whether it has ended, or is paused with no host at work and nothing asked for.
    pub fn is_at_rest(&self) -> bool {
        let asked = &self.state.asked;
        let asked = asked.abort || asked.promote || asked.resume.is_some();
        let paused = matches!(self.state.phase, Phase::Paused { .. });
        self.state.phase.is_terminal() || paused && !self.state.is_at_work() && !asked
    }

    /// What happened on a host.
    pub fn on<'a>(
        &'a self,
        wanted: &'a HostName,
    ) -> impl Iterator<Item = (Revision, &'a HostEvent)> {
        self.entries.iter().filter_map(move |(revision, record)| match &record.event {
            Event::Host { host, happened } if host == wanted => Some((*revision, happened)),
            _ => None,
        })
    }

    /// The place of the last change that it made to a container of a host.
    pub fn last_change(&self, host: &HostName) -> Option<Revision> {
        let changes = |happened: &HostEvent| match happened {
            HostEvent::Did { .. } | HostEvent::Intent { .. } => true,
            HostEvent::Ended { end } => *end == HostEnd::Committed,
            _ => false,
        };
        self.on(host).filter(|(_, happened)| changes(happened)).map(|(at, _)| at).last()
    }
}

impl Ledger {
    pub fn new(latency: (Random, u64), plant: Option<Plant>) -> Self {
        let book = Book {
            rollouts: BTreeMap::new(),
            errors: Vec::new(),
            reached: Reached::default(),
            plant,
            full: false,
            was_full: false,
            latency,
            dies_in: None,
            begins: false,
        };
        let shared = Shared { book: Mutex::new(book), moved: watch::Sender::new(0) };
        let inner = MemoryJournal::new(Uuid::from_u128(1));
        Self { inner, process: None, shared: Arc::new(shared) }
    }

    /// The same journal for a process: what it waits for ends with it.
    pub fn as_seen_by(&self, process: Process) -> Self {
        Self { process: Some(process), ..self.clone() }
    }

    /// Lets the disk be full, or have room again.
    pub fn set_full(&self, full: bool) {
        let mut book = self.book();
        book.full = full;
        book.was_full |= full;
    }

    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.shared.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when `is_so`.
    pub async fn until(&self, is_so: impl Fn(&Book) -> bool) {
        let mut moved = self.shared.moved.subscribe();
        loop {
            moved.mark_unchanged();
            if is_so(&self.book()) || moved.changed().await.is_err() {
                return;
            }
        }
    }

    async fn carry<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let wait = {
            let (random, most) = &mut self.book().latency;
            if *most == 0 { 0 } else { random.below(*most) }
        };
        let slow = async {
            if wait > 0 {
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            call.await
        };
        match &self.process {
            Some(process) => process.carry(slow).await,
            None => slow.await,
        }
    }

    /// What a store says whose disk is full.
    fn has_room(&self, id: RolloutId) -> Result<()> {
        let mut book = self.book();
        if !book.full {
            return Ok(());
        }
        if let Some(account) = book.rollouts.get_mut(&id) {
            account.was_refused = true;
        }
        Err(JournalError::Store("database or disk is full".into()))
    }

    fn stored(&self, id: RolloutId, revision: Revision, records: &[Record]) {
        self.book().take(id, revision, records);
        self.shared.moved.send_modify(|moved| *moved += 1);
    }

    /// Whether the process dies here.
    fn dies(&self) -> bool {
        let mut book = self.book();
        match &mut book.dies_in {
            Some(0) => {
                book.dies_in = None;
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    fn die<T>(&self) -> impl Future<Output = T> + use<T> {
        if let Some(process) = &self.process {
            let killed = self.book().rollouts.values().flat_map(in_the_middle).collect::<Vec<_>>();
            killed.into_iter().for_each(|rare| self.book().reached.count(rare));
            process.kill();
        }
        std::future::pending()
    }

    /// To be called when the process is killed from outside.
    pub fn note_kill(&self) {
        let mut book = self.book();
        let killed: Vec<_> = book.rollouts.values().flat_map(in_the_middle).collect();
        killed.into_iter().for_each(|rare| book.reached.count(rare));
    }
}

/// In the middle of what a rollout is when its process is killed.
pub fn in_the_middle(account: &Account) -> Vec<Rare> {
    use wharf_server::rollout::step::Direction;
    let state = &account.state;
    let mut found = Vec::new();
    if matches!(state.phase, Phase::Paused { .. }) {
        found.push(Rare::KilledWhilePaused);
    }
    for host in state.hosts.values() {
        match host.direction() {
            Some(Direction::RollBack) => found.push(Rare::KilledWhileRollingBack),
            Some(Direction::Restore) => found.push(Rare::KilledWhileRestoring),
            Some(Direction::Forward) if host.step == Some(Step::Gate) => {
                found.push(Rare::KilledInTheGate);
            }
            _ => {}
        }
    }
    found
}

impl Book {
    fn take(&mut self, id: RolloutId, last: Revision, records: &[Record]) {
        let first = last.0 + 1 - records.len() as u64;
        for (record, revision) in records.iter().zip(first..) {
            let entry = (Revision(revision), record.clone());
            match self.rollouts.get_mut(&id) {
                None => match RolloutState::from_created(record) {
                    Ok(state) => {
                        self.check_that_nobody_holds(id, &state);
                        let account = Account { state, entries: vec![entry], was_refused: false };
                        self.rollouts.insert(id, account);
                    }
                    Err(error) => self.errors.push(error.to_string()),
                },
                Some(account) => {
                    if let Err(error) = account.state.apply(record) {
                        self.errors.push(format!("an illegal record is stored: {error}"));
                    }
                    account.entries.push(entry);
                    if let Event::Host {
                        host,
                        happened: HostEvent::Ended { end: HostEnd::Committed },
                    } = &record.event
                    {
                        let unproved = unproved(account, host);
                        self.errors.extend(unproved.map(|why| format!("{host}: {why}")));
                    }
                }
            }
        }
    }

    /// A plan that says anything of a container which another rollout is changing is built on sand.
    fn check_that_nobody_holds(&mut self, id: RolloutId, state: &RolloutState) {
        for (by, other) in &self.rollouts {
            if other.state.phase.is_terminal() {
                continue;
            }
            for host in state.plan.hosts.keys() {
                let holds =
                    |(on, name): (&HostName, &_)| on == host && *name == state.plan.container;
                if other.state.plan.containers().any(holds) {
                    let (id, by) = (id.short(), by.short());
                    self.errors.push(format!("{host}: {id} is taken while {by} holds it"));
                }
            }
        }
    }
}

/// Why a container that was down and is called good is not known to be.
fn unproved(account: &Account, host: &HostName) -> Option<&'static str> {
    let state = &account.state;
    let plan = state.plan.hosts.get(host)?;
    let was_down = plan.old.as_ref().is_some_and(|old| !old.running);
    let rolled = matches!(plan.kind, TargetKind::Replace | TargetKind::Adopt { .. });
    if !was_down || !rolled || state.policy.stopped != Stopped::Start {
        return None;
    }
    let started =
        |happened: &HostEvent| matches!(happened, HostEvent::Did { step: Step::StartNew, .. });
    let passed = |happened: &HostEvent| matches!(happened, HostEvent::Passed { .. });
    if !account.on(host).any(|(_, happened)| started(happened)) {
        return Some("it was down, is called good, and was never started");
    }
    if !account.on(host).any(|(_, happened)| passed(happened)) {
        return Some("it was down, is called good, and passed no gate");
    }
    None
}

#[async_trait]
impl Journal for Ledger {
    fn store_id(&self) -> Uuid {
        self.inner.store_id()
    }

    async fn take_over(&self) -> Result<Epoch> {
        self.book().begins = true;
        self.carry(self.inner.take_over()).await
    }

    async fn create(&self, epoch: Epoch, mut rollout: NewRollout) -> Result<Revision> {
        let plant = self.book().plant;
        if let Some(plant) = plant {
            plant.spoil(&mut rollout);
        }
        let (id, record) = (rollout.id, rollout.record());
        let create = async {
            self.has_room(id)?;
            if self.dies() {
                return self.die().await;
            }
            let revision = match plant {
                Some(plant) => plant.create(&self.inner, epoch, rollout).await,
                None => self.inner.create(epoch, rollout).await,
            };
            match revision {
                Ok(revision) => {
                    self.stored(id, revision, std::slice::from_ref(&record));
                    Ok(revision)
                }
                Err(JournalError::Outdated { host, container }) => {
                    self.book().reached.count(Rare::Replanned);
                    Err(JournalError::Outdated { host, container })
                }
                Err(error) => Err(error),
            }
        };
        self.carry(create).await
    }

    async fn append(&self, epoch: Epoch, id: RolloutId, records: &[Record]) -> Result<Revision> {
        let append = async {
            self.has_room(id)?;
            let dies = self.dies();
            if dies && records.len().is_multiple_of(2) {
                return self.die().await;
            }
            let revision = self.inner.append(epoch, id, records).await?;
            self.stored(id, revision, records);
            if dies { self.die().await } else { Ok(revision) }
        };
        self.carry(append).await
    }

    async fn replace_secret(&self, epoch: Epoch, id: RolloutId, secret: NewSecret) -> Result<()> {
        self.carry(self.inner.replace_secret(epoch, id, secret)).await
    }

    async fn forget(&self, epoch: Epoch, id: RolloutId) -> Result<()> {
        self.carry(self.inner.forget(epoch, id)).await
    }

    async fn records(&self, id: RolloutId) -> Result<Vec<Entry>> {
        self.carry(self.inner.records(id)).await
    }

    async fn after(
        &self,
        revision: Revision,
        id: Option<RolloutId>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        self.carry(self.inner.after(revision, id, limit)).await
    }

    async fn open(&self) -> Result<Vec<RolloutId>> {
        let begins = std::mem::take(&mut self.book().begins);
        if !begins && self.book().plant == Some(Plant::ClaimsOfOthers) {
            return Ok(Vec::new());
        }
        self.carry(self.inner.open()).await
    }

    async fn list(&self) -> Result<Vec<Summary>> {
        self.carry(self.inner.list()).await
    }

    async fn secret(
        &self,
        id: RolloutId,
        host: Option<&HostName>,
        kind: SecretKind,
    ) -> Result<Option<String>> {
        self.carry(self.inner.secret(id, host, kind)).await
    }

    fn changes(&self) -> watch::Receiver<Revision> {
        self.inner.changes()
    }
}
