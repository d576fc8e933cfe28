//! Renders errors of the server: of a whole call, of a host, or of one item.
//!
//! The server's messages already say what to do; this module only formats them. Pure.

use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, RpcStatusExt, StatusExt, pb};

/// An error to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorText {
    /// gRPC code.
    pub code: Code,
    /// `ErrorInfo.reason`; empty if the error does not come from Wharf.
    pub reason: String,
    /// The host that the error is about, if any.
    pub host: Option<String>,
    /// The message.
    pub message: String,
    /// Wrong fields of the request, each with the problem.
    pub violations: Vec<(String, String)>,
}

impl ErrorText {
    /// The error of a whole call.
    pub fn of_status(status: &Status) -> Self {
        Self::new(status.code(), status.message(), &status.get_error_details())
    }

    /// The error of one host or one item.
    pub fn of_rpc(status: &pb::Status) -> Self {
        Self::new(Code::from_i32(status.code), &status.message, &status.get_error_details())
    }

    /// An error found by the client.
    pub fn local(code: Code, reason: &str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.to_owned(),
            host: None,
            message: message.into(),
            violations: Vec::new(),
        }
    }

    fn new(code: Code, message: &str, details: &ErrorDetails) -> Self {
        let info = details.error_info();
        Self {
            code,
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            host: info.and_then(|info| info.metadata.get("host").cloned()),
            message: if message.is_empty() {
                code.description().to_owned()
            } else {
                message.to_owned()
            },
            violations: details
                .bad_request()
                .map(|bad| {
                    let of =
                        |v: &tonic_types::FieldViolation| (v.field.clone(), v.description.clone());
                    bad.field_violations.iter().map(of).collect()
                })
                .unwrap_or_default(),
        }
    }

    /// One line, with the reason to look up in `docs/errors.md`.
    pub fn line(&self) -> String {
        if self.reason.is_empty() {
            format!("{} ({})", self.message, code_name(self.code))
        } else {
            format!("{} ({})", self.message, self.reason)
        }
    }

    /// The reason in a word or two, for a cell of a table: `unreachable`, `tls failed`.
    pub fn short(&self) -> String {
        let reason = if self.reason.is_empty() { code_name(self.code) } else { &self.reason };
        reason.strip_prefix("HOST_").unwrap_or(reason).to_lowercase().replace('_', " ")
    }

    /// The line, then one for each wrong field that the message does not already name.
    pub fn lines(&self) -> Vec<String> {
        let further = self
            .violations
            .iter()
            .filter(|(_, why)| !self.message.contains(why.as_str()))
            .map(|(field, why)| format!("  {field}: {why}"));
        // A refused plan has one line for each host.
        let line = self.line();
        line.lines().map(str::to_owned).chain(further).collect()
    }

    /// `{"code":…,"reason":…,"message":…}`.
    pub fn json(&self) -> Value {
        let mut value = json!({
            "code": code_name(self.code), "reason": self.reason, "message": self.message,
        });
        if !self.violations.is_empty() {
            let of = |(field, why): &(String, String)| json!({"field": field, "description": why});
            value["fieldViolations"] = self.violations.iter().map(of).collect();
        }
        value
    }
}

/// Whether this is success.
pub fn is_ok(status: Option<&pb::Status>) -> bool {
    status.is_none_or(|status| status.code == 0)
}

/// The name of a code as the contract writes it.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_has_the_reason_in_words() {
        let short = |code, reason| ErrorText::local(code, reason, "long").short();
        assert_eq!(short(Code::Unavailable, "HOST_UNREACHABLE"), "unreachable");
        assert_eq!(short(Code::FailedPrecondition, "HOST_TLS_FAILED"), "tls failed");
        assert_eq!(short(Code::Unknown, "ENGINE_BAD_ANSWER"), "engine bad answer");
        assert_eq!(short(Code::DeadlineExceeded, ""), "deadline exceeded");
    }

    #[test]
    fn field_violations_follow_the_message_unless_it_has_them_already() {
        let mut details =
            ErrorDetails::with_bad_request_violation("targets.labels", "expected a key at 4");
        details.set_error_info("INVALID_FIELD", "wharf.v1", [("host".to_owned(), "a".to_owned())]);
        let status =
            Status::with_error_details(Code::InvalidArgument, "bad selector", details.clone());
        let text = ErrorText::of_status(&status);
        assert_eq!(text.host.as_deref(), Some("a"));
        assert_eq!(
            text.lines(),
            ["bad selector (INVALID_FIELD)", "  targets.labels: expected a key at 4"]
        );
        let status = Status::with_error_details(
            Code::InvalidArgument,
            "targets.labels: expected a key at 4",
            details,
        );
        assert_eq!(ErrorText::of_status(&status).lines().len(), 1);
    }
}
