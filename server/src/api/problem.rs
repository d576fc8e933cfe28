//! Errors of the gRPC API: a code, a reason, and a message that says what to do.
//!
//! Every error becomes a [`Problem`] at the edge. It is sent as the status of a call, or inside the
//! outcome of a host, always with one `ErrorInfo`. Only [`super::table`] maps causes to codes and
//! cause gets which reason stands in [`super::table`] and nowhere else.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use prost::Message;
use tonic::{Code, Status};
use tonic_types::pb;
use wharf::ERROR_DOMAIN;

use crate::body::violation::{FieldViolation, Violations};
use crate::domain::Reason;

/// Fields that an error names; the others are counted.
const MOST_VIOLATIONS: usize = 6;
/// Longest message of a call, in bytes. The status of a call travels in headers, escaped and
/// a second time inside its details, and clients refuse more than 8 KiB of them.
const LONGEST_MESSAGE: usize = 1000;
/// Longest path of a field and longest description of one in those headers, in bytes.
const LONGEST_FIELD: usize = 100;
const LONGEST_DESCRIPTION: usize = 250;

/// An error on its way to a caller.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The gRPC code.
    pub code: Code,
    /// Why, for programs.
    pub reason: Reason,
    /// What failed, why, and what to do.
    pub message: String,
    /// Coordinates for a program: `host`, `endpoint`, `http_status`.
    pub metadata: Vec<(Cow<'static, str>, String)>,
    /// The fields that are wrong.
    pub violations: Vec<FieldViolation>,
    /// Preconditions that are not met.
    pub preconditions: Vec<Precondition>,
    /// When a retry may succeed.
    pub retry_after: Option<Duration>,
}

/// An obstacle to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precondition {
    /// Why, for programs.
    pub reason: Reason,
    /// The host; empty if it is not about one.
    pub subject: String,
    /// The obstacle, and what to do.
    pub description: String,
}

impl Problem {
    /// A problem without details, with the code that belongs to its reason.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            code: reason.code(),
            reason,
            message: message.into(),
            metadata: Vec::new(),
            violations: Vec::new(),
            preconditions: Vec::new(),
            retry_after: reason.retry_after(),
        }
    }

    /// INVALID_ARGUMENT for wrong fields; there must be at least one.
    pub fn invalid(mut violations: Vec<FieldViolation>) -> Self {
        let more = violations.len().saturating_sub(MOST_VIOLATIONS);
        violations.truncate(MOST_VIOLATIONS);
        let mut list: Vec<_> = violations.iter().map(ToString::to_string).collect();
        if more > 0 {
            list.push(format!("and {more} more"));
        }
        Self { violations, ..Self::new(Reason::InvalidField, list.join("; ")) }
    }

    /// INVALID_ARGUMENT for one field.
    pub fn invalid_field(field: impl Into<String>, description: impl fmt::Display) -> Self {
        Self::invalid(vec![FieldViolation {
            field: field.into(),
            description: description.to_string(),
        }])
    }

    /// An error of this server; the cause goes to the log, not to the caller.
    pub fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = cause, "internal error");
        Self::new(Reason::Internal, "internal error; see the wharfd log and report a bug")
    }

    /// Adds a coordinate.
    #[must_use]
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.metadata.push((key.into(), value.into()));
        self
    }

    /// The form in an outcome.
    pub fn to_proto(&self) -> pb::Status {
        let info = pb::ErrorInfo {
            reason: self.reason.to_string(),
            domain: ERROR_DOMAIN.to_owned(),
            metadata: self
                .metadata
                .iter()
                .map(|(key, value)| (key.to_string(), value.clone()))
                .collect(),
        };
        let mut details = vec![any("ErrorInfo", &info)];
        if let Some(delay) = self.retry_after {
            let retry_delay = prost_types::Duration::try_from(delay).ok();
            details.push(any("RetryInfo", &pb::RetryInfo { retry_delay }));
        }
        if !self.violations.is_empty() {
            details.push(self.bad_request());
        }
        if !self.preconditions.is_empty() {
            details.push(self.precondition_failure());
        }
        pb::Status { code: self.code as i32, message: self.message.clone(), details }
    }

    fn precondition_failure(&self) -> prost_types::Any {
        let violation = |precondition: &Precondition| pb::precondition_failure::Violation {
            r#type: precondition.reason.to_string(),
            subject: precondition.subject.clone(),
            description: precondition.description.clone(),
        };
        let violations = self.preconditions.iter().map(violation).collect();
        any("PreconditionFailure", &pb::PreconditionFailure { violations })
    }

    fn bad_request(&self) -> prost_types::Any {
        let field_violation = |violation: &FieldViolation| pb::bad_request::FieldViolation {
            field: violation.field.clone(),
            description: violation.description.clone(),
            reason: self.reason.to_string(),
            localized_message: None,
        };
        let field_violations = self.violations.iter().map(field_violation).collect();
        any("BadRequest", &pb::BadRequest { field_violations })
    }
}

