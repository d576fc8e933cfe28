//! Actions on named containers, one at a time.
//!
//! A name can shadow the prefix of another container's ID, and can move between two calls; so a
//! container is first looked up and then used by its full ID.

use std::time::Duration;

use crate::api::items::ItemDone;
use crate::api::time_limits::{CHANGE, SLOW};
use crate::body::violation::Violations;
use crate::domain::ContainerRef;
use crate::engine::{Change, ContainerFacts, EngineError, ErrorKind, Inspection};
use crate::fleet::HostError;
use crate::fleet::fanout::HostCall;

/// The Engine's grace period for a container that does not set one.
const DEFAULT_STOP_TIMEOUT: i64 = 10;

/// Time for a stop beyond its grace period: SIGKILL, cleanup, response.
const STOP_MARGIN: Duration = Duration::from_secs(30);

/// An action on a container.
#[derive(Debug, Clone)]
pub enum Action {
    /// Start it.
    Start,
    /// Stop it after a grace period in seconds; `None` is its own signal.
    Stop { timeout: Option<i64>, signal: Option<String> },
    /// Stop and start it.
    Restart { timeout: Option<i64>, signal: Option<String> },
    /// Send it a signal; `None` is SIGKILL.
    Kill { signal: Option<String> },
    /// Freeze it.
    Pause,
    /// Resume it.
    Unpause,
    /// Remove it.
    Remove { force: bool, volumes: bool, allow_missing: bool },
}

/// A looked-up container.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its full ID.
    pub id: String,
    /// The same, to act on.
    pub reference: ContainerRef,
    /// Its own grace period in seconds, if set.
    stop_timeout: Option<i64>,
}

/// Looks a container up.
pub async fn resolve<P>(
    call: &HostCall<P>,
    container: &ContainerRef,
) -> Result<Found, EngineError> {
    let document = call.engine.inspect_container(container, false).await?;
    let ContainerFacts { id, stop_timeout, .. } = Inspection::read(&document)?.facts;
    let reference = ContainerRef::parse(&id).map_err(|error| {
        let operation = "GET /containers/{id}/json";
        EngineError::new(ErrorKind::BadAnswer, operation, error.to_string())
    })?;
    Ok(Found { id, reference, stop_timeout })
}

/// Checks a signal: a name or a number, as the Engine accepts them.
pub fn signal(violations: &mut Violations, text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let known = text.len() <= 16
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-".contains(&byte));
    if !known {
        violations.add("signal", "must be a signal such as SIGTERM, HUP or 9");
        return None;
    }
    Some(text.to_owned())
}

impl Action {
    /// The default time limit for one host.
    pub fn default_timeout(&self) -> Duration {
        match self {
            Self::Kill { .. } | Self::Pause | Self::Unpause => CHANGE,
            Self::Start | Self::Remove { .. } => SLOW,
            Self::Stop { timeout, .. } | Self::Restart { timeout, .. } => {
                SLOW.max(stop_time(*timeout))
            }
        }
    }

    /// Applies the action to one container.
    pub async fn act<P>(
        &self,
        call: &HostCall<P>,
        container: &ContainerRef,
    ) -> Result<ItemDone, HostError> {
        let found = match resolve(call, container).await {
            Ok(found) => found,
            Err(error) if error.kind == ErrorKind::ContainerNotFound && self.allows_missing() => {
                return Ok(ItemDone { id: String::new(), changed: false });
            }
            Err(error) => return Err(error.into()),
        };
        let (engine, target) = (&call.engine, &found.reference);
        let changed = match self {
            Self::Start => engine.start_container(target).await? == Change::Made,
            Self::Stop { timeout, signal } => {
                call.allow_at_least(stop_time(timeout.or(found.stop_timeout)));
                let stopped = match signal {
                    None => engine.stop_container(target, *timeout).await?,
                    Some(signal) => {
                        engine.stop_with_signal(target, false, *timeout, signal).await?
                    }
                };
                stopped == Change::Made
            }
            Self::Restart { timeout, signal } => {
                call.allow_at_least(stop_time(timeout.or(found.stop_timeout)));
                match signal {
                    None => engine.restart_container(target, *timeout).await?,
                    Some(signal) => {
                        engine.stop_with_signal(target, true, *timeout, signal).await?;
                    }
                }
                true
            }
            Self::Kill { signal } => {
                engine.kill_container(target, signal.as_deref()).await?;
                true
            }
            Self::Pause => engine.pause_container(target).await? == Change::Made,
            Self::Unpause => engine.unpause_container(target).await? == Change::Made,
            Self::Remove { force, volumes, allow_missing } => {
                match engine.remove_container(target, *force, *volumes).await {
                    Ok(()) => true,
                    Err(error) if error.kind == ErrorKind::ContainerNotFound && *allow_missing => {
                        false
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        Ok(ItemDone { id: found.id, changed })
    }

    fn allows_missing(&self) -> bool {
        matches!(self, Self::Remove { allow_missing: true, .. })
    }
}

/// Time limit of a stop with this grace period; -1 waits forever, which is limited to a day.
fn stop_time(timeout: Option<i64>) -> Duration {
    const DAY: u64 = 24 * 3600;
    let grace = timeout.unwrap_or(DEFAULT_STOP_TIMEOUT);
    Duration::from_secs(u64::try_from(grace).unwrap_or(DAY).min(DAY)) + STOP_MARGIN
}
