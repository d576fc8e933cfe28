//! Events: each once and in its order, and a word where some may be missing, whatever happens to hosts,
//! the server, and the caller.

use std::collections::BTreeMap;

use tonic::transport::Endpoint;
use tonic::{Code, Status};
use wharf::v1;
use wharf::v1::event_service_client::EventServiceClient;
use wharf::v1::stream_events_response::Event;
use wharf_simulator::Operation;

use crate::support::{Answer, Fleet, Reader, all, at, list, name, until};

type EventReader = Reader<v1::StreamEventsResponse>;

/// What a caller knows.
#[derive(Debug, Default)]
struct Known {
    /// The numbers of the events of each host.
    numbers: BTreeMap<String, Vec<u64>>,
    actions: BTreeMap<String, Vec<String>>,
    after: BTreeMap<String, v1::EventPosition>,
    gaps: Vec<(String, bool)>,
    lost: Vec<(String, v1::EventsLost)>,
}

impl Known {
    fn take(&mut self, host: &str, event: Event) {
        let position = match event {
            Event::EngineEvent(event) => {
                if let Some(number) = event.attributes.get("number") {
                    let numbers = self.numbers.entry(host.to_owned()).or_default();
                    numbers.push(number.parse().unwrap());
                }
                self.actions.entry(host.to_owned()).or_default().push(event.action);
                event.position
            }
            Event::Position(position) => Some(position),
            Event::Gap(gap) => {
                self.gaps.push((host.to_owned(), gap.away.is_some()));
                None
            }
            Event::Lost(lost) => {
                let position = lost.position.clone();
                self.lost.push((host.to_owned(), lost));
                position
            }
            _ => None,
        };
        if let Some(position) = position {
            self.after.insert(host.to_owned(), position);
        }
    }

    /// Reads until it is so.
    async fn until(&mut self, reader: &mut EventReader, so: impl Fn(&Self) -> bool) {
        let read = async {
            while !so(self) {
                let (host, event) = reader.next().await.unwrap().expect("the stream goes on");
                self.take(&host, event);
            }
        };
        let done = tokio::time::timeout(std::time::Duration::from_secs(30), read).await;
        assert!(done.is_ok(), "{self:#?}");
    }

    fn count(&self, host: usize) -> usize {
        self.numbers.get(&name(host)).map_or(0, Vec::len)
    }

    /// The host has exactly these numbers.
    fn check(&self, host: usize, numbers: impl Iterator<Item = u64>) {
        let found = self.numbers.get(&name(host)).cloned().unwrap_or_default();
        assert_eq!(found, numbers.collect::<Vec<_>>(), "{}", name(host));
    }
}

/// Numbered events of a host.
fn emit(fleet: &Fleet, host: usize, numbers: impl Iterator<Item = u64>) {
    fleet.host(host).host().with(|model, _| {
        for number in numbers {
            model.emit("container", "tick", "c0", &[("number", &number.to_string())]);
        }
    });
}

fn request(targets: Option<v1::HostSelector>) -> v1::StreamEventsRequest {
    v1::StreamEventsRequest { targets, ..Default::default() }
}

fn filter(key: &str, values: &[&str]) -> v1::Filter {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    v1::Filter { key: key.to_owned(), values }
}

