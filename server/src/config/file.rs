//! The keys of `wharfd.toml`, and errors with line and column. Called by `settings` at start and
//! by `hosts` whenever the file is read.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::error::ConfigError;

/// The file as written; only keys and types are checked.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub data_dir: Option<PathBuf>,
    pub secret_key_file: Option<PathBuf>,
    pub listen: Option<Vec<String>>,
    pub allowed_hosts: Option<Vec<String>>,
    pub allowed_origins: Option<Vec<String>>,
    pub no_local: Option<bool>,
    pub max_parallel: Option<i64>,
    pub rollout_history: Option<i64>,
    pub log_level: Option<String>,
    pub log_format: Option<String>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub tls_client_ca: Option<PathBuf>,
    pub token_file: Option<PathBuf>,
    pub insecure_tcp_without_authentication: Option<bool>,
    pub metrics_listen: Option<String>,
    pub metrics_without_authentication: Option<bool>,
    pub otlp_endpoint: Option<String>,
    #[serde(default)]
    pub limits: super::limits::Table,
    #[serde(default)]
    pub view: super::view::Table,
    #[serde(default)]
    pub tls: BTreeMap<String, Spanned<Group>>,
    #[serde(default)]
    pub host: Vec<Spanned<HostEntry>>,
}

/// `[tls.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    pub ca: PathBuf,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

/// `[[host]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HostEntry {
    pub name: String,
    pub address: String,
    pub tls: Option<String>,
    pub tls_ca: Option<PathBuf>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    #[serde(default)]
    pub insecure: bool,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// A file that was read, for errors with positions.
pub(super) struct Source {
    pub path: PathBuf,
    text: String,
}

impl Source {
    /// Reads a file whose path came from `by`.
    pub(super) fn read(path: &Path, by: &str) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
            by: by.to_owned(),
            path: path.to_owned(),
            source,
        })?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// The keys of the file.
    pub(super) fn document(&self) -> Result<Document, ConfigError> {
        toml::from_str(&self.text).map_err(|error| {
            self.error(error.span().unwrap_or(0..0), error.message().replace('\n', ", "))
        })
    }

    /// An error about a part of the text.
    pub(super) fn error(&self, span: Range<usize>, problem: impl std::fmt::Display) -> ConfigError {
        let before = self.text.get(..span.start).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        ConfigError::Syntax {
            path: self.path.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            problem: problem.to_string(),
        }
    }

    /// A path of the file, which is relative to it.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }
}
