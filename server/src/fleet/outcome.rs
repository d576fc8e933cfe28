//! What becomes of the work on one host.

use std::time::Duration;

use crate::domain::{HostName, RegistryHost};
use crate::engine::{EngineError, ErrorKind};
use crate::store::StoreError;

/// What one host says.
#[derive(Debug)]
pub enum HostEvent<P> {
    /// A part of its answer.
    Payload(HostName, P),
    /// Its end; nothing comes after it.
    Outcome(HostName, HostOutcome),
}

/// How the work on one host ended.
#[derive(Debug)]
pub struct HostOutcome {
    /// Success, or why not.
    pub result: Result<Done, HostError>,
    /// From the start of its work to the end.
    pub elapsed: Duration,
}

/// Success, and whether anything was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// False where it was so already, and for work that only reads.
    pub changed: bool,
}

/// Why the work on one host failed.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A call on the Engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A registry refused what an Engine asked it for.
    #[error("{error}")]
    Registry {
        /// Which, as the command line takes it.
        registry: String,
        /// What the Engine said.
        error: EngineError,
    },
    /// The request is wrong in a way that only the host could tell.
    #[error("{0}")]
    Refused(String),
    /// Several things were asked for and some failed; each has an error of its own.
    #[error("{failed} of {total} failed, the first: {first}")]
    Items {
        /// How many failed.
        failed: usize,
        /// How many were asked for.
        total: usize,
        /// Whether one of the others was changed.
        changed: bool,
        /// The first failure.
        first: Box<HostError>,
    },
    /// Something was changed before a later part of the work failed.
    #[error("{0}")]
    Partly(EngineError),
    /// What an earlier call with this request ID was told of it.
    #[error("{0}")]
    Earlier(String),
    /// The budget of the host was spent.
    #[error("no answer within {}", seconds(*.budget))]
    Timeout {
        /// What it was.
        budget: Duration,
        /// Whether the work goes on without anybody waiting for it.
        goes_on: bool,
    },
    /// The budget was spent before its turn came; nothing was sent to the host.
    #[error("the deadline expired before its turn")]
    NotBegun,
    /// An earlier call with this request ID began the work and its end is not known.
    #[error("an earlier call with this request ID started here, and its result is unknown")]
    EarlierResultUnknown,
    /// The host was removed from the inventory after an earlier call with this request ID.
    #[error("the host was removed after the first call with this request ID")]
    Removed,
    /// The store did not take the record that makes retries safe; nothing was begun.
    #[error("the request could not be recorded, so nothing was done")]
    NotRecorded(#[source] StoreError),
    /// A bug of this server.
    #[error("internal error")]
    Panicked,
}

impl HostError {
    /// Whether something is known to have been changed nevertheless.
    #[must_use]
    pub fn changed(&self) -> bool {
        matches!(self, Self::Partly(_) | Self::Items { changed: true, .. })
    }

    /// The error of a call that goes through to `registry`.
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
