//! The answer to a call from the moment its head is there. Short answers are read whole, up to
//! their caps; of streams the reader takes chunk after chunk.

mod intake;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode, Version};
use reqwest::{Response, Upgraded};
use serde::de::DeserializeOwned;

use super::Link;
use crate::engine::http::answers::Share;
use crate::engine::http::lanes::Ticket;
use crate::engine::http::transport::{Phase, transport_error};
use crate::engine::operation::{Access, Operation};
use crate::engine::{ApiVersion, EngineError, ErrorKind, Result, wire};

use intake::Intake;

pub(in crate::engine::http) use intake::list_error;

/// Responses above this size are parsed in a separate thread, so that a huge response of one host
/// does not delay the others: parsing takes about 3 ms per megabyte.
const PARSED_IN_PLACE: usize = 1 << 20;

/// An answer with a status of success, or 304, of which the body is still to be read.
#[derive(Debug)]
pub(in crate::engine::http) struct Opened {
    pub(in crate::engine::http) link: Arc<Link>,
    pub(in crate::engine::http) ticket: Arc<Ticket>,
    pub(in crate::engine::http) operation: &'static Operation,
    /// The API version of the request.
    pub(in crate::engine::http) version: Option<ApiVersion>,
    /// From the first byte of the request to the head of the answer.
    pub(in crate::engine::http) latency: Duration,
    pub(in crate::engine::http) response: Response,
}

/// A whole answer.
#[derive(Debug)]
pub(in crate::engine::http) struct Answer<B = Vec<u8>> {
    pub(in crate::engine::http) status: StatusCode,
    pub(in crate::engine::http) headers: HeaderMap,
    pub(in crate::engine::http) body: B,
    /// The API version of the request.
    pub(in crate::engine::http) version: Option<ApiVersion>,
    /// From the first byte of the request to the head of the answer.
    pub(in crate::engine::http) latency: Duration,
    /// Whether a connection was opened for it.
    pub(in crate::engine::http) connected: bool,
    pub(in crate::engine::http) operation: &'static Operation,
    /// Released once the response is read.
    share: Share,
}

impl Opened {
    /// The next bytes of the body; `None` at its end.
    pub(in crate::engine::http) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let chunk = self.link.in_time(self.operation, self.response.chunk()).await?;
        let chunk = chunk.map_err(|error| {
            let Link { address, security, .. } = &*self.link;
            transport_error(self.operation, address, *security, Phase::Body, &error)
        })?;
        if chunk.is_none() && self.stays_open() {
            self.ticket.whole();
        }
        Ok(chunk)
    }

    /// The connection as a stream in both directions.
    pub(in crate::engine::http) async fn upgrade(self) -> Result<Upgraded> {
        if self.response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(bad_answer(self.operation, "it did not switch to a stream"));
        }
        let Link { address, security, .. } = &*self.link;
        self.response.upgrade().await.map_err(|error| {
            transport_error(self.operation, address, *security, Phase::Body, &error)
        })
    }

    /// Reads the body up to its cap.
    pub(in crate::engine::http) async fn read<B: Intake>(
        mut self,
        mut body: B,
    ) -> Result<Answer<B>> {
        let operation = self.operation;
        let failed = |kind, message| EngineError::new(kind, operation.name, message);
        let too_large = || {
            let cap = operation.cap;
            let message = format!("the response is larger than the limit of {cap} bytes");
            failed(ErrorKind::AnswerTooLarge, message)
        };
        if self.response.content_length().is_some_and(|length| length > operation.cap as u64) {
            return Err(too_large());
        }
        let mut length = 0;
        let mut share = self.link.answers.share();
        while let Some(chunk) = self.chunk().await? {
            length += chunk.len();
            if length > operation.cap {
                return Err(too_large());
            }
            // A write is done, and its short answer must be read.
            if operation.access == Access::Read {
                let grown = share.grow(body.memory() + chunk.len()).await;
                grown.map_err(|error| failed(ErrorKind::AnswerMemory, error.to_string()))?;
            }
            body.take(operation, &chunk)?;
        }
        let Self { version, latency, response, ticket, .. } = self;
        let (status, headers) = (response.status(), response.headers().clone());
        let connected = ticket.connected();
        Ok(Answer { status, headers, body, version, latency, connected, operation, share })
    }

    /// Whether the response defines the end of its body. One that ends with the connection may be
    /// truncated.
    pub(in crate::engine::http) fn has_an_end(&self) -> bool {
        let headers = self.response.headers();
        headers.contains_key(TRANSFER_ENCODING) || headers.contains_key(CONTENT_LENGTH)
    }

    /// Whether the connection can serve another call after this answer.
    fn stays_open(&self) -> bool {
        let mut options = self.response.headers().get_all(CONNECTION).iter();
        let closes = options.any(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        self.response.version() == Version::HTTP_11 && !closes
    }
}

impl Answer {
    /// The body as text.
    pub(in crate::engine::http) fn into_text(self) -> Result<String> {
        let operation = self.operation;
        String::from_utf8(self.body).map_err(|_| bad_answer(operation, "not UTF-8"))
    }

    /// Reads the body as one JSON value.
    pub(in crate::engine::http) async fn json<T: DeserializeOwned + Send + 'static>(
        self,
    ) -> Result<T> {
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
pub(in crate::engine::http) fn bad_answer(operation: &Operation, problem: &str) -> EngineError {
    EngineError::new(
        ErrorKind::BadAnswer,
        operation.name,
        format!("the response is not valid for a Docker Engine: {problem}"),
    )
}
