//! Images, and their way from and to a host.

use std::collections::BTreeMap;
use std::fmt;

use super::{EngineDocument, Filters};
use crate::domain::Digest;

/// Which images to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageListing {
    /// Also layers without name.
    pub all: bool,
    /// The Engine's filters.
    pub filters: Filters,
    /// Keep the Engine's JSON of each item.
    pub keep_json: bool,
}

/// An image of a list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageSummary {
    /// `sha256:…`.
    pub id: String,
    /// Names with tag; `<none>:<none>` is left out.
    pub repo_tags: Vec<String>,
    /// Names with digest; `<none>@<none>` is left out.
    pub repo_digests: Vec<String>,
    /// Unix seconds; `None` if the Engine does not report it.
    pub created: Option<i64>,
    /// Bytes.
    pub size: i64,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// -1 if the Engine did not count.
    pub containers: i64,
    /// The Engine's JSON, if requested.
    pub json: Option<String>,
}

/// One step of the build of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryLayer {
    /// `<missing>` if it was built elsewhere.
    pub id: String,
    /// Unix seconds; `None` if the Engine does not report it.
    pub created: Option<i64>,
    /// The instruction.
    pub created_by: String,
    /// Bytes.
    pub size: i64,
    /// Comment.
    pub comment: String,
    /// Names.
    pub tags: Vec<String>,
}

/// Progress of a transfer, over all its layers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transfer {
    /// The Engine's last status line.
    pub status: String,
    /// Layers that are finished.
    pub layers_done: u32,
    /// Number of layers known so far.
    pub layers_total: u32,
    /// Bytes transferred so far.
    pub bytes_done: u64,
    /// Bytes of the layers with known size.
    pub bytes_total: u64,
}

/// Receives the latest [`Transfer`]; never blocks, and a slow reader misses steps.
pub type ProgressSink = tokio::sync::watch::Sender<Transfer>;

/// Receives the bytes of an archive. Waiting for room in it is what slows down the Engine.
pub type ArchiveSink = tokio::sync::mpsc::Sender<bytes::Bytes>;

/// A pull that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The digest in the registry, if the Engine reported it.
    pub digest: Option<String>,
    /// Whether the image was missing, or another one, before. `None` if the Engine did not report
    /// it (Podman).
    pub newer: Option<bool>,
    /// The inspection of the image after the pull.
    pub image: EngineDocument,
}

/// A push that succeeded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pushed {
    /// The digest in the registry, if the Engine reported it.
    pub digest: Option<String>,
    /// Size of the manifest in bytes; 0 if the Engine did not report it.
    pub size: u64,
}

/// An image in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteImage {
    /// Digest of the index if there are several platforms, otherwise of the manifest.
    pub digest: Digest,
    /// Whether it is an index of several platforms, and not the manifest of one.
    pub is_index: bool,
    /// Its platforms; empty if the registry does not report them.
    pub platforms: Vec<Platform>,
}

/// The platform of an image or a host, with Go's names: `linux` and `amd64`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Platform {
    /// Empty if unknown.
    pub os: String,
    /// Empty if unknown.
    pub architecture: String,
}

impl Platform {
    /// Whether a host of this platform runs images of `image`, as far as both are known.
    #[must_use]
    pub fn runs(&self, image: &Self) -> bool {
        let fits = |host: &str, image: &str| {
            host.is_empty()
                || image.is_empty()
                || host == image
                || matches!((host, image), ("amd64", "386") | ("arm64", "arm"))
        };
        fits(&self.os, &image.os) && fits(&self.architecture, &image.architecture)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)
    }
}

/// Result of removing an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageRemoval {
    /// Names that were taken away.
    pub untagged: Vec<String>,
    /// IDs that were deleted.
    pub deleted: Vec<String>,
}

/// Result of a prune of images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrunedImages {
    /// Names and IDs.
    pub removal: ImageRemoval,
    /// Freed bytes.
    pub space_reclaimed: u64,
}
