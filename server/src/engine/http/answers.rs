//! The memory for responses of all Engines. Hosts that send much, or that stop in the middle, must
//! not fill the memory of the server: beyond the budget, a response waits for memory, and is
//! refused if none is freed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Bytes that every response may use without a reservation: most responses are smaller, and
/// inspections must work while others use up the budget.
const FREE: usize = 64 << 10;
/// Bytes to reserve at a time.
const STEP: usize = 256 << 10;
/// Bytes of one permit.
const UNIT: usize = 1 << 10;

/// The budget. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct AnswerMemory {
    room: Arc<Semaphore>,
    /// How long an answer waits for room.
    wait: Duration,
    total: usize,
}

/// The share of one response, released when dropped.
#[derive(Debug)]
pub(super) struct Share {
    memory: AnswerMemory,
    held: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

/// No memory was freed in time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the responses of all hosts exceed the {} MiB limit of this server; use fewer hosts per call, or raise answer_memory_mib in the server's configuration",
    .0 >> 20
)]
pub(super) struct NoRoom(usize);

impl AnswerMemory {
    pub(super) fn new(bytes: usize, wait: Duration) -> Self {
        Self { room: Arc::new(Semaphore::new(permits(bytes))), wait, total: bytes }
    }

    /// Bytes that are reserved, and how many may be.
    pub(super) fn used(&self) -> (u64, u64) {
        let permits = permits(self.total);
        let used = permits.saturating_sub(self.room.available_permits());
        ((used * UNIT) as u64, (permits * UNIT) as u64)
    }

    /// The share of a new response: nothing yet.
    pub(super) fn share(&self) -> Share {
        Share { memory: self.clone(), held: None, bytes: FREE }
    }
}

/// The permits for so many bytes; at least those of one step.
fn permits(bytes: usize) -> usize {
    (bytes / UNIT).clamp(STEP / UNIT, Semaphore::MAX_PERMITS)
}

impl Share {
    /// Reserves memory for a response of `bytes` in total.
    pub(super) async fn grow(&mut self, bytes: usize) -> Result<(), NoRoom> {
        while self.bytes < bytes {
            let permits = u32::try_from(STEP / UNIT).expect("a small constant");
            let asked = Arc::clone(&self.memory.room).acquire_many_owned(permits);
            let Ok(Ok(permit)) = timeout(self.memory.wait, asked).await else {
                return Err(NoRoom(self.memory.total));
            };
            match &mut self.held {
                Some(held) => held.merge(permit),
                None => self.held = Some(permit),
            }
            self.bytes += STEP;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn answers_wait_for_room_and_small_ones_need_none() {
        let memory = AnswerMemory::new(1 << 20, Duration::from_secs(5));
        let mut large = memory.share();
        large.grow(1 << 20).await.unwrap();
        let mut small = memory.share();
        small.grow(FREE).await.unwrap();
        let mut second = memory.share();
        assert_eq!(second.grow(1 << 20).await, Err(NoRoom(1 << 20)));
        assert_eq!(memory.used(), (1 << 20, 1 << 20));
        let waiting = tokio::spawn(async move { second.grow(1 << 20).await });
        tokio::task::yield_now().await;
        drop(large);
        assert_eq!(waiting.await.unwrap(), Ok(()));
        assert_eq!(memory.used(), (0, 1 << 20), "what was held is given back");
    }
}
