//! Decides what a rollout does next, as data: phases to record, work to start, when to decide
//! again. The driver calls it after every record and at `wake_at`.
//!
//! A decision depends only on the stored state and the time, so the decision after a crash is the
//! same as before it: work that started but has not ended is included again.
//!
//! Pure. `waves` decides the way forward, `rollback` the way back, and `clear` the removals before
//! the end.

mod clear;
mod hosts;
mod rollback;
#[cfg(test)]
mod tests;
mod waves;

use crate::domain::{HostName, Reason};

use super::model::{Event, Millis, PauseCause, Phase, Trouble, Work};
use super::spec::OnFailure;
use super::state::RolloutState;

/// What a rollout does next.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// Records to store, in this order, before anything else; then decide again. If there are any,
    /// `begin` has nothing new and `wake_at` is `None`.
    pub records: Vec<Event>,
    /// All work that should be in progress now; work that is already in progress continues.
    pub begin: Vec<Assignment>,
    /// When to decide again even if nothing was recorded.
    pub wake_at: Option<Millis>,
}

/// Work on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The host.
    pub host: HostName,
    /// The work.
    pub work: Work,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// Whether the journal already has its start: it is in progress, or a crash interrupted it.
    /// Otherwise the start is recorded first.
    pub begun: bool,
}

/// Decides what to do next.
#[must_use]
pub fn decide(state: &RolloutState, now: Millis) -> Decision {
    if clear::has_begun(state) {
        return clear::go_on(state, now);
    }
    let decision = usual(state, now);
    if decision.ends() && clear::is_needed(state) {
        return clear::begin(state);
    }
    decision
}

fn usual(state: &RolloutState, now: Millis) -> Decision {
    let mut decision = Decision { begin: going_on(state), ..Decision::default() };
    if state.phase.is_terminal() {
        return decision;
    }
    if state.asked.abort && state.phase != Phase::Aborting {
        decision.enter(Phase::Aborting, None);
        return decision;
    }
    match &state.phase {
        Phase::Paused { cause, resume_to, since } => {
            if state.asked.promote || state.asked.resume.is_some() {
                decision.enter(resumed(state, resume_to, *since, now), None);
            } else if **resume_to == Phase::Aborting {
                // The condition that it waited for is met.
                if !state.is_at_work() {
                    decision.enter(Phase::Aborting, None);
                }
            } else if *cause != PauseCause::NeedsAttention
                && let Some(trouble) = in_trouble(state)
            {
                // Found while the hosts in progress finished: it takes precedence over the reason
                // why no further host started.
                let (cause, since) = (PauseCause::NeedsAttention, *since);
                let to = Phase::Paused { cause, resume_to: resume_to.clone(), since };
                decision.enter(to, Some(trouble));
            }
        }
        Phase::Aborting => {
            if !state.is_at_work() {
                decision.enter(Phase::Aborted, state.reason.clone());
            } else {
                aborting(state, now, &mut decision);
            }
        }
        Phase::RollingBack => rollback::decide(state, now, &mut decision),
        phase @ (Phase::Pulling | Phase::Running { .. } | Phase::Baking { .. }) => {
            if let Some((to, reason)) = halt(state, now) {
                decision.enter(to, reason);
                return decision;
            }
            match phase {
                Phase::Running { wave } => waves::running(state, *wave, now, &mut decision),
                Phase::Baking { wave, until } => {
                    waves::baking(state, *wave, *until, now, &mut decision);
                }
                _ => waves::pulling(state, now, &mut decision),
            }
        }
        Phase::Succeeded | Phase::Failed | Phase::RolledBack | Phase::Aborted => {}
    }
    if !decision.records.is_empty() {
        decision.begin.retain(|assignment| assignment.begun);
        decision.wake_at = None;
    }
    decision
}

/// Hosts in progress finish; if none does within the progress deadline, the rollout asks for manual
/// repair.
fn aborting(state: &RolloutState, now: Millis, decision: &mut Decision) {
    let deadline = state.last_progress + state.policy.progress_deadline;
    if now < deadline {
        decision.wake(deadline);
        return;
    }
    let at_work = state.hosts.iter().filter(|(_, host)| host.work.is_some());
    let at_work: Vec<_> = at_work.map(|(name, _)| name.to_string()).collect();
    let why = state.reason.as_ref().map_or_else(String::new, |why| format!("; {}", why.message));
    let message = format!(
        "aborting, but no host finished for {} seconds; in progress: {}; if these hosts answer \
         again, the rollout ends{why}",
        state.policy.progress_deadline.as_secs(),
        hosts::some_of(&at_work)
    );
    let trouble = Trouble::new(Reason::RolloutStalled, message);
    decision.enter(paused(state, PauseCause::Progress, now), Some(trouble));
}

