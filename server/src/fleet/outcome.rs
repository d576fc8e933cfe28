//! The result of the work on one host.

use std::time::Duration;

use super::breaker::Unreachable;
use super::view::host::ViewNote;
use crate::domain::{HostName, RegistryHost};
use crate::engine::{EngineError, ErrorKind};
use crate::store::StoreError;

/// A message of one host.
#[derive(Debug)]
pub enum HostEvent<P> {
    /// A part of its answer.
    Payload(HostName, P),
    /// Its end; nothing follows.
    Outcome(HostName, HostOutcome),
}

/// How the work on one host ended.
#[derive(Debug)]
pub struct HostOutcome {
    /// Success, or why not.
    pub result: Result<Done, HostError>,
    /// From the start of its work to the end.
    pub elapsed: Duration,
    /// What is said of its view.
    pub view: Option<ViewNote>,
}

/// Success, and whether anything changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// False if no change was needed, and for work that only reads.
    pub changed: bool,
}

/// Why the work on one host failed.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A call on the Engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A registry refused a request of an Engine.
    #[error("{error}")]
    Registry {
        /// The registry, as the command line accepts it.
        registry: String,
        /// The error of the Engine.
        error: EngineError,
    },
    /// The request is invalid in a way that only the host could detect.
    #[error("{0}")]
    Refused(String),
    /// Several items were requested and some failed; each has its own error.
    #[error("{failed} of {total} failed, the first: {first}")]
    Items {
        /// How many failed.
        failed: usize,
        /// Number of requested items.
        total: usize,
        /// Whether one of the others was changed.
        changed: bool,
        /// The first failure.
        first: Box<HostError>,
    },
    /// Something changed before a later part of the work failed.
    #[error("{0}")]
    Partly(EngineError),
    /// A command ran and did not exit with 0.
    #[error("the command exited with {exit_code}")]
    CommandFailed {
        /// Its exit code.
        exit_code: i32,
    },
    /// The recorded result of an earlier call with this request ID.
    #[error("{0}")]
    Earlier(String),
    /// The budget of the host was spent.
    #[error("no answer within {}", seconds(*.budget))]
    Timeout {
        /// The time limit.
        budget: Duration,
        /// Whether the work continues without anyone waiting for it.
        goes_on: bool,
    },
    /// The host did not answer before, and the read did not wait for it.
    #[error("{}", .0.failure)]
    Unreachable(Unreachable),
    /// The time was used up before its turn; nothing was sent to the host.
    #[error("the deadline expired before its turn")]
    NotBegun,
    /// An earlier call with this request ID started the work, and its result is unknown.
    #[error("an earlier call with this request ID started here, and its result is unknown")]
    EarlierResultUnknown,
    /// The host was removed from the inventory after an earlier call with this request ID.
    #[error("the host was removed after the first call with this request ID")]
    Removed,
    /// The store refused the record that makes retries safe; nothing was started.
    #[error("the request could not be recorded, so nothing was done")]
    NotRecorded(#[source] StoreError),
    /// A bug of this server.
    #[error("internal error")]
    Panicked,
}

impl HostError {
    /// Whether something is known to have changed nevertheless.
    #[must_use]
    pub fn changed(&self) -> bool {
        matches!(
            self,
            Self::Partly(_) | Self::CommandFailed { .. } | Self::Items { changed: true, .. }
        )
    }

    /// Whether the Engine is known to have answered or not; `None` if the error says nothing of it.
    #[must_use]
    pub fn has_answered(&self) -> Option<bool> {
        match self {
            Self::Engine(error) | Self::Registry { error, .. } | Self::Partly(error) => {
                match error.kind {
                    ErrorKind::GivenUp => None,
                    kind if kind.is_silence() => Some(false),
                    // These end before the Engine is asked.
                    kind if kind.is_without_connection() => None,
                    _ => Some(true),
                }
            }
            Self::Items { first, .. } => first.has_answered(),
            Self::Timeout { goes_on: false, .. } => Some(false),
            _ => None,
        }
    }

    /// The error of a call that involves `registry`.
    pub fn at_registry(registry: &RegistryHost, error: EngineError) -> Self {
        if matches!(error.kind, ErrorKind::RegistryAuthRequired | ErrorKind::LoginRefused) {
            Self::Registry { registry: registry.to_string(), error }
        } else {
            Self::Engine(error)
        }
    }
}

impl Done {
    /// Something was changed.
    pub const CHANGED: Self = Self { changed: true };
    /// Nothing was changed.
    pub const UNCHANGED: Self = Self { changed: false };
}

/// A duration for a person: `800 ms`, `2.5 s`.
fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}
