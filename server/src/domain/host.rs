//! A Docker host of the inventory. Created by the configuration, the API, and the store, and used
//! by everything that contacts hosts.

use std::sync::Arc;
use std::time::SystemTime;

use super::address::{HostAddress, Transport};
use super::labels::Labels;
use super::text::{alphanumeric_or, begins_alphanumeric, quoted, text_value};
use super::tls::TlsMaterial;

/// A Docker host: its name, the address of its Engine, and how to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The operator's name for it, unique in the inventory.
    pub name: HostName,
    /// The address of its Engine.
    pub address: HostAddress,
    /// Its labels, for selectors.
    pub labels: Labels,
    /// The source of the entry.
    pub source: HostSource,
    /// How the connection is secured; none for plain connections.
    pub tls: Option<HostTls>,
    /// Whether the operator accepted plain TCP to another machine.
    pub insecure: bool,
    /// When it was added over the API, in whole milliseconds; none for other sources.
    pub created_at: Option<SystemTime>,
}

/// A host's name: 1 to 63 of `a-z A-Z 0-9 . _ -`, beginning with a letter or digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

/// The source of an entry of the inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostSource {
    /// The configuration file; cannot be changed over the API.
    File,
    /// The API; kept in the store.
    Api,
    /// This machine's own Docker socket, added because there were no hosts.
    Local,
}

/// How a host's connection is secured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostTls {
    /// The certificate group in the configuration file; none for the host's own certificates.
    pub group: Option<String>,
    /// Shared between the hosts of a group, so that they can share a client.
    pub material: Arc<TlsMaterial>,
}

/// Text that cannot name a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is not a host name: use 1 to 63 of a-z A-Z 0-9 . _ - beginning with a letter or digit",
    quoted(.0)
)]
pub struct InvalidHostName(String);

/// Why name, address and security do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Plain TCP to another machine.
    #[error(
        "{0} is plain TCP to another machine, and anyone who can read or alter that traffic is root there; add TLS certificates, or allow it with `insecure` (on the command line: --insecure)"
    )]
    PlainTcp(HostAddress),
    /// TLS material for a unix socket.
    #[error("{0} is a unix socket, which does not use TLS; remove the certificates")]
    TlsOnUnixSocket(HostAddress),
    /// TLS material for ssh.
    #[error(
        "{0} is secured by ssh, and the socket there does not use TLS; remove the certificates"
    )]
    TlsOverSsh(HostAddress),
}

impl Host {
    /// Checks that address and security match: plain TCP leaves this machine only with `insecure`,
    /// and a unix socket, here or over ssh, uses no TLS.
    pub fn check(&self) -> Result<(), HostError> {
        match (&self.address, &self.tls) {
            (HostAddress::Unix(_), Some(_)) => {
                Err(HostError::TlsOnUnixSocket(self.address.clone()))
            }
            (HostAddress::Ssh(_), Some(_)) => Err(HostError::TlsOverSsh(self.address.clone())),
            (address, None) if !address.may_be_plain(self.insecure) => {
                Err(HostError::PlainTcp(address.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Whether the connection is secured.
    pub fn transport(&self) -> Transport {
        if self.tls.is_some() { Transport::Tls } else { Transport::Plain }
    }

    /// Whether both have the same definition, regardless of source and time.
    pub fn same_definition(&self, other: &Self) -> bool {
        self.labels == other.labels
            && self.insecure == other.insecure
            && self.same_connection(other)
    }

    /// Whether both use the same connection settings, so that an open connection can be kept.
    pub fn same_connection(&self, other: &Self) -> bool {
        self.name == other.name && self.address == other.address && self.tls == other.tls
    }
}

impl HostName {
    /// Checks a name.
    pub fn parse(text: &str) -> Result<Self, InvalidHostName> {
        if text.len() <= 63 && begins_alphanumeric(text) && alphanumeric_or(text, b"._-") {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidHostName(text.to_owned()))
        }
    }
}

text_value!(HostName, InvalidHostName);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;
    use proptest::prelude::*;

    fn host(address: &str, secured: bool, insecure: bool) -> Host {
        let tls = secured.then(|| {
            let ca = rcgen::generate_simple_self_signed(["web1".to_owned()]).unwrap().cert.pem();
            let material = Arc::new(TlsMaterial::new(ca, "", Secret::new("")).unwrap());
            HostTls { group: None, material }
        });
        Host {
            name: HostName::parse("web1").unwrap(),
            address: HostAddress::parse(address, Transport::Plain).unwrap(),
            labels: Labels::default(),
            source: HostSource::Api,
            tls,
            insecure,
            created_at: None,
        }
    }

    #[test]
    fn names() {
        let longest = "a".repeat(63);
        for name in ["web1", "1", "Web-1_a.b", &longest] {
            assert_eq!(HostName::parse(name).unwrap().as_str(), name);
        }
        let too_long = "a".repeat(64);
        for name in ["", ".", "..", "-a", "_a", "a b", "a/b", "a,b", "a=b", "é", "a\n", &too_long]
        {
            assert!(HostName::parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn plain_tcp_leaves_this_machine_only_when_accepted() {
        assert!(host("tcp://127.0.0.1:2375", false, false).check().is_ok());
        assert!(host("tcp://10.0.0.5:2375", false, true).check().is_ok());
        assert!(host("tcp://10.0.0.5:2376", true, false).check().is_ok());
        assert!(host("unix:///run/docker.sock", false, false).check().is_ok());
        let refused = host("tcp://10.0.0.5:2375", false, false).check().unwrap_err();
        assert!(refused.to_string().contains("`insecure`"), "{refused}");
        assert!(host("ssh://10.0.0.5", false, false).check().is_ok());
        let refused = host("ssh://10.0.0.5", true, false).check().unwrap_err();
        assert!(refused.to_string().contains("secured by ssh"), "{refused}");
        let refused = host("unix:///run/docker.sock", true, false).check().unwrap_err();
        assert!(refused.to_string().contains("does not use TLS"), "{refused}");
    }

    #[test]
    fn equal_definitions_ignore_source_and_time() {
        let one = host("tcp://127.0.0.1:2375", false, false);
        let mut other = Host {
            source: HostSource::File,
            created_at: Some(SystemTime::UNIX_EPOCH),
            ..one.clone()
        };
        assert!(one.same_definition(&other));
        other.labels = Labels::from_pairs([("a", "b")]).unwrap();
        assert!(!one.same_definition(&other));
        assert!(one.same_connection(&other));
    }

    proptest! {
        #[test]
        fn what_passes_reads_back(text in "\\PC*|[a-zA-Z0-9._/-]{0,70}") {
            if let Ok(name) = HostName::parse(&text) {
                prop_assert_eq!(HostName::parse(name.as_ref()).unwrap(), name);
                prop_assert!(!text.contains(['/', ',', '=', '%']));
            }
        }
    }
}
