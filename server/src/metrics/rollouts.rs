//! The rollouts: how many are in each phase, and how long those took that ended. Follows the journal,
//! as every watcher does, so that a rollout knows nothing of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use tokio_util::sync::CancellationToken;

use super::encode::{NONE, Series};
use crate::domain::{Durations, Tally};
use crate::rollout::journal::{Entry, Journal, JournalError};
use crate::rollout::model::{Event, Millis, PauseCause, Phase, Revision, RolloutId};

/// Buckets of the duration of a rollout, in seconds: ten seconds to a day.
const BOUNDS: &[f64] = &[10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0];
/// Records that are read at a time.
const BATCH: usize = 256;
/// Delay before a journal that failed is read again.
const RETRY: Duration = Duration::from_secs(10);

/// The phases of a rollout that has not ended.
const PHASES: [&str; 6] = ["pulling", "running", "baking", "paused", "rolling_back", "aborting"];
/// How a rollout ends.
const OUTCOMES: [&str; 4] = ["succeeded", "failed", "rolled_back", "aborted"];
/// Why a rollout is paused.
const CAUSES: [PauseCause; 6] = [
    PauseCause::User,
    PauseCause::Budget,
    PauseCause::Promotion,
    PauseCause::Progress,
    PauseCause::Unreachable,
    PauseCause::NeedsAttention,
];

/// What is known of the rollouts.
pub struct RolloutWatch {
    is_stuck: Box<dyn Fn(RolloutId) -> bool + Send + Sync>,
    open: Mutex<BTreeMap<RolloutId, Open>>,
    /// In the order of [`OUTCOMES`].
    ended: [Durations; OUTCOMES.len()],
}

/// A rollout that has not ended.
#[derive(Debug, Clone, PartialEq)]
struct Open {
    created_at: Millis,
    phase: Phase,
}

impl RolloutWatch {
    /// Nothing so far; [`RolloutWatch::follow`] fills it. `is_stuck`: whether a rollout cannot go on
    /// because the store failed.
    pub fn new(is_stuck: impl Fn(RolloutId) -> bool + Send + Sync + 'static) -> Self {
        let ended = OUTCOMES.map(|_| Durations::new(BOUNDS));
        Self { is_stuck: Box::new(is_stuck), open: Mutex::default(), ended }
    }

    /// Follows the journal until `stopping`.
    pub async fn follow(self: Arc<Self>, journal: Arc<dyn Journal>, stopping: CancellationToken) {
        let follow = async {
            let mut changes = journal.changes();
            let mut seen = None;
            loop {
                let newest = *changes.borrow_and_update();
                if let Err(error) = self.read(&*journal, &mut seen, newest).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the metrics of rollouts are out of date"
                    );
                    tokio::time::sleep(RETRY).await;
                } else if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        stopping.run_until_cancelled(follow).await;
    }

    /// Takes in what is in the journal up to `newest`; of the time before the first call only the
    /// rollouts that have not ended.
    async fn read(
        &self,
        journal: &dyn Journal,
        seen: &mut Option<Revision>,
        newest: Revision,
    ) -> Result<(), JournalError> {
        let mut from = match *seen {
            Some(seen) => seen,
            None => {
                for id in journal.open().await? {
                    // One that ends meanwhile is met again below.
                    for entry in journal.records(id).await? {
                        if entry.revision <= newest {
                            self.take_in(&entry);
                        }
                    }
                }
                newest
            }
        };
        while from < newest {
            let entries = journal.after(from, None, BATCH).await?;
            let Some(last) = entries.last() else { break };
            from = last.revision;
            entries.iter().for_each(|entry| self.take_in(entry));
            *seen = Some(from);
        }
        *seen = Some(from.max(newest));
        Ok(())
    }

    fn take_in(&self, entry: &Entry) {
        let mut open = self.open();
        match &entry.record.event {
            Event::Created { .. } => {
                let created_at = entry.record.at;
                open.insert(entry.id, Open { created_at, phase: Phase::Pulling });
            }
            Event::Phase { to, .. } => match outcome(to) {
                None => {
                    if let Some(rollout) = open.get_mut(&entry.id) {
                        rollout.phase = to.clone();
                    }
                }
                Some(outcome) => {
                    if let Some(rollout) = open.remove(&entry.id) {
                        let took = entry.record.at.0.saturating_sub(rollout.created_at.0);
                        self.ended[outcome].add(Duration::from_millis(took));
                    }
                }
            },
            Event::Control { .. } | Event::Host { .. } => {}
        }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<RolloutId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RolloutWatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RolloutWatch").field("open", &self.open()).finish_non_exhaustive()
    }
}

impl Collector for RolloutWatch {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut series = Series(encoder);
        let open = self.open().clone();
        let number = |is: &dyn Fn(&Phase) -> bool| {
            let those = open.values().filter(|rollout| is(&rollout.phase));
            u64::try_from(those.count()).unwrap_or(u64::MAX)
        };
        series.gauge(
            ("wharf_rollouts", None),
            "Rollouts that have not ended, by phase.",
            PHASES
                .map(|name| ([("phase", name)], number(&|phase| phase_name(phase) == Some(name)))),
        )?;
        series.gauge(
            ("wharf_rollouts_paused", None),
            "Rollouts that are paused, by cause.",
            CAUSES.map(|why| {
                let is =
                    |phase: &Phase| matches!(phase, Phase::Paused { cause, .. } if *cause == why);
                ([("cause", cause_name(why))], number(&is))
            }),
        )?;
        let stuck = open.keys().filter(|id| (self.is_stuck)(**id)).count();
        series.gauge(
            ("wharf_rollouts_stuck", None),
            "Rollouts that cannot go on because the store failed.",
            [(NONE, u64::try_from(stuck).unwrap_or(u64::MAX))],
        )?;
        let ended: Vec<(&str, Tally)> =
            OUTCOMES.into_iter().zip(self.ended.iter().map(Durations::tally)).collect();
        series.durations(
            "wharf_rollout_duration",
            "Time from the creation of a rollout to its end, by how it ended.",
            ended.into_iter().map(|(outcome, tally)| ([("outcome", outcome)], tally)),
        )
    }
}

