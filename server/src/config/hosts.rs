//! The hosts and the groups of certificates of `wharfd.toml`. Read at start and on SIGHUP, and
//! taken in by the inventory.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;

use super::error::ConfigError;
use super::file::{Document, HostEntry, Source};
use crate::domain::{
    Host, HostAddress, HostName, HostSource, HostTls, Labels, Secret, TlsMaterial, TlsPart,
    Transport, quoted,
};

/// The hosts in the configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileHosts {
    /// The file; none if there is none.
    pub path: Option<PathBuf>,
    /// Its hosts, by name.
    pub hosts: BTreeMap<HostName, Host>,
    /// Its groups of certificates, by name. Hosts that are added over the API may use them too.
    pub tls_groups: BTreeMap<String, Arc<TlsMaterial>>,
}

/// Reads the hosts and groups of a configuration file; one mistake anywhere in the file refuses
/// it whole.
pub fn load_hosts(path: &Path) -> Result<FileHosts, ConfigError> {
    let source = Source::read(path, "configuration file")?;
    let document = source.document()?;
    hosts(&source, &document)
}

pub(super) fn hosts(source: &Source, document: &Document) -> Result<FileHosts, ConfigError> {
    let mut reader = Reader { source, known: BTreeMap::new() };
    let mut tls_groups = BTreeMap::new();
    for (name, group) in &document.tls {
        let span = group.span();
        if HostName::parse(name).is_err() {
            let problem = format!(
                "{} is not a valid name for a certificate group: use a-z A-Z 0-9 . _ -",
                quoted(name)
            );
            return Err(source.error(span, problem));
        }
        let group = group.get_ref();
        let files = Files { ca: &group.ca, cert: group.cert.as_deref(), key: group.key.as_deref() };
        let material = reader.material(&files, &format!("[tls.{name}]"), span)?;
        tls_groups.insert(name.clone(), material);
    }
    let mut hosts: BTreeMap<HostName, Host> = BTreeMap::new();
    for entry in &document.host {
        let host = reader.host(entry, &tls_groups)?;
        if hosts.contains_key(&host.name) {
            let problem = format!("host {}: duplicate name; rename one of them", host.name);
            return Err(source.error(entry.span(), problem));
        }
        hosts.insert(host.name.clone(), host);
    }
    Ok(FileHosts { path: Some(source.path.clone()), hosts, tls_groups })
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Clone)]
struct Files<'a> {
    ca: &'a Path,
    cert: Option<&'a Path>,
    key: Option<&'a Path>,
}

struct Reader<'a> {
    source: &'a Source,
    /// Files that were already read: many hosts use the same files, and share the material.
    known: BTreeMap<Files<'a>, Arc<TlsMaterial>>,
}

impl<'a> Reader<'a> {
    fn host(
        &mut self,
        entry: &'a Spanned<HostEntry>,
        groups: &BTreeMap<String, Arc<TlsMaterial>>,
    ) -> Result<Host, ConfigError> {
        let (span, entry, source) = (entry.span(), entry.get_ref(), self.source);
        let name =
            HostName::parse(&entry.name).map_err(|error| source.error(span.clone(), error))?;
        let wrong =
            |problem: String| source.error(span.clone(), format!("host {}: {problem}", entry.name));
        let own = [&entry.tls_ca, &entry.tls_cert, &entry.tls_key];
        let tls = match (&entry.tls, &entry.tls_ca) {
            (Some(_), _) if own.iter().any(|path| path.is_some()) => {
                return Err(wrong(
                    "has both a certificate group (tls) and its own certificates (tls_ca, tls_cert, tls_key); set only one of them"
                        .to_owned(),
                ));
            }
            (Some(group), _) => {
                let material = groups.get(group).ok_or_else(|| {
                    let problem =
                        "is not a certificate group of this file; define it as [tls.NAME]";
                    wrong(format!("tls: {} {problem}", quoted(group)))
                })?;
                Some(HostTls { group: Some(group.clone()), material: material.clone() })
            }
            (None, Some(ca)) => {
                let cert = entry.tls_cert.as_deref();
                let files = Files { ca, cert, key: entry.tls_key.as_deref() };
                let what = format!("host {}", entry.name);
                let material = self.material(&files, &what, span.clone())?;
                Some(HostTls { group: None, material })
            }
            (None, None) if own.iter().any(|path| path.is_some()) => {
                return Err(wrong(
                    "has tls_cert or tls_key but no tls_ca; also set tls_ca".to_owned(),
                ));
            }
            (None, None) => None,
        };
        let transport = if tls.is_some() { Transport::Tls } else { Transport::Plain };
        let host = Host {
            name,
            address: HostAddress::parse(&entry.address, transport)
                .map_err(|error| wrong(format!("address: {error}")))?,
            labels: Labels::from_pairs(&entry.labels)
                .map_err(|error| wrong(format!("labels: {error}")))?,
            source: HostSource::File,
            tls,
            insecure: entry.insecure,
            created_at: None,
        };
        host.check().map_err(|error| wrong(error.to_string()))?;
        Ok(host)
    }

    fn material(
        &mut self,
        files: &Files<'a>,
        what: &str,
        span: Range<usize>,
    ) -> Result<Arc<TlsMaterial>, ConfigError> {
        if let Some(material) = self.known.get(files) {
            return Ok(material.clone());
        }
        let read = |path: Option<&Path>| match path {
            None => Ok(String::new()),
            Some(path) => {
                let path = self.source.resolve(path);
                let by = format!("{}: {what}", self.source.path.display());
                fs::read_to_string(&path).map_err(|source| ConfigError::Read { by, path, source })
            }
        };
        let (ca, cert, key) = (read(Some(files.ca))?, read(files.cert)?, read(files.key)?);
        let material = TlsMaterial::new(ca, cert, Secret::new(key)).map_err(|error| {
            let path = match error.part {
                TlsPart::Ca => Some(files.ca),
                TlsPart::Certificate => files.cert,
                TlsPart::Key => files.key,
            };
            let place = path.map_or_else(String::new, |path| {
                format!("{}: ", self.source.resolve(path).display())
            });
            self.source.error(span, format!("{what}: {place}{error}"))
        })?;
        let material = Arc::new(material);
        self.known.insert(files.clone(), material.clone());
        Ok(material)
    }
}
