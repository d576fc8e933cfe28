//! The calls about containers.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::time::sleep;

use super::link::Call;
use super::link::{Answer, bad_answer};
use super::{HttpEngine, command, logs, stats};
use crate::domain::{ContainerName, ContainerRef, quoted};
use crate::engine::operation::{
    CONTAINER_CHANGES, CREATE_CONTAINER, INSPECT_CONTAINER, KILL_CONTAINER, LIST_CONTAINERS,
    LIST_PROCESSES, Operation, PAUSE_CONTAINER, PRUNE_CONTAINERS, REMOVE_CONTAINER,
    RENAME_CONTAINER, RESTART_CONTAINER, START_CONTAINER, STOP_CONTAINER, UNPAUSE_CONTAINER,
    UPDATE_CONTAINER, WAIT_CONTAINER,
};
use crate::engine::wire::{ContainerPrune, Creation, Identified, Top, Update, Wait};
use crate::engine::written::WrittenItems;
use crate::engine::{
    ApiVersion, Change, CommandResult, ContainerEngine, ContainerExit, ContainerListing,
    ContainerSummary, ContainerWriter, Created, EngineDocument, EngineError, ErrorKind, FileChange,
    Filters, Inspection, Listing, LogQuery, LogSink, NetworkEngine, ProcessTable, PrunedContainers,
    Result, StatsSink, WaitCondition, WrittenContainers, in_form_of, split_endpoints, unsupported,
};

/// The API version that brought `platform` to creations.
const PLATFORM_SINCE: ApiVersion = ApiVersion::new(1, 41);
/// The API version that brought `signal` to stops. Older Engines ignore it.
const SIGNAL_SINCE: ApiVersion = ApiVersion::new(1, 42);
/// The API version that brought conditions to waits. Older Engines ignore them.
const CONDITION_SINCE: ApiVersion = ApiVersion::new(1, 30);
/// How often to check a removal in progress: initial and maximum delay.
const REMOVAL_POLL: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(800));

#[async_trait]
impl ContainerEngine for HttpEngine {
    async fn list_containers(
        &self,
        listing: &ContainerListing,
    ) -> Result<Listing<ContainerSummary>> {
        self.link.list(list_call(listing), listing.keep_json).await
    }

    async fn write_containers(
        &self,
        listing: &ContainerListing,
        writer: &dyn ContainerWriter,
    ) -> Result<WrittenContainers> {
        let begin = |version| WrittenItems::new(writer, version, listing.keep_json);
        let (items, _) = self.link.list_into(list_call(listing), begin).await?;
        Ok(items.into_written())
    }

    async fn create_container(
        &self,
        name: Option<&ContainerName>,
        platform: Option<&str>,
        body: &Value,
    ) -> Result<Created> {
        if platform.is_some() {
            self.link
                .require(&CREATE_CONTAINER, PLATFORM_SINCE, "a container for a platform")
                .await?;
        }
        let agreed = self.link.negotiated(&CREATE_CONTAINER).await?;
        let body = in_form_of(agreed.version, body.clone());
        let unknown = unsupported(&body, agreed.version);
        if agreed.is_exact && !unknown.is_empty() {
            let message = format!("{}; remove it, or upgrade the Engine", unknown.join("; "));
            return Err(EngineError::new(ErrorKind::Unsupported, CREATE_CONTAINER.name, message));
        }
        let (body, others) = split_endpoints(agreed.version, body);
        let call = Call::new(&CREATE_CONTAINER, &["containers", "create"])
            .with_some("name", name.map(ContainerName::as_str))
            .with_some("platform", platform)
            .with_json(body.to_string());
        let created: Created = self.link.send(call).await?.json::<Creation>().await?.into();
        for (network, endpoint) in others {
            let id = created.id.as_str();
            let container = ContainerRef::parse(id)
                .map_err(|error| bad_answer(&CREATE_CONTAINER, &error.to_string()))?;
            self.connect_network(&network, &container, &endpoint).await.map_err(|mut error| {
                let short = id.get(..12).unwrap_or(id);
                error.message = format!(
                    "container {short} was created and stays, but cannot be connected to {network}: {}",
                    error.message
                );
                error
            })?;
        }
        Ok(created)
    }

    async fn inspect_container(
        &self,
        container: &ContainerRef,
        size: bool,
    ) -> Result<EngineDocument> {
        let call = on(&INSPECT_CONTAINER, container, &["json"]).with_flag("size", size);
        checked(self.link.document(call).await?, container)
    }

