//! Lets a client connect only when the way over ssh is there.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::{BoxError, Layer, Service};

use crate::engine::ssh::Tunnel;

/// Puts [`Through`] around reqwest's connector.
#[derive(Debug, Clone)]
pub(super) struct TunnelLayer(pub(super) Arc<Tunnel>);

/// Waits for the way before each attempt to connect. An error is that of the way.
#[derive(Debug, Clone)]
pub(super) struct Through<S> {
    tunnel: Arc<Tunnel>,
    inner: S,
}

impl<S> Layer<S> for TunnelLayer {
    type Service = Through<S>;

    fn layer(&self, inner: S) -> Through<S> {
        Through { tunnel: Arc::clone(&self.0), inner }
    }
}

impl<S, R> Service<R> for Through<S>
where
    S: Service<R, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let clone = self.inner.clone();
        // Call the instance that was polled ready.
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let tunnel = Arc::clone(&self.tunnel);
        Box::pin(async move {
            tunnel.ready().await?;
            inner.call(target).await
        })
    }
}
