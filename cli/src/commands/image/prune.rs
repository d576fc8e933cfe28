//! `wharf image prune`.

use wharf::v1::prune_images_response::Event;
use wharf::v1::{PruneImagesRequest, PrunedImages};

use crate::app::App;
use crate::commands::{call, filters, list, request_id};
use crate::exit::Failure;
use crate::report::listing::View;
use crate::table::Column;
use crate::targets::{Access, TargetArgs};
use crate::view::{short_id, units};

/// Arguments of `wharf image prune`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  wharf image prune -A\n  wharf image prune -l env=test --all --filter until=240h"
)]
pub struct Args {
    /// Remove all unused images, not only untagged ones
    #[arg(short, long)]
    all: bool,
    /// Only matching images: until=24h, label=a, label!=a; can be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Accepted for compatibility with docker; wharf never asks for confirmation
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Removes images that no container uses.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let targets = app.targets(&args.targets);
    let request = PruneImagesRequest {
        targets: Some(targets.select(Access::Write)?),
        fanout: Some(targets.options()),
        request_id: request_id(),
        all: args.all,
        filters: filters(&args.filter)?,
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, images.prune_images, request)];
    list(app, &connection, calls, |_, event| match event {
        Event::Pruned(pruned) => Some(pruned),
        _ => None,
    })
    .await
}

impl View for PrunedImages {
    const COLUMNS: &'static [Column] = &[
        Column::new("UNTAGGED").number(),
        Column::new("DELETED").number(),
        Column::new("RECLAIMED").number(),
        Column::new("NAMES").wide(),
        Column::new("IDS").wide(),
    ];

    fn rows(&self, _now: jiff::Timestamp) -> Vec<Vec<String>> {
        let ids: Vec<String> = self.deleted.iter().map(|id| short_id(id)).collect();
        vec![vec![
            self.untagged.len().to_string(),
            self.deleted.len().to_string(),
            units::size(self.space_reclaimed_bytes as f64),
            self.untagged.join(","),
            ids.join(","),
        ]]
    }

    fn names(&self) -> Vec<String> {
        self.untagged.iter().chain(&self.deleted).cloned().collect()
    }
}
