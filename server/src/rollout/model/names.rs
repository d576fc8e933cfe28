//! The names and labels that a rollout gives to what it makes.
//!
//! For the target `N` and the rollout `R` (its first eight digits): candidate `N.new-R`, backup
//! `N.old-R`, reject `N.bad-R`. A name with such a suffix belongs to Wharf and is never a target:
//! suffixes would accumulate (C16).

use super::RolloutId;
use crate::domain::ContainerName;

/// The prefix of rollout labels.
pub const OWN_LABELS: &str = "io.wharf.rollout.";
/// The label that names the rollout.
pub const ROLLOUT_LABEL: &str = "io.wharf.rollout.id";
/// The label that identifies the body of a container.
pub const SHA_LABEL: &str = "io.wharf.rollout.spec-sha";
/// The label of a twin, in addition to that of the rollout, with the same value: the rollout's ID,
/// which no image can have as a label.
pub const TWIN_LABEL: &str = "io.wharf.rollout.twin";

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

impl Names {
    /// The names of a rollout of a container.
    #[must_use]
    pub fn of(container: &ContainerName, rollout: RolloutId) -> Self {
        let short = rollout.short();
        Self {
            target: container.as_str().to_owned(),
            candidate: candidate(container.as_str(), &short),
            backup: backup(container.as_str(), &short),
            reject: reject(container.as_str(), &short),
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

/// The name of the new container until it replaces the old one.
#[must_use]
pub fn candidate(target: &str, rollout: &str) -> String {
    format!("{target}.new-{rollout}")
}

/// The name of the old container from then on.
#[must_use]
pub fn backup(target: &str, rollout: &str) -> String {
    format!("{target}.old-{rollout}")
}

/// The name of a new container that failed.
#[must_use]
pub fn reject(target: &str, rollout: &str) -> String {
    format!("{target}.bad-{rollout}")
}

/// The target of a name of Wharf; `None` for all other names.
#[must_use]
pub fn target_of(name: &str) -> Option<&str> {
    let (target, ending) = name.rsplit_once('.')?;
    let (kind, rollout) = ending.split_once('-')?;
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let ours = matches!(kind, "new" | "old" | "bad")
        && rollout.len() == 8
        && rollout.bytes().all(hex)
        && !target.is_empty();
    ours.then_some(target)
}
