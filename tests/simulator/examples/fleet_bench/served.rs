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

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The typed fields, from the Engines.
    Typed,
    /// The same with the Engine's JSON.
    WithJson,
    /// The typed fields, from the views of the hosts.
    FromViews,
}

pub async fn measure(
    api: &Role,
    hosts: usize,
    containers: usize,
    rounds: usize,
    kind: Kind,
) -> anyhow::Result<Measured> {
    let channel = Target::parse(&api.said)?.connect().await?;
    let mut client = ContainerServiceClient::new(channel);
    let expected = hosts * containers;
    // The first of all is cold; the next kind of list finds the connections open.
    let (cold, mut asked) = round(api, &mut client, expected, kind).await?;
    let begun = Instant::now();
    while kind == Kind::FromViews && asked > 0 {
        ensure!(begun.elapsed() < Duration::from_secs(300), "{asked} hosts are not followed");
        tokio::time::sleep(Duration::from_millis(200)).await;
        asked = round(api, &mut client, expected, kind).await?.1;
    }
    let mut warm = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        warm.push(round(api, &mut client, expected, kind).await?.0);
    }
    Ok(Measured { cold, warm: median(&warm) })
}

/// What a list took, and how many hosts were asked for it.
async fn round(
    api: &Role,
    client: &mut ContainerServiceClient<Channel>,
    expected: usize,
    kind: Kind,
) -> anyhow::Result<(Round, usize)> {
    let all = v1::host_selector::Selection::All(v1::AllHosts {});
    let consistency = match kind {
        Kind::FromViews => v1::Consistency::View,
        Kind::Typed | Kind::WithJson => v1::Consistency::Fresh,
    };
    let request = v1::ListContainersRequest {
        targets: Some(v1::HostSelector { selection: Some(all), exclude: Vec::new() }),
        all: true,
        include_engine_json: kind == Kind::WithJson,
        consistency: consistency.into(),
        ..Default::default()
    };
    let (begun, cpu) = (Instant::now(), api.cpu()?);
    let mut first = Duration::ZERO;
    let (mut found, mut failed, mut asked) = (0, 0, 0);
    let mut stream = client.list_containers(request).await?.into_inner();
    while let Some(message) = stream.message().await? {
        match message.into_envelope().1.context("an event")? {
            Envelope::Payload(Event::Batch(batch)) => {
                found += batch.containers.len();
                if first.is_zero() {
                    first = begun.elapsed();
                }
            }
            Envelope::Outcome(outcome) => {
                asked += usize::from(outcome.view.is_none_or(|view| view.fresh));
            }
            Envelope::Summary(summary) => failed = summary.failed,
            _ => {}
        }
    }
    let wall = begun.elapsed();
    ensure!(failed == 0, "{failed} hosts failed");
    ensure!(found == expected, "{found} containers of {expected}");
    Ok((Round { wall, cpu: api.cpu()? - cpu, first }, asked))
}
