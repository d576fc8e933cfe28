//! The way to one Engine: sends calls with the negotiated version, opens their answers, and
//! classifies what went wrong. Called by the files of this folder that know what the calls mean.

mod call;
mod negotiate;
mod opened;
mod writes;

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, stream};
use http::header::{CONNECTION, CONTENT_TYPE, SERVER, UPGRADE};
use http::{HeaderValue, Method, StatusCode};
use reqwest::{Body, Response};
use tokio::time::timeout;
use url::Url;
use wharf::causes::find;

use super::answers::AnswerMemory;
use super::clients::{Clients, IDLE_CONNECTIONS};
use super::lanes::{Lanes, Ticket};
use super::movement::Movement;
use super::path;
use super::traffic::Traffic;
use super::transport::{Phase, Security, doubtful, transport_error};
use crate::domain::HostAddress;
use crate::engine::call_log;
use crate::engine::classify::{Complaint, classify};
use crate::engine::health::HealthRecord;
use crate::engine::hedge;
use crate::engine::operation::{Access, ERROR_CAP, Operation, Pace};
use crate::engine::ssh::{SshError, Tunnel};
use crate::engine::{
    ApiVersion, EngineError, ErrorKind, ProgressSink, Result, Upload, UploadError, registry_auth,
};

pub(super) use call::Call;
pub(super) use negotiate::{VersionCell, is_podman, maximum_of};
pub(super) use opened::{Answer, Opened, bad_answer, list_error};
pub(super) use writes::Writes;

/// One Engine and what is known about it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) clients: Clients,
    pub(super) base: Url,
    pub(super) address: HostAddress,
    pub(super) security: Security,
    /// The way over ssh, for hosts that have one.
    pub(super) tunnel: Option<Arc<Tunnel>>,
    /// Maximum time of a transfer without progress.
    pub(super) stall: Duration,
    /// How many bytes it may report of a transfer.
    pub(super) report: u64,
    /// How long the negotiation may take.
    pub(super) negotiation: Duration,
    /// Memory for the responses of all Engines.
    pub(super) answers: AnswerMemory,
    /// What the calls of all Engines are counted in.
    pub(super) traffic: Traffic,
    /// What the calls to this one show.
    pub(super) health: HealthRecord,
    pub(super) lanes: Arc<Lanes>,
    pub(super) version: VersionCell,
    /// Calls that may have changed what a list of containers shows.
    pub(super) writes: Writes,
}

