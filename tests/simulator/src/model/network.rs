//! Networks of a host, and the addresses and ports of a running container.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wharf_server::engine::ErrorKind;

use super::container::{Address, PublishedPort};
use super::content::hex;
use super::refusal::Refusal;
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
    /// The third byte of its addresses, `172.x.0.0/16`.
    subnet: u8,
}

/// What every Engine has.
pub(super) fn predefined(options: &EngineOptions) -> Vec<Network> {
    let network = |name: &str, driver: &str, subnet| Network {
        id: hex(&format!("network {} {name}", options.seed)),
        name: name.to_owned(),
        driver: driver.to_owned(),
        subnet,
    };
    vec![network("bridge", "bridge", 17), network("host", "host", 0), network("none", "null", 0)]
}

impl Network {
    /// Whether it is one that callers make: only those have names for containers.
    pub(super) fn user_defined(&self) -> bool {
        !matches!(self.name.as_str(), "bridge" | "host" | "none")
    }
}

impl Model {
    /// Makes a network and gives its ID.
    pub fn add_network(&mut self, name: &str) -> String {
        let id = self.new_id("network");
        let subnet = u8::try_from(15 + self.networks.len()).unwrap_or(u8::MAX);
        let network =
            Network { id: id.clone(), name: name.to_owned(), driver: "bridge".to_owned(), subnet };
        self.networks.push(network);
        id
    }

    /// `GET /networks`, as far as lists of networks are used.
    pub fn list_networks(&self) -> Vec<Value> {
        let item = |network: &Network| {
            json!({
                "Id": network.id,
                "Name": network.name,
                "Driver": network.driver,
                "Scope": "local",
                "Internal": false,
                "Attachable": false,
                "Containers": {},
                "Options": {},
                "Labels": {},
            })
        };
        self.networks.iter().map(item).collect()
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
        if network.subnet == 0 {
            return Ok(address);
        }
        let taken: BTreeSet<&str> = self
            .containers()
            .flat_map(|container| container.endpoints.values())
            .filter_map(|endpoint| endpoint.address.as_ref())
            .map(|address| address.ip.as_str())
            .collect();
        let (a, ip) = match fixed {
            Some(fixed) if taken.contains(fixed) => {
                return Err(Refusal::new(403, ErrorKind::Forbidden, "Address already in use"));
            }
            Some(fixed) => (0, fixed.to_owned()),
            None => (2..u16::MAX)
                .map(|n| (n, format!("172.{}.{}.{}", network.subnet, n >> 8, n & 0xff)))
                .find(|(_, ip)| !taken.contains(ip.as_str()))
                .ok_or_else(|| {
                    Refusal::new(
                        500,
                        ErrorKind::Engine,
                        "no available IPv4 addresses on this network's address pools",
                    )
                })?,
        };
        address.gateway = format!("172.{}.0.1", network.subnet);
        address.mac = if self.options.api_version.minor < 46 {
            format!("02:42:ac:{:02x}:{:02x}:{:02x}", network.subnet, a >> 8, a & 0xff)
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
