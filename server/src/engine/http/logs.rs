//! Logs of containers, entry by entry as they come.

use std::sync::Arc;

use futures_util::FutureExt;

use super::link::{Call, Link, bad_answer};
use crate::domain::ContainerRef;
use crate::engine::logs::decoder::{LogDecoder, LogProblem};
use crate::engine::operation::{CONTAINER_LOGS, FOLLOW_LOGS, Operation};
use crate::engine::{EngineError, ErrorKind, LogBatch, LogQuery, LogSink, Result};

/// Bytes of entries that are gathered from chunks which have arrived already. An Engine sends each
/// entry on its own, and every batch costs messages on its way to the caller.
const GATHERED: usize = 64 << 10;

/// Reads a log to its end, or until the sink is closed.
pub(super) async fn read(
    link: &Arc<Link>,
    container: &ContainerRef,
    query: &LogQuery,
    sink: &LogSink,
) -> Result<()> {
    let operation = if query.follow { &FOLLOW_LOGS } else { &CONTAINER_LOGS };
    let call = Call::new(operation, &["containers", container.as_str(), "logs"])
        .with_flag("stdout", query.stdout)
        .with_flag("stderr", query.stderr)
        .with_flag("follow", query.follow)
        // By the times, a reader finds its place again.
        .with_flag("timestamps", true)
        .with_some("since", query.since.map(|time| time.to_string()))
        .with_some("until", query.until.map(|time| time.to_string()))
        .with_some("tail", query.tail.map(|lines| lines.to_string()));
    link.open(&call, |mut opened| async move {
        let mut decoder = LogDecoder::default();
        // The log is open, also if there is nothing in it yet.
        if sink.send(LogBatch::default()).await.is_err() {
            return Ok(());
        }
        let mut next = None;
        loop {
            let chunk = match next.take() {
                Some(chunk) => chunk,
                None => tokio::select! {
                    chunk = opened.chunk() => chunk,
                    () = sink.closed() => return Ok(()),
                },
            };
            let mut batch = LogBatch::default();
            let Some(chunk) = chunk? else {
                let is_whole = decoder.finish(&mut batch);
                if !batch.is_empty() && sink.send(batch).await.is_err() {
                    return Ok(());
                }
                return if is_whole { Ok(()) } else { Err(cut_off(operation)) };
            };
            let mut decoded = decoder.push(&chunk, &mut batch);
            while decoded.is_ok() && batch.length() < GATHERED {
                match opened.chunk().now_or_never() {
                    Some(Ok(Some(chunk))) => decoded = decoder.push(&chunk, &mut batch),
                    end => {
                        next = end;
                        break;
                    }
                }
            }
            if !batch.is_empty() && sink.send(batch).await.is_err() {
                return Ok(());
            }
            decoded.map_err(|problem| failed(operation, &problem))?;
        }
    })
    .await
}

/// The answer ended regularly, but inside an entry: what sent it ended in the middle.
fn cut_off(operation: &Operation) -> EngineError {
    let message = "the log ended in the middle of an entry; read it again";
    EngineError::new(ErrorKind::ConnectionLost, operation.name, message)
}

fn failed(operation: &Operation, problem: &LogProblem) -> EngineError {
    match problem {
        LogProblem::Engine(message) => {
            EngineError::new(ErrorKind::Engine, operation.name, message.as_str())
        }
        problem => bad_answer(operation, &problem.to_string()),
    }
}
