//! Merges flags, environment, and file, in this order of precedence. Called by [`Config::load`];
//! `check` decides what each value must be.

use std::ffi::OsString;
use std::path::PathBuf;

use super::collector;
use super::file::{Document, Source};
use super::{
    Arguments, Config, ConfigError, ConfigFile, Environment, FileHosts, Limits, ViewOptions, hosts,
};

/// A value and its source: a flag, a variable, or a key of the file.
#[derive(Debug, Clone)]
pub(super) struct Given<T> {
    pub value: T,
    pub by: String,
}

/// The values of one source; unchecked text.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub data_dir: Option<Given<PathBuf>>,
    pub secret_key_file: Option<Given<PathBuf>>,
    pub listen: Option<Given<Vec<String>>>,
    pub allowed_hosts: Option<Given<Vec<String>>>,
    pub allowed_origins: Option<Given<Vec<String>>>,
    pub no_local: Option<Given<bool>>,
    pub max_parallel: Option<Given<String>>,
    pub rollout_history: Option<Given<String>>,
    pub log_level: Option<Given<String>>,
    pub log_format: Option<Given<String>>,
    pub tls_cert: Option<Given<PathBuf>>,
    pub tls_key: Option<Given<PathBuf>>,
    pub tls_client_ca: Option<Given<PathBuf>>,
    pub token_file: Option<Given<PathBuf>>,
    pub open_tcp: Option<Given<bool>>,
    pub metrics_listen: Option<Given<String>>,
    pub open_metrics: Option<Given<bool>>,
    pub otlp_endpoint: Option<Given<String>>,
}

pub(super) fn load(arguments: Arguments, environment: &Environment) -> Result<Config, ConfigError> {
    let (file, by) = config_file(&arguments, environment);
    let (from_file, hosts, limits, view) = match file.path() {
        None => {
            let (limits, view) = (Limits::default(), ViewOptions::default());
            (Settings::default(), FileHosts::default(), limits, view)
        }
        Some(path) => {
            let source = Source::read(path, &by)?;
            let document = source.document()?;
            let hosts = hosts::hosts(&source, &document)?;
            let name = path.display().to_string();
            let (limits, view) = (document.limits.check(&name)?, document.view.check(&name)?);
            (Settings::from_file(document, &source), hosts, limits, view)
        }
    };
    let settings = Settings::from_arguments(arguments)
        .or(Settings::from_environment(environment)?)
        .or(from_file);
    settings.check(environment, file, hosts, limits, view)
}

/// The specified file, or the default path; and what specified it.
fn config_file(arguments: &Arguments, environment: &Environment) -> (ConfigFile, String) {
    if let Some(path) = &arguments.config {
        return (ConfigFile::Required(path.clone()), "--config".to_owned());
    }
    if let Some(path) = environment.get("WHARFD_CONFIG") {
        return (ConfigFile::Required(path.into()), "WHARFD_CONFIG".to_owned());
    }
    let directory = if environment.is_root() {
        Some(PathBuf::from("/etc"))
    } else {
        environment
            .directory("XDG_CONFIG_HOME")
            .or_else(|| environment.directory("HOME").map(|home| home.join(".config")))
    };
    let file = match directory.map(|directory| directory.join("wharf/wharfd.toml")) {
        Some(path) if path.exists() => ConfigFile::Required(path),
        Some(path) => ConfigFile::Optional(path),
        None => ConfigFile::None,
    };
    (file, "configuration file".to_owned())
}

impl Settings {
    fn from_arguments(arguments: Arguments) -> Self {
        fn given<T>(flag: &str, value: Option<T>) -> Option<Given<T>> {
            value.map(|value| Given { value, by: format!("--{flag}") })
        }
        let list = |given: Vec<String>| Some(given).filter(|given| !given.is_empty());
        let open_tcp = arguments.insecure_tcp_without_authentication.then_some(true);
        let open_metrics = arguments.metrics_without_authentication.then_some(true);
        Self {
            data_dir: given("data-dir", arguments.data_dir),
            secret_key_file: given("secret-key-file", arguments.secret_key_file),
            listen: given("listen", list(arguments.listen)),
            allowed_hosts: given("allowed-hosts", list(arguments.allowed_hosts)),
            allowed_origins: given("allowed-origins", list(arguments.allowed_origins)),
            no_local: given("no-local", arguments.no_local.then_some(true)),
            max_parallel: given("max-parallel", arguments.max_parallel),
            rollout_history: given("rollout-history", arguments.rollout_history),
            log_level: given("log-level", arguments.log_level),
            log_format: given("log-format", arguments.log_format),
            tls_cert: given("tls-cert", arguments.tls_cert),
            tls_key: given("tls-key", arguments.tls_key),
            tls_client_ca: given("tls-client-ca", arguments.tls_client_ca),
            token_file: given("token-file", arguments.token_file),
            open_tcp: given("insecure-tcp-without-authentication", open_tcp),
            metrics_listen: given("metrics-listen", arguments.metrics_listen),
            open_metrics: given("metrics-without-authentication", open_metrics),
            otlp_endpoint: given("otlp-endpoint", arguments.otlp_endpoint),
        }
    }

