//! The state of a rollout: the fold of its journal. One total function takes a record in,
//! while the rollout runs and when its journal is read again alike; `legal` says which
//! records it takes. The driver folds, `decide` reads.
//!
//! Pure: times are those of the records.

mod fold;
mod legal;
#[cfg(test)]
pub(in crate::rollout) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::HostName;

use super::model::{
    Event, HostEnd, HostProgress, Millis, Phase, Plan, Record, RolloutId, Step, TargetKind,
    Trouble, Work,
};
use super::spec::Policy;
use super::step::Direction;

pub use legal::Illegal;

/// Everything that is known of a rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutState {
    /// What is done. Never changes.
    pub plan: Arc<Plan>,
    /// How. Never changes.
    pub policy: Arc<Policy>,
    /// Who asked for it.
    pub by: String,
    /// The rollout that this one takes back.
    pub undo_of: Option<RolloutId>,
    /// When it was asked for.
    pub created_at: Millis,
    /// Where it stands.
    pub phase: Phase,
    /// Since when.
    pub phase_since: Millis,
    /// Why it stands there, where that is not the usual course.
    pub reason: Option<Trouble>,
    /// Every host of the plan, those that are skipped included.
    pub hosts: BTreeMap<HostName, HostState>,
    /// What was asked for and is not done yet.
    pub asked: Asked,
    /// From when the progress deadline counts; moved on by every host that ends its work and
    /// by the time for which the rollout was paused.
    pub last_progress: Millis,
    /// The wave in which the rollout turned back.
    pub turned_in: Option<usize>,
    /// Hosts whose failure or bad state was known when somebody resumed the rollout: they
    /// alone are no reason to pause again.
    pub forgiven: BTreeSet<HostName>,
}

/// What was asked for and is not done yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// Begin no further host.
    pub pause: bool,
    /// Go on; with what failed tried again, or not.
    pub resume: Option<bool>,
    /// Go on after the canary.
    pub promote: bool,
    /// Stop at the next safe point.
    pub abort: bool,
}

/// Everything that is known of one host of a rollout.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HostState {
    /// The work that was begun and has not ended.
    pub work: Option<Work>,
    /// Attempt of the current or last work, from 1; 0 before the first.
    pub attempt: u32,
    /// When that began; a crash does not change it.
    pub begun_at: Option<Millis>,
    /// When the last work ended.
    pub ended_at: Option<Millis>,
    /// The last step that was begun.
    pub step: Option<Step>,
    /// When that step was begun, for the last time.
    pub step_at: Option<Millis>,
    /// What the steps need from the journal.
    pub progress: HostProgress,
    /// Whether the current work failed and puts back what was there.
    pub restoring: bool,
    /// How the new container differs from what was asked for, a line a setting.
    pub differences: Vec<String>,
    /// When the gate gives up.
    pub gate_deadline: Option<Millis>,
    /// Since when the gate sees it good.
    pub good_since: Option<Millis>,
    /// What the gate saw last.
    pub saw: String,
    /// Until when it is watched after its gate, or while its wave bakes.
    pub monitor_until: Option<Millis>,
    /// The end of the baking that it was watched through.
    pub watched_until: Option<Millis>,
    /// The last failure; kept for people until the next attempt.
    pub failure: Option<Failure>,
    /// Whether it counts against the budget.
    pub failed: bool,
    /// Whether somebody wants its failed rollback to be tried again.
    pub retry: bool,
    /// It did not answer before work on it began.
    pub unreachable: Option<Unreachable>,
    /// The image that it has.
    pub pulled: Option<Pulled>,
    /// How it ended; `None` while the rollout is not done with it.
    pub end: Option<HostEnd>,
    /// Whether its old containers were removed, or left to a later try, at the end of the rollout.
    pub cleared: bool,
    /// What hangs on the target, by its place in the plan; those that nothing was done with are
    /// not in it.
    pub dependents: BTreeMap<usize, DependentState>,
    /// Failed attempts by kind of work.
    failures: BTreeMap<Work, u32>,
}

/// Everything that is known of a container that hangs on the target.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DependentState {
    /// What its steps need from the journal.
    pub progress: HostProgress,
    /// When its gate gives up.
    pub gate_deadline: Option<Millis>,
    /// Since when the gate sees it good.
    pub good_since: Option<Millis>,
    /// Until when it is watched after its gate.
    pub monitor_until: Option<Millis>,
}

/// Why work on a host failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub at: Millis,
    /// The work; `None` where it failed before any began.
    pub work: Option<Work>,
    /// Where.
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
    /// What the registry says it is.
    pub digest: Option<String>,
}

impl RolloutState {
    /// The state after the first record, which must be that of the creation.
    pub fn from_created(record: &Record) -> Result<Self, Illegal> {
        let Event::Created { plan, policy, by, undo_of, .. } = &record.event else {
            return Err(Illegal::NotCreated);
        };
        let host = |(name, planned): (&HostName, &super::model::HostPlan)| {
            let end = match &planned.kind {
                TargetKind::Skip { reason } => Some(HostEnd::Skipped { reason: reason.clone() }),
                _ => None,
            };
            (name.clone(), HostState { end, ..HostState::default() })
        };
        Ok(Self {
            hosts: plan.hosts.iter().map(host).collect(),
            plan: Arc::new((**plan).clone()),
            policy: Arc::new((**policy).clone()),
            by: by.clone(),
            undo_of: *undo_of,
            created_at: record.at,
            phase: Phase::Pulling,
            phase_since: record.at,
            reason: None,
            asked: Asked::default(),
            last_progress: record.at,
            turned_in: None,
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

    /// Takes a record in. One that is illegal changes nothing.
    pub fn apply(&mut self, record: &Record) -> Result<(), Illegal> {
        self.check(&record.event)?;
        self.fold(record);
        Ok(())
    }

    /// Hosts of the plan that something is done on.
    #[must_use]
    pub fn size(&self) -> usize {
        self.plan.waves.iter().map(Vec::len).sum()
    }

    /// Hosts that failed since the budget was last reset.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.hosts.values().filter(|host| host.failed).count()
    }

    /// Hosts with that work begun and not ended.
    #[must_use]
    pub fn at_work(&self, work: Work) -> usize {
        self.hosts.values().filter(|host| host.work == Some(work)).count()
    }

    /// Whether any host has work begun and not ended.
    #[must_use]
    pub fn is_at_work(&self) -> bool {
        self.hosts.values().any(|host| host.work.is_some())
    }
}

impl HostState {
    /// Where the current work is going; `None` without work, for a pull, and for a removal.
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

    /// The attempt that work has now, or that it begins with: failures count, crashes and
    /// hosts that do not answer do not.
    #[must_use]
    pub fn attempt_of(&self, work: Work) -> u32 {
        self.failures.get(&work).copied().unwrap_or(0) + 1
    }

    /// Whether it was left out because it does not answer.
    #[must_use]
    pub fn is_skipped_unreachable(&self) -> bool {
        self.unreachable.is_some() && matches!(self.end, Some(HostEnd::Skipped { .. }))
    }
}
