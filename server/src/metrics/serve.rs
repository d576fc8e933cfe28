//! The listener for metrics: `GET /metrics` over plain HTTP/1.1, and nothing else. Each connection has
//! one request and a time limit, so that clients that say or read nothing hold nothing.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{ACCEPT, ALLOW, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Format, Metrics};
use crate::api::origin::WebAccess;
use crate::config::Limits;
use crate::listener::{Accept, Connections, Listener};

/// The only path.
const PATH: &str = "/metrics";
/// Responses in progress at the same time: with 10,000 hosts, each is some megabytes.
const MOST_SCRAPES: usize = 4;

/// Answers requests for metrics.
#[derive(Debug)]
pub struct Endpoint {
    metrics: Metrics,
    /// The host names that requests may have; no web page may read metrics.
    web: WebAccess,
    scrapes: Arc<Semaphore>,
    /// For the head of a request.
    head_timeout: Duration,
    /// For a connection as a whole.
    connection_timeout: Duration,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

impl Endpoint {
    /// Serves `metrics` to requests that pass `web`, with the time limits of other listeners for the
    /// start of a connection and for its request.
    pub fn new(metrics: Metrics, web: WebAccess, limits: &Limits) -> Self {
        Self {
            metrics,
            web,
            scrapes: Arc::new(Semaphore::new(MOST_SCRAPES)),
            head_timeout: limits.handshake_timeout,
            connection_timeout: limits.first_request_timeout,
        }
    }

    /// Serves a listener until `stopping`.
    pub async fn serve(
        self,
        listener: Listener,
        connections: Connections,
        stopping: CancellationToken,
    ) {
        let (endpoint, name) = (Arc::new(self), listener.to_string());
        let serving = async {
            match listener {
                Listener::Unix(listener, _file) => {
                    endpoint.accept(connections, listener, name).await;
                }
                Listener::Tcp(listener) => endpoint.accept(connections, listener, name).await,
            }
        };
        stopping.run_until_cancelled(serving).await;
    }

    async fn accept<A: Accept>(self: &Arc<Self>, connections: Connections, from: A, name: String) {
        let mut incoming = Box::pin(connections.of(from, name));
        // Dropped with this future, and all connections with it.
        let mut open = JoinSet::new();
        while let Some(Ok(io)) = incoming.next().await {
            let endpoint = Arc::clone(self);
            open.spawn(async move {
                let answering = Arc::clone(&endpoint);
                let service = service_fn(move |request| {
                    let endpoint = Arc::clone(&answering);
                    async move { Ok::<_, Infallible>(endpoint.answer(&request).await) }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(endpoint.head_timeout)
                    .keep_alive(false)
                    .serve_connection(TokioIo::new(io), service);
                // A client that left, or was too slow, needs no line in the log.
                let _ = timeout(endpoint.connection_timeout, connection).await;
            });
            while open.try_join_next().is_some() {}
        }
    }

    async fn answer<B>(self: &Arc<Self>, request: &Request<B>) -> Response<Body> {
        if let Err(problem) = self.web.check(request) {
            return refused(StatusCode::FORBIDDEN, &problem.message);
        }
        if request.uri().path() != PATH {
            return refused(StatusCode::NOT_FOUND, "only /metrics is served here");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = refused(StatusCode::METHOD_NOT_ALLOWED, "use GET");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let Ok(permit) = Arc::clone(&self.scrapes).try_acquire_owned() else {
            let problem = format!("{MOST_SCRAPES} requests are in progress; scrape less often");
            let mut response = refused(StatusCode::SERVICE_UNAVAILABLE, &problem);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            return response;
        };
        let accept = request.headers().get_all(ACCEPT).iter();
        let accept: Vec<&str> = accept.filter_map(|value| value.to_str().ok()).collect();
        let format = Format::accepted(&accept.join(","));
        let endpoint = Arc::clone(self);
        // It would hold up the calls of a thread of the runtime.
        let text = tokio::task::spawn_blocking(move || endpoint.metrics.text(format));
        match text.await {
            Ok(Ok(text)) => found(text, format, permit),
            Ok(Err(_)) | Err(_) => {
                tracing::error!("the metrics could not be written");
                refused(StatusCode::INTERNAL_SERVER_ERROR, "internal error; see the log of wharfd")
            }
        }
    }
}

/// The metrics. The permit ends with the response.
fn found(text: String, format: Format, permit: OwnedSemaphorePermit) -> Response<Body> {
    let length = HeaderValue::from(text.len());
    let body = Full::new(Bytes::from(text)).map_frame(move |frame| {
        let _held = &permit;
        frame
    });
    let mut response = Response::new(body.boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    // A body that was mapped does not say it.
    headers.insert(CONTENT_LENGTH, length);
    response
}

/// A problem as one line of text.
fn refused(status: StatusCode, problem: &str) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{problem}\n"))).boxed_unsync());
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}