    async fn inspect_container_as_of(
        &self,
        container: &ContainerRef,
        version: ApiVersion,
    ) -> Result<EngineDocument> {
        let spoken = self.link.negotiated(&INSPECT_CONTAINER).await?;
        if spoken.version <= version {
            return self.inspect_container(container, false).await;
        }
        let call = on(&INSPECT_CONTAINER, container, &["json"]);
        checked(self.link.document_as_of(call, version).await?, container)
    }

    async fn start_container(&self, container: &ContainerRef) -> Result<Change> {
        // Without a body: Engines treat one as host configuration.
        Ok(change(&self.link.send(on(&START_CONTAINER, container, &["start"])).await?))
    }

    async fn stop_container(
        &self,
        container: &ContainerRef,
        timeout: Option<i64>,
    ) -> Result<Change> {
        let call = on(&STOP_CONTAINER, container, &["stop"])
            .with_some("t", timeout.map(|seconds| seconds.to_string()));
        Ok(change(&self.link.send(call).await?))
    }

    async fn stop_with_signal(
        &self,
        container: &ContainerRef,
        restart: bool,
        timeout: Option<i64>,
        signal: &str,
    ) -> Result<Change> {
        let (operation, verb) =
            if restart { (&RESTART_CONTAINER, "restart") } else { (&STOP_CONTAINER, "stop") };
        self.link.require(operation, SIGNAL_SINCE, "a signal for a stop").await?;
        let call = on(operation, container, &[verb])
            .with_some("t", timeout.map(|seconds| seconds.to_string()))
            .with_some("signal", Some(signal));
        Ok(change(&self.link.send(call).await?))
    }

    async fn restart_container(
        &self,
        container: &ContainerRef,
        timeout: Option<i64>,
    ) -> Result<()> {
        let call = on(&RESTART_CONTAINER, container, &["restart"])
            .with_some("t", timeout.map(|seconds| seconds.to_string()));
        self.link.send(call).await.map(drop)
    }

    async fn kill_container(&self, container: &ContainerRef, signal: Option<&str>) -> Result<()> {
        self.link
            .send(on(&KILL_CONTAINER, container, &["kill"]).with_some("signal", signal))
            .await
            .map(drop)
    }

    async fn pause_container(&self, container: &ContainerRef) -> Result<Change> {
        let call = on(&PAUSE_CONTAINER, container, &["pause"]);
        self.unless(call, container, |found| found.paused).await
    }

    async fn unpause_container(&self, container: &ContainerRef) -> Result<Change> {
        let call = on(&UNPAUSE_CONTAINER, container, &["unpause"]);
        self.unless(call, container, |found| found.running && !found.paused).await
    }

    async fn rename_container(
        &self,
        container: &ContainerRef,
        name: &ContainerName,
    ) -> Result<Change> {
        let call = on(&RENAME_CONTAINER, container, &["rename"]).with("name", name.as_str());
        self.unless(call, container, |found| found.name == name.as_str()).await
    }

    async fn update_container(
        &self,
        container: &ContainerRef,
        body: &Value,
    ) -> Result<Vec<String>> {
        let call = on(&UPDATE_CONTAINER, container, &["update"]).with_json(body.to_string());
        Ok(self.link.send(call).await?.json::<Update>().await?.warnings)
    }

    async fn wait_container(
        &self,
        container: &ContainerRef,
        condition: WaitCondition,
    ) -> Result<ContainerExit> {
        let condition = match condition {
            WaitCondition::NotRunning => None,
            WaitCondition::NextExit => Some("next-exit"),
            WaitCondition::Removed => Some("removed"),
        };
        if condition.is_some() {
            self.link.require(&WAIT_CONTAINER, CONDITION_SINCE, "a wait with a condition").await?;
        }
        let call = on(&WAIT_CONTAINER, container, &["wait"]).with_some("condition", condition);
        Ok(self.link.send(call).await?.json::<Wait>().await?.into())
    }

    async fn list_processes(
        &self,
        container: &ContainerRef,
        ps_args: Option<&str>,
    ) -> Result<ProcessTable> {
        let call = on(&LIST_PROCESSES, container, &["top"]).with_some("ps_args", ps_args);
        Ok(self.link.send(call).await?.json::<Top>().await?.into())
    }

