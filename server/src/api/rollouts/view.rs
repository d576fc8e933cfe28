//! A rollout as people and programs see it: made of the [`RolloutState`] that its records fold to,
//! so that watchers hear of nothing that is not stored, and of the same as the driver.

use std::collections::BTreeMap;

use prost::Message;
use wharf::v1;

use super::{plan, policy, trouble};
use crate::api::size::{FRAME, FULL};
use crate::domain::{Annotations, HostName};
use crate::rollout::journal::Entry;
use crate::rollout::model::{
    Event, HostEnd, HostPlan, Millis, PauseCause, Phase, Revision, RolloutId, Step, TargetKind,
};
use crate::rollout::spec::Policy;
use crate::rollout::state::{HostState, RolloutState, Standing};

/// A rollout, as far as its records have been read.
#[derive(Debug, Clone)]
pub struct View {
    id: RolloutId,
    revision: Revision,
    state: RolloutState,
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
        let state = RolloutState::from_created(&entry.record).ok()?;
        Some(Self { id: entry.id, revision: entry.revision, state })
    }

    /// The view of all records of a rollout; `None` if there are none.
    pub fn of(entries: &[Entry]) -> Option<Self> {
        let (first, rest) = entries.split_first()?;
        let mut view = Self::of_first(first)?;
        for entry in rest {
            view.take(entry);
        }
        Some(view)
    }

    fn take(&mut self, entry: &Entry) {
        self.revision = entry.revision;
        self.state.fold(&entry.record);
    }

    /// Applies the next record.
    pub fn apply(&mut self, entry: &Entry) -> Changed {
        let host = match &entry.record.event {
            Event::Host { host, .. } => self.state.hosts.contains_key(host).then_some(host),
            Event::Created { .. } | Event::Phase { .. } | Event::Control { .. } => None,
        };
        let shown = |view: &Self| {
            let step = host.and_then(|host| view.step(host));
            let mut counts = v1::RolloutCounts::default();
            step.iter().for_each(|step| count(&mut counts, step.state(), step.not_started));
            (step, (counts, view.is_settled()))
        };
        let (step, whole) = shown(self);
        self.take(entry);
        let (new_step, new_whole) = shown(self);
        Changed {
            rollout: matches!(entry.record.event, Event::Phase { .. }) || whole != new_whole,
            host: host.filter(|_| step != new_step).cloned(),
        }
    }

    /// Whether all is at rest.
    fn is_settled(&self) -> bool {
        let state = &self.state;
        let at_rest = state.phase.is_terminal() || matches!(state.phase, Phase::Paused { .. });
        at_rest && !state.is_at_work()
    }

    /// Without policy, plan and steps.
    pub fn summary(&self) -> v1::Rollout {
        let state = &self.state;
        let takes_part = |plan: &&HostPlan| !matches!(plan.kind, TargetKind::Skip { .. });
        let total = limited(state.plan.hosts.values().filter(takes_part).count());
        let mut counts = v1::RolloutCounts { total, ..Default::default() };
        for (host, known) in &state.hosts {
            let standing = known.standing();
            count(&mut counts, host_state(standing), self.is_not_started(host, standing));
        }
        let (phase, pause_cause, bake_until) = match &state.phase {
            Phase::Pulling => (v1::RolloutState::Pulling, None, None),
            Phase::Running { .. } => (v1::RolloutState::Running, None, None),
            Phase::Baking { until, .. } => (v1::RolloutState::Baking, None, Some(*until)),
            Phase::Paused { cause, .. } => (v1::RolloutState::Paused, Some(*cause), None),
            Phase::RollingBack => (v1::RolloutState::RollingBack, None, None),
            Phase::Aborting => (v1::RolloutState::Aborting, None, None),
            Phase::Succeeded => (v1::RolloutState::Succeeded, None, None),
            Phase::Failed => (v1::RolloutState::Failed, None, None),
            Phase::RolledBack => (v1::RolloutState::RolledBack, None, None),
            Phase::Aborted => (v1::RolloutState::Aborted, None, None),
        };
        let annotations = state.annotations.iter();
        let image = state.plan.image.as_ref();
        let from = image.and_then(|image| image.from.as_ref());
        v1::Rollout {
            id: self.id.to_string(),
            container: state.plan.container.to_string(),
            image: image.map(|image| image.reference.clone()).unwrap_or_default(),
            image_from: from.map(|from| from.host.to_string()).unwrap_or_default(),
            state: phase.into(),
            reason: state.reason.as_ref().map(|reason| trouble::status(reason, None)),
            pause_cause: pause_cause.map_or(v1::PauseCause::Unspecified, cause_view).into(),
            bake_until: bake_until.map(timestamp),
            wave: state.wave.map_or(0, plan::number),
            waves: limited(state.plan.waves.len()),
            counts: Some(counts),
            settled: self.is_settled(),
            revision: self.revision.0,
            created_at: Some(timestamp(state.created_at)),
            state_since: Some(timestamp(state.phase_since)),
            ended_at: self.has_ended().then(|| timestamp(state.phase_since)),
            created_by: state.by.clone(),
            undo_of: state.undo_of.as_ref().map(RolloutId::to_string).unwrap_or_default(),
            annotations: annotations.map(|(key, value)| (key.into(), value.into())).collect(),
            ..v1::Rollout::default()
        }
    }

    /// With policy, plan, and steps, as far as they fit in a message: from the host at position
    /// `from` on. Also returns the position of the next page; `None` after the last.
    ///
    /// The parts that are not about one host are only on the first page.
    pub fn page(&self, from: usize) -> (v1::Rollout, Option<usize>) {
        let (stored, policy) = (&self.state.plan, &self.state.policy);
        let mut rollout = self.summary();
        let mut planned = v1::RolloutPlan::default();
        if from == 0 {
            rollout.policy = Some(policy::view(policy));
            planned = plan::head(stored, policy);
        }
        let hosts = self.in_order();
        let mut size = rollout.encoded_len() + planned.encoded_len() + FRAME;
        let mut taken = 0;
        for host in hosts.iter().skip(from) {
            let step = self.step(host);
            let view = stored.hosts.get(*host).map(|it| plan::host_view(stored, host, it));
            let more = step.as_ref().map_or(0, Message::encoded_len)
                + view.as_ref().map_or(0, Message::encoded_len);
            if taken > 0 && size + more + 2 * FRAME > FULL {
                break;
            }
            size += more + 2 * FRAME;
            rollout.steps.extend(step);
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
        let mut rollout = self.summary();
        size += rollout.encoded_len() + FRAME;
        let mut rest = Vec::new();
        for step in self.in_order().into_iter().filter_map(|host| self.step(host)) {
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
    pub fn step(&self, host: &HostName) -> Option<v1::RolloutStep> {
        let (planned, known) = (self.state.plan.hosts.get(host)?, self.state.hosts.get(host)?);
        let standing = known.standing();
        let old = planned.old.clone().unwrap_or_default();
        let dependent = known.step_of.and_then(|number| planned.dependents.get(number));
        let new_id = match &planned.kind {
            TargetKind::Adopt { id, .. } => Some(id).filter(|_| known.attempt > 0),
            _ => known.progress.new_id.as_ref().or(known.earlier_new_id.as_ref()),
        };
        let failure = known.failure.as_ref();
        let failed_step = failure.and_then(|failure| failure.step);
        Some(v1::RolloutStep {
            host: host.to_string(),
            wave: plan::wave_of(&self.state.plan, host),
            state: host_state(standing).into(),
            step: known.step.map_or(v1::HostStep::Unspecified, step_view).into(),
            dependent: dependent.map(|it| it.name.to_string()).unwrap_or_default(),
            since: known.since.map(timestamp),
            attempt: known.attempt,
            health: known.saw.clone(),
            healthy_since: known.healthy_since.map(timestamp),
            deadline: known.deadline().map(timestamp),
            old_image: old.image,
            old_image_id: old.image_id,
            old_container_id: old.id,
            new_image_id: known.pulled.as_ref().map(|it| it.image_id.clone()).unwrap_or_default(),
            new_container_id: new_id.cloned().unwrap_or_default(),
            status: status(host, known, standing),
            failed_step: failed_step.map_or(v1::HostStep::Unspecified, step_view).into(),
            log_tail: failure.map(|failure| failure.log_tail.clone()).unwrap_or_default(),
            warnings: known.differences.clone(),
            not_started: self.is_not_started(host, standing),
        })
    }

    fn is_not_started(&self, host: &HostName, standing: Standing) -> bool {
        let starts = self.state.plan.hosts.get(host).is_none_or(|planned| planned.start);
        standing == Standing::Updated && !starts
    }

    /// The hosts, including those that the plan skips.
    pub fn hosts(&self) -> impl Iterator<Item = HostName> {
        self.state.hosts.keys().cloned()
    }

    /// Its ID.
    pub fn id(&self) -> RolloutId {
        self.id
    }

    /// Where it stands.
    pub fn phase(&self) -> &Phase {
        &self.state.phase
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.state.phase.is_terminal()
    }

    /// The caller's annotations.
    pub fn annotations(&self) -> &Annotations {
        &self.state.annotations
    }

    /// How it is carried out.
    pub fn policy(&self) -> &Policy {
        &self.state.policy
    }

    /// Hosts by position: waves first, in their order. It never changes.
    fn in_order(&self) -> Vec<&HostName> {
        let in_waves = self.state.plan.waves.iter().flatten().enumerate();
        let places: BTreeMap<&HostName, usize> =
            in_waves.map(|(place, host)| (host, place)).collect();
        let mut hosts: Vec<_> = self.state.hosts.keys().collect();
        hosts.sort_by_key(|host| places.get(host).copied().unwrap_or(usize::MAX));
        hosts
    }
}

/// A point in time of the API.
pub fn timestamp(at: Millis) -> prost_types::Timestamp {
    let seconds = i64::try_from(at.0 / 1000).unwrap_or(i64::MAX);
    let nanos = i32::try_from(at.0 % 1000).unwrap_or(0) * 1_000_000;
    prost_types::Timestamp { seconds, nanos }
}

fn limited(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Why a host stands where it stands, where that is not the usual course.
fn status(
    host: &HostName,
    known: &HostState,
    standing: Standing,
) -> Option<tonic_types::pb::Status> {
    let trouble = match (&known.last_end, &known.unreachable) {
        (Some(HostEnd::Skipped { reason: message }), _) => {
            let (message, details) = (message.clone(), Vec::new());
            return Some(tonic_types::pb::Status { code: 0, message, details });
        }
        (Some(HostEnd::NeedsAttention { trouble }), _) => Some(trouble),
        (None, Some(unreachable)) if standing == Standing::Unreachable => {
            Some(&unreachable.trouble)
        }
        _ => known.failure.as_ref().map(|failure| &failure.trouble),
    };
    trouble.map(|trouble| trouble::status(trouble, Some(host)))
}

fn count(counts: &mut v1::RolloutCounts, state: v1::HostState, not_started: bool) {
    use v1::HostState as State;
    let bucket = match state {
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
    };
    *bucket += 1;
    counts.not_started += u32::from(not_started);
}

fn host_state(standing: Standing) -> v1::HostState {
    match standing {
        Standing::Waiting => v1::HostState::Waiting,
        Standing::Pulling => v1::HostState::Pulling,
        Standing::Pulled => v1::HostState::Pulled,
        Standing::Updating => v1::HostState::Updating,
        Standing::Updated => v1::HostState::Updated,
        Standing::Restoring => v1::HostState::Restoring,
        Standing::Restored => v1::HostState::Restored,
        Standing::RollingBack => v1::HostState::RollingBack,
        Standing::RolledBack => v1::HostState::RolledBack,
        Standing::Unchanged => v1::HostState::Unchanged,
        Standing::Unreachable => v1::HostState::Unreachable,
        Standing::Skipped => v1::HostState::Skipped,
        Standing::NeedsAttention => v1::HostState::NeedsAttention,
    }
}

fn step_view(step: Step) -> v1::HostStep {
    match step {
        Step::Create => v1::HostStep::Create,
        Step::CreateTwin => v1::HostStep::CreateTwin,
        Step::Drain => v1::HostStep::Drain,
        Step::StopOld => v1::HostStep::StopOld,
        Step::FenceOld => v1::HostStep::FenceOld,
        Step::RenameOld => v1::HostStep::RenameOld,
        Step::RenameNew => v1::HostStep::RenameNew,
        Step::UnfenceNew => v1::HostStep::UnfenceNew,
        Step::StartNew => v1::HostStep::StartNew,
        Step::Compare => v1::HostStep::Compare,
        Step::Gate => v1::HostStep::Gate,
        Step::Verify => v1::HostStep::Verify,
        Step::Monitor => v1::HostStep::Monitor,
        Step::StopNew => v1::HostStep::StopNew,
        Step::FenceNew => v1::HostStep::FenceNew,
        Step::RenameBad => v1::HostStep::RenameBad,
        Step::RenameBack => v1::HostStep::RenameBack,
        Step::UnfenceOld => v1::HostStep::UnfenceOld,
        Step::StartOld => v1::HostStep::StartOld,
        Step::GateOld => v1::HostStep::GateOld,
        Step::RemoveNew => v1::HostStep::RemoveNew,
        Step::RemoveTwin => v1::HostStep::RemoveTwin,
        Step::RemoveOld => v1::HostStep::RemoveOld,
    }
}

fn cause_view(cause: PauseCause) -> v1::PauseCause {
    match cause {
        PauseCause::User => v1::PauseCause::User,
        PauseCause::Budget => v1::PauseCause::Budget,
        PauseCause::Promotion => v1::PauseCause::Promotion,
        PauseCause::Progress => v1::PauseCause::Progress,
        PauseCause::Unreachable => v1::PauseCause::Unreachable,
        PauseCause::NeedsAttention => v1::PauseCause::NeedsAttention,
    }
}
