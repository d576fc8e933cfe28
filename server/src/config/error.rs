//! Errors of the configuration. `main` prints them and exits with status 2.

use std::io;
use std::path::PathBuf;

/// Why `wharfd` cannot run with its configuration. Each text is one line; a `source` adds the error
/// of the system.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value that cannot be.
    #[error("{by}: {problem}")]
    Value {
        /// The flag, variable, or place in the file of the value.
        by: String,
        /// The problem and the remedy.
        problem: String,
    },
    /// A file that is named cannot be read.
    #[error("{by}: cannot read {path}; specify a file that exists and that wharfd can read")]
    Read {
        /// The flag, variable or place in the file that named it.
        by: String,
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The configuration file has a syntax error or an invalid key.
    #[error("{path}:{line}:{column}: {problem}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// The problem and the remedy.
        problem: String,
    },
}

impl ConfigError {
    /// A value that cannot be.
    pub(super) fn value(by: impl Into<String>, problem: impl std::fmt::Display) -> Self {
        Self::Value { by: by.into(), problem: problem.to_string() }
    }
}
