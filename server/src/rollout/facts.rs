//! What is on a host, as far as a plan needs to know: the container that is to be replaced, its
//! image, and everything that may stand in its way.
//!
//! [`gather`] asks the Engine and changes nothing; the values are plain, and what is pure works on
//! them. Called by the planner and, for the look before a step, by the executor.

mod ask;

use serde_json::Value;

pub use ask::{Facts, container, gather};

use crate::engine::{ApiVersion, ContainerFacts, FileChange, Inspection, NetworkSummary, Platform};

/// The container that is to be replaced.
#[derive(Debug, Clone, PartialEq)]
pub struct OldContainer {
    /// The Engine's inspection.
    pub inspect: Inspection,
    /// The inspection of its image, by the image's ID; `None` where that is gone.
    pub image: Option<Value>,
    /// ID of the image that the name of its image stands for now.
    pub named_image: Option<String>,
    /// What it wrote into its own layer; `None` where the Engine does not say.
    pub changes: Option<Vec<FileChange>>,
}

/// What is around it on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// The version in which the facts were read and the container will be created.
    pub api_version: ApiVersion,
    /// The host name of the Engine.
    pub engine_name: String,
    /// Where logs go by default; empty where the Engine does not say.
    pub log_driver: String,
    /// What runs containers by default; empty where the Engine does not say.
    pub runtime: String,
    /// What it runs.
    pub platform: Platform,
    /// All networks.
    pub networks: Vec<NetworkSummary>,
    /// All containers that could be read, the target included.
    pub containers: Vec<ContainerFacts>,
    /// IDs of those that could not.
    pub unread: Vec<String>,
    /// Whether it cannot change the restart policy of a container: Podman before 5.1.
    pub fixed_restart_policies: bool,
}
