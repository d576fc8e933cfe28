//! `wharf container prune`.

use wharf::v1::prune_containers_response::Event;
use wharf::v1::{PruneContainersRequest, PrunedContainers};

use crate::app::App;
use crate::commands::{call, filters, list, request_id};
use crate::exit::Failure;
use crate::report::listing::View;
use crate::table::Column;
use crate::targets::{Access, TargetArgs};
use crate::view::units;

/// Arguments of `wharf container prune`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  wharf container prune -A --filter until=24h\n  wharf container prune -H web1"
)]
pub struct Args {
    /// Only matching containers: until=24h, label=a, label!=a; can be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Accepted for compatibility with docker; wharf never asks for confirmation
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Removes stopped containers.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let targets = app.targets(&args.targets);
    let request = PruneContainersRequest {
        targets: Some(targets.select(Access::Write)?),
        fanout: Some(targets.options()),
        request_id: request_id(),
        filters: filters(&args.filter)?,
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, containers.prune_containers, request)];
    list(app, &connection, calls, |_, event| match event {
        Event::Pruned(pruned) => Some(pruned),
        _ => None,
    })
    .await
}

impl View for PrunedContainers {
    const COLUMNS: &'static [Column] = &[
        Column::new("REMOVED").number(),
        Column::new("RECLAIMED").number(),
        Column::new("IDS").wide(),
    ];

    fn rows(&self, _now: jiff::Timestamp) -> Vec<Vec<String>> {
        let ids: Vec<String> = self.ids.iter().map(|id| crate::view::short_id(id)).collect();
        vec![vec![
            self.ids.len().to_string(),
            units::size(self.space_reclaimed_bytes as f64),
            ids.join(","),
        ]]
    }

    fn names(&self) -> Vec<String> {
        self.ids.clone()
    }
}
