//! What is seen on a host before a step is chosen.

use std::fmt;

use super::super::model::{Names, RestartPolicy, Step};
use crate::engine::ContainerFacts;
use crate::engine::inspection::{Status, short_id};

/// The state of a host at one moment. Containers are found by ID, not by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The old container, by the ID of the plan.
    pub old: Option<ContainerFacts>,
    /// The new container: by the ID of the journal; for an adoption, by that of the plan; otherwise
    /// the one with the rollout's label that is not a twin.
    pub new: Option<ContainerFacts>,
    /// The twin of the old container: by the ID of the journal, otherwise by its labels.
    pub twin: Option<ContainerFacts>,
    /// Full ID of the container that has the name `N`.
    pub holder: Option<String>,
    /// Full ID of the container that has the name `N.new-R`.
    pub candidate_holder: Option<String>,
    /// Full ID of the container that has the name `N.old-R`.
    pub backup_holder: Option<String>,
    /// Full ID of the container with the name `N.bad-R`.
    pub reject_holder: Option<String>,
}

impl Observed {
    /// The state after the Engine has confirmed a step, without an observation; `None` if only an
    /// observation can tell. These are the steps during the downtime.
    ///
    /// The next observation shows what others do meanwhile; the Engine refuses a name that is
    /// taken.
    #[must_use]
    pub fn after(&self, step: Step, names: &Names) -> Option<Self> {
        let mut after = self.clone();
        let old = after.old.as_mut()?;
        match step {
            Step::StopOld => {
                old.running = false;
                old.status = Status::Exited;
            }
            Step::FenceOld => old.restart = RestartPolicy::default(),
            Step::RenameOld => {
                old.name.clone_from(&names.backup);
                after.backup_holder = after.holder.take();
            }
            Step::RenameNew => {
                let new = after.new.as_mut()?;
                new.name.clone_from(&names.target);
                after.holder = Some(new.id.clone());
                after.candidate_holder = None;
            }
            _ => return None,
        }
        Some(after)
    }
}

/// For errors: what was found, in one line.
impl fmt::Display for Observed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (label, container) in [("old", &self.old), (", new", &self.new)] {
            match container {
                Some(container) => write!(formatter, "{label} = {container}")?,
                None => write!(formatter, "{label} does not exist")?,
            }
        }
        if let Some(twin) = &self.twin {
            write!(formatter, ", twin = {twin}")?;
        }
        match &self.holder {
            Some(holder) => write!(formatter, ", the name belongs to {}", short_id(holder)),
            None => write!(formatter, ", the name is free"),
        }
    }
}
