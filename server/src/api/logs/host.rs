//! The logs of one host: finds the containers, reads their logs at the same time, and, while they are
//! followed, outlives restarts of the Engine and replacements of containers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::stream::{self, FuturesUnordered, StreamExt};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep, sleep_until};
use wharf::v1;
use wharf::v1::stream_logs_response::Event;

use super::chunks::Chunks;
use super::order::{Order, Start, Which};
use super::outbox::Outbox;
use super::position::Position;
use super::reader::{OPENING, Read, read_log};
use super::successor::{self, Next};
use crate::api::away::{is_away, quick, until_it_answers};
use crate::api::items::{ItemDone, Tally, item_problem};
use crate::api::table::host_problem;
use crate::domain::ContainerRef;
use crate::engine::{ContainerListing, EngineError, ErrorKind, Filters, Inspection, LogTime};
use crate::fleet::fanout::HostCall;
use crate::fleet::{Done, HostError};

/// How often to look for what follows a container that has stopped: first and longest delay.
const LOOK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// How much the clocks of host and server may differ at `until`.
const CLOCKS: Duration = Duration::from_secs(1);

/// The logs of one host.
pub struct HostLogs {
    out: Outbox,
    order: Arc<Order>,
    opening: Semaphore,
    /// How often the host came back. The lock is held by the one who waits for it.
    returns: AtomicU64,
    away: Mutex<()>,
}

/// A container whose log is read.
#[derive(Debug, Clone)]
struct Target {
    id: ContainerRef,
    name: String,
    /// As in the request.
    given: String,
    /// The name to follow; none if it was requested by ID.
    follows: Option<String>,
}

impl HostLogs {
    /// For one call on one host.
    pub fn new(call: HostCall<Event>, order: Arc<Order>) -> Self {
        let (opening, returns) = (Semaphore::new(OPENING), AtomicU64::new(0));
        Self { out: Outbox::new(call), order, opening, returns, away: Mutex::default() }
    }

    /// Reads all logs to their ends.
    pub async fn read(&self) -> Result<Done, HostError> {
        let mut after = self.order.after(self.out.call.host_name());
        let found = loop {
            let returns = self.returns();
            match self.find(&after).await {
                // The caller has read from it, so it is not a wrong address.
                Err(error) if self.order.follow && !after.is_empty() && is_away(&error) => {
                    self.until_back(returns, &error).await?;
                }
                result => break result?,
            }
        };
        let mut tally = Tally::of(found.len());
        let mut logs: FuturesUnordered<_> = found
            .into_iter()
            .map(|(given, target)| {
                let start = target.as_ref().ok().and_then(|it| after.remove(it.id.as_str()));
                let start = match start {
                    None => Start::New,
                    Some(position) if position == Position::default() => Start::Whole,
                    Some(position) => Start::After(position),
                };
                async move {
                    let result = match target {
                        Ok(target) => self.limited(target, start).await,
                        Err(error) => Err(error),
                    };
                    (given, result)
                }
            })
            .collect();
        while let Some((given, result)) = logs.next().await {
            let result = result.map_err(with_advice);
            let status = match &result {
                Ok(_) => tonic_types::pb::Status::default(),
                Err(error) => item_problem(&self.out.call, &given, error).to_proto(),
            };
            let id = result.as_ref().map_or_else(|_| String::new(), |done| done.id.clone());
            tally.count(result);
            let item = v1::ItemResult { name: given, id, changed: false, status: Some(status) };
            self.out.emit(Event::Item(item)).await;
        }
        tally.outcome()
    }

    /// The requested containers, and those that were read before and have been replaced since. A host
    /// that cannot be reached is an error.
    async fn find(
        &self,
        after: &BTreeMap<String, Position>,
    ) -> Result<Vec<(String, Result<Target, HostError>)>, HostError> {
        let mut found = match &self.order.which {
            Which::Named(names) => {
                let looked = stream::iter(names.clone())
                    .map(|name| async move { (name.to_string(), self.named(&name).await) });
                looked.buffered(OPENING).collect::<Vec<_>>().await
            }
            Which::Labelled(labels) => {
                let filters = Filters::from([("label".to_owned(), labels.clone())]);
                let listed = self.list(filters).await?;
                let target = |it: &crate::engine::ContainerSummary| {
                    let name = it.names.first().cloned().unwrap_or_default();
                    let target = Target {
                        id: ContainerRef::parse(&it.id).ok()?,
                        given: name.clone(),
                        follows: Some(name.clone()),
                        name,
                    };
                    Some((target.given.clone(), Ok(target)))
                };
                listed.iter().filter_map(target).collect()
            }
        };
        if let Some(place) =
            found.iter().position(|(_, target)| target.as_ref().is_err_and(is_away))
            && let (_, Err(error)) = found.swap_remove(place)
        {
            return Err(error);
        }
        let mut ids: Vec<String> = Vec::new();
        // A name and an ID may be of the same container.
        found.retain(|(_, target)| match target {
            Ok(target) if ids.iter().any(|id| id == target.id.as_str()) => false,
            Ok(target) => {
                ids.push(target.id.to_string());
                true
            }
            Err(_) => true,
        });
        for id in after.keys().filter(|id| !ids.contains(id)) {
            let Ok(id) = ContainerRef::parse(id) else { continue };
            if let Ok(mut target) = self.named(&id).await {
                target.follows = None;
                found.push((target.name.clone(), Ok(target)));
            }
        }
        Ok(found)
    }

