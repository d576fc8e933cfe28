//! `wharf volume inspect`.

use wharf::v1::InspectVolumesRequest;
use wharf::v1::inspect_volumes_response::Event;

use crate::app::App;
use crate::commands::{call, connect_for, inspect};
use crate::exit::Failure;
use crate::json;
use crate::targets::{Access, TargetArgs};
use crate::template::Template;

/// Arguments of `wharf volume inspect`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  wharf volume inspect web1/data\n  wharf volume inspect -A data -f '{{.Host}} {{.Mountpoint}}'"
)]
pub struct Args {
    /// Volumes by name, also as HOST/VOLUME
    #[arg(required = true, value_name = "VOLUME")]
    pub volumes: Vec<String>,
    /// Show by a template, such as '{{.Host}} {{.Name}}'; docs/cli.md says what it can have
    #[arg(short, long, value_name = "TEMPLATE", value_parser = Template::parse)]
    pub format: Option<Template>,
    #[command(flatten)]
    pub targets: TargetArgs,
}

/// Shows volumes.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    inspect::check_format(app, args.format.as_ref())?;
    let targets = app.targets(&args.targets);
    let (connection, calls) =
        connect_for(app, &targets, "volume", &args.volumes, Access::Read).await?;
    let calls = calls
        .into_iter()
        .map(|call| {
            let request = InspectVolumesRequest {
                targets: Some(call.targets),
                fanout: Some(targets.options()),
                volumes: call.containers,
            };
            call!(connection, volumes.inspect_volumes, request)
        })
        .collect();
    inspect::show(app, &connection, calls, args.format, |event| match event {
        Event::Volume(volume) => inspect::Answer::Details(inspect::Details {
            name: volume.name.clone(),
            engine: volume.engine.clone(),
            fields: json::message(&volume),
        }),
        Event::Item(item) => inspect::Answer::Item(item),
        _ => inspect::Answer::Other,
    })
    .await
}
