//! The connection to one Engine: sends calls with the negotiated version, reads responses up to
//! their limits, and classifies failures. Called by the files of this folder that implement the
//! calls.

mod intake;
mod negotiate;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use reqwest::Response;
use serde::de::DeserializeOwned;
use url::Url;

use super::answers::{AnswerMemory, Share};
use super::lanes::{Lanes, Ticket};
use super::path;
use super::transport::{Phase, Security, doubtful, transport_error};
use crate::domain::HostAddress;
use crate::engine::classify::{Complaint, classify};
use crate::engine::operation::{Access, ERROR_CAP, Operation};
use crate::engine::{ApiVersion, EngineError, ErrorKind, Result, registry_auth, wire};

use intake::Intake;

pub(super) use intake::list_error;
pub(super) use negotiate::{VersionCell, is_podman, maximum_of};

/// Responses above this size are parsed in a separate thread, so that a huge response of one host
/// does not delay the others: parsing takes about 3 ms per megabyte.
const PARSED_IN_PLACE: usize = 1 << 20;
/// Idle connections to keep for each host.
pub(super) const IDLE_CONNECTIONS: usize = 4;

/// One Engine and what is known about it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) client: reqwest::Client,
    pub(super) base: Url,
    pub(super) address: HostAddress,
    pub(super) security: Security,
    /// Maximum time of a transfer without progress.
    pub(super) stall: Duration,
    /// How many bytes it may report of a transfer.
    pub(super) report: u64,
    /// How long the negotiation may take.
    pub(super) negotiation: Duration,
    /// Memory for the responses of all Engines.
    pub(super) answers: AnswerMemory,
    pub(super) lanes: Arc<Lanes>,
    pub(super) version: VersionCell,
}

/// A request to send.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) operation: &'static Operation,
    segments: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<Bytes>,
    registry_auth: Option<HeaderValue>,
}

/// A whole answer with a status of success, or 304.
#[derive(Debug)]
pub(super) struct Answer<B = Vec<u8>> {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: B,
    /// The API version of the request.
    pub(super) version: Option<ApiVersion>,
    /// From the first byte of the request to the head of the answer.
    pub(super) latency: Duration,
    /// Whether a connection was opened for it.
    pub(super) connected: bool,
    pub(super) operation: &'static Operation,
    /// Released once the response is read.
    share: Share,
}

impl Call {
    pub(super) fn new(operation: &'static Operation, segments: &[&str]) -> Self {
        Self {
            operation,
            segments: segments.iter().map(|segment| (*segment).to_owned()).collect(),
            query: Vec::new(),
            body: None,
            registry_auth: None,
        }
    }

    /// The same path below another one.
    pub(super) fn below(mut self, segment: &str) -> Self {
        self.segments.insert(0, segment.to_owned());
        self
    }

    /// Adds a parameter to the query.
    pub(super) fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }

    /// Adds a parameter if it has a value.
    pub(super) fn with_some(self, key: &'static str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Adds `key=1` if set. The Engine treats a missing one as false.
    pub(super) fn with_flag(self, key: &'static str, is_set: bool) -> Self {
        if is_set { self.with(key, "1") } else { self }
    }

    /// Adds filters, which the Engine expects as JSON; none if there are none.
    pub(super) fn with_filters(self, filters: &crate::engine::Filters) -> Self {
        if filters.is_empty() {
            return self;
        }
        let json = serde_json::to_string(filters).expect("strings and lists of them are JSON");
        self.with("filters", json)
    }

    /// Sends a JSON text.
    pub(super) fn with_json(mut self, json: String) -> Self {
        self.body = Some(json.into());
        self
    }

    /// Sends credentials for a registry.
    pub(super) fn with_registry_auth(mut self, header: HeaderValue) -> Self {
        self.registry_auth = Some(header);
        self
    }
}

impl Answer {
    /// The body as text.
    pub(super) fn into_text(self) -> Result<String> {
        let operation = self.operation;
        String::from_utf8(self.body).map_err(|_| bad_answer(operation, "not UTF-8"))
    }

    /// Reads the body as one JSON value.
    pub(super) async fn json<T: DeserializeOwned + Send + 'static>(self) -> Result<T> {
        let operation = self.operation;
        let Self { body, share, .. } = self;
        let text = String::from_utf8(body).map_err(|_| bad_answer(operation, "not UTF-8"))?;
        let read = move |text: &str| {
            // Until it is parsed, for everyone who waits for it.
            let _share = share;
            wire::parse(text)
        };
        let parsed = if text.len() <= PARSED_IN_PLACE {
            read(&text)
        } else {
            let parsing = tokio::task::spawn_blocking(move || read(&text));
            parsing.await.map_err(|_| bad_answer(operation, "it could not be read"))?
        };
        parsed.map_err(|error| bad_answer(operation, &error.to_string()))
    }
}

/// A response that does not conform to the Engine API.
pub(super) fn bad_answer(operation: &Operation, problem: &str) -> EngineError {
    EngineError::new(
        ErrorKind::BadAnswer,
        operation.name,
        format!("the response is not valid for a Docker Engine: {problem}"),
    )
}

