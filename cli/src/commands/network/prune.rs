//! `wharf network prune`.

use wharf::v1::prune_networks_response::Event;
use wharf::v1::{PruneNetworksRequest, PrunedNetworks};

use crate::app::App;
use crate::commands::{call, filters, list, request_id};
use crate::exit::Failure;
use crate::report::listing::View;
use crate::table::Column;
use crate::targets::{Access, TargetArgs};

/// Arguments of `wharf network prune`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  wharf network prune -A\n  wharf network prune -l env=test --filter until=24h"
)]
pub struct Args {
    /// Only matching networks: until=24h, label=a, label!=a; can be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Accepted for compatibility with docker; wharf never asks for confirmation
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Removes networks that no container uses.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let targets = app.targets(&args.targets);
    let request = PruneNetworksRequest {
        targets: Some(targets.select(Access::Write)?),
        fanout: Some(targets.options()),
        request_id: request_id(),
        filters: filters(&args.filter)?,
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, networks.prune_networks, request)];
    list(app, &connection, calls, |_, event| match event {
        Event::Pruned(pruned) => Some(pruned),
        _ => None,
    })
    .await
}

impl View for PrunedNetworks {
    const COLUMNS: &'static [Column] = &[Column::new("REMOVED").number(), Column::new("NAMES")];

    fn rows(&self, _now: jiff::Timestamp) -> Vec<Vec<String>> {
        vec![vec![self.names.len().to_string(), self.names.join(",")]]
    }

    fn names(&self) -> Vec<String> {
        self.names.clone()
    }
}
