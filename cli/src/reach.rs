//! Explains in one line why the server cannot be reached and what to do. Called by `app.rs`. Pure.

use std::error::Error;

use jiff::Timestamp;
use rustls::CertificateError;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tonic::Status;
use wharf::causes::{find, innermost};

use crate::server::Server;

/// The server of a connection, and the certificate presented to it.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    /// The server's address, as given.
    pub address: &'a str,
    /// The client certificate in PEM, if any.
    pub certificate: Option<&'a str>,
    /// When that was.
    pub now: Timestamp,
}

impl<'a> Peer<'a> {
    /// The server, at this moment.
    pub fn of(server: &'a Server) -> Self {
        let certificate = server.certificate.as_deref();
        Self { address: &server.address, certificate, now: Timestamp::now() }
    }
}

/// Explains a failed connection attempt.
pub fn cannot_connect(peer: &Peer<'_>, error: &(dyn Error + 'static)) -> String {
    let reason = tls_problem(peer, error).unwrap_or_else(|| {
        format!(
            "{}; start wharfd, or specify another server with --server, --context, or WHARF_SERVER",
            innermost(error)
        )
    });
    format!("cannot reach wharfd at {}: {reason}", peer.address)
}

/// Explains a call whose connection broke before a response. `None` if the server, or a proxy,
/// has answered.
pub fn connection_broke(peer: &Peer<'_>, status: &Status) -> Option<String> {
    // Only an error that tonic derives from a connection has a source.
    let error = status.source()?;
    let broke = format!("the connection to wharfd at {} broke", peer.address);
    Some(match tls_problem(peer, error) {
        Some(reason) => format!("{broke}: {reason}"),
        // An HTTP/2 connection counts as established before the server has sent anything.
        None if peer.address.starts_with("tcp://") => format!(
            "{broke}: {}; if that port uses TLS, write https:// instead of tcp://",
            innermost(error)
        ),
        None => format!("{broke}: {}", innermost(error)),
    })
}

/// The problem with TLS, and what to do; `None` if nothing suggests one.
fn tls_problem(peer: &Peer<'_>, error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(tls) = find::<rustls::Error>(error) {
        return Some(tls_reason(peer, tls));
    }
    // With TLS 1.3, the server checks the client certificate after the client considers the
    // connection established. Of its alert, HTTP/2 keeps only the text, and nothing if the end of
    // the connection overtakes the alert.
    let text = innermost(error);
    if text.starts_with("received fatal alert") {
        return Some(certificate_refused(peer, &text));
    }
    let problem = own_certificate_problem(peer).filter(|_| peer.address.starts_with("https://"))?;
    Some(format!("{text}; the client certificate {problem}; {RENEW}"))
}

/// What to do about a client certificate.
const RENEW: &str = "renew it (--tls-cert, or tls_cert in the context)";

/// The server has sent an alert because of the client certificate.
fn certificate_refused(peer: &Peer<'_>, said: &str) -> String {
    if let Some(problem) = own_certificate_problem(peer) {
        return format!("it refuses the client certificate, which {problem}; {RENEW}");
    }
    let which = match peer.certificate {
        Some(_) => {
            "it refuses the client certificate; use one that a CA of its --tls-client-ca signed for \
             client authentication"
        }
        None => "it may require a client certificate",
    };
    format!("{said}; {which}: --tls-cert FILE --tls-key FILE before the verb, or in the context")
}

/// The problem, and what to do.
fn tls_reason(peer: &Peer<'_>, error: &rustls::Error) -> String {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage};
    let advice = match error {
        InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            return format!(
                "its certificate expired on {}; renew it, or correct this machine's clock",
                date(i64::try_from(not_after.as_secs()).unwrap_or(i64::MAX))
            );
        }
        InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            return format!(
                "its certificate is not valid before {}; correct this machine's clock, or renew it",
                date(i64::try_from(not_before.as_secs()).unwrap_or(i64::MAX))
            );
        }
        InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "specify the CA that signed its certificate: --tls-ca FILE before the verb, or in \
             the context"
        }
        InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => {
            "use a name that its certificate has, in the address or with --tls-server-name before \
             the verb"
        }
        InvalidCertificate(_) => "renew its certificate, or correct this machine's clock",
        AlertReceived(_) => return certificate_refused(peer, &error.to_string()),
        InvalidMessage(_) => "that port does not use TLS; write tcp:// instead of https://",
        _ => "check --tls-ca, --tls-cert and --tls-key",
    };
    format!("{error}; {advice}")
}