    fn from_environment(environment: &Environment) -> Result<Self, ConfigError> {
        let raw = |name: &str| {
            let by = format!("WHARFD_{name}");
            environment.get(&by).map(|value| Given { value, by })
        };
        let path = |name| raw(name).map(|given| given.map(PathBuf::from));
        let text = |name| {
            raw(name).map(|Given { value, by }| match value.into_string() {
                Ok(value) => Ok(Given { value, by }),
                Err(_) => Err(ConfigError::value(by, "is not UTF-8; write it in UTF-8")),
            })
        };
        let switch = |name| {
            raw(name).map(|Given { value, by }| match parse_switch(&value) {
                Some(value) => Ok(Given { value, by }),
                None => Err(ConfigError::value(by, "write true or false")),
            })
        };
        let list = |name| {
            let given = text(name).transpose()?;
            let parts = |list: String| list.split(',').map(|it| it.trim().to_owned()).collect();
            Ok(given.map(|given| given.map(parts)))
        };
        let otlp_endpoint = match text("OTLP_ENDPOINT").transpose()? {
            Some(own) => Some(own),
            None => collector::of_opentelemetry(environment)?
                .map(|(value, by)| Given { value, by: by.to_owned() }),
        };
        Ok(Self {
            data_dir: path("DATA_DIR"),
            secret_key_file: path("SECRET_KEY_FILE"),
            listen: list("LISTEN")?,
            allowed_hosts: list("ALLOWED_HOSTS")?,
            allowed_origins: list("ALLOWED_ORIGINS")?,
            no_local: switch("NO_LOCAL").transpose()?,
            max_parallel: text("MAX_PARALLEL").transpose()?,
            rollout_history: text("ROLLOUT_HISTORY").transpose()?,
            log_level: text("LOG_LEVEL").transpose()?,
            log_format: text("LOG_FORMAT").transpose()?,
            tls_cert: path("TLS_CERT"),
            tls_key: path("TLS_KEY"),
            tls_client_ca: path("TLS_CLIENT_CA"),
            token_file: path("TOKEN_FILE"),
            open_tcp: switch("INSECURE_TCP_WITHOUT_AUTHENTICATION").transpose()?,
            metrics_listen: text("METRICS_LISTEN").transpose()?,
            open_metrics: switch("METRICS_WITHOUT_AUTHENTICATION").transpose()?,
            otlp_endpoint,
        })
    }

    fn from_file(document: Document, source: &Source) -> Self {
        fn given<T>(source: &Source, key: &str, value: Option<T>) -> Option<Given<T>> {
            value.map(|value| Given { value, by: format!("{}: {key}", source.path.display()) })
        }
        let path = |key, value: Option<PathBuf>| {
            given(source, key, value.map(|path| source.resolve(&path)))
        };
        let number =
            |key, value: Option<i64>| given(source, key, value.map(|number| number.to_string()));
        Self {
            data_dir: path("data_dir", document.data_dir),
            secret_key_file: path("secret_key_file", document.secret_key_file),
            listen: given(source, "listen", document.listen),
            allowed_hosts: given(source, "allowed_hosts", document.allowed_hosts),
            allowed_origins: given(source, "allowed_origins", document.allowed_origins),
            no_local: given(source, "no_local", document.no_local),
            max_parallel: number("max_parallel", document.max_parallel),
            rollout_history: number("rollout_history", document.rollout_history),
            log_level: given(source, "log_level", document.log_level),
            log_format: given(source, "log_format", document.log_format),
            tls_cert: path("tls_cert", document.tls_cert),
            tls_key: path("tls_key", document.tls_key),
            tls_client_ca: path("tls_client_ca", document.tls_client_ca),
            token_file: path("token_file", document.token_file),
            open_tcp: given(
                source,
                "insecure_tcp_without_authentication",
                document.insecure_tcp_without_authentication,
            ),
            metrics_listen: given(source, "metrics_listen", document.metrics_listen),
            open_metrics: given(
                source,
                "metrics_without_authentication",
                document.metrics_without_authentication,
            ),
            otlp_endpoint: given(source, "otlp_endpoint", document.otlp_endpoint),
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            data_dir: self.data_dir.or(other.data_dir),
            secret_key_file: self.secret_key_file.or(other.secret_key_file),
            listen: self.listen.or(other.listen),
            allowed_hosts: self.allowed_hosts.or(other.allowed_hosts),
            allowed_origins: self.allowed_origins.or(other.allowed_origins),
            no_local: self.no_local.or(other.no_local),
            max_parallel: self.max_parallel.or(other.max_parallel),
            rollout_history: self.rollout_history.or(other.rollout_history),
            log_level: self.log_level.or(other.log_level),
            log_format: self.log_format.or(other.log_format),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            tls_client_ca: self.tls_client_ca.or(other.tls_client_ca),
            token_file: self.token_file.or(other.token_file),
            open_tcp: self.open_tcp.or(other.open_tcp),
            metrics_listen: self.metrics_listen.or(other.metrics_listen),
            open_metrics: self.open_metrics.or(other.open_metrics),
            otlp_endpoint: self.otlp_endpoint.or(other.otlp_endpoint),
        }
    }
}

impl<T> Given<T> {
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Given<U> {
        Given { value: change(self.value), by: self.by }
    }
}

fn parse_switch(value: &OsString) -> Option<bool> {
    match value.to_str()?.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}
