//! Flags, environment and `wharfd.toml`, made into one checked value before anything is started.
//!
//! A flag wins over its variable, a variable over the file. Whatever is wrong is said in one
//! line that names the flag, variable or place in the file, and what would be right. `main` calls
//! [`Config::load`]; on SIGHUP the composition root calls [`ConfigFile::load_hosts`], which reads
//! the hosts and the groups of certificates anew and nothing else.

mod arguments;
mod check;
mod error;
mod file;
mod hosts;
mod limits;
mod listen;
mod settings;
mod tokens;
mod web;

use std::path::{Path, PathBuf};

use tracing::level_filters::LevelFilter;

use crate::domain::ServerIdentity;
use crate::store::StoreOptions;

pub use arguments::{Arguments, Environment};
pub use error::ConfigError;
pub use hosts::{FileHosts, load_hosts};
pub use limits::Limits;
pub use listen::Listen;
pub use tokens::Token;
pub use web::Web;

/// What `wharfd` was told, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the configuration file is, for reading the hosts again.
    pub file: ConfigFile,
    /// Where the store is.
    pub store: StoreOptions,
    /// Where to listen; at least one.
    pub listen: Vec<Listen>,
    /// Who is let in over TCP.
    pub access: Access,
    /// By which names, and from which web pages, it may be called.
    pub web: Web,
    /// Whether this machine's Docker socket is taken in where no host is known.
    pub local: bool,
    /// How many hosts one call works on at once; from 1 to 10,000.
    pub max_parallel: usize,
    /// How many rollouts that have ended are remembered; from 10 to 1,000,000.
    pub rollout_history: usize,
    /// What callers and hosts may use of this server.
    pub limits: Limits,
    /// How much is logged.
    pub log_level: LevelFilter,
    /// What a line of the log looks like.
    pub log_format: LogFormat,
    /// The hosts and groups of certificates of the file.
    pub hosts: FileHosts,
}

/// Who is let in over TCP. A unix socket knows its peer and needs none of this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Nothing is set up for TCP, and nothing listens on it.
    UnixOnly,
    /// TLS, and a client certificate or a token.
    Secured {
        /// Certificate and key, and the authorities of clients.
        identity: ServerIdentity,
        /// The tokens that are accepted; may be empty with authorities of clients.
        tokens: Vec<Token>,
    },
    /// Plain TCP for everyone, as the operator asked for by name.
    InsecureWithoutAuthentication,
}

/// What a line of the log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

/// Where the configuration file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigFile {
    /// It was named, or was there at start: it must be there when it is read again.
    Required(PathBuf),
    /// The default place, where nothing was at start.
    Optional(PathBuf),
    /// There is no default place, for want of a home directory.
    None,
}

impl Config {
    /// Reads and checks everything.
    pub fn load(arguments: Arguments, environment: &Environment) -> Result<Self, ConfigError> {
        settings::load(arguments, environment)
    }
}

impl ConfigFile {
    /// The path of the file that is in force.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Required(path) => Some(path),
            Self::Optional(path) => path.exists().then_some(path),
            Self::None => None,
        }
    }

    /// Reads hosts and groups of certificates. The file is taken whole or refused whole.
    pub fn load_hosts(&self) -> Result<FileHosts, ConfigError> {
        self.path().map_or_else(|| Ok(FileHosts::default()), load_hosts)
    }
}

#[cfg(test)]
mod tests;
