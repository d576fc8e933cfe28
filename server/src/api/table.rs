//! The one table from cause to reason, which has its gRPC code (`domain/reason.rs`).
//!
//! UNAVAILABLE is used only if provably nothing was done, because clients retry it automatically.
//! INTERNAL is for bugs of this server, so an Engine's 500 is UNKNOWN. UNAUTHENTICATED is about
//! credentials for this server, so refusals of an Engine or a registry are PERMISSION_DENIED.

use std::time::SystemTime;

use tonic::Code;

use super::problem::Problem;
use crate::domain::{HostName, ImageReference, Reason};
use crate::engine::{EngineError, ErrorKind};
use crate::fleet::{HostError, Unreachable};
use crate::registry::RegistryError;
use crate::store::{Failure, StoreError};

/// The problem for an error on a host.
pub fn host_problem(host: &HostName, error: &HostError) -> Problem {
    let problem = match error {
        HostError::Engine(error) => engine_problem(error, "REGISTRY"),
        HostError::Registry { registry, error } => {
            engine_problem(error, registry).with("registry", registry)
        }
        HostError::Partly(error) => {
            let mut problem = engine_problem(error, "REGISTRY");
            // UNAVAILABLE means that nothing was done, but something was.
            if problem.code == Code::Unavailable {
                problem.reason = Reason::EngineError;
                problem.code = problem.reason.code();
                problem.retry_after = None;
            }
            problem
        }
        HostError::CommandFailed { exit_code } => {
            Problem::new(Reason::CommandFailed, error.to_string())
                .with("exit_code", exit_code.to_string())
        }
        HostError::Earlier(message) => Problem::new(Reason::EngineError, message),
        HostError::Refused(message) => Problem::new(Reason::EngineBadRequest, message),
        HostError::Items { failed, total, .. } => {
            Problem::new(Reason::SomeItemsFailed, error.to_string())
                .with("failed", failed.to_string())
                .with("total", total.to_string())
        }
        HostError::Timeout { goes_on, .. } => {
            let hint = if *goes_on {
                "work in progress continues there; check the host before you retry"
            } else {
                "set a longer deadline, or find out why the Engine is slow"
            };
            Problem::new(Reason::HostTimeout, format!("{error}; {hint}"))
        }
        HostError::Unreachable(known) => unreachable_problem(known),
        HostError::NotBegun => Problem::new(
            Reason::HostSkipped,
            format!("{error}; nothing was done there; retry with a longer deadline"),
        ),
        HostError::EarlierResultUnknown => Problem::new(
            Reason::ResultUnknown,
            format!("{error}; check the host, then retry with a new request ID"),
        ),
        HostError::Removed => Problem::new(
            Reason::HostNotFound,
            format!("{error}, and nothing was done there; to list hosts, run `wharf host ls`"),
        ),
        HostError::NotRecorded(cause) => {
            let mut problem = store_problem(cause);
            problem.message = format!("{error}: {}", problem.message);
            problem
        }
        HostError::Panicked => {
            Problem::new(Reason::Internal, "internal error; see the wharfd log and report a bug")
        }
    };
    problem.with("host", host.as_str())
}

/// The problem for a host that a read did not wait for.
fn unreachable_problem(known: &Unreachable) -> Problem {
    let age = |time: SystemTime| format!("{} s", time.elapsed().unwrap_or_default().as_secs());
    let mut problem = engine_problem(&known.failure, "REGISTRY");
    problem.message = format!(
        "{} (unreachable for {}, last tried {} ago)",
        problem.message,
        age(known.since),
        age(known.attempted)
    );
    problem
}

/// The problem for an error of an Engine. `registry` is the one to log in to, if that helps.
fn engine_problem(error: &EngineError, registry: &str) -> Problem {
    let mut message = error.message.clone();
    let hint = hint(error.kind);
    if !hint.is_empty() {
        let hint = hint.replace("REGISTRY", registry);
        message = format!("{}; {hint}", message.trim_end_matches('.'));
    }
    let mut problem = Problem::new(error.kind.reason(), message).with("endpoint", error.operation);
    if let Some(status) = error.http_status {
        problem = problem.with("http_status", status.to_string());
    }
    if let Some(exit_code) = error.exit_code {
        problem = problem.with("exit_code", exit_code.to_string());
    }
    problem
}

