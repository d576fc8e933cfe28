//! All calls to all Engines, counted: how long answers took by the kind of call, which failed and
//! why, and the memory of answers. Written by [`super::link`]; read by those who watch the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::answers::AnswerMemory;
use crate::domain::{Durations, Reason, Tally};
use crate::engine::ErrorKind;
use crate::engine::operation::{Access, Operation, Pace};

/// Buckets of the time to an answer, in seconds: from a read that is answered at once to a pull.
const BOUNDS: &[f64] = &[
    0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0,
];

/// The calls of a connector. Clones share it.
#[derive(Debug, Clone)]
pub struct Traffic {
    calls: Arc<Calls>,
    answers: AnswerMemory,
}

#[derive(Debug)]
struct Calls {
    /// By [`Pace`] and [`Access`].
    latencies: [[Durations; 2]; Pace::ALL.len()],
    /// By [`ErrorKind`], in the order of [`ErrorKind::ALL`].
    failures: [AtomicU64; ErrorKind::ALL.len()],
}

/// The answers to calls of one kind.
#[derive(Debug)]
pub struct Latency {
    /// Whether the calls change anything: `read` or `write`.
    pub access: &'static str,
    /// When an Engine answers them: `quick`, at once; `long`, when something is finished; `streamed`,
    /// bit by bit; `endless`, when something happens; `followed`, for as long as it is followed.
    pub pace: &'static str,
    /// The time from sending to the beginning of the answer.
    pub tally: Tally,
}

impl Traffic {
    pub(super) fn new(answers: AnswerMemory) -> Self {
        let latencies = Pace::ALL.map(|_| [(); 2].map(|()| Durations::new(BOUNDS)));
        let failures = ErrorKind::ALL.map(|_| AtomicU64::new(0));
        Self { calls: Arc::new(Calls { latencies, failures }), answers }
    }

    /// Counts an answer that began.
    pub(super) fn answered(&self, operation: &Operation, latency: Duration) {
        self.calls.latencies[operation.pace as usize][operation.access as usize].add(latency);
    }

    /// Counts a call that failed, before its answer or within it.
    pub(super) fn failed(&self, kind: ErrorKind) {
        let places = ErrorKind::ALL.iter().zip(&self.calls.failures);
        if let Some((_, count)) = places.into_iter().find(|(known, _)| **known == kind) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The answers by the kind of call, without kinds that had none.
    #[must_use]
    pub fn latencies(&self) -> Vec<Latency> {
        let of = |pace: Pace, access: Access| {
            let tally = self.calls.latencies[pace as usize][access as usize].tally();
            let (access, pace) = (access_name(access), pace_name(pace));
            (tally.count > 0).then_some(Latency { access, pace, tally })
        };
        let all = Pace::ALL.into_iter();
        all.flat_map(|pace| [Access::Read, Access::Write].map(|access| of(pace, access)))
            .flatten()
            .collect()
    }

    /// The calls that failed, by reason, without reasons that had none.
    #[must_use]
    pub fn failures(&self) -> Vec<(Reason, u64)> {
        let mut failures: Vec<(Reason, u64)> = Vec::new();
        for (kind, count) in ErrorKind::ALL.iter().zip(&self.calls.failures) {
            let (reason, count) = (kind.reason(), count.load(Ordering::Relaxed));
            // Several kinds have one reason.
            match failures.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, sum)) => *sum += count,
                None if count > 0 => failures.push((reason, count)),
                None => {}
            }
        }
        failures
    }

    /// Bytes that answers have reserved, and the most that they may. What every answer may have
    /// without a reservation is not counted.
    #[must_use]
    pub fn answer_memory(&self) -> (u64, u64) {
        self.answers.used()
    }
}

fn access_name(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Write => "write",
    }
}

fn pace_name(pace: Pace) -> &'static str {
    match pace {
        Pace::Quick => "quick",
        Pace::Long => "long",
        Pace::Streamed => "streamed",
        Pace::Endless => "endless",
        Pace::Followed => "followed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::operation::{INFO, PULL_IMAGE};

    #[test]
    fn calls_are_counted_by_what_they_are_and_by_why_they_failed() {
        let traffic = Traffic::new(AnswerMemory::new(1 << 20, Duration::from_secs(1)));
        assert!(traffic.latencies().is_empty() && traffic.failures().is_empty());
        traffic.answered(&INFO, Duration::from_millis(3));
        traffic.answered(&PULL_IMAGE, Duration::from_secs(40));
        let latencies = traffic.latencies();
        let names: Vec<_> = latencies.iter().map(|it| (it.access, it.pace)).collect();
        assert_eq!(names, [("read", "quick"), ("write", "long")]);
        assert_eq!(latencies[0].tally.buckets[1], (0.005, 1));
        for kind in ErrorKind::ALL {
            traffic.failed(kind);
        }
        let failures = traffic.failures();
        let sum: u64 = failures.iter().map(|(_, count)| count).sum();
        assert_eq!(sum, ErrorKind::ALL.len() as u64);
        let unsupported = failures.iter().find(|(it, _)| *it == Reason::EngineUnsupported);
        assert_eq!(unsupported, Some(&(Reason::EngineUnsupported, 2)));
    }
}
