//! The limits of requests, and those of one caller.

use tokio::time::{Instant, sleep};
use tonic::{Code, Status};
use wharf::v1;
use wharf::v1::host_selector::Selection;
use wharf_server::config::Limits;

use crate::support::{Fleet, FleetOptions, Reader, all, at, list, reason, secs, start, until};

/// What was wrong with a call.
fn refused<T>(answer: Result<T, Status>) -> (Code, String, String) {
    let status = answer.err().expect("the call is refused");
    (status.code(), reason(&status), status.message().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_beyond_its_limits_touches_no_host() {
    let fleet = Fleet::new(1).await;
    fleet.warm().await;
    let before = fleet.host(0).counters.snapshot().total;
    let mut containers = fleet.containers();
    let invalid =
        |message: &str| (Code::InvalidArgument, "INVALID_FIELD".to_owned(), message.to_owned());

    let selector = format!("place in ({}0)", "0,".repeat(1_400_000));
    let targets =
        v1::HostSelector { selection: Some(Selection::Labels(selector)), exclude: vec![] };
    let answer = containers.list_containers(list(Some(targets))).await;
    assert_eq!(
        refused(answer),
        invalid("targets.labels: must be at most 4096 bytes, but has 2800012")
    );
    let selector = vec!["place"; 65].join(",");
    let targets =
        v1::HostSelector { selection: Some(Selection::Labels(selector)), exclude: vec![] };
    let (code, _, message) = refused(containers.list_containers(list(Some(targets))).await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.contains("at most 64"), "{message}");

    let request = v1::StartContainersRequest {
        containers: (0..1001).map(|number| format!("c{number}")).collect(),
        ..start(all(), "c0")
    };
    let answer = containers.start_containers(request).await;
    assert_eq!(refused(answer), invalid("containers: must have at most 1000 entries"));

    let spec = v1::ContainerSpec {
        image: "app:v1".to_owned(),
        env: vec!["A=b".to_owned(), format!("B={}", "x".repeat(128 << 10))],
        ..Default::default()
    };
    let targets = all();
    let request = v1::CreateContainerRequest { targets, spec: Some(spec), ..Default::default() };
    let answer = containers.create_container(request).await;
    assert_eq!(
        refused(answer),
        invalid("spec.env[1]: must be at most 131072 bytes, but has 131074")
    );

    // What is longer than any message is refused by its length.
    let status = containers.list_containers(v1::ListContainersRequest {
        filters: vec![v1::Filter { key: "name".to_owned(), values: vec!["x".repeat(5 << 20)] }],
        ..list(all())
    });
    assert_eq!(status.await.expect_err("too long").code(), Code::OutOfRange);
    assert_eq!(fleet.host(0).counters.snapshot().total, before);
    fleet.warm().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_has_so_many_calls_and_one_that_ends_makes_room() {
    let limits = Limits { max_calls_per_caller: 2, ..Limits::default() };
    let fleet = Fleet::with(FleetOptions { limits, ..FleetOptions::of(2) }).await;
    fleet.warm().await;
    let begin = async || Reader::begin(fleet.containers().list_containers(list(at(&[0])))).await;
    fleet.host(0).host().set_hung(true);
    // A stream counts until its end, whatever it has sent by then.
    let (first, second) = (begin().await, begin().await);
    until("both are under way", || fleet.host(0).counters.snapshot().in_flight == 2).await;
    let (code, reason, message) = refused(fleet.containers().list_containers(list(at(&[1]))).await);
    assert_eq!((code, &*reason), (Code::ResourceExhausted, "TOO_MANY_CALLS"), "{message}");
    assert!(message.starts_with("uid:") && message.contains("2 calls in progress"), "{message}");

    drop(first);
    let deadline = Instant::now() + secs(20);
    while let Err(status) = fleet.containers().list_containers(list(at(&[1]))).await {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        assert!(Instant::now() < deadline, "an ended call still counts");
        sleep(std::time::Duration::from_millis(5)).await;
    }
    drop(second);
}
