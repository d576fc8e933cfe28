//! Removes expired old containers, see [`retention`](super::retention), and deletes expired
//! rollouts, see [`history`]. Runs beside the drivers, started by the supervisor; it reads its
//! state from the journal at startup, so it continues after a restart of the server.
//!
//! It is careful, because removed containers cannot be restored: it removes only containers of the
//! journal, by their full ID, that still have the name they were left with and are not running;
//! none that an open rollout may need; never with volumes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{RwLock, mpsc};

use super::driver::Shared;
use super::executor::remove_left;
use super::history::{self, Ended};
use super::journal::{JournalError, OpenRollout, open_rollouts};
use super::model::{Millis, RolloutId};
use super::retention::{Kept, RetainedContainers};
use super::state::RolloutState;
use crate::domain::{ContainerName, HostName};
use crate::engine::Engine;

/// Hosts at the same time.
const AT_ONCE: usize = 16;

/// Longest time for one host: an undo may wait for it.
const HOST: Duration = Duration::from_secs(20);

/// Rollouts that are forgotten before an undo gets its turn.
const FORGOTTEN_AT_ONCE: usize = 32;

/// Delay before retrying a host that does not answer, or the journal: initial and maximum.
const RETRY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(600));

/// Removes expired old containers.
pub(super) struct Sweeper {
    shared: Shared,
    /// Held while it removes.
    lock: Arc<RwLock<()>>,
    /// Rollouts that have ended.
    ended: mpsc::Receiver<RolloutId>,
    retained: RetainedContainers,
    /// Rollouts in `retained`. A rollout that this version cannot read is not among them, and is
    /// never deleted, because its containers are unknown.
    taken_in: BTreeMap<RolloutId, Ended>,
    /// Maximum number of rollouts to keep.
    history: usize,
    /// Hosts with unfinished work: when to retry them, and the last delay.
    waiting: BTreeMap<HostName, (Millis, Duration)>,
}

type Containers = BTreeSet<(HostName, ContainerName)>;

/// The result of a host.
struct Swept {
    /// These are gone, or in use by somebody.
    gone: Vec<Kept>,
    /// Why others are still there; for the log.
    stays: Option<String>,
}

impl Sweeper {
    pub(super) fn new(
        shared: Shared,
        lock: Arc<RwLock<()>>,
        ended: mpsc::Receiver<RolloutId>,
        history: usize,
    ) -> Self {
        let (retained, taken_in, waiting) = Default::default();
        Self { shared, lock, ended, retained, taken_in, history, waiting }
    }

    /// Until the server stops.
    pub(super) async fn run(mut self) {
        let stopping = self.shared.stopping.clone();
        stopping.run_until_cancelled(self.work()).await;
    }

