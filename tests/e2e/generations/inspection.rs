//! A container with all settings, created by the docker command line 28.5: what a rollout does with
//! each field of its inspection. `tests/INSPECTION.md` has a row for each; a field without a row
//! fails, and so does a field that is not handled as its row says.

mod made;

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use testbed::{EngineKind, Image};

use self::made::Made;
use super::stage::Stage;
use crate::support::kinds::on_engines;

/// Read when the test runs: a row is no reason to build.
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/INSPECTION.md");

/// Objects whose keys are the operator's; they are compared whole.
const MAPS: [&str; 14] = [
    "Annotations",
    "Config.Labels",
    "Config.ExposedPorts",
    "Config.Volumes",
    "HostConfig.Sysctls",
    "HostConfig.Tmpfs",
    "HostConfig.PortBindings",
    "HostConfig.StorageOpt",
    "HostConfig.LogConfig.Config",
    "NetworkSettings.Ports",
    "DriverOpts",
    "GraphDriver.Data",
    "HostConfig.Annotations",
    "Health",
];

on_engines!(every_field_is_accounted_for: all);

async fn every_field_is_accounted_for(kind: EngineKind) -> anyhow::Result<()> {
    if !EngineKind::Docker28.is_available()? {
        // It has the command line.
        return Ok(());
    }
    for how in [Made::Apart, Made::OnHost] {
        let stage = Stage::of(kind).await?;
        let result = roll_one(kind, &stage, how).await;
        stage.clear().await?;
        for network in ["front", "back"] {
            let _ = stage.engine.delete(&format!("/networks/{}-{network}", stage.name)).await;
        }
        result?;
    }
    Ok(())
}

async fn roll_one(kind: EngineKind, stage: &Stage, how: Made) -> anyhow::Result<()> {
    let image = |version: &str| {
        Image::new(version)
            .env("OF_IMAGE", "same")
            .label("of-image", "same")
            .change("EXPOSE 82/tcp".to_owned())
    };
    let v1 = stage.image("v1", &image("v1")).await?;
    let v2 = stage.image("v2", &image("v2")).await?;
    how.create(kind, stage, &v1).await?;
    stage.docker(&["start", &stage.name])?;
    let old = stage.inspect().await?;
    stage.roll(&v2, &["--pull-policy", "never"]).await?.expect(0)?;
    let new = stage.inspect().await?;
    ensure!(new["Id"] != old["Id"], "it was rolled");

    let table = std::fs::read_to_string(TABLE)?;
    let rows = rows(&table)?;
    let mut wrong = mapped(&old, &new);
    let (old, new) = (leaves(&old), leaves(&new));
    for (path, before) in &old {
        let Some(verdict) = rows.get(row_of(path).as_str()) else {
            wrong.push(format!("{path} is not in the table: {before}"));
            continue;
        };
        ensure!(verdict != "refused" || before == &json!(false), "{path} is refused: {before}");
        let after = new.get(path).unwrap_or(&Value::Null);
        if verdict == "kept" && before != after {
            wrong.push(format!("{path} is not kept: {before} -> {after}"));
        }
    }
    for path in new.keys().filter(|path| !old.contains_key(*path)) {
        if rows.get(row_of(path).as_str()).is_none_or(|verdict| verdict == "kept") {
            wrong.push(format!("{path} was not there before: {}", new[path]));
        }
    }
    ensure!(wrong.is_empty(), "{how:?} on {kind}:\n{}", wrong.join("\n"));
    Ok(())
}

/// The verdicts of the table by field.
fn rows(table: &str) -> anyhow::Result<BTreeMap<&str, String>> {
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let field = cells.next().context("a field")?.trim_matches('`');
        let verdict = cells.next().context("a verdict")?;
        ensure!(["kept", "mapped", "generated", "refused"].contains(&verdict), "{line}");
        Ok((field, verdict.to_owned()))
    })
    .collect()
}

