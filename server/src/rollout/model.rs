//! The values that all parts of a rollout share: its plan, the records of its journal, and the
//! phases of hosts and of the whole. Plain data; the logic is in `plan`, `state`, `decide`, and
//! `step`.
//!
//! Contains no secrets: environment values and other settings are in sealed blobs beside the
//! records, and a plan shows them masked.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{Annotations, HostName, Reason};

mod bodies;
pub mod names;
mod plan;
mod progress;

pub use bodies::{Bodies, NewBody};
pub use names::{Names, Place, ROLLOUT_LABEL, SHA_LABEL, TWIN_LABEL};
pub use plan::{
    DependentPlan, HostPlan, ImageSource, OldFacts, Order, Plan, PlannedImage, TargetKind,
};
pub use progress::HostProgress;

pub use crate::engine::RestartPolicy;

/// A point in time: Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Millis(pub u64);

/// Names a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RolloutId(pub Uuid);

/// The place of a record in the journal of the whole store; grows by one a record.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Revision(pub u64);

/// Number of the `wharfd` that writes: incremented when one takes over the store. Records of a
/// lower epoch are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

/// A problem, as text and as a reason of docs/errors.md.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The kind of it.
    pub reason: Reason,
    /// What failed, why, and what to do; one line.
    pub message: String,
}

/// One line of the journal of a rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When.
    pub at: Millis,
    /// The event.
    pub event: Event,
}

/// The content of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Created and planned. Always the first record.
    Created {
        /// The plan.
        plan: Box<Plan>,
        /// How.
        policy: Box<super::spec::Policy>,
        /// Who created it.
        by: String,
        /// The rollout that it undoes.
        undo_of: Option<RolloutId>,
        /// The caller's annotations.
        #[serde(default, skip_serializing_if = "Annotations::is_empty")]
        annotations: Annotations,
    },
    /// The rollout enters another phase.
    Phase {
        /// Which.
        to: Phase,
        /// The reason, unless this is normal operation.
        reason: Option<Trouble>,
    },
    /// A command of a user.
    Control {
        /// The command.
        control: Control,
        /// The user.
        by: String,
    },
    /// An event on a host.
    Host {
        /// Which.
        host: HostName,
        /// The event.
        happened: HostEvent,
    },
}

/// The phase of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// All hosts pull the image; no container is touched.
    Pulling,
    /// The hosts of a wave are replaced.
    Running {
        /// From 0.
        wave: usize,
    },
    /// A wave is done and is watched.
    Baking {
        /// From 0.
        wave: usize,
        /// When it ends.
        until: Millis,
    },
    /// Nothing starts until somebody resumes it.
    Paused {
        /// Why.
        cause: PauseCause,
        /// The phase to return to.
        resume_to: Box<Phase>,
        /// When it paused: deadlines are frozen since then.
        since: Millis,
    },
    /// The replaced containers are restored.
    RollingBack,
    /// Hosts in progress finish in a safe state; no other starts.
    Aborting,
    /// Every host is on the new version, or was skipped with a reason in the plan.
    Succeeded,
    /// It ended, and some hosts are not on the new version.
    Failed,
    /// The previous containers are restored.
    RolledBack,
    /// Stopped before the last host; hosts are on both versions.
    Aborted,
}

/// Why a rollout is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseCause {
    /// A user paused it.
    User,
    /// More hosts failed than the budget allows.
    Budget,
    /// The canary is done and waits for promotion.
    Promotion,
    /// No host was finished within the progress deadline.
    Progress,
    /// More hosts are unreachable than allowed.
    Unreachable,
    /// A host could not be restored and needs a person.
    NeedsAttention,
}

/// A command for a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "control", rename_all = "snake_case")]
pub enum Control {
    /// Start no further host.
    Pause,
    /// Resume.
    Resume {
        /// Try the hosts that failed once more, with a new budget.
        retry_failed: bool,
    },
    /// Continue after the canary.
    Promote,
    /// Stop at the next safe point and leave the mix.
    Abort,
}

/// Work on one host, from start to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Get the image.
    Pull,
    /// Replace the container; a failure on the way is restored as part of it.
    Forward,
    /// Watch a container that was replaced while its wave bakes; a failure is restored.
    Watch,
    /// Restore the old container, on a host that was done.
    RollBack,
    /// Remove the old container of a finished host before the rollout ends, because something else
    /// would use or count it.
    Clear,
}

