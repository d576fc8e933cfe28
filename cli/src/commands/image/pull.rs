//! `wharf pull`.

use wharf::v1::pull_image_response::Event;
use wharf::v1::{PullImageRequest, PulledImage};

use crate::app::App;
use crate::commands::{call, request_id, transfer};
use crate::credentials;
use crate::exit::Failure;
use crate::report::transfers::{Step, Transferred};
use crate::table::Column;
use crate::targets::{Access, TargetArgs};

const EXAMPLES: &str = "\
Credentials come from ~/.docker/config.json, its helpers included, else from wharf login.
A reference without a tag means latest. Ctrl-C doesn't stop pulls in progress.

Examples:
  wharf pull -l env=prod registry.example.com/app:v2
  wharf pull -A --max-parallel 10 busybox";

/// Arguments of `wharf pull`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Image, such as registry.example.com:5000/team/app:v1
    #[arg(value_name = "IMAGE")]
    reference: String,
    /// Platform, such as linux/arm64 [default: the host's own]
    #[arg(long, default_value = "", hide_default_value = true)]
    platform: String,
    /// Cancel the pulls if this command ends early
    #[arg(long)]
    cancel_on_disconnect: bool,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Pulls an image.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let targets = app.targets(&args.targets);
    let selector = targets.select(Access::Write)?;
    let request = PullImageRequest {
        targets: Some(selector),
        fanout: Some(targets.options()),
        request_id: request_id(),
        credentials: credentials::for_image(&app.printer, &args.reference).await,
        reference: args.reference,
        platform: args.platform,
        cancel_on_disconnect: args.cancel_on_disconnect,
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, images.pull_image, request)];
    transfer(app, &connection, calls, |event| match event {
        Event::Progress(progress) => Some(Step::Progress(progress)),
        Event::Image(image) => Some(Step::Result(image)),
        _ => None,
    })
    .await
}

impl Transferred for PulledImage {
    const COLUMNS: &'static [Column] = &[
        Column::new("IMAGE"),
        Column::new("RESULT"),
        Column::new("DIGEST").shrinks(),
        Column::new("IMAGE ID").wide(),
        Column::new("PLATFORM").wide(),
    ];

    fn row(&self, changed: bool) -> Vec<String> {
        vec![
            self.reference.clone(),
            if changed { "pulled" } else { "up to date" }.to_owned(),
            self.digest.clone(),
            crate::view::short_id(&self.id),
            format!("{}/{}", self.os, self.architecture),
        ]
    }

    fn name(&self) -> &str {
        &self.reference
    }

    fn line(&self, changed: bool) -> String {
        let result = if changed { "pulled" } else { "up to date:" };
        format!("{result} {} {}", self.reference, self.digest).trim_end().to_owned()
    }
}
