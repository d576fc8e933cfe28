//! Slow and hung hosts, and their effect on the others.

use std::time::Duration;

use tonic::{Code, Request};
use wharf::v1;
use wharf_simulator::{HttpFault, Operation, When};

use crate::support::{
    Answer, Fleet, Reader, all, host_timeout, list, max_parallel, name, reason, secs, start, until,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_callers_deadline_leaves_time_for_every_outcome() {
    let fleet = Fleet::new(3).await;
    fleet.warm().await;
    fleet.host(1).set_latency(secs(5));
    let mut request = Request::new(list(all()));
    request.set_timeout(Duration::from_millis(500));
    let listed = Answer::of(fleet.containers().list_containers(request)).await;
    assert!(listed.status.is_ok(), "{:?}", listed.status);
    assert_eq!(listed.succeeded(), [name(0), name(2)]);
    let expected = (Code::DeadlineExceeded, "HOST_TIMEOUT".to_owned());
    assert_eq!(listed.code_and_reason(&name(1)), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_timeout_is_for_each_host_alone() {
    let fleet = Fleet::new(4).await;
    fleet.warm().await;
    for place in [0, 2] {
        fleet.host(place).host().set_hung(true);
    }
    // One after the other: each has its own time, and those in between have theirs.
    let timeout = host_timeout(Duration::from_millis(400)).unwrap();
    let fanout = Some(v1::FanoutOptions { max_parallel: 1, ..timeout });
    let listed = Answer::of(
        fleet.containers().list_containers(v1::ListContainersRequest { fanout, ..list(all()) }),
    )
    .await;
    assert_eq!(listed.succeeded(), [name(1), name(3)]);
    for place in [0, 2] {
        let refused = listed.refused(&name(place));
        assert_eq!((refused.code, &*refused.reason), (Code::DeadlineExceeded, "HOST_TIMEOUT"));
        assert!(refused.message.contains(" ms"), "it says how long: {}", refused.message);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_host_delays_no_other() {
    let fleet = Fleet::new(6).await;
    fleet.host(0).host().set_hung(true);
    // With two at once the hung one holds one of the places all the time.
    let request = v1::ListContainersRequest { fanout: max_parallel(2), ..list(all()) };
    let mut reader = Reader::begin(fleet.containers().list_containers(request)).await;
    reader.until_ended(5).await;
    assert!(!reader.outcomes.contains_key(&name(0)));
    fleet.host(0).host().set_hung(false);
    reader.finish().await.all_succeeded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_whose_turn_never_came_are_skipped_and_asked_nothing() {
    let fleet = Fleet::new(3).await;
    fleet.host(0).host().set_hung(true);
    let mut read =
        Request::new(v1::ListContainersRequest { fanout: max_parallel(1), ..list(all()) });
    read.set_timeout(Duration::from_millis(400));
    let mut write =
        Request::new(v1::StartContainersRequest { fanout: max_parallel(1), ..start(all(), "c0") });
    write.set_timeout(Duration::from_millis(400));
    let listed = Answer::of(fleet.containers().list_containers(read)).await;
    let started = Answer::of(fleet.containers().start_containers(write)).await;
    let timeout = (Code::DeadlineExceeded, "HOST_TIMEOUT".to_owned());
    let skipped = (Code::Cancelled, "HOST_SKIPPED".to_owned());
    assert_eq!(listed.code_and_reason(&name(0)), timeout);
    assert_eq!(started.code_and_reason(&name(0)), timeout);
    for place in [1, 2] {
        assert_eq!(listed.code_and_reason(&name(place)), skipped);
        assert_eq!(started.code_and_reason(&name(place)), skipped);
        assert_eq!(fleet.host(place).counters.snapshot().accepted, 0, "nothing was sent");
    }
    assert_eq!(started.failure(), (Code::Aborted, "ALL_HOSTS_FAILED".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_timed_out_goes_on_and_says_so() {
    let fleet = Fleet::new(1).await;
    fleet.warm().await;
    // Once the container was looked up.
    let slow = HttpFault::Slow { bytes: 20, every: Duration::from_millis(500) };
    fleet.host(0).faults.add(When::on(Operation::Start), slow);
    let fanout = host_timeout(Duration::from_millis(900));
    let request = v1::StartContainersRequest { fanout, ..start(all(), "c0") };
    let started = Answer::of(fleet.containers().start_containers(request)).await;
    assert_eq!(started.failure(), (Code::DeadlineExceeded, "HOST_TIMEOUT".to_owned()));
    let refused = started.refused(&name(0));
    assert_eq!(refused.reason, "HOST_TIMEOUT");
    assert!(refused.message.contains("continues there"), "{}", refused.message);
    let counters = &fleet.host(0).counters;
    until("it is answered", || counters.snapshot().in_flight == 0).await;
    assert_eq!((counters.count(Operation::Start), counters.snapshot().cancelled), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_no_fan_out_ends_at_its_deadline_with_a_reason() {
    let fleet = Fleet::new(1).await;
    let late = |status: tonic::Status| {
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        assert_eq!(reason(&status), "DEADLINE_EXCEEDED");
    };
    // A stream on which nothing happens.
    let mut watch = Request::new(v1::WatchRolloutsRequest::default());
    watch.set_timeout(Duration::from_millis(400));
    let mut watched = fleet.rollouts().watch_rollouts(watch).await.unwrap().into_inner();
    let end = async {
        loop {
            match watched.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ends with a reason"),
                Err(status) => break status,
            }
        }
    };
    late(tokio::time::timeout(secs(30), end).await.expect("it ends"));
    // A plan that waits for a host.
    fleet.warm().await;
    fleet.host(0).host().set_hung(true);
    let spec = v1::RolloutSpec {
        container: "c0".to_owned(),
        targets: all(),
        image: "registry.test/app:v2".to_owned(),
        ..Default::default()
    };
    let plan =
        v1::CreateRolloutRequest { spec: Some(spec), validate_only: true, ..Default::default() };
    let mut plan = Request::new(plan);
    plan.set_timeout(Duration::from_millis(400));
    late(fleet.rollouts().create_rollout(plan).await.unwrap_err());
}