/// Turns the problems of a request into its response.
pub trait Finish {
    /// INVALID_ARGUMENT if anything was found.
    fn finish(self) -> Result<(), Problem>;
}

impl Finish for Violations {
    fn finish(self) -> Result<(), Problem> {
        self.or(()).map_err(Problem::invalid)
    }
}

impl From<Problem> for Status {
    fn from(mut problem: Problem) -> Self {
        cut(&mut problem.message, LONGEST_MESSAGE);
        problem.violations.truncate(MOST_VIOLATIONS);
        for violation in &mut problem.violations {
            cut(&mut violation.field, LONGEST_FIELD);
            cut(&mut violation.description, LONGEST_DESCRIPTION);
        }
        problem.preconditions.truncate(MOST_VIOLATIONS);
        for precondition in &mut problem.preconditions {
            cut(&mut precondition.subject, LONGEST_FIELD);
            cut(&mut precondition.description, LONGEST_DESCRIPTION);
        }
        let proto = problem.to_proto();
        Self::with_details(problem.code, problem.message, proto.encode_to_vec().into())
    }
}

/// Truncates a text to `longest` bytes and marks the truncation.
fn cut(text: &mut String, longest: usize) {
    if text.len() > longest {
        let fitting = text.char_indices().map(|(index, _)| index).take_while(|i| *i < longest);
        let end = fitting.last().unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}

fn any(name: &str, message: &impl Message) -> prost_types::Any {
    prost_types::Any {
        type_url: format!("type.googleapis.com/google.rpc.{name}"),
        value: message.encode_to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of the trailers that carry a status.
    fn size(status: &Status) -> usize {
        let mut headers = http::HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
    }

    #[test]
    fn a_status_is_never_too_large_for_the_headers_that_carry_it() {
        let violation = |index: usize| FieldViolation {
            field: format!("spec.labels[{}]", "ü".repeat(500)),
            description: format!("{index}: {}", "\u{fffd}\" % ".repeat(500)),
        };
        let precondition = |index: usize| Precondition {
            reason: Reason::RolloutStartFirstImpossible,
            subject: "ü".repeat(500),
            description: violation(index).description,
        };
        for problem in [
            Problem::invalid((0..100_000).map(violation).collect()),
            Problem::new(Reason::HostNotFound, "web1, ".repeat(100_000)),
            Problem::new(Reason::HostNotFound, "€".repeat(100_000)),
            Problem {
                preconditions: (0..100_000).map(precondition).collect(),
                ..Problem::new(Reason::PlanRefused, "web1: ".repeat(100_000))
            },
        ] {
            // Clients in C and Python may drop headers above 8 KiB.
            let status = Status::from(problem);
            assert!(size(&status) < 8192, "{}", size(&status));
            assert!(status.message().ends_with('…'), "{}", status.message());
        }
    }

    #[test]
    fn fields_that_are_not_named_are_counted() {
        let violation = |index: usize| FieldViolation {
            field: format!("containers[{index}]"),
            description: "is wrong".to_owned(),
        };
        let problem = Problem::invalid((0..100).map(violation).collect());
        assert!(problem.message.starts_with("containers[0]: is wrong; "), "{}", problem.message);
        assert!(problem.message.ends_with("; and 94 more"), "{}", problem.message);
        let few = Problem::invalid((0..2).map(violation).collect());
        assert_eq!(few.message, "containers[0]: is wrong; containers[1]: is wrong");
    }
}
