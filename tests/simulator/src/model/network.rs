//! Networks of a host, and the addresses and ports of a running container.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::Value;
use wharf_server::engine::ErrorKind;

use super::container::{Address, PublishedPort};
use super::content::hex;
use super::refusal::Refusal;
use super::time::Time;
use super::{EngineOptions, Model};

/// A network of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Such as `bridge`.
    pub name: String,
    /// `bridge`, `host`, `null` or another.
    pub driver: String,
    /// When it was made.
    pub(super) created: Time,
    /// Its addresses; none for `host` and `none`.
    pub(super) range: Option<Range>,
    /// What its creator asked for.
    pub(super) wanted: Value,
}

/// The addresses of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub first: u32,
    pub prefix: u32,
}

impl Range {
    /// `172.x.0.0/16`, as the Engine chooses.
    pub(super) fn of_engine(x: u8) -> Self {
        Self { first: u32::from_be_bytes([172, x, 0, 0]), prefix: 16 }
    }

    /// Reads CIDR notation of IPv4.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let prefix: u32 = prefix.parse().ok().filter(|prefix| (1..=30).contains(prefix))?;
        let address = u32::from(address.parse::<Ipv4Addr>().ok()?);
        Some(Self { first: address & (u32::MAX << (32 - prefix)), prefix })
    }

    pub(super) fn overlaps(self, other: Self) -> bool {
        let mask = u32::MAX << (32 - self.prefix.min(other.prefix));
        self.first & mask == other.first & mask
    }

    pub(super) fn nth(self, n: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.first + n)
    }
}

/// What every Engine has.
pub(super) fn predefined(options: &EngineOptions) -> Vec<Network> {
    let network = |name: &str, driver: &str, range| Network {
        id: hex(&format!("network {} {name}", options.seed)),
        name: name.to_owned(),
        driver: driver.to_owned(),
        created: Time::BEGINNING,
        range,
        wanted: Value::Null,
    };
    let own = Some(Range::of_engine(17));
    vec![
        network("bridge", "bridge", own),
        network("host", "host", None),
        network("none", "null", None),
    ]
}

impl Network {
    /// The gateway: what was asked for, or the first address.
    pub(super) fn gateway(&self) -> Option<String> {
        let own = self.wanted["IPAM"]["Config"][0]["Gateway"].as_str();
        let range = self.range?;
        Some(own.map_or_else(|| range.nth(1).to_string(), str::to_owned))
    }

    /// Whether it is one that callers make: only those have names for containers.
    pub(super) fn user_defined(&self) -> bool {
        !matches!(self.name.as_str(), "bridge" | "host" | "none")
    }
}

impl Model {
    /// Makes a network and gives its ID.
    pub fn add_network(&mut self, name: &str) -> String {
        let (created, range) = (self.now, self.free_range());
        self.insert_network(created, name, Some(range), Value::Null)
    }

    pub(super) fn insert_network(
        &mut self,
        created: Time,
        name: &str,
        range: Option<Range>,
        wanted: Value,
    ) -> String {
        let id = self.new_id("network");
        let driver = wanted["Driver"].as_str().filter(|it| !it.is_empty()).unwrap_or("bridge");
        let driver = driver.to_owned();
        let name = name.to_owned();
        self.networks.push(Network { id: id.clone(), name, driver, created, range, wanted });
        id
    }

    /// The next range that the Engine would choose.
    pub(super) fn free_range(&self) -> Range {
        let taken = |range: &Range| {
            self.networks.iter().filter_map(|it| it.range).any(|other| other.overlaps(*range))
        };
        (18..u8::MAX).map(Range::of_engine).find(|it| !taken(it)).unwrap_or(Range::of_engine(255))
    }

    /// Removes a network; containers keep its name and fail to start.
    pub fn remove_network(&mut self, name: &str) {
        self.networks.retain(|network| network.name != name);
    }

    /// The network of that name or ID.
    pub fn network(&self, name: &str) -> Option<&Network> {
        let name = if name == "default" { "bridge" } else { name };
        self.networks.iter().find(|network| network.name == name || network.id == name)
    }

    /// Gives a container that starts its addresses and ports.
    pub(super) fn connect(&mut self, id: &str) -> Result<(), Refusal> {
        let container = &self.containers[id];
        if let Some(parent) = container.network_mode().strip_prefix("container:") {
            let parent = self.found(parent)?;
            if parent.state.status.has_process() {
                return Ok(());
            }
            return Err(Refusal::conflict(format!(
                "cannot join network of a non running container: {}",
                parent.id
            )));
        }
        let endpoints: Vec<(String, Option<String>)> = container
            .endpoints
            .iter()
            .map(|(name, endpoint)| {
                let fixed = endpoint
                    .settings
                    .get("IPAMConfig")
                    .and_then(|ipam| ipam["IPv4Address"].as_str());
                (name.clone(), fixed.map(str::to_owned))
            })
            .collect();
        for (name, fixed) in endpoints {
            let mut address = self.address(&name, fixed.as_deref())?;
            if let Some(endpoint) = self.at(id).endpoints.get_mut(&name) {
                if let Some(mac) = endpoint.settings.get("MacAddress").and_then(Value::as_str)
                    && !mac.is_empty()
                {
                    mac.clone_into(&mut address.mac);
                }
                endpoint.address = Some(address);
            }
        }
        self.publish(id)
    }

