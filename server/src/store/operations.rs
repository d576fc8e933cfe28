//! Writes that carried a `request_id`: which hosts were started and how they ended, so that a
//! retry gets the first answer instead of doing it again. Called by the API.
//!
//! A host that is started but not done after a restart has an unknown result: the caller is told
//! so, and nothing is repeated behind its back.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::{Store, StoreError, to_millis};

/// A write that is about to begin.
#[derive(Debug, Clone, Copy)]
pub struct NewOperation<'a> {
    /// Chosen by the caller.
    pub request_id: &'a str,
    /// Who calls.
    pub principal: &'a str,
    /// The full gRPC method, such as `/wharf.v1.ImageService/PullImages`.
    pub method: &'a str,
    /// Identifies the request.
    pub request_sha256: [u8; 32],
}

/// What the store knows of a `request_id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Nothing until now; the operation is recorded as started.
    New,
    /// The same request of the same caller came before.
    Again(StoredOperation),
    /// Another request, method or caller used this `request_id` before.
    Different,
}

/// A recorded write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOperation {
    /// Who called.
    pub principal: String,
    /// The full gRPC method.
    pub method: String,
    /// Identifies the request.
    pub request_sha256: [u8; 32],
    /// How far each host got, by name. Hosts that were never started are not in it.
    pub hosts: BTreeMap<String, HostProgress>,
}

/// How far the work on one host got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostProgress {
    /// It may have had an effect, and its end is not known.
    Begun,
    /// It ended; the bytes that the API gave to keep.
    Done(Vec<u8>),
}

type OperationRow = (String, String, Vec<u8>);

impl Store {
    /// Records a write before anything is done, or finds the one that it repeats.
    pub async fn begin_operation(
        &self,
        new: NewOperation<'_>,
        now: SystemTime,
    ) -> Result<Begun, StoreError> {
        let failed = self.failed("record a request");
        let mut transaction = self.begin().await.map_err(&failed)?;
        let inserted = sqlx::query(
            "INSERT INTO operations (request_id, principal, method, request_sha256, created_at)
             VALUES (?, ?, ?, ?, ?) ON CONFLICT (request_id) DO NOTHING",
        )
        .bind(new.request_id)
        .bind(new.principal)
        .bind(new.method)
        .bind(new.request_sha256.as_slice())
        .bind(to_millis(now))
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        let begun = if inserted.rows_affected() == 1 {
            Begun::New
        } else {
            match load(self, &mut transaction, new.request_id).await? {
                Some(stored)
                    if stored.principal == new.principal
                        && stored.method == new.method
                        && stored.request_sha256 == new.request_sha256 =>
                {
                    Begun::Again(stored)
                }
                _ => Begun::Different,
            }
        };
        transaction.commit().await.map_err(&failed)?;
        Ok(begun)
    }

    /// Records that a host is about to be asked, also where an earlier try had ended: from now on
    /// what that said holds no more.
    pub async fn operation_host_begun(
        &self,
        request_id: &str,
        host: &str,
    ) -> Result<(), StoreError> {
        let write = sqlx::query(
            "INSERT INTO operation_hosts (request_id, host, state) VALUES (?, ?, 'begun')
             ON CONFLICT (request_id, host) DO UPDATE SET state = 'begun', outcome = NULL",
        )
        .bind(request_id)
        .bind(host);
        self.write(write).await.map_err(self.failed("record that a host was begun"))?;
        Ok(())
    }

    /// Records how a host ended.
    pub async fn operation_host_done(
        &self,
        request_id: &str,
        host: &str,
        outcome: &[u8],
    ) -> Result<(), StoreError> {
        let write = sqlx::query(
            "INSERT INTO operation_hosts (request_id, host, state, outcome)
             VALUES (?, ?, 'done', ?)
             ON CONFLICT (request_id, host)
             DO UPDATE SET state = excluded.state, outcome = excluded.outcome",
        )
        .bind(request_id)
        .bind(host)
        .bind(outcome);
        self.write(write).await.map_err(self.failed("record how a host ended"))?;
        Ok(())
    }

    /// Forgets that something was started: nothing was done. What is done stays as it is.
    pub async fn operation_host_untouched(
        &self,
        request_id: &str,
        host: &str,
    ) -> Result<(), StoreError> {
        let write = sqlx::query(
            "DELETE FROM operation_hosts WHERE request_id = ? AND host = ? AND state = 'begun'",
        )
        .bind(request_id)
        .bind(host);
        self.write(write).await.map_err(self.failed("record that a host was not reached"))?;
        Ok(())
    }

    /// What is known of a `request_id`.
    pub async fn operation(&self, request_id: &str) -> Result<Option<StoredOperation>, StoreError> {
        let failed = self.failed("read a request");
        let mut transaction = self.pool().begin().await.map_err(&failed)?;
        let operation = load(self, &mut transaction, request_id).await?;
        transaction.commit().await.map_err(&failed)?;
        Ok(operation)
    }

    /// Forgets writes that began before `before`; gives how many they were.
    pub async fn prune_operations(&self, before: SystemTime) -> Result<u64, StoreError> {
        let write =
            sqlx::query("DELETE FROM operations WHERE created_at < ?").bind(to_millis(before));
        let pruned = self.write(write).await.map_err(self.failed("forget old requests"))?;
        Ok(pruned.rows_affected())
    }
}

async fn load(
    store: &Store,
    connection: &mut sqlx::SqliteConnection,
    request_id: &str,
) -> Result<Option<StoredOperation>, StoreError> {
    let failed = store.failed("read a request");
    let row: Option<OperationRow> = sqlx::query_as(
        "SELECT principal, method, request_sha256 FROM operations WHERE request_id = ?",
    )
    .bind(request_id)
    .fetch_optional(&mut *connection)
    .await
    .map_err(&failed)?;
    let Some((principal, method, sha256)) = row else { return Ok(None) };
    let hosts: Vec<(String, Option<Vec<u8>>)> =
        sqlx::query_as("SELECT host, outcome FROM operation_hosts WHERE request_id = ?")
            .bind(request_id)
            .fetch_all(&mut *connection)
            .await
            .map_err(&failed)?;
    Ok(Some(StoredOperation {
        principal,
        method,
        request_sha256: sha256
            .try_into()
            .map_err(|_| StoreError::row("operations", request_id, "no SHA-256"))?,
        hosts: hosts
            .into_iter()
            .map(|(host, outcome)| (host, outcome.map_or(HostProgress::Begun, HostProgress::Done)))
            .collect(),
    }))
}
