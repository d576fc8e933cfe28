//! The changes of a container, one line for each setting, for people to read before they happen.

use serde_json::Value;

use super::mask::{HIDDEN, is_secret_name, shown};
use super::settings;

/// The differences, sorted. Values of variables and likely secrets are masked.
#[must_use]
pub fn diff(before: &Value, after: &Value) -> Vec<String> {
    let (before, after) = (settings::of(before), settings::of(after));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| line(name, before.get(name), after.get(name)))
        .collect()
}

/// One setting; also used for the comparison with the Engine's result.
pub(super) fn line(name: &str, before: Option<&Value>, after: Option<&Value>) -> String {
    let show = |value: Option<&Value>| match value {
        None => "none".to_owned(),
        Some(_) if hidden(name) => HIDDEN.to_owned(),
        Some(value) => shown(value),
    };
    let (old, new) = (show(before), show(after));
    let note = if old == new { ", changed" } else { "" };
    format!("{name}: {old} -> {new}{note}")
}

fn hidden(name: &str) -> bool {
    name.starts_with("env.") || is_secret_name(name)
}
