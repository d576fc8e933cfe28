//! Merges flags, environment, and `wharfd.toml` into one checked value before anything starts.
//!
//! A flag overrides its variable, and a variable overrides the file. Every problem is one line that
//! names the flag, variable, or place in the file, and the remedy. `main` calls [`Config::load`];
//! on SIGHUP, the composition root calls [`ConfigFile::load_hosts`], which reads only the hosts and
//! certificate groups again.

mod arguments;
mod check;
mod collector;
mod error;
mod file;
mod hosts;
mod limits;
mod listen;
mod settings;
mod tokens;
mod view;
mod web;

use std::path::{Path, PathBuf};

use tracing::level_filters::LevelFilter;

use crate::domain::ServerIdentity;
use crate::store::StoreOptions;

pub use arguments::{Arguments, Environment};
pub use collector::Collector;
pub use error::ConfigError;
pub use hosts::{FileHosts, load_hosts};
pub use limits::Limits;
pub use listen::Listen;
pub use tokens::Token;
pub use view::ViewOptions;
pub use web::Web;

/// The checked configuration of `wharfd`.
#[derive(Debug, Clone)]
pub struct Config {
    /// The configuration file, to read the hosts again.
    pub file: ConfigFile,
    /// The location of the store.
    pub store: StoreOptions,
    /// The listen addresses; at least one.
    pub listen: Vec<Listen>,
    /// The access over TCP.
    pub access: Access,
    /// The address to serve metrics on, if any.
    pub metrics: Option<Listen>,
    /// Where traces of calls are sent, if anywhere.
    pub collector: Option<Collector>,
    /// By which names, and from which web pages, it may be called.
    pub web: Web,
    /// Whether to add this machine's Docker socket if there are no hosts.
    pub local: bool,
    /// Number of hosts that one call works on at the same time; from 1 to 10,000.
    pub max_parallel: usize,
    /// How many rollouts that have ended are remembered; from 10 to 1,000,000.
    pub rollout_history: usize,
    /// The limits for callers and hosts.
    pub limits: Limits,
    /// Whether lists may come from memory.
    pub view: ViewOptions,
    /// How much is logged.
    pub log_level: LevelFilter,
    /// The log format.
    pub log_format: LogFormat,
    /// The hosts and groups of certificates of the file.
    pub hosts: FileHosts,
}

/// The access over TCP. A unix socket knows its peer and needs none of this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Nothing listens on TCP.
    UnixOnly,
    /// TLS, and a client certificate or a token.
    Secured {
        /// Certificate and key, and the authorities of clients.
        identity: ServerIdentity,
        /// The tokens that are accepted; may be empty with authorities of clients.
        tokens: Vec<Token>,
    },
    /// Plain TCP for everyone, explicitly requested by the operator.
    InsecureWithoutAuthentication,
}

/// The log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

/// The location of the configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigFile {
    /// It was named, or was there at start: it must be there when it is read again.
    Required(PathBuf),
    /// The default path, without a file at startup.
    Optional(PathBuf),
    /// There is no default path, because there is no home directory.
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
