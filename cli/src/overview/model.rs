//! What is known of the fleet, and what of it is shown. Pure.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use wharf::v1::{ContainerStats, HostStats, ResourceUsage, Rollout};

/// Everything that the screen depends on.
#[derive(Debug, Default)]
pub struct Model {
    /// The hosts by name.
    pub hosts: BTreeMap<String, Host>,
    /// The rollouts that have not ended.
    pub rollouts: Vec<Rollout>,
    /// Which table the keys move in.
    pub focus: Focus,
    /// The selected line of each table.
    pub host_cursor: Cursor<String>,
    /// The same, by host and ID.
    pub container_cursor: Cursor<(String, String)>,
    /// Only containers of this host are shown.
    pub only_host: Option<String>,
    /// Only containers whose HOST/NAME contains this are shown.
    pub filter: String,
    /// The order of the containers.
    pub sort: Sort,
    /// What keys mean.
    pub mode: Mode,
    /// The last message.
    pub note: Option<Note>,
    /// Why there is no connection to the server.
    pub lost: Option<String>,
}

/// What is known of a host.
#[derive(Debug, Default)]
pub struct Host {
    /// How it is.
    pub state: HostState,
    /// Its containers.
    pub containers: Vec<ContainerStats>,
    /// Parts of the next frame.
    pub parts: Vec<ContainerStats>,
    /// Their sum.
    pub total: HostStats,
}

/// How a host is.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub enum HostState {
    /// It said nothing so far.
    #[default]
    Waiting,
    /// It answers.
    Up,
    /// It cannot be reached now, and why.
    Away(String),
    /// It cannot be measured, and why.
    Failed(String),
}

/// A table.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// The containers.
    #[default]
    Containers,
    /// The hosts.
    Hosts,
}

/// An order of containers.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Most processor time first.
    #[default]
    Cpu,
    /// Most memory first.
    Memory,
    /// Most bytes over the network first.
    Network,
    /// By host and name.
    Name,
}

/// What keys mean.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Commands.
    #[default]
    Normal,
    /// The text of the filter.
    Filter,
    /// Any key closes the help.
    Help,
    /// Whether to stop a container.
    AskStop(Place),
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Name of the host.
    pub host: String,
    /// Full ID.
    pub id: String,
    /// Name.
    pub name: String,
}

/// A message for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// One line.
    pub text: String,
    /// Whether something failed.
    pub is_error: bool,
}

/// A selected line, which stays selected wherever the order puts it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Cursor<K> {
    key: Option<K>,
    /// Where it was: the next line takes its place when it is gone.
    index: usize,
}

impl<K: PartialEq + Clone> Cursor<K> {
    /// The index of the selected line among these; `None` if there are none.
    pub fn index(&self, keys: &[K]) -> Option<usize> {
        let found = self.key.as_ref().and_then(|key| keys.iter().position(|it| it == key));
        found.or_else(|| keys.len().checked_sub(1).map(|last| self.index.min(last)))
    }

    /// Moves by so many lines, and stops at the ends.
    pub fn step(&mut self, keys: &[K], by: isize) {
        let Some(index) = self.index(keys) else { return };
        self.index = index.saturating_add_signed(by).min(keys.len() - 1);
        self.key = keys.get(self.index).cloned();
    }

    /// Notes where the selected line is now. Until somebody moves, that is the first one.
    pub fn settle(&mut self, keys: &[K]) {
        if self.key.is_some() {
            self.step(keys, 0);
        }
    }
}

impl Sort {
    /// The next order.
    pub fn next(self) -> Self {
        match self {
            Self::Cpu => Self::Memory,
            Self::Memory => Self::Network,
            Self::Network => Self::Name,
            Self::Name => Self::Cpu,
        }
    }

    /// As the screen calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Memory => "memory",
            Self::Network => "network",
            Self::Name => "name",
        }
    }
}

impl Model {
    /// The containers that are shown, in their order, with their hosts.
    pub fn containers(&self) -> Vec<(&str, &ContainerStats)> {
        let wanted = self.filter.to_lowercase();
        let of_hosts = self
            .hosts
            .iter()
            .filter(|(name, _)| self.only_host.as_ref().is_none_or(|only| only == *name));
        let mut shown: Vec<(&str, &ContainerStats)> = of_hosts
            .flat_map(|(name, host)| host.containers.iter().map(move |it| (name.as_str(), it)))
            .filter(|(host, container)| {
                wanted.is_empty()
                    || format!("{host}/{}", container.name).to_lowercase().contains(&wanted)
            })
            .collect();
        // Stable, so that equal ones stay sorted by host and name.
        shown.sort_by(|(_, left), (_, right)| compare(self.sort, left, right));
        shown
    }

    /// What [`Self::container_cursor`] goes by.
    pub fn container_keys(&self) -> Vec<(String, String)> {
        let key = |(host, it): (&str, &ContainerStats)| (host.to_owned(), it.container_id.clone());
        self.containers().into_iter().map(key).collect()
    }

    /// What [`Self::host_cursor`] goes by.
    pub fn host_keys(&self) -> Vec<String> {
        self.hosts.keys().cloned().collect()
    }

    /// The selected container.
    pub fn selected(&self) -> Option<Place> {
        let index = self.container_cursor.index(&self.container_keys())?;
        let (host, container) = *self.containers().get(index)?;
        Some(Place {
            host: host.to_owned(),
            id: container.container_id.clone(),
            name: container.name.clone(),
        })
    }

    /// The selected host.
    pub fn selected_host(&self) -> Option<String> {
        let mut keys = self.host_keys();
        let index = self.host_cursor.index(&keys)?;
        Some(keys.swap_remove(index))
    }
}

fn compare(sort: Sort, left: &ContainerStats, right: &ContainerStats) -> Ordering {
    let number = |container: &ContainerStats| {
        let usage = container.usage.as_ref();
        usage.map_or(-1.0, |usage: &ResourceUsage| match sort {
            Sort::Cpu => usage.cpu_percent.unwrap_or(-0.5),
            Sort::Memory => usage.memory_bytes as f64,
            Sort::Network => usage.network_received_bytes as f64 + usage.network_sent_bytes as f64,
            Sort::Name => 0.0,
        })
    };
    match sort {
        Sort::Name => Ordering::Equal,
        _ => number(right).total_cmp(&number(left)),
    }
}
