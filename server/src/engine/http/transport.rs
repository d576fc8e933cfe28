//! Explains connection failures in one line, with the cause and what to do.
//!
//! Called for every error of reqwest. It uses no text of a request, so it cannot reveal
//! credentials.

use std::error::Error;
use std::io;
use std::time::{Duration, SystemTime};

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError};
use wharf::causes::{self, find};

use crate::domain::{HostAddress, LAST_DATE, Validity};
use crate::engine::classify::one_line;
use crate::engine::operation::{Access, Operation, Subject};
use crate::engine::ssh::SshError;
use crate::engine::{EngineError, ErrorKind};

/// The progress of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing of the response had arrived.
    Head,
    /// The response had started.
    Body,
}

/// The security of connections to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    /// None.
    Plain,
    /// TLS.
    Tls {
        /// The validity of the client certificate, if any.
        client: Option<Validity>,
    },
}

impl Security {
    /// What is wrong with the client certificate at this moment, according to its dates.
    fn client_problem(self) -> Option<String> {
        let Self::Tls { client: Some(client) } = self else { return None };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let problem = client.problem(i64::try_from(now.as_secs()).unwrap_or(i64::MAX))?;
        Some(format!(
            "the client certificate of this host {problem}; renew it, and update the host"
        ))
    }
}

/// Puts an error of reqwest into words and a kind.
pub(super) fn transport_error(
    operation: &Operation,
    address: &HostAddress,
    security: Security,
    phase: Phase,
    error: &reqwest::Error,
) -> EngineError {
    let failed = |kind, message| EngineError::new(kind, operation.name, message);
    if let Some(ssh) = find::<SshError>(error) {
        return failed(ssh.kind, ssh.message.clone());
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        return failed(
            ErrorKind::Tls,
            format!("TLS with {address} failed: {}", tls_problem(tls, security)),
        );
    }
    if error.is_connect() {
        return match exhausted(error) {
            Some(what) => failed(
                ErrorKind::NoResources,
                format!("wharfd cannot open a connection to {address}: {what}"),
            ),
            None => failed(ErrorKind::Unreachable, cannot_connect(address, error)),
        };
    }
    let hyper = find::<hyper::Error>(error);
    if hyper.is_some_and(hyper::Error::is_canceled) {
        // hyper returns the request: nothing of it was sent.
        return if let Some(problem) = security.client_problem() {
            // With TLS 1.3 the Engine refuses a client certificate after the handshake.
            failed(ErrorKind::Tls, format!("{address} closed the connection: {problem}"))
        } else if security != Security::Plain {
            failed(
                ErrorKind::Tls,
                format!(
                    "{address} closed the connection right after the TLS handshake, as an Engine does if it refuses the client certificate or requires one; check the certificate and key of this host"
                ),
            )
        } else {
            failed(
                ErrorKind::Unreachable,
                format!(
                    "{address} accepted the connection and closed it immediately; check that an Engine listens there"
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
                "{address} answered with something that is not HTTP ({cause}); check that an Engine listens there, and whether it requires TLS"
            ),
        );
    }
    let cause = innermost(error);
    let what = match phase {
        Phase::Head => "the connection broke before the response",
        Phase::Body => "the connection broke in the middle of the response",
    };
    doubtful(operation, ErrorKind::ConnectionLost, format!("{what} ({cause})"))
}

/// A failure after the request may have been sent: `kind` for reads, and for writes the doubt.
pub(super) fn doubtful(operation: &Operation, kind: ErrorKind, message: String) -> EngineError {
    let is_interrupted = matches!(operation.subject, Subject::Transfer | Subject::Archive)
        && kind == ErrorKind::ConnectionLost;
    let (kind, message) = match (operation.subject, operation.access) {
        (_, Access::Read) => (kind, message),
        // The Engine cancels a pull or a build whose caller is gone, and loads no part of an archive.
        (Subject::Transfer | Subject::Archive | Subject::Build, Access::Write) => {
            (operation.failure(), message)
        }
        (_, Access::Write) => {
            (ErrorKind::ResultUnknown, format!("{message}; the result is unknown"))
        }
    };
    EngineError { is_interrupted, ..EngineError::new(kind, operation.name, message) }
}

/// The exhausted resource of this process or machine, if that is why there is no connection.
fn exhausted(error: &(dyn Error + 'static)) -> Option<String> {
    // Linux: ENOMEM, ENFILE, EMFILE, EADDRNOTAVAIL (no port is left), ENOBUFS.
    const LOCAL: [i32; 5] = [12, 23, 24, 99, 105];
    causes::chain(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .find(|cause| cause.raw_os_error().is_some_and(|number| LOCAL.contains(&number)))
        .map(|cause| one_line(&cause.to_string()))
}

fn cannot_connect(address: &HostAddress, error: &reqwest::Error) -> String {
    if error.is_dns() {
        return format!(
            "cannot resolve the name in {address} ({}); check the name and this machine's DNS resolver",
            innermost(error)
        );
    }
    let kind = find::<io::Error>(error).map(io::Error::kind);
    let unix = matches!(address, HostAddress::Unix(_));
    match kind {
        _ if error.is_timeout() => {
            format!(
                "{address} did not accept the connection in time; check the address, the network, and firewalls"
            )
        }
        Some(io::ErrorKind::NotFound) if unix => {
            format!("the socket {address} does not exist; check that the Engine is running")
        }
        Some(io::ErrorKind::PermissionDenied) if unix => {
            format!(
                "permission denied for {address}; run wharfd as root or as a member of the socket's group, usually docker"
            )
        }
        Some(io::ErrorKind::ConnectionRefused) => {
            format!(
                "{address} refused the connection; check that the Engine is running and listens there"
            )
        }
        _ => format!(
            "cannot connect to {address} ({}); check the address, the network, and firewalls",
            innermost(error)
        ),
    }
}

/// The complaint of rustls, and what to do.
fn tls_problem(error: &rustls::Error, security: Security) -> String {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage};
    match error {
        InvalidCertificate(CertificateError::ExpiredContext { time, not_after }) => {
            clock("the Engine's certificate expired on", *not_after, *time)
        }
        InvalidCertificate(CertificateError::NotValidYetContext { time, not_before }) => {
            clock("the Engine's certificate is not valid before", *not_before, *time)
        }
        AlertReceived(_) if let Some(problem) = security.client_problem() => {
            format!("the Engine refuses the client certificate: {problem}")
        }
        InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "the Engine's certificate is not signed by the CA of this host; check which CA signed it"
                .to_owned()
        }
        InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the Engine's certificate is not valid for the name or IP address in the host's address; add it as a subject alternative name".to_owned(),
        InvalidCertificate(CertificateError::Expired) => {
            "the Engine's certificate has expired, or this machine's clock is wrong".to_owned()
        }
        InvalidCertificate(CertificateError::NotValidYet) => {
            "the Engine's certificate is not valid yet, or this machine's clock is wrong".to_owned()
        }
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
            "the Engine refuses the client certificate or requires one ({error}); check the certificate and key of this host"
        ),
        InvalidMessage(_) => format!(
            "the port does not use TLS ({error}); check the port, or remove the certificates"
        ),
        other => format!(
            "{}; check the CA, the certificate, and the key of this host",
            one_line(&other.to_string())
        ),
    }
}

