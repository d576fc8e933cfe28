//! The calls about networks of their own. Containers get their addresses in `network`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use wharf_server::engine::ErrorKind;

use super::Model;
use super::filters::Filters;
use super::network::{Network, Range};
use super::refusal::Refusal;
use super::time::Time;

const LIST_FILTERS: [&str; 7] = ["dangling", "driver", "id", "label", "name", "scope", "type"];
const PRUNE_FILTERS: [&str; 3] = ["label", "label!", "until"];

impl Model {
    /// `GET /networks`. Lists do not have the containers.
    pub fn list_networks(&self, filters: &Filters) -> Result<Vec<Value>, Refusal> {
        filters.only(&LIST_FILTERS)?;
        let dangling = filters.flag("dangling")?;
        let matches = |network: &&Network| {
            filters.any("name", |name| network.name.contains(name))
                && filters.any("id", |id| network.id.starts_with(id))
                && filters.any("driver", |driver| network.driver == driver)
                && filters.any("scope", |scope| scope == "local")
                && filters.any("type", |kind| (kind == "custom") == network.user_defined())
                && filters.labels_match(&network.labels())
                && dangling.is_none_or(|wanted| {
                    wanted == (network.user_defined() && self.users(network).next().is_none())
                })
        };
        Ok(self.networks.iter().filter(matches).map(|it| network_json(it, &json!({}))).collect())
    }

    /// `GET /networks/{id}`.
    pub fn inspect_network(&self, name: &str) -> Result<Value, Refusal> {
        let network = self.find_network(name)?;
        let endpoint = |(id, name, ip, mac): (&str, &str, &str, &str)| {
            let prefix = network.range.map_or(16, |range| range.prefix);
            let ip = if ip.is_empty() { String::new() } else { format!("{ip}/{prefix}") };
            let json = json!({
                "Name": name, "EndpointID": "", "MacAddress": mac, "IPv4Address": ip,
                "IPv6Address": "",
            });
            (id.to_owned(), json)
        };
        let containers: Map<String, Value> = self.users(network).map(endpoint).collect();
        Ok(network_json(network, &containers.into()))
    }

    /// `POST /networks/create`; gives the ID.
    pub fn create_network(&mut self, now: Time, body: &Value) -> Result<String, Refusal> {
        let name = body["Name"].as_str().unwrap_or_default().to_owned();
        if name.trim().is_empty() {
            return Err(Refusal::bad_request("invalid name: name is empty"));
        }
        if matches!(name.as_str(), "bridge" | "host" | "none" | "default") {
            let message = format!("operation is not permitted on predefined {name} network ");
            return Err(Refusal::new(403, ErrorKind::Conflict, message));
        }
        // Newer Engines always check.
        let checks = body["CheckDuplicate"] == true || self.options().api_version.minor >= 44;
        if checks && self.networks.iter().any(|it| it.name == name) {
            let message = format!("network with name {name} already exists");
            return Err(Refusal::new(409, ErrorKind::NameInUse, message));
        }
        let driver = body["Driver"].as_str().unwrap_or_default();
        if !matches!(driver, "" | "bridge" | "macvlan" | "ipvlan") {
            let message = "could not find plugin in v1 plugin registry: plugin not found";
            return Err(Refusal::new(404, ErrorKind::Unsupported, message));
        }
        let asked = body["IPAM"]["Config"].as_array().into_iter().flatten();
        let asked = asked.filter_map(|pool| pool["Subnet"].as_str()).find_map(Range::parse);
        let range = match asked {
            Some(range) => {
                let others = || self.networks.iter().filter_map(|it| it.range);
                if others().any(|other| other.overlaps(range)) {
                    let message = "Pool overlaps with other one on this address space";
                    return Err(Refusal::new(403, ErrorKind::Conflict, message));
                }
                range
            }
            None => self.free_range(),
        };
        let id = self.insert_network(now, &name, Some(range), body.clone());
        self.emit("network", "create", &id, &[("name", &name), ("type", "bridge")]);
        Ok(id)
    }

    /// `DELETE /networks/{id}`.
    pub fn delete_network(&mut self, name: &str) -> Result<(), Refusal> {
        let network = self.find_network(name)?;
        let (id, name) = (network.id.clone(), network.name.clone());
        let refused = |message| Err(Refusal::new(403, ErrorKind::Conflict, message));
        if !network.user_defined() {
            return refused(format!("{name} is a pre-defined network and cannot be removed"));
        }
        if self.users(network).next().is_some() {
            return refused(format!(
                "error while removing network: network {name} id {id} has active endpoints"
            ));
        }
        self.networks.retain(|network| network.id != id);
        self.emit("network", "destroy", &id, &[("name", &name), ("type", "bridge")]);
        Ok(())
    }