/// The values of an inspection by their path. A list is one value.
fn leaves(inspect: &Value) -> BTreeMap<String, Value> {
    fn walk(path: &str, value: &Value, leaves: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(object)
                if !is_empty(value) && !MAPS.iter().any(|map| path.ends_with(map)) =>
            {
                for (key, value) in object {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    walk(&path, value, leaves);
                }
            }
            // Podman shows them in any order.
            Value::Array(items) if path == "Config.Env" => {
                let mut items = items.clone();
                items.sort_by_key(Value::to_string);
                leaves.insert(path.to_owned(), items.into());
            }
            value => {
                leaves.insert(
                    path.to_owned(),
                    if is_empty(value) { Value::Null } else { value.clone() },
                );
            }
        }
    }
    let mut found = BTreeMap::new();
    walk("", inspect, &mut found);
    found
}

/// Engines write nothing in three ways.
fn is_empty(value: &Value) -> bool {
    value.is_null()
        || value.as_object().is_some_and(serde_json::Map::is_empty)
        || value.as_array().is_some_and(Vec::is_empty)
}

/// What is wrong with the fields whose values follow from the old ones.
fn mapped(old: &Value, new: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut compare = |what: &str, old: Value, new: Value| {
        if old != new {
            wrong.push(format!("{what} does not follow: {old} -> {new}"));
        }
    };
    let sorted = |values: &mut dyn Iterator<Item = String>| {
        let mut values: Vec<String> = values.collect();
        values.sort();
        Value::from(values)
    };
    let mounts = |container: &Value| {
        let mounts = container["Mounts"].as_array().cloned().unwrap_or_default();
        let keys = ["Type", "Name", "Source", "Destination", "Driver", "RW", "Propagation"];
        // An image is mounted again for each container.
        let is_of_image = |mount: &Value, key| mount["Type"] == "image" && key == "Source";
        sorted(&mut mounts.iter().map(|mount| {
            keys.map(
                |key| if is_of_image(mount, key) { String::new() } else { mount[key].to_string() },
            )
            .join(" ")
        }))
    };
    compare("Mounts", mounts(old), mounts(new));
    let labels = |container: &Value| {
        let mut labels = container["Config"]["Labels"].clone();
        if let Some(labels) = labels.as_object_mut() {
            labels.retain(|name, _| !name.starts_with("io.wharf.rollout."));
        }
        labels
    };
    compare("Config.Labels", labels(old), labels(new));
    let hostname = |container: &Value| {
        let (name, id) = (&container["Config"]["Hostname"], container["Id"].as_str());
        if name.as_str() == id.map(|id| &id[..12]) { json!("its ID") } else { name.clone() }
    };
    compare("Config.Hostname", hostname(old), hostname(new));
    let ports = |container: &Value| container["HostConfig"]["PortBindings"].clone();
    compare("HostConfig.PortBindings", ports(old), ports(new));
    for (name, endpoint) in old["NetworkSettings"]["Networks"].as_object().into_iter().flatten() {
        let aliases = |container: &Value| {
            let id = container["Id"].as_str().unwrap_or_default()[..12].to_owned();
            let aliases = container["NetworkSettings"]["Networks"][name]["Aliases"].clone();
            let aliases = aliases.as_array().cloned().unwrap_or_default();
            let aliases = aliases.iter().filter_map(Value::as_str).map(str::to_owned);
            sorted(&mut aliases.filter(|alias| *alias != id))
        };
        compare(&format!("{name}: Aliases"), aliases(old), aliases(new));
        let asked = old["Config"]["MacAddress"].as_str().unwrap_or_default();
        if !asked.is_empty() && endpoint["MacAddress"] == asked {
            let made = &new["NetworkSettings"]["Networks"][name]["MacAddress"];
            compare(&format!("{name}: MacAddress"), endpoint["MacAddress"].clone(), made.clone());
        }
    }
    wrong
}

/// The name of a network is the operator's.
fn row_of(path: &str) -> String {
    const NETWORKS: &str = "NetworkSettings.Networks.";
    match path.strip_prefix(NETWORKS).and_then(|rest| rest.split_once('.')) {
        Some((_, field)) => format!("{NETWORKS}*.{field}"),
        None => path.to_owned(),
    }
}
