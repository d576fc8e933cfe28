//! What can go wrong with the store. Read by the composition root, which ends with the text, and
//! by the API, which maps `HostTaken` and calls the rest internal.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::failure::Failure;

/// Why the store could not be opened or used. Each text is one line that names the file and the
/// way out; a `source` adds what the system said.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory or a file in it cannot be made, read or written.
    #[error("{path}: cannot {action}; give wharfd a directory that it may write with --data-dir")]
    File {
        /// The directory or file.
        path: PathBuf,
        /// What was to be done with it.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Others could put their own key, lock or database into the directory.
    #[error("{path}: every user of this machine may write to it; run `chmod o-w {path}`")]
    Exposed {
        /// The data directory.
        path: PathBuf,
    },
    /// Another `wharfd` holds the lock.
    #[error(
        "{path}: in use by another wharfd{}; stop that one, or give this one another --data-dir",
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
        "{path}: not a database of wharfd, or damaged; move it away to begin anew, or put a copy back"
    )]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// SQLite would follow the link for the database and put its other files beside the target.
    #[error(
        "{path}: is a symbolic link; move the file itself there, or name its directory with --data-dir"
    )]
    SymbolicLink {
        /// The link.
        path: PathBuf,
    },
    /// The database is gone or has no content, but not the rest of the store.
    #[error(
        "{path}: {state}, but {beside} is there; put back a copy of the database and of the wharf.db-wal beside it, or move {} away to start with an empty store",
        if *.exists { format!("both {} and {}", .path.display(), .beside.display()) } else { .beside.display().to_string() }
    )]
    DatabaseLost {
        /// The database.
        path: PathBuf,
        /// Whether the file exists, and then has no content or no tables.
        exists: bool,
        /// What is wrong, in words.
        state: &'static str,
        /// The file that shows that there was a store.
        beside: PathBuf,
    },
    /// The key is no file of its own, such as a named pipe.
    #[error(
        "{path}: is not a regular file; put the key there, or name its place with --secret-key-file"
    )]
    KeyNotAFile {
        /// The key file.
        path: PathBuf,
    },
    /// A later version of `wharfd` has been here.
    #[error(
        "{path}: written by a newer wharfd (schema {found}, this one knows {known}); run that version, or put back a copy from before the upgrade"
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Schema of the file.
        found: i64,
        /// Newest schema of this program.
        known: i64,
    },
    /// A schema with a known number but other contents.
    #[error(
        "{path}: its schema {version} is not that of a released wharfd; run the version that made it"
    )]
    ForeignSchema {
        /// The file.
        path: PathBuf,
        /// Number of the schema that differs.
        version: i64,
    },
    /// Sealed rows, but no key.
    #[error(
        "{path}: missing, but the store has secrets that were sealed with it; put the key back, or name its place with --secret-key-file; without the key they are lost: to start with an empty store, move wharf.db away"
    )]
    KeyMissing {
        /// Where the key was looked for.
        path: PathBuf,
    },
    /// Sealed rows, but another key.
    #[error(
        "{path}: not the key that the store's secrets were sealed with; put that key back, or name its place with --secret-key-file"
    )]
    WrongKey {
        /// The key file.
        path: PathBuf,
    },
    /// The key file is not 32 bytes long.
    #[error("{path}: has {length} bytes where a key has 32; put the right file back")]
    KeyLength {
        /// The key file.
        path: PathBuf,
        /// Its length.
        length: u64,
    },
    /// Every user of the machine can read the key.
    #[error("{path}: can be read by every user of this machine; run `chmod 600 {path}`")]
    KeyExposed {
        /// The key file.
        path: PathBuf,
    },
    /// One sealed value does not open.
    #[error("cannot decrypt the secret for {row} in the store's {table}; set it again")]
    Unsealable {
        /// Its table.
        table: &'static str,
        /// Its row.
        row: String,
    },
    /// A row that this program would never have written.
    #[error("cannot read row {row} in the store's {table}: {problem}")]
    Row {
        /// Its table.
        table: &'static str,
        /// Its key.
        row: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A host of this name is there already.
    #[error("host {0} already exists")]
    HostTaken(crate::domain::HostName),
    /// The random numbers of the system are not to be had.
    #[error("the system provides no random numbers")]
    Random,
    /// SQLite refused, for instance because the disk is full.
    #[error("the store cannot {action}: {}", .failure.explain(.directory))]
    Database {
        /// What was to be done.
        action: &'static str,
        /// The data directory.
        directory: Arc<Path>,
        /// The kind of failure.
        failure: Failure,
        /// What SQLite said.
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

    /// The kind of failure, where SQLite refused.
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
