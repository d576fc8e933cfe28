//! `wharf image inspect`.

use wharf::v1::InspectImagesRequest;
use wharf::v1::inspect_images_response::Event;

use crate::app::App;
use crate::commands::{call, inspect};
use crate::exit::Failure;
use crate::json;
use crate::targets::{Access, TargetArgs};
use crate::template::Template;

/// Arguments of `wharf image inspect`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  wharf image inspect -A app:v1 | jq '.[].RepoDigests'")]
pub struct Args {
    /// Images by reference or ID
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
    /// Show by a template, such as '{{.Host}} {{.Id}}'; docs/cli.md says what it can have
    #[arg(short, long, value_name = "TEMPLATE", value_parser = Template::parse)]
    pub format: Option<Template>,
    #[command(flatten)]
    pub targets: TargetArgs,
}

/// Shows images.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    inspect::check_format(app, args.format.as_ref())?;
    let targets = app.targets(&args.targets);
    let request = InspectImagesRequest {
        targets: Some(targets.select(Access::Read)?),
        fanout: Some(targets.options()),
        images: args.images,
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, images.inspect_images, request)];
    inspect::show(app, &connection, calls, args.format, |event| match event {
        Event::Image(image) => inspect::Answer::Details(inspect::Details {
            name: image.name.clone(),
            engine: image.engine.clone(),
            fields: json::message(&image),
        }),
        _ => inspect::Answer::Other,
    })
    .await
}
