//! Persistent state: hosts added over the API, registry logins, and the writes that a caller may
//! retry. One SQLite file in the data directory, with sealed secrets.
//!
//! | file            | what it holds                                                  |
//! |-----------------|----------------------------------------------------------------|
//! | `wharf.db`      | the database, with `-wal` and `-shm` beside it                  |
//! | `secret.key`    | the key that seals passwords, tokens and private keys           |
//! | `wharfd.lock`   | held while a `wharfd` uses the directory                        |
//!
//! Opened by the composition root; called by the inventory (hosts) and the API (logins,
//! operations). Every method is one transaction: it is done completely or not at all, even if its
//! future is dropped, and completed work is on the disk.

mod cordons;
mod error;
mod failure;
mod hosts;
mod logins;
mod migrations;
mod open;
mod operations;
mod rollouts;
mod seal;
mod writes;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteArguments, SqliteQueryResult};
use tokio::sync::watch;

pub use error::StoreError;
pub use failure::Failure;
pub use hosts::{StoredHost, StoredTls};
pub use open::StoreOptions;
pub use operations::{Begun, HostProgress, NewOperation, StoredOperation};
pub use writes::Writes;

use seal::Sealer;
use writes::Writing;

use crate::rollout::model::Revision;

/// The store. Clones share it; the lock on the data directory ends with the last one.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    pool: SqlitePool,
    /// For watchers of the journal.
    reader: SqlitePool,
    /// The data directory, for messages.
    directory: Arc<Path>,
    sealer: Sealer,
    epoch: uuid::Uuid,
    /// The newest revision of the journal, for watchers.
    revisions: watch::Sender<Revision>,
    writes: Writes,
    /// What the database refused.
    failures: AtomicU64,
    /// Keeps a second `wharfd` out of the data directory.
    _lock: File,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Store").field("epoch", &self.shared.epoch).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in a data directory, which is created if missing, and updates its schema.
    pub async fn open(options: &StoreOptions) -> Result<Self, StoreError> {
        open::open(options).await
    }

    /// Permanent identifier of this store, which differs for every data directory.
    pub fn epoch(&self) -> uuid::Uuid {
        self.shared.epoch
    }

    /// Closes all connections after the current work; the files are then at rest.
    pub async fn close(&self) {
        self.shared.reader.close().await;
        self.shared.pool.close().await;
    }

    /// Copies what was committed from the log of writes into `wharf.db`, so that it outlasts the loss
    /// of that log, for instance in a copy of `wharf.db` alone. For what is written rarely and cannot
    /// be found again. SQLite does it by itself only once the log has some megabytes.
    async fn checkpoint(&self) {
        let pragma = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)");
        if let Err(error) = pragma.execute(self.pool()).await {
            // The commit is safe in the log.
            tracing::warn!("{}", self.failed("copy its log of writes into wharf.db")(error));
        }
    }

    /// For `map_err`: SQLite refused to do `action`.
    fn failed(&self, action: &'static str) -> impl Fn(sqlx::Error) -> StoreError + use<> {
        let shared = Arc::clone(&self.shared);
        move |error| {
            shared.failures.fetch_add(1, Ordering::Relaxed);
            StoreError::database(Arc::clone(&shared.directory), action)(error)
        }
    }

    fn pool(&self) -> &SqlitePool {
        &self.shared.pool
    }

    fn reader(&self) -> &SqlitePool {
        &self.shared.reader
    }

    fn revisions(&self) -> &watch::Sender<Revision> {
        &self.shared.revisions
    }

    /// A digest that requires this store's key, to compare data that may contain secrets, such as
    /// requests.
    pub fn fingerprint(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.sealer().fingerprint(parts)
    }

    fn sealer(&self) -> &Sealer {
        &self.shared.sealer
    }

    /// A transaction that takes the write lock at its start, so that it cannot fail halfway because
    /// another one was faster.
    async fn begin(&self) -> Result<Writing<'_>, sqlx::Error> {
        self.writes().begin(self.pool()).await
    }

    /// Does a write of one statement.
    async fn write(
        &self,
        query: sqlx::query::Query<'_, sqlx::Sqlite, SqliteArguments>,
    ) -> Result<SqliteQueryResult, sqlx::Error> {
        self.writes().of(query.execute(self.pool())).await
    }

    /// How often the database refused a read or a write.
    pub fn failures(&self) -> u64 {
        self.shared.failures.load(Ordering::Relaxed)
    }

    /// The writes so far, for those who watch them.
    pub fn writes(&self) -> &Writes {
        &self.shared.writes
    }
}

fn to_millis(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn from_millis(millis: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod failure_tests;
