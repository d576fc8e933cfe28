//! Which old containers are kept for an undo, and for how long. Follows from the journal of
//! rollouts that have ended; `sweeper` removes what need not be kept.
//!
//! Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::{ContainerName, HostName};

use super::model::{HostEnd, Millis, Names, RolloutId, TargetKind};
use super::state::{HostState, RolloutState};

/// An old container that a rollout replaced, and left where it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The rollout that replaced it.
    pub rollout: RolloutId,
    /// Where.
    pub host: HostName,
    /// The name that it had, and that its successor has: of the target, or of a dependent that
    /// was made anew with it.
    pub container: ContainerName,
    /// Full ID.
    pub id: String,
    /// Its name since.
    pub name: String,
    /// When its rollout ended.
    since: Millis,
    /// For how long it is kept from then on.
    lasts: Duration,
    /// How many its rollout keeps, itself among them.
    places: u32,
}

/// All old containers that are kept, as far as the journal says.
#[derive(Debug, Clone, Default)]
pub struct RetainedContainers {
    /// Oldest first.
    kept: BTreeMap<(HostName, ContainerName), Vec<Kept>>,
}

impl RetainedContainers {
    /// Takes in what a rollout that has ended left. Rollouts that work on one container on one
    /// host, as their target or as a dependent, exclude each other, so the order of their ends is that of their work.
    pub fn take_in(&mut self, id: RolloutId, state: &RolloutState) {
        if !state.phase.is_terminal() {
            return;
        }
        for (host, known) in &state.hosts {
            if known.end == Some(HostEnd::Committed) {
                self.take_in_host(id, state, host, known);
            }
        }
    }

    fn take_in_host(
        &mut self,
        id: RolloutId,
        state: &RolloutState,
        host: &HostName,
        known: &HostState,
    ) {
        let Some(plan) = state.plan.hosts.get(host) else { return };
        // What took its place again is kept no more: it is in use.
        if let TargetKind::Adopt { id, .. } = &plan.kind {
            let place = (host.clone(), state.plan.container.clone());
            self.kept.entry(place).or_default().retain(|other| other.id != *id);
        }
        let Some(old) = &plan.old else { return };
        // Of one that the Engine removed when it stopped there is a twin.
        let backup = known.progress.twin_id.as_ref().unwrap_or(&old.id);
        let dependents = plan.dependents.iter();
        let dependents = dependents
            .filter_map(|dependent| Some((&dependent.name, dependent.plan.old.as_ref()?)))
            .map(|(name, old)| (name, old, &old.id));
        let all = std::iter::once((&state.plan.container, old, backup)).chain(dependents);
        for (container, old, backup) in all {
            // The rollout removes it before its end; what it could not remove goes as soon as the
            // host answers.
            let (places, lasts) = match old.must_go() {
                true => (0, Duration::ZERO),
                false => (state.policy.keep_old, state.policy.keep_old_for),
            };
            self.kept.entry((host.clone(), container.clone())).or_default().push(Kept {
                rollout: id,
                host: host.clone(),
                container: container.clone(),
                id: backup.clone(),
                name: Names::of(container, id).backup,
                since: state.phase_since,
                lasts,
                places,
            });
        }
    }

    /// Containers that are kept no longer, by host, the oldest first.
    #[must_use]
    pub fn due(&self, now: Millis) -> BTreeMap<HostName, Vec<Kept>> {
        let mut due: BTreeMap<HostName, Vec<Kept>> = BTreeMap::new();
        for (kept, _) in self.ends().filter(|(_, at)| *at <= now) {
            due.entry(kept.host.clone()).or_default().push(kept.clone());
        }
        due
    }

    /// When the next one is due that is not now; `None` where there is none.
    #[must_use]
    pub fn next(&self, now: Millis) -> Option<Millis> {
        self.ends().map(|(_, at)| at).filter(|at| *at > now).min()
    }

    /// The rollouts whose old containers are kept: only with what was written down of them can
    /// they take their place again.
    #[must_use]
    pub fn rollouts(&self) -> BTreeSet<RolloutId> {
        self.kept.values().flatten().map(|kept| kept.rollout).collect()
    }

    /// It is gone, or somebody's own.
    pub fn forget(&mut self, gone: &Kept) {
        let place = (gone.host.clone(), gone.container.clone());
        if let Some(kept) = self.kept.get_mut(&place) {
            kept.retain(|other| other.id != gone.id);
            if kept.is_empty() {
                self.kept.remove(&place);
            }
        }
    }

    /// Every container with the time at which it is kept no longer.
    fn ends(&self) -> impl Iterator<Item = (&Kept, Millis)> {
        self.kept.values().flat_map(|kept| {
            // What the newest rollout says of the number is what counts.
            let places = kept.last().map_or(0, |newest| newest.places as usize);
            let newer = |number: usize| kept.len() - 1 - number;
            kept.iter().enumerate().map(move |(number, old)| {
                let lasts = if newer(number) < places { old.lasts } else { Duration::ZERO };
                (old, old.since + lasts)
            })
        })
    }
}

#[cfg(test)]
mod tests;
