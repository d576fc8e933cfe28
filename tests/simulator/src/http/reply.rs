//! Answers before they are HTTP.

use std::pin::Pin;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::follow::{EventStream, Following};
use crate::model::{BuildPlan, Interactive, LoadPlan, PullPlan, PushPlan, Refusal};
use crate::sampling::Sampling;

/// The body of an answer. An error in it ends the connection in the middle.
pub(super) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// What the model makes of a call.
pub(super) enum Reply {
    /// A status without a body.
    Status(u16),
    /// Status and JSON.
    Json(u16, Value),
    /// Status 200 now, and JSON when it is there.
    Later(Pin<Box<dyn Future<Output = Value> + Send>>),
    /// JSON that was the answer before.
    Kept(Bytes),
    /// Status and text.
    Text(u16, String),
    /// Output of a process in frames.
    Frames(Vec<u8>),
    /// A command that has its connection.
    Session(Interactive),
    /// An archive of images.
    Archive(Vec<u8>),
    /// The lines of a load, and what it does.
    Load(Box<LoadPlan>),
    /// What a path in a container is, in base64, and its archive.
    Files(String, Vec<u8>),
    /// A log, which may grow.
    Log(Box<Following>),
    /// Samples, as they are taken.
    Stats(Box<Sampling>),
    /// Events, as they happen.
    Events(Box<EventStream>),
    /// The lines of a pull, and what it does.
    Pull(Vec<PullPlan>),
    /// The lines of a push, and what it does.
    Push(Box<PushPlan>),
    /// The lines of a build, and what it does.
    Build(Box<BuildPlan>),
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self::Json(refusal.status, json!({"message": refusal.message}))
    }
}

/// A response with a whole body.
pub(super) fn whole(status: u16, content_type: &str, body: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(body.into()).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    if let Ok(value) = HeaderValue::from_str(content_type)
        && !value.is_empty()
    {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}

/// Output as the Engine frames that of containers without a terminal.
pub(super) fn frame(output: &[u8]) -> Vec<u8> {
    let length = u32::try_from(output.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[1, 0, 0, 0][..], &length, output].concat()
}

/// A JSON body as Go's encoder writes it, with a line end.
pub(super) fn json_bytes(value: &Value) -> Vec<u8> {
    let mut bytes = value.to_string().into_bytes();
    bytes.push(b'\n');
    bytes
}
