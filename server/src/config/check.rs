//! The validity and the default of each setting. Called by `settings` once the sources are merged.

use std::fs;
use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tracing::level_filters::LevelFilter;

use super::settings::{Given, Settings};
use super::{
    Access, Collector, Config, ConfigError, ConfigFile, Environment, FileHosts, Limits, Listen,
    LogFormat, ViewOptions, Web, tokens,
};
use crate::domain::{Secret, ServerIdentity, TlsPart, UnixPath, quoted};
use crate::store::StoreOptions;

impl Settings {
    /// Checks every value and fills in the defaults.
    pub(super) fn check(
        self,
        environment: &Environment,
        file: ConfigFile,
        hosts: FileHosts,
        limits: Limits,
        view: ViewOptions,
    ) -> Result<Config, ConfigError> {
        let listen = check_listen(self.listen.as_ref(), environment)?;
        let access = self.access(&listen)?;
        let metrics = self.metrics(&listen)?;
        let collector = self.collector()?;
        let data_dir = match self.data_dir {
            Some(given) => given.value,
            None => default_data_dir(environment)?,
        };
        Ok(Config {
            file,
            store: StoreOptions {
                data_dir,
                secret_key_file: self.secret_key_file.map(|given| given.value),
            },
            listen,
            access,
            metrics,
            collector,
            web: Web::check(self.allowed_hosts.as_ref(), self.allowed_origins.as_ref())?,
            local: !self.no_local.is_some_and(|given| given.value),
            max_parallel: check_number(self.max_parallel, 256, 1..=10_000)?,
            rollout_history: check_number(self.rollout_history, 1000, 10..=1_000_000)?,
            limits,
            view,
            log_level: check_log_level(self.log_level)?,
            log_format: check_log_format(self.log_format)?,
            hosts,
        })
    }

    /// The access over TCP; refuses everything half open.
    fn access(&self, listen: &[Listen]) -> Result<Access, ConfigError> {
        let tcp = listen.iter().find(|listen| matches!(listen, Listen::Tcp { .. }));
        let open = self.open_tcp.as_ref().filter(|given| given.value);
        let secured = [&self.tls_cert, &self.tls_key, &self.tls_client_ca, &self.token_file];
        if let (Some(open), Some(other)) = (open, secured.into_iter().flatten().next()) {
            let problem =
                format!("admits everyone, which conflicts with {}; remove one of them", other.by);
            return Err(ConfigError::value(&open.by, problem));
        }
        let identity = self.identity()?;
        let tokens = match &self.token_file {
            None => Vec::new(),
            Some(given) => {
                let place = format!("{}: {}", given.by, given.value.display());
                tokens::parse(&read(given)?, is_exposed(&given.value))
                    .map_err(|problem| ConfigError::value(place, problem))?
            }
        };
        let refuse = |tcp: &Listen, problem: &str| {
            let by = self.listen.as_ref().map_or("--listen", |given| &given.by);
            ConfigError::value(by, format!("{tcp} {problem}"))
        };
        match (tcp, identity, open) {
            (None, None, _) => Ok(Access::UnixOnly),
            (Some(_), None, Some(_)) => Ok(Access::InsecureWithoutAuthentication),
            (Some(tcp), None, None) => Err(refuse(
                tcp,
                "requires TLS and a credential: set --tls-cert and --tls-key, and --tls-client-ca or --token-file; or admit everyone with --insecure-tcp-without-authentication",
            )),
            (Some(tcp), Some(identity), _)
                if identity.client_ca_pem().is_none() && tokens.is_empty() =>
            {
                Err(refuse(
                    tcp,
                    "has TLS but no way to authenticate callers: set --tls-client-ca or --token-file",
                ))
            }
            (_, Some(identity), _) => Ok(Access::Secured { identity, tokens }),
        }
    }

    /// The address for metrics. They have no secrets, but name all hosts: other machines can reach
    /// them only if the operator says so.
    fn metrics(&self, listen: &[Listen]) -> Result<Option<Listen>, ConfigError> {
        let Some(Given { value, by }) = &self.metrics_listen else { return Ok(None) };
        let address = Listen::parse(value).map_err(|problem| ConfigError::value(by, problem))?;
        if listen.contains(&address) {
            let problem = format!("{address} is also an address of the API; use another port");
            return Err(ConfigError::value(by, problem));
        }
        if !address.is_local() && !self.open_metrics.as_ref().is_some_and(|given| given.value) {
            let problem = format!(
                "{address} is not a loopback address, and anyone who can connect can read the names, versions, and states of all hosts; use 127.0.0.1, or admit everyone with --metrics-without-authentication"
            );
            return Err(ConfigError::value(by, problem));
        }
        Ok(Some(address))
    }

    fn collector(&self) -> Result<Option<Collector>, ConfigError> {
        let Some(Given { value, by }) = &self.otlp_endpoint else { return Ok(None) };
        Collector::parse(value).map(Some).map_err(|problem| ConfigError::value(by, problem))
    }

