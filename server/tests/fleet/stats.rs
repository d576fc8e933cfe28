//! Stats: a frame a second for each host, whatever happens to hosts, containers, and the caller.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status, Streaming};
use wharf::v1;
use wharf::v1::stats_service_client::StatsServiceClient;
use wharf::v1::stream_stats_response::Event;
use wharf_simulator::Operation;

use crate::support::{Answer, Fleet, FleetOptions, Reader, all, at, list, name, until};

type StatsReader = Reader<v1::StreamStatsResponse>;

async fn stats(
    fleet: &Fleet,
    request: v1::StreamStatsRequest,
) -> Result<Response<Streaming<v1::StreamStatsResponse>>, Status> {
    StatsServiceClient::new(fleet.channel.clone()).stream_stats(request).await
}

fn request() -> v1::StreamStatsRequest {
    v1::StreamStatsRequest { targets: all(), ..Default::default() }
}

/// Starts the containers that a host has from the beginning.
fn start(fleet: &Fleet, host: usize, containers: std::ops::Range<usize>) {
    fleet.host(host).host().with(|model, now| {
        for number in containers {
            model.start(now, &format!("c{number}")).unwrap();
        }
    });
}

/// Reads until there is an event that `see` wants.
async fn next<R>(reader: &mut StatsReader, mut see: impl FnMut(&str, Event) -> Option<R>) -> R {
    let read = async {
        loop {
            let (host, event) = reader.next().await.unwrap().expect("the stream goes on");
            if let Some(seen) = see(&host, event) {
                return seen;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), read).await.expect("it comes")
}

/// The next frame of a host that is as wanted.
async fn frame(
    reader: &mut StatsReader,
    host: usize,
    wanted: impl Fn(&v1::StatsFrame) -> bool,
) -> v1::StatsFrame {
    next(reader, |from, event| match event {
        Event::Frame(frame) if from == name(host) && wanted(&frame) => Some(frame),
        _ => None,
    })
    .await
}

fn names(frame: &v1::StatsFrame) -> Vec<&str> {
    frame.containers.iter().map(|container| container.name.as_str()).collect()
}

fn is_measured(frame: &v1::StatsFrame) -> bool {
    let measured =
        |it: &v1::ContainerStats| it.usage.as_ref().is_some_and(|it| it.cpu_percent.is_some());
    frame.containers.iter().all(measured)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_containers_are_one_frame_a_second_and_keep_no_list_waiting() {
    const CONTAINERS: usize = 200;
    let fleet = Fleet::with(FleetOptions { containers: CONTAINERS, ..FleetOptions::of(1) }).await;
    start(&fleet, 0, 0..CONTAINERS);
    let begun = Instant::now();
    let mut reader = Reader::begin(stats(&fleet, request())).await;
    let full =
        frame(&mut reader, 0, |it| it.containers.len() == CONTAINERS && is_measured(it)).await;
    let total = full.total.unwrap();
    let usage = total.usage.unwrap();
    assert_eq!((total.containers, total.cpus), (CONTAINERS as u32, 2));
    assert_eq!(usage.memory_bytes, CONTAINERS as u64 * (10 << 20));
    assert_eq!((usage.pids, usage.memory_limit_bytes), (600, 8 << 30));
    // Each of them uses a quarter of a processor.
    let percent = usage.cpu_percent.unwrap() / CONTAINERS as f64;
    assert!((percent - 25.0).abs() < 1.0, "{percent}");

    let counters = &fleet.host(0).counters;
    assert_eq!(
        counters.count(Operation::Stats),
        CONTAINERS as u64,
        "by stream, not by asking again"
    );
    for _ in 0..5 {
        Answer::of(fleet.containers().list_containers(list(all()))).await.all_succeeded();
    }
    let mut frames = 2;
    while frames < 5 {
        frame(&mut reader, 0, |_| true).await;
        frames += 1;
    }
    // More of them would be a frame for each sample.
    assert!(frames <= 2 + 2 * begun.elapsed().as_secs(), "{frames} in {:?}", begun.elapsed());
    assert_eq!(counters.count(Operation::Stats), CONTAINERS as u64);
    drop(reader);
    until("the Engine is let go of", || counters.snapshot().in_flight == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_come_and_go_and_a_host_that_is_away_comes_back() {
    let fleet = Fleet::with(FleetOptions { containers: 3, ..FleetOptions::of(3) }).await;
    for host in 0..3 {
        start(&fleet, host, 0..1);
    }
    // From the beginning.
    fleet.host(2).host().set_unreachable(true);
    let mut reader = Reader::begin(stats(&fleet, request())).await;
    let why = next(&mut reader, |host, event| match event {
        Event::Gap(gap) => Some((host.to_owned(), gap)),
        _ => None,
    })
    .await;
    assert_eq!(why.0, name(2));
    assert_eq!(why.1.status.unwrap().code, Code::Unavailable as i32);
    assert_eq!(why.1.away, None);
    frame(&mut reader, 0, |it| names(it) == ["c0"] && is_measured(it)).await;

    start(&fleet, 0, 1..2);
    frame(&mut reader, 0, |it| names(it) == ["c0", "c1"] && is_measured(it)).await;
    fleet.host(0).host().with(|model, now| model.kill(now, "c0", None).unwrap());
    frame(&mut reader, 0, |it| names(it) == ["c1"]).await;

    fleet.host(2).host().set_unreachable(false);
    fleet.host(1).host().crash();
    let mut gaps = BTreeMap::new();
    next(&mut reader, |host, event| {
        if let Event::Gap(gap) = event {
            gaps.insert(host.to_owned(), gap.away.is_some());
        }
        (gaps == BTreeMap::from([(name(1), false), (name(2), true)])).then_some(())
    })
    .await;
    frame(&mut reader, 2, is_measured).await;
    // It is without its containers until somebody starts them.
    fleet.host(1).host().boot();
    frame(&mut reader, 1, |it| it.containers.is_empty()).await;
    start(&fleet, 1, 0..1);
    frame(&mut reader, 1, |it| names(it) == ["c0"] && is_measured(it)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_is_one_complete_frame_or_the_reason() {
    let fleet = Fleet::with(FleetOptions { containers: 2, ..FleetOptions::of(3) }).await;
    start(&fleet, 0, 0..1);
    fleet.host(2).host().set_unreachable(true);
    let once = v1::StreamStatsRequest { once: true, ..request() };
    let answer = Answer::of(stats(&fleet, once.clone())).await;
    let frames: BTreeMap<_, _> = answer
        .payloads
        .iter()
        .map(|(host, event)| match event {
            Event::Frame(frame) => (host.clone(), frame.clone()),
            event => panic!("{event:?}"),
        })
        .collect();
    assert_eq!(frames.len(), 2);
    assert!(names(&frames[&name(0)]) == ["c0"] && is_measured(&frames[&name(0)]));
    assert!(frames[&name(1)].containers.is_empty(), "nothing runs there");
    assert_eq!(answer.refused(&name(2)).reason, "HOST_UNREACHABLE");

    let every = v1::StreamStatsRequest { all: true, targets: at(&[0]), ..once.clone() };
    let answer = Answer::of(stats(&fleet, every)).await;
    let [(_, Event::Frame(frame))] = &*answer.payloads else { panic!("{answer:?}") };
    assert_eq!(names(frame), ["c0", "c1"]);
    assert!(frame.containers[1].usage.is_none() && frame.containers[1].state == "created");

    let containers = ["c0", "nobody"].map(str::to_owned).to_vec();
    let some = v1::StreamStatsRequest { containers, targets: at(&[0]), ..once };
    let answer = Answer::of(stats(&fleet, some.clone())).await;
    assert_eq!(answer.refused(&name(0)).reason, "SOME_ITEMS_FAILED");
    let [(_, Event::Item(item)), (_, Event::Frame(frame))] = &*answer.payloads else {
        panic!("{answer:?}")
    };
    assert_eq!(item.status.as_ref().unwrap().code, Code::NotFound as i32);
    assert_eq!((item.name.as_str(), names(frame)), ("nobody", vec!["c0"]));
    // A host that has none of them does not wait for one.
    let containers = vec!["nobody".to_owned()];
    let none = v1::StreamStatsRequest { containers, once: false, ..some };
    let answer = Answer::of(stats(&fleet, none)).await;
    assert_eq!(answer.refused(&name(0)).reason, "CONTAINER_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_gets_the_latest_frame_and_fills_no_memory() {
    const HOSTS: usize = 10;
    const CONTAINERS: usize = 100;
    let options = FleetOptions { containers: CONTAINERS, ..FleetOptions::of(HOSTS) };
    let fleet = Fleet::with(options).await;
    for host in 0..HOSTS {
        start(&fleet, host, 0..CONTAINERS);
    }
    let endpoint = Endpoint::from_shared(fleet.config().listen[0].to_string()).unwrap();
    let endpoint =
        endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    let channel: Channel = endpoint.connect().await.unwrap();
    let call = async move { StatsServiceClient::new(channel).stream_stats(request()).await };
    let mut reader: StatsReader = Reader::begin(call).await;
    frame(&mut reader, 0, |it| it.containers.len() == CONTAINERS).await;

    // Nobody reads. A host asks for its containers before each frame.
    let asked = || {
        let counts = fleet.hosts().iter().map(|it| it.counters.count(Operation::ListContainers));
        counts.sum::<u64>()
    };
    let mut seen = (0, Instant::now());
    until("the server waits for the reader", || {
        if asked() != seen.0 {
            seen = (asked(), Instant::now());
        }
        seen.1.elapsed() > Duration::from_secs(3)
    })
    .await;
    let streams: u64 = fleet.hosts().iter().map(|it| it.counters.count(Operation::Stats)).sum();
    assert_eq!(streams, (HOSTS * CONTAINERS) as u64, "the samples are read on");
    Answer::of(fleet.containers().list_containers(list(all()))).await.all_succeeded();

    fleet.host(0).host().with(|model, now| model.kill(now, "c0", None).unwrap());
    let mut old = 0;
    next(&mut reader, |host, event| match event {
        Event::Frame(frame) if host == name(0) => {
            old += 1;
            (frame.containers.len() < CONTAINERS).then_some(())
        }
        _ => None,
    })
    .await;
    assert!(old < 20, "{old} frames of the host were kept for the reader");
}
