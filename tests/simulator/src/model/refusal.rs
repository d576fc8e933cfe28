//! Refusals of the model: with the Engine's status, its text, and the kind that a client must
//! derive from both.

use wharf_server::engine::{EngineError, ErrorKind};

/// A call that the model refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status of the Engine.
    pub status: u16,
    /// What a client should make of it.
    pub kind: ErrorKind,
    /// The Engine's text.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into() }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, ErrorKind::BadRequest, message)
    }

    /// A user error that the Engine reports as 500.
    pub(crate) fn bad_request_500(message: impl Into<String>) -> Self {
        Self::new(500, ErrorKind::BadRequest, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(409, ErrorKind::Conflict, message)
    }

    pub(crate) fn no_such_container(name: &str) -> Self {
        Self::new(404, ErrorKind::ContainerNotFound, format!("No such container: {name}"))
    }

    pub(crate) fn no_such_image(name: &str) -> Self {
        Self::new(404, ErrorKind::ImageNotFound, format!("No such image: {name}"))
    }

    /// The same refusal with a text before its message.
    pub(crate) fn prefixed(mut self, prefix: &str) -> Self {
        self.message.insert_str(0, prefix);
        self
    }

    /// As the client in process gives it.
    pub fn into_error(self, operation: &'static str) -> EngineError {
        EngineError::new(self.kind, operation, self.message).with_status(self.status)
    }
}
