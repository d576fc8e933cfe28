//! Checks the one message of each unary request before it is decoded: whether its fields are within
//! their limits ([`super::field_limits`]), and, for a call that changes something, whether this
//! server knows all of its fields (`unknown.rs`). A later version of the contract may have a field
//! that makes such a call do less, such as `dry_run`; ignoring it would do what the caller did not
//! request. docs/api.md describes this for callers.
//!
//! It runs behind [`super::auth`], so that unknown callers cannot cause work, and behind the layer
//! of gRPC-Web, which converts its calls to gRPC. Messages that the server refuses anyway pass
//! unchanged: those larger than the decoder's limit, compressed ones, and invalid ones.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use prost_reflect::{DescriptorPool, MessageDescriptor};
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
/// Maximum message size, tonic's default.
const LONGEST: usize = 4 << 20;

/// Changes nothing, but predicts a call that does: it must know the same fields.
const PLANS: &str = "/wharf.v1.RolloutService/PlanRollout";

/// The request type of a method.
#[derive(Debug, Clone)]
pub struct Method {
    /// Its request.
    pub message: MessageDescriptor,
    /// Whether all fields of a request must be known.
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

    /// The request type of a method; `None` if it is not in the contract.
    pub fn get(&self, path: &str) -> Option<&Method> {
        self.0.get(path)
    }
}

/// Puts the checks around services.
#[derive(Debug, Clone)]
pub struct IncomingLayer(Arc<Requests>);

/// Lets only requests through that pass the checks.
#[derive(Debug, Clone)]
pub struct Incoming<S> {
    inner: S,
    requests: Arc<Requests>,
}

impl IncomingLayer {
    /// The checks of the contract.
    pub fn load() -> Self {
        Self(Arc::new(Requests::load()))
    }
}

impl<S> Layer<S> for IncomingLayer {
    type Service = Incoming<S>;

    fn layer(&self, inner: S) -> Incoming<S> {
        Incoming { inner, requests: Arc::clone(&self.0) }
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
        let Some(method) = self.requests.get(request.uri().path()).cloned() else {
            return Box::pin(self.inner.call(request));
        };
        // The ready service handles this call, the clone waits for the next one.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            let (head, body) = request.into_parts();
            match checked(&method, body).await {
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
async fn checked(method: &Method, body: Body) -> Result<Bytes, Status> {
    let body = first_message(body).await?;
    // The services refuse compressed, incomplete, and oversized messages.
    if let Some((&[0, ..], encoded)) = body.split_first_chunk::<HEAD>() {
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
    use super::*;

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
                // All messages of a stream would have to be checked.
                assert!(!is_strict(&path) || !method.is_client_streaming(), "{path}");
            }
        }
    }
}
