//! A Docker Engine over its HTTP API: the only user of reqwest.
//!
//! ```text
//! HttpConnector  makes and shares clients
//! HttpEngine     the trait, call by call
//!   system, images, containers, transfer    what a call means
//!     link       sends it, reads the answer, classifies failures
//!       negotiate   API version, once for each host
//!       lanes       which calls go at the same time, over which connection
//! ```

mod answers;
mod command;
mod connector;
mod containers;
mod images;
mod lanes;
mod link;
mod path;
pub mod probe;
mod system;
mod transfer;
mod transport;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

pub use connector::{ConnectorSettings, HttpConnector};

use self::link::Link;
use super::{
    ApiVersion, Change, CommandResult, ContainerExit, ContainerListing, ContainerSummary, Created,
    Engine, EngineDocument, FileChange, Filters, HistoryLayer, ImageListing, ImageRemoval,
    ImageSummary, Listing, LoginAnswer, NetworkSummary, Ping, ProcessTable, ProgressSink,
    PrunedContainers, PrunedImages, Pulled, Pushed, RemoteImage, Result, WaitCondition,
};
use crate::domain::{ContainerName, ContainerRef, ImageName, ImageReference, RegistryLogin};

/// One Docker Engine over HTTP. Created by [`HttpConnector::engine`].
#[derive(Debug)]
pub struct HttpEngine {
    link: Arc<Link>,
}

impl HttpEngine {
    fn new(link: Link) -> Self {
        Self { link: Arc::new(link) }
    }
}

#[async_trait]
impl Engine for HttpEngine {
    async fn ping(&self) -> Result<Ping> {
        system::ping(&self.link).await
    }

    async fn version(&self) -> Result<EngineDocument> {
        system::version(&self.link).await
    }

    async fn info(&self) -> Result<EngineDocument> {
        system::info(&self.link).await
    }

    async fn disk_usage(&self) -> Result<EngineDocument> {
        system::disk_usage(&self.link).await
    }

    async fn check_login(&self, login: &RegistryLogin) -> Result<LoginAnswer> {
        system::check_login(&self.link, login).await
    }

    async fn list_images(&self, listing: &ImageListing) -> Result<Listing<ImageSummary>> {
        images::list(&self.link, listing).await
    }

    async fn inspect_image(&self, image: &ImageName) -> Result<EngineDocument> {
        images::inspect(&self.link, image).await
    }

    async fn image_manifest(&self, image: &ImageName) -> Result<Option<String>> {
        images::manifest(&self.link, image).await
    }

    async fn image_history(&self, image: &ImageName) -> Result<Vec<HistoryLayer>> {
        images::history(&self.link, image).await
    }

    async fn pull_image(
        &self,
        reference: &ImageReference,
        platform: Option<&str>,
        login: Option<&RegistryLogin>,
        progress: &ProgressSink,
    ) -> Result<Pulled> {
        transfer::pull(&self.link, reference, platform, login, progress).await
    }

    async fn push_image(
        &self,
        reference: &ImageReference,
        login: Option<&RegistryLogin>,
        progress: &ProgressSink,
    ) -> Result<Pushed> {
        transfer::push(&self.link, reference, login, progress).await
    }

    async fn tag_image(&self, source: &ImageName, target: &ImageReference) -> Result<Change> {
        images::tag(&self.link, source, target).await
    }

    async fn remove_image(
        &self,
        image: &ImageName,
        force: bool,
        keep_parents: bool,
    ) -> Result<ImageRemoval> {
        images::remove(&self.link, image, force, keep_parents).await
    }

    async fn prune_images(&self, filters: &Filters) -> Result<PrunedImages> {
        images::prune(&self.link, filters).await
    }

    async fn list_containers(
        &self,
        listing: &ContainerListing,
    ) -> Result<Listing<ContainerSummary>> {
        containers::list(&self.link, listing).await
    }

