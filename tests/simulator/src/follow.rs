//! Logs as they grow and events as they happen, for both forms of the Engine.

use std::sync::Arc;

use wharf_server::engine::EngineEvent;

use crate::host::SimHost;
use crate::model::{LogQuery, LogView, Refusal, Time};

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

/// A reader of events.
pub(crate) struct EventStream {
    host: Arc<SimHost>,
    since: Option<Time>,
    until: Option<Time>,
    /// How many there were so far.
    count: Option<u64>,
}

impl EventStream {
    /// From a time on, or from now on.
    pub(crate) fn new(host: Arc<SimHost>, since: Option<Time>, until: Option<Time>) -> Self {
        let count = match since {
            Some(_) => None,
            None => Some(host.with(|model, now| model.events_since(now).1)),
        };
        Self { host, since, until, count }
    }

    /// The next events; `None` when the time is over.
    pub(crate) async fn next(&mut self) -> Option<Vec<EngineEvent>> {
        let (since, count) = (self.since.unwrap_or(Time::BEGINNING), self.count);
        let happened = self.host.until(|model, _| {
            let (mut events, total) = match count {
                None => model.events_since(since),
                Some(count) => model.events_after(count),
            };
            if let Some(until) = self.until {
                events.retain(|event| event.time <= until.as_log_time());
            }
            (count.is_none() || !events.is_empty()).then_some((events, total))
        });
        let over = async {
            match self.until {
                Some(until) if count.is_some() => {
                    tokio::time::sleep(until.since(self.host.clock().now())).await;
                }
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            (events, total) = happened => {
                self.count = Some(total);
                Some(events)
            }
            () = over => None,
        }
    }
}
