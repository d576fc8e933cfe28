//! An Engine client with a planted bug: how a rollout would behave without one of its rules.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::Value;
use wharf_server::domain::{
    ContainerName, ContainerRef, ImageName, ImageReference, NetworkRef, RegistryLogin, VolumeName,
};
use wharf_server::engine::*;
use wharf_simulator::SimEngine;

use crate::world::TARGET;

/// A rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Containers are addressed by the name they had when they were first seen.
    ByName,
    /// Whether the candidate is there already is not looked at.
    NoLook,
    /// The old container keeps its restart policy, and is taken for one that has none.
    NoFence,
    /// Whatever gets the name is started.
    StartsAll,
    /// The Engine joins none of the networks that a creation names.
    LosesNetworks,
    /// The name of a rejected container is too long to be asked for.
    LongNames,
}

/// Names by ID, as they were first seen by any client of a host.
pub type Names = Arc<Mutex<BTreeMap<String, String>>>;

pub struct FaultyEngine {
    pub inner: SimEngine,
    pub bug: Bug,
    pub names: Names,
}

impl FaultyEngine {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fence_in_the_eyes(&self, found: &mut EngineDocument) {
        let mut json: Value = found.parse().unwrap_or_default();
        let id = json["Id"].as_str().unwrap_or_default();
        if self.lock().contains_key(&format!("fenced {id}")) {
            json["HostConfig"]["RestartPolicy"]["Name"] = "no".into();
            found.json = json.to_string();
        }
    }

    fn remember(&self, found: &EngineDocument) {
        let json: Value = found.parse().unwrap_or_default();
        if let (Some(id), Some(name)) = (json["Id"].as_str(), json["Name"].as_str()) {
            let mut names = self.lock();
            let name = name.trim_start_matches('/').to_owned();
            names.entry(id.to_owned()).or_insert(name);
        }
    }

    fn called(&self, container: &ContainerRef) -> ContainerRef {
        let names = self.lock();
        let name = names.get(container.as_str()).filter(|_| self.bug == Bug::ByName);
        name.and_then(|name| ContainerRef::parse(name).ok()).unwrap_or_else(|| container.clone())
    }
}

#[async_trait]
impl SystemEngine for FaultyEngine {
    async fn ping(&self) -> Result<Ping> {
        self.inner.ping().await
    }
    async fn version(&self) -> Result<EngineDocument> {
        self.inner.version().await
    }
    async fn info(&self) -> Result<EngineDocument> {
        self.inner.info().await
    }
    async fn disk_usage(&self) -> Result<EngineDocument> {
        self.inner.disk_usage().await
    }
    async fn check_login(&self, login: &RegistryLogin) -> Result<LoginAnswer> {
        self.inner.check_login(login).await
    }
    async fn read_events(&self, query: &EventQuery, sink: &EventSink) -> Result<()> {
        self.inner.read_events(query, sink).await
    }
}

#[async_trait]
impl ImageEngine for FaultyEngine {
    async fn list_images(&self, listing: &ImageListing) -> Result<Listing<ImageSummary>> {
        self.inner.list_images(listing).await
    }
    async fn inspect_image(&self, image: &ImageName) -> Result<EngineDocument> {
        self.inner.inspect_image(image).await
    }
    async fn image_manifest(&self, image: &ImageName) -> Result<Option<String>> {
        self.inner.image_manifest(image).await
    }
    async fn image_history(&self, image: &ImageName) -> Result<Vec<HistoryLayer>> {
        self.inner.image_history(image).await
    }
    async fn pull_image(
        &self,
        reference: &ImageReference,
        platform: Option<&str>,
        login: Option<&RegistryLogin>,
        progress: &ProgressSink,
    ) -> Result<Pulled> {
        self.inner.pull_image(reference, platform, login, progress).await
    }
    async fn push_image(
        &self,
        reference: &ImageReference,
        login: Option<&RegistryLogin>,
        progress: &ProgressSink,
    ) -> Result<Pushed> {
        self.inner.push_image(reference, login, progress).await
    }
    async fn save_images(&self, images: &[ImageName], sink: &ArchiveSink) -> Result<()> {
        self.inner.save_images(images, sink).await
    }
    async fn load_images(
        &self,
        archive: &Upload,
        progress: &ProgressSink,
    ) -> Result<Vec<ImageName>> {
        self.inner.load_images(archive, progress).await
    }
    async fn tag_image(&self, source: &ImageName, target: &ImageReference) -> Result<Change> {
        self.inner.tag_image(source, target).await
    }
    async fn remove_image(
        &self,
        image: &ImageName,
        force: bool,
        keep_parents: bool,
    ) -> Result<ImageRemoval> {
        self.inner.remove_image(image, force, keep_parents).await
    }
    async fn prune_images(&self, filters: &Filters) -> Result<PrunedImages> {
        self.inner.prune_images(filters).await
    }
    async fn resolve_image(
        &self,
        reference: &ImageReference,
        login: Option<&RegistryLogin>,
    ) -> Result<RemoteImage> {
        self.inner.resolve_image(reference, login).await
    }
}