    async fn named(&self, given: &ContainerRef) -> Result<Target, HostError> {
        let found = self.inspect(given).await?;
        let id = ContainerRef::parse(&found.id).map_err(|error| {
            let operation = "GET /containers/{id}/json";
            EngineError::new(ErrorKind::BadAnswer, operation, error.to_string())
        })?;
        let by_name = found.name == given.as_str();
        Ok(Target {
            id,
            name: found.name.clone(),
            given: given.to_string(),
            follows: by_name.then(|| found.name.clone()),
        })
    }

    /// One container and its successors, up to `until` if they are followed: Engines do not end a
    /// silent log then.
    async fn limited(&self, target: Target, start: Start) -> Result<ItemDone, HostError> {
        let id = target.id.to_string();
        let end = self.order.until.filter(|_| self.order.follow).map(instant);
        tokio::select! {
            result = self.one(target, start) => result,
            () = async {
                match end {
                    Some(end) => sleep_until(end).await,
                    None => std::future::pending().await,
                }
            } => Ok(ItemDone { id, changed: false }),
        }
    }

    async fn one(&self, mut target: Target, mut start: Start) -> Result<ItemDone, HostError> {
        let mut read_before: BTreeMap<String, Position> = BTreeMap::new();
        self.announce(&target, "").await;
        loop {
            let position = match start {
                Start::After(position) => position,
                Start::New | Start::Whole => Position::default(),
            };
            let mut chunks = Chunks::after(position, self.order.timestamps);
            let next = self.to_its_end(&target, start, &mut chunks).await?;
            let mut ready = Vec::new();
            chunks.finish(&mut ready);
            self.out.send(&target.id, &target.name, &mut ready).await;
            let Some(successor) = next else {
                return Ok(ItemDone { id: target.id.to_string(), changed: false });
            };
            let replaced = std::mem::replace(&mut target.id, successor).to_string();
            read_before.insert(replaced.clone(), chunks.position());
            // After a rollback, the name belongs to a container that was read before.
            start = match read_before.get(target.id.as_str()) {
                Some(position) => Start::After(*position),
                None => Start::Whole,
            };
            if let Some(name) = &target.follows {
                target.name.clone_from(name);
            }
            self.announce(&target, &replaced).await;
        }
    }

    async fn announce(&self, target: &Target, replaces: &str) {
        let container = v1::LogContainer {
            container_id: target.id.to_string(),
            name: target.name.clone(),
            replaces: replaces.to_owned(),
        };
        self.out.emit(Event::Container(container)).await;
    }

    /// Reads one log until there is no more of it. Returns the container to continue with.
    async fn to_its_end(
        &self,
        target: &Target,
        mut start: Start,
        chunks: &mut Chunks,
    ) -> Result<Option<ContainerRef>, HostError> {
        loop {
            let (returns, begun) = (self.returns(), Instant::now());
            let query = self.order.query(start, self.order.follow);
            let Read { anything, result } =
                read_log(&self.out, &target.id, &target.name, query, chunks, &self.opening).await;
            if chunks.position() != Position::default() {
                start = Start::After(chunks.position());
            }
            match result {
                Ok(()) if !self.order.follow => return Ok(None),
                Err(error) if self.order.follow && is_away(&error) => {
                    self.until_back(returns, &error).await?;
                }
                // It was removed since.
                Err(HostError::Engine(error))
                    if error.kind == ErrorKind::ContainerNotFound && self.order.follow => {}
                result => result?,
            }
            match self.next(target).await? {
                Some(id) if id == target.id && (anything || begun.elapsed() >= LOOK.1) => {}
                // An Engine that ends the log of a running container is not asked in a loop.
                Some(id) if id == target.id => sleep(LOOK.1).await,
                successor => {
                    self.rest(target, start, chunks).await?;
                    return Ok(successor);
                }
            }
        }
    }

