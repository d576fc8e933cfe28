//! The number of hosts in progress at the same time, and of connections.

use futures_util::future::join_all;
use wharf::v1;
use wharf_simulator::Operation;

use crate::support::{Answer, Fleet, FleetOptions, Reader, all, at, list, max_parallel, until};

/// Hosts that were sent anything so far.
fn asked(fleet: &Fleet) -> usize {
    fleet.hosts().iter().filter(|host| host.counters.snapshot().total > 0).count()
}

fn at_work(fleet: &Fleet) -> usize {
    fleet.hosts().iter().filter(|host| host.counters.snapshot().in_flight > 0).count()
}

/// With every host hung, as many as may be at once are asked; each that answers lets one more in.
async fn goes_through_in_groups_of(size: usize, fleet: Fleet, fanout: Option<v1::FanoutOptions>) {
    for host in fleet.hosts() {
        host.host().set_hung(true);
    }
    let request = v1::ListContainersRequest { fanout, ..list(all()) };
    let mut reader = Reader::begin(fleet.containers().list_containers(request)).await;
    let mut freed = 0;
    while freed + size < fleet.hosts().len() {
        until("the next host is asked", || asked(&fleet) >= freed + size).await;
        assert_eq!((asked(&fleet), at_work(&fleet)), (freed + size, size));
        let next = fleet.hosts().iter().find(|host| host.counters.snapshot().in_flight > 0);
        next.expect("one is at work").host().set_hung(false);
        freed += 1;
        reader.until_ended(freed).await;
    }
    for host in fleet.hosts() {
        host.host().set_hung(false);
    }
    reader.finish().await.all_succeeded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_says_how_many_hosts_are_at_work_at_once() {
    goes_through_in_groups_of(4, Fleet::new(10).await, max_parallel(4)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_word_the_server_decides_how_many() {
    let fleet = Fleet::with(FleetOptions { max_parallel: 2, ..FleetOptions::of(5) }).await;
    goes_through_in_groups_of(2, fleet, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_hosts_have_a_connection_each_and_keep_it() {
    let options = FleetOptions { shared_listener: true, ..FleetOptions::of(1000) };
    let fleet = Fleet::with(options).await;
    for round in 1..=3 {
        let listed = Answer::of(fleet.containers().list_containers(list(all()))).await;
        listed.all_succeeded();
        assert_eq!(listed.payloads.len(), 1000);
        for host in fleet.hosts() {
            let counts = host.counters.snapshot();
            assert_eq!(
                (counts.accepted, counts.open),
                (1, 1),
                "{} in round {round}",
                host.address()
            );
            assert_eq!(host.counters.count(Operation::ListContainers), round);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_race_to_a_cold_host_share_one_connection() {
    let fleet = Fleet::new(2).await;
    let calls = (0..50).map(|_| {
        let mut client = fleet.containers();
        async move { Answer::of(client.list_containers(list(at(&[0])))).await.all_succeeded() }
    });
    join_all(calls).await;
    let counts = fleet.host(0).counters.snapshot();
    assert_eq!((counts.accepted, counts.most_in_flight), (1, 1));
    assert_eq!(fleet.host(0).counters.count(Operation::ListContainers), 50);
    assert_eq!(fleet.host(1).counters.snapshot().accepted, 0);
}
