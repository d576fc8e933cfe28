//! The observed state of a host before a step, and the names that a rollout uses there.

use std::fmt;

use crate::domain::ContainerName;

use super::super::model::{RestartPolicy, RolloutId, Step};
use super::super::recreate::names;

/// The names that one rollout uses on every host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The final name `N`.
    pub target: String,
    /// `N.new-R`: the new container until it gets the name.
    pub candidate: String,
    /// `N.old-R`: the old container after it lost the name.
    pub backup: String,
    /// `N.bad-R`: a new container that failed, until it is removed.
    pub reject: String,
    /// The rollout, as in the label `io.wharf.rollout.id`.
    pub rollout: String,
}

/// Which of its names a container has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `N`.
    Target,
    /// `N.new-R`.
    Candidate,
    /// `N.old-R`.
    Backup,
    /// `N.bad-R`.
    Reject,
    /// Another name.
    Elsewhere,
}

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

/// A container as its inspection shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerFacts {
    /// Full ID.
    pub id: String,
    /// Name, without the leading slash of the Engine.
    pub name: String,
    /// `State.Status`.
    pub status: Status,
    /// `State.Running`: also while it is paused or waits for its next restart.
    pub running: bool,
    /// `HostConfig.RestartPolicy`.
    pub restart: RestartPolicy,
    /// `State.StartedAt` as the Engine reports it; `None` if it was never started. A change means
    /// that it was restarted.
    pub started_at: Option<String>,
    /// `RestartCount`.
    pub restart_count: i64,
    /// `State.ExitCode`; 128 with a start error if a start failed.
    pub exit_code: i64,
    /// `State.Error`; empty if the last start succeeded.
    pub start_error: String,
    /// `State.Health`; `None` without a health check.
    pub health: Option<Health>,
    /// ID of its image.
    pub image_id: String,
    /// Label `io.wharf.rollout.id`.
    pub rollout: Option<String>,
    /// Label `io.wharf.rollout.spec-sha`.
    pub spec_sha: Option<String>,
}

/// `State.Status` of the Engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Never started, or its start failed.
    Created,
    /// Runs.
    Running,
    /// Runs, frozen.
    Paused,
    /// Ended, and the Engine is about to start it again.
    Restarting,
    /// Ended.
    Exited,
    /// Its removal failed.
    Dead,
    /// It is being removed.
    Removing,
}

/// `State.Health.Status` of the Engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// No result counts yet.
    Starting,
    /// Healthy.
    Healthy,
    /// Unhealthy.
    Unhealthy,
}

impl Names {
    /// The names of a rollout of a container.
    #[must_use]
    pub fn of(container: &ContainerName, rollout: RolloutId) -> Self {
        let short = rollout.short();
        Self {
            target: container.as_str().to_owned(),
            candidate: names::candidate(container.as_str(), &short),
            backup: names::backup(container.as_str(), &short),
            reject: names::reject(container.as_str(), &short),
            rollout: rollout.to_string(),
        }
    }

    /// Which of the names this is.
    #[must_use]
    pub fn place(&self, name: &str) -> Place {
        if name == self.target {
            Place::Target
        } else if name == self.candidate {
            Place::Candidate
        } else if name == self.backup {
            Place::Backup
        } else if name == self.reject {
            Place::Reject
        } else {
            Place::Elsewhere
        }
    }
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

impl Status {
    /// The status with that name; `None` for an unknown one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "created" => Self::Created,
            "running" => Self::Running,
            "paused" => Self::Paused,
            "restarting" => Self::Restarting,
            "exited" => Self::Exited,
            "dead" => Self::Dead,
            "removing" => Self::Removing,
            _ => return None,
        })
    }

    /// As the Engine writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
            Self::Dead => "dead",
            Self::Removing => "removing",
        }
    }
}

impl Health {
    /// The health with that name; `None` for `none` and everything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "starting" => Self::Starting,
            "healthy" => Self::Healthy,
            "unhealthy" => Self::Unhealthy,
            _ => return None,
        })
    }
}

impl ContainerFacts {
    /// The ID as people read it.
    #[must_use]
    pub fn short_id(&self) -> &str {
        short(&self.id)
    }

    /// Whether it is being removed, or its removal failed: it can no longer be used.
    #[must_use]
    pub fn is_going(&self) -> bool {
        matches!(self.status, Status::Dead | Status::Removing)
    }
}

impl fmt::Display for ContainerFacts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.short_id(), self.name, self.status.as_str())
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
            Some(holder) => write!(formatter, ", the name belongs to {}", short(holder)),
            None => write!(formatter, ", the name is free"),
        }
    }
}

/// The first twelve digits of an ID.
pub(super) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
