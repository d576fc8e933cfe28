//! What identifies an image on every host, whatever store it is in. Pure.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::Platform;
use super::wire::ImageFacts;
use crate::domain::ImageReference;

/// An image as its source shows it.
#[derive(Debug, Clone)]
pub struct ImageIdentity(Arc<ImageFacts>);

impl ImageIdentity {
    /// The image of an inspection; `None` for JSON that is no inspection of an image.
    #[must_use]
    pub fn read(inspection: &Value) -> Option<Self> {
        let facts = ImageFacts::deserialize(inspection).ok()?;
        (!facts.id.is_empty()).then(|| Self::of(facts))
    }

    pub(super) fn of(facts: ImageFacts) -> Self {
        Self(Arc::new(facts))
    }

    /// Its ID on its source.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// What it is built for.
    #[must_use]
    pub fn platform(&self) -> Platform {
        self.0.platform()
    }

    /// Whether an inspection on another host shows the same image.
    #[must_use]
    pub fn is_shown_by(&self, inspection: &Value) -> bool {
        ImageFacts::deserialize(inspection).is_ok_and(|found| self.is(&found))
    }

    /// Whether this is the same image. Only a containerd store gives it another ID, and then its
    /// layers and the time of its creation identify it.
    pub(super) fn is(&self, found: &ImageFacts) -> bool {
        let own = &*self.0;
        let differs_by_store = own.is_in_containerd() || found.is_in_containerd();
        let same_content = !own.root.layers.is_empty()
            && own.root.layers == found.root.layers
            && own.created == found.created;
        own.id == found.id || differs_by_store && same_content
    }

    pub(super) fn has_name(&self, name: &ImageReference) -> bool {
        self.0.has_name(name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn image(id: &str, created: &str, digest: Option<&str>) -> Value {
        let digests: Vec<_> = digest.into_iter().map(|it| format!("app@{it}")).collect();
        json!({
            "Id": id, "Created": created, "RepoDigests": digests, "Os": "linux",
            "Architecture": "amd64", "RootFS": {"Layers": ["sha256:layer"]},
        })
    }

    #[test]
    fn an_image_is_the_same_by_its_id_or_in_containerd_by_its_content() {
        let own = ImageIdentity::read(&image("sha256:1", "now", None)).unwrap();
        assert_eq!((own.id(), own.platform().to_string()), ("sha256:1", "linux/amd64".to_owned()));
        assert!(own.is_shown_by(&image("sha256:1", "then", None)));
        assert!(
            !own.is_shown_by(&image("sha256:2", "now", Some("sha256:3"))),
            "no containerd store"
        );
        assert!(own.is_shown_by(&image("sha256:2", "now", Some("sha256:2"))));
        assert!(!own.is_shown_by(&image("sha256:2", "then", Some("sha256:2"))));
        let no_layers = json!({"Id": "sha256:2", "RepoDigests": ["app@sha256:2"]});
        assert!(!own.is_shown_by(&no_layers));
        assert!(ImageIdentity::read(&json!({})).is_none());
        assert!(ImageIdentity::read(&json!("text")).is_none());
    }
}
