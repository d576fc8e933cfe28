//! Logs: each line once and in its order, whatever happens to hosts, containers, the server, and the
//! caller.

use std::collections::BTreeMap;

use serde_json::json;
use tonic::transport::Endpoint;
use tonic::{Code, Status};
use wharf::v1;
use wharf::v1::log_service_client::LogServiceClient;
use wharf::v1::stream_logs_response::Event;
use wharf_server::engine::ApiVersion;
use wharf_simulator::Operation;

use crate::support::{Answer, Fleet, FleetOptions, IMAGE, Reader, all, at, list, name, until};

type LogReader = Reader<v1::StreamLogsResponse>;

/// What a caller knows: the text of each container, and where it is.
#[derive(Debug, Default)]
struct Known {
    texts: BTreeMap<String, String>,
    after: BTreeMap<String, v1::LogPosition>,
    gaps: Vec<(String, bool)>,
    begun: usize,
    replaced: Vec<String>,
    items: Vec<(String, i32)>,
}

impl Known {
    fn take(&mut self, host: &str, event: Event) {
        match event {
            Event::Chunk(chunk) => {
                let text = String::from_utf8(chunk.data).unwrap();
                assert!(chunk.continues || text.ends_with('\n'), "whole lines: {text:?}");
                assert!(text.len() <= 64 << 10, "{}", text.len());
                self.texts.entry(format!("{host}/{}", chunk.name)).or_default().push_str(&text);
                let place = format!("{host}/{}", chunk.container_id);
                self.after.insert(place, chunk.position.unwrap());
            }
            Event::Container(container) if container.replaces.is_empty() => self.begun += 1,
            Event::Container(container) => {
                self.replaced.push(format!("{host}/{}", container.name));
            }
            Event::Gap(gap) => self.gaps.push((host.to_owned(), gap.away.is_some())),
            Event::Item(item) => {
                let code = item.status.unwrap_or_default().code;
                self.items.push((format!("{host}/{}", item.name), code));
            }
            _ => {}
        }
    }

    /// Reads until it is so.
    async fn until(&mut self, reader: &mut LogReader, so: impl Fn(&Self) -> bool) {
        let read = async {
            while !so(self) {
                let (host, event) = reader.next().await.unwrap().expect("the stream goes on");
                self.take(&host, event);
            }
        };
        let done = tokio::time::timeout(std::time::Duration::from_secs(30), read).await;
        assert!(done.is_ok(), "{self:#?}");
    }

    fn has(&self, container: &str, lines: usize) -> bool {
        self.texts.get(container).is_some_and(|text| text.lines().count() >= lines)
    }

    /// The numbered lines of a container, each once and in order.
    fn check(&self, container: &str, lines: usize) {
        assert_eq!(self.texts[container], numbered(0, lines), "{container}");
    }
}

fn numbered(first: usize, end: usize) -> String {
    (first..end).map(|number| format!("line {number}\n")).collect()
}

/// Lets a container of a host write lines.
fn write(fleet: &Fleet, host: usize, container: &str, first: usize, end: usize) {
    fleet.host(host).host().with(|model, now| {
        for number in first..end {
            model.write_log(now, container, false, &format!("line {number}\n"));
        }
    });
}

fn run(fleet: &Fleet, host: usize, container: &str) {
    fleet.host(host).host().with(|model, now| model.start(now, container).unwrap());
}

fn client(fleet: &Fleet) -> LogServiceClient<tonic::transport::Channel> {
    LogServiceClient::new(fleet.channel.clone())
}

fn follow(targets: Option<v1::HostSelector>, container: &str) -> v1::StreamLogsRequest {
    let containers = vec![container.to_owned()];
    v1::StreamLogsRequest { targets, containers, follow: true, ..Default::default() }
}

