//! The values that all parts of a rollout share: its plan, the records of its journal, and
//! the phases of hosts and of the whole. Plain data; what is done with it stands in
//! `plan`, `state`, `decide` and `step`.
//!
//! No secret is in here: environment values and other settings are in sealed blobs beside
//! the records, and a plan shows them masked.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{Annotations, HostName, Reason};

mod plan;

pub use plan::{
    DependentPlan, HostPlan, OldFacts, Order, Plan, PlannedImage, RestartPolicy, TargetKind,
};

/// The label of a container that names the rollout that made it.
pub const ROLLOUT_LABEL: &str = "io.wharf.rollout.id";

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

/// Which `wharfd` writes: counted up when one takes the store over. A lower one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

/// What went wrong, in words and as a reason of docs/errors.md.
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
    /// What.
    pub event: Event,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// It was asked for and planned. Always the first.
    Created {
        /// What will be done.
        plan: Box<Plan>,
        /// How.
        policy: Box<super::spec::Policy>,
        /// Who asked for it.
        by: String,
        /// The rollout that this one takes back.
        undo_of: Option<RolloutId>,
        /// What the caller noted about it.
        #[serde(default, skip_serializing_if = "Annotations::is_empty")]
        annotations: Annotations,
    },
    /// The rollout as a whole goes on to another phase.
    Phase {
        /// Which.
        to: Phase,
        /// Why, where it is not the usual course.
        reason: Option<Trouble>,
    },
    /// Somebody asked for something.
    Control {
        /// What.
        control: Control,
        /// Who.
        by: String,
    },
    /// Something happened on a host.
    Host {
        /// Which.
        host: HostName,
        /// What.
        happened: HostEvent,
    },
}

/// Where a rollout stands as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// Images go to all hosts; no container is touched.
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
    /// Nothing is begun until somebody says so.
    Paused {
        /// Why.
        cause: PauseCause,
        /// Where it goes on.
        resume_to: Box<Phase>,
        /// When it paused: deadlines are frozen since then.
        since: Millis,
    },
    /// What was replaced is put back.
    RollingBack,
    /// Hosts at work come to a safe end; nothing else is begun.
    Aborting,
    /// Every host is on the new version, or was skipped with a reason in the plan.
    Succeeded,
    /// It ended, and some hosts are not on the new version.
    Failed,
    /// What was there is there again.
    RolledBack,
    /// It was stopped half-way; the hosts are a mix that its state tells.
    Aborted,
}

/// Why a rollout is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseCause {
    /// Somebody asked for it.
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

/// What somebody can ask of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "control", rename_all = "snake_case")]
pub enum Control {
    /// Begin no further host.
    Pause,
    /// Go on.
    Resume {
        /// Try the hosts that failed once more, with a new budget.
        retry_failed: bool,
    },
    /// Go on after the canary.
    Promote,
    /// Stop at the next safe point and leave the mix.
    Abort,
}

/// Work on one host, from beginning to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Get the image.
    Pull,
    /// Replace the container; a failure on the way is restored as part of it.
    Forward,
    /// Watch a container that was replaced while its wave bakes; a failure is restored.
    Watch,
    /// Put back what was there, on a host that was done.
    RollBack,
    /// Remove the old container of a host that was done, before the rollout ends: where somebody
    /// else would count it.
    Clear,
}

/// What happened on a host.
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
        /// The container it made; with [`Step::Create`] and [`Step::CreateTwin`].
        id: Option<String>,
    },
    /// The image is there.
    Pulled {
        /// Its ID on this host.
        image_id: String,
        /// What the registry says it is; hosts must agree.
        digest: Option<String>,
    },
    /// The Engine made something else of the new container than was asked for.
    Differs {
        /// A line a setting, secrets masked; not empty.
        differences: Vec<String>,
    },
    /// The gate began to look.
    Gate {
        /// When it gives up; absolute, so that a crash does not extend it.
        deadline: Millis,
    },
    /// The gate has seen it good since then; `None`: not any more.
    Good {
        /// Since when.
        since: Option<Millis>,
        /// What the last look saw, for people.
        saw: String,
    },
    /// The gate let it pass; it is watched for a while longer.
    Passed {
        /// Until when.
        monitor_until: Millis,
    },
    /// The work failed; what is left of it puts back what was there.
    Failed {
        /// Where.
        step: Option<Step>,
        /// Why.
        trouble: Trouble,
        /// The last lines of the new container's log.
        log_tail: Vec<String>,
    },
    /// A step or a gate of a container that hangs on the target.
    Dependent {
        /// Its place in [`HostPlan::dependents`].
        number: usize,
        /// What: `Intent`, `Did`, `Differs`, `Gate`, `Good` or `Passed`.
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
    /// The image is there.
    Pulled,
    /// The new container is in place and good.
    Committed,
    /// It failed, and what was there is there again.
    Restored,
    /// What was there is there again, because the rollout was taken back.
    RolledBack,
    /// The work failed before anything was changed.
    Unchanged,
    /// It was left out.
    Skipped {
        /// Why.
        reason: String,
    },
    /// It failed and could not be restored: a person must look. Nothing was deleted.
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
    /// Create the stopped twin that stands in for an old container with auto-remove.
    CreateTwin,
    /// Run the drain hook in the old container.
    Drain,
    /// Stop the old container.
    StopOld,
    /// Take the restart policy from the old container, so that no restart of the Engine
    /// starts it again.
    FenceOld,
    /// Give the old container its backup name.
    RenameOld,
    /// Give the new container the name.
    RenameNew,
    /// Give an adopted container its restart policy back.
    UnfenceNew,
    /// Start the new container.
    StartNew,
    /// Compare the new container with what was asked for.
    Compare,
    /// Wait until the new container proves itself.
    Gate,
    /// Run the last check in the new container.
    Verify,
    /// Watch it for a while longer.
    Monitor,
    /// Stop the new container.
    StopNew,
    /// Take the restart policy from an adopted container again.
    FenceNew,
    /// Give the new container its reject name, an adopted one its former name.
    RenameBad,
    /// Give the old container its name again.
    RenameBack,
    /// Give the old container its restart policy back.
    UnfenceOld,
    /// Start the old container again.
    StartOld,
    /// Wait until the old container proves itself.
    GateOld,
    /// Remove the new container.
    RemoveNew,
    /// Remove the twin of an old container that is still there.
    RemoveTwin,
    /// Remove the old container, or the twin that stands for it, at the end of the rollout.
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
    /// The time from `earlier` until now; zero where that is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl RolloutId {
    /// What stands in the names of containers: the first eight digits.
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

    /// Whether nothing comes after it.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::RolledBack | Self::Aborted)
    }
}
