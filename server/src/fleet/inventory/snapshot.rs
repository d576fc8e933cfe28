//! A snapshot of the inventory, merged from its sources. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::InventoryError;
use crate::config::FileHosts;
use crate::domain::{Cordon, Host, HostAddress, HostName, HostTls};
use crate::store::{StoredHost, StoredTls};

/// The hosts at one moment, sorted by name. Immutable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    generation: u64,
    hosts: BTreeMap<HostName, Arc<Host>>,
    warnings: BTreeMap<HostName, Vec<String>>,
    cordons: BTreeMap<HostName, Cordon>,
}

impl Snapshot {
    /// A snapshot of these hosts; of two with one name the later counts.
    pub fn of_hosts(hosts: impl IntoIterator<Item = Host>) -> Self {
        let hosts = hosts.into_iter().map(|host| (host.name.clone(), Arc::new(host))).collect();
        let mut snapshot = Self { hosts, ..Self::default() };
        snapshot.warn_of_shared_addresses();
        snapshot
    }

    /// Counts the changes since the server started.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The host with this name. An unchanged host is the same `Arc` in later snapshots.
    pub fn get(&self, name: &HostName) -> Option<&Arc<Host>> {
        self.hosts.get(name)
    }

    /// All hosts, sorted by name.
    pub fn hosts(&self) -> impl ExactSizeIterator<Item = &Arc<Host>> {
        self.hosts.values()
    }

    /// How many hosts there are.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether there are no hosts.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Warnings for a host, such as a second one with its address.
    pub fn warnings(&self, name: &HostName) -> &[String] {
        self.warnings.get(name).map_or(&[], Vec::as_slice)
    }

    /// The cordon of a host, if it has one.
    pub fn cordon_of(&self, name: &HostName) -> Option<&Cordon> {
        self.cordons.get(name)
    }

    /// Takes over the cordons of the hosts there are.
    pub(in crate::fleet) fn cordon(&mut self, cordons: &BTreeMap<HostName, Cordon>) {
        let known = cordons.iter().filter(|(name, _)| self.hosts.contains_key(*name));
        self.cordons = known.map(|(name, cordon)| (name.clone(), cordon.clone())).collect();
    }

    fn warn(&mut self, name: &HostName, warning: String) {
        self.warnings.entry(name.clone()).or_default().push(warning);
    }

    fn warn_of_shared_addresses(&mut self) {
        let mut by_address: BTreeMap<&HostAddress, Vec<&HostName>> = BTreeMap::new();
        for host in self.hosts.values() {
            by_address.entry(&host.address).or_default().push(&host.name);
        }
        let shared = by_address.into_iter().filter(|(_, names)| names.len() > 1);
        let mut warnings = Vec::new();
        for (address, names) in shared {
            for name in &names {
                let others: Vec<_> = names
                    .iter()
                    .filter(|other| *other != name)
                    .map(|other| other.as_str())
                    .collect();
                let others = others.join(", ");
                warnings
                    .push(((*name).clone(), format!("{others} also has the address {address}")));
            }
        }
        for (name, warning) in warnings {
            self.warn(&name, warning);
        }
    }
}

/// Creates the snapshot that follows `before`. A host of the file hides one of the store.
pub(super) fn compose(
    before: &Snapshot,
    file: &FileHosts,
    stored: &BTreeMap<HostName, StoredHost>,
) -> Result<Snapshot, InventoryError> {
    let mut hosts = Vec::new();
    let mut missing: BTreeMap<String, Vec<HostName>> = BTreeMap::new();
    for host in stored.values().filter(|host| !file.hosts.contains_key(&host.name)) {
        match resolve(host, file) {
            Some(host) => hosts.push(host),
            None => missing.entry(super::group_of(host)).or_default().push(host.name.clone()),
        }
    }
    if let Some((group, hosts)) = missing.into_iter().next() {
        return Err(InventoryError::GroupMissing { group, hosts });
    }
    hosts.extend(file.hosts.values().cloned());
    let mut snapshot = Snapshot::of_hosts(hosts);
    snapshot.generation = before.generation + 1;
    for host in snapshot.hosts.values_mut() {
        if let Some(known) = before.get(&host.name).filter(|known| *known == host) {
            *host = known.clone();
        }
    }
    for name in file.hosts.keys().filter(|name| stored.contains_key(*name)) {
        let warning = "hides a host of the same name that was added over the API; rename this one, or delete it from the file, send SIGHUP to wharfd, and remove the other";
        snapshot.warn(name, warning.to_owned());
    }
    Ok(snapshot)
}

/// The host with the material of its group; none if the file has no such group.
pub(super) fn resolve(stored: &StoredHost, file: &FileHosts) -> Option<Host> {
    let tls = match &stored.tls {
        StoredTls::Plain => None,
        StoredTls::Own(material) => Some(HostTls { group: None, material: material.clone() }),
        StoredTls::Group(group) => {
            let material = file.tls_groups.get(group)?.clone();
            Some(HostTls { group: Some(group.clone()), material })
        }
    };
    Some(Host {
        name: stored.name.clone(),
        address: stored.address.clone(),
        labels: stored.labels.clone(),
        source: stored.source,
        tls,
        insecure: stored.insecure,
        created_at: Some(stored.created_at),
    })
}
