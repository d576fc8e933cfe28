//! What one host says: its containers, what they were created from, and what it knows of their images.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{ImageName, ImageReference};
use crate::engine::ImageSummary;

/// The least digits of an ID that somebody types.
const SHORTEST_ID: usize = 4;

/// What one host says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// The containers that are wanted.
    pub containers: Vec<Container>,
    /// The names with digest of their images, and of those in `tags`, by ID.
    pub digests: BTreeMap<String, BTreeSet<RepoDigest>>,
    /// The image that each reference of a container names now, by ID.
    pub tags: BTreeMap<String, String>,
}

/// A container and its image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Full ID.
    pub id: String,
    /// Name.
    pub name: String,
    /// Such as `running`.
    pub state: String,
    /// ID of its image.
    pub image_id: String,
    /// What it was created from.
    pub source: Source,
}

/// What a container was created from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A reference with a tag, which may name another image later.
    Tag(ImageReference),
    /// A reference with a digest, which never does.
    Digest(ImageReference),
    /// The ID of an image, or its first digits.
    Id(String),
}

/// A name of an image with its digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RepoDigest {
    /// `sha256:…`.
    pub digest: String,
    /// The repository with its registry.
    pub repository: String,
}

impl HostFacts {
    /// Keeps what matters of the images of a host.
    pub fn of(containers: Vec<Container>, images: Vec<ImageSummary>) -> Self {
        let wanted: BTreeSet<String> =
            containers.iter().filter_map(|it| Some(it.source.tag()?.to_string())).collect();
        let used: BTreeSet<String> = containers.iter().map(|it| it.image_id.clone()).collect();
        let (mut digests, mut tags) = (BTreeMap::new(), BTreeMap::new());
        for image in images {
            let id = image_id(&image.id);
            let names = image.repo_tags.iter().filter_map(|tag| ImageReference::parse(tag).ok());
            let names: Vec<_> =
                names.map(|it| it.to_string()).filter(|it| wanted.contains(it)).collect();
            if !names.is_empty() || used.contains(&id) {
                let known = image.repo_digests.iter().filter_map(|it| RepoDigest::parse(it));
                digests.insert(id.clone(), known.collect());
            }
            tags.extend(names.into_iter().map(|name| (name, id.clone())));
        }
        Self { containers, digests, tags }
    }
}

impl Source {
    /// Reads what a container was created from; `image_id` is the ID of its image.
    pub fn of(text: &str, image_id: &str) -> Self {
        let digits = image_id.strip_prefix("sha256:").unwrap_or(image_id);
        let is_id = text.len() >= SHORTEST_ID && digits.starts_with(text);
        match ImageName::parse(text) {
            Ok(ImageName::Reference(reference)) if !is_id => match reference.digest() {
                Some(_) => Self::Digest(reference),
                None => Self::Tag(reference.with_default_tag()),
            },
            _ => Self::Id(text.to_owned()),
        }
    }

    /// The reference, unless it is an ID.
    pub fn reference(&self) -> Option<&ImageReference> {
        match self {
            Self::Tag(reference) | Self::Digest(reference) => Some(reference),
            Self::Id(_) => None,
        }
    }

    /// The reference, if it may name another image later.
    pub fn tag(&self) -> Option<&ImageReference> {
        match self {
            Self::Tag(reference) => Some(reference),
            Self::Digest(_) | Self::Id(_) => None,
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag(reference) | Self::Digest(reference) => reference.fmt(formatter),
            Self::Id(id) => formatter.write_str(id),
        }
    }
}

impl RepoDigest {
    /// Reads `REPOSITORY@DIGEST`.
    fn parse(text: &str) -> Option<Self> {
        let reference = ImageReference::parse(text).ok()?;
        let digest = reference.digest()?.to_string();
        Some(Self { digest, repository: reference.repository() })
    }
}

impl std::fmt::Display for RepoDigest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}@{}", self.repository, self.digest)
    }
}

/// The ID of an image, as Docker writes it: Podman omits the algorithm.
pub fn image_id(id: &str) -> String {
    let is_bare = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_bare { format!("sha256:{id}") } else { id.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_container_was_created_from_is_a_tag_a_digest_or_an_id() {
        let id = format!("sha256:{}", "4d".repeat(32));
        let of = |text: &str| Source::of(text, &id);
        assert_eq!(of("app").tag().unwrap().to_string(), "app:latest");
        assert_eq!(of("docker.io/library/app:v1").to_string(), "app:v1");
        let pinned = format!("r.test/app:v1@{id}");
        assert!(matches!(of(&pinned), Source::Digest(_)));
        assert_eq!(of(&pinned).to_string(), pinned);
        for text in [&*id, &id[7..], "4d4d4d4d4d4d", "4d4d", ""] {
            assert_eq!(of(text), Source::Id(text.to_owned()), "{text}");
        }
        // Hexadecimal digits that are not those of its image are a name.
        assert_eq!(of("cafe").to_string(), "cafe:latest");
    }

    #[test]
    fn of_the_images_of_a_host_those_that_matter_are_kept() {
        let (old, new) = ("a".repeat(64), "b".repeat(64));
        let image = |id: &str, tags: &[&str], digest: &str| ImageSummary {
            id: id.to_owned(),
            repo_tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            repo_digests: vec![format!("docker.io/library/app@sha256:{}", digest.repeat(64))],
            ..ImageSummary::default()
        };
        let container = Container {
            id: "1".to_owned(),
            name: "web".to_owned(),
            state: "running".to_owned(),
            image_id: image_id(&old),
            source: Source::of("app:v1", ""),
        };
        // As Podman lists them.
        let images = vec![
            image(&old, &[], "1"),
            image(&new, &["docker.io/library/app:v1"], "2"),
            image(&"c".repeat(64), &["docker.io/library/app:v2"], "3"),
        ];
        let facts = HostFacts::of(vec![container], images);
        assert_eq!(facts.tags, [("app:v1".to_owned(), image_id(&new))].into());
        assert_eq!(facts.digests.keys().collect::<Vec<_>>(), [&image_id(&old), &image_id(&new)]);
        let known = facts.digests[&image_id(&old)].first().unwrap();
        assert_eq!(known.to_string(), format!("app@sha256:{}", "1".repeat(64)));
    }
}
