use std::collections::BTreeSet;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use v1::ListContainersResponse as Response;

use super::*;
use crate::domain::Reason;
use crate::fleet::{Done, HostError};

type Events = mpsc::Sender<Part<Response>>;

/// A call on these hosts that is answered with what is sent.
fn call(
    hosts: &[&str],
    stopping: &CancellationToken,
) -> (Events, impl Stream<Item = Result<Response, Status>> + use<>) {
    let (events, parts) = mpsc::channel(16);
    let answer = Answer {
        hosts: hosts.iter().map(|name| HostName::parse(name).unwrap()).collect(),
        operation_id: "1".to_owned(),
        allow_partial: true,
        mutates: false,
        cordoned: Vec::new(),
    };
    let closing = futures_util::stream::empty().boxed();
    (events, answer.stream(ReceiverStream::new(parts).boxed(), closing, stopping.clone()))
}

fn outcome(host: &str) -> Part<Response> {
    let result = Ok(Done::UNCHANGED);
    let outcome = HostOutcome { result, elapsed: Duration::from_millis(3), view: None };
    Part::Live(HostEvent::Outcome(HostName::parse(host).unwrap(), outcome))
}

async fn next(
    stream: &mut (impl Stream<Item = Result<Response, Status>> + Unpin),
) -> Envelope<<Response as FanoutResponse>::Event> {
    stream.next().await.unwrap().unwrap().into_envelope().1.unwrap()
}

#[tokio::test(start_paused = true)]
async fn silence_is_broken_by_a_heartbeat() {
    let (events, stream) = call(&["a", "b"], &CancellationToken::new());
    let mut stream = std::pin::pin!(stream);
    assert!(matches!(next(&mut stream).await, Envelope::Started(_)));
    let begun = Instant::now();
    for beat in 1..=3 {
        assert_eq!(next(&mut stream).await, Envelope::Heartbeat);
        assert_eq!(begun.elapsed(), HEARTBEAT_AFTER * beat);
    }
    // Whatever is said counts: the silence starts again.
    tokio::time::advance(Duration::from_secs(10)).await;
    events.send(outcome("a")).await.unwrap();
    assert!(matches!(next(&mut stream).await, Envelope::Outcome(_)));
    let spoken = Instant::now();
    assert_eq!(next(&mut stream).await, Envelope::Heartbeat);
    assert_eq!(spoken.elapsed(), HEARTBEAT_AFTER);

    events.send(outcome("b")).await.unwrap();
    drop(events);
    assert!(matches!(next(&mut stream).await, Envelope::Outcome(_)));
    let Envelope::Summary(summary) = next(&mut stream).await else { panic!("no summary") };
    assert_eq!(summary.succeeded, 2);
    assert!(stream.next().await.is_none(), "no heartbeat after the end");
}

#[tokio::test]
async fn a_server_that_stops_cuts_the_answer_short() {
    let stopping = CancellationToken::new();
    let (events, stream) = call(&["a"], &stopping);
    let mut stream = std::pin::pin!(stream);
    assert!(matches!(next(&mut stream).await, Envelope::Started(_)));
    stopping.cancel();
    events.send(outcome("a")).await.unwrap();
    let status = stream.next().await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(stream.next().await.is_none());
}

#[test]
fn a_failed_call_names_some_hosts_and_counts_the_rest() {
    let names: Vec<_> = (10..40).map(|number| format!("h{number}")).collect();
    let hosts = names.iter().map(|name| HostName::parse(name).unwrap()).collect();
    let operation_id = String::new();
    let answer =
        Answer { hosts, operation_id, allow_partial: false, mutates: true, cordoned: Vec::new() };
    let mut tally = Tally::default();
    let failed = tonic_types::pb::Status { code: Code::Unknown.into(), ..Default::default() };
    let failed = v1::HostOutcome { status: Some(failed), ..Default::default() };
    tally.count("h10", &v1::HostOutcome { changed: true, ..Default::default() }, true);
    for name in &names[1..] {
        tally.count(name, &failed, true);
    }
    let problem = tally.problem(&answer).unwrap();
    assert_eq!((problem.code, problem.reason), (Code::Aborted, Reason::SomeHostsFailed));
    let named: BTreeSet<_> =
        names.iter().filter(|name| problem.message.contains(name.as_str())).collect();
    assert_eq!(named.len(), NAMED_FAILURES);
    assert!(problem.message.contains("29 of 30") && problem.message.contains("19 more"));
}

