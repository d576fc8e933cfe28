//! What went wrong in a rollout, as a status. The journal keeps a reason and words.

use std::collections::BTreeSet;

use prost::Message;
use tonic_types::pb;
use wharf::ERROR_DOMAIN;

use crate::api::problem::{Precondition, Problem};
use crate::api::table;
use crate::domain::{HostName, Reason};
use crate::rollout::journal::JournalError;
use crate::rollout::model::Trouble;
use crate::rollout::requests::{Refusal, RolloutError};
use crate::store::StoreError;

/// The status of a trouble, on a host or of the rollout as a whole.
pub fn status(trouble: &Trouble, host: Option<&HostName>) -> pb::Status {
    let metadata = host.map(|host| ("host".to_owned(), host.to_string()));
    let info = pb::ErrorInfo {
        reason: trouble.reason.to_string(),
        domain: ERROR_DOMAIN.to_owned(),
        metadata: metadata.into_iter().collect(),
    };
    let detail = prost_types::Any {
        type_url: "type.googleapis.com/google.rpc.ErrorInfo".to_owned(),
        value: info.encode_to_vec(),
    };
    let code = trouble.reason.code() as i32;
    pb::Status { code, message: trouble.message.clone(), details: vec![detail] }
}

/// The answer to a request that was not done.
pub fn problem(error: RolloutError) -> Problem {
    let message = error.to_string();
    match error {
        RolloutError::PlanRefused(refusals) => {
            let mut problem = Problem::new(Reason::PlanRefused, message);
            problem.preconditions = preconditions(refusals);
            problem
        }
        RolloutError::PlanChanged { actual, .. } => {
            Problem::new(Reason::PlanChanged, message).with("fingerprint", actual.to_string())
        }
        RolloutError::Ended(_) => Problem::new(Reason::RolloutEnded, message),
        RolloutError::WrongState(_) => Problem::new(Reason::RolloutState, message),
        RolloutError::RevisionChanged { .. } => Problem::new(Reason::RevisionChanged, message),
        RolloutError::Stopping => Problem::new(Reason::ServerStopping, message),
        RolloutError::Journal(error) => journal_problem(&error),
    }
}

/// The response to a command that failed, if an earlier call with the same request ID may have
/// carried it out: the current state may be its result.
pub fn after(again: bool, problem: Problem) -> Problem {
    let moved = matches!(
        problem.reason,
        Reason::RolloutEnded | Reason::RolloutState | Reason::RevisionChanged
    );
    if !(again && moved) {
        return problem;
    }
    let message = format!(
        "an earlier call with this request ID started, and its result is unknown; check the \
         rollout: {}",
        problem.message
    );
    Problem::new(Reason::ResultUnknown, message)
}

/// The response if the journal cannot be read or written.
pub fn journal_problem(error: &JournalError) -> Problem {
    let message = error.to_string();
    match error {
        JournalError::Locked { host, by, .. } => Problem::new(Reason::RolloutActive, message)
            .with("host", host.as_str())
            .with("rollout", by.to_string()),
        JournalError::Outdated { host, .. } => {
            Problem::new(Reason::PlanOutdated, message).with("host", host.as_str())
        }
        JournalError::NotFound(id) => not_found(&id.to_string()),
        JournalError::Fenced => Problem::new(Reason::ServerReplaced, message),
        JournalError::Store(cause) => match cause.downcast_ref::<StoreError>() {
            Some(error) => table::store_problem(error),
            None => {
                tracing::error!(error = error as &dyn std::error::Error, "the journal failed");
                let message = format!("{message}; check the disk and the log of wharfd");
                Problem::new(Reason::StoreFailed, message)
            }
        },
    }
}

/// Why a rollout stands still although its state says that it goes on.
pub fn stuck(error: &JournalError) -> pb::Status {
    let Problem { reason, message, .. } = journal_problem(error);
    let message = format!("the rollout stands still until this is solved: {message}");
    status(&Trouble { reason, message }, None)
}

