//! What a path is in the container of each host.

use std::collections::BTreeMap;

use wharf::v1::stat_path_response::Event;
use wharf::v1::{HostSelector, PathStat, StatPathRequest};

use crate::app::Connection;
use crate::commands::call;
use crate::fanout::{self, CallReport, Observer};
use crate::targets::TargetArgs;

/// Asks every host. The report has how each ended; the others have what the path is.
pub(super) async fn ask(
    connection: &Connection,
    targets: &TargetArgs,
    hosts: HostSelector,
    container: &str,
    path: &str,
) -> (CallReport, BTreeMap<String, PathStat>) {
    let request = StatPathRequest {
        targets: Some(hosts),
        fanout: Some(targets.options()),
        container: container.to_owned(),
        path: path.to_owned(),
    };
    let mut stats = Stats::default();
    let calls = vec![call!(connection, files.stat_path, request)];
    let report = fanout::read(calls, connection.timeout(), &mut stats).await;
    (report.calls.into_iter().next().unwrap_or_default(), stats.0)
}

/// The answers of hosts.
#[derive(Default)]
struct Stats(BTreeMap<String, PathStat>);

impl Observer<Event> for Stats {
    fn payload(&mut self, host: &str, event: Event) {
        if let Event::Stat(stat) = event {
            self.0.insert(host.to_owned(), stat);
        }
    }
}
