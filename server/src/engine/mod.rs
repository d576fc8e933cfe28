//! One Docker Engine: what can be asked of it, and what it answers.
//!
//! [`Engine`] is the one seam between Wharf and a host. Behind it stands the HTTP client
//! ([`http`]) or, in tests, the model of the crate `wharf-simulator`. This module knows one
//! host and no fleet: deadlines, parallelism and host names belong to its callers.
//!
//! Rules that hold for every implementation:
//! - Names are validated domain values; no text of a request reaches a path unchecked.
//! - "Already so" (HTTP 304) is [`Change::Already`], not an error.
//! - A future that is dropped may leave the Engine at work: pulls are cancelled by it, stops
//!   and creates are not (`POST /stop` of some versions even kills at once). Callers run
//!   long calls in tasks of their own.

mod classify;
mod error;
mod files;
mod frames;
#[cfg(test)]
mod fuzz;
pub mod http;
mod lines;
mod list;
mod needs;
mod operation;
mod progress;
mod registry_auth;
mod types;
mod version;
mod wire;

use async_trait::async_trait;
use serde_json::Value;

pub use error::{EngineError, ErrorKind};
pub use files::raise_file_limit;
pub use needs::unsupported;
pub use types::{
    ApiVersion, Change, CommandResult, ContainerExit, ContainerListing, ContainerSummary, Created,
    EngineDocument, FileChange, FileChangeKind, Filters, HistoryLayer, ImageListing, ImageRemoval,
    ImageSummary, Listing, LoginAnswer, NetworkSummary, Ping, Platform, Port, ProcessTable,
    ProgressSink, PrunedContainers, PrunedImages, Pulled, Pushed, RemoteImage, Transfer,
    WaitCondition,
};
pub use version::{CLIENT_MAX, CLIENT_MIN};
pub use wire::null_to_default;

use crate::domain::{ContainerName, ContainerRef, ImageName, ImageReference, RegistryLogin};

/// The result of a call on an Engine.
pub type Result<T> = std::result::Result<T, EngineError>;

/// A Docker Engine: one method for each call of the Engine API that Wharf uses, by subject.
pub trait Engine: SystemEngine + ImageEngine + ContainerEngine + NetworkEngine {}

impl<T: SystemEngine + ImageEngine + ContainerEngine + NetworkEngine> Engine for T {}

/// The Engine itself.
#[async_trait]
pub trait SystemEngine: Send + Sync + 'static {
    /// `GET /_ping`: whether the Engine answers, and the API version spoken with it.
    async fn ping(&self) -> Result<Ping>;
    /// `GET /version`.
    async fn version(&self) -> Result<EngineDocument>;
    /// `GET /info`.
    async fn info(&self) -> Result<EngineDocument>;
    /// `GET /system/df`.
    async fn disk_usage(&self) -> Result<EngineDocument>;
    /// `POST /auth`: whether the registry accepts the credentials. The Engine keeps nothing.
    async fn check_login(&self, login: &RegistryLogin) -> Result<LoginAnswer>;
}

/// Images on the host, and on their way from and to registries.
#[async_trait]
pub trait ImageEngine: Send + Sync + 'static {
    /// `GET /images/json`.
    async fn list_images(&self, listing: &ImageListing) -> Result<Listing<ImageSummary>>;
    /// `GET /images/{name}/json`.
    async fn inspect_image(&self, image: &ImageName) -> Result<EngineDocument>;
    /// `GET /images/{name}/json?manifests=1`, which API 1.48 and later have: the digest of the
    /// manifest that the Engine runs of the image. The ID of an image of several platforms in a
    /// containerd store is that of their index. None where the Engine does not tell.
    async fn image_manifest(&self, image: &ImageName) -> Result<Option<String>>;
    /// `GET /images/{name}/history`.
    async fn image_history(&self, image: &ImageName) -> Result<Vec<HistoryLayer>>;
    /// `POST /images/create?fromImage=`: success only when the stream ended whole and without
    /// an error line, and the image is there afterwards. A reference without tag and digest
    /// pulls `latest`. `reference:tag@digest` also gets its tag.
    async fn pull_image(
        &self,
        reference: &ImageReference,
        platform: Option<&str>,
        login: Option<&RegistryLogin>,
        progress: &ProgressSink,
    ) -> Result<Pulled>;
    /// `POST /images/{name}/push`: one tag, `latest` where the reference has none.
    async fn push_image(
        &self,
        reference: &ImageReference,
        login: Option<&RegistryLogin>,
        progress: &ProgressSink,
    ) -> Result<Pushed>;
    /// `POST /images/{name}/tag`. [`Change::Already`] where the name stands for the image.
    async fn tag_image(&self, source: &ImageName, target: &ImageReference) -> Result<Change>;
    /// `DELETE /images/{name}`.
    async fn remove_image(
        &self,
        image: &ImageName,
        force: bool,
        keep_parents: bool,
    ) -> Result<ImageRemoval>;
    /// `POST /images/prune`.
    async fn prune_images(&self, filters: &Filters) -> Result<PrunedImages>;
    /// `GET /distribution/{name}/json`: what a reference stands for in its registry at this
    /// moment.
    async fn resolve_image(
        &self,
        reference: &ImageReference,
        login: Option<&RegistryLogin>,
    ) -> Result<RemoteImage>;
}

