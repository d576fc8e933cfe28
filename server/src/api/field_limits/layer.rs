//! Refuses requests whose fields are too long, before they are decoded: a layer inside of the
//! authentication.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use prost_reflect::MessageDescriptor;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::{Requests, violations};
use crate::api::problem::Problem;

/// Before each message: whether it is compressed, and its length.
const HEAD: usize = 5;
/// Longest message, as tonic has it by default.
const LONGEST: usize = 4 << 20;

/// Puts the check around services.
#[derive(Debug, Clone)]
pub struct FieldLimits(Arc<Requests>);

/// Lets only requests through whose fields are within their limits.
#[derive(Debug, Clone)]
pub struct ShortFields<S> {
    inner: S,
    requests: Arc<Requests>,
}

impl FieldLimits {
    /// The limits of the contract.
    pub fn load() -> Self {
        Self(Arc::new(Requests::load()))
    }
}

impl<S> Layer<S> for FieldLimits {
    type Service = ShortFields<S>;

    fn layer(&self, inner: S) -> ShortFields<S> {
        ShortFields { inner, requests: Arc::clone(&self.0) }
    }
}

impl<S> Service<Request<Body>> for ShortFields<S>
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
        let Some(message) = self.requests.get(request.uri().path()).cloned() else {
            return Box::pin(self.inner.call(request));
        };
        // The one that is ready goes with this call, the clone waits for the next.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            let (head, body) = request.into_parts();
            match checked(&message, body).await {
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
async fn checked(message: &MessageDescriptor, body: Body) -> Result<Bytes, Status> {
    let body = first_message(body).await?;
    // What is compressed is refused by the services, and so is what is cut or too long.
    if let Some((&[0, ..], encoded)) = body.split_first_chunk::<HEAD>() {
        let found = violations(message, encoded);
        if !found.is_empty() {
            return Err(Problem::invalid(found).into());
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
