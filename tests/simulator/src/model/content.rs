//! The content of an image, which hosts and registries share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::behaviour::Behaviour;
use super::time::Time;

/// An image without the names a host gives it. Never changes.
#[derive(Debug, Serialize, Deserialize)]
pub struct ImageContent {
    /// Digest of its configuration: its ID, unless the Engine has the containerd store.
    pub config_id: String,
    /// Digest of its manifest: what a registry knows it by.
    pub digest: String,
    /// The Engine's `Config` object, whole.
    pub config: Map<String, Value>,
    /// Such as `amd64`.
    pub architecture: String,
    /// Layers, lowest first.
    pub layers: Vec<Layer>,
    /// When it was made.
    pub created: Time,
    /// What its containers do.
    pub behaviour: Option<Behaviour>,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Digest of its content.
    pub diff_id: String,
    /// Digest of it as it is moved.
    pub blob: String,
    /// Bytes.
    pub size: u64,
}

/// Makes images for tests and demonstrations.
#[derive(Debug, Clone)]
pub struct ImageBuilder {
    salt: String,
    config: Map<String, Value>,
    architecture: String,
    layers: Vec<(String, u64)>,
    created: Time,
    behaviour: Option<Behaviour>,
}

impl ImageContent {
    /// An image whose content follows from `salt` and what is set on the builder; the same
    /// input is the same image. Begins with two layers and the command `/bin/app`.
    pub fn builder(salt: &str) -> ImageBuilder {
        let Value::Object(mut config) = template(include_str!("../templates/config.json")) else {
            unreachable!("the template is an object")
        };
        config.insert("Cmd".to_owned(), json!(["/bin/app"]));
        ImageBuilder {
            salt: salt.to_owned(),
            config,
            architecture: "amd64".to_owned(),
            layers: vec![("base".to_owned(), 1_982_319), (salt.to_owned(), 40_960)],
            created: Time::BEGINNING - Duration::from_secs(86_400),
            behaviour: None,
        }
    }

    /// Bytes of all layers.
    pub fn size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size).sum()
    }
}

impl ImageBuilder {
    /// A field of the Engine's `Config`, such as `Env`.
    #[must_use]
    pub fn config(mut self, key: &str, value: Value) -> Self {
        self.config.insert(key.to_owned(), value);
        self
    }

    /// A label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        let labels = self.config.entry("Labels").or_insert(Value::Null);
        if !labels.is_object() {
            *labels = json!({});
        }
        labels[key] = json!(value);
        self
    }

    /// What its containers do, whatever their command.
    #[must_use]
    pub fn behaviour(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = Some(behaviour);
        self
    }

    /// Such as `arm64`.
    #[must_use]
    pub fn architecture(mut self, architecture: &str) -> Self {
        architecture.clone_into(&mut self.architecture);
        self
    }

    /// Layers by seed and size in bytes; layers with one seed are one layer.
    #[must_use]
    pub fn layers(mut self, layers: &[(&str, u64)]) -> Self {
        self.layers = layers.iter().map(|&(seed, size)| (seed.to_owned(), size)).collect();
        self
    }

    /// When it was made.
    #[must_use]
    pub fn created(mut self, created: Time) -> Self {
        self.created = created;
        self
    }

    /// The image.
    pub fn build(self) -> Arc<ImageContent> {
        let identity = json!([self.salt, self.config, self.architecture, self.layers]).to_string();
        let layer = |(seed, size): &(String, u64)| Layer {
            diff_id: digest(&format!("layer {seed} {size}")),
            blob: digest(&format!("blob {seed} {size}")),
            size: *size,
        };
        Arc::new(ImageContent {
            config_id: digest(&format!("config {identity}")),
            digest: digest(&format!("manifest {identity}")),
            layers: self.layers.iter().map(layer).collect(),
            config: self.config,
            architecture: self.architecture,
            created: self.created,
            behaviour: self.behaviour,
        })
    }
}

/// A JSON document that is part of this program.
pub(crate) fn template(text: &str) -> Value {
    serde_json::from_str(text).expect("a template of the crate is JSON")
}

/// `sha256:` and the digits of it over `text`.
pub(crate) fn digest(text: &str) -> String {
    format!("sha256:{}", hex(text))
}

/// The 64 hexadecimal digits of SHA-256 over `text`.
pub(crate) fn hex(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The string members of a JSON object.
pub(crate) fn string_map(value: Option<&Value>) -> BTreeMap<String, String> {
    let members = value.and_then(Value::as_object).into_iter().flatten();
    members.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// The strings of a JSON array; of a single string that one, as Go's `strslice` takes it.
pub(crate) fn strings(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => {
            items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    }
}