    fn identity(&self) -> Result<Option<ServerIdentity>, ConfigError> {
        let (cert, key) = match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => (cert, key),
            (Some(cert), None) => {
                return Err(ConfigError::value(
                    &cert.by,
                    "also requires the private key: --tls-key",
                ));
            }
            (None, Some(key)) => {
                return Err(ConfigError::value(
                    &key.by,
                    "also requires the certificate: --tls-cert",
                ));
            }
            (None, None) => {
                return match &self.tls_client_ca {
                    None => Ok(None),
                    Some(ca) => Err(ConfigError::value(
                        &ca.by,
                        "also requires the certificate of this server: --tls-cert and --tls-key",
                    )),
                };
            }
        };
        let ca = self.tls_client_ca.as_ref();
        let client_ca = ca.map(read).transpose()?;
        let identity = ServerIdentity::new(read(cert)?, Secret::new(read(key)?), client_ca);
        identity.map(Some).map_err(|error| {
            let given = match error.part {
                TlsPart::Ca => ca.unwrap_or(cert),
                TlsPart::Certificate => cert,
                TlsPart::Key => key,
            };
            ConfigError::value(format!("{}: {}", given.by, given.value.display()), error)
        })
    }
}

/// Whether every user of the machine can read the file.
fn is_exposed(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

fn read(given: &Given<PathBuf>) -> Result<String, ConfigError> {
    fs::read_to_string(&given.value).map_err(|source| ConfigError::Read {
        by: given.by.clone(),
        path: given.value.clone(),
        source,
    })
}

fn check_listen(
    given: Option<&Given<Vec<String>>>,
    environment: &Environment,
) -> Result<Vec<Listen>, ConfigError> {
    let Some(given) = given else { return Ok(vec![default_listen(environment)?]) };
    let mut listen = Vec::new();
    for text in &given.value {
        let address =
            Listen::parse(text).map_err(|problem| ConfigError::value(&given.by, problem))?;
        if listen.contains(&address) {
            let problem = format!("{address} occurs twice; remove one");
            return Err(ConfigError::value(&given.by, problem));
        }
        listen.push(address);
    }
    if listen.is_empty() {
        return Err(ConfigError::value(&given.by, "is empty; write unix:///PATH, or don't set it"));
    }
    Ok(listen)
}

fn default_listen(environment: &Environment) -> Result<Listen, ConfigError> {
    let directory = if environment.is_root() {
        Some(PathBuf::from("/run"))
    } else {
        environment.directory("XDG_RUNTIME_DIR")
    };
    directory
        .map(|directory| directory.join("wharf/wharfd.sock"))
        .and_then(|path| UnixPath::parse(path.to_str()?).ok())
        .map(Listen::Unix)
        .ok_or_else(|| {
            let problem = "XDG_RUNTIME_DIR is not a usable directory for a socket; set the address with --listen unix:///PATH";
            ConfigError::value("--listen", problem)
        })
}

fn default_data_dir(environment: &Environment) -> Result<PathBuf, ConfigError> {
    if environment.is_root() {
        return Ok(PathBuf::from("/var/lib/wharf"));
    }
    environment
        .directory("XDG_DATA_HOME")
        .or_else(|| environment.directory("HOME").map(|home| home.join(".local/share")))
        .map(|directory| directory.join("wharf"))
        .ok_or_else(|| {
            let problem = "neither XDG_DATA_HOME nor HOME is a directory; set the data directory with --data-dir DIR";
            ConfigError::value("--data-dir", problem)
        })
}

fn check_number(
    given: Option<Given<String>>,
    default: usize,
    range: RangeInclusive<usize>,
) -> Result<usize, ConfigError> {
    let Some(Given { value, by }) = given else { return Ok(default) };
    match value.parse::<usize>() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => {
            let (from, to) = (range.start(), range.end());
            let problem = format!("{} is not a number from {from} to {to}", quoted(&value));
            Err(ConfigError::value(by, problem))
        }
    }
}

fn check_log_level(given: Option<Given<String>>) -> Result<LevelFilter, ConfigError> {
    let Some(Given { value, by }) = given else { return Ok(LevelFilter::INFO) };
    match value.to_ascii_lowercase().as_str() {
        "off" => Ok(LevelFilter::OFF),
        "error" => Ok(LevelFilter::ERROR),
        "warn" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        _ => {
            let problem = "is not a level; use off, error, warn, info, debug, or trace";
            Err(ConfigError::value(by, format!("{} {problem}", quoted(&value))))
        }
    }
}

fn check_log_format(given: Option<Given<String>>) -> Result<LogFormat, ConfigError> {
    let Some(Given { value, by }) = given else { return Ok(LogFormat::Text) };
    match value.to_ascii_lowercase().as_str() {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => {
            let problem = format!("{} is not a format; use text or json", quoted(&value));
            Err(ConfigError::value(by, problem))
        }
    }
}
