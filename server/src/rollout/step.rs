//! Decides what to do next on one host. The executor observes the host, calls this, does that one
//! step, and observes again; after a crash it does the same. Nothing is ever replayed, and recovery
//! uses the same table as normal operation.
//!
//! Pure. The rows are in [`forward`](self) for the way to the new container and in `back` for
//! the way to the old one.
//!
//! Reasons for this order: the candidate is created before the old container stops, so that errors
//! in its settings cause no downtime. The old one is fenced after it has stopped: a crash before
//! that leaves it able to start again under its own name. On the way back, the new one stops first,
//! because the Engine cannot rename a container that keeps restarting.

mod back;
mod forward;
mod host_run;
mod observed;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::model::{HostEnd, HostPlan, Step, TargetKind, Trouble};
use super::spec::Policy;
use crate::domain::Reason;

pub use host_run::{Member, next_of};
pub use observed::{ContainerFacts, Health, Names, Observed, Place, Status};

/// The direction of the work on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the new container.
    Forward,
    /// Nowhere: it is on the new container and is watched.
    Watch,
    /// Back to the old container, because the work failed.
    Restore,
    /// Back to the old container, because the rollout is taken back.
    RollBack,
}

/// What the journal knows about the work on a host, for steps that leave no trace there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostProgress {
    /// Steps that started in this attempt.
    pub intended: BTreeSet<Step>,
    /// How often each step was done in this attempt.
    pub did: BTreeMap<Step, u32>,
    /// Full ID of the new container; kept from the attempt to the rollback.
    pub new_id: Option<String>,
    /// Full ID of the twin of an old container with auto-remove; kept across attempts until the
    /// twin is removed.
    pub twin_id: Option<String>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Do this step, then observe again.
    Do(Step),
    /// Nothing: the work is done.
    Finished(HostEnd),
    /// The work cannot succeed: record the failure and continue with [`Direction::Restore`].
    Fail(Trouble),
    /// Nothing, and nothing may be deleted: manual repair is needed.
    Attention(Trouble),
}

/// Decides what to do next on a host in the state `seen`. Never fails, never waits.
#[must_use]
pub fn next(
    names: &Names,
    plan: &HostPlan,
    policy: &Policy,
    seen: &Observed,
    direction: Direction,
    progress: &HostProgress,
) -> Next {
    if let TargetKind::Skip { reason } = &plan.kind {
        return Next::Finished(HostEnd::Skipped { reason: reason.clone() });
    }
    let view = View { names, plan, policy, seen, progress };
    if let Some(trouble) = view.foreign() {
        return Next::Attention(trouble);
    }
    match direction {
        Direction::Forward => view.forward(),
        Direction::Watch => view.watch(),
        Direction::Restore => view.back(false),
        Direction::RollBack => view.back(true),
    }
}

/// Everything that a decision may use.
struct View<'a> {
    names: &'a Names,
    plan: &'a HostPlan,
    policy: &'a Policy,
    seen: &'a Observed,
    progress: &'a HostProgress,
}

impl HostProgress {
    /// Whether a step was done in this attempt.
    #[must_use]
    pub fn has_done(&self, step: Step) -> bool {
        self.times(step) > 0
    }

    /// Records that a step was done, and which container it created.
    pub fn done(&mut self, step: Step, id: Option<&str>) {
        let times = self.did.entry(step).or_default();
        *times = times.saturating_add(1);
        match (step, id) {
            (Step::Create, Some(id)) => self.new_id = Some(id.to_owned()),
            (Step::CreateTwin, Some(id)) => self.twin_id = Some(id.to_owned()),
            // The next container is another one, from its creation on.
            (Step::RemoveNew, _) => {
                self.new_id = None;
                self.did.remove(&Step::Create);
            }
            (Step::RemoveTwin, _) => self.twin_id = None,
            _ => {}
        }
    }

    /// How often a step was done in this attempt.
    #[must_use]
    pub fn times(&self, step: Step) -> u32 {
        self.did.get(&step).copied().unwrap_or(0)
    }
}

impl View<'_> {
    /// A state of the host that this rollout cannot have caused. It is left alone in every
    /// direction.
    fn foreign(&self) -> Option<Trouble> {
        let seen = self.seen;
        if let Some(new) = &seen.new
            && !self.is_adopted()
            && new.rollout.as_deref() != Some(self.names.rollout.as_str())
        {
            return Some(self.attention(&format!(
                "container {} is recorded as the new one but lacks the label of this rollout",
                new.short_id()
            )));
        }
        if let Some(twin) = &seen.twin {
            if twin.rollout.as_deref() != Some(self.names.rollout.as_str()) {
                return Some(self.attention(&format!(
                    "container {} is recorded as the twin but lacks the label of this rollout",
                    twin.short_id()
                )));
            }
            if twin.running && self.seen.old.is_some() {
                return Some(self.attention("both the old container and its twin exist"));
            }
        }
        let holder = seen.holder.as_deref()?;
        if self.is_known(holder) {
            return None;
        }
        Some(self.attention(&format!(
            "container {} has the name {} and is neither the old nor the new one",
            observed::short(holder),
            self.names.target
        )))
    }

    /// Whether an ID is one of the containers of the rollout.
    fn is_known(&self, id: &str) -> bool {
        [&self.seen.old, &self.seen.new, &self.seen.twin]
            .into_iter()
            .flatten()
            .any(|container| container.id == id)
    }

    fn is_adopted(&self) -> bool {
        matches!(self.plan.kind, TargetKind::Adopt { .. })
    }

    /// Whether the Engine might start it automatically, and this can be prevented.
    fn is_to_fence(&self, container: &ContainerFacts) -> bool {
        let is_fixed = self.plan.old.as_ref().is_some_and(|old| old.fixed_restart);
        !container.restart.is_no() && !is_fixed
    }

    /// Whether the old container disappears when it stops, so that a twin represents it.
    fn vanishes(&self) -> bool {
        self.plan.old.as_ref().is_some_and(|old| old.auto_remove && old.running)
    }

    /// The container to restore: the old one, or its twin.
    fn standing(&self) -> Option<&ContainerFacts> {
        let twin = self.seen.twin.as_ref().filter(|_| self.vanishes());
        self.seen.old.as_ref().or(twin)
    }

    fn place(&self, container: &ContainerFacts) -> Place {
        self.names.place(&container.name)
    }

    fn attention(&self, found: &str) -> Trouble {
        Trouble::new(
            Reason::RolloutNeedsAttention,
            format!(
                "{found}; nothing was deleted. Found: {}. Repair it by hand (docs/rollout.md, \
                 \"By hand\"), then resume with --retry-failed",
                self.seen
            ),
        )
    }
}