/// A date of a certificate, with the time it was compared with.
fn clock(what: &str, date: UnixTime, now: UnixTime) -> String {
    let shown = |time: UnixTime| {
        let since = Duration::from_secs(time.as_secs().min(LAST_DATE));
        humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + since)
    };
    format!(
        "{what} {}; renew it, or correct this machine's clock, which shows {}",
        shown(date),
        shown(now)
    )
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::operation;

    #[test]
    fn only_a_transfer_that_ended_with_its_connection_is_interrupted() {
        let is =
            |operation: &Operation, kind| doubtful(operation, kind, String::new()).is_interrupted;
        assert!(is(&operation::PULL_IMAGE, ErrorKind::ConnectionLost));
        assert!(is(&operation::PUSH_IMAGE, ErrorKind::ConnectionLost));
        assert!(!is(&operation::PULL_IMAGE, ErrorKind::BadAnswer));
        assert!(!is(&operation::INSPECT_IMAGE, ErrorKind::ConnectionLost));
    }

    #[test]
    fn what_this_machine_lacks_is_not_the_fault_of_the_host() {
        for (number, text) in [(24, "Too many open files"), (99, "assign requested address")] {
            let error = io::Error::from_raw_os_error(number);
            let found = exhausted(&io::Error::other(error)).unwrap();
            assert!(found.contains(text), "{found}");
        }
        // Refused, no route, timed out.
        for number in [111, 113, 110] {
            assert_eq!(exhausted(&io::Error::from_raw_os_error(number)), None);
        }
    }
}