/// The place in [`OUTCOMES`] of an end.
fn outcome(phase: &Phase) -> Option<usize> {
    match phase {
        Phase::Succeeded => Some(0),
        Phase::Failed => Some(1),
        Phase::RolledBack => Some(2),
        Phase::Aborted => Some(3),
        _ => None,
    }
}

/// The label of a phase that is no end.
fn phase_name(phase: &Phase) -> Option<&'static str> {
    let place = match phase {
        Phase::Pulling => 0,
        Phase::Running { .. } => 1,
        Phase::Baking { .. } => 2,
        Phase::Paused { .. } => 3,
        Phase::RollingBack => 4,
        Phase::Aborting => 5,
        Phase::Succeeded | Phase::Failed | Phase::RolledBack | Phase::Aborted => return None,
    };
    Some(PHASES[place])
}

fn cause_name(cause: PauseCause) -> &'static str {
    match cause {
        PauseCause::User => "user",
        PauseCause::Budget => "budget",
        PauseCause::Promotion => "promotion",
        PauseCause::Progress => "progress",
        PauseCause::Unreachable => "unreachable",
        PauseCause::NeedsAttention => "needs_attention",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prometheus_client::encoding::prometheus_text;
    use prometheus_client::registry::Registry;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Annotations, ContainerName};
    use crate::memory_journal::MemoryJournal;
    use crate::rollout::journal::NewRollout;
    use crate::rollout::model::{Plan, Record};
    use crate::rollout::spec::Policy;

    fn rollout(number: u128, created_at: u64) -> NewRollout {
        NewRollout {
            id: RolloutId(Uuid::from_u128(number)),
            created_at: Millis(created_at),
            plan: Plan {
                container: ContainerName::parse("web").unwrap(),
                image: None,
                waves: Vec::new(),
                hosts: BTreeMap::new(),
                warnings: Vec::new(),
            },
            policy: Policy::default(),
            by: "anna".to_owned(),
            undo_of: None,
            annotations: Annotations::default(),
            secrets: Vec::new(),
            planned_at: Revision(u64::MAX),
        }
    }

    fn text(watch: &Arc<RolloutWatch>) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Arc::clone(watch)));
        let mut text = String::new();
        prometheus_text::encode(&mut text, &registry).unwrap();
        text
    }

    #[tokio::test(start_paused = true)]
    async fn rollouts_are_counted_from_the_journal_also_those_of_an_earlier_process() {
        let journal = MemoryJournal::new(Uuid::from_u128(1));
        let epoch = journal.take_over().await.unwrap();
        let phase = |at, to| Record { at: Millis(at), event: Event::Phase { to, reason: None } };
        let paused = |at| {
            let (cause, resume_to) = (PauseCause::NeedsAttention, Box::new(Phase::Pulling));
            phase(at, Phase::Paused { cause, resume_to, since: Millis(at) })
        };
        let [old, ended, new] = [1, 2, 3].map(|it| RolloutId(Uuid::from_u128(it)));
        // Before this process began: one that is paused, and one that has ended.
        journal.create(epoch, rollout(1, 1000)).await.unwrap();
        journal.append(epoch, old, &[paused(2000)]).await.unwrap();
        journal.create(epoch, rollout(2, 1000)).await.unwrap();
        journal.append(epoch, ended, &[phase(9000, Phase::Failed)]).await.unwrap();

        let watch = Arc::new(RolloutWatch::new(move |id| id == old));
        let stopping = CancellationToken::new();
        let shared: Arc<dyn Journal> = Arc::new(journal.clone());
        let following = tokio::spawn(Arc::clone(&watch).follow(shared, stopping.clone()));
        let shows = async |line: &str| {
            let shown = async {
                while !text(&watch).lines().any(|it| it == line) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let shown = tokio::time::timeout(Duration::from_secs(60), shown).await;
            assert!(shown.is_ok(), "{line} is not in\n{}", text(&watch));
        };
        shows("wharf_rollouts{phase=\"paused\"} 1").await;
        shows("wharf_rollouts_paused{cause=\"needs_attention\"} 1").await;
        shows("wharf_rollouts_stuck 1").await;
        shows("wharf_rollout_duration_seconds_count{outcome=\"failed\"} 0").await;

        journal.create(epoch, rollout(3, 10_000)).await.unwrap();
        shows("wharf_rollouts{phase=\"pulling\"} 1").await;
        journal.append(epoch, new, &[phase(11_000, Phase::Running { wave: 0 })]).await.unwrap();
        shows("wharf_rollouts{phase=\"running\"} 1").await;
        shows("wharf_rollouts{phase=\"pulling\"} 0").await;
        journal.append(epoch, new, &[phase(52_500, Phase::Succeeded)]).await.unwrap();
        shows("wharf_rollout_duration_seconds_sum{outcome=\"succeeded\"} 42.5").await;
        journal.append(epoch, old, &[phase(60_000, Phase::Aborted)]).await.unwrap();
        shows("wharf_rollouts_stuck 0").await;
        shows("wharf_rollout_duration_seconds_count{outcome=\"aborted\"} 1").await;
        stopping.cancel();
        following.await.unwrap();
    }
}
