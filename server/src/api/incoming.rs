//! Checks each message of a request before it is decoded: whether its fields are within
//! their limits ([`super::field_limits`]), and, for a call that changes something, whether this
//! server knows all of its fields (`unknown.rs`). A later version of the contract may have a field
//! that makes such a call do less, such as `dry_run`; ignoring it would do what the caller did not
//! request. docs/api.md describes this for callers.
//!
//! It also limits the time for the first message: a body that never ends would keep its call, and on HTTP/1.1
//! its connection, forever.
//!
//! It runs behind [`super::auth`], so that unknown callers cannot cause work, and behind the layer
//! of gRPC-Web, which converts its calls to gRPC. Messages that the server refuses anyway pass
//! unchanged: those larger than the decoder's limit, compressed ones, and invalid ones.

mod messages;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::field_limits::violations;
use super::methods::{Method, Methods};
use super::problem::Problem;
use super::unknown::{self, Unknown, What};
use crate::body::violation::FieldViolation;
use crate::domain::Reason;

/// Before each message: whether it is compressed, and its length.
const HEAD: usize = 5;
/// Maximum message size, tonic's default.
const LONGEST: usize = 4 << 20;

/// Methods outside of the contract that take one message, and that everybody may call: those of health.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// Puts the checks around services.
#[derive(Debug, Clone)]
pub struct IncomingLayer {
    methods: Arc<Methods>,
    time: Duration,
}

impl IncomingLayer {
    /// The checks of the contract, and the time within which a request must be complete.
    pub fn new(methods: Arc<Methods>, time: Duration) -> Self {
        Self { methods, time }
    }
}

/// Lets only requests through that pass the checks.
#[derive(Debug, Clone)]
pub struct Incoming<S> {
    inner: S,
    checks: IncomingLayer,
}

impl<S> Layer<S> for IncomingLayer {
    type Service = Incoming<S>;

    fn layer(&self, inner: S) -> Incoming<S> {
        Incoming { inner, checks: self.clone() }
    }
}

impl<S> Service<Request<Body>> for Incoming<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let method = self.checks.methods.get(path).cloned();
        if method.is_none() && !path.starts_with(HEALTH) {
            return Box::pin(self.inner.call(request));
        }
        let time = self.checks.time;
        // The ready service handles this call, the clone waits for the next one.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            let (head, body) = request.into_parts();
            if let Some(method) = method.as_ref().filter(|method| method.streamed) {
                let body = messages::checked(method.clone(), body, time);
                return inner.call(Request::from_parts(head, body)).await;
            }
            match checked(method.as_ref(), body, time).await {
                Ok(body) => {
                    let body = Body::new(Full::new(body));
                    inner.call(Request::from_parts(head, body)).await
                }
                Err(status) => Ok(status.into_http()),
            }
        })
    }
}

/// The one message of a request as received.
async fn checked(method: Option<&Method>, body: Body, time: Duration) -> Result<Bytes, Status> {
    let body = timeout(time, first_message(body)).await.map_err(|_| incomplete(time))??;
    if let Some(method) = method {
        check(method, &body)?;
    }
    Ok(body)
}

/// Checks one message with its head. The services refuse compressed, incomplete, and oversized
/// ones.
fn check(method: &Method, message: &[u8]) -> Result<(), Problem> {
    let Some((&[0, ..], encoded)) = message.split_first_chunk::<HEAD>() else { return Ok(()) };
    let found = violations(&method.message, encoded);
    if !found.is_empty() {
        return Err(Problem::invalid(found));
    }
    match unknown::find(&method.message, encoded) {
        Some(found) if method.strict => Err(problem(found)),
        _ => Ok(()),
    }
}

/// Reads up to the end of the first message: no method accepts another one. For an oversized
/// message, only the length is kept.
async fn first_message(mut body: Body) -> Result<Bytes, Status> {
    let mut kept = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let mut data = &data[..];
        if kept.len() < HEAD {
            let part = data.len().min(HEAD - kept.len());
            kept.extend_from_slice(&data[..part]);
            data = &data[part..];
        }
        let Some(head) = kept.first_chunk::<HEAD>() else { continue };
        let room = end(head).saturating_sub(kept.len());
        kept.extend_from_slice(&data[..data.len().min(room)]);
    }
    Ok(kept.freeze())
}

/// The end of a message.
fn end(head: &[u8; HEAD]) -> usize {
    let [_, length @ ..] = *head;
    match usize::try_from(u32::from_be_bytes(length)) {
        Ok(length) if length <= LONGEST => HEAD + length,
        _ => HEAD,
    }
}

/// The answer to a request that did not come as a whole.
fn incomplete(time: Duration) -> Problem {
    Problem::new(
        Reason::DeadlineExceeded,
        format!(
            "the request was not complete after {} s, and nothing was done; send it whole, and end its body",
            time.as_secs()
        ),
    )
}

/// The answer to a request that is not understood as a whole.
fn problem(found: Unknown) -> Problem {
    let description = format!("{}; remove it, or use a server that supports it", found.what);
    let violation = FieldViolation { field: found.field, description };
    let mut problem = Problem::invalid(vec![violation]);
    if let What::Field { message, number } = found.what {
        problem = Problem { reason: Reason::UnknownField, ..problem };
        problem = problem.with("message", message).with("number", number.to_string());
    }
    problem
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use tonic::Code;
    use tower::service_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_that_never_ends_is_given_up() {
        let serve = service_fn(|_: Request<Body>| async {
            let answer: Response<Body> = Status::ok("").into_http();
            Ok::<_, Infallible>(answer)
        });
        let mut service =
            IncomingLayer::new(Arc::new(Methods::load()), Duration::from_secs(60)).layer(serve);
        let methods = ["/wharf.v1.HostService/ListHosts", "/grpc.health.v1.Health/Check"];
        for (path, whole) in methods.iter().flat_map(|path| [(*path, true), (*path, false)]) {
            let frames = futures_util::stream::iter([Ok::<_, Status>(Frame::data(
                Bytes::from_static(if whole { &[0; 5] } else { &[0] }),
            ))]);
            let body = if whole {
                Body::new(StreamBody::new(frames))
            } else {
                let rest = futures_util::stream::pending();
                Body::new(StreamBody::new(futures_util::StreamExt::chain(frames, rest)))
            };
            let request = Request::post(path).body(body).unwrap();
            let asked = service.call(request);
            // Much more than it has, and no time at all where the clock is paused.
            let answer = timeout(Duration::from_secs(3600), asked).await.expect(path).unwrap();
            let code = Code::from_bytes(answer.headers()["grpc-status"].as_bytes());
            let expected = if whole { Code::Ok } else { Code::DeadlineExceeded };
            assert_eq!(code, expected, "{path}: {answer:?}");
        }
    }
}
