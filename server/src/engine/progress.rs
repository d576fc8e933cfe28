//! Interprets the lines of a pull, push, or load: progress and failure. Pure; fed by the transfers of the
//! HTTP client.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::Transfer;
use super::classify::one_line;

/// Maximum number of tracked layers; an image has at most 127, and an Engine that sends more must
/// not fill the memory.
const MOST_LAYERS: usize = 1024;
/// Maximum number of images in an archive that are noted.
const MOST_IMAGES: usize = 1024;
/// Maximum length of a status, in characters.
const LONGEST_STATUS: usize = 200;

/// Reads the lines of one transfer in their order.
#[derive(Debug, Default)]
pub(super) struct Progress {
    layers: HashMap<String, Layer>,
    status: String,
    digest: Option<String>,
    pushed_size: Option<u64>,
    newer: Option<bool>,
    loaded: Vec<String>,
}

/// The meaning of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The transfer continues.
    Moved,
    /// The Engine reports that it failed, in these words.
    Failed(String),
}

#[derive(Debug, Default)]
struct Layer {
    done: bool,
    moved: u64,
    size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    status: Option<String>,
    stream: Option<String>,
    id: Option<String>,
    progress_detail: Option<Detail>,
    error_detail: Option<ErrorDetail>,
    error: Option<String>,
    aux: Option<Value>,
}

#[derive(Deserialize)]
struct Detail {
    current: Option<i64>,
    total: Option<i64>,
}

#[derive(Deserialize)]
struct ErrorDetail {
    message: Option<String>,
}

impl Progress {
    /// Adds the next line. Returns an error for invalid JSON.
    pub(super) fn read(&mut self, line: &[u8]) -> serde_json::Result<Step> {
        let line: Line = serde_json::from_slice(line)?;
        // `errorDetail` first: `error` is deprecated since API 1.48 and may vanish.
        let failure = match (line.error_detail, line.error) {
            (Some(ErrorDetail { message: Some(message) }), _) => Some(message),
            (_, Some(message)) => Some(message),
            (Some(ErrorDetail { message: None }), None) => Some("no reason given".to_owned()),
            (None, None) => None,
        };
        if let Some(message) = failure {
            return Ok(Step::Failed(one_line(&message)));
        }
        if let Some(aux) = line.aux {
            self.read_aux(&aux);
        }
        if let Some(text) = line.stream {
            self.read_stream(&text);
        }
        if let Some(status) = line.status {
            self.read_status(&status, line.id, line.progress_detail);
        }
        Ok(Step::Moved)
    }

    /// The progress of the transfer.
    pub(super) fn transfer(&self) -> Transfer {
        let mut transfer = Transfer { status: self.status.clone(), ..Transfer::default() };
        for layer in self.layers.values() {
            transfer.layers_total += 1;
            transfer.layers_done += u32::from(layer.done);
            transfer.bytes_done = transfer.bytes_done.saturating_add(layer.moved);
            transfer.bytes_total = transfer.bytes_total.saturating_add(layer.size.max(layer.moved));
        }
        transfer
    }

    /// The digest, if the Engine reported it.
    pub(super) fn digest(&self) -> Option<String> {
        self.digest.clone()
    }

    /// Size of the pushed manifest in bytes, if the Engine reported it.
    pub(super) fn pushed_size(&self) -> Option<u64> {
        self.pushed_size
    }

    /// Whether the pull changed anything, if the Engine reported it.
    pub(super) fn newer(&self) -> Option<bool> {
        self.newer
    }

    /// The images that a load brought: names with tag, or IDs.
    pub(super) fn into_loaded(self) -> Vec<String> {
        self.loaded
    }

    /// Reads what the Engine says in words. Podman names all images of an archive at once.
    fn read_stream(&mut self, text: &str) {
        let text = one_line(text);
        let names = ["Loaded image: ", "Loaded image ID: ", "Loaded image(s): "];
        if let Some(names) = names.iter().find_map(|begin| text.strip_prefix(begin)) {
            let room = MOST_IMAGES.saturating_sub(self.loaded.len());
            let names = names.split(',').map(|name| name.trim().to_owned());
            self.loaded.extend(names.filter(|name| !name.is_empty()).take(room));
        }
        self.status = text.chars().take(LONGEST_STATUS).collect();
    }

    fn read_aux(&mut self, aux: &Value) {
        if let Some(digest) = aux.get("Digest").and_then(Value::as_str) {
            self.digest = Some(digest.to_owned());
        }
        if let Some(size) = aux.get("Size").and_then(Value::as_u64) {
            self.pushed_size = Some(size);
        }
    }

    fn read_status(&mut self, status: &str, id: Option<String>, detail: Option<Detail>) {
        if let Some(digest) = status.strip_prefix("Digest: ") {
            self.digest = Some(digest.trim().to_owned());
        } else if status.starts_with("Status: Downloaded newer image") {
            self.newer = Some(true);
        } else if status.starts_with("Status: Image is up to date") {
            self.newer = Some(false);
        }
        let shown = match &id {
            Some(id) if !id.is_empty() => format!("{id}: {status}"),
            _ => status.to_owned(),
        };
        self.status = one_line(&shown).chars().take(LONGEST_STATUS).collect();
        if let Some(id) = id {
            self.read_layer(id, status, detail);
        }
    }

    fn read_layer(&mut self, id: String, status: &str, detail: Option<Detail>) {
        let arrived = matches!(status, "Pull complete" | "Already exists" | "Pushed")
            || status == "Layer already exists"
            || status.starts_with("Mounted from");
        let moving = matches!(status, "Downloading" | "Pushing" | "Loading layer");
        let downloaded = matches!(status, "Verifying Checksum" | "Download complete");
        let known = arrived
            || moving
            || downloaded
            || matches!(status, "Pulling fs layer" | "Waiting" | "Preparing" | "Extracting")
            || status.starts_with("Retrying in");
        // "Pulling from library/app" carries the tag in place of a layer.
        if !known || (self.layers.len() >= MOST_LAYERS && !self.layers.contains_key(&id)) {
            return;
        }
        let layer = self.layers.entry(id).or_default();
        layer.done |= arrived;
        let amount = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        // The details of other states count something else: an extraction starts again at 0.
        if moving && let Some(detail) = detail {
            layer.size = amount(detail.total).unwrap_or(0).max(layer.size);
            layer.moved = amount(detail.current).unwrap_or(0);
            if layer.size > 0 {
                layer.moved = layer.moved.min(layer.size);
                // Nothing else says that a layer is loaded.
                layer.done |= status == "Loading layer" && layer.moved == layer.size;
            }
        } else if (arrived || downloaded) && layer.size > 0 {
            layer.moved = layer.size;
        }
    }
}

#[cfg(test)]
#[path = "progress/tests.rs"]
mod tests;