/// An event on a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum HostEvent {
    /// Work began, or began again after a crash.
    Begun {
        /// Which.
        work: Work,
        /// From 1; counts failures that were tried again, not crashes.
        attempt: u32,
    },
    /// A step is about to be done.
    Intent {
        /// Which.
        step: Step,
    },
    /// A step was done, or was so already.
    Did {
        /// Which.
        step: Step,
        /// The container that it created; with [`Step::Create`] and [`Step::CreateTwin`].
        id: Option<String>,
    },
    /// The host has the image.
    Pulled {
        /// Its ID on this host.
        image_id: String,
        /// Its digest in the registry, which must be the same on all hosts.
        digest: Option<String>,
    },
    /// The settings of the new container differ from the requested ones.
    Differs {
        /// One line for each setting, secrets masked; not empty.
        differences: Vec<String>,
    },
    /// The gate started.
    Gate {
        /// When it times out; absolute, so that a crash does not extend it.
        deadline: Millis,
    },
    /// Start of the uninterrupted healthy time; `None`: no longer healthy.
    Good {
        /// Since when.
        since: Option<Millis>,
        /// Result of the last check, for people.
        saw: String,
    },
    /// The gate let it pass; it is watched for a while longer.
    Passed {
        /// Until when.
        monitor_until: Millis,
    },
    /// The work failed; the rest of it restores the old container.
    Failed {
        /// The step that failed.
        step: Option<Step>,
        /// Why.
        trouble: Trouble,
        /// The last lines of the new container's log.
        log_tail: Vec<String>,
    },
    /// A step or a gate of a dependent of the target.
    Dependent {
        /// Its place in [`HostPlan::dependents`].
        number: usize,
        /// The event: `Intent`, `Did`, `Differs`, `Gate`, `Good`, or `Passed`.
        happened: Box<HostEvent>,
    },
    /// The host does not answer; nothing was done on it in this attempt.
    Unreachable {
        /// In its words.
        trouble: Trouble,
    },
    /// The work ended.
    Ended {
        /// How.
        end: HostEnd,
    },
}

/// How work on a host ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum HostEnd {
    /// The host has the image.
    Pulled,
    /// The new container is in place and healthy.
    Committed,
    /// The host failed, and the old container is restored.
    Restored,
    /// The old container is restored, because the rollout was rolled back.
    RolledBack,
    /// The work failed before anything changed.
    Unchanged,
    /// It was left out.
    Skipped {
        /// Why.
        reason: String,
    },
    /// The host failed and could not be restored: it needs manual repair. Nothing was deleted.
    NeedsAttention {
        /// What was found, and what to do.
        trouble: Trouble,
    },
}

/// One step on a host. Every step may be repeated without harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Create the candidate under its temporary name and connect its networks.
    Create,
    /// Create the stopped twin that represents an old container with auto-remove.
    CreateTwin,
    /// Run the drain hook in the old container.
    Drain,
    /// Stop the old container.
    StopOld,
    /// Remove the restart policy of the old container, so that no restart of the Engine starts it.
    FenceOld,
    /// Give the old container its backup name.
    RenameOld,
    /// Give the new container its final name.
    RenameNew,
    /// Restore the restart policy of an adopted container.
    UnfenceNew,
    /// Start the new container.
    StartNew,
    /// Compare the new container with the requested settings.
    Compare,
    /// Wait until the new container is healthy.
    Gate,
    /// Run the last check in the new container.
    Verify,
    /// Watch it for a while longer.
    Monitor,
    /// Stop the new container.
    StopNew,
    /// Remove the restart policy of an adopted container again.
    FenceNew,
    /// Give the new container its reject name, or an adopted one its former name.
    RenameBad,
    /// Give the old container its name back.
    RenameBack,
    /// Restore the restart policy of the old container.
    UnfenceOld,
    /// Start the old container again.
    StartOld,
    /// Wait until the old container is healthy.
    GateOld,
    /// Remove the new container.
    RemoveNew,
    /// Remove the twin of an old container that still exists.
    RemoveTwin,
    /// Remove the old container, or its twin, at the end of the rollout.
    RemoveOld,
}

impl Trouble {
    /// Trouble of a kind.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

impl Add<Duration> for Millis {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }
}

impl Millis {
    /// The time from `earlier` until now; zero if that is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl RolloutId {
    /// The first eight digits, which are part of the names of containers.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = self.0.simple().to_string();
        text.truncate(8);
        text
    }
}

impl fmt::Display for RolloutId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Phase {
    /// Its name, for the log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pulling => "pulling",
            Self::Running { .. } => "running",
            Self::Baking { .. } => "baking",
            Self::Paused { .. } => "paused",
            Self::RollingBack => "rolling back",
            Self::Aborting => "aborting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::RolledBack => "rolled back",
            Self::Aborted => "aborted",
        }
    }

    /// Whether it is a final phase.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::RolledBack | Self::Aborted)
    }
}