/// Why the client certificate is not valid now, according to its dates.
fn own_certificate_problem(peer: &Peer<'_>) -> Option<String> {
    let first = CertificateDer::from_pem_slice(peer.certificate?.as_bytes()).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&first).ok()?;
    let validity = certificate.validity();
    let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    match peer.now.as_second() {
        now if now > until => Some(format!("expired on {}", date(until))),
        now if now < from => Some(format!("is not valid before {}", date(from))),
        _ => None,
    }
}

fn date(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |date| date.to_string())
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::time::Duration;

    use rustls::pki_types::UnixTime;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn peer(address: &str) -> Peer<'_> {
        Peer { address, certificate: None, now: Timestamp::from_second(NOW).unwrap() }
    }

    fn tls(error: rustls::Error) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }

    #[test]
    fn a_certificate_that_is_not_trusted_asks_for_its_authority() {
        let error = tls(CertificateError::UnknownIssuer.into());
        let line = cannot_connect(&peer("https://a:1"), &error);
        assert!(line.contains("--tls-ca") && !line.contains("start wharfd"), "{line}");
        let error = tls(CertificateError::NotValidForName.into());
        assert!(cannot_connect(&peer("https://a:1"), &error).contains("--tls-server-name"));
    }

    #[test]
    fn a_refused_client_certificate_asks_for_one_also_after_the_handshake() {
        let alert =
            || tls(rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired));
        assert!(cannot_connect(&peer("https://a:1"), &alert()).contains("--tls-cert"));
        let mut status = Status::unknown("transport error");
        status.set_source(Arc::new(alert()));
        assert!(connection_broke(&peer("https://a:1"), &status).unwrap().contains("--tls-cert"));
    }

    /// What is left of an alert that comes after the handshake: HTTP/2 keeps its text.
    #[test]
    fn an_alert_without_its_type_is_known_by_its_text() {
        let pem = rcgen::generate_simple_self_signed(["ann".to_owned()]).unwrap().cert.pem();
        for alert in ["UnknownCA", "UnsupportedCertificate"] {
            let text = format!("received fatal alert: {alert}");
            let mut status = Status::unknown("h2 protocol error: error reading a body");
            status.set_source(Arc::new(io::Error::other(text)));
            let shown = Peer { certificate: Some(&pem), ..peer("https://a:1") };
            let line = connection_broke(&shown, &status).unwrap();
            assert!(line.contains(alert) && line.contains("signed for client auth"), "{line}");
            let line = connection_broke(&peer("https://a:1"), &status).unwrap();
            assert!(line.contains("it may require a client certificate: --tls-cert"), "{line}");
        }
    }

    #[test]
    fn what_the_server_itself_says_is_left_alone() {
        assert_eq!(
            connection_broke(&peer("tcp://a:1"), &Status::internal("h2 protocol error")),
            None
        );
    }

    #[test]
    fn an_expired_certificate_is_called_expired_with_its_date() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let expired = CertificateError::ExpiredContext {
            time: at(1_700_000_000),
            not_after: at(1_600_000_000),
        };
        let line = cannot_connect(&peer("https://a:1"), &tls(expired.into()));
        assert!(
            line.contains("its certificate expired on 2020-09-13T12:26:40Z; renew it"),
            "{line}"
        );
        let early = CertificateError::NotValidYetContext {
            time: at(1_700_000_000),
            not_before: at(1_800_000_000),
        };
        let line = cannot_connect(&peer("https://a:1"), &tls(early.into()));
        assert!(line.contains("not valid before 2027-01-15T08:00:00Z"), "{line}");
    }

    #[test]
    fn our_own_expired_certificate_is_found_when_it_is_refused() {
        let certificate = |from: i32, until: i32| {
            let mut parameters = rcgen::CertificateParams::new(vec!["ann".to_owned()]).unwrap();
            parameters.not_before = rcgen::date_time_ymd(from, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(until, 1, 1);
            parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
        };
        let alert = tls(rustls::Error::AlertReceived(rustls::AlertDescription::BadCertificate));
        for (from, until, expected) in [
            (2001, 2003, "which expired on 2003-01-01T00:00:00Z"),
            (2040, 2041, "which is not valid before 2040-01-01T00:00:00Z"),
            (
                2001,
                2041,
                "it refuses the client certificate; use one that a CA of its --tls-client-ca",
            ),
        ] {
            let pem = certificate(from, until);
            let shown = Peer { certificate: Some(&pem), ..peer("https://a:1") };
            let line = cannot_connect(&shown, &alert);
            assert!(line.contains(expected), "{line}");
        }
    }
}
