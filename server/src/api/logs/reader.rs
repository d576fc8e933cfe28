//! Reads one log from the Engine and sends it in chunks. The caller reads as fast as it likes: while
//! a chunk waits, nothing more is taken from the Engine.

use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::chunks::Chunks;
use super::outbox::Outbox;
use super::position::Repeats;
use crate::domain::ContainerRef;
use crate::engine::{LogBatch, LogQuery};
use crate::fleet::HostError;

/// How long a line waits for others.
const GATHER: Duration = Duration::from_millis(20);
/// How long an Engine may take for the next lines of a log that is not followed.
const SILENCE: Duration = Duration::from_secs(120);
/// Logs of one host to open at the same time: other calls take turns with them.
pub const OPENING: usize = 8;
/// How long the opening of a log may delay that of others. Podman says nothing before the first line.
const OPENED: Duration = Duration::from_millis(500);

/// How far the reading of a log has come.
#[derive(Debug)]
pub struct Read {
    /// Whether there were entries.
    pub anything: bool,
    /// How it ended.
    pub result: Result<(), HostError>,
}

/// Reads a log to the end of the answer.
pub async fn read_log(
    out: &Outbox,
    container: &ContainerRef,
    name: &str,
    query: LogQuery,
    chunks: &mut Chunks,
    opening: &Semaphore,
) -> Read {
    let opening = opening.acquire().await;
    let (sink, mut batches) = mpsc::channel::<LogBatch>(1);
    // A task of its own, because the call takes turns with others of its host, and must not
    // hold its turn while a chunk waits for the caller.
    let (engine, id) = (out.engine(), container.clone());
    let reading = tokio::spawn(async move { engine.read_logs(&id, &query, &sink).await });
    let reading = AbortOnDropHandle::new(reading);
    let (mut opening, opened) = (Some(opening), Instant::now() + OPENED);
    let mut repeats = Repeats::of(chunks.position());
    let (mut ready, mut anything) = (Vec::new(), false);
    let mut due: Option<Instant> = None;
    let mut silent_until = Instant::now() + SILENCE;
    loop {
        let wait = async {
            match (due, query.follow) {
                (Some(due), _) => sleep_until(due).await,
                (None, true) => std::future::pending().await,
                (None, false) => sleep_until(silent_until).await,
            }
        };
        tokio::select! {
            biased;
            batch = batches.recv() => {
                drop(opening.take());
                let Some(batch) = batch else { break };
                for (source, time, bytes) in batch.entries() {
                    if !repeats.contain(source, time) {
                        chunks.push(source, time, bytes, &mut ready);
                        anything = true;
                    }
                }
                silent_until = Instant::now() + SILENCE;
            }
            () = sleep_until(opened), if opening.is_some() => drop(opening.take()),
            () = wait => {
                if due.is_none() {
                    let result = Err(HostError::Timeout { budget: SILENCE, goes_on: false });
                    return Read { anything, result };
                }
            }
        }
        if due.is_some_and(|due| due <= Instant::now()) {
            chunks.flush(&mut ready);
        }
        out.send(container, name, &mut ready).await;
        due = match (chunks.is_due(), due) {
            (false, _) => None,
            (true, Some(due)) if due > Instant::now() => Some(due),
            (true, _) => Some(Instant::now() + GATHER),
        };
    }
    chunks.flush(&mut ready);
    out.send(container, name, &mut ready).await;
    let result = match reading.await {
        Ok(result) => result.map_err(HostError::from),
        Err(_) => Err(HostError::Panicked),
    };
    Read { anything, result }
}
