//! What is done to containers that are named in a request, one at a time.
//!
//! A name can shadow the prefix of another container's ID, and a name can move between two
//! calls; so a container is looked up first and then acted on by its full ID.

use std::time::Duration;

use serde::Deserialize;

use super::{QUICK, SLOW};
use crate::api::items::ItemDone;
use crate::api::views::parse;
use crate::body::violation::Violations;
use crate::domain::ContainerRef;
use crate::engine::{Change, EngineError, ErrorKind, null_to_default};
use crate::fleet::HostError;
use crate::fleet::fanout::HostCall;

/// The Engine's grace period for a container that does not set one.
const DEFAULT_STOP_TIMEOUT: i64 = 10;

/// What a stop takes beyond its grace period: SIGKILL, clean-up, the answer.
const STOP_MARGIN: Duration = Duration::from_secs(30);

/// What is done to a container.
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
    /// Let it go on.
    Unpause,
    /// Remove it.
    Remove { force: bool, volumes: bool, allow_missing: bool },
}

/// A container that was looked up.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its full ID.
    pub id: String,
    /// The same, to act on.
    pub reference: ContainerRef,
    /// Its own grace period in seconds, where it sets one.
    stop_timeout: Option<i64>,
}

#[derive(Deserialize)]
struct Inspected {
    #[serde(rename = "Id")]
    id: String,
    #[serde(rename = "Config", default, deserialize_with = "null_to_default")]
    config: Config,
}

#[derive(Deserialize, Default)]
struct Config {
    #[serde(rename = "StopTimeout", default)]
    stop_timeout: Option<i64>,
}

/// Looks a container up.
pub async fn resolve<P>(
    call: &HostCall<P>,
    container: &ContainerRef,
) -> Result<Found, EngineError> {
    const OPERATION: &str = "GET /containers/{id}/json";
    let document = call.engine.inspect_container(container, false).await?;
    let Inspected { id, config } = parse(&document, OPERATION)?;
    let reference = ContainerRef::parse(&id)
        .map_err(|error| EngineError::new(ErrorKind::BadAnswer, OPERATION, error.to_string()))?;
    Ok(Found { id, reference, stop_timeout: config.stop_timeout })
}

/// Checks a signal: a name or a number, as the Engine takes them.
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
    /// The time for one host where the caller sets none.
    pub fn default_timeout(&self) -> Duration {
        match self {
            Self::Kill { .. } | Self::Pause | Self::Unpause => QUICK,
            Self::Start | Self::Remove { .. } => SLOW,
            Self::Stop { timeout, .. } | Self::Restart { timeout, .. } => {
                SLOW.max(stop_time(*timeout))
            }
        }
    }

    /// Does it to one container.
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

/// How long a stop may take with this grace period; -1 waits for ever, which is cut at a day.
fn stop_time(timeout: Option<i64>) -> Duration {
    const DAY: u64 = 24 * 3600;
    let grace = timeout.unwrap_or(DEFAULT_STOP_TIMEOUT);
    Duration::from_secs(u64::try_from(grace).unwrap_or(DAY).min(DAY)) + STOP_MARGIN
}
