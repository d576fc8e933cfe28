//! Creates the body of `POST /networks/create` from a request, and compares it with a network that
//! exists; the same for the settings of a container in a network. Called by the network service.

mod pools;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use wharf::v1::{ConnectNetworkRequest, CreateNetworkRequest};

use super::create::network::attachment_body;
use super::difference::Differences;
use super::json::{is_empty, object_of, text, texts};
use super::violation::Violations;
use crate::domain::{ContainerRef, NetworkRef, quoted};

/// Longest name of a driver, or key of an option, in bytes.
const LONGEST: usize = 255;

/// The name and the Engine's body; all problems go to `violations`. What the request leaves unset is
/// not in the body.
pub fn network_body(
    request: &CreateNetworkRequest,
    violations: &mut Violations,
) -> Option<(NetworkRef, Value)> {
    let name = violations.check("name", NetworkRef::parse(&request.name));
    if name.as_ref().is_some_and(NetworkRef::is_predefined) {
        let problem = format!("{} is a predefined network of every Engine", quoted(&request.name));
        violations.add("name", problem);
    }
    let mut body = Map::new();
    set(&mut body, "Name", &request.name);
    // Without it, Engines before API 1.44 create a second network of the name.
    body.insert("CheckDuplicate".to_owned(), true.into());
    for (field, driver) in [("driver", &request.driver), ("ipam_driver", &request.ipam_driver)] {
        driver_name(field, driver, violations);
    }
    set(&mut body, "Driver", named(&request.driver));
    for (key, value) in [
        ("Internal", request.internal),
        ("Attachable", request.attachable),
        ("EnableIPv6", request.enable_ipv6),
    ] {
        if let Some(value) = value {
            body.insert(key.to_owned(), value.into());
        }
    }
    let mut ipam = Map::new();
    set(&mut ipam, "Driver", named(&request.ipam_driver));
    text_map(&mut ipam, "Options", "ipam_options", &request.ipam_options, violations);
    let pools = pools::bodies(&request.pools, violations);
    if !pools.is_empty() {
        ipam.insert("Config".to_owned(), pools.into());
    }
    if !ipam.is_empty() {
        // The Engine takes the default from a missing object only.
        ipam.entry("Driver").or_insert_with(|| "default".into());
        body.insert("IPAM".to_owned(), ipam.into());
    }
    text_map(&mut body, "Options", "options", &request.options, violations);
    text_map(&mut body, "Labels", "labels", &request.labels, violations);
    Some((name?, Value::Object(body)))
}

/// The differences between a requested body and the inspection of a network.
pub fn network_differences(asked: &Value, here: &Value) -> Vec<String> {
    let mut found = Differences::default();
    found.value("driver", &asked["Driver"], &here["Driver"]);
    for (what, key) in
        [("internal", "Internal"), ("attachable", "Attachable"), ("IPv6", "EnableIPv6")]
    {
        found.value(what, &asked[key], &here[key]);
    }
    let (ipam, ipam_here) = (&asked["IPAM"], &here["IPAM"]);
    // Engines have different names for their default one.
    if text(&ipam["Driver"]) != "default" {
        found.value("IPAM driver", &ipam["Driver"], &ipam_here["Driver"]);
    }
    found.entries("IPAM option", &ipam["Options"], &ipam_here["Options"]);
    pools::compare(&ipam["Config"], &ipam_here["Config"], &mut found);
    found.entries("option", &asked["Options"], &here["Options"]);
    found.entries("label", &asked["Labels"], &here["Labels"]);
    found.into_lines()
}

/// A checked request to connect a container.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The network.
    pub network: NetworkRef,
    /// The container.
    pub container: ContainerRef,
    /// The Engine's JSON of the endpoint; what the request leaves unset is not in it.
    pub endpoint: Value,
}

