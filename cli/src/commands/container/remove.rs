//! `wharf rm`.

use wharf::v1::RemoveContainersRequest;
use wharf::v1::remove_containers_response::Event;

use super::Which;
use crate::app::App;
use crate::commands::{call, observe, request_id};
use crate::exit::Failure;
use crate::report::actions::Actions;
use crate::targets::Access;

/// Arguments of `wharf rm`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  wharf rm web1/web\n  wharf rm -f -v -l env=test web worker")]
pub struct Args {
    /// Kill running containers first
    #[arg(short, long)]
    force: bool,
    /// Also remove anonymous volumes
    #[arg(short, long)]
    volumes: bool,
    /// Ignore containers that do not exist
    #[arg(long)]
    allow_missing: bool,
    #[command(flatten)]
    which: Which,
}

/// Removes containers.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let (connection, calls) = args.which.connect(app, Access::Write).await?;
    let fanout = app.targets(&args.which.targets).options();
    let calls = calls
        .into_iter()
        .map(|call| {
            let request = RemoveContainersRequest {
                targets: Some(call.targets),
                fanout: Some(fanout),
                request_id: request_id(),
                containers: call.containers,
                force: args.force,
                remove_volumes: args.volumes,
                allow_missing: args.allow_missing,
            };
            call!(connection, containers.remove_containers, request)
        })
        .collect();
    let actions = Actions::new(&app.printer, "does not exist", |_, _, event| match event {
        Event::Item(item) => Some(item),
        _ => None,
    });
    observe(app, &connection, calls, actions).await
}
