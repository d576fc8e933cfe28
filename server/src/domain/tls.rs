//! Certificates and keys: for connections to Engines, and for `wharfd` itself.
//!
//! All problems are found here, when they are configured, rather than at the first connection.
//! Called by the configuration, the API, and the store.

use std::fmt;
use std::time::{Duration, SystemTime};

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::secret::Secret;

/// The last second of the year 9999, beyond which a date has no usual form.
pub const LAST_DATE: u64 = 253_402_300_799;

/// Checked PEM texts: the authorities to trust, and the client certificate with its key if one
/// is presented.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsMaterial {
    ca_pem: String,
    client: Option<(String, Secret)>,
    client_validity: Option<Validity>,
}

/// Checked PEM texts of a TLS server: its certificate with its chain, its key, and the CAs of
/// accepted clients, if it requests certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerIdentity {
    certificate_pem: String,
    private_key_pem: Secret,
    client_ca_pem: Option<String>,
    validity: Option<Validity>,
}

/// From when until when a certificate is valid, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Validity {
    /// Its first second.
    pub not_before: i64,
    /// Its last second.
    pub not_after: i64,
}

/// One of the three texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsPart {
    /// Certificates of the authorities.
    Ca,
    /// Our own certificate.
    Certificate,
    /// Private key of our own certificate.
    Key,
}

/// Why the texts cannot secure a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {part} {problem}")]
pub struct TlsMaterialError {
    /// Which text is wrong.
    pub part: TlsPart,
    /// The problem and the remedy, to follow the name of the part.
    pub problem: String,
}

impl TlsMaterial {
    /// Checks the three texts; an empty text means none. The certificate and the key require each
    /// other.
    pub fn new(
        ca_pem: impl Into<String>,
        certificate_pem: impl Into<String>,
        private_key_pem: Secret,
    ) -> Result<Self, TlsMaterialError> {
        let (ca_pem, certificate_pem) = (ca_pem.into(), certificate_pem.into());
        check_authorities(&ca_pem)?;
        let client = match (certificate_pem.is_empty(), private_key_pem.is_empty()) {
            (true, true) => None,
            (false, true) => {
                return Err(error(
                    TlsPart::Key,
                    "is missing, but a certificate is set; set both or neither",
                ));
            }
            (true, false) => {
                return Err(error(
                    TlsPart::Certificate,
                    "is missing, but a private key is set; set both or neither",
                ));
            }
            (false, false) => {
                check_identity(&certificate_pem, &private_key_pem)?;
                Some((certificate_pem, private_key_pem))
            }
        };
        let client_validity = client.as_ref().and_then(|(certificate, _)| validity(certificate));
        Ok(Self { ca_pem, client, client_validity })
    }

    /// Certificates of the authorities that may have signed the Engine's certificate.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The client certificate with its chain, if any.
    pub fn certificate_pem(&self) -> Option<&str> {
        self.client.as_ref().map(|(certificate, _)| certificate.as_str())
    }

    /// The validity of the client certificate; `None` without one, or without readable dates.
    pub fn client_validity(&self) -> Option<Validity> {
        self.client_validity
    }

    /// The key of the client certificate.
    pub fn private_key_pem(&self) -> Option<&Secret> {
        self.client.as_ref().map(|(_, key)| key)
    }
}

impl ServerIdentity {
    /// Checks the texts.
    pub fn new(
        certificate_pem: impl Into<String>,
        private_key_pem: Secret,
        client_ca_pem: Option<String>,
    ) -> Result<Self, TlsMaterialError> {
        let certificate_pem = certificate_pem.into();
        check_identity(&certificate_pem, &private_key_pem)?;
        client_ca_pem.as_deref().map(check_authorities).transpose()?;
        let validity = validity(&certificate_pem);
        Ok(Self { certificate_pem, private_key_pem, client_ca_pem, validity })
    }

    /// The validity of the certificate; `None` without readable dates.
    pub fn validity(&self) -> Option<Validity> {
        self.validity
    }

    /// The certificate with its chain.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The key of the certificate.
    pub fn private_key_pem(&self) -> &Secret {
        &self.private_key_pem
    }

    /// CAs of accepted client certificates; none: no certificate is requested.
    pub fn client_ca_pem(&self) -> Option<&str> {
        self.client_ca_pem.as_deref()
    }
}

