//! The calls about containers.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::link::{Answer, Call, Link, bad_answer};
use crate::domain::{ContainerName, ContainerRef, quoted};
use crate::engine::operation::{
    CONNECT_NETWORK, CONTAINER_CHANGES, CREATE_CONTAINER, INSPECT_CONTAINER, KILL_CONTAINER,
    LIST_CONTAINERS, LIST_PROCESSES, Operation, PAUSE_CONTAINER, PRUNE_CONTAINERS,
    REMOVE_CONTAINER, RENAME_CONTAINER, RESTART_CONTAINER, START_CONTAINER, STOP_CONTAINER,
    UNPAUSE_CONTAINER, UPDATE_CONTAINER, WAIT_CONTAINER,
};
use crate::engine::wire::{
    ChangeItem, ContainerItem, ContainerPrune, Creation, Identified, Top, Update, Wait,
};
use crate::engine::{
    ApiVersion, Change, ContainerExit, ContainerListing, ContainerSummary, Created, EngineDocument,
    EngineError, ErrorKind, FileChange, Filters, Inspection, Listing, ProcessTable,
    PrunedContainers, Result, WaitCondition, in_form_of, split_endpoints, unsupported,
};

/// The API version that brought `platform` to creations.
const PLATFORM_SINCE: ApiVersion = ApiVersion::new(1, 41);
/// The API version that brought `signal` to stops. Older Engines ignore it.
const SIGNAL_SINCE: ApiVersion = ApiVersion::new(1, 42);
/// The API version that brought conditions to waits. Older Engines ignore them.
const CONDITION_SINCE: ApiVersion = ApiVersion::new(1, 30);
/// How often to check a removal in progress: initial and maximum delay.
const REMOVAL_POLL: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(800));

pub(super) async fn list(
    link: &Arc<Link>,
    listing: &ContainerListing,
) -> Result<Listing<ContainerSummary>> {
    let call = Call::new(&LIST_CONTAINERS, &["containers", "json"])
        .with_flag("all", listing.all)
        .with_flag("size", listing.size)
        .with_some("limit", (listing.limit > 0).then(|| listing.limit.to_string()))
        .with_filters(&listing.filters);
    link.list::<ContainerItem, _>(call, listing.keep_json).await
}

pub(super) async fn create(
    link: &Arc<Link>,
    name: Option<&ContainerName>,
    platform: Option<&str>,
    body: &Value,
) -> Result<Created> {
    if platform.is_some() {
        link.require(&CREATE_CONTAINER, PLATFORM_SINCE, "a container for a platform").await?;
    }
    let agreed = link.negotiated(&CREATE_CONTAINER).await?;
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
    let created: Created = link.send(call).await?.json::<Creation>().await?.into();
    for (network, endpoint) in others {
        let id = created.id.as_str();
        let container = ContainerRef::parse(id)
            .map_err(|error| bad_answer(&CREATE_CONTAINER, &error.to_string()))?;
        connect(link, &network, &container, &endpoint).await.map_err(|mut error| {
            let short = id.get(..12).unwrap_or(id);
            error.message = format!(
                "created as {short}, which stays, and not connected to {network}: {}",
                error.message
            );
            error
        })?;
    }
    Ok(created)
}

pub(super) async fn inspect(
    link: &Arc<Link>,
    container: &ContainerRef,
    size: bool,
) -> Result<EngineDocument> {
    let call = on(&INSPECT_CONTAINER, container, &["json"]).with_flag("size", size);
    checked(link.document(call).await?, container)
}

/// An inspection with an ID, of the container that was asked for by name or by the beginning of its
/// ID: callers go on with that ID, up to a removal.
fn checked(document: EngineDocument, asked: &ContainerRef) -> Result<EngineDocument> {
    let bad = |problem: String| Err(bad_answer(&INSPECT_CONTAINER, &problem));
    let found: Identified = match document.parse() {
        Ok(found) => found,
        Err(error) => return bad(error.to_string()),
    };
    let name = found.name.trim_start_matches('/');
    if name == asked.as_str() || found.id.starts_with(asked.as_str()) {
        return Ok(document);
    }
    let (name, id) = (quoted(name), quoted(&found.id));
    bad(format!("it describes another container, {name} with ID {id}"))
}