/// The problem for a registry that the server itself has asked.
pub fn registry_problem(image: &ImageReference, error: &RegistryError) -> Problem {
    let (registry, repository) = (image.registry(), image.repository());
    let (reason, hint) = match error {
        RegistryError::NotAsked(_) => return Problem::invalid_field("repository", error),
        RegistryError::AuthRequired => (
            Reason::RegistryAuthRequired,
            format!("check the name, and log in with: wharf login {registry} -u USER"),
        ),
        RegistryError::NotFound => (
            Reason::ImageNotFound,
            format!(
                "check the name; some registries hide it from others: wharf login {registry} -u USER"
            ),
        ),
        RegistryError::RateLimited => {
            (Reason::RegistryRateLimited, "log in, wait, or use your own registry".to_owned())
        }
        RegistryError::Unavailable(_) => {
            (Reason::RegistryUnavailable, "check its address from the machine of wharfd".to_owned())
        }
    };
    let message = format!("cannot list the tags of {repository} at {registry}: {error}; {hint}");
    Problem::new(reason, message).with("registry", registry.as_str())
}

/// The problem for a failure of the store; the text has the directory and what to do.
pub fn store_problem(error: &StoreError) -> Problem {
    let reason = match error.failure() {
        Some(Failure::Full) => Reason::StoreFull,
        Some(Failure::ReadOnly) => Reason::StoreReadOnly,
        // Every write takes the lock before it changes anything.
        Some(Failure::Busy) => Reason::StoreBusy,
        Some(Failure::Corrupt) => Reason::StoreCorrupt,
        Some(Failure::Io | Failure::CannotOpen | Failure::Other) => Reason::StoreFailed,
        None => return Problem::internal(error),
    };
    tracing::error!(error = error as &dyn std::error::Error, "the store failed");
    Problem::new(reason, error.to_string())
}

/// What to do, if the Engine's message does not say it.
fn hint(kind: ErrorKind) -> &'static str {
    use ErrorKind as Kind;
    match kind {
        Kind::BadRequest => "",
        Kind::Forbidden => "the Engine, or one of its plugins, denies this to wharfd",
        Kind::RegistryAuthRequired => {
            "check the name of the image, and log in with: wharf login REGISTRY -u USER"
        }
        Kind::LoginRefused => "check the user name, and the password or token",
        Kind::RegistryRateLimited => "log in, wait, or use your own registry",
        Kind::RegistryUnavailable => {
            "the Engine cannot reach the registry; check the registry's address from that host"
        }
        Kind::ContainerNotFound => "",
        Kind::ImageNotFound => "",
        Kind::ForeignPlatform => {
            "the image is built for another platform; build it for the host's platform, or select other hosts"
        }
        Kind::NetworkNotFound => "",
        Kind::VolumeNotFound => "",
        Kind::PathNotFound => "check the path; a copy does not make the directories above it",
        Kind::EndpointNotFound | Kind::Unsupported => "this Engine does not support that",
        Kind::NoCommonApiVersion => "upgrade the older one, or lower the Engine's min-api-version",
        Kind::NameInUse => "",
        Kind::RemovalInProgress => "retry in a moment",
        Kind::Conflict => "",
        Kind::CommandNotFound => "check the command and the entrypoint",
        Kind::CommandNotExecutable => {
            "check the command, the mode of the file, and the platform of the image"
        }
        Kind::Engine => "",
        Kind::Unavailable => "the Engine is starting or overloaded",
        // The connection's message already says what to check.
        Kind::Unreachable => "",
        Kind::NoResources => {
            "raise the limits of wharfd, such as LimitNOFILE of its systemd unit; nothing was sent to the host"
        }
        Kind::Tls => "",
        // Theirs say what to do, too.
        Kind::SshHostKeyChanged
        | Kind::SshHostKeyUnknown
        | Kind::SshPermissionDenied
        | Kind::SshNotInstalled
        | Kind::SshSocketUnavailable => "",
        Kind::ConnectionLost => "retry",
        Kind::ResultUnknown => "the result is unknown; check the host before you retry",
        Kind::BadAnswer => "check that the address is that of a Docker Engine",
        Kind::AnswerTooLarge | Kind::AnswerMemory => "",
        Kind::PullFailed => "retry; downloaded layers are kept",
        Kind::PushFailed => "retry; uploaded layers are kept",
        Kind::LoadFailed => "check the archive, and the disk of that host",
        Kind::BuildFailed | Kind::UploadDiskFull => "",
        Kind::UploadInterrupted => "send it again",
        Kind::GivenUp => "nothing was done there; retry with a longer deadline",
        Kind::TransferStalled => "check that host, and its network to the registry or to wharfd",
    }
}
