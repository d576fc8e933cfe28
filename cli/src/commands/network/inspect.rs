//! `wharf network inspect`.

use wharf::v1::InspectNetworksRequest;
use wharf::v1::inspect_networks_response::Event;

use crate::app::App;
use crate::commands::{call, connect_for, inspect};
use crate::exit::Failure;
use crate::json;
use crate::targets::{Access, TargetArgs};
use crate::template::Template;

/// Arguments of `wharf network inspect`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  wharf network inspect web1/front\n  wharf network inspect -A front | jq '.[].IPAM.Config'"
)]
pub struct Args {
    /// Networks by name or ID, also as HOST/NETWORK
    #[arg(required = true, value_name = "NETWORK")]
    pub networks: Vec<String>,
    /// Show by a template, such as '{{.Host}} {{.Id}}'; docs/cli.md says what it can have
    #[arg(short, long, value_name = "TEMPLATE", value_parser = Template::parse)]
    pub format: Option<Template>,
    #[command(flatten)]
    pub targets: TargetArgs,
}

/// Shows networks.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    inspect::check_format(app, args.format.as_ref())?;
    let targets = app.targets(&args.targets);
    let (connection, calls) =
        connect_for(app, &targets, "network", &args.networks, Access::Read).await?;
    let calls = calls
        .into_iter()
        .map(|call| {
            let request = InspectNetworksRequest {
                targets: Some(call.targets),
                fanout: Some(targets.options()),
                networks: call.containers,
            };
            call!(connection, networks.inspect_networks, request)
        })
        .collect();
    inspect::show(app, &connection, calls, args.format, |event| match event {
        Event::Network(details) => {
            let network = details.network.clone().unwrap_or_default();
            inspect::Answer::Details(inspect::Details {
                name: network.name,
                engine: network.engine,
                fields: json::message(&details),
            })
        }
        Event::Item(item) => inspect::Answer::Item(item),
        _ => inspect::Answer::Other,
    })
    .await
}
