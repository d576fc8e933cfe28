//! The requests and responses of an Engine, as plain values.
//!
//! Responses are read leniently: every field may be missing or null, and unknown fields are
//! ignored, because Engines from 2017 on differ (Engine API changelog, 1.24 to 1.5x).

mod images;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::domain::{Secret, quoted};

pub use images::{
    ArchiveSink, HistoryLayer, ImageListing, ImageRemoval, ImageSummary, Platform, ProgressSink,
    PrunedImages, Pulled, Pushed, RemoteImage, Transfer,
};

/// A version of the Engine API, such as 1.41. Ordered by number, so 1.9 is below 1.10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    /// Always 1 so far.
    pub major: u16,
    /// Such as 41.
    pub minor: u16,
}

/// The answer to a ping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping {
    /// The version that is spoken with this Engine.
    pub api_version: ApiVersion,
    /// The highest version that the Engine supports; `None` if it does not report it.
    pub max_api_version: Option<ApiVersion>,
    /// The lowest version the Engine accepts; `None` before `GET /version` was read.
    pub min_api_version: Option<ApiVersion>,
    /// Round trip of the request on an open connection.
    pub latency: Duration,
    /// Whether it is a Podman.
    pub is_podman: bool,
}

/// One JSON response of an Engine, complete and unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineDocument {
    /// The JSON text.
    pub json: String,
    /// The version it was read with.
    pub api_version: ApiVersion,
}

/// A list that an Engine gave, and the version it was read with.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing<T> {
    /// In the Engine's order.
    pub items: Vec<T>,
    /// The version it was read with.
    pub api_version: ApiVersion,
}

/// Filters of the Engine API: key to values. Empty: none are sent.
pub type Filters = BTreeMap<String, Vec<String>>;

/// Which containers to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerListing {
    /// Also containers that do not run.
    pub all: bool,
    /// The Engine's filters.
    pub filters: Filters,
    /// Only the newest so many; 0: all.
    pub limit: u32,
    /// With sizes.
    pub size: bool,
    /// Keep the Engine's JSON of each item.
    pub keep_json: bool,
}

/// A container of a list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContainerSummary {
    /// Full ID.
    pub id: String,
    /// All names without the leading slash; the first is its own, links are others.
    pub names: Vec<String>,
    /// As at creation, or an ID once the reference points to another image.
    pub image: String,
    /// ID of the image.
    pub image_id: String,
    /// Command line.
    pub command: String,
    /// Unix seconds; `None` if the Engine does not report it.
    pub created: Option<i64>,
    /// Such as `running`.
    pub state: String,
    /// Such as `Up 5 minutes`.
    pub status: String,
    /// Ports.
    pub ports: Vec<Port>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Names of networks, sorted.
    pub networks: Vec<String>,
    /// Size of the writable layer in bytes, if requested.
    pub size_rw: i64,
    /// Total size in bytes, if requested.
    pub size_root_fs: i64,
    /// The Engine's JSON, if requested.
    pub json: Option<String>,
}

/// A port of a container of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Port {
    /// In the container.
    pub private: u16,
    /// On the host; 0 if not published.
    pub public: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// Address on the host.
    pub ip: String,
}

/// Which networks to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkListing {
    /// The Engine's filters.
    pub filters: Filters,
    /// Keep the Engine's JSON of each item.
    pub keep_json: bool,
}

/// A network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkSummary {
    /// Full ID.
    pub id: String,
    /// Its name; not always the only one of that name.
    pub name: String,
    /// Such as `bridge` or `overlay`.
    pub driver: String,
    /// `local`, `swarm` or `global`.
    pub scope: String,
    /// RFC 3339; empty if the Engine does not report it.
    pub created: String,
    /// No way out of the host.
    pub internal: bool,
    /// Open to standalone containers, in a Swarm.
    pub attachable: bool,
    /// With IPv6.
    pub ipv6: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// What assigns its addresses.
    pub ipam_driver: String,
    /// Its ranges of addresses.
    pub pools: Vec<NetworkPool>,
    /// The running containers in it; inspections have them, lists of newer Engines don't.
    pub endpoints: Vec<NetworkEndpoint>,
    /// The Engine's JSON, if requested.
    pub json: Option<String>,
}

