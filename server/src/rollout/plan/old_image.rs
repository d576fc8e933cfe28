//! Finds the image of a container that an undo recreates. The ID identifies it only while the image
//! stays on the host and the host keeps its image store: another store gives the same image another
//! ID. Its digest in a registry always identifies it.

use serde_json::Value;

use super::gather::{image_of, image_on};
use crate::domain::{HostName, ImageName, ImageReference};
use crate::rollout::hosts::Hosts;
use crate::rollout::model::{OldFacts, PlannedImage};

/// Where the image is.
pub(super) enum OldImage {
    /// On the host.
    There {
        /// Its inspection.
        document: Value,
        /// The old container's name of the image, if it still points to it. A container that is
        /// created by name shows that name, which people read and Compose compares.
        name: Option<String>,
    },
    /// It has to be pulled.
    InRegistry(PlannedImage),
    /// Nowhere known.
    Gone,
}

pub(super) async fn find(hosts: &dyn Hosts, host: &HostName, old: &OldFacts) -> OldImage {
    let named = match ImageReference::parse(&old.image) {
        Ok(reference) => image_on(hosts, host, &reference).await,
        Err(_) => None,
    };
    for name in std::iter::once(&old.image_id).chain(&old.digests) {
        let Ok(name) = ImageName::parse(name) else { continue };
        if let Some(document) = image_of(hosts, host, &name).await {
            let is_same = named.as_ref().is_some_and(|named| named["Id"] == document["Id"]);
            return OldImage::There { document, name: is_same.then(|| old.image.clone()) };
        }
    }
    // A tag that now points to another image is not moved back.
    match to_pull(old, named.is_none()) {
        Some(image) => OldImage::InRegistry(image),
        None => OldImage::Gone,
    }
}

/// The reference to pull: its old name, if that is free and of the same repository.
fn to_pull(old: &OldFacts, name_is_free: bool) -> Option<PlannedImage> {
    let parse = |text: &String| ImageReference::parse(text).ok();
    let named = parse(&old.image).filter(|named| named.digest().is_none());
    let same = |found: &ImageReference| {
        named.as_ref().is_some_and(|named| named.repository() == found.repository())
    };
    let digests = || old.digests.iter().filter_map(parse);
    let found = digests().find(same).or_else(|| digests().next())?;
    let digest = Some(found.digest()?.to_string());
    let reference = match named {
        Some(named) if name_is_free && named.repository() == found.repository() => {
            named.with_default_tag().to_string()
        }
        _ => found.to_string(),
    };
    Some(PlannedImage { reference, digest, from: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    #[test]
    fn an_image_is_pulled_by_its_old_name_where_that_is_free_and_else_by_its_digest() {
        let old = |image: &str, digests: &[&str]| OldFacts {
            image: image.to_owned(),
            digests: digests.iter().map(|it| format!("{it}@{DIGEST}")).collect(),
            ..OldFacts::default()
        };
        let pulled = |old: &OldFacts, free| to_pull(old, free).map(|image| image.reference);
        let tagged = old("r.example/app:v1", &["other.example/app", "r.example/app"]);
        assert_eq!(pulled(&tagged, true).as_deref(), Some("r.example/app:v1"));
        assert_eq!(pulled(&tagged, false), Some(format!("r.example/app@{DIGEST}")));
        let by_id = old("sha256:0123", &["r.example/app"]);
        assert_eq!(pulled(&by_id, true), Some(format!("r.example/app@{DIGEST}")));
        assert_eq!(to_pull(&tagged, true).unwrap().digest.as_deref(), Some(DIGEST));
        assert_eq!(pulled(&old("app:v1", &[]), true), None);
    }
}
