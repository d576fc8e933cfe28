//! `wharf rename`.

use wharf::v1::RenameContainerRequest;
use wharf::v1::rename_container_response::Event;

use super::WhichOne;
use crate::app::App;
use crate::commands::{call, observe, request_id};
use crate::exit::Failure;
use crate::report::actions::Actions;
use crate::targets::Access;

/// Arguments of `wharf rename`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  wharf rename web1/web web-old\n  wharf rename -l env=test web web-old"
)]
pub struct Args {
    #[command(flatten)]
    which: WhichOne,
    /// New name
    #[arg(value_name = "NEW_NAME")]
    new_name: String,
}

/// Renames a container.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    if args.new_name.contains('/') {
        return Err(Failure::usage(
            "the new name must not contain a host; the container stays on its host",
        ));
    }
    let call = args.which.call(app, Access::Write)?;
    let request = RenameContainerRequest {
        targets: Some(call.targets),
        fanout: Some(app.targets(&args.which.targets).options()),
        request_id: request_id(),
        container: call.containers.into_iter().next().unwrap_or_default(),
        new_name: args.new_name,
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, containers.rename_container, request)];
    let actions = Actions::new(&app.printer, "already has that name", |_, _, event| match event {
        Event::Item(item) => Some(item),
        _ => None,
    });
    observe(app, &connection, calls, actions).await
}
