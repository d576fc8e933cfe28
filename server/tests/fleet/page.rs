//! The page on a TLS listener: its files, signing in with a token, and calls with the cookie that it is
//! exchanged for. Sent as a browser does, and as one that another page deceives.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use tonic::body::Body;
use tower::{Service, ServiceExt};

use crate::access::{Secured, TOKENS, secured};

/// An answer with its trailers among the headers.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    /// The cookie that it sets, as a browser sends it back.
    fn cookie(&self) -> Option<String> {
        let set = self.headers.get("set-cookie")?.to_str().unwrap();
        Some(set.split(';').next().unwrap().to_owned())
    }

    fn grpc_status(&self) -> Option<&str> {
        self.headers.get("grpc-status").map(|status| status.to_str().unwrap())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

struct Browser {
    secured: Secured,
    origin: String,
}

impl Browser {
    async fn start() -> Self {
        let secured = secured().await;
        let origin = secured.server.listening()[0].replace("tcp://", "https://");
        Self { secured, origin }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Body::new(Full::new(Bytes::copy_from_slice(body)));
        let mut channel = self.secured.channel.clone();
        let channel = channel.ready().await.unwrap();
        let (head, body) = channel.call(request.body(body).unwrap()).await.unwrap().into_parts();
        let body = body.collect().await.unwrap();
        let mut headers = head.headers;
        headers.extend(body.trailers().cloned().unwrap_or_default());
        Answer { status: head.status, headers, body: body.to_bytes() }
    }

    async fn sign_in(&self, token: &str) -> Answer {
        self.send("POST", "/session", &[("origin", &self.origin)], token.as_bytes()).await
    }

    async fn call(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let grpc = ("content-type", "application/grpc");
        self.send("POST", path, &[&[grpc], headers].concat(), &[0; 5]).await
    }
}

const LIST: &str = "/wharf.v1.HostService/ListHosts";
const REMOVE: &str = "/wharf.v1.HostService/RemoveHost";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_there_for_everybody_and_nothing_else() {
    let browser = Browser::start().await;
    let index = browser.send("GET", "/", &[], b"").await;
    assert_eq!(index.status, StatusCode::OK);
    assert!(index.headers["content-security-policy"].to_str().unwrap().contains("'none'"));
    assert!(index.text().contains("<title>Wharf</title>"), "{}", index.text());
    let session = browser.send("GET", "/session", &[], b"").await;
    assert_eq!((session.status, session.text()), (StatusCode::UNAUTHORIZED, r#"{"way":"server"}"#));
    let other = browser.send("GET", "/nothing", &[], b"").await;
    assert_eq!(other.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    browser.secured.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_becomes_a_cookie_with_the_role_of_the_token() {
    let browser = Browser::start().await;
    for (token, role) in TOKENS {
        let signed_in = browser.sign_in(token).await;
        assert_eq!(signed_in.status, StatusCode::OK, "{role}: {}", signed_in.text());
        let set = signed_in.headers["set-cookie"].to_str().unwrap();
        for part in ["__Host-wharf=", "HttpOnly", "Secure", "SameSite=Strict", "Path=/;"] {
            assert!(set.contains(part), "{part}: {set}");
        }
        assert!(!set.contains(token), "the cookie is not the token");
        let cookie = signed_in.cookie().unwrap();
        let own = [("origin", &*browser.origin), ("cookie", &*cookie)];
        let session = browser.send("GET", "/session", &own[1..], b"").await;
        assert_eq!(session.status, StatusCode::OK);
        assert_eq!(browser.call(LIST, &own).await.grpc_status(), Some("0"), "{role}");
        let removed = browser.call(REMOVE, &own).await;
        let refused = removed.grpc_status() == Some("7");
        assert_eq!(refused, role != wharf_server::domain::Role::Admin, "{role}");
    }
    browser.secured.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_gets_no_cookie() {
    let browser = Browser::start().await;
    let long = "x".repeat(5000);
    for token in ["some-other-token-0123456789", "", " ", "a\nb", &long] {
        let refused = browser.sign_in(token).await;
        assert_eq!((refused.status, refused.cookie()), (StatusCode::FORBIDDEN, None), "{token:.9}");
        assert!(refused.text().contains("token"), "{}", refused.text());
    }
    browser.secured.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cookie_counts_only_in_requests_of_the_page_itself() {
    let browser = Browser::start().await;
    let cookie = browser.sign_in(TOKENS[2].0).await.cookie().unwrap();
    let own = ("origin", &*browser.origin);
    for headers in [
        vec![("cookie", &*cookie)],
        vec![("cookie", &*cookie), ("origin", "https://evil.example")],
        vec![("cookie", &*cookie), ("origin", "null")],
        vec![("cookie", &*cookie), own, ("sec-fetch-site", "cross-site")],
        vec![("cookie", "__Host-wharf=guess"), own],
        vec![own],
    ] {
        let answer = browser.call(LIST, &headers).await;
        assert!(matches!(answer.grpc_status(), Some("7" | "16")), "{headers:?}");
    }
    // Nor does another page sign anybody in or out.
    let foreign = [("origin", "https://evil.example"), ("cookie", &*cookie)];
    for (method, body) in [("POST", TOKENS[0].0), ("DELETE", "")] {
        let answer = browser.send(method, "/session", &foreign, body.as_bytes()).await;
        assert_eq!((answer.status, answer.cookie()), (StatusCode::FORBIDDEN, None), "{method}");
    }
    assert_eq!(browser.call(LIST, &[own, foreign[1]]).await.grpc_status(), Some("0"));
    browser.secured.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_out_ends_the_session() {
    let browser = Browser::start().await;
    let cookie = browser.sign_in(TOKENS[0].0).await.cookie().unwrap();
    let own = [("origin", &*browser.origin), ("cookie", &*cookie)];
    let out = browser.send("DELETE", "/session", &own, b"").await;
    assert_eq!(out.cookie().as_deref(), Some("__Host-wharf="));
    assert_eq!(browser.call(LIST, &own).await.grpc_status(), Some("16"));
    browser.secured.server.stop().await;
}