#[async_trait]
impl ContainerEngine for FaultyEngine {
    async fn list_containers(
        &self,
        listing: &ContainerListing,
    ) -> Result<Listing<ContainerSummary>> {
        self.inner.list_containers(listing).await
    }
    async fn create_container(
        &self,
        name: Option<&ContainerName>,
        platform: Option<&str>,
        body: &Value,
    ) -> Result<Created> {
        if self.bug == Bug::LosesNetworks {
            let mut body = body.clone();
            body["NetworkingConfig"] = Value::Null;
            body["HostConfig"]["NetworkMode"] = "none".into();
            return self.inner.create_container(name, platform, &body).await;
        }
        self.inner.create_container(name, platform, body).await
    }
    async fn inspect_container(
        &self,
        container: &ContainerRef,
        size: bool,
    ) -> Result<EngineDocument> {
        if self.bug == Bug::NoLook && container.as_str().contains(".new-") {
            let message = "not checked";
            return Err(EngineError::new(ErrorKind::ContainerNotFound, "planted", message));
        }
        if self.bug == Bug::LongNames && container.as_str().contains(".bad-") {
            let message = "not the name of a container";
            return Err(EngineError::new(ErrorKind::BadRequest, "planted", message));
        }
        let mut found = self.inner.inspect_container(container, size).await?;
        self.remember(&found);
        if self.bug == Bug::NoFence {
            self.fence_in_the_eyes(&mut found);
        }
        Ok(found)
    }
    async fn start_container(&self, container: &ContainerRef) -> Result<Change> {
        self.inner.start_container(&self.called(container)).await
    }
    async fn stop_container(
        &self,
        container: &ContainerRef,
        timeout: Option<i64>,
    ) -> Result<Change> {
        self.inner.stop_container(&self.called(container), timeout).await
    }
    async fn restart_container(
        &self,
        container: &ContainerRef,
        timeout: Option<i64>,
    ) -> Result<()> {
        self.inner.restart_container(&self.called(container), timeout).await
    }
    async fn kill_container(&self, container: &ContainerRef, signal: Option<&str>) -> Result<()> {
        self.inner.kill_container(&self.called(container), signal).await
    }
    async fn pause_container(&self, container: &ContainerRef) -> Result<Change> {
        self.inner.pause_container(container).await
    }
    async fn unpause_container(&self, container: &ContainerRef) -> Result<Change> {
        self.inner.unpause_container(container).await
    }
    async fn rename_container(
        &self,
        container: &ContainerRef,
        name: &ContainerName,
    ) -> Result<Change> {
        let renamed = self.inner.rename_container(&self.called(container), name).await?;
        if self.bug == Bug::StartsAll && name.as_str() == TARGET {
            self.inner.start_container(container).await?;
        }
        Ok(renamed)
    }
    async fn update_container(
        &self,
        container: &ContainerRef,
        body: &Value,
    ) -> Result<Vec<String>> {
        if self.bug == Bug::NoFence && body["RestartPolicy"]["Name"] == "no" {
            self.lock().insert(format!("fenced {}", container.as_str()), String::new());
            return Ok(Vec::new());
        }
        self.inner.update_container(&self.called(container), body).await
    }
    async fn wait_container(
        &self,
        container: &ContainerRef,
        condition: WaitCondition,
    ) -> Result<ContainerExit> {
        self.inner.wait_container(container, condition).await
    }
    async fn list_processes(
        &self,
        container: &ContainerRef,
        ps_args: Option<&str>,
    ) -> Result<ProcessTable> {
        self.inner.list_processes(container, ps_args).await
    }
    async fn container_changes(&self, container: &ContainerRef) -> Result<Vec<FileChange>> {
        self.inner.container_changes(container).await
    }
    async fn remove_container(
        &self,
        container: &ContainerRef,
        force: bool,
        remove_volumes: bool,
    ) -> Result<()> {
        self.inner.remove_container(&self.called(container), force, remove_volumes).await
    }
    async fn run_in_container(
        &self,
        container: &ContainerRef,
        command: &[String],
    ) -> Result<CommandResult> {
        self.inner.run_in_container(container, command).await
    }
    async fn log_tail(&self, container: &ContainerRef, lines: u32) -> Result<Vec<String>> {
        self.inner.log_tail(container, lines).await
    }
    async fn read_logs(
        &self,
        container: &ContainerRef,
        query: &LogQuery,
        sink: &LogSink,
    ) -> Result<()> {
        self.inner.read_logs(container, query, sink).await
    }
    async fn read_stats(&self, container: &ContainerRef, sink: &StatsSink) -> Result<()> {
        self.inner.read_stats(container, sink).await
    }
    async fn prune_containers(&self, filters: &Filters) -> Result<PrunedContainers> {
        self.inner.prune_containers(filters).await
    }
}