/// Network, container, and endpoint of a request; all problems go to `violations`.
pub fn connection(
    request: &ConnectNetworkRequest,
    violations: &mut Violations,
) -> Option<Connection> {
    let attachment = request.network.clone().unwrap_or_default();
    let network = violations.check("network.name", NetworkRef::parse(&attachment.name));
    let container = violations.check("container", ContainerRef::parse(&request.container));
    let mut endpoint = attachment_body(&attachment, "network", violations);
    for (index, link) in request.links.iter().enumerate() {
        let (name, alias) = link.split_once(':').unwrap_or((link, "alias"));
        if ContainerRef::parse(name).is_err() || ContainerRef::parse(alias).is_err() {
            let problem = format!("{} is not NAME or NAME:ALIAS", quoted(link));
            violations.add(format!("links[{index}]"), problem);
        }
    }
    if !request.links.is_empty() {
        endpoint.insert("Links".to_owned(), request.links.as_slice().into());
    }
    Some(Connection { network: network?, container: container?, endpoint: endpoint.into() })
}

/// The endpoint of a container in a network, from its inspection; `None` if it is not connected.
/// `id` is that of the network, if known.
pub fn endpoint_in<'a>(container: &'a Value, network: &str, id: Option<&str>) -> Option<&'a Value> {
    let networks = container["NetworkSettings"]["Networks"].as_object()?;
    let is_it = |(name, endpoint): &(&String, &Value)| {
        // Before its first start, a container may have the network under its ID, and without ID.
        *name == network || id.is_some_and(|id| *name == id || endpoint["NetworkID"] == id)
    };
    networks.iter().find(is_it).map(|(_, endpoint)| endpoint)
}

/// The differences between a requested endpoint and that of a connected container.
pub fn endpoint_differences(asked: &Value, here: &Value) -> Vec<String> {
    let mut found = Differences::default();
    for (what, key, now) in [
        ("IPv4 address", "IPv4Address", "IPAddress"),
        ("IPv6 address", "IPv6Address", "GlobalIPv6Address"),
    ] {
        let fixed = &here["IPAMConfig"][key];
        let here = if is_empty(fixed) { &here[now] } else { fixed };
        found.value(what, &asked["IPAMConfig"][key], here);
    }
    let mac = |endpoint: &Value| match text(&endpoint["MacAddress"]) {
        "" => Value::Null,
        address => json!(address.to_lowercase()),
    };
    found.value("MAC address", &mac(asked), &mac(here));
    found.value("gateway priority", &asked["GwPriority"], &here["GwPriority"]);
    found.entries("option", &asked["DriverOpts"], &here["DriverOpts"]);
    for (what, key) in [("alias", "Aliases"), ("link", "Links")] {
        let has: Vec<&str> = texts(&here[key]).chain(texts(&here["DNSNames"])).collect();
        for wanted in texts(&asked[key]) {
            if !has.contains(&wanted) {
                found.add(what, None::<&str>, wanted);
            }
        }
    }
    found.into_lines()
}

/// Whether an inspected network has an endpoint of the container.
pub fn has_endpoint_of(network: &Value, container: &str) -> bool {
    object_of(&network["Containers"])
        .iter()
        .any(|(id, endpoint)| id == container || endpoint["Name"] == container)
}

/// Docker's clients write `default` for the Engine's own choice.
fn named(driver: &str) -> &str {
    if driver == "default" { "" } else { driver }
}

/// Sets a text that is not empty.
pub(super) fn set(body: &mut Map<String, Value>, key: &str, text: &str) {
    if !text.is_empty() {
        body.insert(key.to_owned(), text.into());
    }
}

/// Sets a map that is not empty, and checks its keys.
pub(super) fn text_map(
    body: &mut Map<String, Value>,
    key: &str,
    field: &str,
    entries: &BTreeMap<String, String>,
    violations: &mut Violations,
) {
    let broken = |text: &str| text.contains(char::is_control);
    for (name, value) in entries {
        if name.is_empty() || name.len() > LONGEST || broken(name) {
            let problem = format!(
                "the key {} must have 1 to {LONGEST} bytes, and no control characters",
                quoted(name)
            );
            violations.add(field, problem);
        } else if value.contains('\0') {
            violations.add(field, format!("the value of {} contains a null byte", quoted(name)));
        }
    }
    if !entries.is_empty() {
        body.insert(key.to_owned(), json!(entries));
    }
}

/// Checks the name of a driver or plugin, such as `vieux/sshfs:latest`.
pub(super) fn driver_name(field: &str, driver: &str, violations: &mut Violations) {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/:@".contains(&byte);
    if driver.len() > LONGEST || !driver.bytes().all(allowed) {
        violations.add(field, format!("{} is not the name of a driver", quoted(driver)));
    }
}

#[cfg(test)]
mod tests;
