//! The task that keeps the view of one host up to date.
//!
//! It opens the stream of events first and lists then, so that what happens in between is not missed.
//! Events only say what is out of date; what is true comes from lists. A ping over another connection
//! notices an Engine that is gone without a word, which an idle stream does not.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::effect::{Effect, effect, expected};
use super::host::{HostView, SyncState};
use super::state::Need;
use crate::config::ViewOptions;
use crate::engine::{
    EngineError, EngineEvent, ErrorKind, EventBatch, EventQuery, LogTime, host_clock, jittered,
    pause, spread,
};

/// Time limit of a call that the Engine answers from memory.
const QUICK: Duration = Duration::from_secs(10);
/// How long to collect events before a list.
const COLLECT: Duration = Duration::from_millis(50);
/// The same after a change by this server, which is followed by events most of the time.
const COLLECT_OWN: Duration = Duration::from_millis(20);
/// How long the Engine may take to open the stream of events. Podman opens it with the first event.
const OPENS: Duration = Duration::from_secs(2);
/// How much earlier than now events are asked for.
const OVERLAP: Duration = Duration::from_secs(2);
/// Events that an Engine remembers: so many in a replay may be the rest of more.
const RING: usize = 256;
/// Containers in the filter of a list; for more, all are listed.
const MOST_IDS: usize = 32;
/// Longest pause between two attempts on a host that fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often to look whether anybody wants the view.
const LOOK: Duration = Duration::from_secs(5);
/// Batches of events that may wait while the follower does something else.
const WAITING: usize = 256;
const OPERATION: &str = "GET /events";

/// Keeps the view of one host up to date.
pub(super) struct Follower {
    view: Arc<HostView>,
    starting: Arc<Semaphore>,
    options: ViewOptions,
}

impl Follower {
    pub(super) fn new(view: Arc<HostView>, starting: Arc<Semaphore>, options: ViewOptions) -> Self {
        Self { view, starting, options }
    }

    /// Follows until `is_over`, which is asked now and then, or the end of the view.
    pub(super) async fn run(&self, is_over: impl Fn() -> bool) {
        let over = async {
            loop {
                sleep(LOOK.min(self.options.idle)).await;
                if is_over() {
                    return;
                }
            }
        };
        tokio::select! {
            () = self.view.ended().cancelled() => {}
            () = over => {}
            () = self.again_and_again() => {}
        }
        self.view.set_sync(SyncState::Stale, None);
    }

    async fn again_and_again(&self) {
        let mut failures = 0;
        loop {
            let mut was_live = false;
            // On the heap while it is needed: most of the time of most hosts is spent in it.
            let Err(error) = Box::pin(self.connection(&mut was_live)).await;
            let is_away = error.kind.is_away();
            tracing::debug!(host = %self.view.host().name, %error, "view interrupted");
            let sync = if is_away { SyncState::Unreachable } else { SyncState::Stale };
            self.view.set_sync(sync, Some(error));
            if was_live {
                failures = 0;
            }
            sleep(pause(failures, LONGEST_PAUSE)).await;
            failures = failures.saturating_add(1);
        }
    }

