//! Shared by the fleet tests: servers with simulated hosts, parsed and checked responses, and
//! polling for conditions.

mod answer;
mod fleet;
mod log;

use std::time::Duration;

use tokio::time::{Instant, sleep};
use wharf::v1;

pub use answer::{Answer, Reader, reason};
pub use fleet::{Fleet, FleetOptions, IMAGE, name, secs};
pub use log::Log;

/// How long something may take to become so; the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(120);

/// Looks until it is so.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !so() {
        assert!(Instant::now() < deadline, "still not so: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}

/// Every host.
pub fn all() -> Option<v1::HostSelector> {
    let selection = v1::host_selector::Selection::All(v1::AllHosts {});
    Some(v1::HostSelector { selection: Some(selection), exclude: Vec::new() })
}

/// The hosts at these places.
pub fn at(places: &[usize]) -> Option<v1::HostSelector> {
    let names = places.iter().map(|&place| name(place)).collect();
    let selection = v1::host_selector::Selection::Hosts(v1::HostNames { names });
    Some(v1::HostSelector { selection: Some(selection), exclude: Vec::new() })
}

/// A list of all containers.
pub fn list(targets: Option<v1::HostSelector>) -> v1::ListContainersRequest {
    v1::ListContainersRequest { targets, all: true, ..Default::default() }
}

/// The start of one container.
pub fn start(targets: Option<v1::HostSelector>, container: &str) -> v1::StartContainersRequest {
    let containers = vec![container.to_owned()];
    v1::StartContainersRequest { targets, containers, ..Default::default() }
}

/// A longest time for one host.
pub fn host_timeout(timeout: Duration) -> Option<v1::FanoutOptions> {
    let host_timeout = prost_types::Duration::try_from(timeout).ok();
    Some(v1::FanoutOptions { host_timeout, ..Default::default() })
}

/// So many hosts at once.
pub fn max_parallel(max_parallel: u32) -> Option<v1::FanoutOptions> {
    Some(v1::FanoutOptions { max_parallel, ..Default::default() })
}
