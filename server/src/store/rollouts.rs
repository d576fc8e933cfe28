//! The journal of rollouts in SQLite. One transaction an append, flushed to disk before it
//! returns (`synchronous = FULL`): what a driver does next may not be known to nobody.

use async_trait::async_trait;
use sqlx::{SqliteConnection, SqlitePool};
use tokio::sync::watch;
use uuid::Uuid;

use super::Store;
use crate::domain::{ContainerName, HostName, Secret};
use crate::rollout::journal::{
    Entry, Journal, JournalError, NewRollout, NewSecret, Result, SecretKind, Summary,
};
use crate::rollout::model::{Epoch, Event, Millis, Record, Revision, RolloutId};

const SECRETS: &str = "rollout_secrets";

type EntryRow = (i64, String, String);
type SummaryRow = (String, String, i64, Option<i64>);

#[async_trait]
impl Journal for Store {
    fn store_id(&self) -> Uuid {
        self.epoch()
    }

    async fn take_over(&self) -> Result<Epoch> {
        let epoch: i64 =
            sqlx::query_scalar("UPDATE journal_epoch SET epoch = epoch + 1 RETURNING epoch")
                .fetch_one(self.pool())
                .await
                .map_err(self.refused("take the journal over"))?;
        Ok(Epoch(unsigned(epoch)))
    }

    async fn create(&self, epoch: Epoch, rollout: NewRollout) -> Result<Revision> {
        let failed = self.refused("write a rollout");
        let mut transaction = self.begin().await.map_err(&failed)?;
        fence(self, &mut transaction, epoch).await?;
        let (id, text) = (rollout.id, rollout.id.to_string());
        sqlx::query("INSERT INTO rollouts (id, container, created_at) VALUES (?, ?, ?)")
            .bind(&text)
            .bind(rollout.plan.container.as_str())
            .bind(signed(rollout.created_at.0))
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        for (host, container) in rollout.locks() {
            lock(self, &mut transaction, host, container, &text).await?;
            refuse_outdated(self, &mut transaction, host, container, rollout.planned_at).await?;
        }
        for (host, container) in rollout.skipped() {
            refuse_locked(self, &mut transaction, host, container).await?;
            refuse_outdated(self, &mut transaction, host, container, rollout.planned_at).await?;
        }
        let record = rollout.record();
        for secret in rollout.secrets {
            self.put_secret(&mut transaction, &text, secret).await?;
        }
        let revision = push(self, &mut transaction, id, &record).await?;
        transaction.commit().await.map_err(&failed)?;
        self.announce(revision);
        self.checkpoint().await;
        Ok(revision)
    }

    async fn append(&self, epoch: Epoch, id: RolloutId, records: &[Record]) -> Result<Revision> {
        let failed = self.refused("write to the journal");
        let mut transaction = self.begin().await.map_err(&failed)?;
        fence(self, &mut transaction, epoch).await?;
        let mut revision = Revision(0);
        for record in records {
            revision = push(self, &mut transaction, id, record).await?;
        }
        transaction.commit().await.map_err(&failed)?;
        self.announce(revision);
        Ok(revision)
    }

    async fn replace_secret(&self, epoch: Epoch, id: RolloutId, secret: NewSecret) -> Result<()> {
        let failed = self.refused("seal the credentials of a rollout");
        let mut transaction = self.begin().await.map_err(&failed)?;
        fence(self, &mut transaction, epoch).await?;
        let text = id.to_string();
        let open: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM rollouts WHERE id = ? AND ended_at IS NULL")
                .bind(&text)
                .fetch_optional(&mut *transaction)
                .await
                .map_err(&failed)?;
        // What has ended keeps none.
        if open.is_some() {
            self.put_secret(&mut transaction, &text, secret).await?;
        }
        transaction.commit().await.map_err(failed)
    }

    async fn forget(&self, epoch: Epoch, id: RolloutId) -> Result<()> {
        let failed = self.refused("forget a rollout");
        let mut transaction = self.begin().await.map_err(&failed)?;
        fence(self, &mut transaction, epoch).await?;
        // Its records and secrets go with it.
        sqlx::query("DELETE FROM rollouts WHERE id = ? AND ended_at IS NOT NULL")
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        transaction.commit().await.map_err(failed)
    }

    async fn records(&self, id: RolloutId) -> Result<Vec<Entry>> {
        entries(self, self.pool(), Revision(0), Some(id), usize::MAX).await
    }

    async fn after(
        &self,
        revision: Revision,
        id: Option<RolloutId>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        entries(self, self.reader(), revision, id, limit).await
    }

