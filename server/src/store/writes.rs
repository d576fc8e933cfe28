//! Writes to the database, and how long they take: from the wait for their turn until they are on
//! the disk. A slow disk shows here first.

use std::ops::{Deref, DerefMut};
use std::time::Instant;

use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};

use crate::domain::{Durations, Tally};

/// Buckets, in seconds: a commit takes a fraction of a millisecond, and some on a slow disk.
const BOUNDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// The writes of a store.
#[derive(Debug)]
pub struct Writes(Durations);

/// A transaction that writes. Dropped, it is rolled back.
pub(super) struct Writing<'a> {
    transaction: Transaction<'static, Sqlite>,
    begun: Instant,
    writes: &'a Writes,
}

impl Writes {
    /// None so far.
    pub(super) fn new() -> Self {
        Self(Durations::new(BOUNDS))
    }

    /// How long the completed ones took.
    #[must_use]
    pub fn done(&self) -> Tally {
        self.0.tally()
    }

    /// Begins a transaction that takes the write lock at its start.
    pub(super) async fn begin(&self, pool: &SqlitePool) -> Result<Writing<'_>, sqlx::Error> {
        let begun = Instant::now();
        let transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Writing { transaction, begun, writes: self })
    }

    /// Measures a write of one statement, which is a transaction of its own.
    pub(super) async fn of<T>(
        &self,
        write: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let begun = Instant::now();
        let result = write.await?;
        self.0.add(begun.elapsed());
        Ok(result)
    }
}

impl Writing<'_> {
    /// Completes it; it is then on the disk.
    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        self.transaction.commit().await?;
        self.writes.0.add(self.begun.elapsed());
        Ok(())
    }
}

impl Deref for Writing<'_> {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.transaction
    }
}

impl DerefMut for Writing<'_> {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }
}
