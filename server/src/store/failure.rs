//! The kinds of failure of SQLite that need different action. Decided once, from SQLite's code;
//! the API maps each kind to a code and a reason.

use std::path::Path;

/// Less free space than this, in bytes, and an I/O error is one of a full disk: SQLite reports
/// a shared-memory file that cannot grow as an I/O error.
const NO_ROOM: u64 = 64 << 10;

/// Why SQLite refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// `SQLITE_FULL`: no room on the disk.
    Full,
    /// `SQLITE_IOERR`: the disk, or the way to it, fails.
    Io,
    /// `SQLITE_READONLY`, `SQLITE_PERM`: files or file system cannot be written.
    ReadOnly,
    /// `SQLITE_BUSY`, `SQLITE_LOCKED`: another process holds the database for longer than the
    /// time that is waited.
    Busy,
    /// `SQLITE_CORRUPT`, `SQLITE_NOTADB`: the content of the file is damaged.
    Corrupt,
    /// `SQLITE_CANTOPEN`: the file is gone, or the process has no file descriptor left.
    CannotOpen,
    /// Anything else: a bug of this server.
    Other,
}

impl Failure {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Full,
        Self::Io,
        Self::ReadOnly,
        Self::Busy,
        Self::Corrupt,
        Self::CannotOpen,
        Self::Other,
    ];

    pub(super) fn of(error: &sqlx::Error, directory: &Path) -> Self {
        if matches!(error, sqlx::Error::PoolTimedOut) {
            return Self::Busy;
        }
        // The low byte is the primary code.
        let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
        match code.map(|code| code & 0xff) {
            Some(13) => Self::Full,
            Some(10) if has_no_room(directory) => Self::Full,
            Some(10) => Self::Io,
            Some(3 | 8) => Self::ReadOnly,
            Some(5 | 6) => Self::Busy,
            Some(11 | 26) => Self::Corrupt,
            Some(14) => Self::CannotOpen,
            _ => Self::Other,
        }
    }

    /// What is wrong, where, and what to do.
    pub(super) fn explain(self, directory: &Path) -> String {
        let directory = directory.display();
        match self {
            Self::Full => format!(
                "the disk of {directory} is full; make room there, and wharfd goes on without a restart"
            ),
            Self::Io => format!(
                "reading or writing in {directory} failed; check that disk, its mount and its quota"
            ),
            Self::ReadOnly => format!(
                "the files in {directory} cannot be written; check that the file system is mounted for writing, and their owner and mode"
            ),
            Self::Busy => format!(
                "another process holds {directory}/wharf.db; end it, or wait, and try again"
            ),
            Self::Corrupt => format!(
                "{directory}/wharf.db is damaged; stop wharfd, and put back a copy of the data directory"
            ),
            Self::CannotOpen => format!(
                "{directory}/wharf.db cannot be opened; check that it is there, and the limit of open files"
            ),
            Self::Other => format!("SQLite refused in {directory}; the log of wharfd says why"),
        }
    }
}

fn has_no_room(directory: &Path) -> bool {
    rustix::fs::statvfs(directory)
        .is_ok_and(|space| space.f_bavail.saturating_mul(space.f_frsize) < NO_ROOM)
}
