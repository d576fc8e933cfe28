//! The journal of all rollouts of a run, with a [`Book`] of the stored records. It can be slow and
//! full, and can kill the process around an append.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;
use wharf_server::domain::HostName;
use wharf_server::rollout::journal::{
    Entry, Journal, JournalError, NewRollout, NewSecret, Result, SecretKind, Summary,
};
use wharf_server::rollout::model::{Epoch, Record, Revision, RolloutId};
use wharf_simulator::{MemoryJournal, Process};

use super::book::{Book, in_the_middle};
use super::planted::Plant;
use super::rare::Rare;
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

impl Ledger {
    pub fn new(latency: (Random, u64), plant: Option<Plant>) -> Self {
        let shared =
            Shared { book: Mutex::new(Book::new(latency, plant)), moved: watch::Sender::new(0) };
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