    async fn open(&self) -> Result<Vec<RolloutId>> {
        let ids: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM rollouts WHERE ended_at IS NULL ORDER BY created_at, id",
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.refused("read the open rollouts"))?;
        ids.iter().map(|id| rollout_id(id)).collect()
    }

    async fn list(&self) -> Result<Vec<Summary>> {
        let rows: Vec<SummaryRow> = sqlx::query_as(
            "SELECT id, container, created_at, ended_at FROM rollouts
             ORDER BY created_at DESC, id DESC",
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.refused("list the rollouts"))?;
        let summary = |(id, container, created_at, ended_at): SummaryRow| {
            Ok(Summary {
                id: rollout_id(&id)?,
                container: ContainerName::parse(&container).map_err(boxed)?,
                created_at: Millis(unsigned(created_at)),
                ended_at: ended_at.map(|at| Millis(unsigned(at))),
            })
        };
        rows.into_iter().map(summary).collect()
    }

    async fn secret(
        &self,
        id: RolloutId,
        host: Option<&HostName>,
        kind: SecretKind,
    ) -> Result<Option<String>> {
        let (id, host) = (id.to_string(), host.map_or("", |host| host.as_str()));
        let sealed: Option<Vec<u8>> = sqlx::query_scalar(
            "SELECT sealed FROM rollout_secrets WHERE rollout = ? AND host = ? AND kind = ?",
        )
        .bind(&id)
        .bind(host)
        .bind(kind.as_str())
        .fetch_optional(self.pool())
        .await
        .map_err(self.refused("read a sealed part of a rollout"))?;
        let Some(sealed) = sealed else { return Ok(None) };
        let row = secret_row(&id, host, kind);
        let secret = self.sealer().open(SECRETS, &row, &sealed).map_err(boxed)?;
        Ok(Some(secret.expose().to_owned()))
    }

    fn changes(&self) -> watch::Receiver<Revision> {
        self.revisions().subscribe()
    }
}

impl Store {
    fn refused(&self, action: &'static str) -> impl Fn(sqlx::Error) -> JournalError + use<> {
        let failed = self.failed(action);
        move |error| boxed(failed(error))
    }

    fn announce(&self, revision: Revision) {
        // Two appends may come here in the wrong order; the newest counts.
        self.revisions().send_if_modified(|newest| {
            let newer = revision > *newest;
            if newer {
                *newest = revision;
            }
            newer
        });
    }
}

async fn fence(store: &Store, connection: &mut SqliteConnection, epoch: Epoch) -> Result<()> {
    let current: i64 = sqlx::query_scalar("SELECT epoch FROM journal_epoch")
        .fetch_one(connection)
        .await
        .map_err(store.refused("read who writes the journal"))?;
    if epoch.0 < unsigned(current) { Err(JournalError::Fenced) } else { Ok(()) }
}

async fn lock(
    store: &Store,
    connection: &mut SqliteConnection,
    host: &HostName,
    container: &ContainerName,
    id: &str,
) -> Result<()> {
    let failed = store.refused("lock a container");
    let taken = sqlx::query(
        "INSERT INTO rollout_locks (host, container, rollout) VALUES (?, ?, ?)
         ON CONFLICT (host, container) DO NOTHING",
    )
    .bind(host.as_str())
    .bind(container.as_str())
    .bind(id)
    .execute(&mut *connection)
    .await
    .map_err(&failed)?;
    if taken.rows_affected() == 1 {
        return Ok(());
    }
    refuse_locked(store, connection, host, container).await
}

async fn refuse_locked(
    store: &Store,
    connection: &mut SqliteConnection,
    host: &HostName,
    container: &ContainerName,
) -> Result<()> {
    let holder: Option<String> =
        sqlx::query_scalar("SELECT rollout FROM rollout_locks WHERE host = ? AND container = ?")
            .bind(host.as_str())
            .bind(container.as_str())
            .fetch_optional(connection)
            .await
            .map_err(store.refused("read the locks of containers"))?;
    let Some(holder) = holder else { return Ok(()) };
    let by = rollout_id(&holder)?;
    Err(JournalError::Locked { host: host.clone(), container: container.clone(), by })
}

async fn refuse_outdated(
    store: &Store,
    connection: &mut SqliteConnection,
    host: &HostName,
    container: &ContainerName,
    planned_at: Revision,
) -> Result<()> {
    let released: Option<i64> = sqlx::query_scalar(
        "SELECT revision FROM rollout_releases
         WHERE host = ? AND container = ? AND revision > ?",
    )
    .bind(host.as_str())
    .bind(container.as_str())
    .bind(signed(planned_at.0))
    .fetch_optional(connection)
    .await
    .map_err(store.refused("read the releases of containers"))?;
    match released {
        None => Ok(()),
        Some(_) => Err(JournalError::Outdated { host: host.clone(), container: container.clone() }),
    }
}

