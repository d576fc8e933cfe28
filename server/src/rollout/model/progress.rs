//! How far the work on one host has come.

use std::collections::{BTreeMap, BTreeSet};

use super::Step;

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
