//! The complete, parsed response of a call on several hosts.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use futures_util::StreamExt;
use tonic::{Code, Response, Status, Streaming};
use tonic_types::{RpcStatusExt, StatusExt};
use wharf::fanout::{Envelope, FanoutResponse};
use wharf::v1::{FanoutSummary, HostOutcome};

use super::HOSTS;

/// A whole answer.
#[derive(Debug)]
pub struct Answer<E> {
    /// The hosts of the call; none where it was refused.
    pub started: Option<Vec<String>>,
    /// Payloads with their hosts, in the order in which they came.
    pub payloads: Vec<(String, E)>,
    /// Outcomes with their hosts, in the order in which they came.
    pub order: Vec<String>,
    pub outcomes: BTreeMap<String, HostOutcome>,
    pub summary: Option<FanoutSummary>,
    /// The status at the end, unless it is OK.
    pub end: Option<Status>,
}

/// Reads an answer to its end, and checks that it has the envelope of the contract: `started`
/// first, for each host one outcome as its last message, the summary after them all.
pub async fn collect<M: FanoutResponse>(
    call: impl Future<Output = Result<Response<Streaming<M>>, Status>>,
) -> anyhow::Result<Answer<M::Event>> {
    let mut answer = Answer {
        started: None,
        payloads: Vec::new(),
        order: Vec::new(),
        outcomes: BTreeMap::new(),
        summary: None,
        end: None,
    };
    let mut stream = match call.await {
        Ok(response) => response.into_inner(),
        Err(status) => {
            answer.end = Some(status);
            return Ok(answer);
        }
    };
    while let Some(message) = stream.next().await {
        let (host, envelope) = match message {
            Ok(message) => message.into_envelope(),
            Err(status) => {
                answer.end = Some(status);
                break;
            }
        };
        ensure!(answer.summary.is_none(), "a message after the summary");
        ensure!(!answer.outcomes.contains_key(&host), "a message after the outcome of {host}");
        match envelope.context("an event that this version knows")? {
            Envelope::Started(started) => {
                ensure!(answer.started.is_none(), "started twice");
                ensure!(started.hosts.is_sorted(), "{:?}", started.hosts);
                answer.started = Some(started.hosts);
            }
            _ if answer.started.is_none() => anyhow::bail!("a message before `started`"),
            Envelope::Payload(payload) => answer.payloads.push((host, payload)),
            Envelope::Outcome(outcome) => {
                answer.order.push(host.clone());
                answer.outcomes.insert(host, outcome);
            }
            Envelope::Summary(summary) => answer.summary = Some(summary),
            Envelope::Heartbeat => {}
        }
    }
    if answer.summary.is_some() {
        let heard: Vec<_> = answer.outcomes.keys().cloned().collect();
        ensure!(answer.started.as_ref() == Some(&heard), "{:?} but {heard:?}", answer.started);
    }
    Ok(answer)
}

impl<E: std::fmt::Debug> Answer<E> {
    /// Success on the three hosts of the fixture, each with this `changed`.
    #[track_caller]
    pub fn all_done(self, changed: bool) -> Self {
        self.done_on(&HOSTS, changed)
    }

    /// Success on exactly these hosts, each with this `changed`.
    #[track_caller]
    pub fn done_on(self, hosts: &[&str], changed: bool) -> Self {
        assert!(self.end.is_none(), "{self:#?}");
        assert_eq!(
            self.started.as_deref(),
            Some(&*hosts.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>())
        );
        for host in hosts {
            assert_eq!(self.failure(host), None, "{host}");
            assert_eq!(self.outcomes[*host].changed, changed, "{host}: {self:#?}");
        }
        self
    }

    /// Success of a call that only reads.
    #[track_caller]
    pub fn all_read(self) -> Self {
        self.all_done(false)
    }

    /// Code, reason and message of a host that failed.
    pub fn failure(&self, host: &str) -> Option<(Code, String, String)> {
        let status = self.outcomes.get(host)?.status.as_ref().filter(|status| status.code != 0)?;
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
        Some((Code::from_i32(status.code), reason, status.message.clone()))
    }

    /// Code and reason of a call that was refused before any host was touched.
    #[track_caller]
    pub fn refusal(&self) -> (Code, String) {
        assert!(self.started.is_none(), "the call was begun: {self:#?}");
        let status = self.end.as_ref().expect("a status at the end");
        (status.code(), reason(status))
    }

    /// Code and reason of the status at the end of a call that was carried out.
    #[track_caller]
    pub fn ending(&self) -> (Code, String) {
        assert!(self.summary.is_some(), "no summary: {self:#?}");
        let status = self.end.as_ref().expect("a status at the end");
        (status.code(), reason(status))
    }

    /// The payloads of one host.
    pub fn of<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a E> {
        self.payloads.iter().filter(move |(of, _)| of == host).map(|(_, payload)| payload)
    }

    /// The fields that the refusal names as wrong.
    pub fn fields(&self) -> Vec<String> {
        self.end.as_ref().map(fields).unwrap_or_default()
    }
}

/// `ErrorInfo.reason`.
pub fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    details.error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// The fields of the request that a status names as wrong.
pub fn fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let violations = details.bad_request().map(|bad| bad.field_violations.clone());
    violations.unwrap_or_default().into_iter().map(|violation| violation.field).collect()
}
