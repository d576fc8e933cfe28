//! The state of one Docker Engine, and the effect of each call of the Engine API.
//!
//! Pure: no clock, no async, no randomness. Every call gets the time, and first applies everything
//! that was due until then ([`Model::advance`]); [`Model::next_event`] returns when to check again.
//! [`crate::SimHost`] adds a clock and a lock.

mod archives;
mod behaviour;
mod build;
mod container;
mod content;
mod create;
mod create_body;
mod events;
mod files;
mod filters;
mod image_calls;
mod images;
mod json;
mod lifecycle;
mod list;
mod logs;
mod lookup;
mod mounts;
mod network;
mod network_calls;
mod options;
mod process;
mod reference;
mod refusal;
mod registry;
mod rollout_calls;
mod signal;
mod stats;
mod system;
mod time;
mod transfer;
mod update;
mod volume_calls;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use archives::LoadPlan;
pub use behaviour::{Behaviour, HealthScript, OnStop, StartError};
pub use build::{BuildPlan, BuildQuery};
pub use container::{
    Address, Container, Endpoint, Health, Mount, Probe, PublishedPort, State, Status,
};
pub use content::{ImageBuilder, ImageContent, Layer};
pub use events::event_json;
pub use filters::Filters;
pub use images::Image;
pub use list::ListQuery;
pub use logs::{LogEntry, LogQuery, LogView, log_time};
pub use network::Network;
pub use options::{EngineOptions, PingOptions, Timing};
pub use refusal::Refusal;
pub use registry::{Manifest, Registries, RegistryAuth, Repository, SimRegistry};
pub use rollout_calls::Interactive;
pub use signal::Signal;
pub use time::{NEVER, Time};
pub use transfer::{PullPlan, PushPlan, Step};

pub(crate) use json::parse_json;

use events::EventLog;
use images::Images;
use rollout_calls::Exec;

/// One Docker Engine.
#[derive(Debug, Clone)]
pub struct Model {
    options: EngineOptions,
    registries: Registries,
    images: Images,
    /// By ID.
    containers: BTreeMap<String, Container>,
    /// In the order of creation.
    order: Vec<String>,
    networks: Vec<Network>,
    volumes: BTreeMap<String, Volume>,
    events: EventLog,
    /// Commands in containers, by ID.
    execs: BTreeMap<String, Exec>,
    /// What containers that are gone exited with, for those who wait for the removal.
    removed: BTreeMap<String, i64>,
    counter: u64,
    next_host_port: u16,
    now: Time,
}

/// A volume of a host.
#[derive(Debug, Clone)]
pub struct Volume {
    /// When it was made.
    pub created: Time,
    /// Whether nobody named it.
    pub anonymous: bool,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

impl Volume {
    /// A volume that a container brought with it.
    pub(crate) fn new(created: Time, anonymous: bool) -> Self {
        Self { created, anonymous, options: BTreeMap::new(), labels: BTreeMap::new() }
    }
}

impl Model {
    /// An Engine without images and containers, that reaches these registries.
    pub fn new(options: EngineOptions, registries: Registries) -> Self {
        let images = Images::new(options.containerd_store);
        let networks = network::predefined(&options);
        Self {
            options,
            registries,
            images,
            containers: BTreeMap::new(),
            order: Vec::new(),
            networks,
            volumes: BTreeMap::new(),
            events: EventLog::default(),
            execs: BTreeMap::new(),
            removed: BTreeMap::new(),
            counter: 0,
            next_host_port: 32_768,
            now: Time::BEGINNING,
        }
    }

    /// Which Engine this is.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Changes which Engine this is, as an upgrade does. State stays.
    pub fn options_mut(&mut self) -> &mut EngineOptions {
        &mut self.options
    }

    /// The registries it reaches.
    pub fn registries(&self) -> &Registries {
        &self.registries
    }

    /// All containers in the order of creation.
    pub fn containers(&self) -> impl DoubleEndedIterator<Item = &Container> {
        self.order.iter().filter_map(|id| self.containers.get(id))
    }

    /// The container of that ID or name.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.resolve(name).ok().and_then(|id| self.containers.get(&id))
    }

    /// The removal of a container was started and failed, as where a mount is held: it can only be
    /// removed now.
    pub fn leave_dead(&mut self, name: &str) -> Result<(), Refusal> {
        let id = self.resolve(name)?;
        self.at(&id).state.status = Status::Dead;
        Ok(())
    }

    /// All images, newest first.
    pub fn images(&self) -> Vec<&Image> {
        self.images.all()
    }

    /// The volumes by name.
    pub fn volumes(&self) -> &BTreeMap<String, Volume> {
        &self.volumes
    }

    /// A new ID: 64 hexadecimal digits that follow from seed and count.
    pub(crate) fn new_id(&mut self, kind: &str) -> String {
        self.counter += 1;
        content::hex(&format!("{kind} {} {}", self.options.seed, self.counter))
    }
}
