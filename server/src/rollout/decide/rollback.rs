//! The way back: restores the replaced containers, last first.

use super::super::model::{HostEnd, Millis, PauseCause, Phase, Trouble, Work};
use super::super::spec::{OnUnreachable, RollbackScope};
use super::super::state::RolloutState;
use super::hosts::{self, Known, Readiness};
use super::{Decision, count, needs_attention, paused};
use crate::domain::Reason;

pub(super) fn decide(state: &RolloutState, now: Millis, decision: &mut Decision) {
    if state.asked.pause {
        decision.enter(paused(state, PauseCause::User, now), state.reason.clone());
        return;
    }
    if let Some((to, trouble)) = needs_attention(state, now) {
        decision.enter(to, Some(trouble));
        return;
    }
    let open: Vec<_> = hosts::all(state).rev().filter(|host| is_open(state, host)).collect();
    // Hosts on their way forward finish first, and count in the width.
    let at_work = state
        .hosts
        .values()
        .filter(|host| matches!(host.work, Some(Work::Forward | Work::Watch | Work::RollBack)));
    let policy = &state.policy;
    let width = policy.rollback_parallel.unwrap_or(policy.max_parallel).width(state.size());
    let mut places = width.saturating_sub(at_work.count());
    if open.is_empty() && !state.is_at_work() {
        finish(state, decision);
        return;
    }
    for host in open {
        // A host to restore is not skipped.
        match host.readiness(OnUnreachable::Wait, now) {
            Readiness::Ready if places > 0 => {
                places -= 1;
                decision.start(state, host.name, Work::RollBack);
            }
            Readiness::Ready | Readiness::Done(_) => {}
            Readiness::Later(at) => decision.wake(at),
        }
    }
    let deadline = state.last_progress + policy.progress_deadline;
    if now < deadline {
        decision.wake(deadline);
        return;
    }
    let seconds = policy.progress_deadline.as_secs();
    let message = format!("no host was restored for {seconds} seconds");
    let trouble = Trouble::new(Reason::RolloutStalled, message);
    decision.enter(paused(state, PauseCause::Progress, now), Some(trouble));
}

fn is_open(state: &RolloutState, host: &Known<'_>) -> bool {
    let in_scope = match state.policy.rollback_scope {
        RollbackScope::Failed => false,
        RollbackScope::Wave => state
            .wave
            .and_then(|wave| state.plan.waves.get(wave))
            .is_some_and(|wave| wave.contains(host.name)),
        RollbackScope::All => true,
    };
    let done = in_scope && host.state.end == Some(HostEnd::Committed);
    done && host.state.work.is_none() || host.state.retry
}

fn finish(state: &RolloutState, decision: &mut Decision) {
    let left: Vec<_> = hosts::all(state)
        .filter(|host| {
            matches!(host.state.end, Some(HostEnd::Committed | HostEnd::NeedsAttention { .. }))
        })
        .map(|host| host.name.to_string())
        .collect();
    if left.is_empty() {
        decision.enter(Phase::RolledBack, state.reason.clone());
        return;
    }
    let why = state.reason.as_ref().map_or_else(String::new, |why| format!("; {}", why.message));
    let message = format!(
        "{} not back on the old version: {}{why}",
        count(left.len(), "host is", "hosts are"),
        hosts::some_of(&left)
    );
    decision.enter(Phase::Failed, Some(Trouble::new(Reason::RolloutIncomplete, message)));
}
