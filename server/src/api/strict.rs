//! Refuses calls that change something and say what this server does not know. A later version of
//! the contract may have a field that makes such a call do less, such as `dry_run`; to pass it over
//! is to do what the caller did not ask for. docs/api.md tells callers of it.
//!
//! It stands behind [`super::auth`], so that nobody makes the server read for nothing, and behind the
//! layer of gRPC-Web, whose calls have become those of gRPC by then. It looks at the one message
//! of a unary request. Let through as they are, because the server refuses them itself: a message
//! that is larger than the server decodes, one that is compressed, and what is not a message at all.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::{Request, Response};
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::body::Frame;
use prost_reflect::{DescriptorPool, MessageDescriptor};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::problem::Problem;
use super::unknown::{self, Unknown, What};
use crate::body::violation::FieldViolation;
use crate::domain::Reason;

/// Bytes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Largest message that the services decode: tonic's default.
const LARGEST: usize = 4 << 20;

/// Changes nothing, and says what a call that does would do: it knows what that one knows.
const PLANS: &str = "/wharf.v1.RolloutService/PlanRollout";

/// Puts [`Strict`] around the services of one listener.
#[derive(Clone)]
pub struct StrictLayer(Arc<HashMap<String, MessageDescriptor>>);

/// Lets only those requests through that this server understands as a whole.
#[derive(Debug, Clone)]
pub struct Strict<S> {
    inner: S,
    layer: StrictLayer,
}

impl StrictLayer {
    /// For the methods that change something, read from the descriptors that are compiled in.
    ///
    /// # Panics
    /// When they are not valid, which the tests of this crate rule out.
    #[must_use]
    pub fn load() -> Self {
        let pool = DescriptorPool::decode(wharf::DESCRIPTORS).expect("valid descriptors");
        let option = pool.get_extension_by_name("wharf.v1.mutates").expect("an option");
        let mut requests = HashMap::new();
        for service in pool.services() {
            for method in service.methods() {
                let path = format!("/{}/{}", service.full_name(), method.name());
                let mutates = method.options().get_extension(&option).as_bool() == Some(true);
                if mutates || path == PLANS {
                    requests.insert(path, method.input());
                }
            }
        }
        Self(Arc::new(requests))
    }
}

impl<S> Layer<S> for StrictLayer {
    type Service = Strict<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Strict { inner, layer: self.clone() }
    }
}

impl<S> Service<Request<Body>> for Strict<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(message) = self.layer.0.get(request.uri().path()).cloned() else {
            return Box::pin(self.inner.call(request));
        };
        // The one that is ready; its clone may not be.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let (begun, body) = begin(body).await;
            if let Some(found) = message_of(&begun).and_then(|it| unknown::find(&message, it)) {
                return Ok(Status::from(problem(found)).into_http());
            }
            inner.call(Request::from_parts(head, with(begun, body))).await
        })
    }
}

/// What was read of a body.
struct Begun {
    data: Bytes,
    /// What came instead of more data.
    end: Option<Result<Frame<Bytes>, Status>>,
}

/// Reads a body up to the end of its first message, or to where it is clear that none follows that
/// is to be looked at.
async fn begin(mut body: Body) -> (Begun, Body) {
    let mut data = BytesMut::new();
    let end = loop {
        if data.len() >= wanted(&data) {
            break None;
        }
        match body.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(more) => data.extend_from_slice(&more),
                Err(frame) => break Some(Ok(frame)),
            },
            Some(Err(error)) => break Some(Err(error)),
            None => break None,
        }
    };
    (Begun { data: data.freeze(), end }, body)
}

/// How many bytes must be there before the message can be looked at, or be let through.
fn wanted(data: &[u8]) -> usize {
    match length(data) {
        Some(length) => PREFIX + length,
        None => PREFIX,
    }
}

/// The length of the message; `None` where it is not known yet, or is not to be looked at.
fn length(data: &[u8]) -> Option<usize> {
    let prefix: [u8; PREFIX] = data.get(..PREFIX)?.try_into().ok()?;
    let [compressed, length @ ..] = prefix;
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    (compressed == 0 && length <= LARGEST).then_some(length)
}

/// The message, where it is there as a whole.
fn message_of(begun: &Begun) -> Option<&[u8]> {
    begun.data.get(PREFIX..PREFIX + length(&begun.data)?)
}

/// A body with what was read of it before.
fn with(begun: Begun, rest: Body) -> Body {
    let data = Some(Ok(Frame::data(begun.data)));
    let seen = futures_util::stream::iter(data.into_iter().chain(begun.end));
    Body::new(StreamBody::new(seen.chain(BodyStream::new(rest))))
}

/// The answer to a request that is not understood as a whole.
fn problem(found: Unknown) -> Problem {
    let description = format!("{}; leave it out, or use a server that knows it", found.what);
    let violation = FieldViolation { field: found.field, description };
    let mut problem = Problem::invalid(vec![violation]);
    if let What::Field { message, number } = found.what {
        problem = Problem { reason: Reason::UnknownField, ..problem };
        problem = problem.with("message", message).with("number", number.to_string());
    }
    problem
}

impl fmt::Debug for StrictLayer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StrictLayer").field("methods", &self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_that_changes_something_has_one_message() {
        let pool = DescriptorPool::decode(wharf::DESCRIPTORS).unwrap();
        let strict = StrictLayer::load();
        assert!(strict.0.len() > 25, "{strict:?}");
        assert!(strict.0.contains_key(PLANS));
        assert!(!strict.0.contains_key("/wharf.v1.SystemService/GetServerInfo"));
        for service in pool.services() {
            for method in service.methods() {
                let path = format!("/{}/{}", service.full_name(), method.name());
                // All messages of a stream would have to be looked at.
                assert!(!strict.0.contains_key(&path) || !method.is_client_streaming(), "{path}");
            }
        }
    }
}
