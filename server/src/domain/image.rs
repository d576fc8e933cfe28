//! Image references, by the rules of Docker (distribution's `reference` package).
//!
//! A reference that passes here is safe in a path of the Engine API, and cannot be a reference
//! without tag, for which the Engine would pull every tag of a repository. Called by the API for
//! every request with an image.

use std::fmt;

use super::registry::RegistryHost;
use super::text::{alphanumeric_or, begins_alphanumeric, ends_alphanumeric, quoted, text_value};

/// A reference such as `nginx`, `registry.example.com:5000/team/app:v2` or `app@sha256:…`.
///
/// Docker Hub and its `library/` are made explicit by parsing and omitted by `Display`, like in
/// Docker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageReference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A content digest: `sha256:`, `sha384:` or `sha512:` and as many lower-case hexadecimal digits
/// as the algorithm has.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

/// The reference to an image on a host: a reference, or its ID.
///
/// A short hexadecimal text is a reference here; the Engine treats it as a prefix of an ID if no
/// image has that name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImageName {
    /// A name with an optional tag or digest.
    Reference(ImageReference),
    /// 64 hexadecimal digits, or `sha256:` with at least one.
    Id(String),
}

/// The two query parameters of the Engine's pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullParameters {
    /// `fromImage`: the repository without tag and digest.
    pub from_image: String,
    /// `tag`: the digest, or the tag, or `latest`; never empty.
    pub tag: String,
}

/// Why text is not an image reference, digest or ID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidImage {
    /// No text at all.
    #[error("the image is empty; write a reference such as registry.example.com/app:v1")]
    Empty,
    /// 64 hexadecimal digits if a reference is required.
    #[error("{} is an image ID, not a reference; write its name, such as app:v1", quoted(.0))]
    LooksLikeId(String),
    /// Capital letters in the repository.
    #[error("{} has uppercase letters in its repository; use lowercase letters", quoted(.0))]
    Uppercase(String),
    /// A registry part that is no host.
    #[error(
        "{} in {} is not a registry; write host or host:port",
        quoted(.registry), quoted(.image)
    )]
    Registry {
        /// The text.
        image: String,
        /// Its registry part.
        registry: String,
    },
    /// A repository outside the syntax.
    #[error(
        "{} is not an image reference: a repository consists of a-z 0-9, with single . _ - or / between them",
        quoted(.0)
    )]
    Repository(String),
    /// A repository that is too long.
    #[error("{} is too long for an image reference: registry and repository have at most 255 characters", quoted(.0))]
    TooLong(String),
    /// A tag outside the syntax.
    #[error(
        "{} in {} is not a tag: use 1 to 128 of a-z A-Z 0-9 _ . - not beginning with . or -",
        quoted(.tag), quoted(.image)
    )]
    Tag {
        /// The text.
        image: String,
        /// Its tag.
        tag: String,
    },
    /// A digest outside the syntax.
    #[error("{} is not a digest: write sha256: and 64 lowercase hexadecimal digits", quoted(.0))]
    Digest(String),
}

impl ImageReference {
    /// Reads a reference. Refuses 64 hexadecimal digits, which are an ID.
    pub fn parse(text: &str) -> Result<Self, InvalidImage> {
        if text.is_empty() {
            return Err(InvalidImage::Empty);
        }
        if is_full_id(text) {
            return Err(InvalidImage::LooksLikeId(text.to_owned()));
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(Digest::parse(digest)?)),
            None => (text, None),
        };
        let (domain, rest) = split_domain(name);
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(InvalidImage::Uppercase(text.to_owned()));
        }
        if !path.split('/').all(is_path_component) {
            return Err(InvalidImage::Repository(text.to_owned()));
        }
        let domain = match domain {
            None | Some("index.docker.io") => "docker.io",
            Some(domain) if is_domain(domain) => domain,
            Some(registry) => {
                let (image, registry) = (text.to_owned(), registry.to_owned());
                return Err(InvalidImage::Registry { image, registry });
            }
        };
        let path = match domain {
            "docker.io" if !path.contains('/') => format!("library/{path}"),
            _ => path.to_owned(),
        };
        if domain.len() + 1 + path.len() > 255 {
            return Err(InvalidImage::TooLong(text.to_owned()));
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(InvalidImage::Tag { image: text.to_owned(), tag: tag.to_owned() });
        }
        Ok(Self { domain: domain.to_owned(), path, tag: tag.map(str::to_owned), digest })
    }

    /// The registry, `docker.io` by default.
    pub fn registry(&self) -> RegistryHost {
        RegistryHost::parse(&self.domain).expect("a domain was checked to name a registry")
    }

    /// The repository within its registry, such as `library/nginx`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The repository with its registry but without tag and digest, as people write it: Docker Hub
    /// and its `library/` are omitted if that parses to the same reference.
    pub fn repository(&self) -> String {
        if self.domain != "docker.io" {
            return format!("{}/{}", self.domain, self.path);
        }
        let short = match self.path.strip_prefix("library/") {
            Some(official) if !official.contains('/') => official,
            _ => &self.path,
        };
        // `sha256` with a hexadecimal tag would read as an ID.
        let is_id =
            is_full_id(short) || (short == "sha256" && self.tag().is_some_and(is_lower_hex));
        let reads_back = split_domain(short).0.is_none() && !is_id;
        if reads_back { short.to_owned() } else { format!("docker.io/{}", self.path) }
    }

    /// The tag, if any.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if any.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same reference with the tag `latest` if it has neither tag nor digest.
    #[must_use]
    pub fn with_default_tag(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".to_owned());
        }
        self
    }

    /// The same repository with another tag and no digest.
    pub fn with_tag(&self, tag: &str) -> Result<Self, InvalidImage> {
        if !is_tag(tag) {
            return Err(InvalidImage::Tag { image: self.to_string(), tag: tag.to_owned() });
        }
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The reference to request from an Engine. A reference with tag and digest is pulled by its
    /// digest, and the Engine then sets no tag.
    pub fn engine_pull_params(&self) -> PullParameters {
        let tag = match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => "latest",
        };
        PullParameters { from_image: self.repository(), tag: tag.to_owned() }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.repository())?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(formatter, "@{digest}")?;
        }
        Ok(())
    }
}