fn ended(host: &str, result: Result<Done, HostError>) -> Part<v1::StopContainersResponse> {
    let outcome = HostOutcome { result, elapsed: Duration::from_millis(1), view: None };
    Part::Live(HostEvent::Outcome(HostName::parse(host).unwrap(), outcome))
}

#[tokio::test(start_paused = true)]
async fn the_last_outcome_ends_the_stream_although_work_goes_on() {
    use v1::stop_containers_response::Event;
    let (sender, receiver) = mpsc::channel(8);
    let timeout = HostError::Timeout { budget: Duration::from_secs(3), goes_on: true };
    sender.send(ended("web1", Err(timeout))).await.unwrap();
    let late = Event::Item(v1::ItemResult::default());
    let late = HostEvent::Payload(HostName::parse("web1").unwrap(), late);
    sender.send(Part::Live(late)).await.unwrap();
    sender.send(ended("web2", Ok(Done::CHANGED))).await.unwrap();
    let answer = Answer {
        hosts: ["web1", "web2"].map(|name| HostName::parse(name).unwrap()).to_vec(),
        operation_id: "operation".to_owned(),
        allow_partial: false,
        mutates: true,
        cordoned: Vec::new(),
    };
    let parts = ReceiverStream::new(receiver).boxed();
    // The sender lives on, as that of work without a caller does.
    let messages: Vec<_> = answer
        .stream(parts, futures_util::stream::empty().boxed(), CancellationToken::new())
        .collect()
        .await;
    let (status, messages) = messages.split_last().unwrap();
    assert_eq!(status.as_ref().unwrap_err().code(), Code::Aborted);
    let envelopes: Vec<_> = messages
        .iter()
        .map(|message| message.clone().unwrap().into_envelope())
        .map(|(host, envelope)| (host, envelope.unwrap()))
        .collect();
    assert!(matches!(&envelopes[0], (_, Envelope::Started(started)) if started.hosts.len() == 2));
    assert!(matches!(&envelopes[1], (host, Envelope::Outcome(_)) if host == "web1"));
    assert!(matches!(&envelopes[2], (host, Envelope::Outcome(_)) if host == "web2"));
    let summary = v1::FanoutSummary { succeeded: 1, failed: 1, unchanged: 0 };
    assert_eq!(envelopes[3].1, Envelope::Summary(summary));
    drop(sender);
}

#[tokio::test(start_paused = true)]
async fn what_is_about_all_hosts_follows_the_last_outcome_and_may_take_its_time() {
    use v1::list_containers_response::Event;
    let (sender, parts) = mpsc::channel(8);
    sender.send(outcome("a")).await.unwrap();
    let answer = Answer {
        hosts: vec![HostName::parse("a").unwrap()],
        operation_id: "1".to_owned(),
        allow_partial: true,
        mutates: false,
        cordoned: Vec::new(),
    };
    let slow = async {
        tokio::time::sleep(HEARTBEAT_AFTER * 3 / 2).await;
        Event::Batch(v1::ContainerBatch::default())
    };
    let closing = futures_util::stream::once(slow).boxed();
    let parts = ReceiverStream::new(parts).boxed();
    let messages: Vec<Result<Response, Status>> =
        answer.stream(parts, closing, CancellationToken::new()).collect().await;
    let said: Vec<_> = messages
        .into_iter()
        .map(|message| match message.unwrap().into_envelope() {
            (host, Some(Envelope::Payload(_))) => format!("payload of {host:?}"),
            (host, Some(Envelope::Outcome(_))) => format!("outcome of {host:?}"),
            (_, Some(Envelope::Started(_))) => "started".to_owned(),
            (_, Some(Envelope::Heartbeat)) => "heartbeat".to_owned(),
            (_, other) => format!("{:?}", other.map(|_| "summary")),
        })
        .collect();
    assert_eq!(
        said,
        ["started", "outcome of \"a\"", "heartbeat", "payload of \"\"", "Some(\"summary\")"]
    );
}
