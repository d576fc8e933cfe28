//! Events of an Engine, as they come.

use std::sync::Arc;
use std::time::Duration;

use super::link::{Call, Link, bad_answer};
use crate::engine::events::EngineEvent;
use crate::engine::lines::{LineDecoder, LineTooLong};
use crate::engine::operation::{EVENTS, LINE_CAP};
use crate::engine::{EventBatch, EventQuery, EventSink, LogTime, Result};

/// The earliest time that is not "none" to an Engine.
const BEGINNING: LogTime = LogTime { seconds: 1, nanos: 0 };
/// How much earlier Podman is to begin: it reads the time with a limited precision.
const OVERLAP: Duration = Duration::from_secs(2);

/// Reads events until the answer ends or the sink is closed.
pub(super) async fn read(link: &Arc<Link>, query: &EventQuery, sink: &EventSink) -> Result<()> {
    let is_podman = !link.negotiated(&EVENTS).await?.is_exact;
    // Docker has only the last 256, and these show whether there was a gap; Podman may have millions.
    let since = if is_podman { query.since.earlier(OVERLAP).max(BEGINNING) } else { BEGINNING };
    let call = Call::new(&EVENTS, &["events"])
        .with("since", since.to_string())
        // Podman's answer ends too early with a past time, after only some of the events.
        .with_some("until", query.until.filter(|_| !is_podman).map(|time| time.to_string()))
        .with_some("stream", (is_podman && !query.follow).then_some("false"));
    link.open(&call, |mut opened| async move {
        let batch = |events| EventBatch { events, are_stored: is_podman };
        // The stream is open, also if nothing happens.
        if sink.send(batch(Vec::new())).await.is_err() {
            return Ok(());
        }
        let mut lines = LineDecoder::new(LINE_CAP);
        loop {
            let chunk = tokio::select! {
                chunk = opened.chunk() => chunk?,
                () = sink.closed() => return Ok(()),
            };
            let Some(chunk) = chunk else { return Ok(()) };
            let mut events = Vec::new();
            let decoded = lines.push(&chunk, |line| {
                events.push(EngineEvent::of_line(line, is_podman)?);
                Ok(())
            });
            if !events.is_empty() && sink.send(batch(events)).await.is_err() {
                return Ok(());
            }
            decoded.map_err(|Unreadable(problem)| bad_answer(&EVENTS, &problem))?;
        }
    })
    .await
}

/// A line that is no event.
struct Unreadable(String);

impl From<LineTooLong> for Unreadable {
    fn from(error: LineTooLong) -> Self {
        Self(error.to_string())
    }
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}