impl std::str::FromStr for ImageReference {
    type Err = InvalidImage;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for ImageReference {
    type Error = InvalidImage;
    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::parse(text)
    }
}

impl Digest {
    /// Checks a digest.
    pub fn parse(text: &str) -> Result<Self, InvalidImage> {
        let length = match text.split_once(':') {
            Some(("sha256", _)) => 64,
            Some(("sha384", _)) => 96,
            Some(("sha512", _)) => 128,
            _ => return Err(InvalidImage::Digest(text.to_owned())),
        };
        let digits = &text["sha256:".len()..];
        if digits.len() == length && is_lower_hex(digits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidImage::Digest(text.to_owned()))
        }
    }
}

text_value!(Digest, InvalidImage);

impl ImageName {
    /// Reads a reference or an ID.
    pub fn parse(text: &str) -> Result<Self, InvalidImage> {
        let digits = text.strip_prefix("sha256:");
        if is_full_id(text)
            || digits.is_some_and(|d| (1..=64).contains(&d.len()) && is_lower_hex(d))
        {
            return Ok(Self::Id(text.to_owned()));
        }
        ImageReference::parse(text).map(Self::Reference)
    }

    /// The reference, unless it is an ID.
    pub fn reference(&self) -> Option<&ImageReference> {
        match self {
            Self::Reference(reference) => Some(reference),
            Self::Id(_) => None,
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(reference) => reference.fmt(formatter),
            Self::Id(id) => formatter.write_str(id),
        }
    }
}

impl std::str::FromStr for ImageName {
    type Err = InvalidImage;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for ImageName {
    type Error = InvalidImage;
    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::parse(text)
    }
}

/// The registry and the rest of a name. Docker treats the part before the first slash as a registry
/// if it cannot be part of a Docker Hub repository.
fn split_domain(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            (Some(first), rest)
        }
        _ => (None, name),
    }
}

/// Docker's own rule for registries, which is narrower than that of host names.
fn is_domain(text: &str) -> bool {
    let host = text.split_once(':').map_or(text, |(host, _)| host);
    let fits = |part: &str| {
        begins_alphanumeric(part) && ends_alphanumeric(part) && alphanumeric_or(part, b"-")
    };
    let named = host.split('.').all(fits) || text.starts_with('[');
    named && RegistryHost::parse(text).is_ok()
}

/// `[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*`
fn is_path_component(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let known = text.bytes().all(|byte| alphanumeric(byte) || b"._-".contains(&byte));
    let separators = text.split(|c: char| c.is_ascii_alphanumeric()).filter(|s| !s.is_empty());
    let single = |s: &str| matches!(s, "." | "_" | "__") || s.bytes().all(|byte| byte == b'-');
    known
        && begins_alphanumeric(text)
        && ends_alphanumeric(text)
        && separators.into_iter().all(single)
}

/// `[\w][\w.-]{0,127}`
fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && alphanumeric_or(text, b"_.-")
        && !text.starts_with(['.', '-'])
}

fn is_full_id(text: &str) -> bool {
    text.len() == 64 && is_lower_hex(text)
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests;
