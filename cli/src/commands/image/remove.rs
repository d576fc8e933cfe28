//! `wharf rmi`.

use wharf::v1::RemoveImagesRequest;
use wharf::v1::remove_images_response::Event;

use crate::app::App;
use crate::commands::{call, observe, request_id};
use crate::exit::Failure;
use crate::json;
use crate::printer::Format;
use crate::report::actions::Actions;
use crate::targets::{Access, TargetArgs};

/// Arguments of `wharf rmi`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  wharf rmi -A app:v1\n  wharf rmi -f -H web1 0123456789ab")]
pub struct Args {
    /// Images by reference or ID
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Remove an image by ID even if it has several names or stopped containers use it
    #[arg(short, long)]
    force: bool,
    /// Keep untagged parent images
    #[arg(long)]
    no_prune: bool,
    /// Ignore images that do not exist
    #[arg(long)]
    allow_missing: bool,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Removes images.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let targets = app.targets(&args.targets);
    let request = RemoveImagesRequest {
        targets: Some(targets.select(Access::Write)?),
        fanout: Some(targets.options()),
        request_id: request_id(),
        images: args.images,
        force: args.force,
        keep_parents: args.no_prune,
        allow_missing: args.allow_missing,
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, images.remove_images, request)];
    let actions =
        Actions::new(&app.printer, "does not exist", |printer, host, event| match event {
            Event::Item(item) => Some(item),
            Event::Removed(removed) => {
                match printer.format {
                    Format::Json => printer.data(&json::line(host, json::message(&removed))),
                    Format::Wide => {
                        for name in &removed.untagged {
                            printer.data(&format!("{host}   untagged {name}"));
                        }
                        for id in &removed.deleted {
                            printer.data(&format!("{host}   deleted {id}"));
                        }
                    }
                    Format::Table | Format::Name => {}
                }
                None
            }
            _ => None,
        });
    observe(app, &connection, calls, actions).await
}
