//! Why the server cannot be reached, in one line with the way out. Called by `app.rs`. Pure.

use std::error::Error;

use rustls::CertificateError;
use tonic::Status;
use wharf::causes::{find, innermost};

/// Of a connection that could not be made. `address` is the server's, as it was given.
pub fn cannot_connect(address: &str, error: &(dyn Error + 'static)) -> String {
    let advice = find::<rustls::Error>(error).map_or(
        "start wharfd, or name another server with --server, --context or WHARF_SERVER",
        tls_advice,
    );
    format!("cannot reach wharfd at {address}: {}; {advice}", innermost(error))
}

/// Of a call to which no answer came because its connection broke. `None` where the server, or
/// whoever is between, has answered.
pub fn connection_broke(address: &str, status: &Status) -> Option<String> {
    // Only what tonic makes of a connection's error has a source.
    let error = status.source()?;
    let broke = format!("the connection to wharfd at {address} broke: {}", innermost(error));
    Some(match find::<rustls::Error>(error) {
        Some(tls) => format!("{broke}; {}", tls_advice(tls)),
        // An HTTP/2 connection takes itself for made before the other side has said a word.
        None if address.starts_with("tcp://") => {
            format!("{broke}; where that port speaks TLS, write https:// instead of tcp://")
        }
        None => broke,
    })
}

fn tls_advice(error: &rustls::Error) -> &'static str {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage};
    match error {
        InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "name the authority that signed its certificate: --tls-ca FILE before the verb, or in \
             the context"
        }
        InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => {
            "use a name that its certificate has, in the address or with --tls-server-name before \
             the verb"
        }
        InvalidCertificate(_) => {
            "its certificate has to be renewed, or this machine's clock is wrong"
        }
        AlertReceived(_) => {
            "it refuses the client certificate or misses one: --tls-cert FILE --tls-key FILE \
             before the verb, or in the context"
        }
        InvalidMessage(_) => "that port does not speak TLS; write tcp:// instead of https://",
        _ => "check --tls-ca, --tls-cert and --tls-key",
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;

    fn tls(error: rustls::Error) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }

    #[test]
    fn a_certificate_that_is_not_trusted_asks_for_its_authority() {
        let error = tls(CertificateError::UnknownIssuer.into());
        let line = cannot_connect("https://a:1", &error);
        assert!(line.contains("--tls-ca") && !line.contains("start wharfd"), "{line}");
        let error = tls(CertificateError::NotValidForName.into());
        assert!(cannot_connect("https://a:1", &error).contains("--tls-server-name"));
    }

    #[test]
    fn a_refused_client_certificate_asks_for_one_also_after_the_handshake() {
        let alert =
            || tls(rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired));
        assert!(cannot_connect("https://a:1", &alert()).contains("--tls-cert"));
        let mut status = Status::unknown("transport error");
        status.set_source(Arc::new(alert()));
        assert!(connection_broke("https://a:1", &status).unwrap().contains("--tls-cert"));
    }

    #[test]
    fn what_the_server_itself_says_is_left_alone() {
        assert_eq!(connection_broke("tcp://a:1", &Status::internal("h2 protocol error")), None);
    }
}
