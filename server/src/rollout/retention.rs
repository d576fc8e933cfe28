//! Which old containers are kept for an undo, and for how long. Derived from the journal of ended
//! rollouts; `sweeper` removes expired ones.
//!
//! Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::{ContainerName, HostName};

use super::model::{HostEnd, Millis, Names, RolloutId, TargetKind};
use super::state::{HostState, RolloutState};

/// An old container that a rollout replaced and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The rollout that replaced it.
    pub rollout: RolloutId,
    /// The host.
    pub host: HostName,
    /// The name that it had, and that its successor has: of the target, or of a dependent that was
    /// recreated with it.
    pub container: ContainerName,
    /// Full ID.
    pub id: String,
    /// Its name since.
    pub name: String,
    /// When its rollout ended.
    since: Millis,
    /// How long it is kept from then on.
    lasts: Duration,
    /// How many its rollout keeps, including this one.
    places: u32,
}

/// All old containers that are kept, according to the journal.
#[derive(Debug, Clone, Default)]
pub struct RetainedContainers {
    /// Oldest first.
    kept: BTreeMap<(HostName, ContainerName), Vec<Kept>>,
}

impl RetainedContainers {
    /// Adds the old containers of an ended rollout. Rollouts that work on the same container on the
    /// same host, as target or dependent, exclude each other, so the order of their ends is that of
    /// their work.
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
        // A restored container is in use, so it is no longer a backup.
        if let TargetKind::Adopt { id, .. } = &plan.kind {
            let place = (host.clone(), state.plan.container.clone());
            self.kept.entry(place).or_default().retain(|other| other.id != *id);
        }
        let Some(old) = &plan.old else { return };
        // A container that the Engine removed at its stop has a twin.
        let backup = known.progress.twin_id.as_ref().unwrap_or(&old.id);
        let dependents = plan.dependents.iter();
        let dependents = dependents
            .filter_map(|dependent| Some((&dependent.name, dependent.plan.old.as_ref()?)))
            .map(|(name, old)| (name, old, &old.id));
        let all = std::iter::once((&state.plan.container, old, backup)).chain(dependents);
        for (container, old, backup) in all {
            // The rollout removes it before its end; if it could not, it is removed as soon as the
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

    /// Expired containers, by host, oldest first.
    #[must_use]
    pub fn due(&self, now: Millis) -> BTreeMap<HostName, Vec<Kept>> {
        let mut due: BTreeMap<HostName, Vec<Kept>> = BTreeMap::new();
        for (kept, _) in self.ends().filter(|(_, at)| *at <= now) {
            due.entry(kept.host.clone()).or_default().push(kept.clone());
        }
        due
    }

    /// When the next one expires; `None` if there is none.
    #[must_use]
    pub fn next(&self, now: Millis) -> Option<Millis> {
        self.ends().map(|(_, at)| at).filter(|at| *at > now).min()
    }

    /// The rollouts whose old containers are kept: restoring them requires the stored data of these
    /// rollouts.
    #[must_use]
    pub fn rollouts(&self) -> BTreeSet<RolloutId> {
        self.kept.values().flatten().map(|kept| kept.rollout).collect()
    }

    /// It is gone, or in use by somebody.
    pub fn forget(&mut self, gone: &Kept) {
        let place = (gone.host.clone(), gone.container.clone());
        if let Some(kept) = self.kept.get_mut(&place) {
            kept.retain(|other| other.id != gone.id);
            if kept.is_empty() {
                self.kept.remove(&place);
            }
        }
    }

    /// Every container with its expiry time.
    fn ends(&self) -> impl Iterator<Item = (&Kept, Millis)> {
        self.kept.values().flat_map(|kept| {
            // The number of the newest rollout applies.
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