    /// Takes addresses and ports back; what network it was is still told.
    pub(super) fn disconnect(&mut self, id: &str) {
        let container = self.at(id);
        container.published.clear();
        for address in
            container.endpoints.values_mut().filter_map(|endpoint| endpoint.address.as_mut())
        {
            *address = Address {
                network_id: std::mem::take(&mut address.network_id),
                endpoint_id: String::new(),
                ip: String::new(),
                gateway: String::new(),
                mac: String::new(),
            };
        }
    }

    pub(super) fn address(&mut self, name: &str, fixed: Option<&str>) -> Result<Address, Refusal> {
        let network = self.network(name).cloned().ok_or_else(|| {
            Refusal::new(404, ErrorKind::NetworkNotFound, format!("network {name} not found"))
        })?;
        let endpoint_id = self.new_id("endpoint");
        let mut address = Address {
            network_id: network.id.clone(),
            endpoint_id,
            ip: String::new(),
            gateway: String::new(),
            mac: String::new(),
        };
        let Some(range) = network.range else { return Ok(address) };
        let taken: BTreeSet<&str> = self
            .containers()
            .flat_map(|container| container.endpoints.values())
            .filter_map(|endpoint| endpoint.address.as_ref())
            .map(|address| address.ip.as_str())
            .collect();
        let ip = match fixed {
            Some(fixed) if taken.contains(fixed) => {
                return Err(Refusal::new(403, ErrorKind::Forbidden, "Address already in use"));
            }
            Some(fixed) => fixed.to_owned(),
            None => (2..u32::from(u16::MAX).min(1 << (32 - range.prefix)))
                .map(|n| range.nth(n).to_string())
                .find(|ip| !taken.contains(ip.as_str()))
                .ok_or_else(|| {
                    Refusal::new(
                        500,
                        ErrorKind::Engine,
                        "no available IPv4 addresses on this network's address pools",
                    )
                })?,
        };
        address.gateway = network.gateway().unwrap_or_default();
        address.mac = if self.options.api_version.minor < 46 {
            let [a, b, c, d] = ip.parse::<Ipv4Addr>().unwrap_or(range.nth(0)).octets();
            format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
        } else {
            // At random, with the bit of addresses that nobody sold.
            let digits = hex(&format!("mac {}", address.endpoint_id));
            let bytes: Vec<&str> = (1..6).map(|place| &digits[place * 2..place * 2 + 2]).collect();
            format!("a2:{}", bytes.join(":"))
        };
        address.ip = ip;
        Ok(address)
    }

    fn publish(&mut self, id: &str) -> Result<(), Refusal> {
        let container = &self.containers[id];
        if matches!(container.network_mode(), "host" | "none") {
            return Ok(());
        }
        let mut wanted: Vec<(String, String, Option<u16>)> = Vec::new();
        let bindings = container.host_config["PortBindings"].as_object();
        for (private, hosts) in bindings.into_iter().flatten() {
            for host in hosts.as_array().into_iter().flatten() {
                let ip = host["HostIp"].as_str().filter(|ip| !ip.is_empty()).unwrap_or("0.0.0.0");
                let port = host["HostPort"].as_str().and_then(|port| port.parse().ok());
                wanted.push((private.clone(), ip.to_owned(), port.filter(|&port| port != 0)));
            }
        }
        if container.host_config["PublishAllPorts"] == Value::Bool(true) {
            let exposed = container.config.get("ExposedPorts").and_then(Value::as_object);
            for private in exposed.into_iter().flat_map(|ports| ports.keys()) {
                if !wanted.iter().any(|(other, ..)| other == private) {
                    wanted.push((private.clone(), "0.0.0.0".to_owned(), None));
                }
            }
        }
        let name = container.name.clone();
        let mut published = Vec::new();
        for (private, ip, port) in wanted {
            let port = match port {
                Some(port) => port,
                None => {
                    let free = self.next_host_port;
                    self.next_host_port = free.checked_add(1).unwrap_or(32_768);
                    free
                }
            };
            let protocol = private.split_once('/').map_or("tcp", |(_, protocol)| protocol);
            let clash = |other: &PublishedPort| {
                let theirs = other.private.split_once('/').map_or("tcp", |(_, protocol)| protocol);
                other.port == port
                    && theirs == protocol
                    && (other.ip == ip || other.ip == "0.0.0.0" || ip == "0.0.0.0")
            };
            if self.containers().flat_map(|other| &other.published).any(clash) {
                let endpoint = self.new_id("endpoint");
                return Err(Refusal::new(
                    500,
                    ErrorKind::Engine,
                    format!(
                        "driver failed programming external connectivity on endpoint {name} ({endpoint}): Bind for {ip}:{port} failed: port is already allocated"
                    ),
                ));
            }
            published.push(PublishedPort { private, ip, port });
        }
        self.at(id).published = published;
        Ok(())
    }
}
