//! The public view of a rollout: folded from the records of its journal, one by one, so that
//! watchers never see anything that is not stored.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use wharf::v1;

use super::{plan, policy, trouble};
use crate::api::size::{FRAME, FULL};
use crate::domain::{Annotations, HostName};
use crate::rollout::journal::Entry;
use crate::rollout::model::{
    Event, HostEnd, HostEvent, Millis, PauseCause, Phase, Plan, RolloutId, Step, TargetKind,
    Trouble, Work,
};
use crate::rollout::spec::Policy;

/// A rollout, as far as its records have been read.
#[derive(Debug, Clone)]
pub struct View {
    id: RolloutId,
    rollout: v1::Rollout,
    steps: BTreeMap<HostName, v1::RolloutStep>,
    plan: Plan,
    policy: Policy,
    noted: Annotations,
    /// Hosts with work in progress, as in `RolloutState`.
    at_work: BTreeSet<HostName>,
    ended: bool,
}

/// The changes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Whether the rollout as a whole changed.
    pub rollout: bool,
    /// The host that is different.
    pub host: Option<HostName>,
}

impl View {
    /// The view of the first record; `None` for a record that is not a first one.
    pub fn of_first(entry: &Entry) -> Option<Self> {
        let Event::Created { plan, policy, by, undo_of, annotations } = &entry.record.event else {
            return None;
        };
        let at = timestamp(entry.record.at);
        let steps: BTreeMap<_, _> =
            plan.hosts.keys().map(|host| (host.clone(), first_step(plan, host, at))).collect();
        let mut counts = v1::RolloutCounts::default();
        for step in steps.values() {
            *bucket(&mut counts, step.state()) += 1;
        }
        counts.total = u32::try_from(steps.len()).unwrap_or(u32::MAX) - counts.skipped;
        let rollout = v1::Rollout {
            id: entry.id.to_string(),
            container: plan.container.to_string(),
            image: plan.image.as_ref().map(|it| it.reference.clone()).unwrap_or_default(),
            state: v1::RolloutState::Pulling.into(),
            waves: u32::try_from(plan.waves.len()).unwrap_or(u32::MAX),
            counts: Some(counts),
            revision: entry.revision.0,
            created_at: Some(at),
            state_since: Some(at),
            created_by: by.clone(),
            undo_of: undo_of.as_ref().map(RolloutId::to_string).unwrap_or_default(),
            annotations: annotations
                .iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            ..v1::Rollout::default()
        };
        let (plan, policy, noted) = ((**plan).clone(), (**policy).clone(), annotations.clone());
        let at_work = BTreeSet::new();
        Some(Self { id: entry.id, rollout, steps, plan, policy, noted, at_work, ended: false })
    }

    /// The view of all records of a rollout; `None` if there are none.
    pub fn of(entries: &[Entry]) -> Option<Self> {
        let (first, rest) = entries.split_first()?;
        let mut view = Self::of_first(first)?;
        for entry in rest {
            view.apply(entry);
        }
        Some(view)
    }

    /// Applies the next record.
    pub fn apply(&mut self, entry: &Entry) -> Changed {
        self.rollout.revision = entry.revision.0;
        let at = entry.record.at;
        match &entry.record.event {
            Event::Created { .. } | Event::Control { .. } => Changed { rollout: false, host: None },
            Event::Phase { to, reason } => {
                self.phase(to, reason.as_ref(), at);
                self.settle();
                Changed { rollout: true, host: None }
            }
            Event::Host { host, happened } => {
                let changed = self.host(host, happened, at);
                match happened {
                    HostEvent::Begun { .. } => drop(self.at_work.insert(host.clone())),
                    HostEvent::Ended { .. } | HostEvent::Unreachable { .. } => {
                        self.at_work.remove(host);
                    }
                    _ => {}
                }
                let settled = self.settle();
                Changed { rollout: changed.rollout || settled, ..changed }
            }
        }
    }

    /// Updates whether everything is at rest. Returns whether that changed.
    fn settle(&mut self) -> bool {
        let at_rest = self.ended || self.rollout.state() == v1::RolloutState::Paused;
        let settled = at_rest && self.at_work.is_empty();
        std::mem::replace(&mut self.rollout.settled, settled) != settled
    }

    /// Without policy, plan and steps.
    pub fn summary(&self) -> v1::Rollout {
        self.rollout.clone()
    }

