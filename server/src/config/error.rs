//! What can be wrong with the configuration. `main` prints it and ends with status 2.

use std::io;
use std::path::PathBuf;

/// Why `wharfd` cannot run as it was told. Each text is one line; a `source` adds what the system
/// said.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value that cannot be.
    #[error("{by}: {problem}")]
    Value {
        /// The flag, variable or place in the file that it came from.
        by: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A file that is named cannot be read.
    #[error("{by}: cannot read {path}; specify a file that exists and that wharfd can read")]
    Read {
        /// The flag, variable or place in the file that named it.
        by: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The configuration file is not what its syntax or its keys allow.
    #[error("{path}:{line}:{column}: {problem}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What is wrong and what would be right.
        problem: String,
    },
}

impl ConfigError {
    /// A value that cannot be.
    pub(super) fn value(by: impl Into<String>, problem: impl std::fmt::Display) -> Self {
        Self::Value { by: by.into(), problem: problem.to_string() }
    }
}
