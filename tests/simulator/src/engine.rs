//! The model behind the trait `Engine`, in process and without a network.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use wharf_server::domain::{
    ContainerName, ContainerRef, Credential, Digest, ImageName, ImageReference, RegistryLogin,
    Secret,
};
use wharf_server::engine::{
    ApiVersion, Change, CommandResult, ContainerExit, ContainerListing, ContainerSummary, Created,
    Engine, EngineDocument, EngineError, ErrorKind, FileChange, HistoryLayer, ImageListing,
    ImageRemoval, ImageSummary, Listing, LoginAnswer, NetworkSummary, Ping, ProcessTable,
    ProgressSink, PrunedContainers, PrunedImages, Pulled, Pushed, RemoteImage, Result,
    WaitCondition, unsupported,
};

use crate::answers;
use crate::attempt::pause;
use crate::host::SimHost;
use crate::model::{Filters, ListQuery, Refusal, RegistryAuth, Step};
use crate::operation::Operation;
use crate::process::Process;
use crate::script::Script;

/// A simulated Engine. Clones are one Engine with one script.
#[derive(Clone)]
pub struct SimEngine {
    host: Arc<SimHost>,
    script: Arc<Script>,
    /// Whose calls these are; `None`: of the test itself.
    caller: Option<Process>,
}

impl SimEngine {
    /// The Engine of a host, without latency and faults.
    pub fn new(host: Arc<SimHost>) -> Self {
        Self { host, script: Arc::default(), caller: None }
    }

    /// The same Engine as a process sees it: its calls end with it.
    #[must_use]
    pub fn as_seen_by(&self, caller: Process) -> Self {
        Self { caller: Some(caller), ..self.clone() }
    }

    /// The process whose calls these are.
    pub(crate) fn caller(&self) -> Option<&Process> {
        self.caller.as_ref()
    }

    /// Latency, faults, and the log of calls.
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// The host behind it.
    pub fn host(&self) -> &Arc<SimHost> {
        &self.host
    }
}

#[async_trait]
impl Engine for SimEngine {
    async fn ping(&self) -> Result<Ping> {
        let begun = tokio::time::Instant::now();
        let (version, min, max) = self
            .at_once(Operation::Ping, "", |model, _, version| {
                Ok((version, model.options().min_api_version, model.options().api_version))
            })
            .await?;
        Ok(Ping {
            api_version: version,
            max_api_version: Some(max),
            min_api_version: Some(min),
            latency: begun.elapsed(),
        })
    }

    async fn version(&self) -> Result<EngineDocument> {
        self.document(Operation::Version, "", |model, _| Ok(model.version())).await
    }

    async fn info(&self) -> Result<EngineDocument> {
        self.document(Operation::Info, "", |model, _| Ok(model.info())).await
    }

    async fn disk_usage(&self) -> Result<EngineDocument> {
        self.document(Operation::DiskUsage, "", |model, version| Ok(model.disk_usage(version)))
            .await
    }

    async fn check_login(&self, login: &RegistryLogin) -> Result<LoginAnswer> {
        let auth = registry_auth(login);
        let answer = self
            .at_once(Operation::Login, login.registry().as_str(), |model, _, _| model.login(&auth))
            .await?;
        let token = answer["IdentityToken"].as_str().unwrap_or_default();
        Ok(LoginAnswer {
            status: answer["Status"].as_str().unwrap_or_default().to_owned(),
            identity_token: (!token.is_empty()).then(|| Secret::new(token)),
        })
    }

    async fn list_images(&self, listing: &ImageListing) -> Result<Listing<ImageSummary>> {
        self.at_once(Operation::ListImages, "", |model, _, version| {
            let items = model.list_images(version, &filters(&listing.filters))?;
            let items = items.iter().map(|item| answers::image(item, listing.keep_json)).collect();
            Ok(Listing { items, api_version: version })
        })
        .await
    }

