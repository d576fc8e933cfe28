//! The errors of a call to an Engine.
//!
//! Implementations classify once, here, by endpoint, status, and message; the gRPC edge maps
//! [`ErrorKind`] to codes in one table and never examines Docker's texts.

use crate::domain::Reason;
use std::fmt;

/// Maximum length of a message, in characters; classified ones of Engines are shorter. A host may
/// send anything, and every log and table would show it.
const LONGEST_MESSAGE: usize = 2300;

/// A call on an Engine that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct EngineError {
    /// The kind of failure.
    pub kind: ErrorKind,
    /// Method and path pattern, such as `POST /containers/{id}/start`.
    pub operation: &'static str,
    /// HTTP status of the response, if any.
    pub http_status: Option<u16>,
    /// The Engine's own message, or the problem of the connection. Never a secret.
    pub message: String,
    /// Whether a transfer ended with its connection, and not by what the Engine said of it: begun
    /// again, it may succeed.
    pub is_interrupted: bool,
    /// The exit code of the command that failed in a build.
    pub exit_code: Option<i32>,
}

/// The kinds of failure that callers distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// 400, or user errors that the Engine reports as 500: it rejects the request as invalid.
    BadRequest,
    /// 401 or 403 of the Engine itself, of its TLS, or of an authorization plugin.
    Forbidden,
    /// The registry requires credentials, or refuses the given ones.
    RegistryAuthRequired,
    /// The registry refuses credentials that are to be checked.
    LoginRefused,
    /// 429: the registry's rate limit.
    RegistryRateLimited,
    /// The registry could not be reached by the Engine, or failed.
    RegistryUnavailable,
    /// 404 for a container.
    ContainerNotFound,
    /// 404 for an image, on the host or in the registry.
    ImageNotFound,
    /// The image is for another platform.
    ForeignPlatform,
    /// 404 for a network.
    NetworkNotFound,
    /// 404 for a volume.
    VolumeNotFound,
    /// 404 for a path in a container.
    PathNotFound,
    /// 404 for an endpoint that this Engine does not have.
    EndpointNotFound,
    /// 409 on create and rename: another container has the name.
    NameInUse,
    /// 409: the container is being removed.
    RemovalInProgress,
    /// Any other 409: running, not running, or in use.
    Conflict,
    /// The program of the container's command does not exist in it.
    CommandNotFound,
    /// The program of the container's command cannot be executed.
    CommandNotExecutable,
    /// 500 and everything without a better kind.
    Engine,
    /// 501, or the Engine's API is too old for the request.
    Unsupported,
    /// The Engine and this server share no API version.
    NoCommonApiVersion,
    /// 503.
    Unavailable,
    /// No connection: DNS, refused, no route, no socket. Nothing was sent.
    Unreachable,
    /// This process, or this machine, has no file descriptor, port, or memory for a connection.
    /// Nothing was sent.
    NoResources,
    /// TLS failed: bad chain, wrong name, client certificate refused or missing.
    Tls,
    /// The host key of the sshd differs from the known one. Nothing was sent.
    SshHostKeyChanged,
    /// The host key of the sshd is not known. Nothing was sent.
    SshHostKeyUnknown,
    /// The sshd refuses the login. Nothing was sent.
    SshPermissionDenied,
    /// There is no program `ssh`. Nothing was sent.
    SshNotInstalled,
    /// The sshd cannot, or may not, connect to the Engine's socket. Nothing was sent.
    SshSocketUnavailable,
    /// The response of a read is missing or incomplete.
    ConnectionLost,
    /// A write was sent, but no response arrived: the result is unknown.
    ResultUnknown,
    /// The response does not conform to the Engine API, such as invalid JSON.
    BadAnswer,
    /// The answer is larger than the cap for its kind.
    AnswerTooLarge,
    /// The responses of all hosts exceed the memory limit of this server.
    AnswerMemory,
    /// An error line, or a missing end, in the 200 stream of a pull.
    PullFailed,
    /// The same of a push.
    PushFailed,
    /// The same of a load; or another image arrived.
    LoadFailed,
    /// A step of a build failed, or its Dockerfile is invalid.
    BuildFailed,
    /// No progress for too long in a transfer.
    TransferStalled,
    /// This server has no disk space for what is to be sent.
    UploadDiskFull,
    /// The source of what is to be sent ended too early.
    UploadInterrupted,
    /// Nobody waits for the change any more. Nothing was sent.
    GivenUp,
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: [Self; 43] = [
        Self::BadRequest,
        Self::Forbidden,
        Self::RegistryAuthRequired,
        Self::LoginRefused,
        Self::RegistryRateLimited,
        Self::RegistryUnavailable,
        Self::ContainerNotFound,
        Self::ImageNotFound,
        Self::ForeignPlatform,
        Self::NetworkNotFound,
        Self::VolumeNotFound,
        Self::PathNotFound,
        Self::EndpointNotFound,
        Self::NameInUse,
        Self::RemovalInProgress,
        Self::Conflict,
        Self::CommandNotFound,
        Self::CommandNotExecutable,
        Self::Engine,
        Self::Unsupported,
        Self::NoCommonApiVersion,
        Self::Unavailable,
        Self::Unreachable,
        Self::NoResources,
        Self::Tls,
        Self::SshHostKeyChanged,
        Self::SshHostKeyUnknown,
        Self::SshPermissionDenied,
        Self::SshNotInstalled,
        Self::SshSocketUnavailable,
        Self::ConnectionLost,
        Self::ResultUnknown,
        Self::BadAnswer,
        Self::AnswerTooLarge,
        Self::AnswerMemory,
        Self::PullFailed,
        Self::PushFailed,
        Self::LoadFailed,
        Self::BuildFailed,
        Self::TransferStalled,
        Self::UploadDiskFull,
        Self::UploadInterrupted,
        Self::GivenUp,
    ];
}

