//! The state of a rollout: the fold of its journal. One total function applies a record, both while
//! the rollout runs and when its journal is read again; `legal` defines which records it accepts.
//! The driver folds, `decide` reads.
//!
//! Pure: times are those of the records.

mod fold;
mod legal;
#[cfg(test)]
pub(in crate::rollout) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::{Annotations, HostName};

use super::model::{
    Event, HostEnd, HostProgress, Millis, Phase, Plan, Record, RolloutId, Step, TargetKind,
    Trouble, Work,
};
use super::spec::Policy;
use super::step::Direction;

pub use legal::Illegal;

/// The complete state of a rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutState {
    /// The plan. Never changes.
    pub plan: Arc<Plan>,
    /// The policy. Never changes.
    pub policy: Arc<Policy>,
    /// Who created it.
    pub by: String,
    /// The rollout that it undoes.
    pub undo_of: Option<RolloutId>,
    /// What its caller noted about it.
    pub annotations: Annotations,
    /// When it was created.
    pub created_at: Millis,
    /// The phase.
    pub phase: Phase,
    /// Since when.
    pub phase_since: Millis,
    /// The reason for the phase, unless it is normal operation.
    pub reason: Option<Trouble>,
    /// Every host of the plan, including skipped ones.
    pub hosts: BTreeMap<HostName, HostState>,
    /// The pending command.
    pub asked: Asked,
    /// From when the progress deadline counts; moved on by every host that ends its work and
    /// by the time for which the rollout was paused.
    pub last_progress: Millis,
    /// The wave that was begun last: where the rollout turned back, once it did.
    pub wave: Option<usize>,
    /// Hosts whose failure or unhealthy state was known at the last resume: they alone are no
    /// reason to pause again.
    pub forgiven: BTreeSet<HostName>,
}

/// A pending command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// Start no further host.
    pub pause: bool,
    /// Resume, with or without retrying failed hosts.
    pub resume: Option<bool>,
    /// Continue after the canary.
    pub promote: bool,
    /// Stop at the next safe point.
    pub abort: bool,
}

/// The complete state of one host of a rollout.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HostState {
    /// The work that started but has not ended.
    pub work: Option<Work>,
    /// Attempt of the current or last work, from 1; 0 before the first.
    pub attempt: u32,
    /// When the last work ended; `None` while there is other work.
    pub ended_at: Option<Millis>,
    /// How it ended, until other work begins: also where the host is to be tried again.
    pub last_end: Option<HostEnd>,
    /// The last step that was begun or found done.
    pub step: Option<Step>,
    /// The dependent that this step was about, by its place in the plan; `None`: the target.
    pub step_of: Option<usize>,
    /// Since when the host stands where it stands, at this step.
    pub since: Option<Millis>,
    /// What the steps need from the journal.
    pub progress: HostProgress,
    /// The new container of an earlier attempt; one that continues with it does not record it again.
    pub earlier_new_id: Option<String>,
    /// Whether the current work failed and restores the old container.
    pub restoring: bool,
    /// Differences of the new container from the requested settings, one line each.
    pub differences: Vec<String>,
    /// When the gate times out.
    pub gate_deadline: Option<Millis>,
    /// Since when the gate of this work sees it good.
    pub good_since: Option<Millis>,
    /// The same of the gate that looked last, in whatever work.
    pub healthy_since: Option<Millis>,
    /// What that saw last.
    pub saw: String,
    /// Until when it is watched after its gate, or while its wave bakes.
    pub monitor_until: Option<Millis>,
    /// The end of the baking that it was watched through.
    pub watched_until: Option<Millis>,
    /// The last failure; kept for people until the next attempt.
    pub failure: Option<Failure>,
    /// Whether it counts against the budget.
    pub failed: bool,
    /// Whether a user requested a retry of its failed rollback.
    pub retry: bool,
    /// It did not answer before work on it began.
    pub unreachable: Option<Unreachable>,
    /// The image that it has.
    pub pulled: Option<Pulled>,
    /// How it ended; `None` while the rollout is not done with it.
    pub end: Option<HostEnd>,
    /// Whether its old containers were removed, or left to a later try, at the end of the rollout.
    pub cleared: bool,
    /// The dependents of the target, by their position in the plan; without those that nothing was
    /// done with.
    pub dependents: BTreeMap<usize, DependentState>,
    /// Failed attempts by kind of work.
    failures: BTreeMap<Work, u32>,
}

/// Where a host stands, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing was begun.
    Waiting,
    /// It gets the image.
    Pulling,
    /// It has the image.
    Pulled,
    /// Its container is being replaced.
    Updating,
    /// It is on the new version, also while its container is watched.
    Updated,
    /// It failed, and what was there is put back.
    Restoring,
    /// It failed, and what was there is there again.
    Restored,
    /// What was there is put back because the rollout is taken back.
    RollingBack,
    /// That is done.
    RolledBack,
    /// It failed before anything was changed.
    Unchanged,
    /// It does not answer.
    Unreachable,
    /// It was left out.
    Skipped,
    /// A person must look.
    NeedsAttention,
}

/// The complete state of a dependent of the target.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DependentState {
    /// What its steps need from the journal.
    pub progress: HostProgress,
    /// When its gate times out.
    pub gate_deadline: Option<Millis>,
    /// Start of its uninterrupted healthy time.
    pub good_since: Option<Millis>,
    /// Until when it is watched after its gate.
    pub monitor_until: Option<Millis>,
}

