//! `wharf volume rm`.

use wharf::v1::RemoveVolumesRequest;
use wharf::v1::remove_volumes_response::Event;

use crate::app::App;
use crate::commands::{call, connect_for, observe, request_id};
use crate::exit::Failure;
use crate::report::actions::Actions;
use crate::targets::{Access, TargetArgs};

/// Arguments of `wharf volume rm`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  wharf volume rm web1/data\n  wharf volume rm -l env=test data cache"
)]
pub struct Args {
    /// Volumes by name, also as HOST/VOLUME
    #[arg(required = true, value_name = "VOLUME")]
    volumes: Vec<String>,
    /// Ignore volumes that do not exist, and forget those whose driver does not answer
    #[arg(short, long)]
    force: bool,
    /// Ignore volumes that do not exist
    #[arg(long)]
    allow_missing: bool,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Removes volumes.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let targets = app.targets(&args.targets);
    let (connection, calls) =
        connect_for(app, &targets, "volume", &args.volumes, Access::Write).await?;
    let calls = calls
        .into_iter()
        .map(|call| {
            let request = RemoveVolumesRequest {
                targets: Some(call.targets),
                fanout: Some(targets.options()),
                request_id: request_id(),
                volumes: call.containers,
                force: args.force,
                allow_missing: args.allow_missing,
            };
            call!(connection, volumes.remove_volumes, request)
        })
        .collect();
    let actions = Actions::new(&app.printer, "does not exist", |_, _, event| match event {
        Event::Item(item) => Some(item),
        _ => None,
    });
    observe(app, &connection, calls, actions).await
}