    /// `POST /networks/prune`; gives the names of what is gone.
    pub fn prune_networks(&mut self, filters: &Filters) -> Result<Vec<String>, Refusal> {
        filters.only(&PRUNE_FILTERS)?;
        let until = filters.until(self.now)?;
        let goes = |network: &&Network| {
            network.user_defined()
                && self.users(network).next().is_none()
                && filters.labels_match(&network.labels())
                && until.is_none_or(|until| network.created < until)
        };
        let names: Vec<(String, String)> = self
            .networks
            .iter()
            .filter(goes)
            .map(|network| (network.id.clone(), network.name.clone()))
            .collect();
        self.networks.retain(|network| !names.iter().any(|(id, _)| *id == network.id));
        Ok(names.into_iter().map(|(_, name)| name).collect())
    }

    /// `POST /networks/{id}/disconnect`.
    pub fn disconnect_network(&mut self, network: &str, container: &str) -> Result<(), Refusal> {
        let name = self.find_network(network)?.name.clone();
        let id = self.resolve(container)?;
        if self.at(&id).endpoints.remove(&name).is_none() {
            let message = format!("container {id} is not connected to network {name}");
            return Err(Refusal::new(500, ErrorKind::Engine, message));
        }
        Ok(())
    }

    fn find_network(&self, name: &str) -> Result<&Network, Refusal> {
        let by_id = self.networks.iter().find(|network| network.id == name);
        let found = by_id.map_or_else(
            || {
                let named: Vec<_> = self.networks.iter().filter(|it| it.name == name).collect();
                let begins = |it: &&Network| !name.is_empty() && it.id.starts_with(name);
                if named.is_empty() { self.networks.iter().filter(begins).collect() } else { named }
            },
            |network| vec![network],
        );
        match &*found {
            [network] => Ok(network),
            [] => {
                let message = format!("network {name} not found");
                Err(Refusal::new(404, ErrorKind::NetworkNotFound, message))
            }
            several => {
                let number = several.len();
                let message =
                    format!("network {name} is ambiguous ({number} matches found on name)");
                Err(Refusal::new(400, ErrorKind::Conflict, message))
            }
        }
    }

    /// ID, name, address, and MAC address of the containers that run in a network.
    fn users<'a>(
        &'a self,
        network: &'a Network,
    ) -> impl Iterator<Item = (&'a str, &'a str, &'a str, &'a str)> {
        self.containers().filter_map(move |container| {
            let endpoint = container.endpoints.get(&network.name)?;
            let address = endpoint.address.as_ref().filter(|it| !it.endpoint_id.is_empty())?;
            Some((&*container.id, &*container.name, &*address.ip, &*address.mac))
        })
    }
}

impl Network {
    fn labels(&self) -> BTreeMap<String, String> {
        serde_json::from_value(self.wanted["Labels"].clone()).unwrap_or_default()
    }
}

fn network_json(network: &Network, containers: &Value) -> Value {
    let wanted = &network.wanted;
    let flag = |key: &str| wanted[key] == true;
    let map = |value: &Value| if value.is_object() { value.clone() } else { json!({}) };
    let config = match (wanted["IPAM"]["Config"].as_array(), network.range) {
        (Some(config), _) if !config.is_empty() => json!(config),
        (_, Some(range)) => {
            let subnet = format!("{}/{}", range.nth(0), range.prefix);
            json!([{"Subnet": subnet, "Gateway": network.gateway()}])
        }
        (_, None) => json!([]),
    };
    json!({
        "Name": network.name,
        "Id": network.id,
        "Created": network.created.rfc3339(),
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv6": flag("EnableIPv6"),
        "IPAM": {
            "Driver": wanted["IPAM"]["Driver"].as_str().unwrap_or("default"),
            "Options": wanted["IPAM"]["Options"],
            "Config": config,
        },
        "Internal": flag("Internal"),
        "Attachable": flag("Attachable"),
        "Ingress": false,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": false,
        "Containers": containers,
        "Options": map(&wanted["Options"]),
        "Labels": map(&wanted["Labels"]),
    })
}
