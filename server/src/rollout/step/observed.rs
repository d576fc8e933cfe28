//! What is seen on a host before a step is chosen, and the names that a rollout uses there.

use std::fmt;

use crate::domain::ContainerName;

use super::super::model::{RestartPolicy, RolloutId, Step};
use super::super::recreate::names;

/// The names that one rollout uses on every host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The name `N` that is kept.
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

/// A container as its inspection shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerFacts {
    /// Full ID.
    pub id: String,
    /// Name, without the slash that the Engine puts before it.
    pub name: String,
    /// `State.Status`.
    pub status: Status,
    /// `State.Running`: also while it is paused or waits for its next restart.
    pub running: bool,
    /// `HostConfig.RestartPolicy`.
    pub restart: RestartPolicy,
    /// `State.StartedAt` in the words of the Engine; `None` where it was never started. A
    /// change means that it was restarted.
    pub started_at: Option<String>,
    /// `RestartCount`.
    pub restart_count: i64,
    /// `State.ExitCode`; 128 with a start error where a start failed.
    pub exit_code: i64,
    /// `State.Error`; empty where the last start worked.
    pub start_error: String,
    /// `State.Health`; `None` where it has no health check.
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
    /// Its removal is under way.
    Removing,
}

/// `State.Health.Status` of the Engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// No result counts yet.
    Starting,
    /// Good.
    Healthy,
    /// Bad.
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

impl Status {
    /// The status of that name; `None` for one that no Engine has.
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
    /// The health of that name; `None` for `none` and everything else.
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

    /// Whether it is being removed, or its removal failed: it cannot be used any more.
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

/// For troubles: what was found, in one line.
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
