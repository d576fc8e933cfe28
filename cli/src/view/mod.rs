//! Renders messages in tables. Pure: the current time is an argument.

pub mod containers;
pub mod events;
pub mod hosts;
pub mod images;
pub mod log_text;
pub mod networks;
pub mod plans;
pub mod rollout_hosts;
pub mod rollouts;
pub mod stats;
pub mod system;
pub mod units;
pub mod used;

use std::collections::BTreeMap;

/// Labels as `a=b,c=d`, sorted.
pub fn labels(labels: &BTreeMap<String, String>) -> String {
    let mut pairs: Vec<String> = labels
        .iter()
        .map(|(key, value)| if value.is_empty() { key.clone() } else { format!("{key}={value}") })
        .collect();
    pairs.sort();
    pairs.join(",")
}

/// An ID as docker shortens it: twelve digits, without `sha256:`.
pub fn short_id(id: &str) -> String {
    id.strip_prefix("sha256:").unwrap_or(id).chars().take(12).collect()
}
