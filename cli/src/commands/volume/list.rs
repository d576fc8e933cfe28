//! `wharf volume ls`.

use wharf::v1::list_volumes_response::Event;
use wharf::v1::{ListVolumesRequest, Volume};

use crate::app::App;
use crate::commands::{call, filters, list_as};
use crate::exit::Failure;
use crate::report::listing::Look;
use crate::targets::{Access, TargetArgs};
use crate::template::Template;

const EXAMPLES: &str = "\
Examples:
  wharf volume ls                         volumes of every host
  wharf volume ls -H web1 -f dangling=true  volumes that no container uses
  wharf volume ls -f label=env=test -o name  HOST/VOLUME, which other commands accept";

/// Arguments of `wharf volume ls`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only matching volumes, such as name=data, driver=local, label=a=b, dangling=true; can be
    /// repeated
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Show by a template, such as '{{.Host}} {{.Name}}'; docs/cli.md says what it can have
    #[arg(long, value_name = "TEMPLATE", value_parser = Template::parse)]
    format: Option<Template>,
    /// With -o json: include the Engine's own JSON
    #[arg(long)]
    engine_json: bool,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Lists volumes.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    // Names are whole, also those that the Engine generated: they are the only IDs.
    let look = Look { template: args.format, full: true, ..Look::default() };
    look.check::<Volume>(&app.printer)?;
    let targets = app.targets(&args.targets);
    let request = ListVolumesRequest {
        targets: Some(targets.select(Access::Read)?),
        fanout: Some(targets.options()),
        filters: filters(&args.filter)?,
        include_engine_json: args.engine_json,
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, volumes.list_volumes, request)];
    list_as(app, look, &connection, calls, |host, event| match event {
        Event::Batch(batch) => {
            for warning in &batch.warnings {
                app.printer.warning(&format!("{host}: {warning}"));
            }
            batch.volumes
        }
        _ => Vec::new(),
    })
    .await
}
