//! Hosts that are known to be unreachable do not delay reads, and a host that is back is noticed.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use wharf::v1;
use wharf_simulator::{HttpFault, Operation, When};

use crate::support::{Answer, Fleet, all, at, host_timeout, list, name, start};

const SHORT: Duration = Duration::from_millis(300);

/// A list that gives each host a moment.
fn short_list() -> v1::ListContainersRequest {
    v1::ListContainersRequest { fanout: host_timeout(SHORT), ..list(all()) }
}

async fn lists(
    fleet: &Fleet,
    request: v1::ListContainersRequest,
) -> Answer<v1::list_containers_response::Event> {
    Answer::of(fleet.containers().list_containers(request)).await
}

/// What the inventory says of the first host.
async fn known(fleet: &Fleet) -> Option<v1::HostUnreachable> {
    let request = v1::GetHostRequest { name: name(0) };
    fleet.inventory().get_host(request).await.unwrap().into_inner().host.unwrap().unreachable
}

async fn until_known(fleet: &Fleet, unreachable: bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while known(fleet).await.is_some() != unreachable {
        assert!(Instant::now() < deadline, "unreachable must become {unreachable}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_host_delays_reads_once_and_changes_try_it() {
    let fleet = Fleet::new(3).await;
    fleet.warm().await;
    assert_eq!(known(&fleet).await, None);
    let hung = fleet.host(0);
    hung.host().set_hung(true);
    assert_eq!(lists(&fleet, short_list()).await.code_and_reason(&name(0)).1, "HOST_TIMEOUT");
    // A ping has no answer either.
    until_known(&fleet, true).await;
    let state = known(&fleet).await.unwrap();
    assert!(state.status.unwrap().message.contains("no answer to a ping"), "how it failed");
    assert!(state.attempted.unwrap().seconds >= state.since.unwrap().seconds);

    // No read is sent to it, and the others are served.
    let sent = hung.counters.count(Operation::ListContainers);
    let answer = lists(&fleet, list(all())).await;
    assert_eq!(answer.succeeded(), [name(1), name(2)]);
    let refused = answer.refused(&name(0));
    assert_eq!(refused.reason, "HOST_UNREACHABLE");
    assert!(refused.message.contains("unreachable for "), "{refused:?}");
    assert_eq!(hung.counters.count(Operation::ListContainers), sent);

    // Whoever asks for it, tries it.
    let mut request = short_list();
    request.fanout.as_mut().unwrap().try_unreachable = true;
    assert_eq!(lists(&fleet, request).await.code_and_reason(&name(0)).1, "HOST_TIMEOUT");
    let change =
        v1::StartContainersRequest { fanout: host_timeout(SHORT), ..start(at(&[0]), "c0") };
    let change = Answer::of(fleet.containers().start_containers(change)).await;
    assert_eq!(change.code_and_reason(&name(0)).1, "HOST_TIMEOUT");

    // Back again: it answers pings, and then reads.
    hung.host().set_hung(false);
    until_known(&fleet, false).await;
    lists(&fleet, list(all())).await.all_succeeded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_notices_that_a_host_is_back() {
    let fleet = Fleet::new(2).await;
    fleet.warm().await;
    fleet.host(0).host().set_unreachable(true);
    assert_eq!(lists(&fleet, list(all())).await.succeeded(), [name(1)]);
    until_known(&fleet, true).await;
    let since = known(&fleet).await.unwrap().since;
    // By now, the probes in the background pause for seconds.
    while known(&fleet).await.unwrap().attempted.unwrap().seconds < since.unwrap().seconds + 5 {
        assert_eq!(lists(&fleet, list(all())).await.succeeded(), [name(1)]);
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(known(&fleet).await.unwrap().since, since, "it is since the first failure");
    fleet.host(0).host().set_unreachable(false);
    while lists(&fleet, list(all())).await.succeeded().len() < 2 {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(known(&fleet).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_reaches_a_host_ends_its_absence() {
    let fleet = Fleet::new(1).await;
    fleet.warm().await;
    fleet.host(0).host().set_unreachable(true);
    lists(&fleet, list(all())).await;
    until_known(&fleet, true).await;
    fleet.host(0).host().set_unreachable(false);
    Answer::of(fleet.containers().start_containers(start(all(), "c0"))).await.all_succeeded();
    assert_eq!(known(&fleet).await, None);
    lists(&fleet, list(all())).await.all_succeeded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_answers_pings_is_not_unreachable() {
    let fleet = Fleet::new(1).await;
    fleet.warm().await;
    let host = fleet.host(0);
    let pings = host.counters.count(Operation::Ping);
    host.faults.add(When::on(Operation::ListContainers).once(), HttpFault::HangBeforeHeaders);
    assert_eq!(lists(&fleet, short_list()).await.code_and_reason(&name(0)).1, "HOST_TIMEOUT");
    crate::support::until("it was pinged", || host.counters.count(Operation::Ping) > pings).await;
    lists(&fleet, list(all())).await.all_succeeded();
    assert_eq!(known(&fleet).await, None);
}
