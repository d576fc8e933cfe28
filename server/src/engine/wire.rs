//! The Engine's JSON, as far as lists and small answers are read field by field.
//!
//! Engines of different ages leave fields out or send null for them, so every field may be
//! either. Pure; private to the Engine client, which hands on the types of [`super::types`].

mod items;
mod resources;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny};

pub(super) use self::items::{HistoryItem, set_time, texts};
pub(super) use self::resources::{NetworkCreation, NetworkPrune, VolumePrune};
pub use self::resources::{network_of, volume_of, volumes_of};
use super::{
    ContainerExit, Created, ImageRemoval, LoginAnswer, ProcessTable, PrunedContainers, PrunedImages,
};
use crate::domain::{ImageReference, Secret, is_engine_id, quoted};

/// Reads a whole answer of one JSON value.
pub(super) fn parse<'de, T: Deserialize<'de>>(text: &'de str) -> serde_json::Result<T> {
    serde_json::from_str(text)
}

/// Checks that `text` is one JSON object, without reading its fields.
pub(super) fn check_object(text: &str) -> Result<(), String> {
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| error.to_string())?;
    if text.trim_start().starts_with('{') { Ok(()) } else { Err("not a JSON object".to_owned()) }
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
#[derive(Debug, Deserialize)]
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
    #[serde(default, deserialize_with = "null_to_default")]
    pub(super) created: String,
    #[serde(default, rename = "RootFS", deserialize_with = "null_to_default")]
    pub(super) root: RootLayers,
}

impl ImageFacts {
    /// Whether a containerd store has it, where the digest in a registry is the ID.
    pub(super) fn is_in_containerd(&self) -> bool {
        let mut digests = self.repo_digests.iter().filter_map(|digest| digest.split_once('@'));
        digests.any(|(_, digest)| digest == self.id)
    }

    /// Whether it has a name. Docker writes "app:v1" where Podman has docker.io/library/app:v1.
    pub(super) fn has_name(&self, name: &ImageReference) -> bool {
        self.repo_tags.iter().any(|tag| ImageReference::parse(tag).is_ok_and(|tag| tag == *name))
    }

    pub(super) fn platform(&self) -> super::Platform {
        super::Platform { os: self.os.clone(), architecture: self.architecture.clone() }
    }
}

/// The layers of an image.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RootLayers {
    #[serde(default, deserialize_with = "null_to_default")]
    pub(super) layers: Vec<String>,
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
    #[serde(default, rename = "mediaType", deserialize_with = "null_to_default")]
    pub(super) media_type: String,
}

/// What is read of `GET /version`.
#[derive(Deserialize)]
pub(super) struct Versions {
    #[serde(default, rename = "Os", deserialize_with = "null_to_default")]
    pub(super) os: String,
    #[serde(default, rename = "Arch", deserialize_with = "null_to_default")]
    pub(super) arch: String,
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

/// Reads an ID. What is none would be shown to people, and stand in the path of the next call.
pub fn engine_id<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + AsRef<str>,
{
    let id = T::deserialize(deserializer)?;
    if is_engine_id(id.as_ref()) {
        Ok(id)
    } else {
        Err(Error::custom(format!(
            "{} is not an ID, which has only hexadecimal digits",
            quoted(id.as_ref())
        )))
    }
}

#[cfg(test)]
mod tests;
