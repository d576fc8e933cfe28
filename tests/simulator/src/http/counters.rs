//! Counters of requests to one host, for tests of connections and cancellation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::operation::Operation;

/// What came in at one host. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Counters(Arc<Mutex<Snapshot>>);

/// The counts of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that are open.
    pub open: u64,
    /// The most that were open at one time.
    pub most_open: u64,
    /// Requests by call; what is no call of the API does not count here.
    pub requests: BTreeMap<Operation, u64>,
    /// Requests of every kind.
    pub total: u64,
    /// Requests that are being answered.
    pub in_flight: u64,
    /// The most that were answered at one time.
    pub most_in_flight: u64,
    /// Requests whose client went away before the answer was whole.
    pub cancelled: u64,
    /// Pulls that are under way.
    pub running_pulls: u64,
}

/// An open connection. Counted until it is dropped.
#[derive(Debug)]
pub(super) struct Open(Counters);

/// A request that is being answered. Dropped without [`InFlight::whole`]: the client went away.
#[derive(Debug)]
pub(super) struct InFlight {
    counters: Counters,
    pull: bool,
    whole: bool,
}

impl Counters {
    /// The counts of this moment.
    pub fn snapshot(&self) -> Snapshot {
        self.lock().clone()
    }

    /// How many requests of a kind came in.
    pub fn count(&self, operation: Operation) -> u64 {
        self.lock().requests.get(&operation).copied().unwrap_or(0)
    }

    pub(super) fn connection(&self) -> Open {
        let mut counts = self.lock();
        counts.accepted += 1;
        counts.open += 1;
        counts.most_open = counts.most_open.max(counts.open);
        Open(self.clone())
    }

    pub(super) fn request(&self, operation: Option<Operation>) -> InFlight {
        let mut counts = self.lock();
        counts.total += 1;
        if let Some(operation) = operation {
            *counts.requests.entry(operation).or_default() += 1;
        }
        counts.in_flight += 1;
        counts.most_in_flight = counts.most_in_flight.max(counts.in_flight);
        let pull = operation == Some(Operation::Pull);
        counts.running_pulls += u64::from(pull);
        InFlight { counters: self.clone(), pull, whole: false }
    }

    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.lock().open -= 1;
    }
}

impl InFlight {
    /// The answer is whole, or ends as it was scripted to.
    pub(super) fn whole(mut self) {
        self.whole = true;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut counts = self.counters.lock();
        counts.in_flight -= 1;
        counts.running_pulls -= u64::from(self.pull);
        counts.cancelled += u64::from(!self.whole);
    }
}
