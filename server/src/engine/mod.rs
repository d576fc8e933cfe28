//! The API of one Docker Engine.
//!
//! [`Engine`] is the only seam between Wharf and a host. It is implemented by the HTTP client
//! ([`http`]) and, in tests, by the model of the crate `wharf-simulator`. This module knows one
//! host and no fleet: deadlines, parallelism, and host names belong to its callers.
//!
//! Rules for every implementation:
//! - Names are validated domain values; no text of a request reaches a path unchecked.
//! - If nothing has to change (HTTP 304), the result is [`Change::Already`], not an error.
//! - Dropping a future may leave the Engine working: it cancels pulls, but not stops and creates
//!   (for some versions, it even turns `POST /stop` into an immediate kill). Callers run long calls
//!   in separate tasks.

mod archive;
mod build;
mod call_log;
mod classify;
mod container_row;
mod error;
mod events;
mod exec;
mod files;
mod frames;
#[cfg(test)]
mod fuzz;
mod health;
mod hedge;
pub mod http;
mod image_archive;
mod image_arrival;
mod image_copy;
mod image_identity;
pub mod inspection;
mod lines;
mod list;
mod logs;
mod needs;
mod operation;
mod pause;
pub mod podman;
mod progress;
mod registry_auth;
mod ssh;
mod stats;
mod text;
mod turn;
mod types;
mod upload;
mod version;
pub mod volumes;
mod wire;
mod written;

use async_trait::async_trait;
use serde_json::Value;

pub use archive::{ArchivePart, FileKind, FileSink, PathStat};
pub use build::{BuildSink, BuildSpec, Built};
pub use call_log::{CallEnd, CallLog, EngineCall};
pub use container_row::{ContainerRow, PortRow};
pub use error::{EngineError, ErrorKind};
pub use events::{EngineEvent, EventBatch, EventQuery, EventSink, host_clock};
pub use exec::{ExecSession, ExecSpec, SessionInput, SessionOutput, TerminalSize};
pub use files::raise_file_limit;
pub use frames::{Frame, OutputSource};
pub use health::{Health, LastResult, Software, SoftwareKind};
pub use hedge::{Hedge, Hedges};
pub use image_archive::{ARCHIVE_START, is_archive};
pub use image_arrival::{Arrival, Delivered, load_archive, platform_of};
pub use image_copy::ImageCopy;
pub use image_identity::ImageIdentity;
pub use inspection::{ContainerFacts, Inspection, RestartPolicy};
pub use logs::{LogBatch, LogQuery, LogSink, LogTime};
pub use needs::{MANY_ENDPOINTS, in_form_of, split_endpoints, unsupported};
pub use pause::{jittered, pause, spread};
pub use stats::{CpuTime, StatsSample, StatsSink};
pub use text::{Pairs, Text};
pub use turn::{Turn, TurnGuard};
pub use types::{
    ApiVersion, ArchiveSink, Change, CommandResult, ContainerExit, ContainerListing,
    ContainerSummary, Created, EngineDocument, FileChange, FileChangeKind, Filters, HistoryLayer,
    ImageListing, ImageRemoval, ImageSummary, Listing, LoginAnswer, NetworkEndpoint,
    NetworkListing, NetworkPool, NetworkSummary, Ping, Platform, Port, ProcessTable, ProgressSink,
    PrunedContainers, PrunedImages, PrunedVolumes, Pulled, Pushed, RemoteImage, Transfer,
    VolumeList, VolumeListing, VolumeSummary, WaitCondition,
};
pub use upload::{Upload, UploadError, UploadSpace, UploadWriter};
pub use version::{CLIENT_MAX, CLIENT_MIN};
pub use wire::{network_of, null_to_default, volume_of, volumes_of};
pub use written::{ContainerWriter, WrittenContainers};

use crate::domain::{
    ContainerName, ContainerRef, ImageName, ImageReference, NetworkRef, RegistryLogin, VolumeName,
};

/// The result of a call on an Engine.
pub type Result<T> = std::result::Result<T, EngineError>;

/// A Docker Engine: one method for each call of the Engine API that Wharf uses, by subject.
pub trait Engine:
    SystemEngine
    + ImageEngine
    + BuildEngine
    + ContainerEngine
    + ExecEngine
    + FileEngine
    + NetworkEngine
    + VolumeEngine
{
}

