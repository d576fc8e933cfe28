//! The parsed response of a fan-out. Checks the envelope of every call.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use prost::Message;
use tonic::{Code, Response, Status, Streaming};
use tonic_types::{StatusExt, pb};
use wharf::fanout::{Envelope, FanoutResponse};
use wharf::v1;

/// A whole answer.
#[derive(Debug)]
pub struct Answer<P> {
    /// What hosts said before their outcomes.
    pub payloads: Vec<(String, P)>,
    /// How each host ended.
    pub outcomes: BTreeMap<String, v1::HostOutcome>,
    /// `None` where the call was cut short.
    pub summary: Option<v1::FanoutSummary>,
    /// How the call ended.
    pub status: Result<(), Status>,
}

/// Reads a stream and checks its envelope.
pub struct Reader<R: FanoutResponse> {
    stream: Streaming<R>,
    /// The hosts of the call.
    pub hosts: Vec<String>,
    /// How hosts ended so far.
    pub outcomes: BTreeMap<String, v1::HostOutcome>,
    summary: Option<v1::FanoutSummary>,
}

/// Why a host failed.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// gRPC code.
    pub code: Code,
    /// Reason of the ErrorInfo.
    pub reason: String,
    /// For people.
    pub message: String,
}

impl<R: FanoutResponse> Reader<R> {
    /// Reads the first message, which names the hosts.
    pub async fn begin(call: impl Future<Output = Result<Response<Streaming<R>>, Status>>) -> Self {
        let mut stream = call.await.expect("the call begins").into_inner();
        let first = stream.message().await.expect("a first message").expect("a first message");
        let (host, envelope) = first.into_envelope();
        let Some(Envelope::Started(started)) = envelope else {
            panic!("the first message must be `started`")
        };
        assert_eq!(host, "");
        assert!(!started.operation_id.is_empty());
        let sorted: Vec<_> = started.hosts.iter().collect::<BTreeSet<_>>().into_iter().collect();
        assert_eq!(started.hosts.iter().collect::<Vec<_>>(), sorted, "sorted, each once");
        Self { stream, hosts: started.hosts, outcomes: BTreeMap::new(), summary: None }
    }

    /// The next payload; outcomes are kept. `None` at the end of the stream.
    pub async fn next(&mut self) -> Result<Option<(String, R::Event)>, Status> {
        while let Some(message) = self.stream.message().await? {
            if let Some(payload) = self.take(message) {
                return Ok(Some(payload));
            }
        }
        Ok(None)
    }

    /// Reads until so many hosts have ended.
    pub async fn until_ended(&mut self, hosts: usize) {
        while self.outcomes.len() < hosts {
            let message = self.stream.message().await.expect("no end").expect("no end");
            self.take(message);
        }
    }

    /// Reads the rest.
    pub async fn finish(mut self) -> Answer<R::Event> {
        let mut payloads = Vec::new();
        let status = loop {
            match self.next().await {
                Ok(Some(payload)) => payloads.push(payload),
                Ok(None) => break Ok(()),
                Err(status) => break Err(status),
            }
        };
        if status.is_ok() {
            assert!(self.summary.is_some(), "a call that ends OK has a summary");
        }
        if let Some(summary) = self.summary {
            assert_eq!(self.outcomes.len(), self.hosts.len(), "one outcome a host");
            let succeeded = self.outcomes.values().filter(|outcome| is_ok(outcome)).count();
            assert_eq!(summary.succeeded as usize, succeeded);
            assert_eq!(summary.failed as usize, self.hosts.len() - succeeded);
        }
        Answer { payloads, outcomes: self.outcomes, summary: self.summary, status }
    }

    fn take(&mut self, message: R) -> Option<(String, R::Event)> {
        assert_eq!(self.summary, None, "nothing comes after the summary");
        let (host, envelope) = message.into_envelope();
        match envelope.expect("an event that is known") {
            Envelope::Started(_) => panic!("`started` comes once"),
            Envelope::Heartbeat => assert_eq!(host, ""),
            Envelope::Summary(summary) => {
                assert_eq!(host, "");
                self.summary = Some(summary);
            }
            Envelope::Outcome(outcome) => {
                assert!(self.hosts.contains(&host), "{host} is not of this call");
                let earlier = self.outcomes.insert(host.clone(), outcome);
                assert_eq!(earlier, None, "a second outcome of {host}");
            }
            Envelope::Payload(payload) if host.is_empty() => {
                let ended = self.outcomes.len() == self.hosts.len();
                assert!(ended, "what is about all hosts follows the last outcome");
                return Some((host, payload));
            }
            Envelope::Payload(payload) => {
                assert!(self.hosts.contains(&host), "{host} is not of this call");
                assert!(!self.outcomes.contains_key(&host), "{host} had ended");
                return Some((host, payload));
            }
        }
        None
    }
}

impl<P: Debug> Answer<P> {
    /// Makes a call and reads its answer.
    pub async fn of<R: FanoutResponse<Event = P>>(
        call: impl Future<Output = Result<Response<Streaming<R>>, Status>>,
    ) -> Self {
        Reader::begin(call).await.finish().await
    }

    /// Why a host failed; panics where it did not.
    pub fn refused(&self, host: &str) -> Refused {
        let status = self.outcomes[host].status.clone().unwrap_or_default();
        assert_ne!(status.code, 0, "{host} succeeded");
        let info = error_info(&status);
        assert_eq!(info.domain, "wharf.v1");
        assert_eq!(info.metadata.get("host").map(String::as_str), Some(host));
        let code = Code::from_i32(status.code);
        Refused { code, reason: info.reason, message: status.message }
    }

    /// Code and reason of a host that failed.
    pub fn code_and_reason(&self, host: &str) -> (Code, String) {
        let refused = self.refused(host);
        (refused.code, refused.reason)
    }

    /// Hosts that succeeded.
    pub fn succeeded(&self) -> Vec<&str> {
        let ok = self.outcomes.iter().filter(|(_, outcome)| is_ok(outcome));
        ok.map(|(host, _)| host.as_str()).collect()
    }

    /// Panics where the call or a host failed.
    #[track_caller]
    pub fn all_succeeded(&self) {
        assert!(self.status.is_ok(), "{:?}", self.status);
        let summary = self.summary.unwrap_or_default();
        assert_eq!(summary.failed, 0, "{:?}", self.outcomes);
    }

    /// Code and reason of the call.
    #[track_caller]
    pub fn failure(&self) -> (Code, String) {
        let status = self.status.as_ref().expect_err("the call fails");
        (status.code(), reason(status))
    }
}

/// Reason in the ErrorInfo of a status.
#[track_caller]
pub fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, "wharf.v1");
    info.reason.clone()
}

fn is_ok(outcome: &v1::HostOutcome) -> bool {
    outcome.status.as_ref().is_none_or(|status| status.code == 0)
}

fn error_info(status: &pb::Status) -> pb::ErrorInfo {
    let infos: Vec<_> = status
        .details
        .iter()
        .filter(|any| any.type_url == "type.googleapis.com/google.rpc.ErrorInfo")
        .map(|any| pb::ErrorInfo::decode(&*any.value).expect("an ErrorInfo"))
        .collect();
    let [info] = infos.try_into().unwrap_or_else(|_| panic!("one ErrorInfo in {status:?}"));
    info
}
