//! Work on several named items of one host: one result for each, in the order of the request, and
//! one outcome for the host.
//!
//! In a retry with the same request ID, items with a valid result are not touched again: their
//! results are repeated in their positions.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tonic::Request;
use wharf::contract::FanoutRequest;
use wharf::fanout::ItemEvent;
use wharf::v1;

use super::edge::{Answered, Edge, EventOf};
use super::problem::Problem;
use super::replay::{self, Standing};
use super::table::host_problem;
use crate::fleet::fanout::HostCall;
use crate::fleet::{Done, HostError};

/// Items of one host to work on at the same time. The Engine works on containers in parallel; a few
/// at a time keep ten slow stops from taking ten times as long.
const AT_ONCE: usize = 8;

/// The result of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemDone {
    /// Its full ID.
    pub id: String,
    /// Whether anything changed.
    pub changed: bool,
}

impl Edge {
    /// Does `act` on every item on every host that the request is for; the answer has a result
    /// for each.
    pub async fn each_item<T, I, O, A, F>(
        &self,
        request: &Request<T>,
        default_timeout: Option<Duration>,
        items: Vec<I>,
        order: O,
        act: A,
    ) -> Answered<T>
    where
        T: FanoutRequest,
        EventOf<T>: ItemEvent,
        I: Clone + ToString + Send + Sync + 'static,
        O: Send + Sync + 'static,
        A: Fn(Arc<HostCall<EventOf<T>>>, I, Arc<O>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<ItemDone, HostError>> + Send + 'static,
    {
        let (act, order) = (Arc::new(act), Arc::new(order));
        self.each_host(request, default_timeout, items, move |call, items| {
            let (act, order) = (Arc::clone(&act), Arc::clone(&order));
            async move {
                let call = Arc::new(call);
                let act = |item| act(Arc::clone(&call), item, Arc::clone(&order));
                on_host(&call, &items, act).await
            }
        })
        .await
    }
}

/// Applies `act` to every item of one host and emits a result for each.
async fn on_host<P, I, F>(
    call: &HostCall<P>,
    items: &[I],
    act: impl Fn(I) -> F,
) -> Result<Done, HostError>
where
    P: ItemEvent + Clone,
    I: Clone + ToString,
    F: Future<Output = Result<ItemDone, HostError>>,
{
    for event in call.earlier().iter().filter(|event| event.item().is_none()) {
        call.emit(event.clone()).await;
    }
    let earlier: Vec<_> = call.earlier().iter().filter_map(ItemEvent::item).collect();
    let stands = |index: usize, name: &str| {
        let item = earlier.get(index).filter(|item| item.name == name)?;
        (replay::of_item(item) == Standing::Stands).then(|| (*item).clone())
    };
    let mut results = futures_util::stream::iter(items.iter().cloned().enumerate())
        .map(|(index, item)| {
            let name = item.to_string();
            let stands = stands(index, &name);
            let work = stands.is_none().then(|| act(item));
            async move {
                match work {
                    Some(work) => (name, Err(work.await)),
                    None => (name, Ok(stands.unwrap_or_default())),
                }
            }
        })
        .buffered(AT_ONCE);
    let mut tally = Tally { total: items.len(), ..Tally::default() };
    while let Some((name, result)) = results.next().await {
        let result = match result {
            Ok(item) => {
                tally.recount(&item);
                call.emit(P::of_item(item)).await;
                continue;
            }
            Err(result) => result,
        };
        let status = match &result {
            Ok(_) => tonic_types::pb::Status::default(),
            Err(error) => item_problem(call, &name, error).to_proto(),
        };
        let id = result.as_ref().map_or_else(|_| String::new(), |done| done.id.clone());
        let changed = tally.count(result);
        let item = v1::ItemResult { name, id, changed, status: Some(status) };
        call.emit(P::of_item(item)).await;
    }
    tally.outcome()
}

/// The results of a host's items so far.
#[derive(Debug, Default)]
pub struct Tally {
    /// Number of requested items.
    pub total: usize,
    failed: usize,
    changed: bool,
    first: Option<HostError>,
}

impl Tally {
    /// For so many items.
    pub fn of(total: usize) -> Self {
        Self { total, ..Self::default() }
    }

    /// Adds a result and returns whether it changed anything.
    pub fn count(&mut self, result: Result<ItemDone, HostError>) -> bool {
        match result {
            Ok(done) => {
                self.changed |= done.changed;
                done.changed
            }
            Err(error) => {
                self.failed += 1;
                self.first.get_or_insert(error);
                false
            }
        }
    }

    /// Adds a result of an earlier call.
    fn recount(&mut self, item: &v1::ItemResult) {
        let status = item.status.clone().unwrap_or_default();
        let _ = self.count(match status.code {
            0 => Ok(ItemDone { id: item.id.clone(), changed: item.changed }),
            _ => Err(HostError::Earlier(status.message)),
        });
    }

    /// The outcome of the host: the error itself if only one item was requested.
    pub fn outcome(self) -> Result<Done, HostError> {
        let Self { total, failed, changed, first } = self;
        match first {
            None => Ok(Done { changed }),
            Some(error) if total == 1 => Err(error),
            Some(error) => Err(HostError::Items { failed, total, changed, first: Box::new(error) }),
        }
    }
}

/// The problem of one item, with its name among the coordinates.
pub fn item_problem<P>(call: &HostCall<P>, name: &str, error: &HostError) -> Problem {
    host_problem(call.host_name(), error).with("item", name)
}
