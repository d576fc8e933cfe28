//! The way back to the old container: after a failure, or in a rollback.

use super::super::model::{HostEnd, OldFacts, Place, Step};
use super::{Next, View};
use crate::engine::ContainerFacts;

/// How often the old container is started again before its gate reports why it does not stay up.
const STARTS: u32 = 3;

/// Steps after which the old container differs from its original state.
pub(super) const TOUCHES_OLD: [Step; 8] = [
    Step::Drain,
    Step::StopOld,
    Step::FenceOld,
    Step::RenameOld,
    Step::RenameNew,
    Step::RenameBack,
    Step::UnfenceOld,
    Step::StartOld,
];

/// Steps after which a container without a record must be visible.
const SHOWS_NEW: [Step; 4] = [Step::RenameNew, Step::StartNew, Step::StopNew, Step::RenameBad];

impl View<'_> {
    pub(super) fn back(&self, rolling_back: bool) -> Next {
        let end = if rolling_back {
            HostEnd::RolledBack
        } else if self.was_touched() {
            HostEnd::Restored
        } else {
            HostEnd::Unchanged
        };
        let Some(old) = &self.plan.old else {
            return self.put_away().unwrap_or(Next::Finished(end));
        };
        if let Some(next) = self.vanishing(old) {
            return next;
        }
        let Some(standing) = self.standing() else {
            return Next::Attention(self.attention("the old container is gone"));
        };
        if standing.is_going() {
            return Next::Attention(self.attention("the old container is being removed"));
        }
        match self.place(standing) {
            Place::Target | Place::Backup => {}
            Place::Candidate | Place::Reject | Place::Elsewhere => {
                return Next::Attention(self.attention("the old container has another name"));
            }
        }
        if let Some(next) = self.clear_the_name() {
            return next;
        }
        if self.place(standing) == Place::Backup {
            return Next::Do(Step::RenameBack);
        }
        if !standing.restart.same_as(&old.restart) {
            return Next::Do(Step::UnfenceOld);
        }
        // One that nobody touched may be down all the same: it ended, or its Engine did, while the
        // new one was at its gate. Its start counts as a touch, so it is gated and ends as restored.
        if old.running
            && (rolling_back || self.was_touched() || !standing.running)
            && let Some(next) = self.revive(standing)
        {
            return next;
        }
        if let Some(next) = self.put_away() {
            return next;
        }
        if self.seen.old.is_some() && self.seen.twin.is_some() {
            return Next::Do(Step::RemoveTwin);
        }
        Next::Finished(end)
    }

    /// A stopped old container with auto-remove disappears by itself: wait for that, so that its
    /// twin can get the name.
    fn vanishing(&self, old: &OldFacts) -> Option<Next> {
        let standing = self.seen.old.as_ref().filter(|_| old.auto_remove && old.running)?;
        let stopping = self.progress.intended.contains(&Step::StopOld)
            && !self.progress.has_done(Step::StopOld)
            && !standing.running;
        let waits = self.seen.twin.is_some() && (standing.is_going() || stopping);
        waits.then_some(Next::Do(Step::StopOld))
    }

    /// Takes the name from the new container, which stops first: one that keeps restarting cannot
    /// be renamed.
    fn clear_the_name(&self) -> Option<Next> {
        let new = self.seen.new.as_ref()?;
        let place = self.place(new);
        if new.is_going() {
            // With auto-remove, it disappears by itself, and has the name until then.
            return (place == Place::Target).then(|| {
                if self.is_adopted() {
                    Next::Attention(self.attention("the adopted container is being removed"))
                } else {
                    Next::Do(Step::RemoveNew)
                }
            });
        }
        if !self.is_adopted() && matches!(place, Place::Elsewhere | Place::Backup) {
            return Some(Next::Attention(self.attention("the new container has another name")));
        }
        if new.running {
            return Some(Next::Do(Step::StopNew));
        }
        if place != Place::Target {
            return None;
        }
        if self.is_adopted() && self.is_to_fence(new) {
            return Some(Next::Do(Step::FenceNew));
        }
        if !self.is_adopted()
            && self.seen.reject_holder.as_ref().is_some_and(|holder| *holder != new.id)
        {
            return Some(Next::Attention(
                self.attention(&format!("the name {} is taken", self.names.reject)),
            ));
        }
        Some(Next::Do(Step::RenameBad))
    }

    /// Starts the old container and waits for its gate.
    fn revive(&self, standing: &ContainerFacts) -> Option<Next> {
        let gated = self.progress.has_done(Step::GateOld);
        if !standing.running {
            if self.progress.times(Step::StartOld) < STARTS {
                return Some(Next::Do(Step::StartOld));
            }
            if gated {
                return Some(Next::Attention(self.attention("the old container does not stay up")));
            }
        }
        (!gated).then_some(Next::Do(Step::GateOld))
    }

    /// Removes the new container; an adopted one is restored to its previous state.
    fn put_away(&self) -> Option<Next> {
        let new = self.seen.new.as_ref()?;
        match self.clear_the_name() {
            // A container that will be removed needs no other name first.
            Some(Next::Do(Step::RenameBad)) if !self.is_adopted() => {}
            Some(next) => return Some(next),
            None => {}
        }
        if !self.is_adopted() {
            return Some(Next::Do(Step::RemoveNew));
        }
        (self.is_to_fence(new) && !new.is_going()).then_some(Next::Do(Step::FenceNew))
    }

    fn was_touched(&self) -> bool {
        let steps: &[Step] = if self.plan.old.is_some() { &TOUCHES_OLD } else { &SHOWS_NEW };
        steps.iter().any(|step| self.progress.intended.contains(step))
    }
}
