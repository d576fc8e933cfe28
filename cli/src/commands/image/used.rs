//! `wharf image used`.

use wharf::v1::ListUsedImagesRequest;

use crate::app::App;
use crate::commands::call;
use crate::exit::Failure;
use crate::fanout;
use crate::report;
use crate::report::used::{Show, Used};
use crate::targets::{Access, TargetArgs};

const NOTES: &str = "\
Containers use the same image if it has the same ID, or the same digest in a registry. Notes:
  differs       most hosts have another image for this container
  pulled        the reference names another image on this host: pulled, but not running
  local         the image was built, loaded, or sent, and not pulled from the repository
With --check, also:
  newer         the reference names another image in the registry
  current       the registry has the same image
  incomparable  an index of several platforms and the manifest of one; a pull shows it
  pinned, ID    created from a digest, or from an image ID, which never changes
  unknown       the registry did not say; see the error

Examples:
  wharf image used                     running containers of every host
  wharf image used -l env=prod --check
  wharf image used registry/app        only images of a repository
  wharf image used --container web -o json | jq -r 'select(.type == \"difference\")'";

/// Arguments of `wharf image used`.
#[derive(clap::Args)]
#[command(after_help = NOTES)]
pub struct Args {
    /// Only containers that were created from these references; without a tag, from any of the repository
    #[arg(value_name = "REPOSITORY[:TAG]")]
    references: Vec<String>,
    /// Ask the registries which image each tag names now
    #[arg(long)]
    check: bool,
    /// Include containers that do not run
    #[arg(short, long)]
    all: bool,
    /// Only containers with this name; can be repeated
    #[arg(long, value_name = "NAME")]
    container: Vec<String>,
    /// Only containers with this label; can be repeated
    #[arg(long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Shows which image runs where.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let targets = app.targets(&args.targets);
    let request = ListUsedImagesRequest {
        targets: Some(targets.select(Access::Read)?),
        fanout: Some(targets.options()),
        all: args.all,
        containers: args.container,
        labels: args.label,
        references: args.references,
        check_registry: args.check,
    };
    read(app, request, Show::Everything).await
}

/// Reads a response, shows what it says about all hosts, and reports how it ended. References that
/// could not be checked are failures, too.
pub async fn read(app: &App, request: ListUsedImagesRequest, show: Show) -> Result<(), Failure> {
    let connection = app.connect().await?;
    let mut used = Used::new(&app.printer);
    let calls = vec![call!(connection, images.list_used_images, request)];
    let report = fanout::read(calls, connection.timeout(), &mut used).await;
    if used.has_answers() {
        used.print(show);
        used.print_failures();
    }
    report::finish(&app.printer, &report)?;
    if let Some(call) = report.calls.iter().find(|call| !call.has_summary && !report.abandoned) {
        return Err(match &call.end {
            Some(status) => status.clone().into(),
            None => Failure::Connection("the server's response ended early; try again".to_owned()),
        });
    }
    if used.has_failures() { Err(Failure::Hosts) } else { Ok(()) }
}
