//! What went wrong in a rollout, as a status. The journal keeps a reason and words; the code
//! that goes with the reason of an Engine stands in [`table`](crate::api::table).

use prost::Message;
use tonic::Code;
use tonic_types::pb;
use wharf::ERROR_DOMAIN;

use crate::api::problem::Problem;
use crate::api::table;
use crate::body::violation::FieldViolation;
use crate::domain::HostName;
use crate::rollout::journal::JournalError;
use crate::rollout::model::Trouble;
use crate::rollout::reason;
use crate::rollout::requests::{Refusal, RolloutError};
use crate::store::StoreError;

/// The status of a trouble, on a host or of the rollout as a whole.
pub fn status(trouble: &Trouble, host: Option<&HostName>) -> pb::Status {
    let metadata = host.map(|host| ("host".to_owned(), host.to_string()));
    let info = pb::ErrorInfo {
        reason: trouble.reason.clone(),
        domain: ERROR_DOMAIN.to_owned(),
        metadata: metadata.into_iter().collect(),
    };
    let detail = prost_types::Any {
        type_url: "type.googleapis.com/google.rpc.ErrorInfo".to_owned(),
        value: info.encode_to_vec(),
    };
    let code = code_of(&trouble.reason) as i32;
    pb::Status { code, message: trouble.message.clone(), details: vec![detail] }
}

/// The answer to a request that was not done.
pub fn problem(error: RolloutError) -> Problem {
    let message = error.to_string();
    match error {
        RolloutError::PlanRefused(refusals) => {
            let mut problem = Problem::new(Code::FailedPrecondition, "PLAN_REFUSED", message);
            let violation = |refusal: Refusal| FieldViolation {
                field: refusal.host.map(|host| host.to_string()).unwrap_or_default(),
                description: refusal.message,
            };
            problem.violations = refusals.into_iter().map(violation).collect();
            problem
        }
        RolloutError::Ended(_) => Problem::new(Code::FailedPrecondition, "ROLLOUT_ENDED", message),
        RolloutError::WrongState(_) => {
            Problem::new(Code::FailedPrecondition, "ROLLOUT_STATE", message)
        }
        RolloutError::RevisionChanged { .. } => {
            Problem::new(Code::Aborted, "REVISION_CHANGED", message)
        }
        RolloutError::Stopping => Problem::new(Code::Unavailable, "SERVER_STOPPING", message),
        RolloutError::Journal(error) => journal_problem(&error),
    }
}

/// The answer where the journal cannot be read or written.
pub fn journal_problem(error: &JournalError) -> Problem {
    let message = error.to_string();
    match error {
        JournalError::Locked { host, by, .. } => {
            Problem::new(Code::FailedPrecondition, "ROLLOUT_ACTIVE", message)
                .with("host", host.as_str())
                .with("rollout", by.to_string())
        }
        JournalError::NotFound(id) => not_found(&id.to_string()),
        JournalError::Fenced => Problem::new(Code::FailedPrecondition, "SERVER_REPLACED", message),
        JournalError::Store(cause) => match cause.downcast_ref::<StoreError>() {
            Some(error) => table::store_problem(error),
            None => {
                tracing::error!(error = error as &dyn std::error::Error, "the journal failed");
                let message = format!("{message}; look at the disk of wharfd and at its log");
                Problem::new(Code::Internal, "STORE_FAILED", message)
            }
        },
    }
}

/// The answer where there is no such rollout.
pub fn not_found(id: &str) -> Problem {
    let message = format!("no rollout {id}; `wharf rollout ls` shows which there are");
    Problem::new(Code::NotFound, "ROLLOUT_NOT_FOUND", message)
}

/// What a rollout finds by itself is a state of things that must become different first.
fn code_of(reason: &str) -> Code {
    match reason {
        reason::HOST_TIMEOUT => Code::DeadlineExceeded,
        reason::INTERNAL => Code::Internal,
        reason => table::code_of_reason(reason).unwrap_or(Code::FailedPrecondition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::model::RolloutId;
    use uuid::Uuid;

    #[test]
    fn every_reason_of_a_host_has_the_code_of_the_document() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
        let document = std::fs::read_to_string(path).unwrap();
        let sections = document.split("\n## ").filter(|section| section.starts_with("Of one host"));
        let mut count = 0;
        for row in sections.flat_map(str::lines).filter(|line| line.starts_with("| `")) {
            let mut cells = row.split('|').map(str::trim).skip(1);
            let (reason, code) = (cells.next().unwrap().trim_matches('`'), cells.next().unwrap());
            // Those of calls, which the journal does not hold.
            if ["HOST_SKIPPED", "STORE_FAILED"].contains(&reason) {
                continue;
            }
            let known = format!("{:?}", code_of(reason)).to_uppercase();
            assert_eq!(known, code.replace('_', ""), "{reason}");
            count += 1;
        }
        assert!(count > 20, "{count} rows");
    }

    #[test]
    fn a_second_rollout_is_told_the_first() {
        let by = RolloutId(Uuid::from_u128(7));
        let host = HostName::parse("web1").unwrap();
        let container = "web".parse().unwrap();
        let error = RolloutError::Journal(JournalError::Locked { host, container, by });
        let problem = problem(error);
        assert_eq!((problem.code, problem.reason), (Code::FailedPrecondition, "ROLLOUT_ACTIVE"));
        assert!(problem.metadata.contains(&("rollout", by.to_string())), "{problem:?}");
    }

    #[test]
    fn a_trouble_keeps_its_reason_and_words() {
        let trouble = Trouble {
            reason: "IMAGE_NOT_FOUND".to_owned(),
            message: "no such image: app:v9".to_owned(),
        };
        let host = HostName::parse("web1").unwrap();
        let status = status(&trouble, Some(&host));
        assert_eq!((status.code, status.message.as_str()), (5, "no such image: app:v9"));
        let info = pb::ErrorInfo::decode(&*status.details[0].value).unwrap();
        assert_eq!(
            (info.reason.as_str(), info.metadata["host"].as_str()),
            ("IMAGE_NOT_FOUND", "web1")
        );
    }
}
