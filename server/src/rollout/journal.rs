//! The journal of rollouts: append-only records, in one sequence for the whole store, and sealed
//! blobs for data that may contain secrets. A rollout is deleted only as a whole.
//!
//! A driver writes its intent before it acts and the result after it, so a failed append stops the
//! driver. Watchers read only the journal, and so never see anything that is not stored.
//! [`crate::store`] implements a journal in SQLite, the simulator one in memory; the same contract tests
//! hold for both.

mod login;

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

pub use login::read_login;

use super::model::{Epoch, Event, Millis, Plan, Record, Revision, RolloutId};
use super::spec::Policy;
use crate::domain::{Annotations, ContainerName, HostName};

/// The result of a call on the journal.
pub type Result<T> = std::result::Result<T, JournalError>;

/// The journal of rollouts.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Identifies the store: a cursor of another store has no meaning here.
    fn store_id(&self) -> Uuid;

    /// Becomes the only writer: from now on, appends of all earlier epochs are refused.
    async fn take_over(&self) -> Result<Epoch>;

    /// Writes a new rollout with its first record, its locks, and its sealed blobs, all or nothing.
    /// [`JournalError::Locked`] if another rollout holds the container on any host that the plan
    /// considered, including hosts that the plan skips; [`JournalError::Outdated`] if another
    /// rollout released one of them after [`NewRollout::planned_at`].
    async fn create(&self, epoch: Epoch, rollout: NewRollout) -> Result<Revision>;

    /// Appends records, all or none, and returns the revision of the last one. A terminal phase
    /// among them releases the locks and deletes [`SecretKind::Login`].
    async fn append(&self, epoch: Epoch, id: RolloutId, records: &[Record]) -> Result<Revision>;

    /// Seals a blob of an open rollout, replacing an earlier one of that kind.
    async fn replace_secret(&self, epoch: Epoch, id: RolloutId, secret: NewSecret) -> Result<()>;

    /// Deletes an ended rollout, with its records and sealed blobs. An open or missing one stays
    /// unchanged. Revisions are never reused.
    async fn forget(&self, epoch: Epoch, id: RolloutId) -> Result<()>;

    /// All records of a rollout, oldest first; empty if there is none.
    async fn records(&self, id: RolloutId) -> Result<Vec<Entry>>;

    /// Up to `limit` records after a revision, of one rollout or of all, oldest first. For
    /// watchers, of which there may be many: it neither waits for pending writes nor delays them.
    async fn after(
        &self,
        revision: Revision,
        id: Option<RolloutId>,
        limit: usize,
    ) -> Result<Vec<Entry>>;

    /// The rollouts that have not ended, oldest first.
    async fn open(&self) -> Result<Vec<RolloutId>>;

    /// The entries of lists, newest first.
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
    /// When it was created.
    pub created_at: Millis,
    /// Its plan.
    pub plan: Plan,
    /// How.
    pub policy: Policy,
    /// Who created it.
    pub by: String,
    /// The rollout that it undoes.
    pub undo_of: Option<RolloutId>,
    /// The caller's annotations.
    pub annotations: Annotations,
    /// Data that may contain secrets.
    pub secrets: Vec<NewSecret>,
    /// The newest revision of the journal before the hosts were queried for the plan.
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

    /// The containers that the plan only observed. It relies on their state, such as a container on
    /// the new version, so no other rollout may be changing them.
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
    /// Its plan.
    pub plan: Plan,
    /// The rollout that it undoes.
    pub undo_of: Option<RolloutId>,
}

/// The open rollouts, oldest first, with their plans.
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
    /// The kind of blob.
    pub kind: SecretKind,
    /// JSON.
    pub text: String,
}

/// The kind of a sealed blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretKind {
    /// The original request.
    Request,
    /// How a host's new container is created.
    Body,
    /// The credentials of the request.
    Login,
    /// The settings of a host's old container, for an undo without the container.
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

/// A rollout in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its ID.
    pub id: RolloutId,
    /// The container it is about.
    pub container: ContainerName,
    /// When it was created.
    pub created_at: Millis,
    /// When it ended; `None` while it has not.
    pub ended_at: Option<Millis>,
}

/// Why the journal did not do it.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another `wharfd` took the store over.
    #[error("another wharfd has taken over; this one no longer writes")]
    Fenced,
    /// Another rollout is changing the container.
    #[error(
        "another rollout is changing {container} on {host}; \
         to follow it, run `wharf rollout watch {}`; to stop it, run `wharf rollout abort {}`",
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
    #[error("another rollout changed {container} on {host} after planning; plan again")]
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
