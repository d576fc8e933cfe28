//! Converts responses of an Engine to messages of the API. Pure; a missing field stays empty.

use prost::Message;
use serde::Deserialize;
use wharf::v1;

use super::convert::{self, timestamp, timestamp_from_text};
use super::size::{self, batches};
use crate::domain::{ContainerRef, ImageName, ImageReference, quoted};
use crate::engine::{
    ApiVersion, EngineDocument, EngineError, ErrorKind, FileChange, FileChangeKind, HistoryLayer,
    ImageSummary, Listing, ProcessTable, Pulled, null_to_default,
};

/// Images of a listing, in messages of bounded size.
pub fn image_batches(
    listing: Listing<ImageSummary>,
) -> Result<impl Iterator<Item = v1::ImageBatch>, EngineError> {
    let version = listing.api_version;
    let images: Vec<_> = listing.items.into_iter().map(|each| image(each, version)).collect();
    fits(&images, "GET /images/json", "image", |image| &image.id)?;
    Ok(batches(images, Message::encoded_len).map(|images| v1::ImageBatch { images }))
}

/// File changes, in messages of bounded size.
pub fn change_batches(changes: Vec<FileChange>) -> impl Iterator<Item = v1::ContainerChanges> {
    let view = |change: FileChange| v1::ContainerChange {
        kind: match change.kind {
            FileChangeKind::Modified => v1::ChangeKind::Modified,
            FileChangeKind::Added => v1::ChangeKind::Added,
            FileChangeKind::Deleted => v1::ChangeKind::Deleted,
        }
        .into(),
        path: change.path,
    };
    let changes = changes.into_iter().map(view).collect();
    batches(changes, Message::encoded_len).map(|changes| v1::ContainerChanges { changes })
}

/// A pull that succeeded.
pub fn pulled_image(
    reference: &ImageReference,
    pulled: Pulled,
) -> Result<v1::PulledImage, EngineError> {
    let image: ImageJson = parse(&pulled.image, "GET /images/{name}/json")?;
    Ok(v1::PulledImage {
        reference: reference.to_string(),
        id: image.id,
        digest: pulled.digest.unwrap_or_default(),
        architecture: image.architecture,
        os: image.os,
    })
}

/// An image that was built under the names `tags`.
pub fn built_image(
    document: &EngineDocument,
    tags: Vec<String>,
) -> Result<v1::BuiltImage, EngineError> {
    let image: ImageJson = parse(document, "GET /images/{name}/json")?;
    Ok(v1::BuiltImage {
        id: image.id,
        tags,
        architecture: image.architecture,
        os: image.os,
        size_bytes: image.size,
    })
}

/// An inspection of an image.
pub fn image_details(
    name: &ImageName,
    document: EngineDocument,
) -> Result<v1::ImageDetails, EngineError> {
    let image: ImageJson = parse(&document, "GET /images/{name}/json")?;
    Ok(v1::ImageDetails {
        name: name.to_string(),
        id: image.id,
        repo_tags: image.repo_tags,
        repo_digests: image.repo_digests,
        architecture: image.architecture,
        os: image.os,
        size_bytes: image.size,
        created_at: timestamp_from_text(&image.created),
        engine: Some(convert::engine_json(document)),
    })
}

/// The history of an image, in messages of bounded size.
pub fn image_history(layers: Vec<HistoryLayer>) -> impl Iterator<Item = v1::ImageHistory> {
    let layer = |layer: HistoryLayer| v1::ImageLayer {
        id: layer.id,
        created_at: layer.created.map(timestamp),
        created_by: layer.created_by,
        size_bytes: layer.size,
        comment: layer.comment,
        tags: layer.tags,
    };
    let layers: Vec<_> = layers.into_iter().map(layer).collect();
    // One message even without layers.
    let none = layers.is_empty().then(v1::ImageHistory::default);
    let parts = batches(layers, Message::encoded_len).map(|layers| v1::ImageHistory { layers });
    none.into_iter().chain(parts)
}