impl<T> Engine for T where
    T: SystemEngine
        + ImageEngine
        + BuildEngine
        + ContainerEngine
        + ExecEngine
        + FileEngine
        + NetworkEngine
        + VolumeEngine
{
}

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
    /// `POST /auth`: whether the registry accepts the credentials. The Engine stores nothing.
    async fn check_login(&self, login: &RegistryLogin) -> Result<LoginAnswer>;
    /// `GET /events`: gives events to `sink`, up to `until` or until the sink is closed. The first batch
    /// may be empty, and comes as soon as the stream is open; from Podman, it comes with the first event.
    async fn read_events(&self, query: &EventQuery, sink: &EventSink) -> Result<()>;
    /// What the calls so far have shown of the Engine; `None` where nothing is taken down.
    fn health(&self) -> Option<Health> {
        None
    }
    /// Grows when a call that may change what a list of containers shows is sent, and again when it has
    /// ended, before its caller learns that. So what was asked for before the last growth may be out of
    /// date.
    fn writes(&self) -> u64 {
        0
    }
}

/// Images on the host, and on their way from and to registries.
#[async_trait]
pub trait ImageEngine: Send + Sync + 'static {
    /// `GET /images/json`.
    async fn list_images(&self, listing: &ImageListing) -> Result<Listing<ImageSummary>>;
    /// `GET /images/{name}/json`.
    async fn inspect_image(&self, image: &ImageName) -> Result<EngineDocument>;
    /// `GET /images/{name}/json?manifests=1`, from API 1.48 on: the digest of the manifest that the
    /// Engine uses for the image. The ID of a multi-platform image in a containerd store is that of
    /// its index. None if the Engine does not report it.
    async fn image_manifest(&self, image: &ImageName) -> Result<Option<String>>;
    /// `GET /images/{name}/history`.
    async fn image_history(&self, image: &ImageName) -> Result<Vec<HistoryLayer>>;
    /// `POST /images/create?fromImage=`: succeeds only if the stream was complete and without an
    /// error line, and the image exists afterwards. A reference without tag and digest pulls
    /// `latest`. `reference:tag@digest` also gets its tag.
    async fn pull_image(
        &self,
        reference: &ImageReference,
        platform: Option<&str>,
        login: Option<&RegistryLogin>,
        progress: &ProgressSink,
    ) -> Result<Pulled>;
    /// `POST /images/{name}/push`: one tag, `latest` by default.
    async fn push_image(
        &self,
        reference: &ImageReference,
        login: Option<&RegistryLogin>,
        progress: &ProgressSink,
    ) -> Result<Pushed>;
    /// `GET /images/get`: gives one archive of these images to `sink`, piece by piece. Waits while the
    /// sink is full, and ends early once it is closed.
    async fn save_images(&self, images: &[ImageName], sink: &ArchiveSink) -> Result<()>;
    /// `POST /images/load`: the images that the Engine says it loaded, as names with tag, or as IDs;
    /// at least one. Succeeds only if the answer was complete and without an error line.
    async fn load_images(
        &self,
        archive: &Upload,
        progress: &ProgressSink,
    ) -> Result<Vec<ImageName>>;
    /// `POST /images/{name}/tag`. [`Change::Already`] if the name already points to the image.
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
    /// `GET /distribution/{name}/json`: the current digest of a reference in its registry.
    async fn resolve_image(
        &self,
        reference: &ImageReference,
        login: Option<&RegistryLogin>,
    ) -> Result<RemoteImage>;
}

/// Builds of images.
#[async_trait]
pub trait BuildEngine: Send + Sync + 'static {
    /// `POST /build` with the classic builder: succeeds only if the stream was complete and without
    /// an error line, and the image exists afterwards with all its tags. Dropping the future
    /// cancels the build.
    async fn build_image(
        &self,
        spec: &BuildSpec,
        context: &Upload,
        output: &BuildSink,
        progress: &ProgressSink,
    ) -> Result<Built> {
        let _ = (spec, context, output, progress);
        let message = "builds are not known here";
        Err(EngineError::new(ErrorKind::Unsupported, "POST /build", message))
    }
}