impl Link {
    /// Makes a call with one response, in the negotiated version.
    pub(super) async fn send(self: &Arc<Self>, call: Call) -> Result<Answer> {
        self.send_into(call, Vec::new).await
    }

    /// The same, with a body read by what `intake` creates.
    pub(super) async fn send_into<B: Intake>(
        self: &Arc<Self>,
        call: Call,
        intake: impl Fn() -> B + Send + Sync,
    ) -> Result<Answer<B>> {
        let spoken = self.negotiated(call.operation).await?.version;
        match self.exchange(&call, Some(spoken), intake()).await {
            // The Engine was replaced by another version. It refused before it did anything.
            Err(error) if error.kind == ErrorKind::NoCommonApiVersion => {
                let spoken = self.negotiate_again(call.operation, spoken).await?.version;
                self.exchange(&call, Some(spoken), intake()).await
            }
            result => result,
        }
    }

    /// Makes a call with one response, with the given version or without one.
    pub(super) async fn send_with(
        &self,
        call: &Call,
        version: Option<ApiVersion>,
    ) -> Result<Answer> {
        self.exchange(call, version, Vec::new()).await
    }

    async fn exchange<B: Intake>(
        &self,
        call: &Call,
        version: Option<ApiVersion>,
        intake: B,
    ) -> Result<Answer<B>> {
        let operation = call.operation;
        self.lanes
            .run(operation, async |ticket: Arc<Ticket>| {
                let mut begun = Instant::now();
                let mut response = self.head(call, version).await;
                // An idle connection may have been closed from the other end unnoticed. For a
                // read, another one is tried until all idle ones are used up.
                let mut attempts = 0;
                while attempts < IDLE_CONNECTIONS
                    && !ticket.connected()
                    && matches!(&response, Err(error) if error.kind == ErrorKind::ConnectionLost)
                {
                    begun = Instant::now();
                    response = self.head(call, version).await;
                    attempts += 1;
                }
                let response = response?;
                let latency = begun.elapsed();
                ticket.served();
                let (status, headers) = (response.status(), response.headers().clone());
                let stays_open = stays_open(&response);
                let (body, share) = self.body(operation, response, intake).await?;
                if stays_open {
                    ticket.whole();
                }
                let connected = ticket.connected();
                Ok(Answer { status, headers, body, version, latency, connected, operation, share })
            })
            .await
    }

    /// Sends the request and returns the response with its head: a success or 304.
    pub(super) async fn head(&self, call: &Call, version: Option<ApiVersion>) -> Result<Response> {
        let operation = call.operation;
        let begun = Instant::now();
        let request = self.request(call, version)?;
        let sent = self.client.execute(request).await;
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
                if status.is_success() || status == StatusCode::NOT_MODIFIED {
                    Ok(response)
                } else {
                    Err(self.refusal(operation, response).await)
                }
            }
            Err(error) => {
                tracing::debug!(
                    operation = operation.name, host = %self.address,
                    kind = %error.kind, ?elapsed, "failed"
                );
                Err(error)
            }
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
        if let Some(header) = &call.registry_auth {
            request.headers_mut().insert(registry_auth::HEADER, header.clone());
        }
        Ok(request)
    }

    /// Reads a body up to its cap.
    async fn body<B: Intake>(
        &self,
        operation: &Operation,
        mut response: Response,
        mut body: B,
    ) -> Result<(B, Share)> {
        let cap = operation.cap;
        let too_large = || {
            let message = format!("the response is larger than the limit of {cap} bytes");
            EngineError::new(ErrorKind::AnswerTooLarge, operation.name, message)
        };
        if response.content_length().is_some_and(|length| length > cap as u64) {
            return Err(too_large());
        }
        let mut length = 0;
        let mut share = self.answers.share();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if length + chunk.len() > cap => return Err(too_large()),
                Ok(Some(chunk)) => {
                    // A write is done, and its short answer must be read.
                    if operation.access == Access::Read {
                        share.grow(body.memory() + chunk.len()).await.map_err(|error| {
                            let kind = ErrorKind::AnswerMemory;
                            EngineError::new(kind, operation.name, error.to_string())
                        })?;
                    }
                    length += chunk.len();
                    body.take(operation, &chunk)?;
                }
                Ok(None) => return Ok((body, share)),
                Err(error) => {
                    let phase = Phase::Body;
                    return Err(transport_error(
                        operation,
                        &self.address,
                        self.security,
                        phase,
                        &error,
                    ));
                }
            }
        }
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

/// Whether the connection can serve another call after this answer.
pub(super) fn stays_open(response: &Response) -> bool {
    let closes = response
        .headers()
        .get_all(CONNECTION)
        .iter()
        .any(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
    response.version() == Version::HTTP_11 && !closes
}

/// Whether the response defines the end of its body. One that ends with the connection may be
/// truncated.
pub(super) fn has_an_end(response: &Response) -> bool {
    let headers = response.headers();
    headers.contains_key(TRANSFER_ENCODING) || headers.contains_key(CONTENT_LENGTH)
}
