//! Opening the store: the directory, the lock, the database, the key, in this order.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqliteConnection, SqlitePool};
use tokio::sync::watch;

use super::error::StoreError;
use super::failure::Failure;
use super::migrations;
use super::seal::Sealer;
use super::writes::Writes;
use super::{Shared, Store};
use crate::domain::Secret;
use crate::rollout::model::Revision;

/// The location of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// The data directory.
    pub data_dir: PathBuf,
    /// The key that seals secrets; unset: `secret.key` in the data directory.
    pub secret_key_file: Option<PathBuf>,
}

/// For the flags of `open`: fails if the last part of the path is a symbolic link.
const NO_FOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();

pub(super) async fn open(options: &StoreOptions) -> Result<Store, StoreError> {
    let directory = &options.data_dir;
    create_directory(directory)?;
    let lock = lock(directory)?;
    let path = directory.join("wharf.db");
    let key_path = options.secret_key_file.clone().unwrap_or_else(|| directory.join("secret.key"));
    check_files(&path, &key_path)?;
    let pool = open_database(&path, &key_path).await?;
    migrate(&pool, &path).await?;
    let opening = Opening { pool: &pool, directory: directory.as_path().into() };
    let sealer = opening.sealer(&key_path).await?;
    let epoch = opening.epoch().await?;
    let (revisions, _) = watch::channel(opening.newest_revision().await?);
    let directory = opening.directory;
    let reader = open_reader(&path).await?;
    let writes = Writes::new();
    let failures = AtomicU64::new(0);
    let shared =
        Shared { pool, reader, directory, sealer, epoch, revisions, writes, failures, _lock: lock };
    let store = Store { shared: Arc::new(shared) };
    store.checkpoint().await;
    Ok(store)
}

fn create_directory(path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::File {
        path: path.to_owned(),
        action: "create the data directory",
        source,
    };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    if fs::metadata(path).map_err(failed)?.permissions().mode() & 0o002 != 0 {
        return Err(StoreError::Exposed { path: path.to_owned() });
    }
    Ok(())
}

/// A lock that ends with the process, however it ends.
fn lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join("wharfd.lock");
    let failed = |source| StoreError::File { path: path.clone(), action: "lock it", source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        // It is emptied below, and a link may lead anywhere.
        .custom_flags(NO_FOLLOW)
        .open(&path)
        .map_err(|error| {
            if is_link(&path) {
                StoreError::SymbolicLink { path: path.clone() }
            } else {
                failed(error)
            }
        })?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let read = file.read_to_string(&mut text);
            let process = read.ok().and_then(|_| text.trim().parse().ok());
            return Err(StoreError::InUse { path: directory.to_owned(), process });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(failed)?;
    Ok(file)
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_symlink())
}

/// A file of SQLite beside its database, such as `wharf.db-wal`.
fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Refuses files that SQLite would treat as a new, empty store although there was one.
fn check_files(database: &Path, key: &Path) -> Result<(), StoreError> {
    let log = beside(database, "-wal");
    let index = beside(database, "-shm");
    let journal = beside(database, "-journal");
    for path in [database, &log, &index, &journal] {
        if is_link(path) {
            return Err(StoreError::SymbolicLink { path: path.to_owned() });
        }
    }
    match length(database) {
        // SQLite deletes the log of a database without content.
        Some(0) if is_filled(&log) => Err(lost(database, Some("is empty"), &log)),
        None if is_filled(&log) => Err(lost(database, None, &log)),
        // The key is created after the database, so a first start that was killed cannot leave this
        // state. Without a database, the key may have been put there in advance.
        Some(0) if is_filled(key) => Err(lost(database, Some("is empty"), key)),
        _ => Ok(()),
    }
}

fn length(path: &Path) -> Option<u64> {
    fs::metadata(path).map(|metadata| metadata.len()).ok()
}

fn is_filled(path: &Path) -> bool {
    length(path).is_some_and(|length| length > 0)
}

/// `state` is what is wrong with a database that is there.
fn lost(database: &Path, state: Option<&'static str>, beside: &Path) -> StoreError {
    let (path, beside) = (database.to_owned(), beside.to_owned());
    let (exists, state) = (state.is_some(), state.unwrap_or("missing"));
    StoreError::DatabaseLost { path, exists, state, beside }
}

/// Refuses a database without tables beside a key, as after the loss of a log of writes that had
/// them all. Read-only, so that SQLite does not delete a damaged log, which somebody may mend.
async fn check_tables(database: &Path, key: &Path) -> Result<(), StoreError> {
    if !is_filled(database) || !is_filled(key) {
        return Ok(());
    }
    // What cannot be read is explained by whoever opens it to write.
    let Ok(pool) = open_reader(database).await else { return Ok(()) };
    let tables: Result<i64, sqlx::Error> =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_master").fetch_one(&pool).await;
    pool.close().await;
    if matches!(tables, Ok(0)) { Err(lost(database, Some("has no tables"), key)) } else { Ok(()) }
}

async fn open_database(path: &Path, key: &Path) -> Result<SqlitePool, StoreError> {
    create_private(path).map_err(|source| StoreError::File {
        path: path.to_owned(),
        action: "open the database",
        source,
    })?;
    check_tables(path, key).await?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // Confirmed data must survive a power failure; NORMAL may lose the last commits.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5));
    // One connection: a commit takes a fraction of a millisecond, a queue in the pool is fairer
    // than SQLite's own waiting for locks, and each further connection costs a thread and a cache.
    pool(path, options).await
}