    async fn work(&mut self) {
        while let Err(error) = self.read().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the journal is read again soon"
            );
            tokio::time::sleep(RETRY.0).await;
        }
        loop {
            let done = async {
                self.sweep().await?;
                self.forget().await
            };
            if let Err(error) = done.await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "old containers and rollouts stay for now"
                );
                tokio::time::sleep(RETRY.1).await;
                continue;
            }
            let clock = self.shared.clock;
            let now = clock.now();
            let again = self.waiting.values().map(|(at, _)| *at);
            let next = again.chain(self.retained.next(now)).min();
            let alarm = async {
                match next {
                    Some(at) => clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(id) = self.ended.recv() => {
                    while let Err(error) = self.take_in(id).await {
                        tracing::warn!(rollout = %id, error = &error as &dyn std::error::Error, "the journal is read again soon");
                        tokio::time::sleep(RETRY.0).await;
                    }
                }
                () = alarm => {}
            }
        }
    }

    /// What all ended rollouts left, in the order of their ends.
    async fn read(&mut self) -> Result<(), JournalError> {
        let mut ended: Vec<_> = self.shared.journal.list().await?;
        ended.retain(|rollout| rollout.ended_at.is_some());
        ended.sort_by_key(|rollout| (rollout.ended_at, rollout.created_at));
        for rollout in ended {
            self.take_in(rollout.id).await?;
        }
        Ok(())
    }

    async fn take_in(&mut self, id: RolloutId) -> Result<(), JournalError> {
        if self.taken_in.contains_key(&id) {
            return Ok(());
        }
        let entries = self.shared.journal.records(id).await?;
        match RolloutState::replay(entries.iter().map(|entry| &entry.record)) {
            Ok(state) => {
                self.retained.take_in(id, &state);
                let ended = Ended { id, at: state.phase_since, is_idle: state.size() == 0 };
                self.taken_in.insert(id, ended);
            }
            Err(error) => {
                tracing::warn!(rollout = %id, error = &error as &dyn std::error::Error, "its old containers stay");
            }
        }
        Ok(())
    }

    /// Forgets rollouts that are remembered no longer.
    async fn forget(&mut self) -> Result<(), JournalError> {
        let of_containers = |sweeper: &Self| {
            let ended = sweeper.taken_in.values().copied();
            history::beyond(ended, sweeper.history, &sweeper.retained.rollouts())
        };
        while !of_containers(self).is_empty() {
            let _lock = self.lock.write().await;
            let (_, undone) = self.open().await?;
            let mut over = of_containers(self);
            over.retain(|id| !undone.contains(id));
            over.truncate(FORGOTTEN_AT_ONCE);
            if over.is_empty() {
                break;
            }
            for id in over {
                self.shared.journal.forget(self.shared.epoch, id).await?;
                self.taken_in.remove(&id);
                tracing::info!(rollout = %id, "forgotten");
            }
        }
        Ok(())
    }

    /// Removes expired containers, if nothing prevents it.
    async fn sweep(&mut self) -> Result<(), JournalError> {
        let now = self.shared.clock.now();
        let mut due = self.retained.due(now);
        due.retain(|host, _| self.waiting.get(host).is_none_or(|(at, _)| *at <= now));
        if due.is_empty() {
            return Ok(());
        }
        let _lock = self.lock.write().await;
        let (taken, _) = self.open().await?;
        let hosts = &self.shared.hosts;
        let swept: Vec<_> = futures_util::stream::iter(due)
            .map(|(host, due)| {
                let due: Vec<_> = due
                    .into_iter()
                    // When that rollout has ended, it is checked again.
                    .filter(|kept| !taken.contains(&(host.clone(), kept.container.clone())))
                    .collect();
                async move {
                    let swept = match hosts.engine(&host) {
                        Ok(engine) => sweep_host(&*engine, due).await,
                        Err(trouble) => Swept { gone: Vec::new(), stays: Some(trouble.message) },
                    };
                    (host, swept)
                }
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        for (host, swept) in swept {
            swept.gone.iter().for_each(|kept| self.retained.forget(kept));
            let Some(why) = swept.stays else {
                self.waiting.remove(&host);
                continue;
            };
            tracing::info!(%host, why, "an old container stays for now");
            let wait = self.waiting.get(&host).map_or(RETRY.0, |(_, wait)| *wait * 2);
            let wait = wait.min(RETRY.1);
            self.waiting.insert(host, (self.shared.clock.now() + wait, wait));
        }
        Ok(())
    }

    /// Containers that rollouts work on which have not ended, and the rollouts that they undo.
    async fn open(&self) -> Result<(Containers, BTreeSet<RolloutId>), JournalError> {
        let (mut taken, mut undone) = (Containers::new(), BTreeSet::new());
        for OpenRollout { plan, undo_of, .. } in open_rollouts(&*self.shared.journal).await? {
            taken.extend(plan.containers().map(|(host, name)| (host.clone(), name.clone())));
            undone.extend(undo_of);
        }
        Ok((taken, undone))
    }
}

/// One after the other, until the host does not answer.
async fn sweep_host(engine: &dyn Engine, due: Vec<Kept>) -> Swept {
    let mut swept = Swept { gone: Vec::new(), stays: None };
    let each = async {
        for kept in due {
            match remove_left(engine, &kept.id, &kept.name).await {
                Ok(None) => {
                    let (host, container) = (&kept.host, &kept.name);
                    tracing::info!(%host, container, "an old container is kept no longer");
                    swept.gone.push(kept);
                }
                Ok(Some(why)) => swept.stays = Some(why),
                Err(error) => {
                    swept.stays = Some(error.to_string());
                    return;
                }
            }
        }
    };
    if tokio::time::timeout(HOST, each).await.is_err() {
        swept.stays = Some(format!("no answer within {}", humantime::format_duration(HOST)));
    }
    swept
}