    async fn inspect_image(&self, image: &ImageName) -> Result<EngineDocument> {
        let name = image.to_string();
        self.document(Operation::InspectImage, &name, |model, version| {
            model.inspect_image(version, &name)
        })
        .await
    }

    /// The model keeps one manifest of an image.
    async fn image_manifest(&self, _image: &ImageName) -> Result<Option<String>> {
        Ok(None)
    }

    async fn image_history(&self, image: &ImageName) -> Result<Vec<HistoryLayer>> {
        let name = image.to_string();
        self.at_once(Operation::ImageHistory, &name, |model, _, _| {
            model.image_history(&name).map(|layers| answers::history(&layers))
        })
        .await
    }

    async fn pull_image(
        &self,
        reference: &ImageReference,
        platform: Option<&str>,
        login: Option<&RegistryLogin>,
        progress: &ProgressSink,
    ) -> Result<Pulled> {
        check_login(Operation::Pull, reference, login)?;
        if platform.is_some() {
            let since = ApiVersion::new(1, 32);
            self.require(Operation::Pull, since, "a pull for a platform")?;
        }
        let parameters = reference.engine_pull_params();
        let auth = login.map(registry_auth);
        let name = reference.to_string();
        self.call(Operation::Pull, &name, async |version| {
            let plans = self.host.with(|model, _| {
                model.begin_pull(&parameters.from_image, &parameters.tag, platform, auth.as_ref())
            })?;
            let plan = &plans[0];
            show(&plan.steps, progress).await;
            self.host.with(|model, now| {
                let id = model.finish_pull(now, plan);
                if let (Some(tag), Some(_)) = (reference.tag(), reference.digest()) {
                    model.tag_image(now, &id, &reference.repository(), tag)?;
                }
                let json = model.inspect_image(version, &id)?;
                let architecture = json["Architecture"].as_str().unwrap_or_default();
                if let Some(wanted) = platform.and_then(|platform| platform.split('/').nth(1))
                    && wanted != architecture
                {
                    let message = format!(
                        "the registry has this image for linux/{architecture} and not for {}; it was pulled all the same",
                        platform.unwrap_or_default()
                    );
                    return Err(Refusal { status: 200, kind: ErrorKind::PullFailed, message });
                }
                let newer = answers::newer(&plan.steps);
                let image = EngineDocument { json: json.to_string(), api_version: version };
                Ok(Pulled { digest: Some(plan.digest().to_owned()), newer, image })
            })
        })
        .await
    }

    async fn push_image(
        &self,
        reference: &ImageReference,
        login: Option<&RegistryLogin>,
        progress: &ProgressSink,
    ) -> Result<Pushed> {
        check_login(Operation::Push, reference, login)?;
        if reference.digest().is_some() {
            let message = format!("{reference} has a digest, and only tags can be pushed");
            return Err(EngineError::new(ErrorKind::BadRequest, Operation::Push.name(), message));
        }
        let auth = login.map(registry_auth);
        let name = reference.to_string();
        self.call(Operation::Push, &name, async |_| {
            let tag = reference.tag().unwrap_or("latest");
            let plan = self
                .host
                .with(|model, _| model.begin_push(&reference.repository(), tag, auth.as_ref()))?;
            show(&plan.steps, progress).await;
            if let Some(refusal) = plan.failure {
                return Err(refusal);
            }
            self.host.with(|model, now| model.finish_push(now, &plan));
            Ok(answers::pushed(&plan.steps))
        })
        .await
    }

    async fn tag_image(&self, source: &ImageName, target: &ImageReference) -> Result<Change> {
        let name = source.to_string();
        if target.digest().is_some() {
            let message = format!("{target} has a digest, which cannot be given to an image");
            return Err(EngineError::new(ErrorKind::BadRequest, Operation::Tag.name(), message));
        }
        let target = target.clone().with_default_tag();
        self.at_once(Operation::Tag, &name, |model, now, _| {
            if model.is_tagged(&name, &target) {
                return Ok(Change::Already);
            }
            let tag = target.tag().unwrap_or_default();
            model.tag_image(now, &name, &target.repository(), tag)?;
            Ok(Change::Made)
        })
        .await
    }

