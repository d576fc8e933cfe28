//! The network of a container: ports, the network itself, its aliases, name resolution.

use std::collections::HashMap;
use std::net::IpAddr;

use serde_json::{Map, Value, json};
use wharf::v1::{ContainerSpec, PortMapping};

use super::document::object_in;
use super::{Draft, checks};
use crate::body::violation::Violations;
use crate::domain::quoted;

pub(super) fn apply(spec: &ContainerSpec, draft: &mut Draft) {
    network(spec, draft);
    ports(spec, draft);
    if let Some(publish) = spec.publish_all_ports {
        draft.host.set("PublishAllPorts", publish);
    }
    name_service(spec, draft);
}

fn network(spec: &ContainerSpec, draft: &mut Draft) {
    if !spec.network.is_empty() {
        let network = &spec.network;
        checks::text("spec.network", network, &mut draft.violations);
        if network.starts_with("container:") && !checks::is_container_mode(network) {
            let problem =
                format!("{} contains no container name; write container:NAME", quoted(network));
            draft.violations.add("spec.network", problem);
        }
        let before = draft.host.text("NetworkMode").unwrap_or_default().to_owned();
        draft.host.set("NetworkMode", network.as_str());
        if before != *network {
            leave(&before, draft);
        }
    }
    if !spec.network_aliases.is_empty() {
        aliases(&spec.network_aliases, draft);
    }
}

/// Removes the body's settings for its own network, which the spec has replaced. Otherwise, the
/// Engine would join both, or refuse before API 1.44.
fn leave(network: &str, draft: &mut Draft) {
    const KNOWN: [&str; 1] = ["EndpointsConfig"];
    if network.is_empty() || draft.top.get("NetworkingConfig").is_none() {
        return;
    }
    let violations = &mut draft.violations;
    if let Some(object) = draft.top.object("NetworkingConfig", &KNOWN, violations)
        && let Some(Value::Object(endpoints)) = object.get_mut("EndpointsConfig")
    {
        endpoints.shift_remove(network);
    }
}

fn aliases(aliases: &[String], draft: &mut Draft) {
    let violations = &mut draft.violations;
    for (index, alias) in aliases.iter().enumerate() {
        let odd = |letter: char| letter.is_whitespace() || letter.is_control();
        if alias.is_empty() || alias.contains(odd) {
            let problem = format!("{} is not a name; use no spaces", quoted(alias));
            violations.add(format!("spec.network_aliases[{index}]"), problem);
        }
    }
    let network = draft.host.text("NetworkMode").unwrap_or("default").to_owned();
    if !is_user_network(&network) {
        let problem = format!(
            "names work only in user-defined networks, not in {}; set `network` to one",
            quoted(&network)
        );
        return violations.add("spec.network_aliases", problem);
    }
    let path = "NetworkingConfig.EndpointsConfig";
    if let Some(networking) = draft.top.object("NetworkingConfig", &["EndpointsConfig"], violations)
        && let Some(endpoints) = object_in(networking, "EndpointsConfig", path, &[], violations)
        && let Some(endpoint) =
            object_in(endpoints, &network, &format!("{path}.{network}"), &["Aliases"], violations)
    {
        endpoint.insert("Aliases".to_owned(), aliases.into());
    }
}

fn is_user_network(network: &str) -> bool {
    !matches!(network, "host" | "none" | "bridge" | "default") && !network.starts_with("container:")
}

fn ports(spec: &ContainerSpec, draft: &mut Draft) {
    let violations = &mut draft.violations;
    let (published, bindings) = bindings(&spec.ports, violations);
    let exposed: Vec<String> = spec
        .expose
        .iter()
        .enumerate()
        .filter_map(|(index, text)| {
            let key = port_key(text);
            if key.is_none() {
                let problem = format!(
                    "{} is not a port; write a number from 1 to 65535 and tcp, udp, or sctp, such as 8080/tcp",
                    quoted(text)
                );
                violations.add(format!("spec.expose[{index}]"), problem);
            }
            key
        })
        .collect();
    if !published.is_empty() {
        if let Some(mode) = draft.host.text("NetworkMode").filter(|mode| refuses_ports(mode)) {
            let problem = format!(
                "ports cannot be published in network {}; remove one of the two",
                quoted(mode)
            );
            violations.add("spec.ports", problem);
        }
        if let Some(object) = draft.host.object("PortBindings", &[], violations) {
            merge_ports(object, &published, |key| bindings[key].clone().into());
        }
    }
    let all: Vec<_> = published.into_iter().chain(exposed).collect();
    if !all.is_empty()
        && let Some(object) = draft.top.object("ExposedPorts", &[], violations)
    {
        merge_ports(object, &all, |_| json!({}));
    }
}

