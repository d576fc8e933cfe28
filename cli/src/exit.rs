//! The exit status of `wharf`.
//!
//! - 0: everything was done.
//! - 1: some host, container, or registry failed, and the failure has been printed; or the
//!   output could not be written.
//! - 2: wrong usage, no connection, or the server refused the whole request; nothing was done.
//! - 130: ended by Ctrl-C.
//! - `wait`, `exec`, `attach`, and `run` return the exit status of the one container or command; 141 if
//!   the reader of the output ended before the command. `run` without `-d` has docker's other numbers
//!   as well: 127 and 126 for a command that does not exist or cannot be executed, and 125 if the
//!   container was not started for another reason.

use std::process::ExitCode;

use tonic::Status;

use crate::status::ErrorText;

/// Exit status of a program that a closed pipe ends.
const SIGPIPE: u8 = 141;

/// Why a command did not end with 0.
#[derive(Debug)]
pub enum Failure {
    /// The command line, or a file that it names, is wrong. One line that says what to do.
    Usage(String),
    /// No connection to the server.
    Connection(String),
    /// The server refused the whole request.
    Refused(Box<Status>),
    /// Some hosts failed; they have already been reported.
    Hosts,
    /// The output could not be written.
    Output(String),
    /// The exit status of the one container or command.
    Command(u8),
    /// The reader of the output ended before the command, so nobody knows its exit status.
    OutputClosed,
    /// Ctrl-C. Contains what the user should know, such as which work continues.
    Interrupted(Option<String>),
}

impl Failure {
    /// A usage failure.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// The lines to print on stderr.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Usage(message) | Self::Connection(message) | Self::Output(message) => {
                vec![message.clone()]
            }
            Self::Refused(status) => ErrorText::of_status(status).lines(),
            Self::Interrupted(hint) => hint.iter().cloned().collect(),
            Self::Hosts | Self::Command(_) | Self::OutputClosed => Vec::new(),
        }
    }

    /// Whether the lines are an error; otherwise they are a note.
    pub fn is_error(&self) -> bool {
        !matches!(self, Self::Interrupted(_))
    }

    fn number(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Connection(_) => 2,
            Self::Refused(status) => refusal(status),
            Self::Hosts | Self::Output(_) => 1,
            Self::Command(status) => *status,
            Self::OutputClosed => SIGPIPE,
            Self::Interrupted(_) => 130,
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

/// An exit code that an Engine reports, as an exit status of this program, which has eight bits;
/// never 0 for another code.
pub fn status_of(exit_code: i64) -> u8 {
    match exit_code {
        0 => 0,
        code => u8::try_from(code & 0xff).unwrap_or(1).max(1),
    }
}

/// The exit status of a command.
pub fn code(result: &Result<(), Failure>) -> ExitCode {
    result.as_ref().map_or_else(|failure| ExitCode::from(failure.number()), |()| ExitCode::SUCCESS)
}

/// A call that fails because of its one host, or of a registry or what is missing there, is a failed host
/// (1); a call that the server refuses is 2.
fn refusal(status: &Status) -> u8 {
    let error = ErrorText::of_status(status);
    // For a rollout, the host only says where another rollout is in progress.
    let by_a_host = (error.host.is_some() && !error.reason.starts_with("ROLLOUT_"))
        || [
            "ENGINE_",
            "REGISTRY_",
            "IMAGE_NOT_FOUND",
            "HOST_UNREACHABLE",
            "HOST_TIMEOUT",
            "HOST_TLS_FAILED",
        ]
        .iter()
        .any(|prefix| error.reason.starts_with(prefix));
    if by_a_host { 1 } else { 2 }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic::Code;
    use tonic_types::{ErrorDetails, StatusExt};

    use super::*;

    fn refused(code: Code, reason: &str) -> Failure {
        refused_at(code, reason, HashMap::new())
    }

    fn refused_at(code: Code, reason: &str, metadata: HashMap<String, String>) -> Failure {
        let details = ErrorDetails::with_error_info(reason, "wharf.v1", metadata);
        Status::with_error_details(code, "no", details).into()
    }

    #[test]
    fn a_refused_request_is_2_and_a_failed_registry_is_1() {
        assert_eq!(refused(Code::NotFound, "HOST_NOT_FOUND").number(), 2);
        assert_eq!(refused(Code::InvalidArgument, "INVALID_FIELD").number(), 2);
        assert_eq!(refused(Code::PermissionDenied, "REGISTRY_AUTH_REQUIRED").number(), 1);
        assert_eq!(refused(Code::NotFound, "IMAGE_NOT_FOUND").number(), 1);
        assert_eq!(refused(Code::Unavailable, "HOST_UNREACHABLE").number(), 1);
        assert_eq!(Failure::from(Status::unavailable("gone")).number(), 2);
        let at = || HashMap::from([("host".to_owned(), "web1".to_owned())]);
        assert_eq!(refused_at(Code::FailedPrecondition, "ROLLOUT_ACTIVE", at()).number(), 2);
        assert_eq!(refused_at(Code::NotFound, "CONTAINER_NOT_FOUND", at()).number(), 1);
    }
}
