//! Whether a host answers, so that one that is known to be unreachable does not delay reads.
//!
//! A read that does not reach a host, or gets no answer in its time, makes the host suspect, and a
//! probe asks its Engine for a ping. If that fails, too, the host is unreachable until a probe or a
//! call succeeds: reads fail at once, with the failure of the last attempt and its age. Probes continue
//! in the background with growing and random pauses. A read asks for one more and waits a moment for
//! it, so that a host that is back serves the first read after its return.
//!
//! Calls that change something always try, because their caller wants them done.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::domain::HostName;
use crate::engine::{Engine, EngineError, ErrorKind, pause};

/// Time limit of a probe. An Engine answers a ping from memory.
const PROBE: Duration = Duration::from_secs(5);
/// Longest pause between two probes.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Time for which a read waits for a new probe of an unreachable host.
const PATIENCE: Duration = Duration::from_millis(250);
/// Age of the last attempt up to which a read needs no new probe.
const RECENT: Duration = Duration::from_secs(1);

/// What is known of an unreachable host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    /// When the first attempt failed.
    pub since: SystemTime,
    /// When the last attempt failed.
    pub attempted: SystemTime,
    /// How it failed.
    pub failure: EngineError,
}

/// Whether one host answers.
pub struct Breaker {
    host: HostName,
    engine: Arc<dyn Engine>,
    state: Mutex<State>,
    /// Asks for a probe now.
    wanted: Arc<Notify>,
    /// Changes with every probe that ended.
    probes: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Since when a failed attempt was followed by no success.
    failing_since: Option<SystemTime>,
    unreachable: Option<Unreachable>,
    /// Whether a task probes the host.
    is_probed: bool,
}

impl Breaker {
    /// For a host that is expected to answer.
    pub fn new(host: HostName, engine: Arc<dyn Engine>) -> Arc<Self> {
        let (probes, _) = watch::channel(());
        Arc::new(Self { host, engine, state: Mutex::default(), wanted: Arc::default(), probes })
    }

    /// What is known, if the host is unreachable.
    pub fn unreachable(&self) -> Option<Unreachable> {
        self.lock().unreachable.clone()
    }

    /// Fails if the host is unreachable, after a moment for a new probe.
    pub async fn admit(&self) -> Result<(), Unreachable> {
        let Some(unreachable) = self.unreachable() else { return Ok(()) };
        if unreachable.attempted.elapsed().is_ok_and(|age| age > RECENT) {
            let mut probes = self.probes.subscribe();
            self.wanted.notify_one();
            let _ = timeout(PATIENCE, probes.changed()).await;
        }
        self.unreachable().map_or(Ok(()), Err)
    }

    /// Learns from the end of the work on the host whether its Engine answered; `None` says nothing.
    pub fn observe(self: &Arc<Self>, has_answered: Option<bool>) {
        match has_answered {
            Some(true) => self.reached(),
            Some(false) => {
                let mut state = self.lock();
                state.failing_since.get_or_insert_with(SystemTime::now);
                if !std::mem::replace(&mut state.is_probed, true) {
                    tokio::spawn(probe(Arc::downgrade(self), Arc::clone(&self.wanted)));
                } else if state.unreachable.is_none() {
                    // It was reached a moment ago, and the last probes still pause.
                    self.wanted.notify_one();
                }
            }
            None => {}
        }
    }

    fn reached(&self) {
        let mut state = self.lock();
        state.failing_since = None;
        if let Some(unreachable) = state.unreachable.take() {
            let seconds = unreachable.since.elapsed().unwrap_or_default().as_secs();
            tracing::info!(host = %self.host, seconds, "the host is reachable again");
        }
    }

    /// Takes the result of a probe. Returns whether another one is needed.
    fn probed(&self, result: Result<(), EngineError>) -> bool {
        let goes_on = match result {
            Err(failure) if failure.kind.is_silence() => {
                let mut state = self.lock();
                let attempted = SystemTime::now();
                let since = *state.failing_since.get_or_insert(attempted);
                if state.unreachable.is_none() {
                    tracing::warn!(host = %self.host, error = %failure, "the host is unreachable");
                }
                let unreachable = Unreachable { since, attempted, failure };
                state.unreachable = Some(unreachable);
                true
            }
            _ => {
                self.reached();
                self.lock().is_probed = false;
                false
            }
        };
        self.probes.send_replace(());
        goes_on
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Breaker").field("state", &*self.lock()).finish_non_exhaustive()
    }
}

/// Probes a host until it answers, or until it is no longer in the fleet.
async fn probe(breaker: Weak<Breaker>, wanted: Arc<Notify>) {
    for failures in 0.. {
        let Some(engine) = breaker.upgrade().map(|breaker| Arc::clone(&breaker.engine)) else {
            return;
        };
        let result = match timeout(PROBE, engine.ping()).await {
            Ok(result) => result.map(drop),
            Err(_) => {
                let message = format!("no answer to a ping within {} s", PROBE.as_secs());
                Err(EngineError::new(ErrorKind::Unreachable, "GET /_ping", message))
            }
        };
        drop(engine);
        if !breaker.upgrade().is_some_and(|breaker| breaker.probed(result)) {
            return;
        }
        let _ = timeout(pause(failures, LONGEST_PAUSE), wanted.notified()).await;
    }
}