/// Containers.
#[async_trait]
pub trait ContainerEngine: Send + Sync + 'static {
    /// `GET /containers/json`.
    async fn list_containers(
        &self,
        listing: &ContainerListing,
    ) -> Result<Listing<ContainerSummary>>;
    /// The same, each container in the form of `writer`.
    async fn write_containers(
        &self,
        listing: &ContainerListing,
        writer: &dyn ContainerWriter,
    ) -> Result<WrittenContainers> {
        let listed = self.list_containers(listing).await?;
        let mut written = WrittenContainers::default();
        for container in &listed.items {
            written.add(writer, &container.row(), listed.api_version)?;
        }
        Ok(written)
    }
    /// `POST /containers/create`. `body` is the Engine's own JSON. A setting that requires a newer
    /// API version than the negotiated one is [`ErrorKind::Unsupported`]: the Engine would drop it.
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
    /// `GET /containers/{id}/json` in an older version of the API, if that shows what newer ones
    /// omit; in the negotiated version if that is not newer.
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
    /// As a stop, or a restart, with another signal than the container's own. API 1.42 and later;
    /// [`ErrorKind::Unsupported`] before, where the Engine would ignore it.
    async fn stop_with_signal(
        &self,
        container: &ContainerRef,
        restart: bool,
        timeout: Option<i64>,
        signal: &str,
    ) -> Result<Change> {
        let _ = (container, restart, timeout, signal);
        let message = "a signal for a stop is not known here";
        Err(EngineError::new(ErrorKind::Unsupported, "POST /containers/{id}/stop", message))
    }
    /// `POST /containers/{id}/kill`; `None` is SIGKILL.
    async fn kill_container(&self, container: &ContainerRef, signal: Option<&str>) -> Result<()>;
    /// `POST /containers/{id}/pause`.
    async fn pause_container(&self, container: &ContainerRef) -> Result<Change>;
    /// `POST /containers/{id}/unpause`.
    async fn unpause_container(&self, container: &ContainerRef) -> Result<Change>;
    /// `POST /containers/{id}/rename`. [`Change::Already`] if it has the name.
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
    /// `POST /containers/{id}/exec` and related calls: runs a command to its end. It cannot be
    /// stopped from here; dropping the future leaves it running.
    async fn run_in_container(
        &self,
        container: &ContainerRef,
        command: &[String],
    ) -> Result<CommandResult>;
    /// `GET /containers/{id}/logs`: the last lines of both streams, oldest first; a line is
    /// truncated after 4096 bytes. Empty if the log driver does not support reading.
    async fn log_tail(&self, container: &ContainerRef, lines: u32) -> Result<Vec<String>>;
    /// `GET /containers/{id}/logs`: reads a log and gives its entries to `sink`, up to its end; with
    /// [`LogQuery::follow`], up to the end of the container. The first batch may be empty, and comes
    /// as soon as the log is open. Waits while the sink is full, and ends early once it is closed. [`ErrorKind::Unsupported`] if the log driver cannot be read.
    async fn read_logs(
        &self,
        container: &ContainerRef,
        query: &LogQuery,
        sink: &LogSink,
    ) -> Result<()>;
    /// `GET /containers/{id}/stats`: gives samples of what the container uses to `sink`, about one a
    /// second, until nobody reads it any more or the container is removed. Never waits for the
    /// reader.
    async fn read_stats(&self, container: &ContainerRef, sink: &StatsSink) -> Result<()>;
    /// `POST /containers/prune`.
    async fn prune_containers(&self, filters: &Filters) -> Result<PrunedContainers>;
}

/// Commands in containers, with their streams.
#[async_trait]
pub trait ExecEngine: Send + Sync + 'static {
    /// `POST /containers/{id}/exec` and `POST /exec/{id}/start`: starts a command and connects to
    /// its streams. It cannot be stopped from here.
    async fn start_exec(&self, container: &ContainerRef, spec: &ExecSpec) -> Result<ExecSession> {
        let _ = (container, spec);
        let message = "sessions are not known here";
        Err(EngineError::new(ErrorKind::Unsupported, "POST /exec/{id}/start", message))
    }
    /// `POST /containers/{id}/attach`: connects to the streams of the container's own command.
    /// `tty`: whether it has a terminal.
    async fn attach(
        &self,
        container: &ContainerRef,
        stdin: bool,
        tty: bool,
    ) -> Result<ExecSession> {
        let _ = (container, stdin, tty);
        let message = "sessions are not known here";
        Err(EngineError::new(ErrorKind::Unsupported, "POST /containers/{id}/attach", message))
    }
    /// `POST /containers/{id}/resize`: the size of the terminal of the container's own command.
    async fn resize_container(&self, container: &ContainerRef, size: TerminalSize) -> Result<()> {
        let _ = (container, size);
        Ok(())
    }
    /// `POST /exec/{id}/resize`.
    async fn resize_exec(&self, id: &str, size: TerminalSize) -> Result<()> {
        let _ = (id, size);
        Ok(())
    }
    /// `GET /exec/{id}/json`: the exit code after the end of the output; `None` if the command is
    /// still running, so that the connection was lost.
    async fn exec_exit_code(&self, id: &str) -> Result<Option<i64>> {
        let _ = id;
        Ok(None)
    }
}

