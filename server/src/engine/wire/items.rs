//! The items of the Engine's lists, and the memory that they take once they are read.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::Deserialize;

use super::{null_to_default, parse};
use crate::engine::list::ListItem;
use crate::engine::{FileChange, FileChangeKind, HistoryLayer, ImageSummary};

/// Times that an Engine can mean, in Unix seconds: 1970, where 0 and Go's zero time, the year 1,
/// stand for "not set", to the year 9999.
const TIMES: RangeInclusive<i64> = 1..=253_402_300_799;

impl ListItem for ImageSummary {
    fn read(json: &str) -> serde_json::Result<Self> {
        parse::<ImageItem>(json).map(Into::into)
    }

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
    fn read(json: &str) -> serde_json::Result<Self> {
        parse::<ChangeItem>(json).map(Into::into)
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + texts([&self.path])
    }
}

/// The memory of texts, with what the allocator and the map or list around them take of each.
pub fn texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> usize {
    const AROUND: usize = 48;
    texts.into_iter().map(|text| text.len() + AROUND).sum()
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
pub fn set_time(seconds: Option<i64>) -> Option<i64> {
    seconds.filter(|seconds| TIMES.contains(seconds))
}