/// Why work on a host failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub at: Millis,
    /// The work; `None` if it failed before any started.
    pub work: Option<Work>,
    /// The step that failed.
    pub step: Option<Step>,
    /// Why.
    pub trouble: Trouble,
    /// The last lines of the new container's log.
    pub log_tail: Vec<String>,
}

/// A host that does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    /// When it was tried last.
    pub at: Millis,
    /// How often in a row.
    pub tries: u32,
    /// In its words.
    pub trouble: Trouble,
}

/// The image that a host has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Its ID on that host.
    pub image_id: String,
    /// The digest in the registry.
    pub digest: Option<String>,
}

impl RolloutState {
    /// The state after the first record, which must be that of the creation.
    pub fn from_created(record: &Record) -> Result<Self, Illegal> {
        let Event::Created { plan, policy, by, undo_of, annotations } = &record.event else {
            return Err(Illegal::NotCreated);
        };
        let host = |(name, planned): (&HostName, &super::model::HostPlan)| {
            let end = match &planned.kind {
                TargetKind::Skip { reason } => Some(HostEnd::Skipped { reason: reason.clone() }),
                _ => None,
            };
            let (last_end, since) = (end.clone(), Some(record.at));
            (name.clone(), HostState { end, last_end, since, ..HostState::default() })
        };
        Ok(Self {
            hosts: plan.hosts.iter().map(host).collect(),
            plan: Arc::new((**plan).clone()),
            policy: Arc::new((**policy).clone()),
            by: by.clone(),
            undo_of: *undo_of,
            annotations: annotations.clone(),
            created_at: record.at,
            phase: Phase::Pulling,
            phase_since: record.at,
            reason: None,
            asked: Asked::default(),
            last_progress: record.at,
            wave: None,
            forgiven: BTreeSet::new(),
        })
    }

    /// Folds a whole journal.
    pub fn replay<'a>(records: impl IntoIterator<Item = &'a Record>) -> Result<Self, Illegal> {
        let mut records = records.into_iter();
        let mut state = Self::from_created(records.next().ok_or(Illegal::NotCreated)?)?;
        for record in records {
            state.apply(record)?;
        }
        Ok(state)
    }

    /// Applies a record. An illegal one changes nothing.
    pub fn apply(&mut self, record: &Record) -> Result<(), Illegal> {
        self.check(&record.event)?;
        self.fold(record);
        Ok(())
    }

    /// Hosts of the plan with work.
    #[must_use]
    pub fn size(&self) -> usize {
        self.plan.waves.iter().map(Vec::len).sum()
    }

    /// Hosts that failed since the budget was last reset.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.hosts.values().filter(|host| host.failed).count()
    }

    /// Hosts with that work in progress.
    #[must_use]
    pub fn at_work(&self, work: Work) -> usize {
        self.hosts.values().filter(|host| host.work == Some(work)).count()
    }

    /// Whether any host has work in progress.
    #[must_use]
    pub fn is_at_work(&self) -> bool {
        self.hosts.values().any(|host| host.work.is_some())
    }
}

impl HostState {
    /// The direction of the current work; `None` without work, for a pull, and for a removal.
    #[must_use]
    pub fn direction(&self) -> Option<Direction> {
        match (self.work?, self.restoring) {
            (Work::Pull, _) => None,
            (Work::Forward | Work::Watch, true) => Some(Direction::Restore),
            (Work::Forward, false) => Some(Direction::Forward),
            (Work::Watch, false) => Some(Direction::Watch),
            (Work::RollBack, _) => Some(Direction::RollBack),
            (Work::Clear, _) => None,
        }
    }

    /// The attempt of the current or next work: failures count, crashes and unreachable hosts do
    /// not.
    #[must_use]
    pub fn attempt_of(&self, work: Work) -> u32 {
        self.failures.get(&work).copied().unwrap_or(0) + 1
    }

    /// The phase.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match (self.work, &self.last_end) {
            (Some(Work::Pull), _) => Standing::Pulling,
            (Some(Work::RollBack), _) => Standing::RollingBack,
            (Some(_), _) if self.restoring => Standing::Restoring,
            (Some(Work::Forward), _) => Standing::Updating,
            (Some(Work::Watch | Work::Clear), _) => Standing::Updated,
            (None, Some(HostEnd::Pulled)) => Standing::Pulled,
            (None, Some(HostEnd::Committed)) => Standing::Updated,
            (None, Some(HostEnd::Restored)) => Standing::Restored,
            (None, Some(HostEnd::RolledBack)) => Standing::RolledBack,
            (None, Some(HostEnd::Unchanged)) => Standing::Unchanged,
            (None, Some(HostEnd::Skipped { .. })) => Standing::Skipped,
            (None, Some(HostEnd::NeedsAttention { .. })) => Standing::NeedsAttention,
            (None, None) if self.unreachable.is_some() => Standing::Unreachable,
            (None, None) => Standing::Waiting,
        }
    }

    /// When the gate gives up or, once it let the container pass, the watch after it ends.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        match self.work {
            None => None,
            Some(_) if self.restoring => self.gate_deadline,
            // It is that of the whole wave.
            Some(Work::Watch) => None,
            Some(_) => self.monitor_until.or(self.gate_deadline),
        }
    }

    /// Whether it was skipped because it does not answer.
    #[must_use]
    pub fn is_skipped_unreachable(&self) -> bool {
        self.unreachable.is_some() && matches!(self.end, Some(HostEnd::Skipped { .. }))
    }
}
