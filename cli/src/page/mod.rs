//! The page of `wharf ui`: serves its files on a loopback address, and passes its calls on to `wharfd` with
//! the credentials of this command line. Whoever reaches the address can do what this command line can, so
//! every request goes through the [`gate`]. Called by `commands/ui.rs`.

mod forward;
mod gate;

pub use forward::Forward;
pub use gate::Gate;
pub use wharf_page::session::secret;

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{Method, StatusCode};
use tower::{Layer, ServiceExt};
use wharf_page::{SESSION_PATH, Way, files, refusal};

use gate::Refused;

/// Answers requests of browsers.
#[derive(Clone)]
pub struct Page {
    gate: Arc<Gate>,
    forward: Forward,
}

impl Page {
    /// A page behind `gate` whose calls `forward` makes.
    pub fn new(gate: Gate, forward: Forward) -> Self {
        Self { gate: Arc::new(gate), forward }
    }

    /// The answer to one request.
    pub async fn answer(self, request: Request) -> Result<Response, Infallible> {
        if let Err(refused) = self.gate.admits(&request) {
            return Ok(whole(refusal(StatusCode::FORBIDDEN, refused.0)));
        }
        if request.uri().path() == SESSION_PATH {
            return Ok(whole(self.session(request).await));
        }
        if let Some(file) = files::answer(&request) {
            return Ok(whole(file));
        }
        if request.method() != Method::POST {
            return Ok(whole(refusal(StatusCode::NOT_FOUND, "there is nothing here")));
        }
        if !self.gate.is_open_to(request.headers()) {
            let message = "this browser is not signed in";
            return Ok(whole(refusal(StatusCode::UNAUTHORIZED, message)));
        }
        let answer = tonic_web::GrpcWebLayer::new().layer(self.forward).oneshot(request).await?;
        Ok(answer.map(Body::new))
    }

    async fn session(&self, request: Request) -> http::Response<bytes::Bytes> {
        let (parts, body) = request.into_parts();
        let answer =
            |status, message: &str| wharf_page::answer(status, Way::Command, message, None);
        match parts.method {
            Method::GET if self.gate.is_open_to(&parts.headers) => answer(StatusCode::OK, ""),
            Method::GET => answer(StatusCode::UNAUTHORIZED, ""),
            Method::POST => {
                let secret = axum::body::to_bytes(body, wharf_page::MOST_SECRET_BYTES).await;
                let secret = secret.unwrap_or_default();
                match self.gate.open(std::str::from_utf8(&secret).unwrap_or_default()) {
                    Ok(opened) => {
                        let key = Some(opened.key.as_str());
                        let mut answer = wharf_page::answer(StatusCode::OK, Way::Command, "", key);
                        answer.headers_mut().insert(http::header::SET_COOKIE, opened.cookie);
                        answer
                    }
                    Err(Refused(message)) => answer(StatusCode::FORBIDDEN, message),
                }
            }
            Method::DELETE => {
                let cookie = self.gate.close(&parts.headers);
                let mut answer = answer(StatusCode::OK, "");
                answer.headers_mut().insert(http::header::SET_COOKIE, cookie);
                answer
            }
            _ => answer(StatusCode::METHOD_NOT_ALLOWED, "use GET, POST, or DELETE"),
        }
    }
}

fn whole(response: http::Response<bytes::Bytes>) -> Response {
    response.map(Body::from)
}
