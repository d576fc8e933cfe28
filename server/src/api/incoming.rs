//! Checks the one message of each unary request before it is decoded: whether its fields are within
//! their limits ([`super::field_limits`]), and, for a call that changes something, whether this
//! server knows all of its fields (`unknown.rs`). A later version of the contract may have a field
//! that makes such a call do less, such as `dry_run`; ignoring it would do what the caller did not
//! request. docs/api.md describes this for callers.
//!
//! It runs behind [`super::auth`], so that unknown callers cannot cause work, and behind the layer
//! of gRPC-Web, which converts its calls to gRPC. Messages that the server refuses anyway pass
//! unchanged: those larger than the decoder's limit, compressed ones, and invalid ones.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
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

/// Puts the checks around services.
#[derive(Debug, Clone)]
pub struct IncomingLayer(pub Arc<Methods>);

/// Lets only requests through that pass the checks.
#[derive(Debug, Clone)]
pub struct Incoming<S> {
    inner: S,
    methods: Arc<Methods>,
}

impl<S> Layer<S> for IncomingLayer {
    type Service = Incoming<S>;

    fn layer(&self, inner: S) -> Incoming<S> {
        Incoming { inner, methods: Arc::clone(&self.0) }
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
        let Some(method) = self.methods.get(request.uri().path()).cloned() else {
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