pub(super) async fn inspect_as_of(
    link: &Arc<Link>,
    container: &ContainerRef,
    version: ApiVersion,
) -> Result<EngineDocument> {
    let spoken = link.negotiated(&INSPECT_CONTAINER).await?;
    if spoken.version <= version {
        return inspect(link, container, false).await;
    }
    let call = on(&INSPECT_CONTAINER, container, &["json"]);
    checked(link.document_as_of(call, version).await?, container)
}

pub(super) async fn start(link: &Arc<Link>, container: &ContainerRef) -> Result<Change> {
    // Without a body: Engines treat one as host configuration.
    Ok(change(&link.send(on(&START_CONTAINER, container, &["start"])).await?))
}

pub(super) async fn stop(
    link: &Arc<Link>,
    container: &ContainerRef,
    timeout: Option<i64>,
) -> Result<Change> {
    let call = on(&STOP_CONTAINER, container, &["stop"])
        .with_some("t", timeout.map(|seconds| seconds.to_string()));
    Ok(change(&link.send(call).await?))
}

pub(super) async fn stop_with(
    link: &Arc<Link>,
    container: &ContainerRef,
    restart: bool,
    timeout: Option<i64>,
    signal: &str,
) -> Result<Change> {
    let (operation, verb) =
        if restart { (&RESTART_CONTAINER, "restart") } else { (&STOP_CONTAINER, "stop") };
    link.require(operation, SIGNAL_SINCE, "a signal for a stop").await?;
    let call = on(operation, container, &[verb])
        .with_some("t", timeout.map(|seconds| seconds.to_string()))
        .with_some("signal", Some(signal));
    Ok(change(&link.send(call).await?))
}

pub(super) async fn restart(
    link: &Arc<Link>,
    container: &ContainerRef,
    timeout: Option<i64>,
) -> Result<()> {
    let call = on(&RESTART_CONTAINER, container, &["restart"])
        .with_some("t", timeout.map(|seconds| seconds.to_string()));
    link.send(call).await.map(drop)
}

pub(super) async fn kill(
    link: &Arc<Link>,
    container: &ContainerRef,
    signal: Option<&str>,
) -> Result<()> {
    link.send(on(&KILL_CONTAINER, container, &["kill"]).with_some("signal", signal)).await.map(drop)
}

pub(super) async fn pause(link: &Arc<Link>, container: &ContainerRef) -> Result<Change> {
    let call = on(&PAUSE_CONTAINER, container, &["pause"]);
    unless(link, call, container, |found| found.paused).await
}

pub(super) async fn unpause(link: &Arc<Link>, container: &ContainerRef) -> Result<Change> {
    let call = on(&UNPAUSE_CONTAINER, container, &["unpause"]);
    unless(link, call, container, |found| found.running && !found.paused).await
}

pub(super) async fn rename(
    link: &Arc<Link>,
    container: &ContainerRef,
    name: &ContainerName,
) -> Result<Change> {
    let call = on(&RENAME_CONTAINER, container, &["rename"]).with("name", name.as_str());
    unless(link, call, container, |found| found.name == name.as_str()).await
}

pub(super) async fn update(
    link: &Arc<Link>,
    container: &ContainerRef,
    body: &Value,
) -> Result<Vec<String>> {
    let call = on(&UPDATE_CONTAINER, container, &["update"]).with_json(body.to_string());
    Ok(link.send(call).await?.json::<Update>().await?.warnings)
}

pub(super) async fn wait(
    link: &Arc<Link>,
    container: &ContainerRef,
    condition: WaitCondition,
) -> Result<ContainerExit> {
    let condition = match condition {
        WaitCondition::NotRunning => None,
        WaitCondition::NextExit => Some("next-exit"),
        WaitCondition::Removed => Some("removed"),
    };
    if condition.is_some() {
        link.require(&WAIT_CONTAINER, CONDITION_SINCE, "a wait with a condition").await?;
    }
    let call = on(&WAIT_CONTAINER, container, &["wait"]).with_some("condition", condition);
    Ok(link.send(call).await?.json::<Wait>().await?.into())
}

