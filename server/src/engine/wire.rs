//! The Engine's JSON, as far as lists and small answers are read field by field.
//!
//! Engines of different ages leave fields out or send null for them, so every field may be
//! either. Pure; private to the Engine client, which hands on the types of [`super::types`].

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::de::{Deserializer, Error, IgnoredAny};
use serde::{Deserialize, de::DeserializeOwned};

use super::list::ListItem;
use super::{
    ContainerExit, ContainerSummary, Created, FileChange, FileChangeKind, HistoryLayer,
    ImageRemoval, ImageSummary, LoginAnswer, NetworkSummary, Port, ProcessTable, PrunedContainers,
    PrunedImages,
};
use crate::domain::{Secret, is_engine_id, quoted};

/// Times that an Engine can mean, in Unix seconds: 1970, where 0 and Go's zero time, the year 1,
/// stand for "not set", to the year 9999.
const TIMES: RangeInclusive<i64> = 1..=253_402_300_799;

/// Reads a whole answer of one JSON value.
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    serde_json::from_str(text)
}

/// Checks that `text` is one JSON object, without reading its fields.
pub(super) fn check_object(text: &str) -> Result<(), String> {
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| error.to_string())?;
    if text.trim_start().starts_with('{') { Ok(()) } else { Err("not a JSON object".to_owned()) }
}

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

impl ListItem for NetworkSummary {
    fn memory(&self) -> usize {
        size_of::<Self>() + texts([&self.id, &self.name, &self.driver, &self.scope])
    }
}

impl ListItem for FileChange {
    fn memory(&self) -> usize {
        size_of::<Self>() + texts([&self.path])
    }
}

/// The memory of texts, with what the allocator and the map or list around them take of each.
fn texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> usize {
    const AROUND: usize = 48;
    texts.into_iter().map(|text| text.len() + AROUND).sum()
}

/// `GET /containers/json`, one item.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ContainerItem {
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
pub(super) struct NetworkItem {
    #[serde(default, deserialize_with = "null_to_default")]
    id: String,
    #[serde(default, deserialize_with = "null_to_default")]
    name: String,
    #[serde(default, deserialize_with = "null_to_default")]
    driver: String,
    #[serde(default, deserialize_with = "null_to_default")]
    scope: String,
}

impl From<NetworkItem> for NetworkSummary {
    fn from(item: NetworkItem) -> Self {
        Self { id: item.id, name: item.name, driver: item.driver, scope: item.scope }
    }
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
pub(super) struct ImageItem {
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
pub(super) struct HistoryItem {
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

/// One entry of what the removal of an image removed.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RemovalItem {
    untagged: Option<String>,
    deleted: Option<String>,
}

pub(super) fn removal(items: Option<Vec<RemovalItem>>) -> ImageRemoval {
    let mut removal = ImageRemoval::default();
    for item in items.into_iter().flatten() {
        removal.untagged.extend(item.untagged);
        removal.deleted.extend(item.deleted);
    }
    removal
}

/// `POST /images/prune`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ImagePrune {
    images_deleted: Option<Vec<RemovalItem>>,
    #[serde(default, deserialize_with = "null_to_default")]
    space_reclaimed: i64,
}

impl From<ImagePrune> for PrunedImages {
    fn from(answer: ImagePrune) -> Self {
        Self {
            removal: removal(answer.images_deleted),
            space_reclaimed: u64::try_from(answer.space_reclaimed).unwrap_or(0),
        }
    }
}

/// `POST /containers/prune`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ContainerPrune {
    #[serde(default, deserialize_with = "null_to_default")]
    containers_deleted: Vec<String>,
    #[serde(default, deserialize_with = "null_to_default")]
    space_reclaimed: i64,
}

impl From<ContainerPrune> for PrunedContainers {
    fn from(answer: ContainerPrune) -> Self {
        Self {
            ids: answer.containers_deleted,
            space_reclaimed: u64::try_from(answer.space_reclaimed).unwrap_or(0),
        }
    }
}

/// `POST /containers/create`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Creation {
    #[serde(deserialize_with = "engine_id")]
    id: String,
    #[serde(default, deserialize_with = "null_to_default")]
    warnings: Vec<String>,
}

impl From<Creation> for Created {
    fn from(answer: Creation) -> Self {
        Self { id: answer.id, warnings: answer.warnings }
    }
}

/// `POST /containers/{id}/update`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Update {
    #[serde(default, deserialize_with = "null_to_default")]
    pub(super) warnings: Vec<String>,
}

/// `POST /containers/{id}/wait`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Wait {
    status_code: i64,
    error: Option<WaitError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WaitError {
    #[serde(default, deserialize_with = "null_to_default")]
    message: String,
}