/// What every call goes through is boxed: the compiler otherwise looks at all of it again in each of the
/// calls of [`crate::engine::Engine`].
impl Link {
    /// Makes a call with one response, in the negotiated version.
    pub(super) fn send(self: &Arc<Self>, call: Call) -> BoxFuture<'_, Result<Answer>> {
        async move { self.open(&call, |opened| opened.read(Vec::new())).await }.boxed()
    }

    /// Makes a call with one response, with the given version or without one.
    pub(super) fn send_with<'a>(
        self: &'a Arc<Self>,
        call: &'a Call,
        version: Option<ApiVersion>,
    ) -> BoxFuture<'a, Result<Answer>> {
        self.open_hedged(call, version, |opened| opened.read(Vec::new())).boxed()
    }

    /// Makes any call, in the negotiated version: `read` takes its answer in as it comes.
    pub(super) async fn open<T, F>(
        self: &Arc<Self>,
        call: &Call,
        read: impl Fn(Opened) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let spoken = self.negotiated(call.operation).await?.version;
        match self.open_hedged(call, Some(spoken), &read).await {
            // The Engine was replaced by another version. It refused before it did anything.
            Err(error) if error.kind == ErrorKind::NoCommonApiVersion => {
                let spoken = self.negotiate_again(call.operation, spoken).await?.version;
                self.open_hedged(call, Some(spoken), &read).await
            }
            result => result,
        }
    }

    /// Makes a call, and where its task may ask twice, beside it once more.
    async fn open_hedged<T, F>(
        self: &Arc<Self>,
        call: &Call,
        version: Option<ApiVersion>,
        read: impl Fn(Opened) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let second = async || {
            let call = Call { is_second: true, ..call.clone() };
            self.open_with(&call, version, &read).await
        };
        hedge::race(call.operation, self.open_with(call, version, &read), second).await
    }

    async fn open_with<T, F>(
        self: &Arc<Self>,
        call: &Call,
        version: Option<ApiVersion>,
        read: impl FnOnce(Opened) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let _write = call.operation.changes_containers().then(|| self.writes.begin());
        let logged = call_log::begin(call.operation);
        let attempt = async |ticket: Arc<Ticket>| {
            let waiting = self.health.wait(call.operation.pace == Pace::Quick);
            let mut begun = Instant::now();
            let mut response = self.head(call, version).await;
            // An idle connection may have been closed from the other end unnoticed. For a
            // read, another one is tried until all idle ones are used up.
            let mut attempts = 0;
            while attempts < IDLE_CONNECTIONS
                && !call.is_second
                && !ticket.connected()
                && matches!(&response, Err(error) if error.kind == ErrorKind::ConnectionLost)
            {
                begun = Instant::now();
                response = self.head(call, version).await;
                attempts += 1;
            }
            let latency = begun.elapsed();
            let response = match response {
                Ok(response) => response,
                Err(error) => {
                    waiting.failed(&error);
                    return Err(error);
                }
            };
            let server = response.headers().get(SERVER).map(HeaderValue::as_bytes);
            waiting.answered(latency, server);
            self.traffic.answered(call.operation, latency);
            ticket.served();
            let (link, operation) = (Arc::clone(self), call.operation);
            read(Opened { link, ticket, operation, version, latency, response }).await
        };
        let result = if call.is_second {
            // Its turn is that of the first attempt. In a box, because it is rare.
            Box::pin(attempt(self.lanes.ticket())).await
        } else {
            self.lanes.run(call.operation, attempt).await
        };
        if let Err(error) = &result {
            self.traffic.failed(error.kind);
        }
        if let Some(logged) = logged {
            logged.ended(result.as_ref().err());
        }
        result
    }

    /// Waits for what the Engine sends next; in a transfer for no longer than it may stand still.
    pub(super) async fn in_time<T>(
        &self,
        operation: &Operation,
        next: impl Future<Output = T>,
    ) -> Result<T> {
        if !operation.is_transfer() {
            return Ok(next.await);
        }
        let next = timeout(self.stall, next).await;
        next.map_err(|_| self.stalled(operation, "reported nothing"))
    }

    /// Sends the request and returns the response with its head: a success or 304.
    fn head<'a>(
        &'a self,
        call: &'a Call,
        version: Option<ApiVersion>,
    ) -> BoxFuture<'a, Result<Response>> {
        self.send_request(call, version).boxed()
    }

    async fn send_request(&self, call: &Call, version: Option<ApiVersion>) -> Result<Response> {
        let operation = call.operation;
        let (begun, sent_at) = (Instant::now(), tokio::time::Instant::now());
        let mut sent = self.execute(call, version).await?;
        if let (Err(error), Some(tunnel)) = (&sent, &self.tunnel)
            && error.is_connect()
            && find::<SshError>(error).is_none()
        {
            // Its process has just ended, and nothing was sent.
            tunnel.noticed().await;
            sent = self.execute(call, version).await?;
        }
        let elapsed = begun.elapsed();
        let response = sent.map_err(|error| {
            let phase = Phase::Head;
            transport_error(operation, &self.address, self.security, phase, &error)
        });
        match response {
            Ok(response) => {
                let status = response.status();
                tracing::debug!(
                    operation = operation.name, host = %self.address,
                    status = status.as_u16(), ?elapsed, "answered"
                );
                let switched = call.upgrade && status == StatusCode::SWITCHING_PROTOCOLS;
                if status.is_success() || status == StatusCode::NOT_MODIFIED || switched {
                    Ok(response)
                } else {
                    Err(self.refusal(operation, response).await)
                }
            }
            Err(error) => {
                let error = self.explained(operation, error, sent_at).await;
                tracing::debug!(
                    operation = operation.name, host = %self.address,
                    kind = %error.kind, ?elapsed, "failed"
                );
                Err(error)
            }
        }
    }

    async fn execute(
        &self,
        call: &Call,
        version: Option<ApiVersion>,
    ) -> Result<reqwest::Result<Response>> {
        let mut request = self.request(call, version)?;
        let Some(upload) = &call.upload else {
            let client = if call.is_second { self.clients.fresh()? } else { self.clients.kept() };
            return self.in_time(call.operation, client.execute(request)).await;
        };
        // The Engine answers when it has everything, so what it takes is its progress.
        let movement = Movement::new();
        let taken = movement.clone();
        let (source, progress) = (upload.clone(), call.progress.clone());
        let mut content = Box::pin(upload.content());
        let content = stream::poll_fn(move |context| {
            let next = content.as_mut().poll_next(context);
            match &next {
                // The Engine is not the one to blame.
                Poll::Pending => taken.waits(),
                Poll::Ready(chunk) => {
                    taken.moved();
                    if let (Some(progress), Some(Ok(chunk))) = (&progress, chunk) {
                        report_taken(progress, &source, chunk.len() as u64);
                    }
                }
            }
            next
        });
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
        *request.body_mut() = Some(Body::wrap_stream(content));
        let sent = self.clients.kept().execute(request);
        tokio::pin!(sent);
        loop {
            let left = self.stall.saturating_sub(movement.still());
            match timeout(left, &mut sent).await {
                Ok(sent) => return unread(call.operation, sent),
                Err(_) if movement.still() < self.stall => {}
                Err(_) => return Err(self.stalled(call.operation, "took nothing")),
            }
        }
    }

    fn stalled(&self, operation: &Operation, what: &str) -> EngineError {
        let message = format!("the Engine {what} for {:?}", self.stall);
        EngineError::new(ErrorKind::TransferStalled, operation.name, message)
    }

    /// Where an sshd accepts a connection and cannot connect on to the Engine, it closes it; ssh
    /// says why.
    async fn explained(
        &self,
        operation: &Operation,
        error: EngineError,
        begun: tokio::time::Instant,
    ) -> EngineError {
        use ErrorKind::{ConnectionLost, ResultUnknown, Unreachable};
        let Some(tunnel) = &self.tunnel else { return error };
        if !matches!(error.kind, Unreachable | ConnectionLost | ResultUnknown) {
            return error;
        }
        let Some(refusal) = tunnel.refusal_since(begun).await else { return error };
        // Other calls connect at the same time, so of a write that may have been sent, it does not
        // say that nothing was done.
        if error.kind == Unreachable || operation.access == Access::Read {
            EngineError::new(refusal.kind, operation.name, refusal.message)
        } else {
            EngineError { message: format!("{} ({refusal})", error.message), ..error }
        }
    }

    fn request(&self, call: &Call, version: Option<ApiVersion>) -> Result<reqwest::Request> {
        let operation = call.operation;
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        let url = path::url(&self.base, version, &segments, &call.query).map_err(|error| {
            EngineError::new(ErrorKind::BadRequest, operation.name, error.to_string())
        })?;
        let method = Method::from_bytes(operation.method().as_bytes())
            .expect("operations begin with a method");
        let mut request = reqwest::Request::new(method, url);
        if let Some(body) = &call.body {
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(CONTENT_TYPE, json);
            *request.body_mut() = Some(body.clone().into());
        }
        if call.upgrade {
            let headers = request.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
        }
        if let Some(header) = &call.registry_auth {
            request.headers_mut().insert(registry_auth::HEADER, header.clone());
        }
        if let Some(header) = &call.registry_config {
            request.headers_mut().insert(registry_auth::CONFIGURATION_HEADER, header.clone());
        }
        Ok(request)
    }

    /// The error that an answer without success is.
    async fn refusal(&self, operation: &Operation, mut response: Response) -> EngineError {
        let status = response.status().as_u16();
        let location = response.headers().get(http::header::LOCATION).cloned();
        let mut body = Vec::new();
        // The status says enough if the text is incomplete or never ends.
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = ERROR_CAP - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == ERROR_CAP {
                break;
            }
        }
        let complaint = Complaint::read(status, &body);
        let kind = classify(operation, status, &complaint);
        let message = match (kind, location) {
            (_, Some(location)) if (300..400).contains(&status) => format!(
                "the response is a redirect to {:?}, which a Docker Engine never sends; check the address",
                String::from_utf8_lossy(location.as_bytes())
            ),
            (ErrorKind::Tls, _) => format!(
                "{} uses TLS, but this host has no certificates ({})",
                self.address, complaint.message
            ),
            (ErrorKind::ResultUnknown, _) => doubtful(operation, kind, complaint.message).message,
            _ => complaint.message,
        };
        EngineError::new(kind, operation.name, message).with_status(status)
    }
}

/// Adds bytes that the Engine has taken. How many there are is known once all have arrived.
fn report_taken(progress: &ProgressSink, upload: &Upload, bytes: u64) {
    let (arrived, is_complete) = upload.received();
    progress.send_modify(|transfer| {
        transfer.bytes_done += bytes;
        transfer.bytes_total = if is_complete { arrived } else { 0 };
        let is_all = is_complete && transfer.bytes_done >= arrived;
        let status = if is_all { "Loading" } else { "Sending" };
        if transfer.status != status {
            status.clone_into(&mut transfer.status);
        }
    });
}

/// A request that failed because what it sends cannot be read is no failure of the Engine.
fn unread(
    operation: &Operation,
    sent: reqwest::Result<Response>,
) -> Result<reqwest::Result<Response>> {
    match sent.as_ref().err().and_then(|error| find::<UploadError>(error)) {
        Some(error) => Err(EngineError::new(error.into(), operation.name, error.to_string())),
        None => Ok(sent),
    }
}