/// Networks in which the Engine refuses published ports. In `host` and `none`, it accepts and
/// ignores them, which people who copy a docker command line rely on.
fn refuses_ports(network: &str) -> bool {
    network.starts_with("container:")
}

/// The bindings of each `port/protocol`, and these keys in the order of the spec.
fn bindings(
    ports: &[PortMapping],
    violations: &mut Violations,
) -> (Vec<String>, HashMap<String, Vec<Value>>) {
    let mut keys = Vec::new();
    let mut bindings: HashMap<String, Vec<Value>> = HashMap::new();
    let mut taken: HashMap<(u32, &str), Vec<(&str, usize)>> = HashMap::new();
    for (index, port) in ports.iter().enumerate() {
        let field = format!("spec.ports[{index}]");
        let protocol = if port.protocol.is_empty() { "tcp" } else { &port.protocol };
        if !(1..=65535).contains(&port.container_port) {
            let problem = format!("{} is not a port from 1 to 65535", port.container_port);
            violations.add(format!("{field}.container_port"), problem);
        }
        if port.host_port > 65535 {
            let problem = format!("{} is not a port from 1 to 65535, or 0", port.host_port);
            violations.add(format!("{field}.host_port"), problem);
        }
        if !is_protocol(protocol) {
            let problem = format!("{} is not tcp, udp, or sctp", quoted(protocol));
            violations.add(format!("{field}.protocol"), problem);
        }
        if !port.host_ip.is_empty() && port.host_ip.parse::<IpAddr>().is_err() {
            let problem = format!("{} is not an IP address", quoted(&port.host_ip));
            violations.add(format!("{field}.host_ip"), problem);
        }
        if port.host_port != 0 {
            let holders = taken.entry((port.host_port, protocol)).or_default();
            let same = |ip: &str| ip == port.host_ip || ip.is_empty() || port.host_ip.is_empty();
            if let Some((_, other)) = holders.iter().find(|(ip, _)| same(ip)) {
                let problem = format!(
                    "{} is already published on the host by spec.ports[{other}]",
                    port.host_port
                );
                violations.add(format!("{field}.host_port"), problem);
            } else {
                holders.push((&port.host_ip, index));
            }
        }
        let key = format!("{}/{protocol}", port.container_port);
        let host_port = match port.host_port {
            0 => String::new(),
            number => number.to_string(),
        };
        if !bindings.contains_key(&key) {
            keys.push(key.clone());
        }
        let binding = json!({ "HostIp": port.host_ip, "HostPort": host_port });
        bindings.entry(key).or_default().push(binding);
    }
    (keys, bindings)
}

/// Replaces the keys of the body that mean the same port, in any spelling.
fn merge_ports(object: &mut Map<String, Value>, keys: &[String], value: impl Fn(&str) -> Value) {
    let wanted: std::collections::HashSet<&str> = keys.iter().map(String::as_str).collect();
    for (name, old) in std::mem::take(object) {
        match port_key(&name).filter(|key| wanted.contains(key.as_str())) {
            Some(key) => {
                let new = value(&key);
                object.insert(key, new);
            }
            None => {
                object.insert(name, old);
            }
        }
    }
    for key in keys {
        object.entry(key.as_str()).or_insert_with(|| value(key));
    }
}

/// `port/protocol` as the Engine compares it, of `8080`, `8080/tcp` or `8080/TCP`.
fn port_key(text: &str) -> Option<String> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port: u16 = port.parse().ok().filter(|port| digits && *port != 0)?;
    is_protocol(&protocol).then(|| format!("{port}/{protocol}"))
}

fn is_protocol(text: &str) -> bool {
    matches!(text, "tcp" | "udp" | "sctp")
}

fn name_service(spec: &ContainerSpec, draft: &mut Draft) {
    for (index, server) in spec.dns.iter().enumerate() {
        if server.parse::<IpAddr>().is_err() {
            let problem = format!("{} is not an IP address", quoted(server));
            draft.violations.add(format!("spec.dns[{index}]"), problem);
        }
    }
    for (index, line) in spec.extra_hosts.iter().enumerate() {
        let good = line.split_once(':').is_some_and(|(name, address)| {
            let odd = |letter: char| letter.is_whitespace() || letter.is_control();
            let known = address == "host-gateway" || address.parse::<IpAddr>().is_ok();
            !name.is_empty() && !name.contains(odd) && known
        });
        if !good {
            let problem = format!(
                "{} is not an entry for /etc/hosts; write NAME:ADDRESS, where ADDRESS is an IP address or host-gateway",
                quoted(line)
            );
            draft.violations.add(format!("spec.extra_hosts[{index}]"), problem);
        }
    }
    for (key, list) in [("Dns", &spec.dns), ("ExtraHosts", &spec.extra_hosts)] {
        if !list.is_empty() {
            draft.host.set(key, list.as_slice());
        }
    }
}
