//! The one reader of every call that reaches several hosts.
//!
//! A command may be several such calls (`HOST/CONTAINER`); their streams are read as one. The
//! reader keeps the books: which hosts were started, how each ended, and which of them the
//! stream never spoke of again. What the answers mean is for the [`Observer`].

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, SelectAll, StreamExt};
use tokio::time::Instant;
use tonic::{Response, Status, Streaming};
use wharf::fanout::{Envelope, FanoutResponse};
use wharf::v1::HostOutcome;

/// How long a call that the server ought to have ended is waited for: after its deadline, and
/// after the outcome of its last host, when there is nothing left to learn.
const GRACE: Duration = Duration::from_secs(2);

/// Interval of [`Observer::tick`].
const TICK: Duration = Duration::from_secs(1);

/// Takes what the hosts answer.
pub trait Observer<E> {
    /// The hosts of a call are known.
    fn started(&mut self, _hosts: &[String]) {}
    /// A host answers.
    fn payload(&mut self, host: &str, event: E);
    /// A host is done; nothing more comes of it.
    fn outcome(&mut self, _host: &str, _outcome: &HostOutcome) {}
    /// About once a second.
    fn tick(&mut self) {}
    /// Whether nobody wants the rest.
    fn is_done(&self) -> bool {
        false
    }
}

/// How the calls went.
#[derive(Debug, Default)]
pub struct Report {
    /// In the order of the calls.
    pub calls: Vec<CallReport>,
    /// Whether the rest was not read because nobody wanted it.
    pub abandoned: bool,
}

/// How one call went.
#[derive(Debug, Default)]
pub struct CallReport {
    /// All hosts of the call, sorted; `None` where the server refused the call.
    pub hosts: Option<Vec<String>>,
    /// How each host ended that ended.
    pub outcomes: BTreeMap<String, HostOutcome>,
    /// The status after the last message.
    pub end: Option<Status>,
}

impl Report {
    /// Whether the server took any of the calls on.
    pub fn was_begun(&self) -> bool {
        self.calls.iter().any(|call| call.hosts.is_some())
    }
}

impl CallReport {
    /// Whether every host got its outcome.
    fn is_settled(&self) -> bool {
        self.end.is_some()
            || self.hosts.as_ref().is_some_and(|hosts| hosts.len() == self.outcomes.len())
    }

    /// Hosts that never got an outcome: what became of them is unknown.
    pub fn unheard(&self) -> Vec<&str> {
        let hosts = self.hosts.iter().flatten().map(String::as_str);
        hosts.filter(|host| !self.outcomes.contains_key(*host)).collect()
    }
}

/// A call that is being opened.
pub type Opening<M> = Pin<Box<dyn Future<Output = Result<Response<Streaming<M>>, Status>> + Send>>;

/// Reads the answers of `calls` to their ends, or until `timeout` has passed for good.
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
            () = &mut settled, if report.calls.iter().all(CallReport::is_settled) => break,
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
        }
        (host, Some(Envelope::Outcome(outcome))) => {
            observer.outcome(&host, &outcome);
            call.outcomes.insert(host, outcome);
        }
        (host, Some(Envelope::Payload(event))) => observer.payload(&host, event),
        // The outcomes have said what the summary counts, and a newer server may say more than
        // this version understands.
        (_, Some(Envelope::Summary(_) | Envelope::Heartbeat) | None) => {}
    }
}

/// The messages of a call; a call that cannot be opened is a stream of that one error.
fn messages_of<M: FanoutResponse>(
    call: Opening<M>,
) -> impl stream::Stream<Item = Result<M, Status>> + Send + 'static {
    stream::once(call).flat_map(|opened| match opened {
        Ok(response) => response.into_inner().boxed(),
        Err(status) => stream::once(async { Err(status) }).boxed(),
    })
}
