//! The commands of rollouts: the seam between the gRPC edge and the supervisor, which carries them
//! out. Reads use the journal instead.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::control::Refused;
use super::fingerprint::Fingerprint;
use super::journal::JournalError;
use super::model::{Control, Plan, Revision, RolloutId, Trouble};
use super::spec::{Policy, RolloutSpec};
use crate::domain::{Annotations, Host, HostName, Reason, RegistryLogin};
use crate::engine::Transfer;

/// Maximum number of reasons in an error about a plan, and of hosts for each reason.
const MOST_LINES: usize = 6;
const MOST_NAMES: usize = 4;

/// Carries rollouts out.
#[async_trait]
pub trait Rollouts: Send + Sync + 'static {
    /// The plan that [`Rollouts::create`] would carry out now. Changes nothing.
    async fn plan(&self, order: &Order) -> Result<Plan, RolloutError>;

    /// Plans a rollout, writes it to the journal under the ID of the order, and starts it.
    async fn create(&self, order: Order) -> Result<(), RolloutError>;

    /// The plan that [`Rollouts::undo`] would carry out now. Changes nothing.
    async fn plan_undo(&self, order: &UndoOrder) -> Result<Plan, RolloutError>;

    /// Plans the undo of an ended rollout, writes it to the journal under the ID of the order, and
    /// starts it.
    async fn undo(&self, order: UndoOrder) -> Result<(), RolloutError>;

    /// Steers a rollout, as [`effect`](super::control::effect) says. `expected` is the revision that it must be at.
    /// Returns when the command is in the journal. `login` takes the place of the credentials that came
    /// with the rollout.
    async fn control(
        &self,
        id: RolloutId,
        control: Control,
        expected: Option<Revision>,
        by: &str,
        login: Option<Arc<RegistryLogin>>,
    ) -> Result<(), RolloutError>;

    /// Why a rollout that has not ended makes no progress, if its journal failed. Not in the journal, of
    /// course.
    fn stuck(&self, _id: RolloutId) -> Option<Arc<JournalError>> {
        None
    }

    /// Progress of pulls. Not in the journal.
    fn pulls(&self) -> broadcast::Receiver<PullProgress>;
}

/// A rollout to start.
#[derive(Debug, Clone)]
pub struct Order {
    /// Its ID, which must be unused.
    pub id: RolloutId,
    /// What to do.
    pub spec: RolloutSpec,
    /// The hosts, sorted by name; at least one.
    pub hosts: Vec<Arc<Host>>,
    /// Hosts that were selected and are left out, each with why.
    pub left_out: BTreeMap<HostName, String>,
    /// Credentials of the request, for pulls; `None`: those stored in the server.
    pub login: Option<Arc<RegistryLogin>>,
    /// Who created it.
    pub by: String,
    /// The original request, to be sealed with the rollout.
    pub request: RequestText,
    /// Conditions and annotations of the caller.
    pub terms: Terms,
}

/// Parts of an order that do not change what the rollout does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// The only plan that may be carried out; `None`: any.
    pub expected_plan: Option<Fingerprint>,
    /// Annotations.
    pub annotations: Annotations,
}

/// The undo of a rollout.
#[derive(Debug, Clone)]
pub struct UndoOrder {
    /// The ID of the new rollout, which must be unused.
    pub id: RolloutId,
    /// The rollout that is taken back.
    pub of: RolloutId,
    /// Hosts that are left as they are, each with why.
    pub left_out: BTreeMap<HostName, String>,
    /// How.
    pub policy: Policy,
    /// Who created it.
    pub by: String,
    /// The original request, to be sealed with the rollout.
    pub request: RequestText,
    /// Conditions and annotations of the caller.
    pub terms: Terms,
}

/// An original request; may contain secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestText(pub String);

/// Progress of the pull of a rollout's image.
#[derive(Debug, Clone)]
pub struct PullProgress {
    /// The rollout.
    pub rollout: RolloutId,
    /// The host.
    pub host: HostName,
    /// The progress.
    pub transfer: Transfer,
}

/// Why a plan was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The host; `None` if it is not about one.
    pub host: Option<HostName>,
    /// The kind of it.
    pub reason: Reason,
    /// The obstacle, and what to do; one line.
    pub message: String,
}

