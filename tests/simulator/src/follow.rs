//! Logs as they grow, for both forms of the Engine.

use std::sync::Arc;

use crate::host::SimHost;
use crate::model::{LogQuery, LogView, Refusal};

/// A reader of one log.
pub(crate) struct Following {
    host: Arc<SimHost>,
    /// By ID: the name may become that of another container.
    id: String,
    query: LogQuery,
    follow: bool,
    next: usize,
    ended: bool,
}

impl Following {
    /// Finds the container, and refuses what cannot be read.
    pub(crate) fn new(
        host: Arc<SimHost>,
        name: &str,
        query: LogQuery,
        follow: bool,
    ) -> Result<Self, Refusal> {
        let id = host.with(|model, _| {
            model.look_at_log(name, &query, 0)?;
            model.found(name).map(|found| found.id.clone())
        })?;
        Ok(Self { host, id, query, follow, next: 0, ended: false })
    }

    /// The next entries; `None` at the end. A container that is removed ends its log.
    pub(crate) async fn next(&mut self) -> Option<LogView> {
        if self.ended {
            return None;
        }
        let (id, query, follow, from) = (&self.id, &self.query, self.follow, self.next);
        let view = self
            .host
            .until(|model, _| {
                let Ok(view) = model.look_at_log(id, query, from) else { return Some(None) };
                (view.next > from || !follow || !view.running).then_some(Some(view))
            })
            .await?;
        self.next = view.next;
        self.ended = !self.follow || !view.running;
        Some(view)
    }
}
