//! `wharf ps`.

use std::collections::BTreeMap;

use wharf::v1::list_containers_response::Event;
use wharf::v1::{Consistency, Container, ListContainersRequest, WatchContainersRequest};

use super::watch;
use crate::app::App;
use crate::commands::{call, filters, list_as};
use crate::exit::Failure;
use crate::report::listing::Look;
use crate::targets::{Access, TargetArgs};
use crate::template::Template;

const EXAMPLES: &str = "\
Examples:
  wharf ps                             running containers of every host
  wharf ps -a -H web1                  all containers of one host, also stopped ones
  wharf ps --watch -l env=prod         the same, with every change
  wharf ps --fresh                     asked from every Engine
  wharf ps -l env=prod -f name=web     matching containers of some hosts
  wharf ps -o name | xargs wharf stop  HOST/CONTAINER, which other commands accept";

/// Arguments of `wharf ps`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Include containers that are not running
    #[arg(short, long)]
    all: bool,
    /// Only matching containers, such as name=web, label=a=b, status=exited; can be repeated
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Only the newest N containers of each host, in any state
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true)]
    last: Option<u32>,
    /// Include sizes; slow
    #[arg(short, long)]
    size: bool,
    /// Show whole IDs and cells
    #[arg(long)]
    no_trunc: bool,
    /// Show by a template, such as '{{.Host}} {{.Names}}'; docs/cli.md says what it can have
    #[arg(long, value_name = "TEMPLATE", value_parser = Template::parse)]
    format: Option<Template>,
    /// Go on with every change, until Ctrl-C
    #[arg(long, conflicts_with_all = ["last", "size", "format", "engine_json", "fresh", "no_trunc"])]
    watch: bool,
    /// Ask every Engine, also where the server knows the containers from its events
    #[arg(long)]
    fresh: bool,
    /// With -o json: include the Engine's own JSON
    #[arg(long)]
    engine_json: bool,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Lists containers.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let look =
        Look { template: args.format, full: args.no_trunc, with_view: true, ..Look::default() };
    look.check::<Container>(&app.printer)?;
    let targets = app.targets(&args.targets);
    let consistency = if args.fresh { Consistency::Fresh } else { Consistency::View };
    let request = ListContainersRequest {
        targets: Some(targets.select(Access::Read)?),
        fanout: Some(targets.options()),
        all: args.all,
        filters: filters(&args.filter)?,
        limit: args.last.unwrap_or(0),
        size: args.size,
        include_engine_json: args.engine_json,
        consistency: consistency.into(),
        min_generation: BTreeMap::new(),
    };
    if args.watch {
        let ListContainersRequest { targets, all, filters, .. } = request.clone();
        let watched = WatchContainersRequest { targets, all, filters, after: None };
        return watch::run(app, watched, request).await;
    }
    let connection = app.connect().await?;
    let calls = vec![call!(connection, containers.list_containers, request)];
    list_as(app, look, &connection, calls, |_, event| match event {
        Event::Batch(batch) => batch.containers,
        _ => Vec::new(),
    })
    .await
}
