//! Reads that are attempted twice, where a host does not answer the first attempt.

use std::time::Duration;

use wharf::v1;
use wharf_simulator::{HttpFault, Operation, When};

use crate::support::{Answer, Fleet, all, at, list, name, start, until};

/// Asks twice after this time; the time limit of a host is far longer.
fn hedged(after: Duration) -> Option<v1::FanoutOptions> {
    let hedge_after = prost_types::Duration::try_from(after).ok();
    let host_timeout = prost_types::Duration::try_from(Duration::from_secs(90)).ok();
    Some(v1::FanoutOptions { hedge_after, host_timeout, ..Default::default() })
}

const SOON: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_hangs_is_answered_over_another_connection() {
    let fleet = Fleet::new(2).await;
    fleet.warm().await;
    let host = fleet.host(1);
    let before = host.counters.snapshot();
    let lists = host.counters.count(Operation::ListContainers);
    // The connection that is there hangs, and the next one does not.
    host.faults.add(When::on(Operation::ListContainers).once(), HttpFault::HangBeforeHeaders);
    // One host, so that no other one that happens to be slow is asked twice instead.
    let request = v1::ListContainersRequest { fanout: hedged(SOON), ..list(at(&[1])) };
    Answer::of(fleet.containers().list_containers(request)).await.all_succeeded();
    let after = host.counters.snapshot();
    assert_eq!(host.counters.count(Operation::ListContainers), lists + 2);
    assert_eq!(after.accepted, before.accepted + 1);
    // The first attempt was cancelled.
    until("no call is left", || host.counters.snapshot().in_flight == 0).await;
    assert_eq!(host.counters.snapshot().cancelled, before.cancelled + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_very_first_connection_may_hang_too() {
    let fleet = Fleet::new(1).await;
    let hang = HttpFault::HangBeforeHeaders;
    fleet.host(0).faults.add(When::any().once(), hang);
    let request = v1::ListContainersRequest { fanout: hedged(SOON), ..list(all()) };
    Answer::of(fleet.containers().list_containers(request)).await.all_succeeded();
    assert_eq!(fleet.host(0).faults.hits(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_tenth_of_the_hosts_is_asked_twice() {
    let fleet = Fleet::new(11).await;
    fleet.warm().await;
    for host in fleet.hosts() {
        host.faults.add(When::on(Operation::ListContainers).once(), HttpFault::HangBeforeHeaders);
    }
    let mut fanout = hedged(SOON).unwrap();
    fanout.host_timeout = prost_types::Duration::try_from(Duration::from_secs(2)).ok();
    let request = v1::ListContainersRequest { fanout: Some(fanout), ..list(all()) };
    let answer = Answer::of(fleet.containers().list_containers(request)).await;
    assert_eq!(answer.succeeded().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_option_and_for_changes_nothing_is_sent_twice() {
    let fleet = Fleet::new(1).await;
    fleet.warm().await;
    let host = fleet.host(0);
    let hang =
        |operation| host.faults.add(When::on(operation).once(), HttpFault::HangBeforeHeaders);
    let short = prost_types::Duration::try_from(Duration::from_millis(600)).ok();

    hang(Operation::ListContainers);
    let lists = host.counters.count(Operation::ListContainers);
    let fanout = Some(v1::FanoutOptions { host_timeout: short, ..Default::default() });
    let request = v1::ListContainersRequest { fanout, ..list(all()) };
    let answer = Answer::of(fleet.containers().list_containers(request)).await;
    assert_eq!(answer.code_and_reason(&name(0)).1, "HOST_TIMEOUT");
    assert_eq!(host.counters.count(Operation::ListContainers), lists + 1);

    hang(Operation::Start);
    let fanout = Some(v1::FanoutOptions { host_timeout: short, ..hedged(SOON).unwrap() });
    let request = v1::StartContainersRequest { fanout, ..start(all(), "c0") };
    let answer = Answer::of(fleet.containers().start_containers(request)).await;
    assert_eq!(answer.code_and_reason(&name(0)).1, "HOST_TIMEOUT");
    assert_eq!(host.counters.count(Operation::Start), 1);
}

#[tokio::test]
async fn a_time_that_is_none_is_refused() {
    let fleet = Fleet::new(1).await;
    let request = v1::ListContainersRequest { fanout: hedged(Duration::ZERO), ..list(all()) };
    let error = fleet.containers().list_containers(request).await.unwrap_err();
    assert!(error.message().contains("fanout.hedge_after: must be greater than zero"), "{error}");
}
