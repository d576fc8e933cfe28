//! `wharf tag`.

use wharf::v1::TagImageRequest;

use crate::app::App;
use crate::commands::{call, observe, request_id};
use crate::exit::Failure;
use crate::report::actions::Outcomes;
use crate::targets::{Access, TargetArgs};

/// Arguments of `wharf tag`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  wharf tag -A app:v1 registry.example.com/app:v1")]
pub struct Args {
    /// Image by reference or ID
    #[arg(value_name = "IMAGE")]
    source: String,
    /// New name; the default tag is latest
    #[arg(value_name = "NEW_NAME")]
    target: String,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Adds a name to an image.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let targets = app.targets(&args.targets);
    let request = TagImageRequest {
        targets: Some(targets.select(Access::Write)?),
        fanout: Some(targets.options()),
        request_id: request_id(),
        source: args.source,
        target: args.target.clone(),
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, images.tag_image, request)];
    observe(
        app,
        &connection,
        calls,
        Outcomes::new(&app.printer, &args.target, "already has that name"),
    )
    .await
}
