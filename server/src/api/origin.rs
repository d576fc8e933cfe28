//! Checks requests from browsers.
//!
//! A web page can resolve its own name to a loopback address (DNS rebinding), and its requests then
//! have that name as `Host`. Without TLS, whose certificate check would detect this, only loopback
//! addresses, `localhost`, and the names set by the operator are accepted. The browser sends the
//! origin of a page in `Origin`; it is accepted only if the operator lists it. gRPC clients other
//! than browsers send no `Origin`.

use std::net::IpAddr;

use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::problem::Problem;
use crate::domain::{Reason, quoted};

/// How long a browser may cache the CORS rules: an hour.
const PREFLIGHT_AGE: std::time::Duration = std::time::Duration::from_secs(3600);

/// Which web requests a listener takes.
#[derive(Debug, Clone, Default)]
pub struct WebAccess {
    /// Names accepted as `Host` besides loopback addresses and `localhost`, in lowercase; `None`
    /// accepts any, for unix sockets and TLS.
    pub hosts: Option<Vec<String>>,
    /// Origins of web pages that may call, such as `https://ui.example.com`, in lower case.
    pub origins: Vec<String>,
}

impl WebAccess {
    /// Refuses requests with a wrong host name or from a foreign origin.
    pub fn check<B>(&self, request: &Request<B>) -> Result<(), Problem> {
        self.check_host(request)?;
        self.check_origin(request)
    }

    /// Answers the preflight requests of browsers; `None` if no page may call.
    pub fn cors(&self) -> Option<CorsLayer> {
        let origins: Vec<_> =
            self.origins.iter().filter_map(|it| HeaderValue::from_str(it).ok()).collect();
        if origins.is_empty() {
            return None;
        }
        let shown = ["grpc-status", "grpc-message", "grpc-status-details-bin"];
        Some(
            CorsLayer::new()
                .allow_origin(AllowOrigin::list(origins))
                .allow_methods([Method::POST])
                // Metadata of a call are headers, with arbitrary names.
                .allow_headers(AllowHeaders::mirror_request())
                .expose_headers(shown.map(HeaderName::from_static))
                .max_age(PREFLIGHT_AGE),
        )
    }

    fn check_host<B>(&self, request: &Request<B>) -> Result<(), Problem> {
        let Some(names) = &self.hosts else { return Ok(()) };
        let of_uri = request.uri().authority().map(http::uri::Authority::as_str);
        let of_headers = request
            .headers()
            .get_all(header::HOST)
            .iter()
            .map(|it| it.to_str().unwrap_or_default());
        let mut named = false;
        for authority in of_uri.into_iter().chain(of_headers) {
            named = true;
            if !is_ours(authority, names) {
                return Err(Problem::new(
                    Reason::AuthorityRefused,
                    format!(
                        "{} is not a name of this server; use a loopback address or localhost, or \
                         add it to allowed_hosts of wharfd",
                        quoted(authority)
                    ),
                ));
            }
        }
        if named {
            return Ok(());
        }
        Err(Problem::new(Reason::AuthorityRefused, "the request has no host name"))
    }

    fn check_origin<B>(&self, request: &Request<B>) -> Result<(), Problem> {
        for origin in request.headers().get_all(header::ORIGIN) {
            let origin = origin.to_str().unwrap_or_default();
            if !self.origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) {
                return Err(Problem::new(
                    Reason::OriginRefused,
                    format!(
                        "web pages of {} may not call this server; add the origin to \
                         allowed_origins of wharfd",
                        quoted(origin)
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// Whether an authority, with a port or without, is this machine or one of `names`.
fn is_ours(authority: &str, names: &[String]) -> bool {
    let Ok(authority) = authority.parse::<http::uri::Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host().to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    let host = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
    let loopback = host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    loopback || host == "localhost" || names.iter().any(|name| name == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_and_configured_names_are_taken() {
        let names = ["wharf.lan".to_owned(), "192.168.7.2".to_owned()];
        for ours in [
            "localhost",
            "localhost:7443",
            "LocalHost.:1",
            "127.0.0.1:7443",
            "127.8.9.1",
            "[::1]:7443",
            "[::ffff:127.0.0.1]",
            "wharf.lan:7443",
            "192.168.7.2:7443",
        ] {
            assert!(is_ours(ours, &names), "{ours}");
        }
        for foreign in [
            "",
            "evil.example",
            "evil.example:7443",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "evil@localhost",
            "0.0.0.0",
            "[::]",
            "10.0.0.1",
            "2130706433",
            "wharf.lan.evil.example",
            "localhost, evil.example",
        ] {
            assert!(!is_ours(foreign, &names), "{foreign}");
        }
    }

    #[test]
    fn every_name_that_a_request_has_is_looked_at() {
        let access = WebAccess { hosts: Some(Vec::new()), origins: Vec::new() };
        let request = |uri: &str, hosts: &[&str]| {
            let mut request = Request::post(uri);
            for host in hosts {
                request = request.header("host", *host);
            }
            access.check(&request.body(()).unwrap()).is_ok()
        };
        assert!(request("/a/b", &["localhost:1"]));
        assert!(request("http://localhost:1/a/b", &[]));
        assert!(!request("/a/b", &[]));
        assert!(!request("http://evil.example/a/b", &["localhost:1"]));
        assert!(!request("http://localhost/a/b", &["evil.example"]));
        assert!(!request("/a/b", &["localhost", "evil.example"]));
    }

    #[test]
    fn a_page_calls_only_where_its_origin_is_listed() {
        let access = |origins: &[&str]| WebAccess {
            hosts: None,
            origins: origins.iter().map(|&it| it.to_owned()).collect(),
        };
        let from = |access: &WebAccess, origin: &str| {
            let request = Request::post("/a/b").header("origin", origin).body(()).unwrap();
            access.check(&request).is_ok()
        };
        let none = access(&[]);
        assert!(none.cors().is_none());
        for origin in ["null", "http://localhost:7443", "https://ui.example.com", ""] {
            assert!(!from(&none, origin), "{origin}");
        }
        let one = access(&["https://ui.example.com"]);
        assert!(from(&one, "https://ui.example.com"));
        for origin in
            ["http://ui.example.com", "https://ui.example.com:8443", "https://evil.example"]
        {
            assert!(!from(&one, origin), "{origin}");
        }
    }
}