    /// With policy, plan, and steps, as far as they fit in a message: from the host at position
    /// `from` on. Also returns the position of the next page; `None` after the last.
    ///
    /// The parts that are not about one host are only on the first page.
    pub fn page(&self, from: usize) -> (v1::Rollout, Option<usize>) {
        let mut rollout = self.rollout.clone();
        let mut planned = v1::RolloutPlan::default();
        if from == 0 {
            rollout.policy = Some(policy::view(&self.policy));
            planned = plan::head(&self.plan, &self.policy);
        }
        let hosts = self.in_order();
        let mut size = rollout.encoded_len() + planned.encoded_len() + FRAME;
        let mut taken = 0;
        for host in hosts.iter().skip(from) {
            let step = &self.steps[*host];
            let view = self.plan.hosts.get(*host).map(|it| plan::host_view(&self.plan, host, it));
            let more = step.encoded_len() + view.as_ref().map_or(0, Message::encoded_len);
            if taken > 0 && size + more + 2 * FRAME > FULL {
                break;
            }
            size += more + 2 * FRAME;
            rollout.steps.push(step.clone());
            planned.hosts.extend(view);
            taken += 1;
        }
        planned.hosts.sort_by(|left, right| left.host.cmp(&right.host));
        rollout.plan = Some(planned);
        let next = from + taken;
        (rollout, (next < hosts.len()).then_some(next))
    }

    /// With steps only, as far as they fit a message that has `size` bytes already; and the steps
    /// that do not.
    pub fn with_steps(&self, mut size: usize) -> (v1::Rollout, Vec<v1::RolloutStep>) {
        let mut rollout = self.rollout.clone();
        size += rollout.encoded_len() + FRAME;
        let mut rest = Vec::new();
        for host in self.in_order() {
            let step = self.steps[host].clone();
            size += step.encoded_len() + FRAME;
            if size > FULL || !rest.is_empty() {
                rest.push(step);
            } else {
                rollout.steps.push(step);
            }
        }
        (rollout, rest)
    }

    /// One host.
    pub fn step(&self, host: &HostName) -> Option<&v1::RolloutStep> {
        self.steps.get(host)
    }

    /// The hosts, including those that the plan skips.
    pub fn hosts(&self) -> impl Iterator<Item = HostName> {
        self.steps.keys().cloned()
    }

