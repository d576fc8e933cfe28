//! The stats of one host. About every second, asks which containers there are, follows those that
//! run, and sends a frame of what is known of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use wharf::v1;
use wharf::v1::stream_stats_response::Event;

use super::frame::{self, Capacity};
use super::order::{Order, is_named};
use super::readers::Readers;
use crate::api::away::{is_away, quick, until_it_answers};
use crate::api::items::{ItemDone, Tally, item_problem};
use crate::api::system_views;
use crate::api::table::host_problem;
use crate::domain::ContainerRef;
use crate::engine::{ContainerListing, ContainerSummary, EngineError, ErrorKind};
use crate::fleet::fanout::HostCall;
use crate::fleet::{Done, HostError};

/// Time between two frames. Engines take one sample of each container in this time.
const FRAME: Duration = Duration::from_secs(1);
/// How long the first frame waits for the first samples.
const FIRST: Duration = Duration::from_secs(2);
/// How long the only frame waits for two samples of each container: podman takes them every five
/// seconds.
const COMPLETE: Duration = Duration::from_secs(12);
/// A list of containers may take this part of an Engine's time; a slow one is repeated less often.
const LIST_SHARE: u32 = 20;

/// The stats of one host.
pub struct StatsOfHost {
    call: HostCall<Event>,
    order: Arc<Order>,
    readers: Readers,
    capacity: Capacity,
    containers: Vec<ContainerSummary>,
    /// Containers of which the caller knows that they cannot be measured.
    reported: BTreeSet<String>,
    list_due: Instant,
}

impl StatsOfHost {
    /// For one call on one host.
    pub fn new(call: HostCall<Event>, order: Arc<Order>) -> Self {
        Self {
            readers: Readers::new(Arc::clone(&call.engine)),
            call,
            order,
            capacity: Capacity::default(),
            containers: Vec::new(),
            reported: BTreeSet::new(),
            list_due: Instant::now(),
        }
    }

    /// Sends frames until the caller cancels; with `once`, one frame.
    pub async fn run(mut self) -> Result<Done, HostError> {
        let mut tally = loop {
            match self.begin().await {
                Err(error) if !self.order.once && is_away(&error) => {
                    self.until_back(&error).await?;
                }
                result => break result?,
            }
        };
        if !self.order.containers.is_empty() && self.containers.is_empty() {
            return tally.outcome();
        }
        if self.order.once {
            self.readers.until(COMPLETE, |it| it.cpu_percent.is_some() || it.time.is_none()).await;
            for error in self.failures().await? {
                tally.count(Err(error));
            }
            self.send().await;
            return tally.outcome();
        }
        self.readers.until(FIRST, |_| true).await;
        let mut frames = interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            frames.tick().await;
            self.failures().await?;
            match self.refresh().await {
                Err(error) if is_away(&error) => {
                    self.until_back(&error).await?;
                    continue;
                }
                result => result?,
            }
            self.send().await;
        }
    }

    /// Finds the containers, and tells the caller which of the request are missing.
    async fn begin(&mut self) -> Result<Tally, HostError> {
        let info = system_views::engine_info(quick(self.call.engine.info()).await?)?;
        self.capacity = Capacity { cpus: info.cpus, memory: info.memory_bytes };
        self.refresh().await?;
        if self.order.containers.is_empty() {
            return Ok(Tally::of(self.containers.len()));
        }
        let mut tally = Tally::of(self.order.containers.len());
        for given in &self.order.containers {
            let found = self.containers.iter().find(|container| is_named(container, given));
            tally.count(match found {
                Some(found) => Ok(ItemDone { id: found.id.clone(), changed: false }),
                None => Err(self.item(given.as_str(), missing(given)).await),
            });
        }
        Ok(tally)
    }

    /// Asks which containers there are, unless that was asked a moment ago.
    async fn refresh(&mut self) -> Result<(), HostError> {
        let begun = Instant::now();
        if begun < self.list_due {
            return Ok(());
        }
        let listing = ContainerListing { all: self.order.all, ..ContainerListing::default() };
        let listed = quick(self.call.engine.list_containers(&listing)).await?.items;
        self.list_due = Instant::now() + begun.elapsed() * LIST_SHARE;
        self.containers = listed.into_iter().filter(|it| self.order.includes(it)).collect();
        self.readers.follow(&self.containers);
        Ok(())
    }

    /// Tells the caller which containers cannot be measured, each once. An error that is about the host
    /// is returned.
    async fn failures(&mut self) -> Result<Vec<HostError>, HostError> {
        let mut failed = Vec::new();
        for (id, error) in self.readers.ended().await {
            let kind = match &error {
                HostError::Engine(error) => Some(error.kind),
                _ => None,
            };
            let is_away = is_away(&error);
            // That a host is away, the next list says; one frame has no next list.
            if kind == Some(ErrorKind::ContainerNotFound) || is_away && !self.order.once {
                continue;
            }
            if kind == Some(ErrorKind::Unsupported) || is_away {
                return Err(error);
            }
            let found = self.containers.iter().find(|container| container.id == id);
            let name = found.and_then(|found| found.names.first()).unwrap_or(&id).clone();
            if self.reported.insert(id) {
                failed.push(self.item(&name, error).await);
            }
        }
        Ok(failed)
    }

    async fn item(&self, name: &str, error: HostError) -> HostError {
        let status = Some(item_problem(&self.call, name, &error).to_proto());
        let item = v1::ItemResult { name: name.to_owned(), status, ..v1::ItemResult::default() };
        self.call.emit(Event::Item(item)).await;
        error
    }

    async fn send(&self) {
        let mut rest = Vec::new().into_iter();
        let first = || {
            let container = |it| frame::container(it, self.readers.latest(&it.id).as_ref());
            let containers = self.containers.iter().map(container).collect();
            rest = frame::parts(containers, self.capacity).into_iter();
            Event::Frame(rest.next().unwrap_or_default())
        };
        self.call.emit_latest(first).await;
        for part in rest {
            self.call.emit(Event::Frame(part)).await;
        }
    }

    /// Tells the caller that the host is away, and waits until it answers again.
    async fn until_back(&mut self, error: &HostError) -> Result<(), HostError> {
        self.readers.clear();
        let status = Some(host_problem(self.call.host_name(), error).to_proto());
        self.call.emit(Event::Gap(v1::StatsGap { status: status.clone(), away: None })).await;
        let begun = Instant::now();
        until_it_answers(&*self.call.engine).await?;
        let away = prost_types::Duration::try_from(begun.elapsed()).ok();
        self.call.emit(Event::Gap(v1::StatsGap { status, away })).await;
        self.list_due = Instant::now();
        Ok(())
    }
}

fn missing(given: &ContainerRef) -> HostError {
    let message = format!("No such container: {given}");
    EngineError::new(ErrorKind::ContainerNotFound, "GET /containers/json", message).into()
}
