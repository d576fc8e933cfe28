//! The model's JSON as the types of the trait `Engine`. Pure; called by the Engine in process.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use wharf_server::domain::ImageName;
use wharf_server::engine::{
    ContainerSummary, HistoryLayer, ImageRemoval, ImageSummary, Port, Pushed, Transfer,
};

use crate::model::Step;

/// The strings of an array; none of null.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

pub(crate) fn image(item: &Value, keep_json: bool) -> ImageSummary {
    let names =
        |key: &str, none: &str| texts(&item[key]).into_iter().filter(|name| name != none).collect();
    ImageSummary {
        id: text(&item["Id"]),
        repo_tags: names("RepoTags", "<none>:<none>"),
        repo_digests: names("RepoDigests", "<none>@<none>"),
        created: item["Created"].as_i64(),
        size: item["Size"].as_i64().unwrap_or(0),
        labels: map(&item["Labels"]),
        containers: item["Containers"].as_i64().unwrap_or(-1),
        json: keep_json.then(|| item.to_string()),
    }
}

pub(crate) fn container(item: &Value, keep_json: bool) -> ContainerSummary {
    let name = |name: String| name.trim_start_matches('/').to_owned();
    let ports = item["Ports"].as_array().into_iter().flatten();
    let networks = item["NetworkSettings"]["Networks"].as_object();
    let mut networks: Vec<String> =
        networks.into_iter().flat_map(|networks| networks.keys().cloned()).collect();
    networks.sort_unstable();
    ContainerSummary {
        id: text(&item["Id"]),
        names: texts(&item["Names"]).into_iter().map(name).collect(),
        image: text(&item["Image"]),
        image_id: text(&item["ImageID"]),
        command: text(&item["Command"]),
        created: item["Created"].as_i64(),
        state: text(&item["State"]),
        status: text(&item["Status"]),
        ports: ports.map(port).collect(),
        labels: map(&item["Labels"]),
        networks,
        size_rw: item["SizeRw"].as_i64().unwrap_or(0),
        size_root_fs: item["SizeRootFs"].as_i64().unwrap_or(0),
        json: keep_json.then(|| item.to_string()),
    }
}

pub(crate) fn history(layers: &Value) -> Vec<HistoryLayer> {
    let layers = layers.as_array().into_iter().flatten();
    layers
        .map(|layer| HistoryLayer {
            id: text(&layer["Id"]),
            created: layer["Created"].as_i64(),
            created_by: text(&layer["CreatedBy"]),
            size: layer["Size"].as_i64().unwrap_or(0),
            comment: text(&layer["Comment"]),
            tags: texts(&layer["Tags"]),
        })
        .collect()
}

pub(crate) fn removal(records: &Value) -> ImageRemoval {
    let all = |key: &str| {
        let records = records.as_array().into_iter().flatten();
        records.filter_map(|record| record[key].as_str().map(str::to_owned)).collect()
    };
    ImageRemoval { untagged: all("Untagged"), deleted: all("Deleted") }
}

/// Whether a pull brought something, by the line that says so.
pub(crate) fn newer(steps: &[Step]) -> Option<bool> {
    let said = |what: &str| {
        steps
            .iter()
            .any(|step| step.line["status"].as_str().is_some_and(|text| text.contains(what)))
    };
    if said("Status: Downloaded newer image") {
        Some(true)
    } else {
        said("Status: Image is up to date").then_some(false)
    }
}

/// What a push ended with.
pub(crate) fn pushed(steps: &[Step]) -> Pushed {
    let aux = steps.iter().rev().find_map(|step| step.line.get("aux"));
    aux.map_or_else(Pushed::default, |aux| Pushed {
        digest: aux["Digest"].as_str().map(str::to_owned),
        size: aux["Size"].as_u64().unwrap_or(0),
    })
}

/// The images that a load says it brought.
pub(crate) fn loaded(steps: &[Step]) -> Vec<ImageName> {
    let said = steps.iter().filter_map(|step| step.line["stream"].as_str());
    let names = said.filter_map(|text| text.trim().rsplit_once(' '));
    names.filter_map(|(_, name)| ImageName::parse(name).ok()).collect()
}

/// Where a transfer stands, line by line.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    layers: BTreeMap<String, (u64, u64)>,
    done: BTreeSet<String>,
}

impl Progress {
    /// Takes a line in; gives where the transfer stands.
    pub(crate) fn read(&mut self, line: &Value) -> Transfer {
        let status = text(&line["status"]);
        if let (Some(id), Some(detail)) = (line["id"].as_str(), line.get("progressDetail")) {
            let layer = self.layers.entry(id.to_owned()).or_default();
            if status != "Extracting"
                && let (Some(current), Some(total)) =
                    (detail["current"].as_u64(), detail["total"].as_u64())
            {
                *layer = (current, total);
            }
            if matches!(
                status.as_str(),
                "Pull complete" | "Already exists" | "Pushed" | "Layer already exists"
            ) {
                self.done.insert(id.to_owned());
            }
        }
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Transfer {
            status,
            layers_done: count(self.done.len()),
            layers_total: count(self.layers.len()),
            bytes_done: self.layers.values().map(|(current, _)| current).sum(),
            bytes_total: self.layers.values().map(|(_, total)| total).sum(),
        }
    }
}

fn port(item: &Value) -> Port {
    let number =
        |key: &str| item[key].as_u64().and_then(|number| u16::try_from(number).ok()).unwrap_or(0);
    Port {
        private: number("PrivatePort"),
        public: number("PublicPort"),
        protocol: text(&item["Type"]),
        ip: text(&item["IP"]),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn map(value: &Value) -> BTreeMap<String, String> {
    let members = value.as_object().into_iter().flatten();
    members.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