/// The connection for watchers of the journal, of which there may be many. On the writing
/// connection, they would share its queue, in which a container that is down waits for the next
/// step. Other reads stay in that queue, so that a caller that controlled a rollout reads the
/// result.
async fn open_reader(path: &Path) -> Result<SqlitePool, StoreError> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    pool(path, options.busy_timeout(Duration::from_secs(5))).await
}

async fn pool(path: &Path, options: SqliteConnectOptions) -> Result<SqlitePool, StoreError> {
    SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_release(|connection, _| Box::pin(is_usable(connection)))
        .connect_with(options)
        .await
        .map_err(|source| opening_failed(path, source))
}

/// Whether a connection that was given back can serve again. SQLite rolls back by itself where a
/// commit finds the disk full, and sqlx counts such a transaction as open permanently: every later
/// one would fail.
async fn is_usable(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // A rollback may be queued; it is done before the answer to this.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// SQLite makes its other files with the permissions of this one.
fn create_private(path: &Path) -> io::Result<()> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(NO_FOLLOW)
        .open(path)?;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(mode & 0o700))?;
    }
    Ok(())
}

async fn migrate(pool: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    let path = path.to_owned();
    let known = migrations::NEWEST;
    match migrations::migrator().run(pool).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(found)) if found > known => {
            let newest: Option<i64> =
                sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
                    .fetch_one(pool)
                    .await
                    .unwrap_or(None);
            Err(StoreError::NewerSchema { path, found: newest.unwrap_or(found), known })
        }
        Err(
            MigrateError::VersionMissing(version)
            | MigrateError::VersionMismatch(version)
            | MigrateError::Dirty(version),
        ) => Err(StoreError::ForeignSchema { path, version }),
        Err(MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)) => {
            Err(opening_failed(&path, source))
        }
        Err(error) => Err(opening_failed(&path, sqlx::Error::Migrate(Box::new(error)))),
    }
}

fn opening_failed(path: &Path, source: sqlx::Error) -> StoreError {
    let directory = path.parent().unwrap_or(path);
    match Failure::of(&source, directory) {
        Failure::Corrupt => StoreError::NotADatabase { path: path.to_owned(), source },
        _ => StoreError::database(directory.into(), "open its database")(source),
    }
}

/// A store on its way to be open.
struct Opening<'a> {
    pool: &'a SqlitePool,
    directory: Arc<Path>,
}

impl Opening<'_> {
    fn failed(&self, action: &'static str) -> impl Fn(sqlx::Error) -> StoreError + use<> {
        StoreError::database(Arc::clone(&self.directory), action)
    }

    /// Whether any table holds a sealed value. The tables are found by their column, so that a
    /// later one is not forgotten here.
    async fn has_sealed(&self) -> Result<bool, sqlx::Error> {
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c
         WHERE m.type = 'table' AND c.name = 'sealed'",
        )
        .fetch_all(self.pool)
        .await?;
        for table in tables {
            let query =
                format!("SELECT EXISTS (SELECT 1 FROM \"{table}\" WHERE sealed IS NOT NULL)");
            // The name comes from the schema.
            if sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(self.pool).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The key in its file, proved by a value that was sealed with it; a new key where nothing is
    /// sealed yet.
    async fn sealer(&self, path: &Path) -> Result<Sealer, StoreError> {
        const KEY_CHECK: &str = "key_check";
        let failed = self.failed("read its key check");
        let in_use = self.has_sealed().await.map_err(&failed)?;
        let check: Option<Vec<u8>> = sqlx::query_scalar("SELECT value FROM meta WHERE key = ?")
            .bind(KEY_CHECK)
            .fetch_optional(self.pool)
            .await
            .map_err(&failed)?;
        let (sealer, proved) = match Sealer::from_file(path)? {
            Some(sealer) => {
                let proved =
                    check.is_some_and(|sealed| sealer.open("meta", KEY_CHECK, &sealed).is_ok());
                if in_use && !proved {
                    return Err(StoreError::WrongKey { path: path.to_owned() });
                }
                (sealer, proved)
            }
            None if in_use => return Err(StoreError::KeyMissing { path: path.to_owned() }),
            None => (Sealer::create_file(path)?, false),
        };
        if !proved {
            let sealed = sealer.seal("meta", KEY_CHECK, &Secret::new(KEY_CHECK))?;
            sqlx::query("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)")
                .bind(KEY_CHECK)
                .bind(sealed)
                .execute(self.pool)
                .await
                .map_err(self.failed("write its key check"))?;
        }
        Ok(sealer)
    }

    async fn newest_revision(&self) -> Result<Revision, StoreError> {
        // Not the newest that is there: the rollout that it was of may be forgotten.
        let newest: Option<i64> =
            sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'journal'")
                .fetch_optional(self.pool)
                .await
                .map_err(self.failed("read the journal"))?;
        Ok(Revision(newest.and_then(|newest| u64::try_from(newest).ok()).unwrap_or(0)))
    }

    async fn epoch(&self) -> Result<uuid::Uuid, StoreError> {
        let failed = self.failed("read its own name");
        sqlx::query("INSERT OR IGNORE INTO meta (key, value) VALUES ('epoch', ?)")
            .bind(uuid::Uuid::new_v4().as_bytes().as_slice())
            .execute(self.pool)
            .await
            .map_err(&failed)?;
        let bytes: Vec<u8> = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'epoch'")
            .fetch_one(self.pool)
            .await
            .map_err(&failed)?;
        uuid::Uuid::from_slice(&bytes).map_err(|error| StoreError::row("meta", "epoch", error))
    }
}
