//! Following rollouts: a stream over the journal, from a cursor or from a snapshot.
//!
//! The stream is pulled: messages that a slow reader has not taken stay in the journal, and use no
//! memory here.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use wharf::v1;
use wharf::v1::watch_rollouts_response::Event;

use super::snapshot::Snapshot;
use super::trouble::{self, journal_problem, not_found};
use super::view::View;
use crate::api::problem::Problem;
use crate::domain::Reason;
use crate::rollout::journal::{Entry, Journal};
use crate::rollout::model::{Event as Recorded, Revision, RolloutId};
use crate::rollout::requests::{PullProgress, Rollouts};

/// Silence after which a heartbeat is sent; below the idle limits of common proxies.
const HEARTBEAT_AFTER: Duration = Duration::from_secs(15);

/// Number of records to read at a time.
const BATCH: usize = 256;

/// Maximum number of records to replay one by one: beyond it, a snapshot is smaller.
const MOST_BEHIND: u64 = 10_000;

/// What a caller follows.
pub struct WatchRequest {
    /// The rollout, which exists; `None` for all.
    pub id: Option<RolloutId>,
    /// Where to continue.
    pub after: Option<v1::WatchCursor>,
    /// Progress of pulls, if requested.
    pub pulls: Option<broadcast::Receiver<PullProgress>>,
    /// Know which rollouts stand still, of which the journal says nothing.
    pub rollouts: Option<Arc<dyn Rollouts>>,
}

struct Watcher {
    journal: Arc<dyn Journal>,
    id: Option<RolloutId>,
    epoch: String,
    seen: Revision,
    views: HashMap<RolloutId, View>,
    /// Read and not yet taken.
    pending: VecDeque<Entry>,
    /// Whether more may be stored after those, with the last of them.
    cut: bool,
    /// Messages to send, each with the revision that the caller has seen after it.
    ready: VecDeque<(Option<Revision>, Event)>,
    changes: watch::Receiver<Revision>,
    pulls: Option<broadcast::Receiver<PullProgress>>,
    rollouts: Option<Arc<dyn Rollouts>>,
    stopping: CancellationToken,
    /// Time of the last message: events of other rollouts don't count.
    told_at: Instant,
    over: bool,
}

/// What woke an idle watcher.
enum Woken {
    Changed,
    Pull(Box<PullProgress>),
    Silence,
    Stopping,
}

/// The stream. It ends OK when the rollout it is about has ended, and UNAVAILABLE when `stopping`
/// is cancelled.
pub async fn stream(
    journal: Arc<dyn Journal>,
    request: WatchRequest,
    stopping: CancellationToken,
) -> Result<impl Stream<Item = Result<v1::WatchRolloutsResponse, Status>> + Send + use<>, Problem> {
    let mut changes = journal.changes();
    let newest = *changes.borrow_and_update();
    let epoch = journal.store_id().to_string();
    let from = request
        .after
        .filter(|cursor| cursor.epoch == epoch)
        .map(|cursor| cursor.revision)
        .filter(|seen| newest.0.checked_sub(*seen).is_some_and(|behind| behind <= MOST_BEHIND));
    let mut watcher = Watcher {
        journal,
        id: request.id,
        epoch,
        seen: from.map_or(newest, Revision),
        views: HashMap::new(),
        pending: VecDeque::new(),
        cut: false,
        ready: VecDeque::new(),
        changes,
        pulls: request.pulls,
        rollouts: request.rollouts,
        stopping,
        told_at: Instant::now(),
        over: false,
    };
    watcher.start(from.is_none()).await?;
    Ok(futures_util::stream::unfold(watcher, |mut watcher| async move {
        watcher.next().await.map(|item| (item, watcher))
    }))
}