    /// Reads what a container that has ended wrote last: Engines may end a followed log before they
    /// have stored that, such as a line without its end.
    async fn rest(
        &self,
        target: &Target,
        mut start: Start,
        chunks: &mut Chunks,
    ) -> Result<(), HostError> {
        loop {
            let returns = self.returns();
            let query = self.order.query(start, false);
            let Read { result, .. } =
                read_log(&self.out, &target.id, &target.name, query, chunks, &self.opening).await;
            if chunks.position() != Position::default() {
                start = Start::After(chunks.position());
            }
            match result {
                Err(error) if is_away(&error) => self.until_back(returns, &error).await?,
                Err(HostError::Engine(error)) if error.kind == ErrorKind::ContainerNotFound => {
                    return Ok(());
                }
                result => return result,
            }
        }
    }

    /// Waits for the container to run again, or for the one that replaces it. `None` if neither
    /// happens.
    async fn next(&self, target: &Target) -> Result<Option<ContainerRef>, HostError> {
        let (begun, (mut delay, longest)) = (Instant::now(), LOOK);
        loop {
            let returns = self.returns();
            let next = match self.look(target).await {
                Err(error) if is_away(&error) => {
                    self.until_back(returns, &error).await?;
                    continue;
                }
                result => result?,
            };
            match next {
                Next::Same => return Ok(Some(target.id.clone())),
                Next::Other { id } => return Ok(ContainerRef::parse(&id).ok()),
                Next::Wait(limit) if begun.elapsed() >= limit => return Ok(None),
                Next::Wait(_) => {}
            }
            sleep(delay).await;
            delay = (delay * 2).min(longest);
        }
    }

    async fn look(&self, target: &Target) -> Result<Next, HostError> {
        let found = match self.inspect(&target.id).await {
            Ok(found) => Some(found),
            Err(HostError::Engine(error)) if error.kind == ErrorKind::ContainerNotFound => None,
            Err(error) => return Err(error),
        };
        let name = target.follows.as_deref();
        let family = match name {
            // The filter is a regular expression, and finds the names that contain it.
            Some(name) if !found.as_ref().is_some_and(|found| found.running) => {
                let filters = [("name".to_owned(), vec![name.replace('.', "\\.")])];
                self.list(Filters::from(filters)).await?
            }
            _ => Vec::new(),
        };
        Ok(successor::next(target.id.as_str(), name, found.as_ref(), &family))
    }

    /// Waits until the host answers again. Only the first one that notices says so; `returns`: the
    /// count when its call began.
    async fn until_back(&self, returns: u64, error: &HostError) -> Result<(), HostError> {
        let _only_one = self.away.lock().await;
        if self.returns() != returns {
            return Ok(());
        }
        let status = Some(host_problem(self.out.call.host_name(), error).to_proto());
        self.out.emit(Event::Gap(v1::LogGap { status: status.clone(), away: None })).await;
        let away = until_it_answers(&*self.out.call.engine).await?;
        let away = prost_types::Duration::try_from(away).ok();
        self.returns.fetch_add(1, Ordering::AcqRel);
        self.out.emit(Event::Gap(v1::LogGap { status, away })).await;
        Ok(())
    }

    fn returns(&self) -> u64 {
        self.returns.load(Ordering::Acquire)
    }

    async fn inspect(&self, container: &ContainerRef) -> Result<Inspection, HostError> {
        let document = quick(self.out.call.engine.inspect_container(container, false)).await?;
        Ok(Inspection::read(&document)?)
    }

    async fn list(
        &self,
        filters: Filters,
    ) -> Result<Vec<crate::engine::ContainerSummary>, HostError> {
        let listing = ContainerListing { all: true, filters, ..ContainerListing::default() };
        Ok(quick(self.out.call.engine.list_containers(&listing)).await?.items)
    }
}

/// Adds what to do about a log that cannot be read.
fn with_advice(error: HostError) -> HostError {
    match error {
        HostError::Engine(mut error) if error.kind == ErrorKind::Unsupported => {
            error.message = format!(
                "{}; create the container with a log driver that can be read, such as local",
                error.message.trim_end_matches('.')
            );
            HostError::Engine(error)
        }
        error => error,
    }
}

/// When a time of the hosts is over.
fn instant(time: LogTime) -> Instant {
    let time = SystemTime::UNIX_EPOCH + Duration::new(time.seconds, time.nanos) + CLOCKS;
    let left = time.duration_since(SystemTime::now()).unwrap_or_default();
    // Nobody waits for longer than a century.
    Instant::now() + left.min(Duration::from_secs(100 * 365 * 86_400))
}
