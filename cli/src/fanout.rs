//! The one reader of every call that reaches several hosts.
//!
//! A command may be several such calls (`HOST/CONTAINER`); their streams are read as one. The
//! reader tracks which hosts were started, how each ended, and which ones never got an outcome.
//! The [`Observer`] interprets the payloads.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, SelectAll, StreamExt};
use tokio::time::Instant;
use tonic::{Response, Status, Streaming};
use wharf::fanout::{Envelope, FanoutResponse};
use wharf::v1::HostOutcome;

/// How long to wait for the end of a call after its deadline, and after the outcome of its last
/// host.
const GRACE: Duration = Duration::from_secs(2);

/// Interval of [`Observer::tick`].
const TICK: Duration = Duration::from_secs(1);

/// Receives the responses of the hosts.
pub trait Observer<E> {
    /// The hosts of a call are known.
    fn started(&mut self, _hosts: &[String]) {}
    /// A payload of a host.
    fn payload(&mut self, host: &str, event: E);
    /// A host is done; no more payloads follow.
    fn outcome(&mut self, _host: &str, _outcome: &HostOutcome) {}
    /// About once a second.
    fn tick(&mut self) {}
    /// Whether payloads about all hosts follow the last outcome, so that the call is over only with its
    /// summary.
    fn waits_for_summary(&self) -> bool {
        false
    }
    /// Whether the rest is not needed.
    fn is_done(&self) -> bool {
        false
    }
}

/// The results of all calls.
#[derive(Debug, Default)]
pub struct Report {
    /// In the order of the calls.
    pub calls: Vec<CallReport>,
    /// Whether the rest was not read because it was not needed.
    pub abandoned: bool,
}

/// The result of one call.
#[derive(Debug, Default)]
pub struct CallReport {
    /// All hosts of the call, sorted; `None` if the server refused the call.
    pub hosts: Option<Vec<String>>,
    /// Hosts that the server left out because they are cordoned, sorted.
    pub cordoned: Vec<String>,
    /// The outcome of each host that ended.
    pub outcomes: BTreeMap<String, HostOutcome>,
    /// Whether the last message came.
    pub has_summary: bool,
    /// The status after the last message.
    pub end: Option<Status>,
}

impl Report {
    /// Whether the server accepted any of the calls.
    pub fn was_begun(&self) -> bool {
        self.calls.iter().any(|call| call.hosts.is_some())
    }
}

impl CallReport {
    /// Whether every host got its outcome, and the call its summary if that is awaited.
    fn is_settled(&self, waits_for_summary: bool) -> bool {
        let is_complete = |hosts: &Vec<String>| hosts.len() == self.outcomes.len();
        self.end.is_some()
            || (self.hosts.as_ref().is_some_and(is_complete)
                && (self.has_summary || !waits_for_summary))
    }

    /// Hosts that never got an outcome, so that their state is unknown.
    pub fn unfinished_hosts(&self) -> Vec<&str> {
        let hosts = self.hosts.iter().flatten().map(String::as_str);
        hosts.filter(|host| !self.outcomes.contains_key(*host)).collect()
    }
}

/// A call being opened.
pub type Opening<M> = Pin<Box<dyn Future<Output = Result<Response<Streaming<M>>, Status>> + Send>>;

/// Reads the responses of `calls` until they end, or until `timeout` and a grace time have passed.
pub async fn read<M: FanoutResponse>(
    calls: Vec<Opening<M>>,
    timeout: Option<Duration>,
    observer: &mut impl Observer<M::Event>,
) -> Report {
    let mut report =
        Report { calls: calls.iter().map(|_| CallReport::default()).collect(), abandoned: false };
    let mut messages: SelectAll<BoxStream<'static, (usize, Result<M, Status>)>> = calls
        .into_iter()
        .enumerate()
        .map(|(index, call)| messages_of(call).map(move |message| (index, message)).boxed())
        .collect();
    let expired = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout + GRACE).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(expired);
    let settled = tokio::time::sleep(GRACE);
    tokio::pin!(settled);
    let waits_for_summary = observer.waits_for_summary();
    let mut ticks = tokio::time::interval(TICK);
    ticks.reset();
    while !observer.is_done() {
        tokio::select! {
            next = messages.next() => match next {
                Some((index, message)) => {
                    take(&mut report.calls[index], message, observer);
                    settled.as_mut().reset(Instant::now() + GRACE);
                }
                None => break,
            },
            () = &mut settled, if report.calls.iter().all(|it| it.is_settled(waits_for_summary)) => break,
            _ = ticks.tick() => observer.tick(),
            () = &mut expired => {
                for call in &mut report.calls {
                    let late = || Status::deadline_exceeded("the server did not end the call in time");
                    call.end.get_or_insert_with(late);
                }
                break;
            }
        }
    }
    report.abandoned = observer.is_done();
    report
}

fn take<M: FanoutResponse>(
    call: &mut CallReport,
    message: Result<M, Status>,
    observer: &mut impl Observer<M::Event>,
) {
    let message = match message {
        Ok(message) => message,
        Err(status) => {
            call.end = Some(status);
            return;
        }
    };
    match message.into_envelope() {
        (_, Some(Envelope::Started(started))) => {
            observer.started(&started.hosts);
            call.hosts = Some(started.hosts);
            call.cordoned = started.cordoned;
        }
        (host, Some(Envelope::Outcome(outcome))) => {
            observer.outcome(&host, &outcome);
            call.outcomes.insert(host, outcome);
        }
        (host, Some(Envelope::Payload(event))) => observer.payload(&host, event),
        // The outcomes already contain what it counts.
        (_, Some(Envelope::Summary(_))) => call.has_summary = true,
        // A newer server may send more than this version understands.
        (_, Some(Envelope::Heartbeat) | None) => {}
    }
}

/// The messages of a call. A call that cannot be opened is a stream of that one error.
fn messages_of<M: FanoutResponse>(
    call: Opening<M>,
) -> impl stream::Stream<Item = Result<M, Status>> + Send + 'static {
    stream::once(call).flat_map(|opened| match opened {
        Ok(response) => response.into_inner().boxed(),
        Err(status) => stream::once(async { Err(status) }).boxed(),
    })
}
