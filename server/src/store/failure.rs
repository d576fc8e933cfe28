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
    /// `SQLITE_BUSY`, `SQLITE_LOCKED`: another process has locked the database for longer than the
    /// waiting time.
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

    /// The problem, where it is, and what to do.
    pub(super) fn explain(self, directory: &Path) -> String {
        let directory = directory.display();
        match self {
            Self::Full => format!(
                "the disk of {directory} is full; free some space, and wharfd continues without a restart"
            ),
            Self::Io => format!(
                "reading or writing in {directory} failed; check the disk, its mount, and its quota"
            ),
            Self::ReadOnly => format!(
                "cannot write the files in {directory}; check that the file system is mounted read-write, and their owner and mode"
            ),
            Self::Busy => format!(
                "another process has locked {directory}/wharf.db; stop it, or wait, and retry"
            ),
            Self::Corrupt => format!(
                "{directory}/wharf.db is damaged; stop wharfd, and restore a backup of the data directory"
            ),
            Self::CannotOpen => format!(
                "cannot open {directory}/wharf.db; check that it exists, and the limit of open files"
            ),
            Self::Other => format!("SQLite failed in {directory}; see the wharfd log"),
        }
    }
}

fn has_no_room(directory: &Path) -> bool {
    rustix::fs::statvfs(directory)
        .is_ok_and(|space| space.f_bavail.saturating_mul(space.f_frsize) < NO_ROOM)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::error::Error;
    use std::fmt;

    use sqlx::error::{DatabaseError, ErrorKind};

    use super::*;

    /// An error with a code of SQLite.
    #[derive(Debug)]
    struct Injected(u32);

    impl fmt::Display for Injected {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "injected {}", self.0)
        }
    }

    impl Error for Injected {}

    impl DatabaseError for Injected {
        fn message(&self) -> &str {
            "injected"
        }
        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.to_string().into())
        }
        fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
            self
        }
        fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
            self
        }
        fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
            self
        }
        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    #[test]
    fn every_code_of_sqlite_is_of_a_kind_that_names_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        // Primary codes, and extended ones: the higher bytes say what SQLite was doing.
        let codes = [
            (Failure::Full, &[13][..]),
            (Failure::Io, &[10, 266, 522, 778, 1034, 1290, 1546, 2314, 4106, 4874, 5386, 6410]),
            (Failure::ReadOnly, &[8, 3, 264, 520, 776, 1032, 1288, 1544]),
            (Failure::Busy, &[5, 6, 261, 262, 517, 773]),
            (Failure::Corrupt, &[11, 26, 267, 523, 779]),
            (Failure::CannotOpen, &[14, 270, 526, 782, 1038, 1550]),
            (Failure::Other, &[1, 2, 7, 9, 19, 20, 21]),
        ];
        assert_eq!(codes.map(|(kind, _)| kind).len(), Failure::ALL.len());
        for (kind, codes) in codes {
            for code in codes {
                let error = sqlx::Error::Database(Box::new(Injected(*code)));
                assert_eq!(Failure::of(&error, directory.path()), kind, "{code}");
            }
            let text = kind.explain(directory.path());
            assert!(text.contains(&directory.path().display().to_string()), "{text}");
        }
        assert_eq!(Failure::of(&sqlx::Error::PoolTimedOut, directory.path()), Failure::Busy);
    }
}