    async fn create_container(
        &self,
        name: Option<&ContainerName>,
        platform: Option<&str>,
        body: &Value,
    ) -> Result<Created> {
        containers::create(&self.link, name, platform, body).await
    }

    async fn inspect_container(
        &self,
        container: &ContainerRef,
        size: bool,
    ) -> Result<EngineDocument> {
        containers::inspect(&self.link, container, size).await
    }

    async fn inspect_container_as_of(
        &self,
        container: &ContainerRef,
        version: ApiVersion,
    ) -> Result<EngineDocument> {
        containers::inspect_as_of(&self.link, container, version).await
    }

    async fn start_container(&self, container: &ContainerRef) -> Result<Change> {
        containers::start(&self.link, container).await
    }

    async fn stop_container(
        &self,
        container: &ContainerRef,
        timeout: Option<i64>,
    ) -> Result<Change> {
        containers::stop(&self.link, container, timeout).await
    }

    async fn stop_with_signal(
        &self,
        container: &ContainerRef,
        restart: bool,
        timeout: Option<i64>,
        signal: &str,
    ) -> Result<Change> {
        containers::stop_with(&self.link, container, restart, timeout, signal).await
    }

    async fn restart_container(
        &self,
        container: &ContainerRef,
        timeout: Option<i64>,
    ) -> Result<()> {
        containers::restart(&self.link, container, timeout).await
    }

    async fn kill_container(&self, container: &ContainerRef, signal: Option<&str>) -> Result<()> {
        containers::kill(&self.link, container, signal).await
    }

    async fn pause_container(&self, container: &ContainerRef) -> Result<Change> {
        containers::pause(&self.link, container).await
    }

    async fn unpause_container(&self, container: &ContainerRef) -> Result<Change> {
        containers::unpause(&self.link, container).await
    }

    async fn rename_container(
        &self,
        container: &ContainerRef,
        name: &ContainerName,
    ) -> Result<Change> {
        containers::rename(&self.link, container, name).await
    }

    async fn update_container(
        &self,
        container: &ContainerRef,
        body: &Value,
    ) -> Result<Vec<String>> {
        containers::update(&self.link, container, body).await
    }

    async fn wait_container(
        &self,
        container: &ContainerRef,
        condition: WaitCondition,
    ) -> Result<ContainerExit> {
        containers::wait(&self.link, container, condition).await
    }

    async fn list_processes(
        &self,
        container: &ContainerRef,
        ps_args: Option<&str>,
    ) -> Result<ProcessTable> {
        containers::processes(&self.link, container, ps_args).await
    }

    async fn container_changes(&self, container: &ContainerRef) -> Result<Vec<FileChange>> {
        containers::changes(&self.link, container).await
    }

    async fn remove_container(
        &self,
        container: &ContainerRef,
        force: bool,
        remove_volumes: bool,
    ) -> Result<()> {
        containers::remove(&self.link, container, force, remove_volumes).await
    }

    async fn list_networks(&self) -> Result<Listing<NetworkSummary>> {
        system::networks(&self.link).await
    }

    async fn connect_network(
        &self,
        network: &str,
        container: &ContainerRef,
        endpoint: &Value,
    ) -> Result<Change> {
        containers::connect(&self.link, network, container, endpoint).await
    }

    async fn run_in_container(
        &self,
        container: &ContainerRef,
        command: &[String],
    ) -> Result<CommandResult> {
        command::run(&self.link, container, command).await
    }

    async fn log_tail(&self, container: &ContainerRef, lines: u32) -> Result<Vec<String>> {
        command::log_tail(&self.link, container, lines).await
    }

    async fn resolve_image(
        &self,
        reference: &ImageReference,
        login: Option<&RegistryLogin>,
    ) -> Result<RemoteImage> {
        transfer::resolve(&self.link, reference, login).await
    }

    async fn prune_containers(&self, filters: &Filters) -> Result<PrunedContainers> {
        containers::prune(&self.link, filters).await
    }
}
