//! Which API version to speak with a host: asked once, remembered, and shared by all calls
//! that race to be the first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use super::link::{Call, Link};
use super::opened::{Answer, bad_answer};
use crate::engine::operation::{self, Operation};
use crate::engine::version::{CLIENT_MIN, choose_version, needs_minimum};
use crate::engine::{ApiVersion, EngineError, ErrorKind, Result, wire};

/// A header that only podman's answers have.
const PODMAN_HEADER: &str = "Libpod-Api-Version";

/// Whether it is an answer of Podman.
pub(super) fn is_podman(answer: &Answer) -> bool {
    answer.headers.contains_key(PODMAN_HEADER)
}

/// What was agreed with an Engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Negotiated {
    /// The version to speak.
    pub(super) version: ApiVersion,
    /// The highest version the Engine speaks, where it says so.
    pub(super) max: Option<ApiVersion>,
    /// The lowest it accepts, where it was asked.
    pub(super) min: Option<ApiVersion>,
    /// Whether its version says which settings it knows. Podman's does not: it names an old one
    /// and takes newer settings.
    pub(super) is_exact: bool,
}

/// What was agreed, or the negotiation that is under way.
#[derive(Debug, Default)]
pub(super) struct VersionCell(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    known: Option<Negotiated>,
    // Weak: a negotiation that nobody waits for any more ends, instead of standing half done.
    running: Option<WeakShared<BoxFuture<'static, Result<Negotiated>>>>,
}

impl VersionCell {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what `GET /version` said of the lowest version.
    pub(super) fn learn_minimum(&self, min: ApiVersion) {
        if let Some(known) = &mut self.state().known {
            known.min = Some(min);
        }
    }

    /// Forgets what was agreed, if it still is `version`.
    fn forget(&self, version: ApiVersion) {
        let mut state = self.state();
        if state.known.is_some_and(|known| known.version == version) {
            state.known = None;
        }
    }
}

impl Link {
    /// What was agreed with the Engine; asks it if that is not known. Errors carry the name of
    /// `operation`, on whose behalf it was asked: nothing of it was sent then.
    pub(super) async fn negotiated(self: &Arc<Self>, operation: &Operation) -> Result<Negotiated> {
        let negotiation = {
            let mut state = self.version.state();
            if let Some(known) = state.known {
                return Ok(known);
            }
            match state.running.as_ref().and_then(WeakShared::upgrade) {
                Some(running) => running,
                None => {
                    let negotiation: Shared<BoxFuture<'static, Result<Negotiated>>> =
                        negotiate(Arc::clone(self)).boxed().shared();
                    state.running = negotiation.downgrade();
                    negotiation
                }
            }
        };
        negotiation.await.map_err(|error| EngineError { operation: operation.name, ..error })
    }

    /// Asks the Engine anew after it refused `refused`.
    pub(super) async fn negotiate_again(
        self: &Arc<Self>,
        operation: &Operation,
        refused: ApiVersion,
    ) -> Result<Negotiated> {
        self.version.forget(refused);
        self.negotiated(operation).await
    }
}

async fn negotiate(link: Arc<Link>) -> Result<Negotiated> {
    let result = tokio::time::timeout(link.negotiation, ask(&link)).await.unwrap_or_else(|_| {
        let message = format!(
            "{} took the connection but did not answer within {:?}; the Engine hangs, or something else listens there",
            link.address, link.negotiation
        );
        Err(EngineError::new(ErrorKind::ConnectionLost, operation::PING.name, message))
    });
    let mut state = link.version.state();
    state.running = None;
    if let Ok(negotiated) = &result {
        tracing::debug!(host = %link.address, version = %negotiated.version, "negotiated");
        state.known = Some(*negotiated);
    }
    result
}

async fn ask(link: &Arc<Link>) -> Result<Negotiated> {
    let (max, is_exact) = ask_maximum(link).await?;
    let min = if needs_minimum(max) { ask_minimum(link, max).await? } else { None };
    match choose_version(max, min) {
        Ok(version) => Ok(Negotiated { version, max, min, is_exact }),
        Err(error) => Err(EngineError::new(
            ErrorKind::NoCommonApiVersion,
            operation::PING.name,
            error.to_string(),
        )),
    }
}

/// The highest version, from the header of `/_ping`, the one path that needs no version; and whether
/// it says which settings are known.
async fn ask_maximum(link: &Arc<Link>) -> Result<(Option<ApiVersion>, bool)> {
    let is_exact = |answer: &Answer| !is_podman(answer);
    let head = Call::new(&operation::PING_HEAD, &["_ping"]);
    match link.send_with(&head, None).await {
        Ok(answer) => {
            if let Some(max) = maximum_of(&answer)? {
                return Ok((Some(max), is_exact(&answer)));
            }
        }
        // Engines before 19.03 do not know HEAD there, and some proxies fail on it.
        Err(error) if error.http_status.is_some() || error.kind == ErrorKind::ConnectionLost => {}
        Err(error) => return Err(error),
    }
    let get = Call::new(&operation::PING, &["_ping"]);
    let answer = link.send_with(&get, None).await?;
    match maximum_of(&answer)? {
        Some(max) => Ok((Some(max), is_exact(&answer))),
        None if answer.body.trim_ascii() == b"OK" => Ok((None, is_exact(&answer))),
        None => Err(bad_answer(
            &operation::PING,
            "it has neither an Api-Version nor the text OK; check that an Engine listens there",
        )),
    }
}

/// The lowest version, asked with the Engine's own highest, which it cannot refuse.
async fn ask_minimum(link: &Arc<Link>, max: Option<ApiVersion>) -> Result<Option<ApiVersion>> {
    let call = Call::new(&operation::VERSION, &["version"]);
    let answer = link.send_with(&call, Some(max.unwrap_or(CLIENT_MIN))).await?;
    let versions: wire::Versions = answer.json().await?;
    Ok(versions.min.and_then(|text| text.parse().ok()))
}

/// The header of a ping, where there is one.
pub(super) fn maximum_of(answer: &Answer) -> Result<Option<ApiVersion>> {
    let Some(value) = answer.headers.get("Api-Version") else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    text.parse().map(Some).map_err(|error: crate::engine::types::InvalidApiVersion| {
        bad_answer(&operation::PING, &error.to_string())
    })
}
