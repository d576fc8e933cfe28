//! The page in a browser: its built files ([`files`]), which `npm run build` makes of `src/` and which are
//! committed, and what both programs that serve them share. `wharfd` serves the page on its TLS listeners,
//! `wharf ui` on a loopback address.
//!
//! - [`files`]: answers with a file, and the policy that every answer has.
//! - [`session`]: signed-in browsers, each known by a cookie.
//! - [`origin`]: whether a request comes from the page itself.

pub mod files;
pub mod origin;
pub mod session;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

/// The path at which a browser signs in (POST, with the secret as the body), asks whether it is signed in
/// (GET), and signs out (DELETE).
pub const SESSION_PATH: &str = "/session";

/// The most bytes that a secret at [`SESSION_PATH`] may have.
pub const MOST_SECRET_BYTES: usize = 4096;

/// How the page was reached, which it is told with every answer about its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Through `wharf ui`, whose address works once.
    Command,
    /// At `wharfd`, with a token.
    Server,
}

/// An answer at [`SESSION_PATH`]: with the reason if the browser is not signed in, and with the `key` that
/// its calls must have as [`session::KEY_HEADER`], if any.
pub fn answer(status: StatusCode, way: Way, message: &str, key: Option<&str>) -> Response<Bytes> {
    let way = match way {
        Way::Command => "command",
        Way::Server => "server",
    };
    let mut content = serde_json::json!({ "way": way });
    if !message.is_empty() {
        content["message"] = message.into();
    }
    if let Some(key) = key {
        content["key"] = key.into();
    }
    let mut response = Response::new(Bytes::from(content.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    files::protect(response.headers_mut());
    response
}

/// A refusal that a person may read.
pub fn refusal(status: StatusCode, message: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(format!("{message}\n")));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    files::protect(response.headers_mut());
    response
}
