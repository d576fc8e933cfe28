//! `wharf images`.

use wharf::v1::list_images_response::Event;
use wharf::v1::{Image, ListImagesRequest};

use crate::app::App;
use crate::commands::{call, filters, list_as};
use crate::exit::Failure;
use crate::report::listing::Look;
use crate::targets::{Access, TargetArgs};
use crate::template::Template;

const EXAMPLES: &str = "\
Examples:
  wharf images                     images of every host
  wharf images -H web1 app         images of one host whose name matches
  wharf images -o wide             with digests, to compare hosts";

/// Arguments of `wharf images`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only images whose name matches, such as app or app:v*
    #[arg(value_name = "REPOSITORY[:TAG]")]
    reference: Option<String>,
    /// Include intermediate images
    #[arg(short, long)]
    all: bool,
    /// Only matching images, such as dangling=true, label=a=b, reference=app:*; can be repeated
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Show whole IDs and cells
    #[arg(long)]
    no_trunc: bool,
    /// Show by a template, such as '{{.Host}} {{.Repository}}'; docs/cli.md says what it can have
    #[arg(long, value_name = "TEMPLATE", value_parser = Template::parse)]
    format: Option<Template>,
    /// With -o json: include the Engine's own JSON
    #[arg(long)]
    engine_json: bool,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Lists images.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let column = args.digests.then_some("DIGEST");
    let look = Look { template: args.format, full: args.no_trunc, column, ..Look::default() };
    look.check::<Image>(&app.printer)?;
    let targets = app.targets(&args.targets);
    let mut given = args.filter;
    given.extend(args.reference.map(|reference| format!("reference={reference}")));
    let request = ListImagesRequest {
        targets: Some(targets.select(Access::Read)?),
        fanout: Some(targets.options()),
        all: args.all,
        filters: filters(&given)?,
        include_engine_json: args.engine_json,
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, images.list_images, request)];
    list_as(app, look, &connection, calls, |_, event| match event {
        Event::Batch(batch) => batch.images,
        _ => Vec::new(),
    })
    .await
}
