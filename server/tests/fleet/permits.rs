//! What a caller leaves open on a host keeps no other kind of call to that host waiting, and what waits
//! there without its caller is not done later.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use tonic::transport::Endpoint;
use wharf::v1;
use wharf::v1::log_service_client::LogServiceClient;
use wharf_simulator::Operation;

use crate::support::{Answer, Fleet, FleetOptions, all, host_timeout, name, start, until};

/// More than the short calls that one host gets at the same time.
const OPEN: usize = 40;
/// The changes that one host gets at the same time.
const PLACES: u64 = 32;

/// One host with two running containers; `c0` has a long log.
async fn host() -> Fleet {
    let fleet = Fleet::with(FleetOptions { containers: 2, ..FleetOptions::of(1) }).await;
    for container in ["c0", "c1"] {
        Answer::of(fleet.containers().start_containers(start(all(), container)))
            .await
            .all_succeeded();
    }
    fleet.host(0).host().with(|model, now| {
        let line = format!("{}\n", "x".repeat(1000));
        for _ in 0..8000 {
            model.write_log(now, "c0", false, &line);
        }
    });
    fleet
}

/// Changes something, runs a command, and lists.
async fn others_feel_nothing(fleet: &Fleet) {
    let calls = async {
        let command = vec!["echo".to_owned(), "hello".to_owned()];
        let run = v1::RunCommandRequest {
            targets: all(),
            container: "c0".to_owned(),
            command: Some(v1::CommandSpec { command, ..Default::default() }),
            ..Default::default()
        };
        Answer::of(fleet.exec().run_command(run)).await.all_succeeded();
        let stop = v1::StopContainersRequest {
            targets: all(),
            containers: vec!["c1".to_owned()],
            ..Default::default()
        };
        Answer::of(fleet.containers().stop_containers(stop)).await.all_succeeded();
        Answer::of(fleet.containers().start_containers(start(all(), "c1"))).await.all_succeeded();
    };
    timeout(Duration::from_secs(60), calls).await.expect("the calls do not wait");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_wait_for_the_end_of_a_container() {
    let fleet = host().await;
    let waits = (0..OPEN).map(|_| {
        let mut client = fleet.containers();
        tokio::spawn(async move {
            let request = v1::WaitContainersRequest {
                targets: all(),
                containers: vec!["c0".to_owned()],
                ..Default::default()
            };
            Answer::of(client.wait_containers(request)).await
        })
    });
    let waits: Vec<_> = waits.collect();
    let counters = &fleet.host(0).counters;
    until("all wait", || counters.count(Operation::Wait) == OPEN as u64).await;
    others_feel_nothing(&fleet).await;
    for wait in &waits {
        assert!(!wait.is_finished(), "it still waits");
        wait.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_do_not_read_the_log_that_they_asked_for() {
    let fleet = host().await;
    let endpoint = Endpoint::from_shared(fleet.config().listen[0].to_string()).unwrap();
    let endpoint =
        endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    let unread = join_all((0..OPEN).map(async |_| {
        let mut client = LogServiceClient::new(endpoint.connect().await.unwrap());
        let request = v1::StreamLogsRequest {
            targets: all(),
            containers: vec!["c0".to_owned()],
            ..Default::default()
        };
        client.stream_logs(request).await.unwrap()
    }))
    .await;
    let counters = &fleet.host(0).counters;
    until("all are read", || counters.count(Operation::Logs) == OPEN as u64).await;
    others_feel_nothing(&fleet).await;
    drop(unread);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_caller_left_before_its_turn_is_not_made() {
    let fleet = host().await;
    let counters = &fleet.host(0).counters;
    fleet.host(0).host().set_hung(true);
    let hanging = (0..OPEN).map(|_| {
        let mut client = fleet.containers();
        tokio::spawn(async move { Answer::of(client.start_containers(start(all(), "c0"))).await })
    });
    let hanging: Vec<_> = hanging.collect();
    until("all places are taken", || counters.snapshot().in_flight == PLACES).await;

    let kill = v1::KillContainersRequest {
        targets: all(),
        containers: vec!["c1".to_owned()],
        fanout: host_timeout(Duration::from_millis(300)),
        ..Default::default()
    };
    let late = Answer::of(fleet.containers().kill_containers(kill)).await;
    let refused = late.refused(&name(0));
    assert_eq!(refused.reason, "HOST_TIMEOUT");
    assert!(!refused.message.contains("continues there"), "{}", refused.message);
    fleet.host(0).host().set_hung(false);
    until("the others end", || counters.snapshot().in_flight == 0).await;
    others_feel_nothing(&fleet).await;
    assert_eq!(counters.count(Operation::Kill), 0, "nobody waited for it");
    for task in hanging {
        task.await.unwrap().all_succeeded();
    }
}