/// Work that started but has not ended, in the order of the plan.
fn going_on(state: &RolloutState) -> Vec<Assignment> {
    let assignment = |host: &HostName| {
        let known = state.hosts.get(host)?;
        let (work, attempt) = (known.work?, known.attempt);
        Some(Assignment { host: host.clone(), work, attempt, begun: true })
    };
    state.plan.waves.iter().flatten().filter_map(assignment).collect()
}

/// Where a rollout continues after a pause.
fn resumed(state: &RolloutState, resume_to: &Phase, since: Millis, now: Millis) -> Phase {
    match resume_to {
        // Hosts that failed during the bake of their wave are replaced again, which is work of a
        // wave.
        Phase::Baking { wave, .. }
            if state.asked.resume == Some(true) && state.hosts.values().any(|host| host.failed) =>
        {
            Phase::Running { wave: *wave }
        }
        Phase::Baking { wave, until } => {
            Phase::Baking { wave: *wave, until: *until + now.since(since) }
        }
        other => other.clone(),
    }
}

/// Why nothing further may start on the way forward, and which phase follows.
fn halt(state: &RolloutState, now: Millis) -> Option<(Phase, Option<Trouble>)> {
    if state.asked.pause {
        return Some((paused(state, PauseCause::User, now), None));
    }
    if let Some((to, trouble)) = needs_attention(state, now) {
        return Some((to, Some(trouble)));
    }
    let unknown = |host: &HostName| !state.forgiven.contains(host);
    let skipped: Vec<_> =
        state.hosts.iter().filter(|(_, host)| host.is_skipped_unreachable()).collect();
    if skipped.len() > state.policy.max_unreachable.budget(state.size())
        && skipped.iter().any(|(name, _)| unknown(name))
    {
        let message = format!(
            "{} skipped because of no answer, limit {}; resume to continue without them, or resume \
             with --retry-failed once they answer",
            count(skipped.len(), "host was", "hosts were"),
            state.policy.max_unreachable.budget(state.size()),
        );
        let trouble = Trouble::new(Reason::RolloutTooManyUnreachable, message);
        return Some((paused(state, PauseCause::Unreachable, now), Some(trouble)));
    }
    let budget = state.policy.max_failures.budget(state.size());
    let fresh = state.hosts.iter().any(|(name, host)| host.failed && unknown(name));
    if state.failed() > budget && fresh && state.policy.on_failure != OnFailure::Continue {
        return Some(turn(state, PauseCause::Budget, over_budget(state, budget), now));
    }
    None
}

/// A host that needs manual repair stops everything, regardless of the policy.
fn needs_attention(state: &RolloutState, now: Millis) -> Option<(Phase, Trouble)> {
    let trouble = in_trouble(state)?;
    Some((paused(state, PauseCause::NeedsAttention, now), trouble))
}

fn in_trouble(state: &RolloutState) -> Option<Trouble> {
    let (name, trouble) = hosts::in_trouble(state).next()?;
    let message = format!("{name}: {}", trouble.message);
    Some(Trouble::new(Reason::RolloutNeedsAttention, message))
}

/// What the policy requires after failures.
fn turn(
    state: &RolloutState,
    cause: PauseCause,
    trouble: Trouble,
    now: Millis,
) -> (Phase, Option<Trouble>) {
    let to = match state.policy.on_failure {
        OnFailure::Rollback => Phase::RollingBack,
        OnFailure::Abort => Phase::Aborting,
        OnFailure::Pause | OnFailure::Continue => paused(state, cause, now),
    };
    (to, Some(trouble))
}

fn paused(state: &RolloutState, cause: PauseCause, now: Millis) -> Phase {
    Phase::Paused { cause, resume_to: Box::new(state.phase.clone()), since: now }
}

fn over_budget(state: &RolloutState, budget: usize) -> Trouble {
    let failed: Vec<_> = state
        .hosts
        .iter()
        .filter(|(_, host)| host.failed)
        .map(|(name, host)| match &host.failure {
            Some(failure) => format!("{name}: {}", failure.trouble.message),
            None => name.to_string(),
        })
        .collect();
    let message = format!(
        "{} failed, limit {budget}: {}",
        count(failed.len(), "host", "hosts"),
        hosts::some_of(&failed)
    );
    Trouble::new(Reason::RolloutBudgetExceeded, message)
}

fn count(number: usize, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

impl Decision {
    /// Whether the rollout is over with it.
    fn ends(&self) -> bool {
        let is_end = |event: &Event| matches!(event, Event::Phase { to, .. } if to.is_terminal());
        self.records.iter().any(is_end)
    }

    fn enter(&mut self, to: Phase, reason: Option<Trouble>) {
        self.records.push(Event::Phase { to, reason });
    }

    fn start(&mut self, state: &RolloutState, host: &HostName, work: Work) {
        let attempt = state.hosts.get(host).map_or(1, |known| known.attempt_of(work));
        self.begin.push(Assignment { host: host.clone(), work, attempt, begun: false });
    }

    fn wake(&mut self, at: Millis) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }
}
