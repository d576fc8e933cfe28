//! Lists the containers of a fleet: `cargo run --example list_containers -- unix:///PATH`.

use std::time::Duration;

use anyhow::Context;
use tonic::Request;
use wharf::client::Target;
use wharf::fanout::{Envelope, FanoutResponse};
use wharf::v1::container_service_client::ContainerServiceClient;
use wharf::v1::host_selector::Selection;
use wharf::v1::list_containers_response::Event;
use wharf::v1::{AllHosts, HostSelector, ListContainersRequest};

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "it is what the example does")]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).context("give the address of the server")?;
    let channel = Target::parse(&address)?.connect().await?;
    let mut containers = ContainerServiceClient::new(channel);

    let all = HostSelector { selection: Some(Selection::All(AllHosts {})), exclude: vec![] };
    let mut request =
        Request::new(ListContainersRequest { targets: Some(all), all: true, ..Default::default() });
    // The server shares it among the hosts and answers before it ends.
    request.set_timeout(Duration::from_secs(10));

    let mut answers = containers.list_containers(request).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        match answer.into_envelope() {
            (host, Some(Envelope::Payload(Event::Batch(batch)))) => {
                for container in batch.containers {
                    println!("{host}/{}\t{}\t{}", container.name, container.state, container.image);
                }
            }
            (host, Some(Envelope::Outcome(outcome))) => {
                if let Some(status) = outcome.status.filter(|status| status.code != 0) {
                    eprintln!("{host}: {}", status.message);
                }
            }
            _ => {}
        }
    }
    Ok(())
}
