//! Passes gRPC calls of the page on to `wharfd`.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderName, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{Service, ServiceExt};

use crate::app::Wire;

/// What of the headers of a browser reaches the server; credentials are those of this command line.
const PASSED: [HeaderName; 3] = [CONTENT_TYPE, TE, HeaderName::from_static("grpc-timeout")];

/// The way to `wharfd`.
#[derive(Clone)]
pub struct Forward(Wire);

impl Forward {
    /// Calls go over this connection.
    pub fn new(wire: Wire) -> Self {
        Self(wire)
    }
}

impl Service<Request<Body>> for Forward {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Each call waits for the connection itself, and says so if there is none.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let wire = self.0.clone();
        async move {
            let (mut parts, body) = request.into_parts();
            let mut headers = HeaderMap::new();
            for name in PASSED {
                if let Some(value) = parts.headers.remove(&name) {
                    headers.insert(name, value);
                }
            }
            parts.headers = headers;
            Ok(match wire.oneshot(Request::from_parts(parts, body)).await {
                Ok(response) => response.map(Body::new),
                Err(error) => {
                    let message =
                        format!("wharfd cannot be reached: {}", wharf::causes::innermost(&error));
                    Status::unavailable(message).into_http()
                }
            })
        }
        .boxed()
    }
}
