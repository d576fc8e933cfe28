//! The effect of a legal record.

use std::time::Duration;

use super::super::model::{
    Control, Event, HostEnd, HostEvent, HostProgress, Millis, PauseCause, Phase, Record, Step, Work,
};
use super::{DependentState, Failure, HostState, Pulled, RolloutState, Unreachable};

impl RolloutState {
    /// Takes in a record that is stored, and so was legal when it was written.
    pub fn fold(&mut self, record: &Record) {
        match &record.event {
            Event::Created { .. } => {}
            Event::Phase { to, reason } => {
                self.reason.clone_from(reason);
                self.enter(to, record.at);
            }
            Event::Control { control, .. } => self.ask(*control),
            Event::Host { host, happened } => {
                let baking = match &self.phase {
                    Phase::Baking { until, .. } => Some(*until),
                    _ => None,
                };
                let Some(state) = self.hosts.get_mut(host) else { return };
                let watching = state.work == Some(Work::Watch);
                let place = |state: &HostState| (state.standing(), state.step, state.step_of);
                let before = place(state);
                state.fold(happened, record.at, baking);
                if place(state) != before {
                    state.since = Some(record.at);
                }
                // A wave that bakes is not progress, it is the pause after it.
                if matches!(happened, HostEvent::Ended { .. }) && !watching {
                    self.last_progress = self.last_progress.max(record.at);
                }
            }
        }
    }

    fn ask(&mut self, control: Control) {
        match control {
            Control::Pause => self.asked.pause = !matches!(self.phase, Phase::Paused { .. }),
            Control::Resume { retry_failed } => self.asked.resume = Some(retry_failed),
            Control::Promote => self.asked.promote = true,
            Control::Abort => self.asked.abort = !matches!(self.phase, Phase::Aborting),
        }
    }

    fn enter(&mut self, to: &Phase, at: Millis) {
        let from = std::mem::replace(&mut self.phase, to.clone());
        self.phase_since = at;
        if let Phase::Running { wave } | Phase::Baking { wave, .. } = to {
            self.wave = Some(*wave);
        }
        match to {
            Phase::Paused { .. } => {
                self.asked.pause = false;
                if let Phase::Paused { cause: PauseCause::Progress, since, .. } = from {
                    // The standstill is known; it does not count again after the pause.
                    self.last_progress = since;
                }
                return;
            }
            Phase::Aborting => self.asked = super::Asked::default(),
            _ => {}
        }
        match from {
            Phase::Paused { cause, since, .. } => {
                let used = since.since(self.last_progress);
                self.last_progress = match cause {
                    PauseCause::Progress => at,
                    _ => before(at, used),
                };
                if let Some(retry) = self.asked.resume.take() {
                    self.resume(retry, *to == Phase::RollingBack);
                }
                self.asked.promote = false;
            }
            _ => self.last_progress = at,
        }
    }

    /// A user has seen the failures and wants to continue.
    fn resume(&mut self, retry: bool, rolling_back: bool) {
        for (name, host) in &mut self.hosts {
            let planned = self.plan.hosts.get(name);
            let bad = planned.is_some_and(|planned| planned.unhealthy)
                && host.end != Some(HostEnd::Committed);
            if !host.went_wrong() {
                if bad {
                    self.forgiven.insert(name.clone());
                }
                continue;
            }
            if retry && host.work.is_none() {
                host.failed = false;
                self.forgiven.remove(name);
                if rolling_back {
                    host.retry = matches!(host.end, Some(HostEnd::NeedsAttention { .. }));
                } else {
                    host.end = None;
                    host.unreachable = None;
                    host.pulled = None;
                }
            } else {
                self.forgiven.insert(name.clone());
            }
        }
    }
}