    /// From opening the stream of events to its end, which is always an error.
    async fn connection(
        &self,
        was_live: &mut bool,
    ) -> Result<std::convert::Infallible, EngineError> {
        let view = &*self.view;
        // Only closes with the process.
        let permit = self.starting.acquire().await.ok();
        view.set_sync(SyncState::Resyncing, None);
        // Whatever was known may be of another Engine, or of one that has forgotten its events.
        view.invalidate();
        let ping = quick(view.engine().ping()).await?;
        view.set_podman(ping.is_podman);
        let info = quick(view.engine().info()).await?;
        let since = host_clock(&info).unwrap_or_default().earlier(OVERLAP);
        let (sink, mut batches) = mpsc::channel::<EventBatch>(WAITING);
        let engine = Arc::clone(view.engine());
        let reading = tokio::spawn(async move {
            let query = EventQuery { since, until: None, follow: true };
            engine.read_events(&query, &sink).await
        });
        let reading = AbortOnDropHandle::new(reading);
        if let Ok(first) = timeout(OPENS, batches.recv()).await {
            match first {
                Some(first) => self.take(&first, since, &mut 0),
                None => return Err(ended(reading).await),
            }
        } else if !ping.is_podman {
            let message = format!("the Engine did not open the stream of events within {OPENS:?}");
            return Err(EngineError::new(ErrorKind::ConnectionLost, OPERATION, message));
        }
        quick(view.list()).await?;
        drop(permit);
        let mut pinging = pin!(self.pinging());
        let mut replayed = Some(0);
        let mut listing: Option<BoxFuture<'_, Result<(), EngineError>>> = None;
        // When to list what is out of date.
        let mut due: Option<Instant> = Some(Instant::now());
        let mut resync = Instant::now() + jittered(self.options.resync_among(self.view.followed()));
        loop {
            let at = due.map_or(resync, |due| due.min(resync));
            let is_listing = listing.is_some();
            let mut none = std::future::pending().boxed();
            tokio::select! {
                batch = batches.recv() => match batch {
                    Some(batch) => {
                        let mut count = replayed.unwrap_or(0);
                        self.take(&batch, since, &mut count);
                        replayed = replayed.map(|_| count);
                        view.heard();
                        if view.need() != Need::Nothing {
                            due.get_or_insert_with(|| Instant::now() + spread(COLLECT));
                        }
                    }
                    None => return Err(ended(reading).await),
                },
                done = listing.as_mut().unwrap_or(&mut none) => {
                    listing = None;
                    done?;
                    *was_live = true;
                    view.set_sync(SyncState::Live, None);
                    // What came meanwhile.
                    if view.need() != Need::Nothing {
                        due.get_or_insert_with(|| Instant::now() + spread(COLLECT));
                    }
                }
                () = view.changed_here() => {
                    due.get_or_insert_with(|| Instant::now() + COLLECT_OWN);
                }
                () = sleep_until(at), if !is_listing => {
                    due = None;
                    if replayed.take().is_some_and(|count| count >= RING) {
                        view.invalidate();
                    }
                    let need = if resync <= Instant::now() { Need::All } else { view.need() };
                    listing = match need {
                        Need::Nothing => Some(std::future::ready(Ok(())).boxed()),
                        Need::Some(ids) if ids.len() <= MOST_IDS => Some(
                            async move { quick(view.list_some(&ids)).await }.boxed(),
                        ),
                        Need::Some(_) | Need::All => {
                            resync = Instant::now() + jittered(self.options.resync_among(self.view.followed()));
                            Some(async { quick(view.list()).await.map(drop) }.boxed())
                        }
                    };
                }
                error = &mut pinging => return Err(error),
            }
        }
    }

    /// Notes what events say. `count` is how many there were.
    fn take(&self, batch: &EventBatch, since: LogTime, count: &mut usize) {
        for event in &batch.events {
            // Docker also gives older ones that it remembers.
            if event.time >= since {
                *count += 1;
                self.apply(event);
            }
        }
    }

    fn apply(&self, event: &EngineEvent) {
        match effect(event) {
            Effect::Nothing => {}
            Effect::One(id) => self.view.invalidate_one(id, expected(event)),
            Effect::All => self.view.invalidate(),
        }
    }

    /// Ends with the error of an Engine that does not answer.
    async fn pinging(&self) -> EngineError {
        let (limit, mut failures) = (self.options.ping / 2, 0);
        loop {
            if failures == 0 {
                sleep(jittered(self.options.ping_among(self.view.followed()))).await;
            }
            let answer = timeout(limit, self.view.engine().ping()).await;
            let error = match answer {
                Ok(Ok(_)) => {
                    self.view.heard();
                    failures = 0;
                    continue;
                }
                Ok(Err(error)) => error,
                Err(_) => {
                    let message = format!("no answer within {limit:?}");
                    EngineError::new(ErrorKind::ConnectionLost, "GET /_ping", message)
                }
            };
            failures += 1;
            // One may have hit a connection that was just closed.
            if failures >= 2 {
                return error;
            }
        }
    }
}

/// Why the stream of events ended.
async fn ended(reading: AbortOnDropHandle<Result<(), EngineError>>) -> EngineError {
    match reading.await {
        Ok(Err(error)) => error,
        Ok(Ok(())) => {
            EngineError::new(ErrorKind::ConnectionLost, OPERATION, "the Engine ended the stream")
        }
        Err(error) => EngineError::new(ErrorKind::ConnectionLost, OPERATION, error.to_string()),
    }
}

async fn quick<T>(call: impl Future<Output = Result<T, EngineError>>) -> Result<T, EngineError> {
    timeout(QUICK, call).await.unwrap_or_else(|_| {
        let message = format!("no answer within {QUICK:?}");
        Err(EngineError::new(ErrorKind::ConnectionLost, "following the host", message))
    })
}
