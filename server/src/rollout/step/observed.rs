//! What is seen on a host before a step is chosen.

use std::fmt;

use super::super::model::{Names, RestartPolicy, Step};
use crate::engine::ContainerFacts;
use crate::engine::inspection::{Status, short_id};

/// What is on a host, at one moment. Containers are found by ID, not by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The old container, by the ID of the plan.
    pub old: Option<ContainerFacts>,
    /// The new container: by the ID of the journal; of the plan where one is adopted; else
    /// the one that has the label of the rollout and is no twin.
    pub new: Option<ContainerFacts>,
    /// The twin of the old container: by the ID of the journal, else by its labels.
    pub twin: Option<ContainerFacts>,
    /// Full ID of the container that has the name `N`.
    pub holder: Option<String>,
    /// Full ID of the container that has the name `N.new-R`.
    pub candidate_holder: Option<String>,
    /// Full ID of the container that has the name `N.old-R`.
    pub backup_holder: Option<String>,
    /// Full ID of the container that has the name `N.bad-R`.
    pub reject_holder: Option<String>,
}

impl Observed {
    /// What is there once the Engine has said that a step is done, so that nobody needs to look;
    /// `None` where only a look can tell. These are the steps while nothing answers under the name.
    ///
    /// What somebody else does meanwhile is seen by the look that follows them; a name that was
    /// taken is refused by the Engine.
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

/// For troubles: what was found, in one line.
impl fmt::Display for Observed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (label, container) in [("old", &self.old), (", new", &self.new)] {
            match container {
                Some(container) => write!(formatter, "{label} = {container}")?,
                None => write!(formatter, "{label} is not there")?,
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
