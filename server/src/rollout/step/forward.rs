//! The way to the new container.

use super::super::model::{HostEnd, OldFacts, Order, Place, SHA_LABEL, Step, TargetKind, Trouble};
use super::super::spec::Gate;
use super::{Next, View};
use crate::domain::Reason;
use crate::engine::ContainerFacts;
use crate::engine::inspection::short_id;

impl View<'_> {
    pub(super) fn forward(&self) -> Next {
        if let Some(next) = self.names_taken() {
            return next;
        }
        let Some(old) = &self.plan.old else { return self.forward_alone() };
        let Some(standing) = self.standing() else {
            return Next::Attention(self.attention("the old container is gone"));
        };
        if standing.running && !old.running {
            return Next::Fail(Trouble::new(
                Reason::RolloutContainerChanged,
                format!(
                    "{} was not running when the rollout was planned but is running now; plan again",
                    self.names.target
                ),
            ));
        }
        match self.place(standing) {
            Place::Target => self.before_the_swap(old, standing),
            Place::Backup => self.after_the_swap(standing),
            Place::Candidate | Place::Reject | Place::Elsewhere => {
                Next::Attention(self.attention("the old container has another name"))
            }
        }
    }

    /// The new one is in place and its wave bakes.
    pub(super) fn watch(&self) -> Next {
        let Some(new) = &self.seen.new else { return Next::Fail(self.new_is_gone()) };
        if self.place(new) != Place::Target {
            return Next::Attention(self.attention("the new container lost its name"));
        }
        if !new.running || new.is_going() {
            return Next::Fail(self.new_is_down(new));
        }
        if !self.progress.has_done(Step::Monitor) {
            return Next::Do(Step::Monitor);
        }
        Next::Finished(HostEnd::Committed)
    }

    /// Names that the rollout needs but that others have. Found before anything is touched, so that
    /// the way back never meets them.
    fn names_taken(&self) -> Option<Next> {
        let seen = self.seen;
        let names = [
            (&self.names.candidate, &seen.candidate_holder),
            (&self.names.backup, &seen.backup_holder),
            (&self.names.reject, &seen.reject_holder),
        ];
        names.into_iter().find_map(|(name, holder)| {
            let holder = holder.as_deref().filter(|holder| !self.is_known(holder))?;
            Some(Next::Fail(Trouble::new(
                Reason::NameInUse,
                format!(
                    "the name {name} is taken by container {}, which does not belong to this rollout; \
                     rename or remove it",
                    short_id(holder)
                ),
            )))
        })
    }

    /// There is no old container.
    fn forward_alone(&self) -> Next {
        let new = match self.candidate() {
            Ok(new) => new,
            Err(next) => return next,
        };
        if self.place(new) == Place::Target { self.prove(new) } else { Next::Do(Step::RenameNew) }
    }

    /// The old container still has the name.
    fn before_the_swap(&self, old: &OldFacts, standing: &ContainerFacts) -> Next {
        let new = match self.candidate() {
            Ok(new) => new,
            Err(next) => return next,
        };
        if self.place(new) == Place::Target {
            return Next::Attention(self.attention("two containers seem to have one name"));
        }
        if self.new_goes_first() {
            if let Some(next) = self.start_and_gate(new) {
                return next;
            }
            return Next::Do(Step::RenameOld);
        }
        // A twin that replaced it in an earlier attempt is kept when it is stopped.
        let vanishes = self.vanishes() && self.seen.old.is_some();
        if vanishes && (self.seen.twin.is_none() || !self.progress.has_done(Step::CreateTwin)) {
            // Once the old one is being removed, its volumes may be gone with it.
            if standing.is_going() {
                return Next::Attention(
                    self.attention("the old container disappeared before its twin was created"),
                );
            }
            return Next::Do(Step::CreateTwin);
        }
        if standing.running {
            if self.policy.drain.is_some() && !self.progress.has_done(Step::Drain) {
                return Next::Do(Step::Drain);
            }
            return Next::Do(Step::StopOld);
        }
        if vanishes {
            // Stopping includes waiting until the Engine has removed it.
            if standing.is_going() || !self.progress.has_done(Step::StopOld) {
                return Next::Do(Step::StopOld);
            }
            return Next::Fail(Trouble::new(
                Reason::RolloutContainerChanged,
                format!(
                    "{} has auto-remove and was stopped, but the Engine did not remove it",
                    self.names.target
                ),
            ));
        }
        if standing.is_going() {
            return Next::Attention(self.attention("the old container is being removed"));
        }
        // A container that never ran may have auto-remove, and then accepts no policy.
        if self.is_to_fence(standing) && !old.auto_remove {
            return Next::Do(Step::FenceOld);
        }
        Next::Do(Step::RenameOld)
    }

    /// The old container has its backup name.
    fn after_the_swap(&self, standing: &ContainerFacts) -> Next {
        let Some(new) = self.seen.new.as_ref().filter(|new| !new.is_going()) else {
            return Next::Fail(self.new_is_gone());
        };
        if standing.is_going() {
            return Next::Attention(self.attention("the old container is being removed"));
        }
        let place = self.place(new);
        if place == Place::Reject {
            return Next::Fail(self.new_was_rejected());
        }
        let arriving = place == Place::Candidate || (self.is_adopted() && place != Place::Target);
        if !arriving && place != Place::Target {
            return Next::Attention(self.attention("the new container has another name"));
        }
        if self.new_goes_first() && arriving {
            return Next::Do(Step::RenameNew);
        }
        if standing.running {
            if self.seen.old.is_none() {
                return Next::Attention(self.attention("the twin of the old container is running"));
            }
            if self.new_goes_first()
                && self.policy.drain.is_some()
                && !self.progress.has_done(Step::Drain)
            {
                return Next::Do(Step::Drain);
            }
            return Next::Do(Step::StopOld);
        }
        if self.is_to_fence(standing) {
            return Next::Do(Step::FenceOld);
        }
        if arriving { Next::Do(Step::RenameNew) } else { self.prove(new) }
    }

    /// The new container, created and complete; otherwise the step to get there.
    fn candidate(&self) -> Result<&ContainerFacts, Next> {
        let Some(new) = &self.seen.new else {
            return Err(if self.is_adopted() {
                Next::Fail(self.new_is_gone())
            } else {
                Next::Do(Step::Create)
            });
        };
        if new.is_going() {
            return Err(Next::Fail(self.new_is_gone()));
        }
        match self.place(new) {
            Place::Candidate | Place::Elsewhere if self.is_adopted() => return Ok(new),
            Place::Candidate => {}
            Place::Target => return Ok(new),
            Place::Reject => return Err(Next::Fail(self.new_was_rejected())),
            Place::Backup | Place::Elsewhere => {
                return Err(Next::Attention(self.attention("the new container has another name")));
            }
        }
        if new.label(SHA_LABEL) != Some(&self.plan.spec_sha) {
            // Created by this rollout from another body, and never used: nothing is lost.
            return Err(if new.started_at.is_none() && !new.running {
                Next::Do(Step::RemoveNew)
            } else {
                Next::Attention(
                    self.attention("the candidate has other settings and has already run"),
                )
            });
        }
        if !self.progress.has_done(Step::Create) {
            // It exists, but its networks may not be connected yet.
            return Err(Next::Do(Step::Create));
        }
        Ok(new)
    }

    /// The new container has the name: start, gate, watch, commit.
    fn prove(&self, new: &ContainerFacts) -> Next {
        if let TargetKind::Adopt { restart, .. } = &self.plan.kind
            && !new.restart.same_as(restart)
        {
            return Next::Do(Step::UnfenceNew);
        }
        if !self.plan.start {
            if self.is_to_compare() {
                return Next::Do(Step::Compare);
            }
        } else {
            if let Some(next) = self.start_and_gate(new) {
                return next;
            }
            if !self.policy.monitor.is_zero() && !self.progress.has_done(Step::Monitor) {
                return Next::Do(Step::Monitor);
            }
        }
        Next::Finished(HostEnd::Committed)
    }

    fn start_and_gate(&self, new: &ContainerFacts) -> Option<Next> {
        let done = |step| self.progress.has_done(step);
        if !done(Step::Gate) {
            // A failed start is retried: the step itself distinguishes a permanent failure from a
            // port that is free in a moment.
            let started = new.running || done(Step::StartNew);
            return Some(Next::Do(match started {
                false => Step::StartNew,
                true if self.is_to_compare() => Step::Compare,
                true => Step::Gate,
            }));
        }
        if self.policy.gate != Gate::None && !new.running {
            return Some(Next::Fail(self.new_is_down(new)));
        }
        if self.policy.verify.is_some() && !done(Step::Verify) {
            return Some(Next::Do(Step::Verify));
        }
        None
    }

    /// Whether the new container has not been compared yet. A retained container was compared when
    /// it was new.
    fn is_to_compare(&self) -> bool {
        !self.is_adopted() && !self.progress.has_done(Step::Compare)
    }

    /// Whether the new container starts before the old one stops.
    fn new_goes_first(&self) -> bool {
        self.plan.order == Order::StartFirst
            && self.plan.start
            && self.plan.kind == TargetKind::Replace
            && !self.vanishes()
            && self.plan.old.as_ref().is_some_and(|old| old.running)
    }

    fn new_is_gone(&self) -> Trouble {
        Trouble::new(
            Reason::ContainerNotFound,
            format!(
                "the new container of {} no longer exists: it was removed, or it ended and \
                 has auto-remove",
                self.names.target
            ),
        )
    }

    fn new_was_rejected(&self) -> Trouble {
        Trouble::new(
            Reason::RolloutContainerChanged,
            format!("the new container already has the name {}", self.names.reject),
        )
    }

    fn new_is_down(&self, new: &ContainerFacts) -> Trouble {
        Trouble::new(
            Reason::RolloutGateFailed,
            format!(
                "the new container of {} was healthy but is now {}, with exit code {}",
                self.names.target,
                new.status.as_str(),
                new.exit_code
            ),
        )
    }
}