pub(super) async fn processes(
    link: &Arc<Link>,
    container: &ContainerRef,
    ps_args: Option<&str>,
) -> Result<ProcessTable> {
    let call = on(&LIST_PROCESSES, container, &["top"]).with_some("ps_args", ps_args);
    Ok(link.send(call).await?.json::<Top>().await?.into())
}

pub(super) async fn changes(link: &Arc<Link>, container: &ContainerRef) -> Result<Vec<FileChange>> {
    let call = on(&CONTAINER_CHANGES, container, &["changes"]);
    Ok(link.list::<ChangeItem, _>(call, false).await?.items)
}

/// Removes a container. If somebody else is already removing it, waits until that is done.
pub(super) async fn remove(
    link: &Arc<Link>,
    container: &ContainerRef,
    force: bool,
    remove_volumes: bool,
) -> Result<()> {
    let call = |container: &ContainerRef| {
        on(&REMOVE_CONTAINER, container, &[])
            .with_flag("force", force)
            .with_flag("v", remove_volumes)
    };
    match link.send(call(container)).await {
        Err(error) if error.kind == ErrorKind::RemovalInProgress => {}
        result => return result.map(drop),
    }
    // From here on by ID: once it is gone, its name may be that of another container.
    let id = match inspection(link, container).await {
        Ok(found) => ContainerRef::parse(&found.id)
            .map_err(|error| bad_answer(&INSPECT_CONTAINER, &error.to_string()))?,
        Err(error) if error.kind == ErrorKind::ContainerNotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let (mut pause, longest) = REMOVAL_POLL;
    loop {
        sleep(pause).await;
        match link.send(call(&id)).await {
            Ok(_) => return Ok(()),
            Err(error) => match error.kind {
                ErrorKind::ContainerNotFound => return Ok(()),
                ErrorKind::RemovalInProgress => pause = (pause * 2).min(longest),
                _ => return Err(error),
            },
        }
    }
}

pub(super) async fn connect(
    link: &Arc<Link>,
    network: &str,
    container: &ContainerRef,
    endpoint: &Value,
) -> Result<Change> {
    let body = json!({ "Container": container.as_str(), "EndpointConfig": endpoint });
    let call =
        Call::new(&CONNECT_NETWORK, &["networks", network, "connect"]).with_json(body.to_string());
    let Err(error) = link.send(call).await else { return Ok(Change::Made) };
    if error.is_connected_already() { Ok(Change::Already) } else { Err(error) }
}

pub(super) async fn prune(link: &Arc<Link>, filters: &Filters) -> Result<PrunedContainers> {
    let call = Call::new(&PRUNE_CONTAINERS, &["containers", "prune"]).with_filters(filters);
    Ok(link.send(call).await?.json::<ContainerPrune>().await?.into())
}

fn on(operation: &'static Operation, container: &ContainerRef, rest: &[&str]) -> Call {
    let mut segments = vec!["containers", container.as_str()];
    segments.extend(rest);
    Call::new(operation, &segments)
}

fn change(answer: &Answer) -> Change {
    if answer.status == http::StatusCode::NOT_MODIFIED { Change::Already } else { Change::Made }
}

/// Makes a call that fails if there is nothing to do, and then checks whether that is the reason:
/// statuses and texts differ between Engines.
async fn unless(
    link: &Arc<Link>,
    call: Call,
    container: &ContainerRef,
    is_so: impl Fn(&Inspection) -> bool,
) -> Result<Change> {
    let Err(error) = link.send(call).await else { return Ok(Change::Made) };
    let refused = matches!(
        error.kind,
        ErrorKind::BadRequest | ErrorKind::Conflict | ErrorKind::NameInUse | ErrorKind::Engine
    );
    if refused && inspection(link, container).await.is_ok_and(|found| is_so(&found)) {
        Ok(Change::Already)
    } else {
        Err(error)
    }
}

async fn inspection(link: &Arc<Link>, container: &ContainerRef) -> Result<Inspection> {
    Inspection::read(&inspect(link, container, false).await?)
}
