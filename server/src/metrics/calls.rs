//! The calls of the contract: how many are in progress, how long each took, and how it ended. A layer
//! around all services, outside of authentication, so that refused calls count.
//!
//! Names and labels are those of OpenTelemetry's conventions for RPC. A path that the contract does
//! not have is `_OTHER`, whatever it is: callers choose it.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;
use tonic::Code;
use tonic::body::Body;
use tower::{Layer, Service};
use wharf::contract::METHODS;

use crate::api::audit;
use crate::api::trailers::read_code;

/// The label of a path that the contract does not have.
const OTHER: &str = "_OTHER";

/// Buckets, in seconds. OpenTelemetry's, without three of its close ones, and with some for calls that
/// do work on hosts.
const BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// The calls of a server.
#[derive(Debug)]
pub struct Calls {
    /// The label of each path.
    methods: HashMap<&'static str, &'static str>,
    durations: Family<Ended, Histogram, fn() -> Histogram>,
    in_progress: Family<Method, Gauge>,
}

/// Counts the calls of the services inside.
#[derive(Debug, Clone)]
pub struct CallLayer(pub Arc<Calls>);

/// Services whose calls are counted.
#[derive(Debug, Clone)]
pub struct Counted<S> {
    inner: S,
    calls: Arc<Calls>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    rpc_method: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    rpc_system_name: &'static str,
    rpc_method: &'static str,
    rpc_response_status_code: &'static str,
}

/// A call in progress. Dropped before its end, it was given up by its caller.
#[derive(Debug)]
struct Call {
    calls: Arc<Calls>,
    method: &'static str,
    begun: Instant,
    has_ended: bool,
}

impl Default for Calls {
    fn default() -> Self {
        let label = |path: &'static str| (path, path.trim_start_matches('/'));
        let durations = Family::new_with_constructor((|| Histogram::new(BOUNDS)) as fn() -> _);
        let methods = METHODS.iter().map(|method| label(method.path)).collect();
        Self { methods, durations, in_progress: Family::default() }
    }
}

impl Calls {
    /// Shows them in `registry`.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "rpc_server_call_duration",
            "Time of a call, from its arrival to the end of its response",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register(
            "wharf_calls_in_progress",
            "Calls whose response has not ended, such as streams that are followed",
            self.in_progress.clone(),
        );
    }

    fn begin(self: &Arc<Self>, path: &str) -> Call {
        let method = self.methods.get(path).copied().unwrap_or(OTHER);
        self.in_progress.get_or_create(&Method { rpc_method: method }).inc();
        Call { calls: Arc::clone(self), method, begun: Instant::now(), has_ended: false }
    }
}

impl Call {
    /// Counts the end with a code.
    fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        let labels = Ended {
            rpc_system_name: "grpc",
            rpc_method: self.method,
            rpc_response_status_code: audit::name(code),
        };
        let duration = self.begun.elapsed().as_secs_f64();
        self.calls.durations.get_or_create(&labels).observe(duration);
    }

    /// Follows a response to its end.
    fn follow(mut self, response: Response<Body>) -> Response<Body> {
        if response.status() != StatusCode::OK {
            // No answer of gRPC: a request that is none, or one for permission by a browser.
            self.has_ended = true;
            return response;
        }
        read_code(response, move |code| self.end(code))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
        self.calls.in_progress.get_or_create(&Method { rpc_method: self.method }).dec();
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Counted { inner, calls: Arc::clone(&self.0) }
    }
}

impl<S, B> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let call = self.calls.begin(request.uri().path());
        let answer = self.inner.call(request);
        Box::pin(async move { Ok(call.follow(answer.await?)) })
    }
}