    /// Its ID.
    pub fn id(&self) -> RolloutId {
        self.id
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The caller's annotations.
    pub fn annotations(&self) -> &Annotations {
        &self.noted
    }

    /// How it is carried out.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Hosts by position: waves first, in their order. It never changes.
    fn in_order(&self) -> Vec<&HostName> {
        let in_waves = self.plan.waves.iter().flatten().enumerate();
        let places: BTreeMap<&HostName, usize> =
            in_waves.map(|(place, host)| (host, place)).collect();
        let mut hosts: Vec<_> = self.steps.keys().collect();
        hosts.sort_by_key(|host| places.get(host).copied().unwrap_or(usize::MAX));
        hosts
    }

    fn phase(&mut self, to: &Phase, reason: Option<&Trouble>, at: Millis) {
        let rollout = &mut self.rollout;
        rollout.state_since = Some(timestamp(at));
        rollout.reason = reason.map(|reason| trouble::status(reason, None));
        rollout.pause_cause = v1::PauseCause::Unspecified.into();
        rollout.bake_until = None;
        let state = match to {
            Phase::Pulling => v1::RolloutState::Pulling,
            Phase::Running { wave } => {
                rollout.wave = plan::number(*wave);
                v1::RolloutState::Running
            }
            Phase::Baking { wave, until } => {
                rollout.wave = plan::number(*wave);
                rollout.bake_until = Some(timestamp(*until));
                v1::RolloutState::Baking
            }
            Phase::Paused { cause, .. } => {
                rollout.pause_cause = pause_cause(*cause).into();
                v1::RolloutState::Paused
            }
            Phase::RollingBack => v1::RolloutState::RollingBack,
            Phase::Aborting => v1::RolloutState::Aborting,
            Phase::Succeeded => v1::RolloutState::Succeeded,
            Phase::Failed => v1::RolloutState::Failed,
            Phase::RolledBack => v1::RolloutState::RolledBack,
            Phase::Aborted => v1::RolloutState::Aborted,
        };
        rollout.state = state.into();
        self.ended = to.is_terminal();
        if self.ended {
            rollout.ended_at = Some(timestamp(at));
        }
    }

    fn host(&mut self, host: &HostName, happened: &HostEvent, at: Millis) -> Changed {
        let nothing = Changed { rollout: false, host: None };
        let Some(step) = self.steps.get_mut(host) else { return nothing };
        let before = step.clone();
        if matches!(happened, HostEvent::Begun { work: Work::Forward, .. })
            && let Some(TargetKind::Adopt { id, .. }) = self.plan.hosts.get(host).map(|it| &it.kind)
        {
            step.new_container_id.clone_from(id);
        }
        if let HostEvent::Dependent { number, happened } = happened {
            let planned = self.plan.hosts.get(host);
            let dependent = planned.and_then(|planned| planned.dependents.get(*number));
            let name = dependent.map(|it| it.name.to_string()).unwrap_or_default();
            happen_to_dependent(step, name, happened);
        } else {
            happen(step, host, happened);
        }
        let is_elsewhere = step.dependent != before.dependent;
        if step.state != before.state || step.step != before.step || is_elsewhere {
            step.since = Some(timestamp(at));
        }
        let starts = self.plan.hosts.get(host).is_none_or(|planned| planned.start);
        step.not_started = step.state() == v1::HostState::Updated && !starts;
        if *step == before {
            return nothing;
        }
        let not_started = (before.not_started, step.not_started);
        let (was, is) = (before.state(), step.state());
        let counts = self.rollout.counts.get_or_insert_default();
        let before = *counts;
        let left = bucket(counts, was);
        *left = left.saturating_sub(1);
        *bucket(counts, is) += 1;
        match not_started {
            (false, true) => counts.not_started += 1,
            (true, false) => counts.not_started = counts.not_started.saturating_sub(1),
            _ => {}
        }
        Changed { rollout: *counts != before, host: Some(host.clone()) }
    }
}

/// A point in time of the API.
pub fn timestamp(at: Millis) -> prost_types::Timestamp {
    let seconds = i64::try_from(at.0 / 1000).unwrap_or(i64::MAX);
    let nanos = i32::try_from(at.0 % 1000).unwrap_or(0) * 1_000_000;
    prost_types::Timestamp { seconds, nanos }
}

fn first_step(plan: &Plan, host: &HostName, at: prost_types::Timestamp) -> v1::RolloutStep {
    let target = &plan.hosts[host];
    let old = target.old.as_ref();
    let mut step = v1::RolloutStep {
        host: host.to_string(),
        wave: plan::wave_of(plan, host),
        state: v1::HostState::Waiting.into(),
        since: Some(at),
        old_image: old.map(|old| old.image.clone()).unwrap_or_default(),
        old_image_id: old.map(|old| old.image_id.clone()).unwrap_or_default(),
        old_container_id: old.map(|old| old.id.clone()).unwrap_or_default(),
        ..v1::RolloutStep::default()
    };
    if let TargetKind::Skip { reason } = &target.kind {
        skip(&mut step, reason);
    }
    step
}

fn happen(step: &mut v1::RolloutStep, host: &HostName, happened: &HostEvent) {
    match happened {
        HostEvent::Begun { work, attempt } => begin(step, *work, *attempt),
        HostEvent::Intent { step: at } => {
            step.step = step_view(*at).into();
            step.dependent.clear();
        }
        HostEvent::Did { step: at, id } => {
            step.step = step_view(*at).into();
            if let (Step::Create, Some(id)) = (at, id) {
                step.new_container_id.clone_from(id);
            }
        }
        // Only with its name.
        HostEvent::Dependent { .. } => {}
        HostEvent::Pulled { image_id, .. } => step.new_image_id.clone_from(image_id),
        HostEvent::Differs { differences } => step.warnings.clone_from(differences),
        HostEvent::Gate { deadline } => step.deadline = Some(timestamp(*deadline)),
        HostEvent::Good { since, saw } => {
            step.healthy_since = since.map(timestamp);
            step.health.clone_from(saw);
        }
        HostEvent::Passed { monitor_until } => step.deadline = Some(timestamp(*monitor_until)),
        HostEvent::Failed { step: at, trouble, log_tail } => {
            let rolls_back = step.state() == v1::HostState::RollingBack;
            if !matches!(step.state(), v1::HostState::Pulling) && !rolls_back {
                step.state = v1::HostState::Restoring.into();
            }
            step.failed_step = at.map_or(v1::HostStep::Unspecified, step_view).into();
            step.status = Some(trouble::status(trouble, Some(host)));
            step.log_tail.clone_from(log_tail);
            step.deadline = None;
            step.healthy_since = None;
        }
        HostEvent::Unreachable { trouble } => {
            step.state = v1::HostState::Unreachable.into();
            step.status = Some(trouble::status(trouble, Some(host)));
        }
        HostEvent::Ended { end } => finish(step, host, end),
    }
}

/// Container details are only shown for the target.
fn happen_to_dependent(step: &mut v1::RolloutStep, name: String, happened: &HostEvent) {
    match happened {
        HostEvent::Intent { step: at } | HostEvent::Did { step: at, .. } => {
            step.step = step_view(*at).into();
            step.dependent = name;
        }
        HostEvent::Good { saw, .. } => step.health.clone_from(saw),
        HostEvent::Differs { differences } => {
            for line in differences {
                if !step.warnings.contains(line) {
                    step.warnings.push(line.clone());
                }
            }
        }
        _ => {}
    }
}

fn begin(step: &mut v1::RolloutStep, work: Work, attempt: u32) {
    let has_failed = step.failed_step != 0 || !step.log_tail.is_empty();
    let goes_on = step.attempt == attempt && work == Work::Forward && has_failed;
    step.attempt = attempt;
    if goes_on {
        // After a crash in the middle of a failure: it is still being restored.
        step.state = v1::HostState::Restoring.into();
        return;
    }
    if matches!(work, Work::Pull | Work::Forward) {
        step.warnings.clear();
    }
    if work == Work::Pull {
        step.state = v1::HostState::Pulling.into();
    } else if work == Work::RollBack {
        step.state = v1::HostState::RollingBack.into();
    } else if step.state() != v1::HostState::Updated {
        step.state = v1::HostState::Updating.into();
    }
    step.status = None;
    step.failed_step = v1::HostStep::Unspecified.into();
    step.log_tail.clear();
}

fn finish(step: &mut v1::RolloutStep, host: &HostName, end: &HostEnd) {
    step.dependent.clear();
    step.deadline = None;
    let state = match end {
        HostEnd::Pulled => v1::HostState::Pulled,
        HostEnd::Committed => v1::HostState::Updated,
        HostEnd::Restored => v1::HostState::Restored,
        HostEnd::RolledBack => v1::HostState::RolledBack,
        HostEnd::Unchanged => v1::HostState::Unchanged,
        HostEnd::Skipped { reason } => return skip(step, reason),
        HostEnd::NeedsAttention { trouble } => {
            step.status = Some(trouble::status(trouble, Some(host)));
            v1::HostState::NeedsAttention
        }
    };
    step.state = state.into();
}

fn skip(step: &mut v1::RolloutStep, reason: &str) {
    step.state = v1::HostState::Skipped.into();
    step.status =
        Some(tonic_types::pb::Status { code: 0, message: reason.to_owned(), details: Vec::new() });
}

fn bucket(counts: &mut v1::RolloutCounts, state: v1::HostState) -> &mut u32 {
    use v1::HostState as State;
    match state {
        State::Unspecified
        | State::Waiting
        | State::Pulling
        | State::Pulled
        | State::Unreachable => &mut counts.waiting,
        State::Updating | State::Restoring | State::RollingBack => &mut counts.active,
        State::Updated => &mut counts.succeeded,
        State::Restored | State::RolledBack | State::Unchanged | State::NeedsAttention => {
            &mut counts.failed
        }
        State::Skipped => &mut counts.skipped,
    }
}

/// Journal and contract use the same names for steps.
fn step_view(step: Step) -> v1::HostStep {
    let name = serde_json::to_value(step).ok();
    let name = name.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
    let name = format!("HOST_STEP_{}", name.to_ascii_uppercase());
    v1::HostStep::from_str_name(&name).unwrap_or_default()
}

fn pause_cause(cause: PauseCause) -> v1::PauseCause {
    match cause {
        PauseCause::User => v1::PauseCause::User,
        PauseCause::Budget => v1::PauseCause::Budget,
        PauseCause::Promotion => v1::PauseCause::Promotion,
        PauseCause::Progress => v1::PauseCause::Progress,
        PauseCause::Unreachable => v1::PauseCause::Unreachable,
        PauseCause::NeedsAttention => v1::PauseCause::NeedsAttention,
    }
}
