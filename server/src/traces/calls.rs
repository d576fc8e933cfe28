//! The spans of calls: a layer around all services, inside of authentication, so that nobody without a
//! credential can fill the queue. Names and attributes are those of OpenTelemetry's conventions for RPC.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task;

use http::{HeaderMap, Request, Response};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, Span};
use tonic::Code;
use tonic::body::Body;
use tower::{Layer, Service};
use wharf::contract::METHODS;

use super::hosts::HostSpans;
use crate::api::audit;
use crate::api::trailers::read_code;
use crate::fleet::trace::CallTrace;

/// Gives the calls of the services inside their spans.
#[derive(Debug, Clone)]
pub struct TraceLayer(Arc<Shared>);

/// Services whose calls have spans.
#[derive(Debug, Clone)]
pub struct Traced<S> {
    inner: S,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tracer: SdkTracer,
    propagator: TraceContextPropagator,
    /// The name of each path. Other paths, such as those of health checks, have no spans.
    methods: HashMap<&'static str, &'static str>,
}

/// The span of a call in progress. Dropped before its end, its caller has left.
struct CallSpan {
    span: Span,
    has_ended: bool,
}

/// Headers that tell the trace of the caller.
struct Headers<'a>(&'a HeaderMap);

impl TraceLayer {
    pub(super) fn new(tracer: SdkTracer) -> Self {
        let name = |path: &'static str| (path, path.trim_start_matches('/'));
        let methods = METHODS.iter().map(|method| name(method.path)).collect();
        Self(Arc::new(Shared { tracer, propagator: TraceContextPropagator::new(), methods }))
    }
}

impl Shared {
    /// Begins the span of a call, and lets its hosts have theirs; `None` if it is not sampled.
    fn begin<B>(&self, request: &mut Request<B>) -> Option<CallSpan> {
        let method = *self.methods.get(request.uri().path())?;
        let headers = Headers(request.headers());
        let parent = self.propagator.extract_with_context(&Context::new(), &headers);
        let span = self
            .tracer
            .span_builder(method)
            .with_kind(SpanKind::Server)
            .with_attributes([
                KeyValue::new("rpc.system.name", "grpc"),
                KeyValue::new("rpc.method", method),
            ])
            .start_with_context(&self.tracer, &parent);
        if !span.is_recording() {
            return None;
        }
        let context = Context::new().with_remote_span_context(span.span_context().clone());
        let hosts = HostSpans::new(self.tracer.clone(), context, method);
        request.extensions_mut().insert(CallTrace(Arc::new(hosts)));
        Some(CallSpan { span, has_ended: false })
    }
}

impl CallSpan {
    fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        let name = audit::name(code);
        self.span.set_attribute(KeyValue::new("rpc.response.status_code", name));
        if is_error(code) {
            self.span.set_attribute(KeyValue::new("error.type", name));
            self.span.set_status(Status::error(""));
        }
        self.span.end();
    }
}

impl Drop for CallSpan {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// Whether a code is the fault of a server, according to the conventions.
fn is_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Traced<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Traced { inner, shared: Arc::clone(&self.0) }
    }
}

impl<S, B> Service<Request<B>> for Traced<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(
        &mut self,
        context: &mut task::Context<'_>,
    ) -> task::Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let span = self.shared.begin(&mut request);
        let answer = self.inner.call(request);
        match span {
            None => Box::pin(answer),
            Some(mut span) => {
                Box::pin(async move { Ok(read_code(answer.await?, move |code| span.end(code))) })
            }
        }
    }
}