impl From<Wait> for ContainerExit {
    fn from(answer: Wait) -> Self {
        let error = answer.error.map(|error| error.message).filter(|message| !message.is_empty());
        Self { exit_code: answer.status_code, error }
    }
}

/// `GET /containers/{id}/top`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Top {
    #[serde(default, deserialize_with = "null_to_default")]
    titles: Vec<String>,
    #[serde(default, deserialize_with = "null_to_default")]
    processes: Vec<Vec<String>>,
}

impl From<Top> for ProcessTable {
    fn from(answer: Top) -> Self {
        Self { titles: answer.titles, processes: answer.processes }
    }
}

/// `GET /containers/{id}/changes`, one item.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ChangeItem {
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

/// `POST /auth`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Login {
    #[serde(default, deserialize_with = "null_to_default")]
    status: String,
    #[serde(default, deserialize_with = "null_to_default")]
    identity_token: String,
}

impl From<Login> for LoginAnswer {
    fn from(answer: Login) -> Self {
        let identity_token =
            (!answer.identity_token.is_empty()).then(|| Secret::new(answer.identity_token));
        Self { status: answer.status, identity_token }
    }
}

/// What an inspected container must have, whatever else is in it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Identified {
    #[serde(deserialize_with = "engine_id")]
    pub(super) id: String,
    #[serde(default, deserialize_with = "null_to_default")]
    pub(super) name: String,
}

/// What is read of an inspected image.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ImageFacts {
    #[serde(default, deserialize_with = "null_to_default")]
    pub(super) id: String,
    #[serde(default, deserialize_with = "null_to_default")]
    pub(super) repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "null_to_default")]
    pub(super) repo_digests: Vec<String>,
    #[serde(default, deserialize_with = "null_to_default")]
    pub(super) os: String,
    #[serde(default, deserialize_with = "null_to_default")]
    pub(super) architecture: String,
}

/// What is read of `GET /distribution/{name}/json`.
#[derive(Deserialize)]
pub(super) struct Distribution {
    #[serde(rename = "Descriptor")]
    pub(super) descriptor: Descriptor,
    #[serde(default, rename = "Platforms", deserialize_with = "null_to_default")]
    pub(super) platforms: Vec<Platform>,
}

/// What an image is for. In small letters, unlike the rest.
#[derive(Deserialize)]
pub(super) struct Platform {
    #[serde(default, deserialize_with = "null_to_default")]
    pub(super) os: String,
    #[serde(default, deserialize_with = "null_to_default")]
    pub(super) architecture: String,
}

/// The manifests of an image in a containerd store, and the platform that the Engine chooses.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ImageManifests {
    #[serde(default, deserialize_with = "null_to_default")]
    os: String,
    #[serde(default, deserialize_with = "null_to_default")]
    architecture: String,
    #[serde(default, deserialize_with = "null_to_default")]
    manifests: Vec<ImageManifest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ImageManifest {
    #[serde(default, rename = "ID", deserialize_with = "null_to_default")]
    id: String,
    #[serde(default, deserialize_with = "null_to_default")]
    available: bool,
    image_data: Option<ManifestImage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ManifestImage {
    platform: Option<Platform>,
}

impl ImageManifests {
    /// The one manifest that is on the host, or of several the first for its platform. What is no
    /// image, such as an attestation, has no platform here.
    pub(super) fn own(self) -> Option<String> {
        let (os, architecture) = (self.os, self.architecture);
        let platform = |it: &ImageManifest| {
            let data = it.image_data.as_ref()?;
            data.platform.as_ref().map(|it| it.os == os && it.architecture == architecture)
        };
        let found: Vec<_> = self
            .manifests
            .into_iter()
            .filter_map(|it| Some((platform(&it)?, it)))
            .filter(|(_, it)| it.available && it.id.starts_with("sha256:"))
            .collect();
        let fits =
            found.iter().find(|(fits, _)| *fits).or(found.first().filter(|_| found.len() == 1));
        fits.map(|(_, it)| it.id.clone())
    }
}

/// What a registry has under a name.
#[derive(Deserialize)]
pub(super) struct Descriptor {
    #[serde(default, deserialize_with = "null_to_default")]
    pub(super) digest: String,
}

/// What is read of `GET /version`.
#[derive(Deserialize)]
pub(super) struct Versions {
    #[serde(rename = "MinAPIVersion")]
    pub(super) min: Option<String>,
}

/// Takes null for the default, which Engines send for empty collections.
pub fn null_to_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
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

/// Reads an ID. What is none would be shown to people, and stand in the path of the next call.
pub fn engine_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    if is_engine_id(&id) {
        Ok(id)
    } else {
        Err(Error::custom(format!(
            "{} is not an ID, which has only hexadecimal digits",
            quoted(&id)
        )))
    }
}

#[cfg(test)]
#[path = "wire/tests.rs"]
mod tests;