    async fn remove_image(
        &self,
        image: &ImageName,
        force: bool,
        _keep_parents: bool,
    ) -> Result<ImageRemoval> {
        let name = image.to_string();
        self.at_once(Operation::RemoveImage, &name, |model, _, _| {
            model.remove_image(&name, force).map(|records| answers::removal(&records))
        })
        .await
    }

    async fn prune_images(&self, wanted: &wharf_server::engine::Filters) -> Result<PrunedImages> {
        self.require(Operation::PruneImages, ApiVersion::new(1, 25), "a prune")?;
        self.at_once(Operation::PruneImages, "", |model, _, _| {
            let answer = model.prune_images(&filters(wanted))?;
            Ok(PrunedImages {
                removal: answers::removal(&answer["ImagesDeleted"]),
                space_reclaimed: answer["SpaceReclaimed"].as_u64().unwrap_or(0),
            })
        })
        .await
    }

    async fn list_containers(
        &self,
        listing: &ContainerListing,
    ) -> Result<Listing<ContainerSummary>> {
        let query = ListQuery {
            all: listing.all,
            limit: usize::try_from(listing.limit).unwrap_or(usize::MAX),
            size: listing.size,
            filters: filters(&listing.filters),
        };
        self.at_once(Operation::ListContainers, "", |model, _, version| {
            let items = model.list(version, &query)?;
            let items =
                items.iter().map(|item| answers::container(item, listing.keep_json)).collect();
            Ok(Listing { items, api_version: version })
        })
        .await
    }

    async fn create_container(
        &self,
        name: Option<&ContainerName>,
        platform: Option<&str>,
        body: &Value,
    ) -> Result<Created> {
        if platform.is_some() {
            let since = ApiVersion::new(1, 41);
            self.require(Operation::Create, since, "a container for a platform")?;
        }
        let name = name.map(ContainerName::as_str);
        let unknown = unsupported(body, self.spoken());
        if !unknown.is_empty() {
            let message = unknown.join("; ");
            let kind = ErrorKind::Unsupported;
            return Err(EngineError::new(kind, Operation::Create.name(), message));
        }
        self.at_once(Operation::Create, name.unwrap_or_default(), |model, now, version| {
            let (id, warnings) = model.create(now, version, name, platform, body)?;
            Ok(Created { id, warnings })
        })
        .await
    }

    async fn inspect_container(
        &self,
        container: &ContainerRef,
        size: bool,
    ) -> Result<EngineDocument> {
        let name = container.as_str();
        self.document(Operation::Inspect, name, |model, version| model.inspect(version, name, size))
            .await
    }

    async fn inspect_container_as_of(
        &self,
        container: &ContainerRef,
        version: ApiVersion,
    ) -> Result<EngineDocument> {
        let name = container.as_str();
        let found = self.document(Operation::Inspect, name, |model, spoken| {
            model.inspect(spoken.min(version), name, false)
        });
        found.await.map(|it| EngineDocument { api_version: it.api_version.min(version), ..it })
    }

    async fn start_container(&self, container: &ContainerRef) -> Result<Change> {
        let name = container.as_str();
        self.at_once(Operation::Start, name, |model, now, _| model.start(now, name)).await
    }

    async fn stop_container(
        &self,
        container: &ContainerRef,
        timeout: Option<i64>,
    ) -> Result<Change> {
        let name = container.as_str();
        self.call(Operation::Stop, name, async |_| self.host.stop(name, timeout).await).await
    }

    async fn restart_container(
        &self,
        container: &ContainerRef,
        timeout: Option<i64>,
    ) -> Result<()> {
        let name = container.as_str();
        self.call(Operation::Restart, name, async |_| self.host.restart(name, timeout).await).await
    }

    async fn kill_container(&self, container: &ContainerRef, signal: Option<&str>) -> Result<()> {
        let name = container.as_str();
        self.at_once(Operation::Kill, name, |model, now, _| model.kill(now, name, signal)).await
    }