/// A range of addresses of a network. Empty texts: not set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkPool {
    /// CIDR.
    pub subnet: String,
    /// Address.
    pub gateway: String,
    /// CIDR.
    pub ip_range: String,
    /// Addresses that are not assigned, by name.
    pub auxiliary: BTreeMap<String, String>,
}

/// A container in a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkEndpoint {
    /// ID of the container.
    pub container_id: String,
    /// Name of the container.
    pub name: String,
    /// With the length of the prefix.
    pub ipv4: String,
    /// With the length of the prefix.
    pub ipv6: String,
    /// MAC address.
    pub mac: String,
}

/// Which volumes to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeListing {
    /// The Engine's filters.
    pub filters: Filters,
    /// Keep the Engine's JSON of each item.
    pub keep_json: bool,
}

/// A volume.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeSummary {
    /// Its name, which is its only ID.
    pub name: String,
    /// Such as `local`.
    pub driver: String,
    /// Path on the host.
    pub mountpoint: String,
    /// `local` or `global`.
    pub scope: String,
    /// RFC 3339; empty if the Engine does not report it.
    pub created: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// The Engine's JSON, if requested.
    pub json: Option<String>,
}

/// The volumes of a host.
#[derive(Debug, Clone, PartialEq)]
pub struct VolumeList {
    /// The volumes.
    pub volumes: Listing<VolumeSummary>,
    /// Such as of a driver that did not answer.
    pub warnings: Vec<String>,
}

/// Result of a prune of volumes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrunedVolumes {
    /// Names.
    pub names: Vec<String>,
    /// Freed bytes, if known.
    pub space_reclaimed: Option<u64>,
    /// What ended it early, after some were removed.
    pub failure: Option<super::EngineError>,
}

/// A container that was created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Created {
    /// Full ID.
    pub id: String,
    /// Warnings of the Engine.
    pub warnings: Vec<String>,
}

/// Whether a call changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It did.
    Made,
    /// It was so already (HTTP 304).
    Already,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitCondition {
    /// That it does not run.
    NotRunning,
    /// That it stops the next time.
    NextExit,
    /// That it is removed.
    Removed,
}

/// A container that stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerExit {
    /// Exit status.
    pub exit_code: i64,
    /// The Engine's error of the wait.
    pub error: Option<String>,
}

/// A command that ran in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandResult {
    /// Exit code; 126 and 127 if it could not be started.
    pub exit_code: i64,
    /// The last part of its output on both streams, at most 16 KiB.
    pub output: String,
}

/// The processes in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessTable {
    /// Titles of the columns.
    pub titles: Vec<String>,
    /// Rows.
    pub processes: Vec<Vec<String>>,
}

/// One change in a container's file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// The kind of change.
    pub kind: FileChangeKind,
    /// The path.
    pub path: String,
}

/// The kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileChangeKind {
    /// Content or metadata changed (0 in the Engine API).
    Modified,
    /// New (1).
    Added,
    /// Deleted (2).
    Deleted,
}

/// Result of a prune of containers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrunedContainers {
    /// IDs.
    pub ids: Vec<String>,
    /// Freed bytes.
    pub space_reclaimed: u64,
}

/// The answer of an Engine for credentials that the registry accepted.
#[derive(Debug, Clone)]
pub struct LoginAnswer {
    /// Such as "Login Succeeded".
    pub status: String,
    /// To store instead of the password, if the registry returned one.
    pub identity_token: Option<Secret>,
}

/// Text that is no API version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not an Engine API version such as 1.41", quoted(.0))]
pub struct InvalidApiVersion(String);

impl ApiVersion {
    /// `major.minor`.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for ApiVersion {
    type Err = InvalidApiVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidApiVersion(text.to_owned());
        let (major, minor) = text.split_once('.').ok_or_else(invalid)?;
        Ok(Self {
            major: major.parse().map_err(|_| invalid())?,
            minor: minor.parse().map_err(|_| invalid())?,
        })
    }
}

impl EngineDocument {
    /// Reads the text as `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(&self.json)
    }
}