    async fn container_changes(&self, container: &ContainerRef) -> Result<Vec<FileChange>> {
        let call = on(&CONTAINER_CHANGES, container, &["changes"]);
        Ok(self.link.list(call, false).await?.items)
    }

    // Removes a container. Where someone else is removing it already, waits until that is done.
    async fn remove_container(
        &self,
        container: &ContainerRef,
        force: bool,
        remove_volumes: bool,
    ) -> Result<()> {
        let call = |container: &ContainerRef| {
            on(&REMOVE_CONTAINER, container, &[])
                .with_flag("force", force)
                .with_flag("v", remove_volumes)
        };
        match self.link.send(call(container)).await {
            Err(error) if error.kind == ErrorKind::RemovalInProgress => {}
            result => return result.map(drop),
        }
        // From here on by ID: once it is gone, its name may be that of another container.
        let id = match self.inspection(container).await {
            Ok(found) => ContainerRef::parse(&found.id)
                .map_err(|error| bad_answer(&INSPECT_CONTAINER, &error.to_string()))?,
            Err(error) if error.kind == ErrorKind::ContainerNotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let (mut pause, longest) = REMOVAL_POLL;
        loop {
            sleep(pause).await;
            match self.link.send(call(&id)).await {
                Ok(_) => return Ok(()),
                Err(error) => match error.kind {
                    ErrorKind::ContainerNotFound => return Ok(()),
                    ErrorKind::RemovalInProgress => pause = (pause * 2).min(longest),
                    _ => return Err(error),
                },
            }
        }
    }

    async fn prune_containers(&self, filters: &Filters) -> Result<PrunedContainers> {
        let call = Call::new(&PRUNE_CONTAINERS, &["containers", "prune"]).with_filters(filters);
        Ok(self.link.send(call).await?.json::<ContainerPrune>().await?.into())
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

    async fn read_logs(
        &self,
        container: &ContainerRef,
        query: &LogQuery,
        sink: &LogSink,
    ) -> Result<()> {
        logs::read(&self.link, container, query, sink).await
    }

    async fn read_stats(&self, container: &ContainerRef, sink: &StatsSink) -> Result<()> {
        stats::read(&self.link, container, sink).await
    }
}

fn list_call(listing: &ContainerListing) -> Call {
    Call::new(&LIST_CONTAINERS, &["containers", "json"])
        .with_flag("all", listing.all)
        .with_flag("size", listing.size)
        .with_some("limit", (listing.limit > 0).then(|| listing.limit.to_string()))
        .with_filters(&listing.filters)
}

fn on(operation: &'static Operation, container: &ContainerRef, rest: &[&str]) -> Call {
    let mut segments = vec!["containers", container.as_str()];
    segments.extend(rest);
    Call::new(operation, &segments)
}

/// An inspection with an ID, of the requested name or ID prefix: callers continue with that ID, up to a
/// removal.
fn checked(document: EngineDocument, requested: &ContainerRef) -> Result<EngineDocument> {
    let bad = |problem: String| Err(bad_answer(&INSPECT_CONTAINER, &problem));
    let found: Identified = match document.parse() {
        Ok(found) => found,
        Err(error) => return bad(error.to_string()),
    };
    let name = found.name.trim_start_matches('/');
    if name == requested.as_str() || found.id.starts_with(requested.as_str()) {
        return Ok(document);
    }
    let (name, id) = (quoted(name), quoted(&found.id));
    bad(format!("it describes another container, {name} with ID {id}"))
}

fn change(answer: &Answer) -> Change {
    if answer.status == http::StatusCode::NOT_MODIFIED { Change::Already } else { Change::Made }
}

impl HttpEngine {
    /// Makes a call that fails if there is nothing to do, and then checks whether that is the reason:
    /// statuses and texts differ between Engines.
    async fn unless(
        &self,
        call: Call,
        container: &ContainerRef,
        is_so: impl Fn(&Inspection) -> bool,
    ) -> Result<Change> {
        let Err(error) = self.link.send(call).await else { return Ok(Change::Made) };
        let refused = matches!(
            error.kind,
            ErrorKind::BadRequest | ErrorKind::Conflict | ErrorKind::NameInUse | ErrorKind::Engine
        );
        if refused && self.inspection(container).await.is_ok_and(|found| is_so(&found)) {
            Ok(Change::Already)
        } else {
            Err(error)
        }
    }

    async fn inspection(&self, container: &ContainerRef) -> Result<Inspection> {
        Inspection::read(&self.inspect_container(container, false).await?)
    }
}