    async fn pause_container(&self, container: &ContainerRef) -> Result<Change> {
        let name = container.as_str();
        self.at_once(Operation::Pause, name, |model, now, _| {
            let paused = model.found(name)?.state.status == crate::model::Status::Paused;
            if paused {
                return Ok(Change::Already);
            }
            model.pause(now, name).map(|()| Change::Made)
        })
        .await
    }

    async fn unpause_container(&self, container: &ContainerRef) -> Result<Change> {
        let name = container.as_str();
        self.at_once(Operation::Unpause, name, |model, now, _| {
            use crate::model::Status::{Restarting, Running};
            if matches!(model.found(name)?.state.status, Running | Restarting) {
                return Ok(Change::Already);
            }
            model.unpause(now, name).map(|()| Change::Made)
        })
        .await
    }

    async fn rename_container(
        &self,
        container: &ContainerRef,
        name: &ContainerName,
    ) -> Result<Change> {
        let old = container.as_str();
        self.at_once(Operation::Rename, old, |model, _, _| {
            if model.found(old)?.name == name.as_str() {
                return Ok(Change::Already);
            }
            model.rename(old, name.as_str()).map(|()| Change::Made)
        })
        .await
    }

    async fn update_container(
        &self,
        container: &ContainerRef,
        body: &Value,
    ) -> Result<Vec<String>> {
        let name = container.as_str();
        self.at_once(Operation::Update, name, |model, _, _| {
            model.update(name, body).map(|answer| answers::texts(&answer["Warnings"]))
        })
        .await
    }

    async fn wait_container(
        &self,
        container: &ContainerRef,
        condition: WaitCondition,
    ) -> Result<ContainerExit> {
        if condition != WaitCondition::NotRunning {
            let since = ApiVersion::new(1, 30);
            self.require(Operation::Wait, since, "a wait with a condition")?;
        }
        let name = container.as_str();
        let answer = self
            .call(Operation::Wait, name, async |_| self.host.wait(name, condition).await)
            .await?;
        let exit_code = answer["StatusCode"].as_i64().unwrap_or(0);
        Ok(ContainerExit { exit_code, error: None })
    }

    async fn list_processes(
        &self,
        container: &ContainerRef,
        ps_args: Option<&str>,
    ) -> Result<ProcessTable> {
        let name = container.as_str();
        self.at_once(Operation::Top, name, |model, _, _| {
            let answer = model.top(name, ps_args.unwrap_or_default())?;
            let rows = answer["Processes"].as_array().map_or(&[][..], Vec::as_slice);
            Ok(ProcessTable {
                titles: answers::texts(&answer["Titles"]),
                processes: rows.iter().map(answers::texts).collect(),
            })
        })
        .await
    }

    async fn container_changes(&self, container: &ContainerRef) -> Result<Vec<FileChange>> {
        let name = container.as_str();
        self.at_once(Operation::Changes, name, |model, _, _| {
            model.found(name).map(crate::model::Container::changes)
        })
        .await
    }

    async fn list_networks(&self) -> Result<Listing<NetworkSummary>> {
        self.at_once(Operation::ListNetworks, "", |model, _, version| {
            let items = model.list_networks();
            let items = items.iter().map(answers::network).collect();
            Ok(Listing { items, api_version: version })
        })
        .await
    }

    async fn connect_network(
        &self,
        network: &str,
        container: &ContainerRef,
        endpoint: &Value,
    ) -> Result<Change> {
        let name = container.as_str();
        self.at_once(Operation::ConnectNetwork, name, |model, _, _| {
            match model.connect_network(network, name, endpoint) {
                Ok(()) => Ok(Change::Made),
                Err(refusal) if refusal.message.contains("already exists in network") => {
                    Ok(Change::Already)
                }
                Err(refusal) => Err(refusal),
            }
        })
        .await
    }

