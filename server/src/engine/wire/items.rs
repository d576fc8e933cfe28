//! The items of the Engine's lists, and the memory that they take once they are read.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{engine_id, null_to_default};
use crate::engine::list::ListItem;
use crate::engine::{
    ContainerSummary, FileChange, FileChangeKind, HistoryLayer, ImageSummary, Port,
};

/// Times that an Engine can mean, in Unix seconds: 1970, where 0 and Go's zero time, the year 1,
/// stand for "not set", to the year 9999.
const TIMES: RangeInclusive<i64> = 1..=253_402_300_799;

impl ListItem for ContainerSummary {
    fn keep_json(&mut self, json: String) {
        self.json = Some(json);
    }

    fn memory(&self) -> usize {
        let own = [&self.id, &self.image, &self.image_id, &self.command, &self.state, &self.status];
        let ports = self.ports.iter().flat_map(|port| [&port.protocol, &port.ip]);
        size_of::<Self>()
            + texts(own)
            + texts(self.names.iter().chain(&self.networks))
            + texts(ports)
            + texts(self.labels.iter().flat_map(|(key, value)| [key, value]))
    }
}

impl ListItem for ImageSummary {
    fn keep_json(&mut self, json: String) {
        self.json = Some(json);
    }

    fn memory(&self) -> usize {
        size_of::<Self>()
            + texts([&self.id])
            + texts(self.repo_tags.iter().chain(&self.repo_digests))
            + texts(self.labels.iter().flat_map(|(key, value)| [key, value]))
    }
}

impl ListItem for FileChange {
    fn memory(&self) -> usize {
        size_of::<Self>() + texts([&self.path])
    }
}

/// The memory of texts, with what the allocator and the map or list around them take of each.
pub(super) fn texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> usize {
    const AROUND: usize = 48;
    texts.into_iter().map(|text| text.len() + AROUND).sum()
}

/// `GET /containers/json`, one item.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerItem {
    #[serde(deserialize_with = "engine_id")]
    id: String,
    #[serde(default, deserialize_with = "null_to_default")]
    names: Vec<String>,
    #[serde(default, deserialize_with = "null_to_default")]
    image: String,
    #[serde(default, rename = "ImageID", deserialize_with = "null_to_default")]
    image_id: String,
    #[serde(default, deserialize_with = "null_to_default")]
    command: String,
    created: Option<i64>,
    #[serde(default, deserialize_with = "null_to_default")]
    state: String,
    #[serde(default, deserialize_with = "null_to_default")]
    status: String,
    #[serde(default, deserialize_with = "null_to_default")]
    ports: Vec<PortItem>,
    #[serde(default, deserialize_with = "null_to_default")]
    labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_to_default")]
    network_settings: NetworkSettings,
    #[serde(default, deserialize_with = "null_to_default")]
    size_rw: i64,
    #[serde(default, deserialize_with = "null_to_default")]
    size_root_fs: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PortItem {
    #[serde(default, deserialize_with = "null_to_default")]
    private_port: i64,
    #[serde(default, deserialize_with = "null_to_default")]
    public_port: i64,
    #[serde(default, rename = "Type", deserialize_with = "null_to_default")]
    protocol: String,
    #[serde(default, rename = "IP", deserialize_with = "null_to_default")]
    ip: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    // A map that is ordered by name, so the names come out sorted.
    #[serde(default, deserialize_with = "null_to_default")]
    networks: BTreeMap<String, IgnoredAny>,
}

impl From<ContainerItem> for ContainerSummary {
    fn from(item: ContainerItem) -> Self {
        let bare = |name: String| name.strip_prefix('/').map(str::to_owned).unwrap_or(name);
        // The name that is no link has no second slash: links are "/other/alias".
        let mut names: Vec<String> = item.names.into_iter().map(bare).collect();
        names.sort_by_key(|name| name.contains('/'));
        Self {
            id: item.id,
            names,
            image: item.image,
            image_id: item.image_id,
            command: item.command,
            created: set_time(item.created),
            state: item.state,
            status: item.status,
            ports: item.ports.into_iter().map(Into::into).collect(),
            labels: item.labels,
            networks: item.network_settings.networks.into_keys().collect(),
            size_rw: item.size_rw,
            size_root_fs: item.size_root_fs,
            json: None,
        }
    }
}

impl From<PortItem> for Port {
    fn from(item: PortItem) -> Self {
        Self {
            private: u16::try_from(item.private_port).unwrap_or(0),
            public: u16::try_from(item.public_port).unwrap_or(0),
            protocol: item.protocol,
            ip: item.ip,
        }
    }
}

/// `GET /images/json`, one item.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageItem {
    #[serde(default, deserialize_with = "null_to_default")]
    id: String,
    #[serde(default, deserialize_with = "null_to_default")]
    repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "null_to_default")]
    repo_digests: Vec<String>,
    created: Option<i64>,
    #[serde(default, deserialize_with = "null_to_default")]
    size: i64,
    #[serde(default, deserialize_with = "null_to_default")]
    labels: BTreeMap<String, String>,
    containers: Option<i64>,
}

impl From<ImageItem> for ImageSummary {
    fn from(item: ImageItem) -> Self {
        Self {
            id: item.id,
            repo_tags: named(item.repo_tags),
            repo_digests: named(item.repo_digests),
            created: set_time(item.created),
            size: item.size,
            labels: item.labels,
            containers: item.containers.unwrap_or(-1).max(-1),
            json: None,
        }
    }
}

/// `GET /images/{name}/history`, one item.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HistoryItem {
    #[serde(default, deserialize_with = "null_to_default")]
    id: String,
    created: Option<i64>,
    #[serde(default, deserialize_with = "null_to_default")]
    created_by: String,
    #[serde(default, deserialize_with = "null_to_default")]
    size: i64,
    #[serde(default, deserialize_with = "null_to_default")]
    comment: String,
    #[serde(default, deserialize_with = "null_to_default")]
    tags: Vec<String>,
}

impl From<HistoryItem> for HistoryLayer {
    fn from(item: HistoryItem) -> Self {
        Self {
            id: item.id,
            created: set_time(item.created),
            created_by: item.created_by,
            size: item.size,
            comment: item.comment,
            tags: named(item.tags),
        }
    }
}

/// `GET /containers/{id}/changes`, one item.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChangeItem {
    #[serde(default, deserialize_with = "null_to_default")]
    path: String,
    #[serde(default, deserialize_with = "null_to_default")]
    kind: i64,
}

impl From<ChangeItem> for FileChange {
    fn from(item: ChangeItem) -> Self {
        let kind = match item.kind {
            1 => FileChangeKind::Added,
            2 => FileChangeKind::Deleted,
            _ => FileChangeKind::Modified,
        };
        Self { kind, path: item.path }
    }
}

/// The names that are names: an untagged image has `<none>:<none>`.
fn named(mut names: Vec<String>) -> Vec<String> {
    names.retain(|name| !name.contains("<none>"));
    names
}

/// The time, where it is one: neither the Engine's "not set" nor a number that no calendar has.
fn set_time(seconds: Option<i64>) -> Option<i64> {
    seconds.filter(|seconds| TIMES.contains(seconds))
}
