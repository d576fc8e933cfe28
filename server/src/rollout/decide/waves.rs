//! The way forward: images to all hosts, then wave by wave.

use super::super::model::{HostEnd, Millis, PauseCause, Phase, Trouble, Work};
use super::super::spec::Promote;
use super::super::state::RolloutState;
use super::hosts::{self, Known, Readiness};
use super::{Decision, count, paused, turn};
use crate::domain::Reason;

/// Hosts that pull at the same time: enough to saturate a registry's uplink without overloading it.
const PULLS: usize = 32;

pub(super) fn pulling(state: &RolloutState, now: Millis, decision: &mut Decision) {
    let open: Vec<_> = hosts::all(state)
        .filter(|host| host.state.end.is_none() && host.lacks_image(state))
        .collect();
    let waiting = begin_pulls(state, &open, now, decision);
    if !decision.records.is_empty() {
        return;
    }
    if open.is_empty() && !state.is_at_work() {
        decision.records = hosts::with_another_image(state);
        if decision.records.is_empty() {
            let waves = !state.plan.waves.is_empty();
            let to = if waves { Phase::Running { wave: 0 } } else { Phase::Succeeded };
            decision.enter(to, None);
        }
        return;
    }
    // A pull has its own deadline, for time without progress. This one is for hosts that never
    // answer.
    if waiting && decision.begin.is_empty() {
        progress(state, now, decision);
    }
}

pub(super) fn running(state: &RolloutState, wave: usize, now: Millis, decision: &mut Decision) {
    decision.records = hosts::with_another_image(state);
    let open: Vec<_> = up_to(state, wave).filter(|host| host.state.end.is_none()).collect();
    if !decision.records.is_empty() {
        return;
    }
    if open.is_empty() && !state.is_at_work() {
        if state.policy.bake.is_zero() {
            advance(state, wave, now, decision);
        } else {
            decision.enter(Phase::Baking { wave, until: now + state.policy.bake }, None);
        }
        return;
    }
    let lacking: Vec<_> = open.iter().copied().filter(|host| host.lacks_image(state)).collect();
    let mut waits = begin_pulls(state, &lacking, now, decision);
    waits |= begin_hosts(state, &open, now, decision);
    if !decision.records.is_empty() {
        return;
    }
    if decision.begin.is_empty() && !waits {
        let trouble = Trouble::new(
            Reason::RolloutStalled,
            "as many hosts are down as max_unavailable allows, and no host is in progress; repair \
             them and resume",
        );
        decision.enter(paused(state, PauseCause::Progress, now), Some(trouble));
        return;
    }
    progress(state, now, decision);
}

pub(super) fn baking(
    state: &RolloutState,
    wave: usize,
    until: Millis,
    now: Millis,
    decision: &mut Decision,
) {
    if now >= until {
        if !state.is_at_work() {
            advance(state, wave, now, decision);
        }
        return;
    }
    decision.wake(until);
    for host in up_to(state, wave) {
        let done = host.state.end == Some(HostEnd::Committed) && host.state.work.is_none();
        if !done || !host.plan.start || host.state.watched_until == Some(until) {
            continue;
        }
        match host.readiness(super::super::spec::OnUnreachable::Wait, now) {
            Readiness::Ready => decision.start(state, host.name, Work::Watch),
            Readiness::Later(at) => decision.wake(at),
            Readiness::Done(_) => {}
        }
    }
}

