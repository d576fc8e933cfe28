//! Image references, parsed like the Engine does, with its own texts for invalid ones. Called by
//! everything in the model that accepts an image by name.

use wharf_server::domain::{ImageReference, InvalidImage};

use super::refusal::Refusal;

/// How a request names an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    /// By reference; the tag `latest` is filled in.
    Reference(ImageReference),
    /// By a whole ID, `sha256:` and 64 digits.
    Id(String),
}

/// Reads what a request calls an image.
pub(crate) fn parse(text: &str) -> Result<Named, Refusal> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    if digits.len() == 64 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(Named::Id(format!("sha256:{digits}")));
    }
    match ImageReference::parse(text) {
        Ok(reference) => Ok(Named::Reference(reference.with_default_tag())),
        Err(error) => Err(Refusal::bad_request(invalid_reference(&error))),
    }
}

/// The text of the Engine for a reference that is none.
pub(crate) fn invalid_reference(error: &InvalidImage) -> String {
    match error {
        InvalidImage::Uppercase(_) => {
            "invalid reference format: repository name must be lowercase".to_owned()
        }
        InvalidImage::LooksLikeId(text) => {
            format!("invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
        }
        InvalidImage::TooLong(_) => {
            "repository name must not be more than 255 characters".to_owned()
        }
        InvalidImage::Digest(_) => "invalid checksum digest format".to_owned(),
        _ => "invalid reference format".to_owned(),
    }
}

/// `repository:tag` or `repository@digest`, as the Engine keeps it. A reference with both
/// counts by its digest.
pub(crate) fn familiar(reference: &ImageReference) -> String {
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => format!("{}@{digest}", reference.repository()),
        (None, tag) => format!("{}:{}", reference.repository(), tag.unwrap_or("latest")),
    }
}

/// The part of a familiar reference before tag or digest.
pub(crate) fn repository_of(familiar: &str) -> &str {
    match familiar.split_once('@') {
        Some((repository, _)) => repository,
        None => familiar.rsplit_once(':').map_or(familiar, |(repository, _)| repository),
    }
}

/// `repo` and `tag` of the call that tags an image.
pub(crate) fn target(repository: &str, tag: &str) -> Result<ImageReference, Refusal> {
    let named = ImageReference::parse(repository)
        .map_err(|error| Refusal::bad_request_500(invalid_reference(&error)))?;
    if named.digest().is_some() {
        return Err(Refusal::bad_request("refusing to create a tag with a digest reference"));
    }
    if tag.is_empty() {
        return Ok(named.with_default_tag());
    }
    named.with_tag(tag).map_err(|_| Refusal::bad_request_500("invalid tag format"))
}
