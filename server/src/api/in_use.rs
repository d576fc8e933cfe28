//! Who uses a network or a volume that cannot be removed, and other ways to say what is in the way.

use crate::engine::{ContainerListing, ContainerSummary, EngineError, ErrorKind};
use crate::fleet::HostError;
use crate::fleet::fanout::HostCall;

use super::edge::some;
use crate::domain::{ContainerRef, quoted};

/// The error of a removal that containers prevent, with their names and the way out. `filter` is the
/// Engine's name for "containers with this one", and `value` which one it is.
pub async fn with_users<P>(
    call: &HostCall<P>,
    (filter, value): (&str, &str),
    way_out: impl Fn(&str) -> String,
    mut error: EngineError,
) -> HostError {
    if error.kind == ErrorKind::Conflict {
        let users = users(call, filter, value).await;
        if let Some(first) = users.first() {
            let names = some(users.iter().cloned());
            let message = error.message.trim_end_matches('.');
            error.message = format!("{message}; used by {names}; {}", way_out(first));
        }
    }
    error.into()
}

/// The names of the containers; those that are running if there are any, because these are what
/// keeps a network. None if they cannot be listed: the error says enough without.
async fn users<P>(call: &HostCall<P>, filter: &str, value: &str) -> Vec<String> {
    let filters = [(filter.to_owned(), vec![value.to_owned()])].into();
    let listing = ContainerListing { all: true, filters, ..ContainerListing::default() };
    let Ok(found) = call.engine.list_containers(&listing).await else { return Vec::new() };
    let runs =
        |it: &&ContainerSummary| matches!(it.state.as_str(), "running" | "paused" | "restarting");
    let name = |it: &ContainerSummary| {
        let name = it.names.first().unwrap_or(&it.id);
        // What an Engine sends may be anything.
        if ContainerRef::parse(name).is_ok() { name.clone() } else { quoted(name) }
    };
    let mut names: Vec<String> = found.items.iter().filter(runs).map(name).collect();
    if names.is_empty() || filter == "volume" {
        names = found.items.iter().map(name).collect();
    }
    names.sort();
    names
}

/// The error for a thing of the same name that differs from what was requested.
pub fn differs(
    kind: ErrorKind,
    operation: &'static str,
    what: &str,
    differences: &[String],
    way_out: &str,
) -> HostError {
    let message = format!("{what}: {}; {way_out}", differences.join("; "));
    EngineError::new(kind, operation, message).into()
}
