//! Bugs that the server had, planted again: seeds must find each.

use wharf_server::rollout::journal::{Journal, JournalError, NewRollout, Result};
use wharf_server::rollout::model::{Epoch, Revision, TargetKind};
use wharf_simulator::MemoryJournal;

use super::run::run;

/// A rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// Who holds a container is not looked at where the plan leaves it as it is.
    ClaimsOfOthers,
    /// A container that was down is replaced by one that is not started, and called good.
    NoProof,
    /// The claim on a request ID ends with the call of its caller.
    ClaimsOfCallers,
}

impl Plant {
    /// What the bug makes of a plan.
    pub fn spoil(self, rollout: &mut NewRollout) {
        if self != Self::NoProof {
            return;
        }
        for host in rollout.plan.hosts.values_mut() {
            host.start &= host.old.as_ref().is_none_or(|old| old.running);
        }
    }

    /// Writes a rollout down as the bug does.
    pub async fn create(
        self,
        inner: &MemoryJournal,
        epoch: Epoch,
        mut rollout: NewRollout,
    ) -> Result<Revision> {
        loop {
            let host = match inner.create(epoch, rollout.clone()).await {
                Err(
                    JournalError::Locked { ref host, .. } | JournalError::Outdated { ref host, .. },
                ) if self == Self::ClaimsOfOthers
                    && rollout
                        .plan
                        .hosts
                        .get(host)
                        .is_some_and(|it| matches!(it.kind, TargetKind::Skip { .. })) =>
                {
                    host.clone()
                }
                created => return created,
            };
            rollout.plan.hosts.remove(&host);
        }
    }
}

/// Seeds until one finds what the bug comes to.
fn is_found(plant: Plant, what: &str) {
    const MOST_SEEDS: u64 = 200;
    let found = (0..MOST_SEEDS).find(|seed| {
        let wrongs = run(*seed, Some(plant)).wrongs;
        wrongs.iter().any(|wrong| wrong.contains(what))
    });
    assert!(found.is_some(), "{plant:?}: no seed of {MOST_SEEDS} says: {what}");
}

#[test]
fn passing_over_what_another_rollout_holds_is_found() {
    is_found(Plant::ClaimsOfOthers, "holds it");
    // And what it comes to.
    is_found(Plant::ClaimsOfOthers, "succeeded, and has another image");
}

#[test]
fn calling_what_was_down_good_without_proof_is_found() {
    is_found(Plant::NoProof, "it was down, is called good, and was never started");
}

#[test]
fn a_claim_that_ends_with_its_caller_is_found() {
    is_found(Plant::ClaimsOfCallers, "STORE_FAILED");
}
