//! A model with a clock, a lock, and a power switch: shared by the in-process Engine and the HTTP
//! front, and the place where a test reads the true state.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use wharf_server::engine::ApiVersion;

use crate::model::{EngineOptions, Model, Refusal, Registries, Time};

/// The time of a simulation: that of tokio, so a paused clock drives it. Copies are one clock.
#[derive(Debug, Clone, Copy)]
pub struct SimClock {
    started: Instant,
    beginning: Time,
}

/// One simulated host.
#[derive(Debug)]
pub struct SimHost {
    modelled: Mutex<Modelled>,
    clock: SimClock,
    power: watch::Sender<Power>,
    changed: Notify,
}

/// How the Engine of a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Power {
    /// What callers meet.
    pub state: PowerState,
    /// Crashes so far: who began a call before the last one has lost the connection.
    pub crashes: u64,
}

/// The model, and what was read of it since it last changed: simulated rollouts inspect the same containers
/// again and again, and would spend half of their time in writing JSON.
#[derive(Debug)]
struct Modelled {
    model: Model,
    inspections: HashMap<(String, ApiVersion, bool), String>,
}

/// What callers of an Engine meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerState {
    /// It answers.
    Up,
    /// Connections are refused.
    Down,
    /// It takes connections and does not answer, as under SIGSTOP. Its containers run.
    Hung,
}

impl SimClock {
    /// Begins at the usual time of simulations.
    pub fn new() -> Self {
        Self::starting_at(Time::BEGINNING)
    }

    /// Begins at another time.
    pub fn starting_at(beginning: Time) -> Self {
        Self { started: Instant::now(), beginning }
    }

    /// Now.
    pub fn now(&self) -> Time {
        self.beginning + self.started.elapsed()
    }

    fn instant(&self, time: Time) -> Instant {
        self.started + time.since(self.beginning)
    }
}

impl Default for SimClock {
    fn default() -> Self {
        Self::new()
    }
}

impl SimHost {
    /// A host whose Engine is up and empty.
    pub fn new(options: EngineOptions, registries: Registries) -> Arc<Self> {
        Self::with_clock(options, registries, SimClock::new())
    }

    /// The same, with the clock of its simulation.
    pub fn with_clock(
        options: EngineOptions,
        registries: Registries,
        clock: SimClock,
    ) -> Arc<Self> {
        let mut model = Model::new(options, registries);
        model.advance(clock.now());
        let power = Power { state: PowerState::Up, crashes: 0 };
        Arc::new(Self {
            modelled: Mutex::new(Modelled { model, inspections: HashMap::new() }),
            clock,
            power: watch::Sender::new(power),
            changed: Notify::new(),
        })
    }

    /// Looks at the model or changes it, now.
    pub fn with<R>(&self, act: impl FnOnce(&mut Model, Time) -> R) -> R {
        let result = self.look(act);
        self.changed.notify_waiters();
        result
    }

    /// Waits until `see` sees what it waits for.
    pub async fn until<R>(&self, mut see: impl FnMut(&mut Model, Time) -> Option<R>) -> R {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Before the look: a change after it must not be missed.
            changed.as_mut().enable();
            let (seen, next) = self.look(|model, now| (see(model, now), model.next_event()));
            if let Some(seen) = seen {
                return seen;
            }
            match next {
                Some(next) => {
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep_until(self.clock.instant(next)) => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    /// The clock of the host.
    pub fn clock(&self) -> SimClock {
        self.clock
    }

    /// The Engine dies. Its processes end when it comes back ([`Model::reboot`]).
    pub fn crash(&self) {
        self.power.send_modify(|power| {
            power.state = PowerState::Down;
            power.crashes += 1;
        });
    }

    /// The Engine comes back after a crash, and applies restart policies.
    pub fn boot(&self) {
        let now = self.clock.now();
        self.lock().forget_inspections().reboot(now);
        self.set(PowerState::Up);
        self.changed.notify_waiters();
    }

    /// Crashes, and comes back after a while.
    pub async fn restart_engine(&self, downtime: Duration) {
        self.crash();
        tokio::time::sleep(downtime).await;
        self.boot();
    }

    /// The Engine stops to answer, or answers again. What came meanwhile is then answered.
    pub fn set_hung(&self, hung: bool) {
        self.set(if hung { PowerState::Hung } else { PowerState::Up });
    }

    /// Connections are refused from now on, while the containers run: a network that is gone.
    pub fn set_unreachable(&self, unreachable: bool) {
        self.set(if unreachable { PowerState::Down } else { PowerState::Up });
    }

    /// How the Engine is.
    pub fn power(&self) -> Power {
        *self.power.borrow()
    }

    /// Tells changes of [`SimHost::power`].
    pub fn watch_power(&self) -> watch::Receiver<Power> {
        self.power.subscribe()
    }

    /// Ends when the Engine crashes after `seen`.
    pub(crate) async fn crashed(&self, seen: Power) {
        let mut power = self.power.subscribe();
        // The sender lives as long as self.
        let _ = power.wait_for(|power| power.crashes > seen.crashes).await;
    }

    /// Ends when the Engine does not hang.
    pub(crate) async fn awake(&self) -> Power {
        let mut power = self.power.subscribe();
        // The sender lives as long as self, so the wait cannot fail.
        let _ = power.wait_for(|power| power.state != PowerState::Hung).await;
        self.power()
    }

    fn set(&self, state: PowerState) {
        self.power.send_modify(|power| power.state = state);
    }

    fn look<R>(&self, act: impl FnOnce(&mut Model, Time) -> R) -> R {
        let now = self.clock.now();
        let mut modelled = self.lock();
        let model = modelled.forget_inspections();
        model.advance(now);
        act(model, now)
    }

    /// The versions of the API that the Engine speaks.
    pub(crate) fn versions(&self) -> (ApiVersion, ApiVersion) {
        let modelled = self.lock();
        let options = modelled.model.options();
        (options.min_api_version, options.api_version)
    }

    /// The inspection of a container, as text.
    pub(crate) fn inspect(
        &self,
        version: ApiVersion,
        name: &str,
        size: bool,
    ) -> Result<String, Refusal> {
        let now = self.clock.now();
        let mut modelled = self.lock();
        if modelled.model.next_event().is_some_and(|at| at <= now) {
            modelled.forget_inspections().advance(now);
        }
        let key = (name.to_owned(), version, size);
        if let Some(known) = modelled.inspections.get(&key) {
            return Ok(known.clone());
        }
        let text = modelled.model.inspect(version, name, size)?.to_string();
        modelled.inspections.insert(key, text.clone());
        Ok(text)
    }

    fn lock(&self) -> MutexGuard<'_, Modelled> {
        // A test that panicked while it looked has not broken the model.
        self.modelled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Modelled {
    /// The model, for what may change it.
    fn forget_inspections(&mut self) -> &mut Model {
        self.inspections.clear();
        &mut self.model
    }
}
