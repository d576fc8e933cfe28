//! `wharf volume prune`.

use wharf::v1::prune_volumes_response::Event;
use wharf::v1::{PruneVolumesRequest, PrunedVolumes};

use crate::app::App;
use crate::commands::{call, filters, list, request_id};
use crate::exit::Failure;
use crate::report::listing::View;
use crate::table::Column;
use crate::targets::{Access, TargetArgs};
use crate::view::units;

const NOTES: &str = "\
Without -a, volumes that have a name are kept, on Engines of every version.

Examples:
  wharf volume prune -A
  wharf volume prune -l env=test --all --filter label!=keep";

/// Arguments of `wharf volume prune`.
#[derive(clap::Args)]
#[command(after_help = NOTES)]
pub struct Args {
    /// Also remove unused volumes that have a name
    #[arg(short, long)]
    all: bool,
    /// Only matching volumes: label=a, label!=a; can be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Accepted for compatibility with docker; wharf never asks for confirmation
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Removes volumes that no container uses.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let targets = app.targets(&args.targets);
    let request = PruneVolumesRequest {
        targets: Some(targets.select(Access::Write)?),
        fanout: Some(targets.options()),
        request_id: request_id(),
        all: args.all,
        filters: filters(&args.filter)?,
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, volumes.prune_volumes, request)];
    list(app, &connection, calls, |_, event| match event {
        Event::Pruned(pruned) => Some(pruned),
        _ => None,
    })
    .await
}

impl View for PrunedVolumes {
    const COLUMNS: &'static [Column] = &[
        Column::new("REMOVED").number(),
        Column::new("RECLAIMED").number(),
        Column::new("NAMES").wide(),
    ];

    fn rows(&self, _now: jiff::Timestamp) -> Vec<Vec<String>> {
        let reclaimed = self.space_reclaimed_bytes.map(|bytes| units::size(bytes as f64));
        vec![vec![
            self.names.len().to_string(),
            reclaimed.unwrap_or_default(),
            self.names.join(","),
        ]]
    }

    fn names(&self) -> Vec<String> {
        self.names.clone()
    }
}
