//! What to do next on one host. The executor looks at the host, asks here, does that one
//! step, and looks again; after a crash it does the same. So nothing is ever replayed, and
//! the table of the recovery is the table of the normal course.
//!
//! Pure. The rows are in [`forward`](self) for the way to the new container and in `back` for
//! the way to the old one.
//!
//! Why this order: the candidate is created before the old container stops, so that errors in
//! its settings cost no downtime. The old one is fenced after it has stopped: a crash before
//! leaves it able to start again under its own name. On the way back the new one stops first,
//! since the Engine cannot rename a container that restarts all the time.

mod back;
mod forward;
mod host_run;
mod observed;
#[cfg(test)]
mod tests;

use super::model::{
    HostEnd, HostPlan, HostProgress, Names, Place, ROLLOUT_LABEL, Step, TargetKind, Trouble,
};
use super::reason;
use super::spec::Policy;
use crate::engine::ContainerFacts;
use crate::engine::inspection::short_id;

pub use host_run::{Member, next_of};
pub use observed::Observed;

/// Where the work on a host is going.
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
    /// This step, then look again.
    Do(Step),
    /// Nothing: the work is at its end.
    Finished(HostEnd),
    /// The work cannot succeed: record the failure and go on with [`Direction::Restore`].
    Fail(Trouble),
    /// Nothing, and nothing may be deleted: a person must look.
    Attention(Trouble),
}

/// What to do next on a host where `seen` is what is there. Never fails, never waits.
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

/// All that a decision may look at.
struct View<'a> {
    names: &'a Names,
    plan: &'a HostPlan,
    policy: &'a Policy,
    seen: &'a Observed,
    progress: &'a HostProgress,
}

impl View<'_> {
    /// What is on the host and cannot be of this rollout. It is left alone in every direction.
    fn foreign(&self) -> Option<Trouble> {
        let seen = self.seen;
        if let Some(new) = &seen.new
            && !self.is_adopted()
            && !self.is_ours(new)
        {
            return Some(self.attention(&format!(
                "container {} is known as the new one and lacks the label of this rollout",
                new.short_id()
            )));
        }
        if let Some(twin) = &seen.twin {
            if !self.is_ours(twin) {
                return Some(self.attention(&format!(
                    "container {} is known as the twin and lacks the label of this rollout",
                    twin.short_id()
                )));
            }
            if twin.running && self.seen.old.is_some() {
                return Some(self.attention("both the old container and its twin are there"));
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

    /// Whether the Engine might start it by itself, and can be told not to.
    fn is_to_fence(&self, container: &ContainerFacts) -> bool {
        let is_fixed = self.plan.old.as_ref().is_some_and(|old| old.fixed_restart);
        !container.restart.is_no() && !is_fixed
    }

    /// Whether the old container disappears when it stops, so that a twin stands in for it.
    fn vanishes(&self) -> bool {
        self.plan.old.as_ref().is_some_and(|old| old.auto_remove && old.running)
    }

    /// The container that the way back leads to: the old one, or its twin.
    fn standing(&self) -> Option<&ContainerFacts> {
        let twin = self.seen.twin.as_ref().filter(|_| self.vanishes());
        self.seen.old.as_ref().or(twin)
    }

    fn place(&self, container: &ContainerFacts) -> Place {
        self.names.place(&container.name)
    }

    fn attention(&self, found: &str) -> Trouble {
        Trouble::new(
            reason::NEEDS_ATTENTION,
            format!(
                "{found}; nothing was deleted. Found: {}. Put it right by hand (docs/rollout.md, \
                 \"By hand\"), then resume with --retry-failed",
                self.seen
            ),
        )
    }
}
