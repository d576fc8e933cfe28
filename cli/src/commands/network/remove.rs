//! `wharf network rm`.

use wharf::v1::RemoveNetworksRequest;
use wharf::v1::remove_networks_response::Event;

use crate::app::App;
use crate::commands::{call, connect_for, observe, request_id};
use crate::exit::Failure;
use crate::report::actions::Actions;
use crate::targets::{Access, TargetArgs};

/// Arguments of `wharf network rm`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  wharf network rm web1/front\n  wharf network rm -A front back"
)]
pub struct Args {
    /// Networks by name or ID, also as HOST/NETWORK
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
    /// Ignore networks that do not exist
    #[arg(short = 'f', long, visible_alias = "force")]
    allow_missing: bool,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Removes networks.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let targets = app.targets(&args.targets);
    let (connection, calls) =
        connect_for(app, &targets, "network", &args.networks, Access::Write).await?;
    let calls = calls
        .into_iter()
        .map(|call| {
            let request = RemoveNetworksRequest {
                targets: Some(call.targets),
                fanout: Some(targets.options()),
                request_id: request_id(),
                networks: call.containers,
                allow_missing: args.allow_missing,
            };
            call!(connection, networks.remove_networks, request)
        })
        .collect();
    let actions = Actions::new(&app.printer, "does not exist", |_, _, event| match event {
        Event::Item(item) => Some(item),
        _ => None,
    });
    observe(app, &connection, calls, actions).await
}