impl Validity {
    /// Why the certificate is not valid at a time in Unix seconds, to follow its name; `None` if it
    /// is valid.
    pub fn problem(&self, now: i64) -> Option<String> {
        if now > self.not_after {
            Some(format!("expired on {}", date(self.not_after)))
        } else if now < self.not_before {
            Some(format!("is not valid before {}", date(self.not_before)))
        } else {
            None
        }
    }
}

/// The validity of the first certificate of a chain.
fn validity(chain_pem: &str) -> Option<Validity> {
    let certificate = CertificateDer::from_pem_slice(chain_pem.as_bytes()).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&certificate).ok()?;
    let validity = certificate.validity();
    Some(Validity {
        not_before: validity.not_before.timestamp(),
        not_after: validity.not_after.timestamp(),
    })
}

/// A time in Unix seconds as `2026-01-31T12:00:00Z`; before 1970, that year's first second.
fn date(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(LAST_DATE));
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + since).to_string()
}

impl fmt::Display for TlsPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Ca => "CA certificate",
            Self::Certificate => "certificate",
            Self::Key => "private key",
        })
    }
}

fn error(part: TlsPart, problem: impl Into<String>) -> TlsMaterialError {
    TlsMaterialError { part, problem: problem.into() }
}

fn check_authorities(pem: &str) -> Result<(), TlsMaterialError> {
    if pem.is_empty() {
        return Err(error(
            TlsPart::Ca,
            "is missing; set the certificate of the CA that signed the other side's certificate, usually ca.pem",
        ));
    }
    let mut roots = RootCertStore::empty();
    for certificate in certificates(TlsPart::Ca, pem)? {
        roots.add(certificate).map_err(|cause| {
            error(TlsPart::Ca, format!("is PEM, but not a readable certificate ({cause})"))
        })?;
    }
    Ok(())
}

fn check_identity(certificate_pem: &str, key_pem: &Secret) -> Result<(), TlsMaterialError> {
    let chain = certificates(TlsPart::Certificate, certificate_pem)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.expose().as_bytes())
        .ok()
        .filter(|_| !is_encrypted(key_pem.expose()))
        .ok_or_else(|| key_error(key_pem.expose()))?;
    let signing_key = ring::default_provider().key_provider.load_private_key(key).map_err(|_| {
        error(TlsPart::Key, "has an unsupported type; use an RSA key of at least 2048 bits, ECDSA P-256 or P-384, or Ed25519")
    })?;
    use rustls::{Error, InconsistentKeys};
    match CertifiedKey::new(chain, signing_key).keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(()),
        Err(Error::InconsistentKeys(_)) => {
            Err(error(TlsPart::Key, "does not match the certificate; use a matching pair"))
        }
        Err(cause) => Err(error(
            TlsPart::Certificate,
            format!("is PEM, but not a readable certificate ({cause})"),
        )),
    }
}

fn certificates(
    part: TlsPart,
    pem: &str,
) -> Result<Vec<CertificateDer<'static>>, TlsMaterialError> {
    match CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => {
            let found = found(pem);
            Err(error(part, format!("must be PEM with -----BEGIN CERTIFICATE-----, but {found}")))
        }
        Err(_) => Err(error(part, "is damaged PEM; use the complete original file")),
    }
}

fn key_error(pem: &str) -> TlsMaterialError {
    if is_encrypted(pem) {
        return error(
            TlsPart::Key,
            "is encrypted; decrypt it with `openssl pkey -in KEY -out NEW_KEY` and use the result",
        );
    }
    let known = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
    if section_names(pem).iter().any(|name| known.contains(name)) {
        return error(TlsPart::Key, "is damaged PEM; use the complete original file");
    }
    let found = found(pem);
    error(
        TlsPart::Key,
        format!(
            "must be PEM with -----BEGIN PRIVATE KEY----- (PKCS#8, PKCS#1, or SEC1), but {found}"
        ),
    )
}

/// PKCS#8 shows this in its first line, the older formats in a header.
fn is_encrypted(pem: &str) -> bool {
    pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || pem.contains("Proc-Type: 4,ENCRYPTED")
}

/// What was found instead, without showing any of it: it may be a key.
fn found(pem: &str) -> String {
    match section_names(pem).first() {
        Some(name) => format!("it has {name}"),
        None => "it is not PEM".to_owned(),
    }
}

fn section_names(pem: &str) -> Vec<&str> {
    let plain = |name: &&str| {
        name.len() <= 40 && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b' ')
    };
    pem.lines()
        .filter_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
        .filter(plain)
        .collect()
}

#[cfg(test)]
mod tests;
