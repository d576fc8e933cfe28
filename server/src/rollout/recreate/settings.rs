//! A body as a flat list of settings, each under the name to set and unset it. Shared by the
//! comparison of two bodies and that of a body with an inspection.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use wharf::settings::{self, Name, Section, Shape};

use super::json::{entries, is_empty, items, text, texts};
use crate::body::unset::entry_name;

/// Keys for which the empty value has a meaning.
const EMPTY_COUNTS: [&str; 7] = [
    "Entrypoint",
    "Init",
    "MaskedPaths",
    "MemorySwappiness",
    "OomKillDisable",
    "ReadonlyPaths",
    "StopTimeout",
];

/// The settings by name. Values are the Engine's JSON, normalized if it has several forms.
pub(super) fn of(body: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for (key, value) in entries(body) {
        match key.as_str() {
            "HostConfig" => {
                for (key, value) in entries(value) {
                    add(&mut found, Section::Host, key, value);
                }
            }
            "NetworkingConfig" => {
                for (name, endpoint) in entries(&value["EndpointsConfig"]) {
                    found.insert(format!("networks.{name}"), json!({}));
                    for (key, value) in entries(endpoint).filter(|(_, value)| !is_empty(value)) {
                        found.insert(format!("networks.{name}.{key}"), value.clone());
                    }
                }
            }
            _ => add(&mut found, Section::Body, key, value),
        }
    }
    found
}

fn add(found: &mut BTreeMap<String, Value>, section: Section, key: &str, value: &Value) {
    let counts = EMPTY_COUNTS.contains(&key) && !value.is_null();
    if is_empty(value) && !counts {
        return;
    }
    let name = name(section, key);
    let shape = settings::by_key(section, key).map(|setting| setting.shape);
    let mut put = |entry: &str, value: Value| {
        found.insert(format!("{name}.{entry}"), value);
    };
    match (key, shape, value) {
        ("Env", ..) => {
            for entry in texts(value) {
                let (variable, value) = entry.split_once('=').unwrap_or((entry, ""));
                put(variable, value.into());
            }
        }
        ("Volumes", ..) => {
            for (path, _) in entries(value) {
                found.insert(format!("volumes.{}", settings::clean(path)), "anonymous".into());
            }
        }
        ("PortBindings", ..) => {
            for (port, bindings) in entries(value) {
                put(port, bindings_text(bindings));
            }
        }
        ("ExposedPorts", ..) => {
            for (port, _) in entries(value) {
                put(port, json!({}));
            }
        }
        ("LogConfig", ..) => {
            if !is_empty(&value["Type"]) {
                found.insert(name, value["Type"].clone());
            }
            for (option, value) in entries(&value["Config"]) {
                found.insert(format!("log_options.{option}"), value.clone());
            }
        }
        ("RestartPolicy", ..) => {
            let policy = restart_policy(value);
            if policy != "no" {
                found.insert(name, policy.into());
            }
        }
        ("Links", ..) => {
            let mut list: Vec<String> = texts(value).map(super::identity::link).collect();
            list.sort();
            found.insert(name, list.into());
        }
        (_, Some(Shape::List(Name::Capability)), _) => {
            let mut list: Vec<String> =
                texts(value).map(|text| Name::Capability.of(text)).collect();
            list.sort();
            found.insert(name, list.into());
        }
        (_, Some(Shape::Keyed(by)), Value::Array(list)) => {
            for entry in list {
                put(&entry_name(by, entry), without_empty(entry));
            }
        }
        (_, _, Value::Object(object)) => {
            for (entry, value) in object {
                put(entry, value.clone());
            }
        }
        _ => {
            found.insert(name, value.clone());
        }
    }
}

/// The name of a setting that is a key of the Engine: its own, where the contract has no other.
pub(super) fn name(section: Section, key: &str) -> String {
    match (settings::by_key(section, key), section, key) {
        (Some(setting), ..) => setting.field.to_owned(),
        (None, Section::Host, "Links") => "links".to_owned(),
        (None, Section::Host, key) => format!("HostConfig.{key}"),
        (None, _, key) => key.to_owned(),
    }
}

fn restart_policy(policy: &Value) -> String {
    let name = text(&policy["Name"]);
    match policy["MaximumRetryCount"].as_i64().unwrap_or_default() {
        0 if name.is_empty() => "no".to_owned(),
        0 => name.to_owned(),
        count => format!("{name}:{count}"),
    }
}

/// Bindings as `ADDRESS:PORT`, as the command line has them.
fn bindings_text(bindings: &Value) -> Value {
    let one = |binding: &Value| {
        let (address, port) = (text(&binding["HostIp"]), text(&binding["HostPort"]));
        let port = if port == "0" { "" } else { port };
        if address.is_empty() { port.to_owned() } else { format!("{address}:{port}") }
    };
    items(bindings).map(one).collect::<Vec<_>>().into()
}

/// The object without what the Engine treats as unset.
fn without_empty(value: &Value) -> Value {
    match value {
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| (key.clone(), without_empty(value)))
            .filter(|(_, value)| !is_empty(value))
            .collect(),
        other => other.clone(),
    }
}
