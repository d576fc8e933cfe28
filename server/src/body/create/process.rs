//! The process of a container and how it is stopped: the part of the body that can also come from
//! the image.

use std::collections::{HashMap, HashSet};

use prost_types::Duration;
use serde_json::Value;
use wharf::v1::ContainerSpec;

use super::document::ENGINE_JSON;
use super::{Draft, checks};
use crate::domain::quoted;

pub(super) fn apply(spec: &ContainerSpec, draft: &mut Draft) {
    // One empty text means "none" to the Engine, as in `docker run --entrypoint ''`.
    if let [first, _, ..] = spec.entrypoint.as_slice()
        && first.is_empty()
    {
        let problem = "is empty; name a program, or give one empty text only";
        draft.violations.add("spec.entrypoint[0]", problem);
    }
    environment(&spec.env, draft);
    match spec.stop_timeout {
        None => {}
        Some(Duration { seconds, nanos: 0 }) if (0..=i64::from(i32::MAX)).contains(&seconds) => {
            draft.top.set("StopTimeout", seconds);
        }
        Some(_) => draft.violations.add(
            "spec.stop_timeout",
            "must be whole seconds and not negative; the Engine does not accept fractions",
        ),
    }
}

fn environment(entries: &[String], draft: &mut Draft) {
    if entries.is_empty() {
        return;
    }
    checks::texts("spec.env", entries, &mut draft.violations);
    let mut latest = HashMap::new();
    for (index, entry) in entries.iter().enumerate() {
        match variable(entry) {
            "" => draft.violations.add(
                format!("spec.env[{index}]"),
                format!("{} has no name; write KEY=VALUE", quoted(entry)),
            ),
            key => {
                latest.insert(key, entry);
            }
        }
    }
    let Some(list) = draft.top.list("Env", &mut draft.violations) else { return };
    let mut placed = HashSet::new();
    let mut merged = Vec::with_capacity(list.len() + latest.len());
    for value in std::mem::take(list) {
        let Some(key) = value.as_str().map(variable) else {
            draft.violations.add(ENGINE_JSON, "Env must be a list of strings");
            return;
        };
        match latest.get_key_value(key) {
            None => merged.push(value),
            Some((key, entry)) if placed.insert(*key) => merged.push(Value::from(entry.as_str())),
            Some(_) => {}
        }
    }
    for entry in entries {
        let key = variable(entry);
        if let Some(entry) = latest.get(key).filter(|_| placed.insert(key)) {
            merged.push(Value::from(entry.as_str()));
        }
    }
    *list = merged;
}

fn variable(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(key, _)| key)
}
