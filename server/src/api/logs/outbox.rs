//! The messages of one host on their way to the caller, one at a time.

use std::sync::Arc;

use tokio::sync::Mutex;
use wharf::v1::stream_logs_response::Event;

use super::chunks::Chunk;
use crate::domain::ContainerRef;
use crate::engine::Engine;
use crate::fleet::fanout::HostCall;

/// Sends messages of one host. Only one waits for the caller at a time, so that every host has its
/// turn, whatever the number of its logs.
pub struct Outbox {
    /// The call.
    pub call: HostCall<Event>,
    turn: Mutex<()>,
}

impl Outbox {
    /// Of one call on one host.
    pub fn new(call: HostCall<Event>) -> Self {
        Self { call, turn: Mutex::default() }
    }

    /// The Engine of the host.
    pub fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.call.engine)
    }

    /// Sends a message when it is its turn.
    pub async fn emit(&self, event: Event) {
        let _turn = self.turn.lock().await;
        self.call.emit(event).await;
    }

    /// Sends chunks in their order.
    pub async fn send(&self, container: &ContainerRef, name: &str, ready: &mut Vec<Chunk>) {
        for chunk in ready.drain(..) {
            self.emit(Event::Chunk(chunk.into_message(container.as_str(), name))).await;
        }
    }
}
