//! A caller that reads slowly.

use std::time::Duration;

use serde_json::json;
use tonic::transport::Endpoint;
use wharf::v1;
use wharf::v1::container_service_client::ContainerServiceClient;
use wharf_server::engine::ApiVersion;
use wharf_simulator::Operation;

use crate::support::{Fleet, FleetOptions, IMAGE, Reader, all, list, until};

/// Hosts, and what each answers: far more in sum than all buffers on the way hold.
const HOSTS: usize = 80;
const BYTES: usize = 128 << 10;

fn listed(fleet: &Fleet) -> usize {
    let counts = fleet.hosts().iter().map(|host| host.counters.count(Operation::ListContainers));
    counts.sum::<u64>() as usize
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_holds_the_hosts_up_and_fails_none() {
    let fleet = Fleet::with(FleetOptions { containers: 0, ..FleetOptions::of(HOSTS) }).await;
    for host in fleet.hosts() {
        host.host().with(|model, now| {
            let body = json!({"Image": IMAGE, "Labels": {"long": "x".repeat(BYTES)}});
            model.create(now, ApiVersion::new(1, 41), None, None, &body).unwrap();
        });
    }
    let socket = fleet.config().listen[0].to_string();
    let endpoint = Endpoint::from_shared(socket).unwrap();
    let endpoint =
        endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    let mut client = ContainerServiceClient::new(endpoint.connect().await.unwrap());
    let timeout = Duration::from_millis(500);
    let fanout = v1::FanoutOptions {
        host_timeout: prost_types::Duration::try_from(timeout).ok(),
        max_parallel: 4,
        ..Default::default()
    };
    let request = v1::ListContainersRequest { fanout: Some(fanout), ..list(all()) };
    let mut reader = Reader::begin(client.list_containers(request)).await;

    // Nobody reads. Looked at for longer than a host may take: what waits for the reader must
    // not time out.
    let mut seen = (0, tokio::time::Instant::now());
    until("the server waits for the reader", || {
        if listed(&fleet) != seen.0 {
            seen = (listed(&fleet), tokio::time::Instant::now());
        }
        seen.0 > 0 && seen.1.elapsed() > 3 * timeout
    })
    .await;
    assert!(listed(&fleet) < HOSTS * 2 / 3, "{} of {HOSTS} hosts were asked", listed(&fleet));

    let mut bytes = 0;
    while let Some((_, event)) = reader.next().await.unwrap() {
        let v1::list_containers_response::Event::Batch(batch) = event else { panic!("{event:?}") };
        bytes += batch.containers[0].labels["long"].len();
    }
    assert_eq!(bytes, HOSTS * BYTES);
    reader.finish().await.all_succeeded();
}
