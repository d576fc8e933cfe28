//! `wharf host check`.

use jiff::Timestamp;
use wharf::v1::check_hosts_response::Event;
use wharf::v1::{CheckHostsRequest, FanoutOptions, HostStatus};

use crate::app::App;
use crate::commands::{call, list};
use crate::duration;
use crate::exit::Failure;
use crate::report::listing::View;
use crate::table::Column;
use crate::targets::{Access, TargetArgs};
use crate::view::hosts;

/// Arguments of `wharf host check`.
#[derive(clap::Args)]
#[command(
    after_help = "Every host is tried, also one that the server knows to be unreachable.\n\nExamples:\n  wharf host check\n  wharf host check --host-timeout 2s -l env=prod"
)]
pub struct Args {
    #[command(flatten)]
    targets: TargetArgs,
}

/// Checks whether hosts answer.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let targets = app.targets(&args.targets);
    let request = CheckHostsRequest {
        targets: Some(targets.select(Access::Read)?),
        fanout: Some(FanoutOptions { try_unreachable: true, ..targets.options() }),
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, hosts.check_hosts, request)];
    list(app, &connection, calls, |_, event| match event {
        Event::Status(status) => Some(status),
        _ => None,
    })
    .await
}

impl View for HostStatus {
    const COLUMNS: &'static [Column] = &[
        Column::new("STATUS"),
        Column::new("ENGINE"),
        Column::new("API"),
        Column::new("RUNNING").number(),
        Column::new("LATENCY").number(),
        Column::new("PLATFORM").wide(),
        Column::new("HOSTNAME").wide(),
        Column::new("KERNEL").wide(),
    ];

    fn rows(&self, _now: Timestamp) -> Vec<Vec<String>> {
        let latency = self.latency.as_ref().map(duration::milliseconds);
        vec![vec![
            "reachable".to_owned(),
            hosts::engine(self),
            self.api_version.clone(),
            format!("{}/{}", self.containers_running, self.containers),
            latency.map(|latency| format!("{latency:.1}ms")).unwrap_or_default(),
            format!("{}/{}", self.os, self.arch),
            self.hostname.clone(),
            self.kernel.clone(),
        ]]
    }

    fn names(&self) -> Vec<String> {
        vec![self.hostname.clone()]
    }
}
