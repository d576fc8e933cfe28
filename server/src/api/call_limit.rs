//! The limit of concurrent calls for one caller. A layer inside the authentication, which
//! identifies the caller; streams count until they end.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, FutureExt};
use http::{Request, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::audit::{self, Entry, Peer, Subject};
use super::auth::Principal;
use super::problem::Problem;
use super::throttle::Throttle;
use crate::domain::Reason;

/// Counts the calls of every caller. Clones share the counts.
#[derive(Debug, Clone)]
pub struct CallLimit {
    most: usize,
    counts: Arc<Mutex<HashMap<String, usize>>>,
    lines: Arc<Throttle>,
}

/// The services behind the limit.
#[derive(Debug, Clone)]
pub struct Limited<S> {
    inner: S,
    limit: CallLimit,
}

/// One call in progress.
#[derive(Debug)]
struct Running {
    limit: CallLimit,
    caller: String,
}

impl CallLimit {
    /// At most `most` concurrent calls per caller.
    pub fn new(most: usize) -> Self {
        Self { most, counts: Arc::default(), lines: Arc::default() }
    }

    fn begin(&self, caller: String) -> Result<Running, Problem> {
        let mut counts = self.counts();
        let count = counts.entry(caller.clone()).or_default();
        if *count >= self.most {
            let message = format!(
                "{caller} has {count} calls in progress, the limit for one caller; end some, or raise max_calls_per_caller in the server's configuration"
            );
            return Err(Problem::new(Reason::TooManyCalls, message));
        }
        *count += 1;
        drop(counts);
        Ok(Running { limit: self.clone(), caller })
    }

    /// The audit line of a refusal. Calls that change something have one anyway.
    fn log<B>(&self, request: &Request<B>, caller: String, problem: &Problem) {
        if request.extensions().get::<Subject>().is_some() {
            return;
        }
        let peer = Peer::of(request);
        if let Some(suppressed) = self.lines.line(peer.source(), Instant::now()) {
            let entry = Entry::of(request, peer, caller);
            entry.refused(audit::name(problem.code), problem.reason.as_str(), suppressed);
        }
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut counts = self.limit.counts();
        if let Some(count) = counts.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.caller);
            }
        }
    }
}

impl<S> Layer<S> for CallLimit {
    type Service = Limited<S>;
    fn layer(&self, inner: S) -> Limited<S> {
        Limited { inner, limit: self.clone() }
    }
}

impl<S, B> Service<Request<B>> for Limited<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // Health checks have no caller, and show whether the server is alive.
        let Some(principal) = request.extensions().get::<Principal>() else {
            return self.inner.call(request).boxed();
        };
        let caller = principal.to_string();
        match self.limit.begin(caller.clone()) {
            Ok(running) => {
                let answer = self.inner.call(request);
                async move {
                    let answer = answer.await?;
                    Ok(answer.map(|body| Body::new(Counted { body, running: Some(running) })))
                }
                .boxed()
            }
            Err(problem) => {
                self.limit.log(&request, caller, &problem);
                async move { Ok(Status::from(problem).into_http()) }.boxed()
            }
        }
    }
}

/// An answer on its way; its call counts until the end.
struct Counted {
    body: Body,
    running: Option<Running>,
}

impl HttpBody for Counted {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) {
            self.running = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::super::auth::Identity;
    use super::*;
    use crate::domain::Role;
    use bytes::Bytes;
    use http_body_util::Full;
    use std::convert::Infallible;
    use tonic::Code;

    fn request(caller: &str) -> Request<()> {
        let mut request = Request::new(());
        let principal =
            Principal { identity: Identity::Token(caller.to_owned()), role: Role::Admin };
        request.extensions_mut().insert(principal);
        request
    }

    #[tokio::test]
    async fn a_caller_with_too_many_calls_is_refused_and_the_others_are_not() {
        let limit = CallLimit::new(2);
        let mut service = limit.layer(tower::service_fn(async |_: Request<()>| {
            // Not at its end yet.
            let body = Body::new(Full::new(Bytes::from_static(b"x")));
            Ok::<_, Infallible>(Response::new(body))
        }));
        let first = service.call(request("ann")).await.unwrap();
        let _second = service.call(request("ann")).await.unwrap();
        let refused = service.call(request("ann")).await.unwrap();
        let status = Status::from_header_map(refused.headers()).unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.message().starts_with("token:ann has 2 calls in progress"), "{status:?}");
        let other = service.call(request("bob")).await.unwrap();
        assert!(Status::from_header_map(other.headers()).is_none());
        let health = service.call(Request::new(())).await.unwrap();
        assert!(Status::from_header_map(health.headers()).is_none());
        drop(first);
        let again = service.call(request("ann")).await.unwrap();
        assert!(Status::from_header_map(again.headers()).is_none());
        drop((again, other));
        assert_eq!(limit.counts().len(), 1, "callers without calls are forgotten");
    }
}
