//! `wharf image send`: an image from one host to others, without a registry.

use std::path::Path;

use wharf::v1::send_image_response::Event;
use wharf::v1::{FanoutOptions, HostSelector, SendImageRequest};

use super::load::{self, Destination};
use crate::app::{App, Connection};
use crate::commands::{call, request_id, transfer};
use crate::exit::Failure;
use crate::report::transfers::Step;
use crate::targets::Access;

const EXAMPLES: &str = "\
The server reads the image from its host once and writes it to the others; nothing passes through
this machine. Hosts that have the image are skipped, or get only its name. Ctrl-C doesn't stop
transfers in progress. With a file or -, it is the same as wharf load.

Examples:
  wharf image send app:v2 --from build1 --to web1,web2
  wharf image send app:v2 --from build1 -l role=web --max-parallel 5
  wharf image send --from ./app.tar -A";

/// Arguments of `wharf image send`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Image by reference or ID; by its ID, it gets no name. Not with a file, which is sent whole
    #[arg(value_name = "IMAGE")]
    image: Option<String>,
    /// Host that has the image; or an archive: a path with a slash or .tar in it, or - for standard
    /// input
    #[arg(long, value_name = "HOST|FILE|-")]
    from: String,
    /// Cancel the transfers if this command ends early
    #[arg(long)]
    cancel_on_disconnect: bool,
    #[command(flatten)]
    destination: Destination,
}

/// Sends an image.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let image = match (args.image, is_archive(&args.from)) {
        (None, true) => {
            return load::load(app, Some(Path::new(&args.from)), &args.destination).await;
        }
        (Some(image), true) => {
            return Err(Failure::Usage(format!(
                "{} is an archive, of which all images are sent; omit {image}",
                args.from
            )));
        }
        (None, false) => {
            return Err(Failure::usage(
                "specify the image to send, such as app:v2; to send an archive, write --from ./FILE",
            ));
        }
        (Some(image), false) => image,
    };
    let targets = args.destination.targets(app);
    let selector = targets.select(Access::Write)?;
    let connection = app.connect().await?;
    let image =
        Image { source: args.from, name: image, cancel_on_disconnect: args.cancel_on_disconnect };
    send(app, &connection, image, selector, targets.options()).await
}

/// An image on a host.
pub struct Image {
    /// The host.
    pub source: String,
    /// Its reference or ID.
    pub name: String,
    /// Cancel the transfers if this command ends early.
    pub cancel_on_disconnect: bool,
}

/// Sends an image to the hosts of a selection.
pub async fn send(
    app: &App,
    connection: &Connection,
    image: Image,
    targets: HostSelector,
    options: FanoutOptions,
) -> Result<(), Failure> {
    let request = SendImageRequest {
        targets: Some(targets),
        fanout: Some(options),
        request_id: request_id(),
        source_host: image.source,
        image: image.name,
        cancel_on_disconnect: image.cancel_on_disconnect,
    };
    let calls = vec![call!(connection, images.send_image, request)];
    transfer(app, connection, calls, |event| match event {
        Event::Progress(progress) => Some(Step::Progress(progress)),
        Event::Image(image) => Some(Step::Result(image)),
        _ => None,
    })
    .await
}

/// Whether a source is an archive and not a host, whose name has no slash.
fn is_archive(source: &str) -> bool {
    source == "-" || source.contains('/') || source.contains(".tar") || source.ends_with(".tgz")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_host_unless_it_looks_like_a_file() {
        for archive in ["-", "./app", "/tmp/app", "app.tar", "app.tar.gz", "app.tgz"] {
            assert!(is_archive(archive), "{archive}");
        }
        for host in ["build1", "build-1.example.com", "target"] {
            assert!(!is_archive(host), "{host}");
        }
    }
}
