//! Errors as the gRPC API shows them: a code, a reason, a message that says what to do.
//!
//! [`Problem`] is the one value that every error becomes at the edge. It is sent as the
//! status of a call, or inside the outcome of a host, always with one `ErrorInfo`. Which
//! cause gets which code and reason stands in [`super::table`] and nowhere else.

use std::fmt;
use std::time::Duration;

use prost::Message;
use tonic::{Code, Status};
use tonic_types::pb;
use wharf::ERROR_DOMAIN;

use crate::body::violation::{FieldViolation, Violations};

/// An error on its way to a caller.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The gRPC code.
    pub code: Code,
    /// A constant of docs/errors.md.
    pub reason: &'static str,
    /// What failed, why, and what to do.
    pub message: String,
    /// Coordinates for a program: `host`, `endpoint`, `http_status`.
    pub metadata: Vec<(&'static str, String)>,
    /// The fields that are wrong; with FAILED_PRECONDITION, what stands in the way, with the
    /// host it stands on in place of a field.
    pub violations: Vec<FieldViolation>,
    /// When a retry may succeed.
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// A problem without details.
    pub fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            metadata: Vec::new(),
            violations: Vec::new(),
            retry_after: None,
        }
    }

    /// INVALID_ARGUMENT for fields that are wrong; there must be at least one.
    pub fn invalid(violations: Vec<FieldViolation>) -> Self {
        let list: Vec<_> = violations.iter().map(ToString::to_string).collect();
        Self { violations, ..Self::new(Code::InvalidArgument, "INVALID_FIELD", list.join("; ")) }
    }

    /// INVALID_ARGUMENT for one field.
    pub fn invalid_field(field: impl Into<String>, description: impl fmt::Display) -> Self {
        Self::invalid(vec![FieldViolation {
            field: field.into(),
            description: description.to_string(),
        }])
    }

    /// An error of this server itself; the cause goes to the log, not to the caller.
    pub fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = cause, "internal error");
        Self::new(
            Code::Internal,
            "INTERNAL",
            "wharfd failed; its log says why, and the report belongs to its makers",
        )
    }

    /// Adds a coordinate.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.metadata.push((key, value.into()));
        self
    }

    /// The form in which it stands in an outcome.
    pub fn to_proto(&self) -> pb::Status {
        let info = pb::ErrorInfo {
            reason: self.reason.to_owned(),
            domain: ERROR_DOMAIN.to_owned(),
            metadata: self
                .metadata
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect(),
        };
        let mut details = vec![any("ErrorInfo", &info)];
        if let Some(delay) = self.retry_after {
            let retry_delay = prost_types::Duration::try_from(delay).ok();
            details.push(any("RetryInfo", &pb::RetryInfo { retry_delay }));
        }
        if !self.violations.is_empty() {
            details.push(self.details_of_violations());
        }
        pb::Status { code: self.code as i32, message: self.message.clone(), details }
    }

    fn details_of_violations(&self) -> prost_types::Any {
        let reason = || self.reason.to_owned();
        if self.code == Code::FailedPrecondition {
            let precondition = |violation: &FieldViolation| pb::precondition_failure::Violation {
                r#type: reason(),
                subject: violation.field.clone(),
                description: violation.description.clone(),
            };
            let violations = self.violations.iter().map(precondition).collect();
            return any("PreconditionFailure", &pb::PreconditionFailure { violations });
        }
        let field_violation = |violation: &FieldViolation| pb::bad_request::FieldViolation {
            field: violation.field.clone(),
            description: violation.description.clone(),
            reason: reason(),
            localized_message: None,
        };
        let field_violations = self.violations.iter().map(field_violation).collect();
        any("BadRequest", &pb::BadRequest { field_violations })
    }
}

/// Turns what was found wrong with a request into its answer.
pub trait Finish {
    /// INVALID_ARGUMENT where anything was found.
    fn finish(self) -> Result<(), Problem>;
}

impl Finish for Violations {
    fn finish(self) -> Result<(), Problem> {
        self.or(()).map_err(Problem::invalid)
    }
}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        let proto = problem.to_proto();
        Self::with_details(problem.code, problem.message, proto.encode_to_vec().into())
    }
}

fn any(name: &str, message: &impl Message) -> prost_types::Any {
    prost_types::Any {
        type_url: format!("type.googleapis.com/google.rpc.{name}"),
        value: message.encode_to_vec(),
    }
}
