//! Callers that go away.

use wharf::v1;
use wharf_simulator::Operation;

use crate::support::{Fleet, Reader, all, at, list, max_parallel, until};

fn pull(hosts: &[usize]) -> v1::PullImageRequest {
    v1::PullImageRequest {
        targets: at(hosts),
        fanout: max_parallel(2),
        reference: "registry.test/app:v2".to_owned(),
        ..Default::default()
    }
}

fn has_image(fleet: &Fleet, place: usize) -> bool {
    fleet.host(place).host().with(|model, _| {
        model.images().iter().any(|image| image.tags.iter().any(|tag| tag.contains("app:v2")))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_ends_on_the_hosts_when_its_caller_goes() {
    let fleet = Fleet::new(4).await;
    // Two are warm, and in the middle of the list; two are cold, and in that of the negotiation.
    let mut warm = fleet.containers();
    crate::support::Answer::of(warm.list_containers(list(at(&[0, 1])))).await.all_succeeded();
    for host in fleet.hosts() {
        host.host().set_hung(true);
    }
    let reader = Reader::begin(fleet.containers().list_containers(list(all()))).await;
    until("every host is asked", || {
        fleet.hosts().iter().all(|host| host.counters.snapshot().in_flight == 1)
    })
    .await;
    drop(reader);
    until("every request has ended", || {
        fleet.hosts().iter().all(|host| {
            let counts = host.counters.snapshot();
            counts.in_flight == 0 && counts.cancelled == 1 && counts.open == 0
        })
    })
    .await;
}

/// Begins a pull on hosts 0 to 2, two at a time, and goes away once those two have started.
async fn go_away_from(fleet: &Fleet, pull: v1::PullImageRequest) {
    fleet.warm().await;
    for host in fleet.hosts() {
        host.host().set_hung(true);
    }
    let pulling = Reader::begin(fleet.images().pull_image(pull)).await;
    let listing = Reader::begin(fleet.containers().list_containers(list(at(&[3])))).await;
    until("two pulls have begun", || {
        (0..2).all(|place| fleet.host(place).counters.snapshot().running_pulls == 1)
    })
    .await;
    until("the list has begun", || fleet.host(3).counters.snapshot().in_flight == 1).await;
    drop(pulling);
    // Its end, which is seen, comes after that of the pull, which is not.
    drop(listing);
    until("the server has heard", || fleet.host(3).counters.snapshot().in_flight == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pulls_that_began_go_on_without_their_caller_and_others_do_not_begin() {
    let fleet = Fleet::new(4).await;
    go_away_from(&fleet, pull(&[0, 1, 2])).await;
    for host in fleet.hosts() {
        host.host().set_hung(false);
    }
    until("the pulls are done", || has_image(&fleet, 0) && has_image(&fleet, 1)).await;
    assert_eq!(fleet.host(2).counters.count(Operation::Pull), 0, "it never began");
    for place in [0, 1] {
        assert_eq!(fleet.host(place).counters.snapshot().cancelled, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pulls_end_with_their_caller_where_it_asked_for_that() {
    let fleet = Fleet::new(4).await;
    let request = v1::PullImageRequest { cancel_on_disconnect: true, ..pull(&[0, 1, 2]) };
    go_away_from(&fleet, request).await;
    until("the pulls have ended", || {
        (0..2).all(|place| {
            let counts = fleet.host(place).counters.snapshot();
            counts.running_pulls == 0 && counts.cancelled == 1
        })
    })
    .await;
    for host in fleet.hosts() {
        host.host().set_hung(false);
    }
    assert!((0..3).all(|place| !has_image(&fleet, place)));
    assert_eq!(fleet.host(2).counters.count(Operation::Pull), 0);
}
