//! The last part of a rollout: removes old containers that must not stay
//! ([`must_go`](super::super::model::OldFacts::must_go)). Compose treats every container with its
//! labels as its own, so none may remain when the caller learns that the rollout has ended and runs
//! Compose.
//!
//! Without the old container, a quick rollback is impossible: once the first one is removed, the
//! rollout goes straight to the decided end, regardless of later requests.

use super::super::model::{HostEnd, Millis, Work};
use super::super::state::{Asked, RolloutState};
use super::hosts::{self, Known};
use super::{Decision, going_on, usual};

/// Hosts at the same time: each needs only a few calls.
const AT_ONCE: usize = 32;

/// Whether a host has a container left that must go.
pub(super) fn is_needed(state: &RolloutState) -> bool {
    open(state).next().is_some()
}

pub(super) fn has_begun(state: &RolloutState) -> bool {
    let clears =
        |host: &super::super::state::HostState| host.cleared || host.work == Some(Work::Clear);
    !state.phase.is_terminal() && state.hosts.values().any(clears)
}

pub(super) fn begin(state: &RolloutState) -> Decision {
    let mut decision = Decision { begin: going_on(state), ..Decision::default() };
    let places = AT_ONCE.saturating_sub(state.at_work(Work::Clear));
    let open = open(state).filter(|host| host.state.work.is_none()).take(places);
    for host in open {
        decision.start(state, host.name, Work::Clear);
    }
    decision
}

/// The next hosts, and after the last one the end.
pub(super) fn go_on(state: &RolloutState, now: Millis) -> Decision {
    let decision = begin(state);
    if !decision.begin.is_empty() {
        return decision;
    }
    usual(&RolloutState { asked: Asked::default(), ..state.clone() }, now)
}

fn open(state: &RolloutState) -> impl Iterator<Item = Known<'_>> {
    hosts::all(state).filter(|host| {
        host.state.end == Some(HostEnd::Committed)
            && !host.state.cleared
            && host.plan.must_go().next().is_some()
    })
}
