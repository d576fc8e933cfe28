//! `wharf container inspect`.

use wharf::v1::InspectContainersRequest;
use wharf::v1::inspect_containers_response::Event;

use super::Which;
use crate::app::App;
use crate::commands::{call, inspect};
use crate::exit::Failure;
use crate::targets::Access;
use crate::template::Template;

/// Arguments of `wharf container inspect`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  wharf container inspect web1/web | jq '.[0].State'")]
pub struct Args {
    /// Include sizes; slow
    #[arg(short, long)]
    pub size: bool,
    /// Show by a template, such as '{{.Host}} {{.Id}}'; docs/cli.md says what it can have
    #[arg(short, long, value_name = "TEMPLATE", value_parser = Template::parse)]
    pub format: Option<Template>,
    #[command(flatten)]
    pub which: Which,
}

/// Shows containers.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    inspect::check_format(app, args.format.as_ref())?;
    let (connection, calls) = args.which.connect(app, Access::Read).await?;
    let fanout = app.targets(&args.which.targets).options();
    let calls = calls
        .into_iter()
        .map(|call| {
            let request = InspectContainersRequest {
                targets: Some(call.targets),
                fanout: Some(fanout),
                containers: call.containers,
                size: args.size,
            };
            call!(connection, containers.inspect_containers, request)
        })
        .collect();
    inspect::show(app, &connection, calls, args.format, |event| match event {
        Event::Container(container) => inspect::Answer::Details(inspect::Details {
            name: container.name.clone(),
            engine: container.engine.clone(),
            fields: crate::json::message(&container),
        }),
        Event::Item(item) => inspect::Answer::Item(item),
        _ => inspect::Answer::Other,
    })
    .await
}
