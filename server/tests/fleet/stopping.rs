//! The end of the server.

use std::time::Duration;

use tonic::Code;
use wharf::v1;
use wharf_simulator::Operation;

use crate::support::{Answer, Fleet, Reader, all, list, reason, start, until};

/// Far above the grace that the server gives itself; a stop that waits for a host never ends.
const LONGEST: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_streams_end_and_say_why() {
    let mut fleet = Fleet::new(3).await;
    fleet.warm().await;
    fleet.host(1).host().set_hung(true);
    let mut read = Reader::begin(fleet.containers().list_containers(list(all()))).await;
    let mut write = Reader::begin(fleet.containers().start_containers(start(all(), "c0"))).await;
    read.until_ended(2).await;
    write.until_ended(2).await;
    tokio::time::timeout(LONGEST, fleet.stop()).await.expect("it stops");
    for status in [read.finish().await.status, write.finish().await.status] {
        let status = status.expect_err("cut short");
        assert_eq!((status.code(), &*reason(&status)), (Code::Unavailable, "SERVER_STOPPING"));
    }
    let refused = fleet.system().get_server_info(v1::GetServerInfoRequest {}).await;
    assert!(refused.is_err(), "nobody listens any more");

    // The store is let go of, and the hosts of the file are there again.
    fleet.host(1).host().set_hung(false);
    fleet.start().await;
    fleet.warm().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_says_nothing_does_not_hold_the_end_up() {
    let mut fleet = Fleet::new(1).await;
    let socket = fleet.config().listen[0].to_string();
    let socket = socket.strip_prefix("unix://").unwrap().to_owned();
    let silent = tokio::net::UnixStream::connect(socket).await.unwrap();
    tokio::time::timeout(LONGEST, fleet.stop()).await.expect("it stops");
    drop(silent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_quick_to_end_is_ended() {
    let mut fleet = Fleet::new(1).await;
    fleet.warm().await;
    fleet.host(0).set_latency(Duration::from_millis(150));
    let write = Reader::begin(fleet.containers().start_containers(start(all(), "c0"))).await;
    let counters = &fleet.host(0).counters;
    until("it has begun", || counters.count(Operation::Start) == 1).await;
    tokio::time::timeout(LONGEST, fleet.stop()).await.expect("it stops");
    drop(write);
    let runs = fleet.host(0).host().with(|model, _| {
        model.container("c0").is_some_and(|container| container.state.status.has_process())
    });
    assert!(runs, "what had begun was done, and not given up half way");
    fleet.start().await;
    let again = Answer::of(fleet.containers().start_containers(start(all(), "c0"))).await;
    again.all_succeeded();
    assert_eq!(again.summary.unwrap().unchanged, 1);
}
