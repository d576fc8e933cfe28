//! Watches: the state of hosts and their containers, then every change, as one stream that can be
//! continued with a cursor. An old or unknown cursor is no error: the state is sent again.

pub mod containers;
pub mod hosts;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use wharf::v1;

use super::edge::Edge;
use super::problem::Problem;
use crate::domain::Reason;
use crate::fleet::inventory::Snapshot;
use crate::fleet::view::View;
use crate::fleet::view::watchers::Changes;

/// Silence after which a heartbeat is sent; below the idle limits of common proxies.
pub const HEARTBEAT_AFTER: Duration = Duration::from_secs(15);

/// What woke a watcher that had nothing to say.
pub enum Woken {
    /// Some views changed.
    Changed,
    /// The inventory changed.
    Inventory,
    /// Nothing was said for long.
    Silence,
    /// The server stops.
    Stopping,
}

/// Up to where a caller has everything.
pub struct Cursor {
    epoch: String,
    revision: u64,
}

impl Cursor {
    /// Now.
    pub fn new(view: &View) -> Self {
        Self { epoch: view.epoch().to_owned(), revision: view.revision() }
    }

    /// Now, for what is looked at next.
    pub fn advance(&mut self, view: &View) {
        self.revision = view.revision();
    }

    /// The revision of a caller's cursor, if it is one of this run of the server.
    pub fn resumed(&self, after: Option<&v1::ViewCursor>) -> Option<u64> {
        let after = after.filter(|after| after.epoch == self.epoch)?;
        (after.revision <= self.revision).then_some(after.revision)
    }

    /// As sent.
    pub fn to_message(&self) -> v1::ViewCursor {
        v1::ViewCursor { epoch: self.epoch.clone(), revision: self.revision }
    }
}

/// Waits until there may be something to say.
pub async fn woken(
    stopping: &CancellationToken,
    changes: &Changes,
    inventory: &mut watch::Receiver<Arc<Snapshot>>,
    silence: Instant,
) -> Woken {
    tokio::select! {
        biased;
        () = stopping.cancelled() => Woken::Stopping,
        changed = inventory.changed() => match changed {
            Ok(()) => Woken::Inventory,
            // The inventory ends with the server.
            Err(_) => Woken::Stopping,
        },
        () = changes.noted() => Woken::Changed,
        () = sleep_until(silence) => Woken::Silence,
    }
}

/// Refuses a watch where no views are kept.
pub fn require_views(edge: &Edge) -> Result<(), Problem> {
    if edge.view.is_enabled() {
        return Ok(());
    }
    let message =
        "watches need views, which are off; remove `enabled = false` from [view] of wharfd.toml";
    Err(Problem::new(Reason::ViewDisabled, message))
}
