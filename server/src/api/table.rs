//! The one table from cause to gRPC code and reason.
//!
//! UNAVAILABLE stands only where provably nothing was done, because it is the code that
//! clients retry by themselves. INTERNAL is for bugs of this server, so an Engine's 500 is
//! UNKNOWN. UNAUTHENTICATED is about credentials for this server, so whatever an Engine or
//! a registry refuses is PERMISSION_DENIED.

use std::time::Duration;

use tonic::Code;

use super::problem::Problem;
use crate::domain::HostName;
use crate::engine::{EngineError, ErrorKind};
use crate::fleet::HostError;
use crate::store::{Failure, StoreError};

/// The problem that an error on a host is for the caller.
pub fn host_problem(host: &HostName, error: &HostError) -> Problem {
    let problem = match error {
        HostError::Engine(error) => engine_problem(error, "REGISTRY"),
        HostError::Registry { registry, error } => {
            engine_problem(error, registry).with("registry", registry)
        }
        HostError::Refused(message) => {
            Problem::new(Code::InvalidArgument, "ENGINE_BAD_REQUEST", message)
        }
        HostError::Items { failed, total, .. } => {
            Problem::new(Code::Aborted, "SOME_ITEMS_FAILED", error.to_string())
                .with("failed", failed.to_string())
                .with("total", total.to_string())
        }
        HostError::Timeout { goes_on, .. } => {
            let hint = if *goes_on {
                "what was begun goes on there; look at the host before trying again"
            } else {
                "give it more time with a longer deadline, or look why the Engine is slow"
            };
            Problem::new(Code::DeadlineExceeded, "HOST_TIMEOUT", format!("{error}; {hint}"))
        }
        HostError::NotBegun => Problem::new(
            Code::Cancelled,
            "HOST_SKIPPED",
            format!("{error}; nothing was done there, try again with a longer deadline"),
        ),
        HostError::EarlierResultUnknown => Problem::new(
            Code::Unknown,
            "RESULT_UNKNOWN",
            format!("{error}; look at the host, then try again with a new request ID"),
        ),
        HostError::NotRecorded(cause) => {
            let mut problem = store_problem(cause);
            problem.message = format!("{error}: {}", problem.message);
            problem
        }
        HostError::Panicked => Problem::new(
            Code::Internal,
            "INTERNAL",
            "wharfd failed; its log says why, and the report belongs to its makers",
        ),
    };
    problem.with("host", host.as_str())
}

/// The problem that an error of an Engine is for the caller. `registry` is the one to log in
/// to, where that is what to do.
fn engine_problem(error: &EngineError, registry: &str) -> Problem {
    let row = row(error.kind);
    let mut message = error.message.clone();
    if !row.hint.is_empty() {
        let hint = row.hint.replace("REGISTRY", registry);
        message = format!("{}; {hint}", message.trim_end_matches('.'));
    }
    let mut problem =
        Problem::new(row.code, error.kind.reason(), message).with("endpoint", error.operation);
    if let Some(status) = error.http_status {
        problem = problem.with("http_status", status.to_string());
    }
    problem.retry_after = row.retry_after;
    problem
}

/// The problem that a failure of the store is for the caller. Nothing was done, or it is not known
/// to be stored; the text names the directory and the way out.
pub fn store_problem(error: &StoreError) -> Problem {
    tracing::error!(error = error as &dyn std::error::Error, "the store failed");
    let (code, reason) = match error.failure() {
        Some(Failure::Full) => (Code::ResourceExhausted, "STORE_FULL"),
        Some(Failure::ReadOnly) => (Code::FailedPrecondition, "STORE_READ_ONLY"),
        // Every write takes the lock before it changes anything.
        Some(Failure::Busy) => (Code::Unavailable, "STORE_BUSY"),
        Some(Failure::Corrupt) => (Code::DataLoss, "STORE_CORRUPT"),
        Some(Failure::Io | Failure::CannotOpen | Failure::Other) => {
            (Code::Internal, "STORE_FAILED")
        }
        None => return Problem::internal(error),
    };
    let mut problem = Problem::new(code, reason, error.to_string());
    problem.retry_after = (reason == "STORE_BUSY").then_some(BUSY_RETRY);
    problem
}

/// When to ask again while another process holds the database.
const BUSY_RETRY: Duration = Duration::from_secs(5);

/// The code that goes with a reason of an Engine's error; `None` for other reasons.
pub fn code_of_reason(reason: &str) -> Option<Code> {
    ErrorKind::ALL.into_iter().find(|kind| kind.reason() == reason).map(|kind| row(kind).code)
}

struct Row {
    code: Code,
    /// What to do, where the Engine's message does not say it.
    hint: &'static str,
    retry_after: Option<Duration>,
}

/// The registries that limit pulls count them over hours; a minute is the least that helps.
const RATE_LIMIT_RETRY: Duration = Duration::from_secs(60);

fn row(kind: ErrorKind) -> Row {
    use ErrorKind as Kind;
    let (code, hint) = match kind {
        Kind::BadRequest => (Code::InvalidArgument, ""),
        Kind::Forbidden => (
            Code::PermissionDenied,
            "the Engine, or a plugin of it, does not let this server do that",
        ),
        Kind::RegistryAuthRequired => (
            Code::PermissionDenied,
            "check the name of the image, and log in with: wharf login REGISTRY -u USER",
        ),
        Kind::RegistryRateLimited => {
            (Code::ResourceExhausted, "log in, wait, or use a registry of your own")
        }
        Kind::RegistryUnavailable => (
            Code::Unavailable,
            "the Engine could not reach the registry; check its address as seen from that host",
        ),
        Kind::ContainerNotFound => (Code::NotFound, ""),
        Kind::ImageNotFound => (Code::NotFound, ""),
        Kind::NetworkNotFound => (Code::NotFound, ""),
        Kind::VolumeNotFound => (Code::NotFound, ""),
        Kind::EndpointNotFound | Kind::Unsupported => {
            (Code::Unimplemented, "this Engine cannot do that")
        }
        Kind::NoCommonApiVersion => (
            Code::Unimplemented,
            "upgrade the older of the two, or lower the Engine's min-api-version",
        ),
        Kind::NameInUse => (Code::AlreadyExists, ""),
        Kind::RemovalInProgress => (Code::Aborted, "try again in a moment"),
        Kind::Conflict => (Code::FailedPrecondition, ""),
        Kind::Engine => (Code::Unknown, ""),
        Kind::Unavailable => (Code::Unavailable, "the Engine is starting or overloaded"),
        // The connection knows what exactly to look at, and its message says so.
        Kind::Unreachable => (Code::Unavailable, ""),
        Kind::Tls => (Code::FailedPrecondition, ""),
        Kind::ConnectionLost => (Code::Unavailable, "try again"),
        Kind::ResultUnknown => {
            (Code::Unknown, "it may have been done or not; look at the host before trying again")
        }
        Kind::BadAnswer => (Code::Unknown, "is that address really a Docker Engine?"),
        Kind::AnswerTooLarge => (Code::ResourceExhausted, ""),
        Kind::PullFailed => (Code::Unknown, "try again; what was loaded is kept"),
        Kind::PushFailed => (Code::Unknown, "try again; what was sent is kept"),
        Kind::TransferStalled => {
            (Code::DeadlineExceeded, "check the network between that host and the registry")
        }
    };
    let retry_after = (kind == Kind::RegistryRateLimited).then_some(RATE_LIMIT_RETRY);
    Row { code, hint, retry_after }
}
