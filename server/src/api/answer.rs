//! The response stream of a fan-out: the envelope of `common.proto` around the payloads of the
//! hosts, and the status at its end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_types::RpcStatusExt;
use wharf::fanout::{Envelope, FanoutResponse};
use wharf::v1;

use super::problem::Problem;
use super::table::host_problem;
use super::view_form::view_state;
use crate::domain::{HostName, Reason};
use crate::fleet::{HostError, HostEvent, HostOutcome};

/// Silence after which a heartbeat is sent; below the idle limits of common proxies.
const HEARTBEAT_AFTER: Duration = Duration::from_secs(15);

/// Maximum number of host names in the message of a failed call; the others are counted.
const NAMED_FAILURES: usize = 10;

/// A part of the answer that is ready: from a host, or from an earlier call with the same
/// request ID.
#[derive(Debug)]
pub enum Part<R: FanoutResponse> {
    /// From a host in progress.
    Live(HostEvent<R::Event>),
    /// A recorded message.
    Recorded(R),
}

/// What the response needs to know about its call.
#[derive(Debug)]
pub struct Answer {
    /// All hosts of the call, sorted.
    pub hosts: Vec<HostName>,
    /// Hosts that were selected and are left out because they are cordoned, sorted.
    pub cordoned: Vec<HostName>,
    /// Names the call in the log.
    pub operation_id: String,
    /// Whether the call ends OK although some hosts failed.
    pub allow_partial: bool,
    /// Whether the call changes anything; only then is `unchanged` counted.
    pub mutates: bool,
}

impl Answer {
    /// The stream. `closing` is about all hosts, and is read after the last outcome. The stream ends
    /// with UNAVAILABLE when `stopping` is cancelled, which tells the caller that the server is
    /// stopping, not that the hosts failed.
    pub fn stream<R: FanoutResponse>(
        self,
        parts: BoxStream<'static, Part<R>>,
        closing: BoxStream<'static, R::Event>,
        stopping: CancellationToken,
    ) -> impl Stream<Item = Result<R, Status>> + Send + use<R> {
        let (tally, next) = (Tally::default(), Next::Started);
        let state = State { answer: self, parts, closing, stopping, tally, next };
        futures_util::stream::unfold(state, |mut state| async move {
            state.next().await.map(|item| (item, state))
        })
    }
}

struct State<R: FanoutResponse> {
    answer: Answer,
    parts: BoxStream<'static, Part<R>>,
    closing: BoxStream<'static, R::Event>,
    stopping: CancellationToken,
    tally: Tally,
    next: Next,
}

enum Next {
    Started,
    Parts,
    Closing,
    Status,
    End,
}

/// Why a host failed, according to its outcome.
#[derive(Debug)]
struct Failure {
    code: i32,
    message: String,
    reason: Option<Reason>,
    metadata: HashMap<String, String>,
    retry_after: Option<Duration>,
}

/// The outcomes so far.
#[derive(Debug, Default)]
struct Tally {
    summary: v1::FanoutSummary,
    failed: BTreeMap<String, Failure>,
    ended: BTreeSet<String>,
}

impl<R: FanoutResponse> State<R> {
    async fn next(&mut self) -> Option<Result<R, Status>> {
        match self.next {
            Next::Started => {
                self.next = Next::Parts;
                let names = |hosts: &[HostName]| hosts.iter().map(ToString::to_string).collect();
                let hosts = names(&self.answer.hosts);
                let cordoned = names(&self.answer.cordoned);
                let operation_id = self.answer.operation_id.clone();
                let started = v1::FanoutStarted { hosts, operation_id, cordoned };
                Some(Ok(of_call(Envelope::Started(started))))
            }
            Next::Parts => match self.part().await {
                Some(message) => Some(message),
                None => {
                    self.next = Next::Closing;
                    Some(self.close().await)
                }
            },
            Next::Closing => Some(self.close().await),
            Next::Status => {
                self.next = Next::End;
                self.tally.problem(&self.answer).map(|problem| Err(problem.into()))
            }
            Next::End => None,
        }
    }

    /// The next message of a host; `None` after the last outcome.
    async fn part(&mut self) -> Option<Result<R, Status>> {
        let silence = Instant::now() + HEARTBEAT_AFTER;
        // Don't wait until the channel closes: work that continues without its caller keeps it
        // open.
        while self.tally.ended.len() < self.answer.hosts.len() {
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => {
                    self.next = Next::End;
                    return Some(Err(stopping().into()));
                }
                part = self.parts.next() => match part.map(|part| self.message(part)) {
                    Some(Some(message)) => return Some(Ok(message)),
                    Some(None) => {}
                    None => break,
                },
                () = sleep_until(silence) => return Some(Ok(of_call(Envelope::Heartbeat))),
            }
        }
        None
    }

    /// The next message about all hosts, or the summary.
    async fn close(&mut self) -> Result<R, Status> {
        let silence = Instant::now() + HEARTBEAT_AFTER;
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => {
                self.next = Next::End;
                Err(stopping().into())
            }
            event = self.closing.next() => Ok(of_call(match event {
                Some(event) => Envelope::Payload(event),
                None => {
                    self.next = Next::Status;
                    Envelope::Summary(self.tally.summary)
                }
            })),
            () = sleep_until(silence) => Ok(of_call(Envelope::Heartbeat)),
        }
    }

    /// The message of a part. `None` after the host's outcome: work that exceeded its time limit
    /// and continues.
    fn message(&mut self, part: Part<R>) -> Option<R> {
        let (host, envelope) = match part {
            Part::Live(HostEvent::Payload(host, event)) => {
                (host.to_string(), Envelope::Payload(event))
            }
            Part::Live(HostEvent::Outcome(host, outcome)) => {
                let outcome = outcome_message(&host, &outcome);
                (host.to_string(), Envelope::Outcome(outcome))
            }
            Part::Recorded(response) => match response.into_envelope() {
                (host, Some(envelope)) => (host, envelope),
                (host, None) => (host, Envelope::Heartbeat),
            },
        };
        if self.tally.ended.contains(&host) {
            return None;
        }
        if let Envelope::Outcome(outcome) = &envelope {
            self.tally.count(&host, outcome, self.answer.mutates);
        }
        Some(R::from_envelope(host, envelope))
    }
}

