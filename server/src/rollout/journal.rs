//! Where rollouts are written down: records that only grow until their rollout is forgotten as a
//! whole, in one sequence for the whole store, and sealed blobs beside them for what may hold secrets.
//!
//! A driver writes what it is about to do before it does it and what came of it after; so
//! an append that fails stops the driver. Watchers read here and nowhere else, and so never
//! hear of a thing that is not stored. [`crate::store`] keeps a journal in SQLite,
//! [`MemoryJournal`] in memory for simulations; the same contract tests hold for both.

mod login;
mod memory;

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

use super::model::{Epoch, Event, Millis, Plan, Record, Revision, RolloutId};
use super::spec::Policy;
use crate::domain::{Annotations, ContainerName, HostName};

pub use login::read_login;
pub use memory::MemoryJournal;

/// The result of a call on the journal.
pub type Result<T> = std::result::Result<T, JournalError>;

/// Where rollouts are written down.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Names the store: a cursor of another store means nothing here.
    fn store_id(&self) -> Uuid;

    /// Becomes the only writer: appends of all earlier epochs are refused from now on.
    async fn take_over(&self) -> Result<Epoch>;

    /// Writes a new rollout with its first record, its locks and its sealed blobs, all or
    /// nothing. [`JournalError::Locked`] if another rollout holds the container on any host that
    /// the plan considered, also on hosts that the plan skips; [`JournalError::Outdated`] if
    /// another rollout released one of them after [`NewRollout::planned_at`].
    async fn create(&self, epoch: Epoch, rollout: NewRollout) -> Result<Revision>;

    /// Appends records, all or none, and returns the revision of the last. A terminal phase
    /// among them gives the locks back and forgets [`SecretKind::Login`].
    async fn append(&self, epoch: Epoch, id: RolloutId, records: &[Record]) -> Result<Revision>;

    /// Seals a blob of a rollout that has not ended in place of what it had of that kind.
    async fn replace_secret(&self, epoch: Epoch, id: RolloutId, secret: NewSecret) -> Result<()>;

    /// Removes a rollout that has ended, with its records and sealed blobs. One that has not, or
    /// is not there, stays as it is. Revisions are not given again.
    async fn forget(&self, epoch: Epoch, id: RolloutId) -> Result<()>;

    /// All records of a rollout, oldest first; empty where there is none.
    async fn records(&self, id: RolloutId) -> Result<Vec<Entry>>;

    /// Up to `limit` records after a revision, of one rollout or of all, oldest first. For
    /// watchers, who may be many: it does not wait for writes that are asked for already, and
    /// they do not wait for it.
    async fn after(
        &self,
        revision: Revision,
        id: Option<RolloutId>,
        limit: usize,
    ) -> Result<Vec<Entry>>;

    /// The rollouts that have not ended, oldest first.
    async fn open(&self) -> Result<Vec<RolloutId>>;

    /// What lists show, newest first.
    async fn list(&self) -> Result<Vec<Summary>>;

    /// A sealed blob of a rollout, or of a host in it.
    async fn secret(
        &self,
        id: RolloutId,
        host: Option<&HostName>,
        kind: SecretKind,
    ) -> Result<Option<String>>;

    /// The newest revision; changes with every append.
    fn changes(&self) -> watch::Receiver<Revision>;
}

/// A rollout that is to be written.
#[derive(Debug, Clone)]
pub struct NewRollout {
    /// Its ID.
    pub id: RolloutId,
    /// When it was asked for.
    pub created_at: Millis,
    /// What it does.
    pub plan: Plan,
    /// How.
    pub policy: Policy,
    /// Who asked for it.
    pub by: String,
    /// The rollout that it takes back.
    pub undo_of: Option<RolloutId>,
    /// What the caller noted about it.
    pub annotations: Annotations,
    /// What may hold secrets.
    pub secrets: Vec<NewSecret>,
    /// The newest revision of the journal before the hosts were asked for the plan.
    pub planned_at: Revision,
}

