//! `wharf network ls`.

use wharf::v1::list_networks_response::Event;
use wharf::v1::{ListNetworksRequest, Network};

use crate::app::App;
use crate::commands::{call, filters, list_as};
use crate::exit::Failure;
use crate::report::listing::Look;
use crate::targets::{Access, TargetArgs};
use crate::template::Template;

const EXAMPLES: &str = "\
Examples:
  wharf network ls                         networks of every host
  wharf network ls -l env=prod -o wide     with subnets and labels
  wharf network ls -f type=custom -o name  HOST/NETWORK, which other commands accept";

/// Arguments of `wharf network ls`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only matching networks, such as name=front, driver=bridge, label=a=b, dangling=true; can be
    /// repeated
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Show whole IDs and cells
    #[arg(long)]
    no_trunc: bool,
    /// Show by a template, such as '{{.Host}} {{.Name}}'; docs/cli.md says what it can have
    #[arg(long, value_name = "TEMPLATE", value_parser = Template::parse)]
    format: Option<Template>,
    /// With -o json: include the Engine's own JSON
    #[arg(long)]
    engine_json: bool,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Lists networks.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let look = Look { template: args.format, full: args.no_trunc, ..Look::default() };
    look.check::<Network>(&app.printer)?;
    let targets = app.targets(&args.targets);
    let request = ListNetworksRequest {
        targets: Some(targets.select(Access::Read)?),
        fanout: Some(targets.options()),
        filters: filters(&args.filter)?,
        include_engine_json: args.engine_json,
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, networks.list_networks, request)];
    list_as(app, look, &connection, calls, |_, event| match event {
        Event::Batch(batch) => batch.networks,
        _ => Vec::new(),
    })
    .await
}
