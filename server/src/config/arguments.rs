//! What was typed and what the environment says, as text; `settings` makes sense of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// Wharf, one gRPC API for every Docker host you own: the server.
///
/// Every option may also come from a variable, WHARFD_ and its name in capitals with underscores
/// (such as WHARFD_DATA_DIR), or from the configuration file, under its name with underscores. A
/// flag wins over its variable, a variable over the file.
#[derive(Debug, Clone, Default, clap::Parser)]
#[command(name = "wharfd", version)]
pub struct Arguments {
    /// Configuration file [default: $XDG_CONFIG_HOME/wharf/wharfd.toml, as root
    /// /etc/wharf/wharfd.toml, where it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory for what must survive a restart [default: $XDG_DATA_HOME/wharf, as root
    /// /var/lib/wharf]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Key that seals kept secrets; made where it is missing [default: secret.key in the data
    /// directory]
    #[arg(long, value_name = "FILE")]
    pub secret_key_file: Option<PathBuf>,
    /// Where to listen: unix:///PATH or tcp://HOST:PORT; may be repeated, in the variable
    /// separated by commas [default: $XDG_RUNTIME_DIR/wharf/wharfd.sock, as root
    /// /run/wharf/wharfd.sock]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Vec<String>,
    /// Name by which callers of plain TCP may come, besides loopback addresses and localhost; may be
    /// repeated, in the variable separated by commas
    #[arg(long, value_name = "NAME")]
    pub allowed_hosts: Vec<String>,
    /// Origin of web pages that may call, such as `https://ui.example.com`; may be repeated, in the
    /// variable separated by commas [default: none]
    #[arg(long, value_name = "ORIGIN")]
    pub allowed_origins: Vec<String>,
    /// Do not take in this machine's Docker socket where no host is known
    #[arg(long)]
    pub no_local: bool,
    /// How many hosts one call works on at once, from 1 to 10000 [default: 256]
    #[arg(long, value_name = "N")]
    pub max_parallel: Option<String>,
    /// How many rollouts that have ended are remembered, from 10 to 1000000 [default: 1000]
    #[arg(long, value_name = "N")]
    pub rollout_history: Option<String>,
    /// How much to log: off, error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// What the log looks like: text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Certificate of this server, with its chain, in PEM; for tcp:// listeners
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of that certificate, in PEM
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Authorities whose client certificates are let in, in PEM
    #[arg(long, value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// Tokens that are let in: lines of name:role:token or name:role:SHA256-OF-TOKEN, the role
    /// being reader, operator or admin
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Let everyone in over plain TCP. Whoever reaches the port is then root on every host
    #[arg(long)]
    pub insecure_tcp_without_authentication: bool,
}

/// The variables of the process, and whether it is root.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    is_root: bool,
}

impl Environment {
    /// That of this process.
    pub fn of_process() -> Self {
        Self::new(std::env::vars_os(), rustix::process::geteuid().is_root())
    }

    /// A made-up one.
    pub fn new<K, V>(variables: impl IntoIterator<Item = (K, V)>, is_root: bool) -> Self
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let variables =
            variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { variables, is_root }
    }

    /// Whether the process is root.
    pub fn is_root(&self) -> bool {
        self.is_root
    }

    /// A variable; an empty one is as good as none.
    pub fn get(&self, name: &str) -> Option<OsString> {
        self.variables.get(&OsString::from(name)).filter(|value| !value.is_empty()).cloned()
    }

    /// A directory of the XDG base directory specification, which says to ignore relative ones.
    pub(super) fn directory(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from).filter(|path| path.is_absolute())
    }
}
