//! Work on several named things of one host: one result for each, in the order of the
//! request, and one outcome for the host.

use futures_util::StreamExt;
use wharf::v1;

use super::problem::Problem;
use super::table::host_problem;
use crate::fleet::fanout::HostCall;
use crate::fleet::{Done, HostError};

/// Things of one host that are worked on at once. The Engine works on containers in
/// parallel; a handful keeps ten slow stops from taking ten times as long.
const AT_ONCE: usize = 8;

/// What was done to one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemDone {
    /// Its full ID.
    pub id: String,
    /// Whether anything was changed.
    pub changed: bool,
}

/// Does `act` on every item and emits a result for each.
pub async fn each_item<P, T, F>(
    call: &HostCall<P>,
    items: &[T],
    wrap: impl Fn(v1::ItemResult) -> P,
    act: impl Fn(T) -> F,
) -> Result<Done, HostError>
where
    T: Clone + ToString,
    F: Future<Output = Result<ItemDone, HostError>>,
{
    let mut results = futures_util::stream::iter(items.iter().cloned())
        .map(|item| {
            let name = item.to_string();
            let work = act(item);
            async move { (name, work.await) }
        })
        .buffered(AT_ONCE);
    let mut tally = Tally { total: items.len(), ..Tally::default() };
    while let Some((name, result)) = results.next().await {
        let status = match &result {
            Ok(_) => tonic_types::pb::Status::default(),
            Err(error) => item_problem(call, &name, error).to_proto(),
        };
        let id = result.as_ref().map_or_else(|_| String::new(), |done| done.id.clone());
        let changed = tally.count(result);
        call.emit(wrap(v1::ItemResult { name, id, changed, status: Some(status) })).await;
    }
    tally.outcome()
}

/// How the items of a host ended so far.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many were asked for.
    pub total: usize,
    failed: usize,
    changed: bool,
    first: Option<HostError>,
}

impl Tally {
    /// Takes one result; whether it changed anything.
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

    /// The outcome of the host: the error itself where only one thing was asked for.
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
