//! Errors of the store. Read by the composition root, which exits with the text, and by the API,
//! which maps `HostTaken` and treats the rest as internal.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::failure::Failure;

/// Why the store could not be opened or used. Each text is one line with the file and what to do; a
/// `source` adds the error of the system.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory or a file in it cannot be created, read, or written.
    #[error("{path}: cannot {action}; set a writable directory with --data-dir")]
    File {
        /// The directory or file.
        path: PathBuf,
        /// The failed action.
        action: &'static str,
        /// The error of the system.
        source: io::Error,
    },
    /// Other users could put their own key, lock, or database into the directory.
    #[error("{path}: writable for every user of this machine; run `chmod o-w {path}`")]
    Exposed {
        /// The data directory.
        path: PathBuf,
    },
    /// Another `wharfd` holds the lock.
    #[error(
        "{path}: in use by another wharfd{}; stop that one, or set another directory with --data-dir",
        .process.map(|id| format!(" (process {id})")).unwrap_or_default()
    )]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// The other's process ID, if it left it.
        process: Option<u32>,
    },
    /// The file is something else, or damaged beyond reading.
    #[error(
        "{path}: not a wharfd database, or damaged; restore a backup, or move it away to start with an empty store"
    )]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// The error of SQLite.
        source: sqlx::Error,
    },
    /// SQLite would follow the link for the database and put its other files beside the target.
    #[error(
        "{path}: is a symbolic link; move the file itself there, or set its directory with --data-dir"
    )]
    SymbolicLink {
        /// The link.
        path: PathBuf,
    },
    /// The database is gone or has no content, but not the rest of the store.
    #[error(
        "{path}: {state}, but {beside} exists; restore a backup of the database and of the wharf.db-wal beside it, or move {} away to start with an empty store",
        if *.exists { format!("both {} and {}", .path.display(), .beside.display()) } else { .beside.display().to_string() }
    )]
    DatabaseLost {
        /// The database.
        path: PathBuf,
        /// Whether the file exists, and then has no content or no tables.
        exists: bool,
        /// The problem, as text.
        state: &'static str,
        /// The file that shows that there was a store.
        beside: PathBuf,
    },
    /// The key is no file of its own, such as a named pipe.
    #[error(
        "{path}: is not a regular file; put the key there, or set its path with --secret-key-file"
    )]
    KeyNotAFile {
        /// The key file.
        path: PathBuf,
    },
    /// A later version of `wharfd` has been here.
    #[error(
        "{path}: written by a newer wharfd (schema {found}, this one supports {known}); run that version, or restore a backup from before the upgrade"
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Schema of the file.
        found: i64,
        /// Newest schema of this program.
        known: i64,
    },
    /// A schema with a known number but different contents.
    #[error(
        "{path}: its schema {version} is not that of a released wharfd; run the version that created it"
    )]
    ForeignSchema {
        /// The file.
        path: PathBuf,
        /// Number of the schema that differs.
        version: i64,
    },
    /// Sealed rows, but no key.
    #[error(
        "{path}: missing, but the store has secrets that are encrypted with it; restore the key, or set its path with --secret-key-file; without the key they are lost: to start with an empty store, move wharf.db away"
    )]
    KeyMissing {
        /// Where the key was expected.
        path: PathBuf,
    },
    /// Sealed rows, but another key.
    #[error(
        "{path}: not the key of the store's secrets; restore that key, or set its path with --secret-key-file"
    )]
    WrongKey {
        /// The key file.
        path: PathBuf,
    },
    /// The key file is not 32 bytes long.
    #[error("{path}: has {length} bytes, but a key has 32; restore the right file")]
    KeyLength {
        /// The key file.
        path: PathBuf,
        /// Its length.
        length: u64,
    },
    /// Every user of the machine can read the key.
    #[error("{path}: readable for every user of this machine; run `chmod 600 {path}`")]
    KeyExposed {
        /// The key file.
        path: PathBuf,
    },
    /// One sealed value cannot be decrypted.
    #[error("cannot decrypt the secret for {row} in the store's {table}; set it again")]
    Unsealable {
        /// Its table.
        table: &'static str,
        /// Its row.
        row: String,
    },
    /// A row that this program never writes.
    #[error("cannot read row {row} in the store's {table}: {problem}")]
    Row {
        /// Its table.
        table: &'static str,
        /// Its key.
        row: String,
        /// The problem.
        problem: String,
    },
    /// A host with this name already exists.
    #[error("host {0} already exists")]
    HostTaken(crate::domain::HostName),
    /// The random numbers of the system are not to be had.
    #[error("the system provides no random numbers")]
    Random,
    /// SQLite refused, for instance because the disk is full.
    #[error("the store cannot {action}: {}", .failure.explain(.directory))]
    Database {
        /// The failed action.
        action: &'static str,
        /// The data directory.
        directory: Arc<Path>,
        /// The kind of failure.
        failure: Failure,
        /// The error of SQLite.
        source: sqlx::Error,
    },
}

impl StoreError {
    /// For `map_err`: SQLite refused to do `action`.
    pub(super) fn database(
        directory: Arc<Path>,
        action: &'static str,
    ) -> impl Fn(sqlx::Error) -> Self + use<> {
        move |source| {
            let failure = Failure::of(&source, &directory);
            Self::Database { action, directory: Arc::clone(&directory), failure, source }
        }
    }

    /// The kind of failure, if SQLite refused.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        match self {
            Self::Database { failure, .. } => Some(*failure),
            _ => None,
        }
    }

    /// A row that does not parse.
    pub(super) fn row(
        table: &'static str,
        row: impl Into<String>,
        problem: impl std::fmt::Display,
    ) -> Self {
        Self::Row { table, row: row.into(), problem: problem.to_string() }
    }
}