/// Starts pulls. Returns whether some hosts wait for a retry.
fn begin_pulls(
    state: &RolloutState,
    lacking: &[Known<'_>],
    now: Millis,
    decision: &mut Decision,
) -> bool {
    let mut places = PULLS.saturating_sub(state.at_work(Work::Pull));
    let mut waits = false;
    for host in lacking.iter().filter(|host| host.state.work.is_none()) {
        match host.readiness(state.policy.on_unreachable, now) {
            Readiness::Ready if places > 0 => {
                places -= 1;
                decision.start(state, host.name, Work::Pull);
            }
            Readiness::Ready => {}
            Readiness::Later(at) => {
                waits = true;
                decision.wake(at);
            }
            Readiness::Done(records) => decision.records.extend(records),
        }
    }
    waits
}

/// Starts hosts as the window, the delay, and the unavailable targets allow. Returns whether time
/// alone allows others to start.
fn begin_hosts(
    state: &RolloutState,
    open: &[Known<'_>],
    now: Millis,
    decision: &mut Decision,
) -> bool {
    let (policy, size) = (&state.policy, state.size());
    let width = policy.max_parallel.width(size);
    let most_unavailable = policy.max_unavailable.unwrap_or(policy.max_parallel).width(size);
    let at_work = state.at_work(Work::Forward);
    let held: Vec<_> = hosts::all(state)
        .filter_map(|host| host.holds_place_until(policy.delay))
        .filter(|until| *until > now)
        .collect();
    let mut places = width.saturating_sub(at_work + held.len());
    let idle_bad = |host: &Known<'_>| host.is_bad(state) && host.state.work.is_none();
    let mut unavailable = at_work + hosts::all(state).filter(idle_bad).count();
    let mut waits = false;
    // Replacing a target that is already down makes nothing worse.
    let (bad, good): (Vec<Known<'_>>, Vec<_>) = open
        .iter()
        .copied()
        .filter(|host| host.state.work.is_none() && !host.lacks_image(state))
        .partition(|host| host.plan.unhealthy);
    for host in bad.into_iter().chain(good) {
        match host.readiness(policy.on_unreachable, now) {
            Readiness::Later(at) => {
                waits = true;
                decision.wake(at);
            }
            Readiness::Done(records) => decision.records.extend(records),
            Readiness::Ready if places == 0 => {
                for until in &held {
                    waits = true;
                    decision.wake(*until);
                }
            }
            Readiness::Ready if host.is_bad(state) => {
                places -= 1;
                decision.start(state, host.name, Work::Forward);
            }
            Readiness::Ready if unavailable < most_unavailable => {
                places -= 1;
                unavailable += 1;
                decision.start(state, host.name, Work::Forward);
            }
            Readiness::Ready => {}
        }
    }
    waits
}

/// After a wave: the next one, a pause for promotion, or the end.
fn advance(state: &RolloutState, wave: usize, now: Millis, decision: &mut Decision) {
    let next = Phase::Running { wave: wave + 1 };
    if wave + 1 < state.plan.waves.len() {
        let canary = wave == 0 && state.policy.canary.is_some();
        if canary && state.policy.promote == Promote::Manual {
            let resume_to = Box::new(next);
            let to = Phase::Paused { cause: PauseCause::Promotion, resume_to, since: now };
            let message = "the canary succeeded; promote it, or abort";
            decision.enter(to, Some(Trouble::new(Reason::RolloutAwaitsPromotion, message)));
        } else {
            decision.enter(next, None);
        }
        return;
    }
    let left: Vec<_> = hosts::all(state)
        .filter(|host| host.state.end != Some(HostEnd::Committed))
        .map(|host| host.name.to_string())
        .collect();
    if left.is_empty() {
        decision.enter(Phase::Succeeded, None);
        return;
    }
    let message = format!(
        "{} not on the new version: {}",
        count(left.len(), "host is", "hosts are"),
        hosts::some_of(&left)
    );
    decision.enter(Phase::Failed, Some(Trouble::new(Reason::RolloutIncomplete, message)));
}

/// Acts if no host finished for too long; otherwise sets the time to check again.
fn progress(state: &RolloutState, now: Millis, decision: &mut Decision) {
    let deadline = state.last_progress + state.policy.progress_deadline;
    if now < deadline {
        decision.wake(deadline);
        return;
    }
    let seconds = state.policy.progress_deadline.as_secs();
    let message = format!("no host finished for {seconds} seconds");
    let trouble = Trouble::new(Reason::RolloutStalled, message);
    let (to, reason) = turn(state, PauseCause::Progress, trouble, now);
    decision.enter(to, reason);
}

fn up_to(state: &RolloutState, wave: usize) -> impl Iterator<Item = Known<'_>> {
    let waves = state.plan.waves.iter().take(wave + 1).flatten();
    waves.filter_map(|name| hosts::known(state, name))
}