impl NewRollout {
    /// Its first record.
    #[must_use]
    pub fn record(&self) -> Record {
        let event = Event::Created {
            plan: Box::new(self.plan.clone()),
            policy: Box::new(self.policy.clone()),
            by: self.by.clone(),
            undo_of: self.undo_of,
            annotations: self.annotations.clone(),
        };
        Record { at: self.created_at, event }
    }

    /// The containers that it locks.
    pub fn locks(&self) -> impl Iterator<Item = (&HostName, &ContainerName)> {
        self.plan.containers()
    }

    /// The containers that the plan only looked at. It relies on what it saw there, such as a
    /// container that is on the new version, so no other rollout may be changing them.
    pub fn skipped(&self) -> impl Iterator<Item = (&HostName, &ContainerName)> {
        let locked = |host: &&HostName| self.plan.waves.iter().flatten().any(|it| it == *host);
        let skipped = self.plan.hosts.keys().filter(move |host| !locked(host));
        skipped.map(|host| (host, &self.plan.container))
    }
}

/// A rollout that has not ended.
#[derive(Debug, Clone)]
pub struct OpenRollout {
    /// Its ID.
    pub id: RolloutId,
    /// What it does.
    pub plan: Plan,
    /// The rollout that it takes back.
    pub undo_of: Option<RolloutId>,
}

/// The rollouts that have not ended, oldest first, with what they do.
pub async fn open_rollouts(journal: &dyn Journal) -> Result<Vec<OpenRollout>> {
    let mut open = Vec::new();
    for id in journal.open().await? {
        for entry in journal.after(Revision(0), Some(id), 1).await? {
            let Event::Created { plan, undo_of, .. } = entry.record.event else { continue };
            open.push(OpenRollout { id, plan: *plan, undo_of });
        }
    }
    Ok(open)
}

/// A blob that is to be sealed.
#[derive(Clone)]
pub struct NewSecret {
    /// The host; `None` for the rollout as a whole.
    pub host: Option<HostName>,
    /// What it is.
    pub kind: SecretKind,
    /// JSON.
    pub text: String,
}

/// What a sealed blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretKind {
    /// The request as it came.
    Request,
    /// How a host's new container is created.
    Body,
    /// The credentials that came with the request.
    Login,
    /// What a host's old container was, for an undo without it.
    Snapshot,
}

/// A record with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its place.
    pub revision: Revision,
    /// The rollout it belongs to.
    pub id: RolloutId,
    /// The record.
    pub record: Record,
}

/// What lists show of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its ID.
    pub id: RolloutId,
    /// The container it is about.
    pub container: ContainerName,
    /// When it was asked for.
    pub created_at: Millis,
    /// When it ended; `None` while it has not.
    pub ended_at: Option<Millis>,
}

/// Why the journal did not do it.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another `wharfd` took the store over.
    #[error("another wharfd has taken over; this one writes no more")]
    Fenced,
    /// Another rollout is at work on the container.
    #[error(
        "{container} on {host} is being changed by another rollout; \
         `wharf rollout watch {}` follows it, `wharf rollout abort {}` stops it",
        .by.short(), .by.short()
    )]
    Locked {
        /// The host.
        host: HostName,
        /// The container.
        container: ContainerName,
        /// The other rollout.
        by: RolloutId,
    },
    /// Another rollout changed a container between the plan and its record; plan again.
    #[error("another rollout changed {container} on {host} after the plan was made; plan again")]
    Outdated {
        /// The host.
        host: HostName,
        /// The container.
        container: ContainerName,
    },
    /// There is no such rollout.
    #[error("no rollout {0}")]
    NotFound(RolloutId),
    /// The store failed.
    #[error("the journal cannot be read or written")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl SecretKind {
    /// Its name in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Body => "body",
            Self::Login => "login",
            Self::Snapshot => "snapshot",
        }
    }
}

impl std::fmt::Debug for NewSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("NewSecret")
            .field("host", &self.host)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
