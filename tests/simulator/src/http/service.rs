//! One request from its head to its answer: counters, latency, faults, version, dispatch.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use wharf_server::engine::ApiVersion;

use super::counters::InFlight;
use super::dispatch::{Extras, dispatch};
use super::fault::HttpFault;
use super::reply::{Body, Reply, json_bytes, whole};
use super::route::{Routed, route, since};
use super::server::HttpHost;
use super::session;
use super::stream::{self, Transfer, Work};
use super::wire::{Control, End};
use crate::model::EngineOptions;
use crate::operation::Operation;

const ARCHIVE: &str = "application/x-tar";
const JSON: &str = "application/json";
const RAW_STREAM: &str = "application/vnd.docker.raw-stream";
const TAR: &str = "application/x-tar";
const TEXT: &str = "text/plain; charset=utf-8";

/// Answers one request.
pub(super) async fn serve(
    host: Arc<HttpHost>,
    control: Control,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    control.clear();
    let connection = hyper::upgrade::on(&mut request);
    let (head, body) = request.into_parts();
    let routed = route(head.method.as_str(), head.uri.path(), head.uri.query());
    let in_flight = host.counters.request(routed.operation);
    let text = |name: &str| {
        head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let mut extras = Extras {
        content_type: text("Content-Type").unwrap_or_default(),
        registry_auth: text("X-Registry-Auth"),
        body: Vec::new(),
        chunked: head.headers.contains_key(header::TRANSFER_ENCODING),
    };
    match body.collect().await {
        Ok(body) => extras.body = body.to_bytes().to_vec(),
        // The client went away while it sent.
        Err(_) => return Ok(whole(400, TEXT, "unexpected EOF")),
    }
    let latency = host.latency();
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    host.host().awake().await;
    let fault = host.faults.take(routed.operation, routed.subject());
    let (fault, in_flight) = match instead(&control, fault, in_flight).await {
        Ok(response) => return Ok(response),
        Err(late) => late,
    };
    let asked = head.uri.path_and_query().map_or("", |asked| asked.as_str());
    let kept = host.memory.find(&head.method, asked).filter(|_| fault.is_none());
    let options = host.host().with(|model, _| model.options().clone());
    let method = head.method.clone();
    let reply = match (kept, check(&options, &method, &routed)) {
        (Some(bytes), _) => Reply::Kept(bytes),
        (None, Ok((version, operation))) => {
            dispatch(host.host(), version, operation, &routed, &extras)
                .await
                .unwrap_or_else(Reply::from)
        }
        (None, Err(reply)) => reply,
    };
    // Again: what another request read before the effect may have been kept since.
    host.memory.forget_after(&method);
    let mut response = match reply {
        Reply::Pull(plans) => transfer(&host, Work::Pull(plans), fault, in_flight),
        Reply::Push(plan) => transfer(&host, Work::Push(*plan), fault, in_flight),
        Reply::Load(plan) => transfer(&host, Work::Load(*plan), fault, in_flight),
        Reply::Archive(bytes) => {
            plain(&control, 200, ARCHIVE, bytes.into(), fault, in_flight).await
        }
        Reply::Build(plan) => transfer(&host, Work::Build(*plan), fault, in_flight),
        Reply::Json(status, value) => {
            let bytes = Bytes::from(json_bytes(&value));
            if status == 200 && fault.is_none() {
                host.memory.store(routed.operation, asked, &bytes);
            }
            plain(&control, status, JSON, bytes, fault, in_flight).await
        }
        Reply::Later(value) if fault.is_none() => {
            let mut response = whole(200, JSON, Bytes::new());
            *response.body_mut() = stream::later(value, in_flight);
            response
        }
        Reply::Later(value) => {
            let bytes = Bytes::from(json_bytes(&value.await));
            plain(&control, 200, JSON, bytes, fault, in_flight).await
        }
        Reply::Kept(bytes) => plain(&control, 200, JSON, bytes, fault, in_flight).await,
        Reply::Text(status, text) => {
            plain(&control, status, TEXT, Bytes::from(text), fault, in_flight).await
        }
        Reply::Session(command) => {
            tokio::spawn(session::run(connection, host.host().clone(), command, in_flight));
            upgraded()
        }
        Reply::Frames(bytes) if head.headers.contains_key(header::UPGRADE) => {
            in_flight.whole();
            hijacked(connection, bytes)
        }
        Reply::Frames(bytes) => {
            plain(&control, 200, RAW_STREAM, bytes.into(), fault, in_flight).await
        }
        Reply::Files(stat, archive) => {
            let mut response = plain(&control, 200, TAR, archive.into(), fault, in_flight).await;
            set(&mut response, "x-docker-container-path-stat", &stat);
            response
        }
        Reply::Log(log) => {
            let mut response = whole(200, "", Bytes::new());
            *response.body_mut() = stream::log(*log, in_flight);
            response
        }
        Reply::Stats(samples) => {
            let mut response = whole(200, JSON, Bytes::new());
            *response.body_mut() = stream::stats(*samples, in_flight);
            response
        }
        Reply::Events(events) => {
            let mut response = whole(200, "", Bytes::new());
            *response.body_mut() = stream::events(*events, in_flight);
            response
        }
        Reply::Status(status) => plain(&control, status, "", Bytes::new(), fault, in_flight).await,
    };
    if let Some(place) = &routed.moved {
        set(&mut response, "location", place);
    }
    if options.ping.api_version {
        set(&mut response, "api-version", &options.api_version.to_string());
    }
    set(&mut response, "docker-experimental", "false");
    set(&mut response, "ostype", "linux");
    set(&mut response, "server", &format!("Docker/{} (linux)", options.engine_version));
    Ok(response)
}

/// The answer of a fault that comes before the effect, or what there is to go on with.
async fn instead(
    control: &Control,
    fault: Option<HttpFault>,
    in_flight: InFlight,
) -> Result<Response<Body>, (Option<HttpFault>, InFlight)> {
    let response = match fault {
        Some(HttpFault::HangBeforeHeaders) => pending().await,
        Some(HttpFault::Endless(chunk)) => {
            let mut response = whole(200, JSON, Bytes::new());
            *response.body_mut() = stream::endless(chunk.into(), in_flight);
            return Ok(response);
        }
        Some(HttpFault::Answer { status, content_type, body }) => whole(status, content_type, body),
        Some(HttpFault::Refuse { status, message }) => {
            whole(status, JSON, json_bytes(&json!({"message": message})))
        }
        Some(HttpFault::Redirect(place)) => {
            let mut response = whole(301, "", Bytes::new());
            set(&mut response, "location", &place);
            response
        }
        Some(HttpFault::Garbage(bytes)) => {
            control.instead(bytes);
            whole(200, "", Bytes::new())
        }
        Some(HttpFault::ResetBefore) => {
            control.end_after(0, End::Reset);
            whole(200, "", Bytes::new())
        }
        late => return Err((late, in_flight)),
    };
    in_flight.whole();
    Ok(response)
}

/// An answer that is there as a whole, with the faults that come after the effect.
async fn plain(
    control: &Control,
    status: u16,
    content_type: &str,
    bytes: Bytes,
    fault: Option<HttpFault>,
    in_flight: InFlight,
) -> Response<Body> {
    match fault {
        Some(HttpFault::LoseAnswer) => control.end_after(0, End::Reset),
        Some(HttpFault::HangAfter) => pending().await,
        Some(HttpFault::ResetAt(bytes)) => control.end_after(bytes, End::Reset),
        Some(HttpFault::CloseAt(bytes)) => control.end_after(bytes, End::Close),
        Some(HttpFault::Slow { bytes, every }) => control.slow_down(bytes, every),
        Some(HttpFault::Interim(count)) => {
            control.before(b"HTTP/1.1 102 Processing\r\n\r\n".repeat(count));
        }
        Some(HttpFault::HangInBody { after }) => {
            let mut response = whole(status, content_type, Bytes::new());
            set(&mut response, "content-length", &bytes.len().to_string());
            let sent = bytes.slice(..after.min(bytes.len()));
            *response.body_mut() = stream::stalled(sent, in_flight);
            return response;
        }
        _ => {}
    }
    in_flight.whole();
    whole(status, content_type, bytes)
}

/// Gives the connection up to the streams of a process, which has ended already.
fn hijacked(connection: OnUpgrade, output: Vec<u8>) -> Response<Body> {
    tokio::spawn(async move {
        let Ok(connection) = connection.await else { return };
        let mut connection = TokioIo::new(connection);
        // The client may have gone away.
        let _ = connection.write_all(&output).await;
        let _ = connection.shutdown().await;
    });
    upgraded()
}

fn upgraded() -> Response<Body> {
    let mut response = whole(101, RAW_STREAM, Bytes::new());
    set(&mut response, "connection", "Upgrade");
    set(&mut response, "upgrade", "tcp");
    response
}

fn transfer(
    host: &HttpHost,
    work: Work,
    fault: Option<HttpFault>,
    in_flight: InFlight,
) -> Response<Body> {
    let transfer = Transfer { host: host.host().clone(), work, fault, in_flight };
    let mut response = whole(200, JSON, Bytes::new());
    *response.body_mut() = transfer.into_body();
    response
}

/// Router and version, in the order of the Engine: a path that is not there is 404 whatever its
/// version.
fn check(
    options: &EngineOptions,
    method: &Method,
    routed: &Routed,
) -> Result<(ApiVersion, Operation), Reply> {
    if routed.moved.is_some() {
        return Err(Reply::Status(301));
    }
    let not_found = || Reply::Json(404, json!({"message": "page not found"}));
    let operation = routed.operation.ok_or_else(not_found)?;
    if options.api_version < since(operation) || *method == Method::HEAD && !options.ping.head {
        return Err(not_found());
    }
    let (min, max) = (options.min_api_version, options.api_version);
    let version = routed.version.unwrap_or(max);
    if version < min {
        let message = format!(
            "client version {version} is too old. Minimum supported API version is {min}, please upgrade your client to a newer version"
        );
        // Errors were text before 1.24, and the version of the request decides.
        return Err(if version.minor < 24 {
            Reply::Text(400, format!("{message}\n"))
        } else {
            Reply::Json(400, json!({"message": message}))
        });
    }
    if version > max {
        let message =
            format!("client version {version} is too new. Maximum supported API version is {max}");
        return Err(Reply::Json(400, json!({"message": message})));
    }
    Ok((version, operation))
}

fn set(response: &mut Response<Body>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
