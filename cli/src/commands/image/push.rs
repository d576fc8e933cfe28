//! `wharf push`.

use wharf::v1::push_image_response::Event;
use wharf::v1::{HostSelector, PushImageRequest, PushedImage};

use crate::app::{App, Connection};
use crate::commands::{call, request_id, transfer};
use crate::credentials;
use crate::exit::Failure;
use crate::report::transfers::{Step, Transferred};
use crate::table::Column;
use crate::targets::{Access, TargetArgs};
use crate::view::units;

const EXAMPLES: &str = "\
Credentials come from ~/.docker/config.json, its helpers included, else from wharf login.

Examples:
  wharf push -H build1 registry.example.com/app:v2";

/// Arguments of `wharf push`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Image, such as registry.example.com:5000/team/app:v1
    #[arg(value_name = "IMAGE")]
    reference: String,
    /// Cancel the pushes if this command ends early
    #[arg(long)]
    cancel_on_disconnect: bool,
    #[command(flatten)]
    targets: TargetArgs,
}

/// What to print on Ctrl-C.
pub const INTERRUPTED: &str = "interrupted; pushes in progress continue on the hosts";

/// Pushes an image.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let targets = app.targets(&args.targets);
    let selector = targets.select(Access::Write)?;
    let connection = app.connect().await?;
    push(app, &connection, selector, &targets, args.reference, args.cancel_on_disconnect).await
}

/// Pushes an image from the hosts of a selection.
pub async fn push(
    app: &App,
    connection: &Connection,
    selector: HostSelector,
    targets: &TargetArgs,
    reference: String,
    cancel_on_disconnect: bool,
) -> Result<(), Failure> {
    let request = PushImageRequest {
        targets: Some(selector),
        fanout: Some(targets.options()),
        request_id: request_id(),
        credentials: credentials::for_image(&app.printer, &reference).await,
        reference,
        cancel_on_disconnect,
    };
    let calls = vec![call!(connection, images.push_image, request)];
    transfer(app, connection, calls, |event| match event {
        Event::Progress(progress) => Some(Step::Progress(progress)),
        Event::Image(image) => Some(Step::Result(image)),
        _ => None,
    })
    .await
}

impl Transferred for PushedImage {
    const COLUMNS: &'static [Column] = &[
        Column::new("IMAGE"),
        Column::new("RESULT"),
        Column::new("DIGEST").shrinks(),
        Column::new("MANIFEST SIZE").wide().number(),
    ];

    fn row(&self, changed: bool) -> Vec<String> {
        vec![
            self.reference.clone(),
            if changed { "pushed" } else { "already exists" }.to_owned(),
            self.digest.clone(),
            units::size(self.size_bytes as f64),
        ]
    }

    fn name(&self) -> &str {
        &self.reference
    }

    fn line(&self, changed: bool) -> String {
        let result = if changed { "pushed" } else { "already exists:" };
        format!("{result} {} {}", self.reference, self.digest).trim_end().to_owned()
    }
}