impl ExecEngine for FaultyEngine {}

impl FileEngine for FaultyEngine {}

impl BuildEngine for FaultyEngine {}

#[async_trait]
impl NetworkEngine for FaultyEngine {
    async fn list_networks(&self, listing: &NetworkListing) -> Result<Listing<NetworkSummary>> {
        self.inner.list_networks(listing).await
    }
    async fn inspect_network(&self, network: &NetworkRef) -> Result<EngineDocument> {
        self.inner.inspect_network(network).await
    }
    async fn create_network(&self, body: &Value) -> Result<Created> {
        self.inner.create_network(body).await
    }
    async fn remove_network(&self, network: &NetworkRef) -> Result<()> {
        self.inner.remove_network(network).await
    }
    async fn prune_networks(&self, filters: &Filters) -> Result<Vec<String>> {
        self.inner.prune_networks(filters).await
    }
    async fn connect_network(
        &self,
        network: &str,
        container: &ContainerRef,
        endpoint: &Value,
    ) -> Result<Change> {
        self.inner.connect_network(network, container, endpoint).await
    }
    async fn disconnect_network(
        &self,
        network: &str,
        container: &ContainerRef,
        force: bool,
    ) -> Result<Change> {
        self.inner.disconnect_network(network, container, force).await
    }
}

#[async_trait]
impl VolumeEngine for FaultyEngine {
    async fn list_volumes(&self, listing: &VolumeListing) -> Result<VolumeList> {
        self.inner.list_volumes(listing).await
    }
    async fn inspect_volume(&self, volume: &VolumeName) -> Result<EngineDocument> {
        self.inner.inspect_volume(volume).await
    }
    async fn create_volume(&self, body: &Value) -> Result<EngineDocument> {
        self.inner.create_volume(body).await
    }
    async fn remove_volume(&self, volume: &VolumeName, force: bool) -> Result<()> {
        self.inner.remove_volume(volume, force).await
    }
    async fn prune_volumes(&self, filters: &Filters, all: bool) -> Result<PrunedVolumes> {
        self.inner.prune_volumes(filters, all).await
    }
}
