//! States that a run rarely reaches. A state that no seed reaches is no longer tested.

use std::collections::BTreeMap;

/// A state that the seeds together must reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rare {
    /// An order was refused because another rollout holds its container.
    RefusedActive,
    /// The same, and the host already had what it asked for: the other rollout had put it there.
    RefusedOnTheSameVersion,
    /// The same, and the other rollout had not started with the host.
    RefusedInALaterWave,
    /// An order found every host on its version, and ended at once.
    CurrentEverywhere,
    /// Another rollout ended between the plan of an order and its record, which was planned again.
    Replanned,
    /// Two orders of one container succeeded, one after the other.
    TwoSucceeded,
    /// The way back of a rollout was ordered and succeeded.
    Undone,
    /// A caller vanished, and its second try found the rollout of the first.
    FoundAgain,
    /// A caller vanished before its rollout was stored, and its second try made it.
    MadeBySecondTry,
    /// A second try met the first, which was still in progress.
    MetTheFirstTry,
    /// The process was killed while an order was planned.
    KilledWhilePlanning,
    /// The process was killed while a new container was proving itself.
    KilledInTheGate,
    /// The process was killed while a host that failed was restored.
    KilledWhileRestoring,
    /// The process was killed while a rollout was taken back.
    KilledWhileRollingBack,
    /// The process was killed while a rollout was paused.
    KilledWhilePaused,
    /// The process was frozen with a host in progress, and continued.
    Frozen,
    /// A rollout that somebody had paused was resumed and succeeded.
    ResumedAndSucceeded,
    /// A rollout continued after the disk had been full.
    WentOnAfterAFullDisk,
    /// A running container was replaced.
    RolledRunning,
    /// One that was never started was replaced, and the new one proved itself.
    RolledCreated,
    /// The same of one that a person had stopped.
    RolledExited,
    /// The same of one that had ended with an error.
    RolledCrashed,
    /// The same of one in a crash loop.
    RolledRestarting,
    /// One whose removal had failed made the plan an error.
    RefusedDead,
    /// One that was paused was left out.
    LeftOutPaused,
    /// One that was down was replaced by one that was not started.
    KeptDown,
    /// One that was down was left out, as the policy said.
    SkippedDown,
    /// One that was down made the plan an error, as the policy said.
    RefusedDown,
    /// One that was down was down again after its new one had failed.
    RestoredDown,
}

impl Rare {
    pub const ALL: [Self; 29] = [
        Self::RefusedActive,
        Self::RefusedOnTheSameVersion,
        Self::RefusedInALaterWave,
        Self::CurrentEverywhere,
        Self::Replanned,
        Self::TwoSucceeded,
        Self::Undone,
        Self::FoundAgain,
        Self::MadeBySecondTry,
        Self::MetTheFirstTry,
        Self::KilledWhilePlanning,
        Self::KilledInTheGate,
        Self::KilledWhileRestoring,
        Self::KilledWhileRollingBack,
        Self::KilledWhilePaused,
        Self::Frozen,
        Self::ResumedAndSucceeded,
        Self::WentOnAfterAFullDisk,
        Self::RolledRunning,
        Self::RolledCreated,
        Self::RolledExited,
        Self::RolledCrashed,
        Self::RolledRestarting,
        Self::RefusedDead,
        Self::LeftOutPaused,
        Self::KeptDown,
        Self::SkippedDown,
        Self::RefusedDown,
        Self::RestoredDown,
    ];
}

/// How often each was reached.
#[derive(Debug, Clone, Default)]
pub struct Reached(BTreeMap<Rare, usize>);

impl Reached {
    pub fn count(&mut self, rare: Rare) {
        *self.0.entry(rare).or_default() += 1;
    }

    pub fn add(&mut self, other: &Self) {
        for (rare, times) in &other.0 {
            *self.0.entry(*rare).or_default() += times;
        }
    }

    pub fn times(&self, rare: Rare) -> usize {
        self.0.get(&rare).copied().unwrap_or(0)
    }

    pub fn never(&self) -> Vec<Rare> {
        Rare::ALL.into_iter().filter(|rare| self.times(*rare) == 0).collect()
    }

    /// A line for each state.
    pub fn table(&self) -> String {
        let line = |rare: Rare| format!("{:6} {rare:?}\n", self.times(rare));
        Rare::ALL.into_iter().map(line).collect()
    }
}