/// Why a command for rollouts failed.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// The plan shows that it cannot end well.
    #[error("{}", lines(.0))]
    PlanRefused(Vec<Refusal>),
    /// It is not the plan that was expected.
    #[error(
        "the plan has changed: it is now {actual}, not {expected}; \
         plan again, review it, and use the new fingerprint"
    )]
    PlanChanged {
        /// The caller's.
        expected: Fingerprint,
        /// The fingerprint of the current plan.
        actual: Fingerprint,
    },
    /// It has ended.
    #[error("rollout {} has ended; for the result, run `wharf rollout show {}`", .0.short(), .0.short())]
    Ended(RolloutId),
    /// Not possible in the current phase; the text says what is possible.
    #[error(transparent)]
    WrongState(Refused),
    /// It is at another revision.
    #[error("the rollout is at revision {actual}, not {expected}; check it again")]
    RevisionChanged {
        /// The caller's.
        expected: u64,
        /// The rollout's.
        actual: u64,
    },
    /// The server is stopping and starts nothing.
    #[error("wharfd is stopping and starts no rollout; reconnect")]
    Stopping,
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl RolloutError {
    /// What may not be asked of a rollout now.
    pub fn refused(id: RolloutId, refused: Refused) -> Self {
        match refused {
            Refused::Ended => Self::Ended(id),
            refused => Self::WrongState(refused),
        }
    }
}

impl Terms {
    /// [`RolloutError::PlanChanged`] if the plan is not the expected one.
    pub fn check(&self, plan: &Plan, policy: &Policy) -> Result<(), RolloutError> {
        let Some(expected) = &self.expected_plan else { return Ok(()) };
        let actual = Fingerprint::of(plan, policy);
        if actual == *expected {
            return Ok(());
        }
        Err(RolloutError::PlanChanged { expected: expected.clone(), actual })
    }
}

impl fmt::Debug for RequestText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RequestText(..)")
    }
}

impl Refusal {
    /// The same as a trouble that was found on a host, or of all.
    pub fn of(host: Option<&HostName>, trouble: Trouble) -> Self {
        Self { host: host.cloned(), reason: trouble.reason, message: trouble.message }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) => write!(formatter, "{host}: {}", self.message),
            None => formatter.write_str(&self.message),
        }
    }
}

/// One line for each reason, with its hosts: what 200 hosts have in common appears once, and fits
/// in the headers of an error.
fn lines(refusals: &[Refusal]) -> String {
    let mut groups: Vec<(&str, Vec<&HostName>)> = Vec::new();
    for refusal in refusals {
        let place = groups.iter().position(|(message, _)| *message == refusal.message);
        let place = place.unwrap_or_else(|| {
            groups.push((&refusal.message, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.extend(&refusal.host);
    }
    let more: usize = groups.iter().skip(MOST_LINES).map(|(_, hosts)| hosts.len().max(1)).sum();
    let mut lines: Vec<_> = groups.iter().take(MOST_LINES).map(line).collect();
    if more > 0 {
        lines.push(format!("and {more} more for other reasons"));
    }
    lines.join("\n")
}

fn line((message, hosts): &(&str, Vec<&HostName>)) -> String {
    let mut names: Vec<_> = hosts.iter().take(MOST_NAMES).map(ToString::to_string).collect();
    let more = hosts.len() - names.len();
    if names.is_empty() {
        return (*message).to_owned();
    }
    if more > 0 {
        let last = names.pop().unwrap_or_default();
        names.push(format!("{last} and {more} more"));
    }
    format!("{}: {message}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_plan_has_a_line_for_each_host() {
        let (host, reason) = (HostName::parse("web1").unwrap(), Reason::RolloutNothingToDo);
        let refusals = vec![
            Refusal { host: Some(host), reason, message: "no container web".to_owned() },
            Refusal { host: None, reason, message: "nothing to do".to_owned() },
        ];
        let text = RolloutError::PlanRefused(refusals).to_string();
        assert_eq!(text, "web1: no container web\nnothing to do");
    }

    #[test]
    fn hosts_that_share_a_reason_share_a_line() {
        let refusal = |number: usize, message: String| Refusal {
            host: HostName::parse(&format!("web{number}")).ok(),
            reason: Reason::RolloutNothingToDo,
            message,
        };
        let alike = (1..=200).map(|number| refusal(number, "no container web".to_owned()));
        let mut refusals: Vec<_> = alike.collect();
        refusals.insert(1, refusal(201, "it is of Swarm".to_owned()));
        let text = RolloutError::PlanRefused(refusals).to_string();
        assert_eq!(
            text,
            "web1, web2, web3, web4 and 196 more: no container web\nweb201: it is of Swarm"
        );
        let all_differ = (1..=20).map(|number| refusal(number, format!("reason {number}")));
        let text = RolloutError::PlanRefused(all_differ.collect()).to_string();
        assert_eq!(text.lines().count(), MOST_LINES + 1);
        assert!(text.ends_with("\nand 14 more for other reasons"), "{text}");
    }
}