impl Store {
    async fn put_secret(
        &self,
        connection: &mut SqliteConnection,
        rollout: &str,
        secret: NewSecret,
    ) -> Result<()> {
        let host = secret.host.as_ref().map_or("", |host| host.as_str());
        let row = secret_row(rollout, host, secret.kind);
        let sealed = self.sealer().seal(SECRETS, &row, &Secret::new(secret.text));
        sqlx::query(
            "INSERT OR REPLACE INTO rollout_secrets (rollout, host, kind, sealed) VALUES (?, ?, ?, ?)",
        )
        .bind(rollout)
        .bind(host)
        .bind(secret.kind.as_str())
        .bind(sealed.map_err(boxed)?)
        .execute(&mut *connection)
        .await
        .map_err(self.refused("seal what belongs to a rollout"))?;
        Ok(())
    }
}

async fn push(
    store: &Store,
    connection: &mut SqliteConnection,
    id: RolloutId,
    record: &Record,
) -> Result<Revision> {
    let failed = store.refused("write to the journal");
    let text = id.to_string();
    let json = serde_json::to_string(record).map_err(boxed)?;
    if let Event::Phase { to, .. } = &record.event {
        let ended_at = to.is_terminal().then(|| signed(record.at.0));
        let changed = sqlx::query("UPDATE rollouts SET ended_at = ? WHERE id = ?")
            .bind(ended_at)
            .bind(&text)
            .execute(&mut *connection)
            .await
            .map_err(&failed)?;
        if changed.rows_affected() == 0 {
            return Err(JournalError::NotFound(id));
        }
        if to.is_terminal() {
            // The revision that this record gets: appends are one transaction after another.
            sqlx::query(
                "INSERT OR REPLACE INTO rollout_releases (host, container, revision)
                 SELECT host, container,
                        (SELECT seq + 1 FROM sqlite_sequence WHERE name = 'journal')
                 FROM rollout_locks WHERE rollout = ?",
            )
            .bind(&text)
            .execute(&mut *connection)
            .await
            .map_err(&failed)?;
            sqlx::query("DELETE FROM rollout_locks WHERE rollout = ?")
                .bind(&text)
                .execute(&mut *connection)
                .await
                .map_err(&failed)?;
            // Nothing is pulled any longer, so nobody needs the caller's password.
            sqlx::query("DELETE FROM rollout_secrets WHERE rollout = ? AND kind = ?")
                .bind(&text)
                .bind(SecretKind::Login.as_str())
                .execute(&mut *connection)
                .await
                .map_err(&failed)?;
        }
    }
    let appended = sqlx::query("INSERT INTO journal (rollout, record) VALUES (?, ?)")
        .bind(&text)
        .bind(json)
        .execute(connection)
        .await;
    match appended {
        Ok(appended) => Ok(Revision(unsigned(appended.last_insert_rowid()))),
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
            Err(JournalError::NotFound(id))
        }
        Err(error) => Err(failed(error)),
    }
}

async fn entries(
    store: &Store,
    pool: &SqlitePool,
    revision: Revision,
    id: Option<RolloutId>,
    limit: usize,
) -> Result<Vec<Entry>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let query = match id {
        Some(id) => sqlx::query_as(
            "SELECT revision, rollout, record FROM journal
                 WHERE rollout = ? AND revision > ? ORDER BY revision LIMIT ?",
        )
        .bind(id.to_string()),
        None => sqlx::query_as(
            "SELECT revision, rollout, record FROM journal
                 WHERE revision > ? ORDER BY revision LIMIT ?",
        ),
    };
    let rows: Vec<EntryRow> = query
        .bind(signed(revision.0))
        .bind(limit)
        .fetch_all(pool)
        .await
        .map_err(store.refused("read the journal"))?;
    rows.into_iter().map(entry).collect()
}

fn entry((revision, id, record): EntryRow) -> Result<Entry> {
    Ok(Entry {
        revision: Revision(unsigned(revision)),
        id: rollout_id(&id)?,
        record: serde_json::from_str(&record).map_err(boxed)?,
    })
}

fn secret_row(id: &str, host: &str, kind: SecretKind) -> String {
    format!("{id}/{host}/{}", kind.as_str())
}

fn rollout_id(text: &str) -> Result<RolloutId> {
    Uuid::try_parse(text).map(RolloutId).map_err(boxed)
}

fn boxed(error: impl std::error::Error + Send + Sync + 'static) -> JournalError {
    JournalError::Store(Box::new(error))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
