//! The command line and the environment as text; `settings` interprets it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// The server of Wharf: one gRPC API for every Docker host you own.
///
/// You can also set every option with an environment variable, WHARFD_ and its name in capitals
/// with underscores (such as WHARFD_DATA_DIR), or in the configuration file, under its name with
/// underscores. A flag overrides its variable, and a variable overrides the file.
#[derive(Debug, Clone, Default, clap::Parser)]
#[command(name = "wharfd", version)]
pub struct Arguments {
    /// Configuration file [default: $XDG_CONFIG_HOME/wharf/wharfd.toml, or as root
    /// /etc/wharf/wharfd.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory for persistent data [default: $XDG_DATA_HOME/wharf, or as root
    /// /var/lib/wharf]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Key file to encrypt stored secrets; created if missing [default: secret.key in the data
    /// directory]
    #[arg(long, value_name = "FILE")]
    pub secret_key_file: Option<PathBuf>,
    /// Address to listen on: unix:///PATH or tcp://HOST:PORT; can be repeated, or separated by
    /// commas in the variable [default: $XDG_RUNTIME_DIR/wharf/wharfd.sock, or as root
    /// /run/wharf/wharfd.sock]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Vec<String>,
    /// Host name that callers of plain TCP may use, besides loopback addresses and localhost; can
    /// be repeated, or separated by commas in the variable
    #[arg(long, value_name = "NAME")]
    pub allowed_hosts: Vec<String>,
    /// Origin of web pages that may call, such as `https://ui.example.com`; can be repeated, or
    /// separated by commas in the variable [default: none]
    #[arg(long, value_name = "ORIGIN")]
    pub allowed_origins: Vec<String>,
    /// Don't add this machine's Docker socket as a host if no hosts are configured
    #[arg(long)]
    pub no_local: bool,
    /// Maximum number of hosts that one call works on at the same time, from 1 to 10000 [default:
    /// 256]
    #[arg(long, value_name = "N")]
    pub max_parallel: Option<String>,
    /// Number of ended rollouts to keep, from 10 to 1000000 [default: 1000]
    #[arg(long, value_name = "N")]
    pub rollout_history: Option<String>,
    /// Log level: off, error, warn, info, debug, or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Log format: text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Server certificate with its chain (PEM), for tcp:// listeners
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the server certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// CA certificates to verify client certificates (PEM)
    #[arg(long, value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// File of accepted tokens: lines of name:role:token or name:role:SHA256-OF-TOKEN, with the
    /// role reader, operator, or admin
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Allow plain TCP without authentication: anyone who can connect is root on every host
    #[arg(long)]
    pub insecure_tcp_without_authentication: bool,
    /// Address to serve metrics on, as http://HOST:PORT/metrics: tcp://HOST:PORT with a loopback
    /// address, such as tcp://127.0.0.1:9464, or unix:///PATH [default: none]
    #[arg(long, value_name = "ADDRESS")]
    pub metrics_listen: Option<String>,
    /// Allow metrics on an address that other machines can reach: anyone who can connect can read
    /// the names, versions, and states of all hosts
    #[arg(long)]
    pub metrics_without_authentication: bool,
    /// Collector to send traces of calls to, over OTLP with gRPC: http://HOST:PORT, such as
    /// http://127.0.0.1:4317, or https://HOST:PORT [default: OTEL_EXPORTER_OTLP_ENDPOINT, if set]
    #[arg(long, value_name = "URL")]
    pub otlp_endpoint: Option<String>,
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

    /// An environment for tests.
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

    /// A variable; an empty one counts as unset.
    pub fn get(&self, name: &str) -> Option<OsString> {
        self.variables.get(&OsString::from(name)).filter(|value| !value.is_empty()).cloned()
    }

    /// A directory of the XDG base directory specification, which says to ignore relative ones.
    pub(super) fn directory(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from).filter(|path| path.is_absolute())
    }
}
