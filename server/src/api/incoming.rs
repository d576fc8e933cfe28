//! Looks into the one message of each unary request before it is decoded: whether its fields are within
//! their limits ([`super::field_limits`]), and, of a call that changes something, whether this server
//! knows all that it says (`unknown.rs`). A later version of the contract may have a field that
//! makes such a call do less, such as `dry_run`; to pass it over is to do what the caller did not ask
//! for. docs/api.md tells callers of it.
//!
//! It also limits the time for that message: a body that never ends would keep its call, and on HTTP/1.1
//! its connection, for ever.
//!
//! It stands behind [`super::auth`], so that nobody makes the server read for nothing, and behind the
//! layer of gRPC-Web, whose calls have become those of gRPC by then. Let through as they are, because
//! the server refuses them itself: a message that is larger than the server decodes, one that is
//! compressed, and what is not a message at all.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use prost_reflect::{DescriptorPool, MessageDescriptor};
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::field_limits::violations;
use super::problem::Problem;
use super::unknown::{self, Unknown, What};
use crate::body::violation::FieldViolation;
use crate::domain::Reason;

/// Before each message: whether it is compressed, and its length.
const HEAD: usize = 5;
/// Longest message, as tonic has it by default.
const LONGEST: usize = 4 << 20;

/// Methods outside of the contract that take one message, and of everybody: those of health.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// Changes nothing, and says what a call that does would do: it knows what that one knows.
const PLANS: &str = "/wharf.v1.RolloutService/PlanRollout";

/// What a method takes.
#[derive(Debug, Clone)]
pub struct Method {
    /// Its request.
    pub message: MessageDescriptor,
    /// Whether all that a request says must be known here.
    pub strict: bool,
}

/// The methods of the contract, by their paths.
#[derive(Debug)]
pub struct Requests(pub HashMap<String, Method>);

impl Requests {
    /// Reads the descriptors that are compiled in.
    ///
    /// # Panics
    /// When they are not valid, which the tests of this crate rule out.
    pub fn load() -> Self {
        let pool = DescriptorPool::decode(wharf::DESCRIPTORS).expect("valid descriptors");
        let option = pool.get_extension_by_name("wharf.v1.mutates").expect("an option");
        let mut requests = HashMap::new();
        for service in pool.services().filter(|service| service.package_name() == "wharf.v1") {
            for method in service.methods() {
                let path = format!("/{}/{}", service.full_name(), method.name());
                let mutates = method.options().get_extension(&option).as_bool() == Some(true);
                let strict = mutates || path == PLANS;
                requests.insert(path, Method { message: method.input(), strict });
            }
        }
        Self(requests)
    }

    /// What a method takes; `None` where it is not of the contract.
    pub fn get(&self, path: &str) -> Option<&Method> {
        self.0.get(path)
    }
}

/// Puts the checks around services.
#[derive(Debug, Clone)]
pub struct IncomingLayer {
    requests: Arc<Requests>,
    time: Duration,
}

/// Lets only requests through that pass the checks.
#[derive(Debug, Clone)]
pub struct Incoming<S> {
    inner: S,
    checks: IncomingLayer,
}

impl IncomingLayer {
    /// The checks of the contract, and the time in which a request must have come as a whole.
    pub fn load(time: Duration) -> Self {
        Self { requests: Arc::new(Requests::load()), time }
    }
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
        let method = self.checks.requests.get(path).cloned();
        if method.is_none() && !path.starts_with(HEALTH) {
            return Box::pin(self.inner.call(request));
        }
        let time = self.checks.time;
        // The one that is ready goes with this call, the clone waits for the next.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            let (head, body) = request.into_parts();
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

/// The one message of a request as it came.
async fn checked(method: Option<&Method>, body: Body, time: Duration) -> Result<Bytes, Status> {
    let body = timeout(time, first_message(body)).await.map_err(|_| incomplete(time))??;
    // What is compressed is refused by the services, and so is what is cut or too long.
    if let (Some(method), Some((&[0, ..], encoded))) = (method, body.split_first_chunk::<HEAD>()) {
        let found = violations(&method.message, encoded);
        if !found.is_empty() {
            return Err(Problem::invalid(found).into());
        }
        if method.strict
            && let Some(found) = unknown::find(&method.message, encoded)
        {
            return Err(problem(found).into());
        }
    }
    Ok(body)
}

/// What comes up to the end of the first message: no method takes another one. Of one that is too
/// long only its length is kept.
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

/// Where a message ends.
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
        let mut service = IncomingLayer::load(Duration::from_secs(60)).layer(serve);
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

    #[test]
    fn every_call_that_changes_something_has_one_message() {
        let pool = DescriptorPool::decode(wharf::DESCRIPTORS).unwrap();
        let requests = Requests::load();
        let is_strict = |path: &str| requests.get(path).is_some_and(|method| method.strict);
        let strict = requests.0.values().filter(|method| method.strict).count();
        assert!(strict > 25, "{strict}");
        assert!(is_strict(PLANS));
        assert!(!is_strict("/wharf.v1.SystemService/GetServerInfo"));
        for service in pool.services() {
            for method in service.methods() {
                let path = format!("/{}/{}", service.full_name(), method.name());
                // All messages of a stream would have to be looked at.
                assert!(!is_strict(&path) || !method.is_client_streaming(), "{path}");
            }
        }
    }
}
