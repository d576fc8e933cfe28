//! Negotiates the API version with a host: queried once, cached, and shared by all concurrent first
//! calls.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use super::{Answer, bad_answer};
use super::{Call, Link};
use crate::engine::operation::{self, Operation};
use crate::engine::version::{CLIENT_MIN, choose_version, needs_minimum};
use crate::engine::{ApiVersion, EngineError, ErrorKind, Result, wire};

/// A header that only podman's answers have.
const PODMAN_HEADER: &str = "Libpod-Api-Version";

/// Whether it is an answer of Podman.
pub(in crate::engine::http) fn is_podman(answer: &Answer) -> bool {
    answer.headers.contains_key(PODMAN_HEADER)
}

/// The result of the negotiation with an Engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine::http) struct Negotiated {
    /// The version to speak.
    pub(in crate::engine::http) version: ApiVersion,
    /// The highest version that the Engine supports, if it reports it.
    pub(in crate::engine::http) max: Option<ApiVersion>,
    /// The lowest version, if queried.
    pub(in crate::engine::http) min: Option<ApiVersion>,
    /// Whether its version says which settings it supports. Podman's does not: it reports an old
    /// one and accepts newer settings.
    pub(in crate::engine::http) is_exact: bool,
}

/// The result, or the negotiation in progress.
#[derive(Debug, Default)]
pub(in crate::engine::http) struct VersionCell(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    known: Option<Negotiated>,
    // Weak: a negotiation that nobody waits for ends, instead of staying unfinished.
    running: Option<WeakShared<BoxFuture<'static, Result<Negotiated>>>>,
}

impl VersionCell {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The version that is spoken, once it is negotiated.
    pub(in crate::engine::http) fn spoken(&self) -> Option<ApiVersion> {
        self.state().known.map(|known| known.version)
    }

    /// Stores the lowest version from `GET /version`.
    pub(in crate::engine::http) fn learn_minimum(&self, min: ApiVersion) {
        if let Some(known) = &mut self.state().known {
            known.min = Some(min);
        }
    }

    /// Discards the result, if it still is `version`.
    fn forget(&self, version: ApiVersion) {
        let mut state = self.state();
        if state.known.is_some_and(|known| known.version == version) {
            state.known = None;
        }
    }
}

impl Link {
    /// The result for the Engine; queries it if unknown. Errors have the name of `operation`, which
    /// caused the query: nothing of it was sent in that case.
    pub(in crate::engine::http) async fn negotiated(
        self: &Arc<Self>,
        operation: &Operation,
    ) -> Result<Negotiated> {
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

    /// Queries the Engine again after it refused `refused`.
    pub(in crate::engine::http) async fn negotiate_again(
        self: &Arc<Self>,
        operation: &Operation,
        refused: ApiVersion,
    ) -> Result<Negotiated> {
        self.version.forget(refused);
        self.negotiated(operation).await
    }
}

async fn negotiate(link: Arc<Link>) -> Result<Negotiated> {
    // The login over ssh is not part of the time: others may be before it.
    let way = match &link.tunnel {
        Some(tunnel) => tunnel.ready().await,
        None => Ok(()),
    };
    if let Err(error) = way {
        link.version.state().running = None;
        return Err(EngineError::new(error.kind, operation::PING.name, error.message));
    }
    let result = tokio::time::timeout(link.negotiation, ask(&link)).await.unwrap_or_else(|_| {
        let message = format!(
            "{} accepted the connection but did not answer within {:?}; the Engine hangs, or another program listens there",
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

/// The highest version, from the header of `/_ping`, the only path without a version; and whether
/// it says which settings are supported.
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

/// The lowest version, queried with the Engine's own highest, which it cannot refuse.
async fn ask_minimum(link: &Arc<Link>, max: Option<ApiVersion>) -> Result<Option<ApiVersion>> {
    let call = Call::new(&operation::VERSION, &["version"]);
    let answer = link.send_with(&call, Some(max.unwrap_or(CLIENT_MIN))).await?;
    let versions: wire::Versions = answer.json().await?;
    Ok(versions.min.and_then(|text| text.parse().ok()))
}

/// The header of a ping, if any.
pub(in crate::engine::http) fn maximum_of(answer: &Answer) -> Result<Option<ApiVersion>> {
    let Some(value) = answer.headers.get("Api-Version") else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    text.parse().map(Some).map_err(|error: crate::engine::types::InvalidApiVersion| {
        bad_answer(&operation::PING, &error.to_string())
    })
}
