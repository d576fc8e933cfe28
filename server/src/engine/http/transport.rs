//! What went wrong with a connection, in one line that names the cause and the way out.
//!
//! Called for every error that comes out of reqwest. No text of a request gets in here, so no
//! credential can get out.

use std::io;

use rustls::{AlertDescription, CertificateError};
use wharf::causes::{self, find};

use crate::domain::HostAddress;
use crate::engine::classify::one_line;
use crate::engine::operation::{Access, Operation, Subject};
use crate::engine::{EngineError, ErrorKind, operation};

/// How far a call had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing of the answer was there yet.
    Head,
    /// The answer had begun.
    Body,
}

/// Puts an error of reqwest into words and a kind.
pub(super) fn transport_error(
    operation: &Operation,
    address: &HostAddress,
    secured: bool,
    phase: Phase,
    error: &reqwest::Error,
) -> EngineError {
    let failed = |kind, message| EngineError::new(kind, operation.name, message);
    if let Some(tls) = find::<rustls::Error>(error) {
        return failed(ErrorKind::Tls, format!("TLS with {address} failed: {}", tls_problem(tls)));
    }
    if error.is_connect() {
        return failed(ErrorKind::Unreachable, cannot_connect(address, error));
    }
    let hyper = find::<hyper::Error>(error);
    if hyper.is_some_and(hyper::Error::is_canceled) {
        // hyper hands the request back: nothing of it was sent.
        return if secured {
            // With TLS 1.3 the Engine refuses a client certificate after the handshake.
            failed(
                ErrorKind::Tls,
                format!(
                    "{address} closed the connection right after the TLS handshake, as an Engine does that refuses the client certificate or misses one; check the certificate and key given for this host"
                ),
            )
        } else {
            failed(
                ErrorKind::Unreachable,
                format!(
                    "{address} accepted the connection and closed it at once; check that an Engine listens there"
                ),
            )
        };
    }
    if phase == Phase::Head && hyper.is_some_and(hyper::Error::is_parse) {
        let cause = innermost(error);
        return doubtful(
            operation,
            ErrorKind::BadAnswer,
            format!(
                "{address} answered with something that is not HTTP ({cause}); check that an Engine listens there, and whether it wants TLS"
            ),
        );
    }
    let cause = innermost(error);
    let what = match phase {
        Phase::Head => "the connection broke before the answer came",
        Phase::Body => "the connection broke in the middle of the answer",
    };
    doubtful(operation, ErrorKind::ConnectionLost, format!("{what} ({cause})"))
}

/// A failure after the request may have been sent: `kind` for reads, and for writes the doubt.
pub(super) fn doubtful(operation: &Operation, kind: ErrorKind, message: String) -> EngineError {
    let (kind, message) = match (operation.subject, operation.access) {
        (_, Access::Read) => (kind, message),
        (Subject::Transfer, _) if *operation == operation::PUSH_IMAGE => {
            (ErrorKind::PushFailed, message)
        }
        // The Engine cancels a pull whose caller is gone.
        (Subject::Transfer, _) => (ErrorKind::PullFailed, message),
        (_, Access::Write) => {
            (ErrorKind::ResultUnknown, format!("{message}; it may have been done or not"))
        }
    };
    EngineError::new(kind, operation.name, message)
}

fn cannot_connect(address: &HostAddress, error: &reqwest::Error) -> String {
    if error.is_dns() {
        return format!(
            "the name in {address} cannot be resolved ({}); check the name and the resolver of this machine",
            innermost(error)
        );
    }
    let kind = find::<io::Error>(error).map(io::Error::kind);
    let unix = matches!(address, HostAddress::Unix(_));
    match kind {
        _ if error.is_timeout() => {
            format!(
                "{address} did not take the connection in time; check the address, the network and firewalls"
            )
        }
        Some(io::ErrorKind::NotFound) if unix => {
            format!("there is no socket {address}; check that the Engine runs")
        }
        Some(io::ErrorKind::PermissionDenied) if unix => {
            format!(
                "permission denied for {address}; run wharfd as root or as a member of the socket's group, usually docker"
            )
        }
        Some(io::ErrorKind::ConnectionRefused) => {
            format!(
                "{address} refused the connection; check that the Engine runs and listens there"
            )
        }
        _ => format!(
            "cannot connect to {address} ({}); check the address, the network and firewalls",
            innermost(error)
        ),
    }
}

/// What rustls complains of, and what to do about it.
fn tls_problem(error: &rustls::Error) -> String {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage};
    match error {
        InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "the Engine's certificate is not signed by the CA given for this host; check which CA signed it"
                .to_owned()
        }
        InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the Engine's certificate is not valid for the name or IP address in the host's address; it needs it as a subject alternative name".to_owned(),
        InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "the Engine's certificate has expired, or this machine's clock is wrong".to_owned(),
        InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => "the Engine's certificate is not valid yet, or this machine's clock is wrong".to_owned(),
        AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError,
        ) => format!(
            "the Engine refuses the client certificate or misses one ({error}); check the certificate and key given for this host"
        ),
        InvalidMessage(_) => format!(
            "the port does not speak TLS ({error}); check the port, or leave the certificates out"
        ),
        other => format!(
            "{}; check the CA, the certificate and the key given for this host",
            one_line(&other.to_string())
        ),
    }
}

/// The last cause in the chain, on one line, without reqwest's URL.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let text = one_line(&causes::innermost(error));
    // "Connection reset by peer (os error 104)"
    match text.split_once(" (os error") {
        Some((plain, _)) => plain.to_owned(),
        None => text,
    }
}