/// Files in containers, running or not. Those without an Engine behind them have none.
#[async_trait]
pub trait FileEngine: Send + Sync + 'static {
    /// `HEAD /containers/{id}/archive`: what a path is; [`ErrorKind::PathNotFound`] if nothing.
    async fn stat_path(&self, container: &ContainerRef, path: &str) -> Result<PathStat> {
        let _ = (container, path);
        Err(no_files("HEAD /containers/{id}/archive"))
    }
    /// `GET /containers/{id}/archive`: gives the path and then its tar archive to `sink`. Waits
    /// while the sink is full, and ends early once it is closed. [`ErrorKind::BadAnswer`] if the
    /// archive is incomplete.
    async fn download_archive(
        &self,
        container: &ContainerRef,
        path: &str,
        sink: &FileSink,
    ) -> Result<()> {
        let _ = (container, path, sink);
        Err(no_files("GET /containers/{id}/archive"))
    }
    /// `PUT /containers/{id}/archive`: extracts a tar archive to a directory. The progress has the
    /// bytes that the Engine took.
    async fn upload_archive(
        &self,
        container: &ContainerRef,
        path: &str,
        archive: &Upload,
        progress: &ProgressSink,
    ) -> Result<()> {
        let _ = (container, path, archive, progress);
        Err(no_files("PUT /containers/{id}/archive"))
    }
}

fn no_files(operation: &'static str) -> EngineError {
    EngineError::new(ErrorKind::Unsupported, operation, "files are not known here")
}

/// Networks.
#[async_trait]
pub trait NetworkEngine: Send + Sync + 'static {
    /// `GET /networks`.
    async fn list_networks(&self, listing: &NetworkListing) -> Result<Listing<NetworkSummary>>;
    /// `GET /networks/{id}`. A name that several networks have is [`ErrorKind::Conflict`].
    async fn inspect_network(&self, network: &NetworkRef) -> Result<EngineDocument>;
    /// `POST /networks/create`. `body` is the Engine's own JSON.
    async fn create_network(&self, body: &Value) -> Result<Created>;
    /// `DELETE /networks/{id}`. [`ErrorKind::Conflict`] if containers use it.
    async fn remove_network(&self, network: &NetworkRef) -> Result<()>;
    /// `POST /networks/prune`: the names of what was removed.
    async fn prune_networks(&self, filters: &Filters) -> Result<Vec<String>>;
    /// `POST /networks/{id}/connect`: `endpoint` is the Engine's own JSON of the endpoint.
    /// [`Change::Already`] if the container is in the network.
    async fn connect_network(
        &self,
        network: &str,
        container: &ContainerRef,
        endpoint: &Value,
    ) -> Result<Change>;
    /// `POST /networks/{id}/disconnect`. [`Change::Already`] if the container is not in the network.
    async fn disconnect_network(
        &self,
        network: &str,
        container: &ContainerRef,
        force: bool,
    ) -> Result<Change>;
}

/// Volumes.
#[async_trait]
pub trait VolumeEngine: Send + Sync + 'static {
    /// `GET /volumes`.
    async fn list_volumes(&self, listing: &VolumeListing) -> Result<VolumeList>;
    /// `GET /volumes/{name}`.
    async fn inspect_volume(&self, volume: &VolumeName) -> Result<EngineDocument>;
    /// `POST /volumes/create`: the volume. The Engine returns an existing one of the name, whatever
    /// its options and labels. `body` is the Engine's own JSON.
    async fn create_volume(&self, body: &Value) -> Result<EngineDocument>;
    /// `DELETE /volumes/{name}`. [`ErrorKind::Conflict`] if containers use it. With `force`, a missing
    /// one is no error.
    async fn remove_volume(&self, volume: &VolumeName, force: bool) -> Result<()>;
    /// `POST /volumes/prune`: removes unused volumes; named ones only with `all`, for every version of
    /// the Engine API. Engines before 1.42 remove named ones, too; there, the unnamed ones are removed
    /// one after the other. The filters are `label` and `label!`.
    async fn prune_volumes(&self, filters: &Filters, all: bool) -> Result<PrunedVolumes>;
}
