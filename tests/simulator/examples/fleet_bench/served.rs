//! The same list through the server, from the view of a client of its gRPC API.

use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::time::Instant;
use tonic::transport::Channel;
use wharf::client::Target;
use wharf::fanout::{Envelope, FanoutResponse};
use wharf::v1;
use wharf::v1::container_service_client::ContainerServiceClient;
use wharf::v1::list_containers_response::Event;

use super::roles::Role;
use super::{Measured, Round, median};

pub async fn measure(
    api: &Role,
    hosts: usize,
    containers: usize,
    rounds: usize,
    engine_json: bool,
) -> anyhow::Result<Measured> {
    let channel = Target::parse(&api.said)?.connect().await?;
    let mut client = ContainerServiceClient::new(channel);
    let expected = hosts * containers;
    // The first of all is cold; the next kind of list finds the connections open.
    let cold = round(api, &mut client, expected, engine_json).await?;
    let mut warm = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        warm.push(round(api, &mut client, expected, engine_json).await?);
    }
    Ok(Measured { cold, warm: median(&warm) })
}

async fn round(
    api: &Role,
    client: &mut ContainerServiceClient<Channel>,
    expected: usize,
    include_engine_json: bool,
) -> anyhow::Result<Round> {
    let all = v1::host_selector::Selection::All(v1::AllHosts {});
    let request = v1::ListContainersRequest {
        targets: Some(v1::HostSelector { selection: Some(all), exclude: Vec::new() }),
        all: true,
        include_engine_json,
        ..Default::default()
    };
    let (begun, cpu) = (Instant::now(), api.cpu()?);
    let mut first = Duration::ZERO;
    let (mut found, mut failed) = (0, 0);
    let mut stream = client.list_containers(request).await?.into_inner();
    while let Some(message) = stream.message().await? {
        match message.into_envelope().1.context("an event")? {
            Envelope::Payload(Event::Batch(batch)) => {
                found += batch.containers.len();
                if first.is_zero() {
                    first = begun.elapsed();
                }
            }
            Envelope::Summary(summary) => failed = summary.failed,
            _ => {}
        }
    }
    let wall = begun.elapsed();
    ensure!(failed == 0, "{failed} hosts failed");
    ensure!(found == expected, "{found} containers of {expected}");
    Ok(Round { wall, cpu: api.cpu()? - cpu, first })
}