impl Watcher {
    /// Reads the history, and sends it if the watcher does not know it.
    async fn start(&mut self, tell: bool) -> Result<(), Problem> {
        let ids = match self.id {
            Some(id) => vec![id],
            // With a cursor, each rollout is read at its next event.
            None if !tell => Vec::new(),
            None => self.journal.open().await.map_err(|error| journal_problem(&error))?,
        };
        let mut snapshot = Snapshot::default();
        for id in ids {
            let Some(view) = self.read(id).await? else { continue };
            if tell && self.id.is_some() {
                snapshot.add_whole(&view);
            } else if tell {
                snapshot.add(&view);
            }
            self.over = self.id.is_some() && view.has_ended();
            self.views.insert(id, view);
        }
        if tell {
            // Until the snapshot is complete, there is no position to continue from.
            let seen = self.seen;
            self.ready.extend(snapshot.events().map(|event| (None, event)));
            if let Some((cursor, _)) = self.ready.back_mut() {
                *cursor = Some(seen);
            }
        }
        Ok(())
    }

    /// The state of a rollout at the given revision.
    async fn read(&self, id: RolloutId) -> Result<Option<View>, Problem> {
        let entries = self.journal.records(id).await.map_err(|error| journal_problem(&error))?;
        let known = entries.iter().take_while(|entry| entry.revision <= self.seen).count();
        Ok(View::of(&entries[..known]))
    }