/// An inspection of a container.
pub fn container_details(
    asked: &ContainerRef,
    document: EngineDocument,
) -> Result<v1::ContainerDetails, EngineError> {
    let container: ContainerJson = parse(&document, "GET /containers/{id}/json")?;
    Ok(v1::ContainerDetails {
        name_in_request: asked.to_string(),
        id: container.id,
        name: container.name.trim_start_matches('/').to_owned(),
        image: container.config.image,
        image_id: container.image,
        health: container.state.health.status,
        state: container.state.status,
        exit_code: container.state.exit_code,
        created_at: timestamp_from_text(&container.created),
        started_at: timestamp_from_text(&container.state.started_at),
        finished_at: timestamp_from_text(&container.state.finished_at),
        restart_count: u32::try_from(container.restart_count).unwrap_or_default(),
        engine: Some(convert::engine_json(document)),
    })
}

/// The processes of a container, in messages of bounded size that all have the titles.
pub fn process_lists(table: ProcessTable) -> impl Iterator<Item = v1::ProcessList> {
    let row = |values| v1::ProcessRow { values };
    let rows: Vec<_> = table.processes.into_iter().map(row).collect();
    let titles = table.titles;
    // One message even without processes.
    let none =
        rows.is_empty().then(|| v1::ProcessList { titles: titles.clone(), rows: Vec::new() });
    let part = move |rows| v1::ProcessList { titles: titles.clone(), rows };
    none.into_iter().chain(batches(rows, Message::encoded_len).map(part))
}

/// Reads a document as `T`; garbage is the Engine's fault.
pub fn parse<T: for<'de> Deserialize<'de>>(
    document: &EngineDocument,
    operation: &'static str,
) -> Result<T, EngineError> {
    document.parse().map_err(|error| {
        EngineError::new(ErrorKind::BadAnswer, operation, format!("unexpected JSON: {error}"))
    })
}

/// A message that no client can receive is an error of the host, and must not end the whole
/// response.
pub fn fits<T: Message>(
    items: &[T],
    operation: &'static str,
    what: &str,
    name: impl Fn(&T) -> &str,
) -> Result<(), EngineError> {
    let mut items = items.iter();
    items.try_for_each(|item| check_size(item.encoded_len(), operation, what, || name(item)))
}

/// The same for one item of this many bytes.
pub fn check_size<'n>(
    length: usize,
    operation: &'static str,
    what: &str,
    name: impl FnOnce() -> &'n str,
) -> Result<(), EngineError> {
    if length <= size::LARGEST {
        return Ok(());
    }
    let message = format!(
        "the {what} {} is larger than {} MiB with its labels; exclude it with a filter, or omit the \
         Engine's JSON",
        quoted(name()),
        size::LARGEST >> 20
    );
    Err(EngineError::new(ErrorKind::AnswerTooLarge, operation, message))
}

fn image(image: ImageSummary, version: ApiVersion) -> v1::Image {
    v1::Image {
        id: image.id,
        repo_tags: image.repo_tags,
        repo_digests: image.repo_digests,
        created_at: image.created.map(timestamp),
        size_bytes: image.size,
        labels: image.labels,
        containers: image.containers,
        engine: image.json.map(|json| kept_json(json, version)),
    }
}

/// The Engine's own JSON of an item of a list.
pub fn kept_json(json: String, version: ApiVersion) -> v1::EngineJson {
    v1::EngineJson { json, api_version: version.to_string() }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ImageJson {
    id: String,
    #[serde(deserialize_with = "null_to_default")]
    repo_tags: Vec<String>,
    #[serde(deserialize_with = "null_to_default")]
    repo_digests: Vec<String>,
    #[serde(deserialize_with = "null_to_default")]
    architecture: String,
    #[serde(deserialize_with = "null_to_default")]
    os: String,
    #[serde(deserialize_with = "null_to_default")]
    size: i64,
    #[serde(deserialize_with = "null_to_default")]
    created: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerJson {
    id: String,
    name: String,
    image: String,
    created: String,
    #[serde(deserialize_with = "null_to_default")]
    restart_count: i64,
    #[serde(deserialize_with = "null_to_default")]
    config: ConfigJson,
    #[serde(deserialize_with = "null_to_default")]
    state: StateJson,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ConfigJson {
    #[serde(deserialize_with = "null_to_default")]
    image: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct StateJson {
    #[serde(deserialize_with = "null_to_default")]
    status: String,
    exit_code: i64,
    started_at: String,
    finished_at: String,
    #[serde(deserialize_with = "null_to_default")]
    health: HealthJson,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct HealthJson {
    status: String,
}
