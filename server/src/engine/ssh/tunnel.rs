//! The way to one host: started when it is first needed, and again when it breaks or when a call
//! needs it, with growing and random pauses, so that hosts that went away together do not come back
//! together.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::directory::PrivateDirectory;
use super::fault::SshError;
use super::forward::Way;
use super::place::Place;
use super::said::Said;
use super::{LONGEST_PAUSE, Ssh};
use crate::domain::SshAddress;
use crate::engine::pause;

/// For as long, a failure is the answer to every call; after that, a call tries again.
const FRESH: Duration = Duration::from_secs(1);
/// A way that breaks sooner counts as a failed attempt.
const STABLE: Duration = Duration::from_secs(10);
/// How long the end of a process may go unnoticed.
const NOTICE: Duration = Duration::from_secs(1);
/// How long ssh may take to say why it closed a connection.
const WORD: Duration = Duration::from_millis(300);

/// The way to the Engine of one host. Dropping it ends its processes.
#[derive(Debug)]
pub(in crate::engine) struct Tunnel {
    shared: Arc<Shared>,
    supervisor: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    place: Arc<Place>,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone)]
enum State {
    /// Not needed so far, or ended and not needed since.
    Idle,
    /// An attempt is in progress, or due.
    Starting,
    /// It leads to the Engine.
    Up(Said),
    /// The last attempt failed.
    Down(SshError, Instant),
}

impl Tunnel {
    pub(super) fn new(
        ssh: Arc<Ssh>,
        directory: Arc<PrivateDirectory>,
        number: u64,
        address: SshAddress,
    ) -> Self {
        let place = Arc::new(Place { ssh, directory, address, name: format!("{number}.sock") });
        let shared = Arc::new(Shared { place, state: watch::Sender::new(State::Idle) });
        Self { shared, supervisor: Mutex::default() }
    }

    /// The socket to connect to, once [`ready`](Self::ready) says so.
    pub(in crate::engine) fn socket(&self) -> PathBuf {
        self.shared.place.socket()
    }

    /// Waits until there is a way to the Engine. An attempt goes on if the caller does not wait
    /// for it to end.
    pub(in crate::engine) async fn ready(&self) -> Result<(), SshError> {
        self.supervise();
        let mut state = self.shared.state.subscribe();
        self.shared.state.send_if_modified(|state| {
            let is_due = match state {
                State::Idle => true,
                State::Down(_, at) => at.elapsed() >= FRESH,
                State::Starting | State::Up(_) => false,
            };
            if is_due {
                *state = State::Starting;
            }
            is_due
        });
        let settled = state.wait_for(|state| matches!(state, State::Up(_) | State::Down(..))).await;
        match settled.as_deref() {
            Ok(State::Down(error, _)) => Err(error.clone()),
            // The sender lives as long as this.
            _ => Ok(()),
        }
    }

    /// Waits for a moment until it is noticed that the way has ended.
    pub(in crate::engine) async fn noticed(&self) {
        let mut state = self.shared.state.subscribe();
        let _ = timeout(NOTICE, state.wait_for(|state| !matches!(state, State::Up(_)))).await;
    }

    /// Why a call that began then got no answer, if ssh says that its connection was refused.
    pub(in crate::engine) async fn refusal_since(&self, begun: Instant) -> Option<SshError> {
        let said = match &*self.shared.state.borrow() {
            State::Up(said) => said.clone(),
            _ => return None,
        };
        let why = said.refusal_since(begun, WORD).await?;
        Some(SshError::of_connection(&self.shared.place.address, &why))
    }

    fn supervise(&self) {
        let mut supervisor = self.supervisor.lock().unwrap_or_else(PoisonError::into_inner);
        // Also where the runtime of an earlier one has ended, as in tests.
        if supervisor.as_ref().is_none_or(JoinHandle::is_finished) {
            *supervisor = Some(tokio::spawn(supervise(Arc::clone(&self.shared))));
        }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let supervisor = self.supervisor.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(supervisor) = supervisor.take() {
            supervisor.abort();
        }
        let _ = std::fs::remove_file(self.socket());
    }
}

async fn supervise(shared: Arc<Shared>) {
    let host = &shared.place.address;
    let mut starting = shared.state.subscribe();
    let mut failures = 0;
    loop {
        // Fails only without the sender, which this task holds.
        let _ = starting.wait_for(|state| matches!(state, State::Starting)).await;
        let pause_before_next = match shared.place.open().await {
            Ok(mut way) => {
                tracing::info!(%host, "connected over ssh");
                let begun = Instant::now();
                let why = stay_up(&shared, &mut way).await;
                tracing::warn!(%host, error = %why, "the ssh connection ended; connecting again");
                failures = if begun.elapsed() < STABLE { failures + 1 } else { 0 };
                drop(way);
                // Whoever needs it now waits for the next attempt.
                shared.state.send_replace(State::Starting);
                sleep(pause(if failures > 1 { failures } else { 0 }, LONGEST_PAUSE)).await;
                continue;
            }
            Err(error) => {
                failures += 1;
                tracing::warn!(%host, %error, "no connection over ssh");
                let may_pass = error.may_pass();
                shared.state.send_replace(State::Down(error, Instant::now()));
                may_pass.then(|| pause(failures, LONGEST_PAUSE))
            }
        };
        // A refused login is not repeated unasked: hosts lock out whoever does that.
        let needed = starting.wait_for(|state| matches!(state, State::Starting));
        match pause_before_next {
            Some(pause) => {
                if timeout(pause, needed).await.is_err() {
                    shared.state.send_replace(State::Starting);
                }
            }
            None => drop(needed.await),
        }
    }
}

/// Says that the way is there, until it breaks.
async fn stay_up(shared: &Shared, way: &mut Way) -> SshError {
    shared.state.send_replace(State::Up(way.said.clone()));
    way.broken(&shared.place.address).await
}
