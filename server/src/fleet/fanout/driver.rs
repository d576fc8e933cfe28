//! The driver of a fan-out, which does not know what its work sends: it is compiled once instead of once
//! for each method.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::{JoinError, JoinSet, yield_now};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use super::FanoutOptions;
use crate::domain::{Host, HostName};
use crate::engine::{CallLog, Engine, Hedge, Hedges, Turn};
use crate::fleet::budget::{Budget, within};
use crate::fleet::outcome::{Done, HostError, HostOutcome};
use crate::fleet::pool::EnginePool;
use crate::fleet::trace::HostSpan;
use crate::fleet::view::host::ViewNote;

/// What is done on each host, and where its messages go.
pub(super) trait Work: Send + Sync + 'static {
    /// Prepares the work on one host.
    fn begin(&self, host: HostWork) -> Begun;
    /// Sends the outcome of a host.
    fn report(&self, host: HostName, outcome: HostOutcome) -> BoxFuture<'_, ()>;
    /// Returns when nobody is listening.
    fn abandoned(&self) -> BoxFuture<'_, ()>;
}

/// What the work on one host needs.
pub(super) struct HostWork {
    pub(super) host: Arc<Host>,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) budget: Arc<Budget>,
    pub(super) note: Arc<OnceLock<ViewNote>>,
}

/// The work on one host.
pub(super) struct Begun {
    pub(super) work: BoxFuture<'static, Result<Done, HostError>>,
    /// Without it, the work can send nothing: dropped when the host has its result.
    pub(super) _channel: Arc<dyn Any + Send + Sync>,
}

/// Hosts to begin with before those that have begun get on: otherwise the answer of the first host waits
/// until the requests to all others are sent.
const BEGUN_AT_ONCE: usize = 8;

/// Works on the hosts.
struct Driver {
    options: FanoutOptions,
    hedges: Option<Hedges>,
    pool: Arc<EnginePool>,
    background: TaskTracker,
    work: Box<dyn Work>,
}

/// Starts the work.
pub(super) fn start(
    hosts: Vec<Arc<Host>>,
    options: FanoutOptions,
    pool: Arc<EnginePool>,
    background: TaskTracker,
    work: Box<dyn Work>,
) {
    let hedges = options.hedge_after.map(|after| Hedges::new(after, hosts.len()));
    tokio::spawn(Driver { options, hedges, pool, background, work }.run(hosts));
}

impl Driver {
    async fn run(self, hosts: Vec<Arc<Host>>) {
        let driver = Arc::new(self);
        let mut waiting = hosts.into_iter();
        let mut running = JoinSet::new();
        let mut abandoned = driver.work.abandoned();
        loop {
            let mut begun = 0;
            while running.len() < driver.options.max_parallel.max(1) {
                let Some(host) = waiting.next() else { break };
                running.spawn(Arc::clone(&driver).one_host(host));
                begun += 1;
                if begun % BEGUN_AT_ONCE == 0 {
                    yield_now().await;
                }
            }
            tokio::select! {
                // Returning drops the set and with it all work that is not detached.
                () = &mut abandoned => return,
                finished = running.join_next() => if finished.is_none() { return },
            }
        }
    }

    async fn one_host(self: Arc<Self>, host: Arc<Host>) {
        let started = Instant::now();
        let name = host.name.clone();
        let note = Arc::new(OnceLock::new());
        let span = self.options.trace.as_ref().map(|trace| HostSpan::begin(trace, &host));
        let result = self.attempt(host, Arc::clone(&note), span.as_ref().map(HostSpan::log)).await;
        if let Some(span) = span {
            span.end(&result);
        }
        let after_change = self.options.changes.as_ref().and_then(|view| view.after_change(&name));
        let view = after_change.or_else(|| note.get().copied());
        let outcome = HostOutcome { result, elapsed: started.elapsed(), view };
        self.work.report(name, outcome).await;
    }

    async fn attempt(
        &self,
        host: Arc<Host>,
        note: Arc<OnceLock<ViewNote>>,
        log: Option<CallLog>,
    ) -> Result<Done, HostError> {
        let budget = Arc::new(Budget::new(self.options.limit(&host), self.options.caller_deadline));
        if budget.is_spent() {
            return Err(HostError::NotBegun);
        }
        let (engine, breaker) = self.pool.engine_and_breaker(&host)?;
        if !self.options.try_unreachable {
            breaker.admit().await.map_err(HostError::Unreachable)?;
        }
        let result = self.work_on(host, engine, budget, note, log).await;
        breaker.observe(result.as_ref().map_or_else(HostError::has_answered, |_| Some(true)));
        result
    }

    async fn work_on(
        &self,
        host: Arc<Host>,
        engine: Arc<dyn Engine>,
        budget: Arc<Budget>,
        note: Arc<OnceLock<ViewNote>>,
        log: Option<CallLog>,
    ) -> Result<Done, HostError> {
        let Begun { work, _channel } =
            self.work.begin(HostWork { host, engine, budget: Arc::clone(&budget), note });
        let hedge = self.hedges.as_ref().map(Hedges::for_host);
        let work = Hedge::of(hedge, CallLog::of(log, work));
        if self.options.detached {
            let limit = self.options.background_limit;
            let turn = Turn::new();
            let task = self.background.spawn(turn.of(async move {
                timeout(limit, work)
                    .await
                    .unwrap_or(Err(HostError::Timeout { budget: limit, goes_on: false }))
            }));
            // Without its caller, this future is dropped.
            let _guard = turn.guard();
            match within(&budget, task).await {
                Ok(joined) => joined.unwrap_or_else(|error| Err(panicked(&error))),
                Err(spent) => Err(HostError::Timeout { budget: spent, goes_on: !turn.give_up() }),
            }
        } else {
            match within(&budget, AssertUnwindSafe(work).catch_unwind()).await {
                Ok(finished) => finished.unwrap_or(Err(HostError::Panicked)),
                Err(spent) => Err(HostError::Timeout { budget: spent, goes_on: false }),
            }
        }
    }
}

fn panicked(error: &JoinError) -> HostError {
    tracing::error!(%error, "work on a host panicked");
    HostError::Panicked
}