async fn logs(
    fleet: &Fleet,
    request: v1::StreamLogsRequest,
) -> Result<tonic::Response<tonic::Streaming<v1::StreamLogsResponse>>, Status> {
    client(fleet).stream_logs(request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_goes_away_interrupts_its_own_logs_and_no_line_is_lost() {
    let fleet = Fleet::new(3).await;
    for host in 0..3 {
        run(&fleet, host, "c0");
        write(&fleet, host, "c0", 0, 10);
    }
    let mut reader = Reader::begin(logs(&fleet, follow(all(), "c0"))).await;
    let mut known = Known::default();
    let places: Vec<String> = (0..3).map(|host| format!("{}/c0", name(host))).collect();
    known.until(&mut reader, |it| places.iter().all(|place| it.has(place, 10))).await;

    // The connection breaks, the container runs on.
    fleet.host(1).host().set_unreachable(true);
    known.until(&mut reader, |it| it.gaps.contains(&(name(1), false))).await;
    for host in 0..3 {
        write(&fleet, host, "c0", 10, 20);
    }
    known.until(&mut reader, |it| it.has(&places[0], 20) && it.has(&places[2], 20)).await;
    fleet.host(1).host().set_unreachable(false);
    known.until(&mut reader, |it| it.has(&places[1], 20)).await;
    assert_eq!(known.gaps, [(name(1), false), (name(1), true)]);

    // An Engine that dies takes its containers with it; the caller starts one again.
    fleet.host(2).host().crash();
    known.until(&mut reader, |it| it.gaps.len() == 3).await;
    fleet.host(2).host().boot();
    known.until(&mut reader, |it| it.items.contains(&(format!("{}/c0", name(2)), 0))).await;
    for place in &places {
        known.check(place, 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_resumes_where_it_was_also_while_a_host_is_away() {
    let mut fleet = Fleet::new(2).await;
    for host in 0..2 {
        run(&fleet, host, "c0");
        write(&fleet, host, "c0", 0, 5);
    }
    let places: Vec<String> = (0..2).map(|host| format!("{}/c0", name(host))).collect();
    let mut known = Known::default();
    let mut request = v1::StreamLogsRequest { tail: Some(100), ..follow(all(), "c0") };
    let mut reader = Reader::begin(logs(&fleet, request.clone())).await;
    known.until(&mut reader, |it| places.iter().all(|place| it.has(place, 5))).await;
    fleet.stop().await;
    assert_eq!(reader.finish().await.failure(), (Code::Unavailable, "SERVER_STOPPING".to_owned()));

    fleet.host(1).host().set_unreachable(true);
    for host in 0..2 {
        write(&fleet, host, "c0", 5, 200);
    }
    fleet.start().await;
    request.after = known.after.clone();
    let mut reader = Reader::begin(logs(&fleet, request)).await;
    known.until(&mut reader, |it| it.has(&places[0], 200) && !it.gaps.is_empty()).await;
    fleet.host(1).host().set_unreachable(false);
    known.until(&mut reader, |it| it.has(&places[1], 200)).await;
    for place in &places {
        known.check(place, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_is_followed_into_the_one_that_replaces_it() {
    let fleet = Fleet::new(1).await;
    run(&fleet, 0, "c0");
    write(&fleet, 0, "c0", 0, 3);
    let mut reader = Reader::begin(logs(&fleet, follow(all(), "c0"))).await;
    let (mut known, place) = (Known::default(), format!("{}/c0", name(0)));
    known.until(&mut reader, |it| it.has(&place, 3)).await;
    // As a rollout does it.
    let host = fleet.host(0).host();
    let version = ApiVersion::new(1, 41);
    host.with(|model, now| {
        let body = json!({"Image": IMAGE});
        model.create(now, version, Some("c0.new-1a2b3c4d"), None, &body).unwrap();
        model.kill(now, "c0", None).unwrap();
    });
    host.with(|model, _| model.rename("c0", "c0.old-1a2b3c4d").unwrap());
    host.with(|model, _| model.rename("c0.new-1a2b3c4d", "c0").unwrap());
    run(&fleet, 0, "c0");
    write(&fleet, 0, "c0", 3, 6);
    known.until(&mut reader, |it| it.has(&place, 6)).await;
    known.check(&place, 6);
    assert_eq!(known.replaced, [place]);
    // Nothing replaces this one.
    host.with(|model, now| model.kill(now, "c0", None).unwrap());
    let answer = reader.finish().await;
    answer.all_succeeded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_has_a_reason_and_the_rest_is_read() {
    let fleet = Fleet::new(3).await;
    fleet.host(0).host().with(|model, now| {
        let body = json!({"Image": IMAGE, "HostConfig": {"LogConfig": {"Type": "none"}}});
        model.create(now, ApiVersion::new(1, 41), Some("silent"), None, &body).unwrap();
    });
    write(&fleet, 0, "c0", 0, 3);
    fleet.host(2).host().set_unreachable(true);
    let mut request = v1::StreamLogsRequest { follow: false, ..follow(all(), "c0") };
    request.containers = ["c0", "silent", "nobody"].map(str::to_owned).to_vec();
    let answer = Answer::of(logs(&fleet, request)).await;
    let mut known = Known::default();
    let mut messages = Vec::new();
    for (host, event) in answer.payloads.iter().cloned() {
        if let Event::Item(item) = &event {
            messages.push(item.status.clone().unwrap_or_default().message);
        }
        known.take(&host, event);
    }
    known.check(&format!("{}/c0", name(0)), 3);
    known.items.sort();
    let expected = [
        (format!("{}/c0", name(0)), Code::Ok as i32),
        (format!("{}/nobody", name(0)), Code::NotFound as i32),
        (format!("{}/silent", name(0)), Code::Unimplemented as i32),
        (format!("{}/c0", name(1)), Code::Ok as i32),
        (format!("{}/nobody", name(1)), Code::NotFound as i32),
        (format!("{}/silent", name(1)), Code::NotFound as i32),
    ];
    assert_eq!(known.items, expected);
    assert!(messages.iter().any(|it| it.contains("log driver that can be read")), "{messages:?}");
    assert_eq!(answer.refused(&name(2)).reason, "HOST_UNREACHABLE");

    // By label: a host without such a container has nothing to say.
    let labels = vec!["app=shop".to_owned()];
    let request = v1::StreamLogsRequest { targets: at(&[0, 1]), labels, ..Default::default() };
    let answer = Answer::of(logs(&fleet, request)).await;
    answer.all_succeeded();
    assert!(answer.payloads.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chatty_host_and_a_slow_reader_starve_nobody() {
    let fleet = Fleet::new(4).await;
    let text = "x".repeat(1000);
    fleet.host(0).host().with(|model, now| {
        for _ in 0..30_000 {
            model.write_log(now, "c0", false, &format!("{text}\n"));
        }
    });
    for host in 1..4 {
        write(&fleet, host, "c0", 0, 1);
    }
    let endpoint = Endpoint::from_shared(fleet.config().listen[0].to_string()).unwrap();
    let endpoint =
        endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    let mut client = LogServiceClient::new(endpoint.connect().await.unwrap());
    let request = v1::StreamLogsRequest { follow: false, ..follow(all(), "c0") };
    let mut reader: LogReader = Reader::begin(client.stream_logs(request)).await;
    // Nobody reads for a while, and others feel nothing of it.
    Answer::of(fleet.containers().list_containers(list(all()))).await.all_succeeded();
    let (mut known, mut messages) = (Known::default(), 0);
    while !(1..4).all(|host| known.has(&format!("{}/c0", name(host)), 1)) {
        let (host, event) = reader.next().await.unwrap().expect("more");
        known.take(&host, event);
        messages += 1;
    }
    assert!(messages < 100, "the short logs came after {messages} messages");
    while let Some((host, event)) = reader.next().await.unwrap() {
        known.take(&host, event);
    }
    assert_eq!(known.texts[&format!("{}/c0", name(0))].len(), 30_000 * 1001);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_followed_logs_do_not_keep_a_list_waiting() {
    const LOGS: usize = 500;
    let fleet = Fleet::with(FleetOptions { containers: LOGS, ..FleetOptions::of(1) }).await;
    fleet.host(0).host().with(|model, now| {
        for number in 0..LOGS {
            model.start(now, &format!("c{number}")).unwrap();
        }
    });
    let containers = (0..LOGS).map(|number| format!("c{number}")).collect();
    let request = v1::StreamLogsRequest { containers, ..follow(all(), "c0") };
    let mut reader: LogReader = Reader::begin(logs(&fleet, request)).await;
    let counters = &fleet.host(0).counters;
    let mut known = Known::default();
    known.until(&mut reader, |it| it.begun == LOGS).await;
    until("all are followed", || {
        counters.count(Operation::Logs) == LOGS as u64
            && counters.snapshot().in_flight == LOGS as u64
    })
    .await;
    for _ in 0..20 {
        Answer::of(fleet.containers().list_containers(list(all()))).await.all_succeeded();
    }
    assert_eq!(counters.snapshot().in_flight, LOGS as u64, "they are still followed");
    write(&fleet, 0, "c499", 0, 1);
    known.until(&mut reader, |it| it.has(&format!("{}/c499", name(0)), 1)).await;
    drop(reader);
    until("the Engine is let go of", || counters.snapshot().in_flight == 0).await;
}