    async fn run_in_container(
        &self,
        container: &ContainerRef,
        command: &[String],
    ) -> Result<CommandResult> {
        let name = container.as_str();
        self.at_once(Operation::Exec, name, |model, _, _| model.run_command(name, command)).await
    }

    async fn log_tail(&self, container: &ContainerRef, lines: u32) -> Result<Vec<String>> {
        let name = container.as_str();
        let mut tail =
            self.at_once(Operation::Logs, name, |model, _, _| model.log_tail(name)).await?;
        let surplus = tail.len().saturating_sub(lines as usize);
        tail.drain(..surplus);
        Ok(tail)
    }

    async fn resolve_image(
        &self,
        reference: &ImageReference,
        login: Option<&RegistryLogin>,
    ) -> Result<RemoteImage> {
        check_login(Operation::Distribution, reference, login)?;
        let since = ApiVersion::new(1, 30);
        self.require(Operation::Distribution, since, "asking the registry for a digest")?;
        let parameters = reference.clone().with_default_tag().engine_pull_params();
        let auth = login.map(registry_auth);
        let digest = self
            .at_once(Operation::Distribution, &reference.to_string(), |model, _, _| {
                model.resolve_digest(&parameters.from_image, &parameters.tag, auth.as_ref())
            })
            .await?;
        let digest = Digest::parse(&digest).map_err(|error| {
            let operation = Operation::Distribution.name();
            EngineError::new(ErrorKind::BadAnswer, operation, error.to_string())
        })?;
        Ok(RemoteImage { digest, platforms: Vec::new() })
    }

    async fn remove_container(
        &self,
        container: &ContainerRef,
        force: bool,
        remove_volumes: bool,
    ) -> Result<()> {
        let name = container.as_str();
        self.call(Operation::Remove, name, async |_| {
            let id = self.host.with(|model, _| model.resolve(name))?;
            match self.host.remove(&id, force, remove_volumes).await {
                // Someone else removes it: the caller is told when that is done.
                Err(refusal) if refusal.kind == ErrorKind::RemovalInProgress => {
                    self.host.gone(&id).await;
                    Ok(())
                }
                result => result,
            }
        })
        .await
    }

    async fn prune_containers(
        &self,
        wanted: &wharf_server::engine::Filters,
    ) -> Result<PrunedContainers> {
        self.require(Operation::PruneContainers, ApiVersion::new(1, 25), "a prune")?;
        self.at_once(Operation::PruneContainers, "", |model, _, _| {
            let answer = model.prune_containers(&filters(wanted))?;
            Ok(PrunedContainers {
                ids: answers::texts(&answer["ContainersDeleted"]),
                space_reclaimed: answer["SpaceReclaimed"].as_u64().unwrap_or(0),
            })
        })
        .await
    }
}

/// Shows the lines of a transfer as they come.
async fn show(steps: &[Step], progress: &ProgressSink) {
    let mut transfer = answers::Progress::default();
    for step in steps {
        pause(step.after).await;
        progress.send_replace(transfer.read(&step.line));
    }
}

fn filters(filters: &wharf_server::engine::Filters) -> Filters {
    Filters::from(filters.clone())
}

fn registry_auth(login: &RegistryLogin) -> RegistryAuth {
    let (password, identity_token) = match login.credential() {
        Credential::Password(password) => (password.expose().to_owned(), String::new()),
        Credential::IdentityToken(token) => (String::new(), token.expose().to_owned()),
    };
    RegistryAuth {
        username: login.username().to_owned(),
        password,
        identity_token,
        server_address: login.registry().server_address().to_owned(),
    }
}

/// Credentials go to the registry they are for and to no other.
fn check_login(
    operation: Operation,
    reference: &ImageReference,
    login: Option<&RegistryLogin>,
) -> Result<()> {
    match login {
        Some(login) if *login.registry() != reference.registry() => {
            let (meant, registry) = (login.registry(), reference.registry());
            let message = format!("the login is for {meant} and the image is at {registry}");
            Err(EngineError::new(ErrorKind::BadRequest, operation.name(), message))
        }
        _ => Ok(()),
    }
}