/// Containers.
#[async_trait]
pub trait ContainerEngine: Send + Sync + 'static {
    /// `GET /containers/json`.
    async fn list_containers(
        &self,
        listing: &ContainerListing,
    ) -> Result<Listing<ContainerSummary>>;
    /// `POST /containers/create`. `body` is the Engine's own JSON. What needs a newer version of
    /// the API than is spoken with the Engine is [`ErrorKind::Unsupported`]: the Engine would drop
    /// it.
    async fn create_container(
        &self,
        name: Option<&ContainerName>,
        platform: Option<&str>,
        body: &Value,
    ) -> Result<Created>;
    /// `GET /containers/{id}/json`.
    async fn inspect_container(
        &self,
        container: &ContainerRef,
        size: bool,
    ) -> Result<EngineDocument>;
    /// `GET /containers/{id}/json` in the form of an older version of the API, where that shows
    /// what newer ones leave out; in the version that is spoken where that is not newer.
    async fn inspect_container_as_of(
        &self,
        container: &ContainerRef,
        version: ApiVersion,
    ) -> Result<EngineDocument> {
        let _ = version;
        self.inspect_container(container, false).await
    }
    /// `POST /containers/{id}/start`.
    async fn start_container(&self, container: &ContainerRef) -> Result<Change>;
    /// `POST /containers/{id}/stop`; `timeout` in whole seconds, `None` the container's own.
    async fn stop_container(
        &self,
        container: &ContainerRef,
        timeout: Option<i64>,
    ) -> Result<Change>;
    /// `POST /containers/{id}/restart`; `timeout` as for a stop.
    async fn restart_container(&self, container: &ContainerRef, timeout: Option<i64>)
    -> Result<()>;
    /// `POST /containers/{id}/kill`; `None` is SIGKILL.
    async fn kill_container(&self, container: &ContainerRef, signal: Option<&str>) -> Result<()>;
    /// `POST /containers/{id}/pause`.
    async fn pause_container(&self, container: &ContainerRef) -> Result<Change>;
    /// `POST /containers/{id}/unpause`.
    async fn unpause_container(&self, container: &ContainerRef) -> Result<Change>;
    /// `POST /containers/{id}/rename`. [`Change::Already`] where it has the name.
    async fn rename_container(
        &self,
        container: &ContainerRef,
        name: &ContainerName,
    ) -> Result<Change>;
    /// `POST /containers/{id}/update`; returns the Engine's warnings.
    async fn update_container(&self, container: &ContainerRef, body: &Value)
    -> Result<Vec<String>>;
    /// `POST /containers/{id}/wait`.
    async fn wait_container(
        &self,
        container: &ContainerRef,
        condition: WaitCondition,
    ) -> Result<ContainerExit>;
    /// `GET /containers/{id}/top`.
    async fn list_processes(
        &self,
        container: &ContainerRef,
        ps_args: Option<&str>,
    ) -> Result<ProcessTable>;
    /// `GET /containers/{id}/changes`.
    async fn container_changes(&self, container: &ContainerRef) -> Result<Vec<FileChange>>;
    /// `DELETE /containers/{id}`.
    async fn remove_container(
        &self,
        container: &ContainerRef,
        force: bool,
        remove_volumes: bool,
    ) -> Result<()>;
    /// `POST /containers/{id}/exec` and what follows: runs a command to its end. There is no
    /// way to end it from here; a future that is dropped leaves it running.
    async fn run_in_container(
        &self,
        container: &ContainerRef,
        command: &[String],
    ) -> Result<CommandResult>;
    /// `GET /containers/{id}/logs`: the last lines of both streams, oldest first; a line is cut
    /// after 4096 bytes. Empty where the log driver cannot be read.
    async fn log_tail(&self, container: &ContainerRef, lines: u32) -> Result<Vec<String>>;
    /// `POST /containers/prune`.
    async fn prune_containers(&self, filters: &Filters) -> Result<PrunedContainers>;
}

/// Networks.
#[async_trait]
pub trait NetworkEngine: Send + Sync + 'static {
    /// `GET /networks`.
    async fn list_networks(&self) -> Result<Listing<NetworkSummary>>;
    /// `POST /networks/{id}/connect`: `endpoint` is the Engine's own JSON of the endpoint.
    /// [`Change::Already`] where the container is in the network.
    async fn connect_network(
        &self,
        network: &str,
        container: &ContainerRef,
        endpoint: &Value,
    ) -> Result<Change>;
}