async fn events(
    fleet: &Fleet,
    request: v1::StreamEventsRequest,
) -> Result<tonic::Response<tonic::Streaming<v1::StreamEventsResponse>>, Status> {
    EventServiceClient::new(fleet.channel.clone()).stream_events(request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_goes_away_interrupts_its_own_events_and_what_it_forgot_is_said() {
    let fleet = Fleet::new(3).await;
    let mut reader = Reader::begin(events(&fleet, request(all()))).await;
    let mut known = Known::default();
    known.until(&mut reader, |it| it.after.len() == 3).await;
    for host in 0..3 {
        emit(&fleet, host, 0..5);
    }
    known.until(&mut reader, |it| (0..3).all(|host| it.count(host) == 5)).await;

    // The network breaks; the Engine remembers what happens meanwhile.
    fleet.host(1).host().set_unreachable(true);
    known.until(&mut reader, |it| it.gaps.contains(&(name(1), false))).await;
    for host in 0..3 {
        emit(&fleet, host, 5..200);
    }
    known.until(&mut reader, |it| it.count(0) == 200 && it.count(2) == 200).await;
    fleet.host(1).host().set_unreachable(false);
    known.until(&mut reader, |it| it.count(1) == 200).await;
    assert_eq!(known.gaps, [(name(1), false), (name(1), true)]);
    assert!(known.lost.is_empty(), "{:?}", known.lost);

    // More happens than it remembers.
    fleet.host(1).host().set_unreachable(true);
    known.until(&mut reader, |it| it.gaps.len() == 3).await;
    emit(&fleet, 1, 200..500);
    fleet.host(1).host().set_unreachable(false);
    known.until(&mut reader, |it| it.numbers[&name(1)].last() == Some(&499)).await;
    known.check(1, (0..200).chain(500 - 256..500));

    // An Engine that dies forgets everything.
    fleet.host(2).host().crash();
    known.until(&mut reader, |it| it.gaps.len() == 5).await;
    fleet.host(2).host().boot();
    known.until(&mut reader, |it| it.lost.len() == 2).await;
    emit(&fleet, 2, 200..210);
    known.until(&mut reader, |it| it.count(2) == 210).await;
    known.check(0, 0..200);
    known.check(2, 0..210);
    let lost: Vec<_> = known.lost.iter().map(|(host, lost)| (host.clone(), lost.cause())).collect();
    let forgotten = v1::EventsLostCause::Forgotten;
    assert_eq!(lost, [(name(1), forgotten), (name(2), forgotten)]);
    for (_, lost) in &known.lost {
        let nanos = |time: &Option<prost_types::Timestamp>| {
            let time = time.unwrap();
            (time.seconds, time.nanos)
        };
        assert!(nanos(&lost.from) <= nanos(&lost.to), "{lost:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_resumes_where_it_was_also_while_a_host_is_away() {
    let mut fleet = Fleet::new(2).await;
    let mut known = Known::default();
    let mut request = v1::StreamEventsRequest {
        filters: vec![filter("event", &["tick", "start"])],
        ..request(all())
    };
    let mut reader = Reader::begin(events(&fleet, request.clone())).await;
    known.until(&mut reader, |it| it.after.len() == 2).await;
    for host in 0..2 {
        emit(&fleet, host, 0..50);
    }
    known.until(&mut reader, |it| (0..2).all(|host| it.count(host) == 50)).await;
    fleet.stop().await;
    assert_eq!(reader.finish().await.failure(), (Code::Unavailable, "SERVER_STOPPING".to_owned()));

    fleet.host(1).host().set_unreachable(true);
    for host in 0..2 {
        emit(&fleet, host, 50..200);
        // Events that do not match count, too, when it comes to what an Engine remembers.
        fleet.host(host).host().with(|model, now| model.start(now, "c0").unwrap());
    }
    fleet.start().await;
    request.after = known.after.clone();
    let mut reader = Reader::begin(events(&fleet, request)).await;
    known.until(&mut reader, |it| it.count(0) == 200 && !it.gaps.is_empty()).await;
    fleet.host(1).host().set_unreachable(false);
    let started =
        |it: &Known| it.actions.values().all(|it| it.last().is_some_and(|last| last == "start"));
    known.until(&mut reader, started).await;
    for host in 0..2 {
        known.check(host, 0..200);
    }
    assert!(known.lost.is_empty(), "{:?}", known.lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_past_is_sent_and_ends() {
    let fleet = Fleet::new(2).await;
    fleet.host(1).host().set_unreachable(true);
    let now = || fleet.host(0).host().with(|_, now| now);
    let time = |time: wharf_simulator::model::Time| {
        let time = time.as_log_time();
        let seconds = i64::try_from(time.seconds).unwrap();
        Some(prost_types::Timestamp { seconds, nanos: i32::try_from(time.nanos).unwrap() })
    };
    emit(&fleet, 0, 0..5);
    let since = time(now());
    emit(&fleet, 0, 5..10);
    let end = time(now() + std::time::Duration::from_micros(1));
    let last = now() + std::time::Duration::from_micros(1);
    until("it is over", || now() > last).await;
    emit(&fleet, 0, 10..15);
    let answer =
        Answer::of(events(&fleet, v1::StreamEventsRequest { since, until: end, ..request(all()) }))
            .await;
    assert_eq!(answer.refused(&name(1)).reason, "HOST_UNREACHABLE");
    let mut known = Known::default();
    for (host, event) in answer.payloads.iter().cloned() {
        known.take(&host, event);
    }
    known.check(0, 5..10);
    // It remembers events from before that time.
    assert!(known.lost.is_empty(), "{:?}", known.lost);

    // What it does not remember may have been there.
    let since = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    let answer = Answer::of(events(
        &fleet,
        v1::StreamEventsRequest { since, until: end, ..request(at(&[0])) },
    ))
    .await;
    answer.all_succeeded();
    let lost = answer.payloads.iter().filter(|(_, event)| matches!(event, Event::Lost(_)));
    assert_eq!(lost.count(), 1, "{:?}", answer.payloads);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_loses_events_of_the_host_that_has_too_many_and_is_told() {
    const EVENTS: u64 = 20_000;
    let fleet = Fleet::new(4).await;
    let endpoint = Endpoint::from_shared(fleet.config().listen[0].to_string()).unwrap();
    let endpoint =
        endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    let mut client = EventServiceClient::new(endpoint.connect().await.unwrap());
    let mut reader: EventReader = Reader::begin(client.stream_events(request(all()))).await;
    let mut known = Known::default();
    known.until(&mut reader, |it| it.after.len() == 4).await;
    until("all are followed", || {
        fleet.hosts().iter().all(|host| host.counters.count(Operation::Events) == 1)
    })
    .await;
    // Nobody reads for a while. The server does: an Engine keeps only so many for it.
    for begin in (0..EVENTS).step_by(1000) {
        emit(&fleet, 0, begin..begin + 1000);
        let is_read = || fleet.host(0).host().with(|model, _| model.events_are_read());
        until("the Engine has sent them", is_read).await;
    }
    Answer::of(fleet.containers().list_containers(list(all()))).await.all_succeeded();
    for host in 1..4 {
        emit(&fleet, host, 0..1);
    }
    let mut messages = 0;
    while !(1..4).all(|host| known.count(host) == 1) {
        let (host, event) = reader.next().await.unwrap().expect("more");
        known.take(&host, event);
        messages += 1;
    }
    assert!(messages < 2000, "the other hosts came after {messages} messages");
    let lost = |it: &Known| it.lost.iter().map(|(_, lost)| lost.count).sum::<u64>();
    known.until(&mut reader, |it| it.count(0) as u64 + lost(it) >= EVENTS).await;
    emit(&fleet, 0, EVENTS..EVENTS + 1);
    known.until(&mut reader, |it| it.numbers[&name(0)].last() == Some(&EVENTS)).await;
    assert!(lost(&known) > 0, "{:?}", known.lost);
    assert_eq!(known.count(0) as u64 + lost(&known), EVENTS + 1);
    assert!(known.numbers[&name(0)].is_sorted());
    assert!(known.lost.iter().all(|(host, lost)| *host == name(0)
        && lost.cause() == v1::EventsLostCause::SlowReader));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_filters_are_refused_before_a_host_is_touched() {
    let fleet = Fleet::new(1).await;
    for (filters, field) in [
        (vec![filter("status", &["running"])], "filters[0].key: must be one of container,"),
        (vec![filter("type", &["image"]), filter("event", &[])], "filters[1].values:"),
    ] {
        let request = v1::StreamEventsRequest { filters, ..request(all()) };
        let refused = events(&fleet, request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with(field), "{}", refused.message());
    }
    assert_eq!(fleet.host(0).counters.snapshot().total, 0);
}