impl HostState {
    fn fold(&mut self, happened: &HostEvent, at: Millis, baking: Option<Millis>) {
        match happened {
            HostEvent::Begun { work, attempt } => self.begin(*work, *attempt, baking),
            HostEvent::Intent { step } => {
                self.progress.intended.insert(*step);
                self.at_step(*step, None);
                self.unreachable = None;
            }
            HostEvent::Did { step, id } => {
                self.progress.done(*step, id.as_deref());
                self.at_step(*step, None);
            }
            HostEvent::Dependent { number, happened } => {
                match &**happened {
                    HostEvent::Intent { step } => {
                        self.at_step(*step, Some(*number));
                        self.unreachable = None;
                    }
                    HostEvent::Did { step, .. } => self.at_step(*step, Some(*number)),
                    HostEvent::Good { saw, .. } => self.saw.clone_from(saw),
                    HostEvent::Differs { differences } => {
                        let new = |line: &&String| !self.differences.contains(line);
                        let new: Vec<_> = differences.iter().filter(new).cloned().collect();
                        self.differences.extend(new);
                    }
                    _ => {}
                }
                self.dependents.entry(*number).or_default().fold(happened);
            }
            HostEvent::Pulled { image_id, digest } => {
                self.pulled = Some(Pulled { image_id: image_id.clone(), digest: digest.clone() });
                self.unreachable = None;
            }
            // Warnings about the old container follow the differences of the new one.
            HostEvent::Differs { differences } if self.work == Some(Work::Clear) => {
                self.differences.extend(differences.iter().cloned());
            }
            HostEvent::Differs { differences } => self.differences.clone_from(differences),
            HostEvent::Gate { deadline } => self.gate_deadline = Some(*deadline),
            HostEvent::Good { since, saw } => {
                (self.good_since, self.healthy_since) = (*since, *since);
                self.saw.clone_from(saw);
            }
            HostEvent::Passed { monitor_until } => self.monitor_until = Some(*monitor_until),
            HostEvent::Failed { step, trouble, log_tail } => {
                // A failed rollback does not hide its original reason.
                if !self.restoring {
                    self.failure = Some(Failure {
                        at,
                        work: self.work,
                        step: *step,
                        trouble: trouble.clone(),
                        log_tail: log_tail.clone(),
                    });
                }
                self.restoring = self.work.is_some();
                self.failed |= !matches!(self.work, Some(Work::RollBack | Work::Clear));
                // The way back has its own gate.
                self.gate_deadline = None;
                (self.good_since, self.healthy_since) = (None, None);
            }
            HostEvent::Unreachable { trouble } => {
                let tries = self.unreachable.as_ref().map_or(0, |last| last.tries) + 1;
                self.unreachable = Some(Unreachable { at, tries, trouble: trouble.clone() });
                self.work = None;
            }
            HostEvent::Ended { end } => self.finish(end, at),
        }
    }

    fn at_step(&mut self, step: Step, of: Option<usize>) {
        (self.step, self.step_of) = (Some(step), of);
    }

    fn begin(&mut self, work: Work, attempt: u32, baking: Option<Millis>) {
        if self.work.is_some() {
            return;
        }
        let keeps_ids = matches!(work, Work::Watch | Work::RollBack | Work::Clear);
        let known = std::mem::take(&mut self.progress);
        let dependents = std::mem::take(&mut self.dependents);
        self.earlier_new_id = known.new_id.clone().or(self.earlier_new_id.take());
        self.progress = HostProgress {
            new_id: known.new_id.filter(|_| keeps_ids),
            // If it replaced the old one in a failed attempt, the next attempt replaces it.
            twin_id: known.twin_id,
            ..HostProgress::default()
        };
        if keeps_ids {
            let kept = |(number, known): (usize, DependentState)| {
                let new_id = known.progress.new_id;
                let progress = HostProgress { new_id, ..HostProgress::default() };
                (number, DependentState { progress, ..DependentState::default() })
            };
            self.dependents = dependents.into_iter().map(kept).collect();
        }
        if !keeps_ids {
            self.differences.clear();
        }
        self.work = Some(work);
        self.attempt = attempt;
        self.ended_at = None;
        self.last_end = None;
        self.restoring = false;
        self.gate_deadline = None;
        self.good_since = None;
        self.monitor_until = if work == Work::Watch { baking } else { None };
        self.failure = None;
        self.retry = false;
    }

    fn finish(&mut self, end: &HostEnd, at: Millis) {
        let work = self.work.take();
        self.ended_at = Some(at);
        self.last_end = Some(end.clone());
        self.step_of = None;
        self.restoring = false;
        if work == Some(Work::Watch) {
            self.watched_until = self.monitor_until;
        }
        self.cleared |= work == Some(Work::Clear);
        let failed =
            matches!(end, HostEnd::Restored | HostEnd::Unchanged | HostEnd::NeedsAttention { .. });
        if failed {
            if let Some(work) = work {
                let failures = self.failures.entry(work).or_default();
                *failures = failures.saturating_add(1);
            }
            self.failed |= work != Some(Work::RollBack);
        }
        // A pull is the start of a host, not its end.
        self.end = (*end != HostEnd::Pulled).then(|| end.clone());
    }

    /// Whether it has ended in a bad state.
    fn went_wrong(&self) -> bool {
        self.failed
            || matches!(self.end, Some(HostEnd::NeedsAttention { .. }))
            || self.is_skipped_unreachable()
    }
}

impl DependentState {
    fn fold(&mut self, happened: &HostEvent) {
        match happened {
            HostEvent::Intent { step } => {
                self.progress.intended.insert(*step);
            }
            HostEvent::Did { step, id } => self.progress.done(*step, id.as_deref()),
            HostEvent::Gate { deadline } => self.gate_deadline = Some(*deadline),
            HostEvent::Good { since, .. } => self.good_since = *since,
            HostEvent::Passed { monitor_until } => self.monitor_until = Some(*monitor_until),
            // `legal` accepts none of the others for a dependent.
            _ => {}
        }
    }
}

fn before(at: Millis, used: Duration) -> Millis {
    Millis(at.0.saturating_sub(u64::try_from(used.as_millis()).unwrap_or(u64::MAX)))
}
