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

use super::model::{
    HostEnd, HostPlan, HostProgress, Names, Place, ROLLOUT_LABEL, Step, TargetKind, Trouble,
};
use super::spec::Policy;
use crate::domain::Reason;
use crate::engine::ContainerFacts;
use crate::engine::inspection::short_id;

pub use host_run::{Member, next_of};
pub use observed::Observed;

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

impl View<'_> {
    /// A state of the host that this rollout cannot have caused. It is left alone in every
    /// direction.
    fn foreign(&self) -> Option<Trouble> {
        let seen = self.seen;
        if let Some(new) = &seen.new
            && !self.is_adopted()
            && !self.is_ours(new)
        {
            return Some(self.attention(&format!(
                "container {} is recorded as the new one but lacks the label of this rollout",
                new.short_id()
            )));
        }
        if let Some(twin) = &seen.twin {
            if !self.is_ours(twin) {
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
            short_id(holder),
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

    /// Whether it has the label of this rollout.
    fn is_ours(&self, container: &ContainerFacts) -> bool {
        container.label(ROLLOUT_LABEL) == Some(&self.names.rollout)
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