/// The first `longest` characters of a text.
pub(super) fn shortened(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl EngineError {
    /// An error without an HTTP answer.
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        let message = shortened(&message.into(), LONGEST_MESSAGE);
        Self { kind, operation, http_status: None, message, is_interrupted: false, exit_code: None }
    }

    /// The same, of a transfer that ended with its connection.
    #[must_use]
    pub fn interrupted(mut self) -> Self {
        self.is_interrupted = true;
        self
    }

    /// An error with the status of the answer.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.http_status = Some(status);
        self
    }
}

impl ErrorKind {
    /// Whether there was no connection, so that nothing was sent. It may be there later: the host is
    /// silent, and did not refuse anything.
    #[must_use]
    pub fn is_without_connection(self) -> bool {
        matches!(
            self,
            Self::Unreachable
                | Self::NoResources
                | Self::SshHostKeyChanged
                | Self::SshHostKeyUnknown
                | Self::SshPermissionDenied
                | Self::SshNotInstalled
                | Self::SshSocketUnavailable
        )
    }

    /// Whether the Engine did not answer, though it was asked.
    #[must_use]
    pub fn is_silence(self) -> bool {
        matches!(self, Self::Unreachable | Self::ConnectionLost)
    }

    /// Whether the Engine may answer the same later: it did not answer, or it is starting or overloaded,
    /// or this server could not ask.
    #[must_use]
    pub fn is_away(self) -> bool {
        self.is_silence() || matches!(self, Self::Unavailable | Self::NoResources)
    }

    /// Whether a question for a registry ended with its host: the registry was not asked, or its answer
    /// was lost, so that another host may still learn it.
    #[must_use]
    pub fn leaves_registry_unasked(self) -> bool {
        self.is_without_connection() || self == Self::ConnectionLost || self.is_unknown_to_engine()
    }

    /// Whether the Engine does not have what was asked for, such as Podman, which asks no registry.
    #[must_use]
    pub fn is_unknown_to_engine(self) -> bool {
        matches!(self, Self::Unsupported | Self::EndpointNotFound)
    }

    /// The reason for this kind in docs/errors.md.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::BadRequest => Reason::EngineBadRequest,
            Self::Forbidden => Reason::EngineForbidden,
            Self::RegistryAuthRequired | Self::LoginRefused => Reason::RegistryAuthRequired,
            Self::RegistryRateLimited => Reason::RegistryRateLimited,
            Self::RegistryUnavailable => Reason::RegistryUnavailable,
            Self::ContainerNotFound => Reason::ContainerNotFound,
            Self::ImageNotFound => Reason::ImageNotFound,
            Self::ForeignPlatform => Reason::ImagePlatform,
            Self::NetworkNotFound => Reason::NetworkNotFound,
            Self::VolumeNotFound => Reason::VolumeNotFound,
            Self::PathNotFound => Reason::PathNotFound,
            Self::EndpointNotFound | Self::Unsupported => Reason::EngineUnsupported,
            Self::NoCommonApiVersion => Reason::EngineApiVersion,
            Self::NameInUse => Reason::NameInUse,
            Self::RemovalInProgress => Reason::RemovalInProgress,
            Self::Conflict => Reason::EngineConflict,
            Self::CommandNotFound => Reason::CommandNotFound,
            Self::CommandNotExecutable => Reason::CommandNotExecutable,
            Self::Engine => Reason::EngineError,
            Self::Unavailable => Reason::EngineUnavailable,
            Self::Unreachable => Reason::HostUnreachable,
            Self::NoResources => Reason::ServerExhausted,
            Self::Tls => Reason::HostTlsFailed,
            Self::SshHostKeyChanged => Reason::SshHostKeyChanged,
            Self::SshHostKeyUnknown => Reason::SshHostKeyUnknown,
            Self::SshPermissionDenied => Reason::SshPermissionDenied,
            Self::SshNotInstalled => Reason::SshNotInstalled,
            Self::SshSocketUnavailable => Reason::SshSocketUnavailable,
            Self::ConnectionLost => Reason::HostConnectionLost,
            Self::ResultUnknown => Reason::ResultUnknown,
            Self::BadAnswer => Reason::EngineBadAnswer,
            Self::AnswerTooLarge => Reason::EngineAnswerTooLarge,
            Self::AnswerMemory => Reason::AnswerMemoryFull,
            Self::PullFailed => Reason::PullFailed,
            Self::PushFailed => Reason::PushFailed,
            Self::LoadFailed => Reason::LoadFailed,
            Self::BuildFailed => Reason::BuildFailed,
            Self::TransferStalled => Reason::TransferStalled,
            Self::UploadDiskFull => Reason::UploadDiskFull,
            Self::UploadInterrupted => Reason::UploadInterrupted,
            Self::GivenUp => Reason::HostSkipped,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_engine_says_is_kept_short() {
        let error = |text: &str| EngineError::new(ErrorKind::BadAnswer, "GET /_ping", text).message;
        assert_eq!(error("no JSON"), "no JSON");
        let long = error(&"9".repeat(100_000));
        assert_eq!(long.chars().count(), LONGEST_MESSAGE + 1);
        assert!(long.ends_with('…'), "{long}");
        let version = "9".repeat(100_000).parse::<crate::engine::ApiVersion>().unwrap_err();
        assert!(version.to_string().len() < 200, "{version}");
    }
}