/// The response if there is no such rollout.
pub fn not_found(id: &str) -> Problem {
    let message = format!("no rollout {id}; to list rollouts, run `wharf rollout ls`");
    Problem::new(Reason::RolloutNotFound, message)
}

/// The refusals of a plan. The first of each reason come first, because an error has room for only
/// a few.
fn preconditions(refusals: Vec<Refusal>) -> Vec<Precondition> {
    let mut seen = BTreeSet::new();
    let (mut first, rest): (Vec<_>, Vec<_>) =
        refusals.into_iter().partition(|refusal| seen.insert(refusal.reason));
    first.extend(rest);
    let precondition = |refusal: Refusal| Precondition {
        reason: refusal.reason,
        subject: refusal.host.map(|host| host.to_string()).unwrap_or_default(),
        description: refusal.message,
    };
    first.into_iter().map(precondition).collect()
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use uuid::Uuid;

    use super::*;
    use crate::rollout::model::RolloutId;

    #[test]
    fn a_second_rollout_is_told_the_first() {
        let by = RolloutId(Uuid::from_u128(7));
        let host = HostName::parse("web1").unwrap();
        let container = "web".parse().unwrap();
        let error = RolloutError::Journal(JournalError::Locked { host, container, by });
        let problem = problem(error);
        assert_eq!(
            (problem.code, problem.reason),
            (Code::FailedPrecondition, Reason::RolloutActive)
        );
        assert!(problem.metadata.contains(&("rollout".into(), by.to_string())), "{problem:?}");
    }

    #[test]
    fn no_reason_of_a_refused_plan_is_hidden_by_many_of_another() {
        let refusal = |number: usize, reason| Refusal {
            host: HostName::parse(&format!("web{number}")).ok(),
            reason,
            message: "no".to_owned(),
        };
        let mut refusals: Vec<_> =
            (0..200).map(|number| refusal(number, Reason::RolloutNothingToDo)).collect();
        refusals.push(refusal(200, Reason::SwarmTask));
        let status = tonic::Status::from(problem(RolloutError::PlanRefused(refusals)));
        let failure = tonic_types::StatusExt::get_details_precondition_failure(&status).unwrap();
        let shown: Vec<_> =
            failure.violations.iter().map(|it| (it.r#type.as_str(), it.subject.as_str())).collect();
        assert_eq!(shown[..2], [("ROLLOUT_NOTHING_TO_DO", "web0"), ("SWARM_TASK", "web200")]);
    }

    #[test]
    fn a_trouble_keeps_its_reason_and_words() {
        let trouble =
            Trouble { reason: Reason::ImageNotFound, message: "no such image: app:v9".to_owned() };
        let host = HostName::parse("web1").unwrap();
        let status = status(&trouble, Some(&host));
        assert_eq!((status.code, status.message.as_str()), (5, "no such image: app:v9"));
        let info = pb::ErrorInfo::decode(&*status.details[0].value).unwrap();
        assert_eq!(
            (info.reason.as_str(), info.metadata["host"].as_str()),
            ("IMAGE_NOT_FOUND", "web1")
        );
    }

    #[test]
    fn what_an_earlier_try_may_have_done_is_not_called_an_error_of_this_one() {
        for reason in [Reason::RolloutEnded, Reason::RolloutState, Reason::RevisionChanged] {
            assert_eq!(after(false, Problem::new(reason, "why")).reason, reason);
            let unknown = after(true, Problem::new(reason, "why"));
            assert_eq!((unknown.code, unknown.reason), (Code::Unknown, Reason::ResultUnknown));
            assert!(unknown.message.ends_with("why"), "{}", unknown.message);
        }
        let full = after(true, Problem::new(Reason::StoreFull, "why"));
        assert_eq!(full.reason, Reason::StoreFull);
    }
}