    async fn next(&mut self) -> Option<Result<v1::WatchRolloutsResponse, Status>> {
        loop {
            if let Some((seen, event)) = self.ready.pop_front() {
                self.told_at = Instant::now();
                return Some(Ok(self.message(seen, event)));
            }
            if self.over {
                return None;
            }
            match self.advance().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(problem) => return self.fail(problem),
            }
            match self.wait().await {
                Woken::Changed => {}
                Woken::Pull(pull) => self.tell(Event::PullProgress(progress(&pull))),
                Woken::Silence => match self.forgotten().await {
                    Ok(None) => {
                        let stuck = self.stuck().map(Event::Rollout);
                        self.tell(stuck.unwrap_or(Event::Heartbeat(v1::Heartbeat {})));
                    }
                    Ok(Some(id)) => return self.fail(not_found(&id.to_string())),
                    Err(problem) => return self.fail(problem),
                },
                Woken::Stopping => {
                    let message = "wharfd is stopping; watch again with the last cursor";
                    let problem = Problem::new(Reason::ServerStopping, message);
                    return self.fail(problem);
                }
            }
        }
    }

    /// Reads on until there is something to send; false if there is nothing.
    async fn advance(&mut self) -> Result<bool, Problem> {
        while self.ready.is_empty() && !self.over {
            if self.pending.is_empty() || (self.cut && self.pending.len() == 1) {
                self.read_on().await?;
            }
            let Some(entry) = self.pending.pop_front() else { return Ok(false) };
            self.take(&entry).await?;
        }
        Ok(true)
    }

    async fn read_on(&mut self) -> Result<(), Problem> {
        let last = self.pending.back().map_or(self.seen, |entry| entry.revision);
        let entries = self.journal.after(last, self.id, BATCH).await;
        let entries = entries.map_err(|error| journal_problem(&error))?;
        self.cut = entries.len() == BATCH;
        self.pending.extend(entries);
        Ok(())
    }

    async fn take(&mut self, entry: &Entry) -> Result<(), Problem> {
        let id = entry.id;
        if !self.views.contains_key(&id)
            && let Some(view) = self.read(id).await?
        {
            self.views.insert(id, view);
        }
        let before = std::mem::replace(&mut self.seen, entry.revision);
        let Some(view) = self.views.get_mut(&id) else {
            if let Some(view) = View::of_first(entry) {
                self.ready.push_back((Some(entry.revision), Event::Rollout(view.summary())));
                self.views.insert(id, view);
            }
            return Ok(());
        };
        let mut changed = view.apply(entry);
        // The phase that follows from a host's event is stored with it, and nobody must see the
        // state in between: at rest, or paused for another reason.
        if changed.host.is_some() && self.pending.front().is_some_and(|next| is_new_phase(next, id))
        {
            changed.rollout = false;
        }
        if let Some(step) = changed.host.and_then(|host| view.step(&host)) {
            let rollout = id.to_string();
            let step = Some(step);
            // A caller that disconnects before the second message must get both again.
            let seen = if changed.rollout { before } else { entry.revision };
            let event = Event::Step(v1::RolloutStepChanged { rollout, step });
            self.ready.push_back((Some(seen), event));
        }
        if changed.rollout {
            self.ready.push_back((Some(entry.revision), Event::Rollout(view.summary())));
        }
        if view.has_ended() {
            self.over = self.id.is_some();
            self.views.remove(&id);
        }
        Ok(())
    }

    /// The followed rollout, if it stands still, with the reason.
    fn stuck(&self) -> Option<v1::Rollout> {
        let id = self.id?;
        let error = self.rollouts.as_ref()?.stuck(id)?;
        let reason = Some(trouble::stuck(&error));
        Some(v1::Rollout { reason, ..self.views.get(&id)?.summary() })
    }

    /// The rollout that is followed, where it ended and was deleted before a slow reader got its end.
    async fn forgotten(&self) -> Result<Option<RolloutId>, Problem> {
        let Some(id) = self.id else { return Ok(None) };
        let first = self.journal.after(Revision(0), Some(id), 1).await;
        Ok(first.map_err(|error| journal_problem(&error))?.is_empty().then_some(id))
    }

    async fn wait(&mut self) -> Woken {
        let id = self.id;
        let silent = self.told_at + HEARTBEAT_AFTER;
        tokio::select! {
            () = self.stopping.cancelled() => Woken::Stopping,
            changed = self.changes.changed() => match changed {
                Ok(()) => Woken::Changed,
                // The journal is gone, so the server is about to be.
                Err(_) => Woken::Stopping,
            },
            pull = next_pull(&mut self.pulls, id) => Woken::Pull(Box::new(pull)),
            () = tokio::time::sleep_until(silent) => Woken::Silence,
        }
    }

    fn tell(&mut self, event: Event) {
        self.ready.push_back((Some(self.seen), event));
    }

    fn message(&self, seen: Option<Revision>, event: Event) -> v1::WatchRolloutsResponse {
        let cursor =
            |seen: Revision| v1::WatchCursor { epoch: self.epoch.clone(), revision: seen.0 };
        v1::WatchRolloutsResponse { cursor: seen.map(cursor), event: Some(event) }
    }

    /// The last item.
    fn fail(&mut self, problem: Problem) -> Option<Result<v1::WatchRolloutsResponse, Status>> {
        self.over = true;
        Some(Err(problem.into()))
    }
}

fn is_new_phase(entry: &Entry, id: RolloutId) -> bool {
    entry.id == id && matches!(entry.record.event, Recorded::Phase { .. })
}

/// The next pull of the followed rollout, or of any; never, if not requested.
async fn next_pull(
    pulls: &mut Option<broadcast::Receiver<PullProgress>>,
    id: Option<RolloutId>,
) -> PullProgress {
    while let Some(receiver) = pulls {
        match receiver.recv().await {
            Ok(pull) if id.is_none_or(|id| id == pull.rollout) => return pull,
            // A slow reader misses some of them, which is fine.
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => *pulls = None,
        }
    }
    std::future::pending().await
}

fn progress(pull: &PullProgress) -> v1::RolloutPullProgress {
    let transfer = &pull.transfer;
    v1::RolloutPullProgress {
        rollout: pull.rollout.to_string(),
        host: pull.host.to_string(),
        progress: Some(v1::TransferProgress {
            status: transfer.status.clone(),
            layers_done: transfer.layers_done,
            layers_total: transfer.layers_total,
            bytes_done: transfer.bytes_done,
            bytes_total: transfer.bytes_total,
        }),
    }
}

#[cfg(test)]
mod tests;
