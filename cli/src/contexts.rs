//! The servers a user works with, by name: `$XDG_CONFIG_HOME/wharf/contexts.toml`, mode 0600.
//!
//! Called by the `context` commands and by `server.rs`.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde::{Deserialize, Serialize};

use crate::exit::Failure;

/// All contexts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contexts {
    /// The default context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// By name.
    #[serde(default)]
    pub contexts: BTreeMap<String, Context>,
}

/// A server and how to reach it. Files are absolute paths; their content is read at each use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// `unix:///PATH`, `tcp://HOST:PORT` or `https://HOST:PORT`.
    pub server: String,
    /// PEM file with the CA certificates for the server's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_ca: Option<PathBuf>,
    /// PEM file with the client certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the key of the client certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
    /// Name to expect in the server's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
    /// File with the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
}

impl Contexts {
    /// The user's file; `None` if neither `XDG_CONFIG_HOME` nor `HOME` is set.
    pub fn path() -> Option<PathBuf> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let configuration =
            set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
        Some(configuration.join("wharf/contexts.toml"))
    }

    /// Reads the user's file; a missing file counts as empty.
    pub fn load() -> Result<Self, Failure> {
        Self::path().map_or_else(|| Ok(Self::default()), |path| Self::load_from(&path))
    }

    /// Changes the user's file. Of two concurrent changes, the later one wins; neither leaves a
    /// partial file.
    pub fn change(change: impl FnOnce(&mut Self) -> Result<(), Failure>) -> Result<(), Failure> {
        let path = Self::path().ok_or_else(|| {
            Failure::usage("cannot store contexts: neither XDG_CONFIG_HOME nor HOME is set")
        })?;
        let mut contexts = Self::load_from(&path)?;
        change(&mut contexts)?;
        contexts
            .save_to(&path)
            .map_err(|error| Failure::Usage(format!("cannot write {}: {error}", path.display())))
    }

    /// A context that must exist.
    pub fn get(&self, name: &str) -> Result<&Context, Failure> {
        self.contexts.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
            let known = if known.is_empty() {
                "no contexts; to create one, run: wharf context set NAME --server ADDRESS"
                    .to_owned()
            } else {
                format!("known: {}", known.join(", "))
            };
            Failure::Usage(format!("no context \"{}\" ({known})", name.escape_debug()))
        })
    }

    fn load_from(path: &Path) -> Result<Self, Failure> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                return Err(Failure::Usage(format!("cannot read {}: {error}", path.display())));
            }
        };
        toml::from_str(&text).map_err(|error| {
            Failure::Usage(format!(
                "{} is not valid: {}",
                path.display(),
                error.to_string().trim_end()
            ))
        })
    }

    fn save_to(&self, path: &Path) -> std::io::Result<()> {
        let directory = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        let text = toml::to_string(self).map_err(std::io::Error::other)?;
        let temporary = directory.join(format!(".contexts.toml.{}", std::process::id()));
        let written = (|| {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, path)
        })();
        if written.is_err() {
            // Report the first error.
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_was_saved_is_read_again_and_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("wharf/contexts.toml");
        let mut contexts = Contexts::load_from(&path).unwrap();
        assert_eq!(contexts, Contexts::default());
        contexts.current = Some("prod".into());
        let prod = Context { server: "https://a:7443".into(), ..Context::default() };
        contexts.contexts.insert("prod".into(), prod);
        contexts.save_to(&path).unwrap();
        assert_eq!(Contexts::load_from(&path).unwrap(), contexts);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_broken_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("contexts.toml");
        fs::write(&path, "current = 5\n").unwrap();
        let Err(Failure::Usage(message)) = Contexts::load_from(&path) else { panic!() };
        assert!(message.contains("contexts.toml is not valid"), "{message}");
    }
}