/// A message that is about no single host.
fn of_call<R: FanoutResponse>(envelope: Envelope<R::Event>) -> R {
    R::from_envelope(String::new(), envelope)
}

/// The problem of every call that the end of the server cuts short.
pub fn stopping() -> Problem {
    Problem::new(
        Reason::ServerStopping,
        "wharfd is stopping; work in progress on a host may still have finished there",
    )
}

/// An outcome as sent.
pub fn outcome_message(host: &HostName, outcome: &HostOutcome) -> v1::HostOutcome {
    let status = match &outcome.result {
        Ok(_) => tonic_types::pb::Status::default(),
        Err(error) => host_problem(host, error).to_proto(),
    };
    v1::HostOutcome {
        status: Some(status),
        elapsed: prost_types::Duration::try_from(outcome.elapsed).ok(),
        changed: outcome.result.as_ref().map_or_else(HostError::changed, |done| done.changed),
        replayed: false,
        view: outcome.view.as_ref().map(view_state),
    }
}

impl Tally {
    fn count(&mut self, host: &str, outcome: &v1::HostOutcome, mutates: bool) {
        self.ended.insert(host.to_owned());
        match outcome.status.as_ref().filter(|status| status.code != 0) {
            None => {
                self.summary.succeeded += 1;
                if mutates && !outcome.changed {
                    self.summary.unchanged += 1;
                }
            }
            Some(status) => {
                self.summary.failed += 1;
                self.failed.insert(host.to_owned(), Failure::of(status));
            }
        }
    }

    /// The status of the call; `None` is OK.
    fn problem(&self, answer: &Answer) -> Option<Problem> {
        let (failed, total) = (self.failed.len(), answer.hosts.len());
        if failed == 0 {
            return None;
        }
        let names: Vec<_> = self.failed.keys().take(NAMED_FAILURES).map(String::as_str).collect();
        let mut list = names.join(", ");
        if failed > names.len() {
            list.push_str(&format!(" and {} more", failed - names.len()));
        }
        let problem = if self.summary.succeeded == 0 {
            self.nobody_succeeded(total, &list)?
        } else if answer.allow_partial {
            return None;
        } else {
            let message = format!(
                "{failed} of {total} hosts failed: {list}; for the reasons, see their outcomes"
            );
            Problem::new(Reason::SomeHostsFailed, message)
        };
        Some(problem.with("failed", failed.to_string()).with("total", total.to_string()))
    }

    /// What all hosts have in common is the status of the call: a caller of one host, or of hosts
    /// with the same failure, does not have to look at the outcomes.
    fn nobody_succeeded(&self, total: usize, list: &str) -> Option<Problem> {
        let (host, first) = self.failed.first_key_value()?;
        if total == 1 {
            let reason = first.reason.unwrap_or(Reason::AllHostsFailed);
            let mut problem = Problem::new(reason, format!("{host}: {}", first.message));
            problem.code = Code::from_i32(first.code);
            problem.retry_after = first.retry_after;
            let own = |(key, _): &(&String, &String)| !["failed", "total"].contains(&key.as_str());
            for (key, value) in first.metadata.iter().filter(own) {
                problem = problem.with(key.clone(), value);
            }
            return Some(problem);
        }
        let all = |alike: fn(&Failure, &Failure) -> bool| {
            self.failed.values().all(|failure| alike(failure, first))
        };
        let reason = first.reason.filter(|_| all(|one, other| one.reason == other.reason));
        let message = match reason {
            Some(_) if all(|one, other| one.message == other.message) => {
                format!("all {total} hosts failed: {list}: {}", first.message)
            }
            Some(_) => format!(
                "all {total} hosts failed for the same reason: {list}; {host}: {}",
                first.message
            ),
            None => {
                format!("all {total} hosts failed: {list}; for the reasons, see their outcomes")
            }
        };
        let mut problem = Problem::new(reason.unwrap_or(Reason::AllHostsFailed), message);
        if all(|one, other| one.code == other.code) {
            problem.code = Code::from_i32(first.code);
        }
        if reason.is_some() {
            // When the last of them can be retried.
            problem.retry_after =
                self.failed.values().filter_map(|failure| failure.retry_after).max();
        }
        Some(problem)
    }
}

impl Failure {
    fn of(status: &tonic_types::pb::Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        Self {
            code: status.code,
            message: status.message.clone(),
            reason: info.and_then(|info| Reason::parse(&info.reason)),
            metadata: info.map(|info| info.metadata.clone()).unwrap_or_default(),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
        }
    }
}

#[cfg(test)]
mod tests;
