//! Whether a request comes from the page itself. Another page can make a browser send requests, and a page
//! that resolves its own name to a loopback address (DNS rebinding) is taken for the server's own by the
//! browser; but neither can choose the headers `Origin` and `Host`.

use http::header::{self, HeaderName};
use http::{HeaderMap, Request};

/// What a browser says about where a request comes from.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The name and port by which a request knows the server, in lower case; `None` if it has none, or several.
pub fn authority<B>(request: &Request<B>) -> Option<String> {
    let of_uri = request.uri().authority().map(|it| it.as_str().to_ascii_lowercase());
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let of_header = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host.to_str().ok()?.to_ascii_lowercase()),
        (None, None) => None,
        _ => return None,
    };
    match (of_uri, of_header) {
        (Some(uri), Some(header)) if uri != header => None,
        (Some(authority), _) | (None, Some(authority)) => Some(authority),
        (None, None) => None,
    }
}

/// Whether a request says that it comes from a page of `scheme://authority`: browsers say so with every
/// request that is not a GET or HEAD.
pub fn is_own(headers: &HeaderMap, scheme: &str, authority: &str) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else { return false };
    let own = format!("{scheme}://{authority}");
    let same_site = headers.get_all(FETCH_SITE).iter().all(|site| site == "same-origin");
    same_site && origin.to_str().is_ok_and(|origin| origin.eq_ignore_ascii_case(&own))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        is_own(&map, "https", "wharf.lan:7443")
    }

    #[test]
    fn only_the_page_itself_is_own() {
        assert!(from(&[("origin", "https://wharf.lan:7443")]));
        assert!(from(&[("origin", "https://Wharf.LAN:7443"), ("sec-fetch-site", "same-origin")]));
        for foreign in [
            "http://wharf.lan:7443",
            "https://wharf.lan",
            "https://wharf.lan:7444",
            "https://wharf.lan:7443.evil.example",
            "https://evil.example",
            "null",
            "",
        ] {
            assert!(!from(&[("origin", foreign)]), "{foreign}");
        }
        assert!(!from(&[]), "a request without an origin is nobody's");
        let own = ("origin", "https://wharf.lan:7443");
        assert!(!from(&[own, ("origin", "https://evil.example")]));
        assert!(!from(&[own, ("sec-fetch-site", "cross-site")]));
        assert!(!from(&[own, ("sec-fetch-site", "same-site")]));
    }

    #[test]
    fn a_request_with_two_names_has_none() {
        let named = |uri: &str, hosts: &[&str]| {
            let mut request = Request::get(uri);
            for host in hosts {
                request = request.header("host", *host);
            }
            authority(&request.body(()).unwrap())
        };
        assert_eq!(named("/", &["LocalHost:1"]).as_deref(), Some("localhost:1"));
        assert_eq!(named("https://a:1/", &[]).as_deref(), Some("a:1"));
        assert_eq!(named("https://a:1/", &["a:1"]).as_deref(), Some("a:1"));
        assert_eq!(named("https://a:1/", &["b:1"]), None);
        assert_eq!(named("/", &["a", "b"]), None);
        assert_eq!(named("/", &[]), None);
    }
}
