//! Bodies that take time.

use std::future::pending;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::task::yield_now;
use tokio::time::sleep;

use super::counters::InFlight;
use super::fault::HttpFault;
use super::reply::{Body, json_bytes};
use crate::follow::{EventStream, Following};
use crate::host::SimHost;
use crate::model::{BuildPlan, LoadPlan, PullPlan, PushPlan, Step, event_json};
use crate::sampling::Sampling;

/// A transfer or a build under way.
pub(super) struct Transfer {
    pub host: Arc<SimHost>,
    pub work: Work,
    pub fault: Option<HttpFault>,
    pub in_flight: InFlight,
}

/// What is done at the end.
pub(super) enum Work {
    Pull(Vec<PullPlan>),
    Push(PushPlan),
    Load(LoadPlan),
    Build(BuildPlan),
}

/// Where a transfer stands.
struct Position {
    transfer: Transfer,
    steps: std::vec::IntoIter<Step>,
    lines: usize,
}

impl Transfer {
    /// The lines, and with the last one the effect. Who stops reading stops the transfer.
    pub(super) fn into_body(self) -> Body {
        let steps: Vec<Step> = match &self.work {
            Work::Pull(plans) => plans.iter().flat_map(|plan| plan.steps.clone()).collect(),
            Work::Push(plan) => plan.steps.clone(),
            Work::Load(plan) => plan.steps.clone(),
            Work::Build(plan) => plan.steps.clone(),
        };
        let begin = Position { transfer: self, steps: steps.into_iter(), lines: 0 };
        body(stream::unfold(Some(begin), |position| async { next(position?).await }))
    }

    fn finish(self) {
        self.host.with(|model, now| match &self.work {
            Work::Pull(plans) => {
                for plan in plans {
                    model.finish_pull(now, plan);
                }
            }
            Work::Push(plan) => model.finish_push(now, plan),
            Work::Load(plan) => model.finish_load(now, plan),
            Work::Build(plan) => model.finish_build(now, plan),
        });
        self.in_flight.whole();
    }
}

/// A body of these bytes that stops before its end, as if the Engine hung.
pub(super) fn stalled(bytes: Bytes, in_flight: InFlight) -> Body {
    let begin = (Some(bytes), in_flight);
    body(stream::unfold(begin, |(bytes, in_flight)| async move {
        match bytes {
            Some(bytes) => Some((Ok(bytes), (None, in_flight))),
            None => pending().await,
        }
    }))
}

/// JSON that comes later than the head of the answer.
pub(super) fn later(
    value: impl Future<Output = Value> + Send + 'static,
    in_flight: InFlight,
) -> Body {
    body(stream::once(async move {
        let bytes = Bytes::from(json_bytes(&value.await));
        in_flight.whole();
        Ok(bytes)
    }))
}

/// The entries of a log, as they come.
pub(super) fn log(log: Following, in_flight: InFlight) -> Body {
    body(stream::unfold((log, Some(in_flight)), |(mut log, mut in_flight)| async move {
        let Some(view) = log.next().await else {
            if let Some(in_flight) = in_flight.take() {
                in_flight.whole();
            }
            return None;
        };
        let bytes: Vec<u8> =
            view.entries.iter().flat_map(|entry| entry.encoded(view.tty)).collect();
        Some((Ok(bytes.into()), (log, in_flight)))
    }))
}

/// Samples, as they are taken.
pub(super) fn stats(samples: Sampling, in_flight: InFlight) -> Body {
    body(stream::unfold((samples, Some(in_flight)), |(mut samples, mut in_flight)| async move {
        let Some(sample) = samples.next().await else {
            if let Some(in_flight) = in_flight.take() {
                in_flight.whole();
            }
            return None;
        };
        Some((Ok(line(&sample)), (samples, in_flight)))
    }))
}

/// Events, as they happen.
pub(super) fn events(events: EventStream, in_flight: InFlight) -> Body {
    body(stream::unfold((events, Some(in_flight)), |(mut events, mut in_flight)| async move {
        let Some(batch) = events.next().await else {
            if let Some(in_flight) = in_flight.take() {
                in_flight.whole();
            }
            return None;
        };
        let bytes: Vec<u8> =
            batch.iter().flat_map(|event| json_bytes(&event_json(event))).collect();
        Some((Ok(bytes.into()), (events, in_flight)))
    }))
}

/// A body that never ends.
pub(super) fn endless(chunk: Bytes, in_flight: InFlight) -> Body {
    let begin = (chunk, in_flight);
    body(stream::unfold(begin, |(chunk, in_flight)| async move {
        // What is there goes out before there is more.
        yield_now().await;
        Some((Ok(chunk.clone()), (chunk, in_flight)))
    }))
}

async fn next(mut position: Position) -> Option<(io::Result<Bytes>, Option<Position>)> {
    let lines = position.lines;
    match &position.transfer.fault {
        Some(HttpFault::StreamError { after_lines, message }) if *after_lines <= lines => {
            let error = json!({"errorDetail": {"message": message}, "error": message});
            position.transfer.in_flight.whole();
            return Some((Ok(line(&error)), None));
        }
        Some(HttpFault::CutStream { after_lines }) if *after_lines <= lines => {
            position.transfer.in_flight.whole();
            // Lines before this one are sent only while the stream waits.
            sleep(std::time::Duration::from_millis(1)).await;
            return Some((Err(io::Error::other("cut by the script")), None));
        }
        Some(HttpFault::StallStream { after_lines }) if *after_lines <= lines => pending().await,
        Some(HttpFault::EndlessStream) => {
            let detail = json!({"current": lines, "total": i64::MAX});
            let endless =
                json!({"status": "Downloading", "progressDetail": detail, "id": "0123456789ab"});
            position.lines += 1;
            yield_now().await;
            return Some((Ok(line(&endless)), Some(position)));
        }
        _ => {}
    }
    let Some(step) = position.steps.next() else {
        position.transfer.in_flight.whole();
        return None;
    };
    if !step.after.is_zero() {
        sleep(step.after).await;
    }
    position.lines += 1;
    let line = line(&step.line);
    if position.steps.len() == 0 && position.transfer.fault.is_none() {
        // With the last line, not after it: who has read it finds the effect.
        position.transfer.finish();
        return Some((Ok(line), None));
    }
    Some((Ok(line), Some(position)))
}

fn line(value: &Value) -> Bytes {
    let mut bytes = value.to_string().into_bytes();
    bytes.extend_from_slice(b"\r\n");
    bytes.into()
}

fn body(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(stream.map_ok(Frame::data)).boxed_unsync()
}
