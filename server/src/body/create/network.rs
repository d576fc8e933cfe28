//! The networks of a container, its names and addresses in them, and its ports.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value, json};
use wharf::settings::Rule;
use wharf::v1::{ContainerSpec, NetworkAttachment, PortMapping};

use super::document::{Section, object_in};
use super::{Draft, checks};
use crate::body::unset::is_bridge;
use crate::body::violation::Violations;
use crate::domain::quoted;

pub(super) fn apply(spec: &ContainerSpec, draft: &mut Draft) {
    network(spec, draft);
    ports(spec, draft);
}

fn network(spec: &ContainerSpec, draft: &mut Draft) {
    let first = || spec.networks.first().filter(|_| draft.host.text("NetworkMode").is_none());
    let network = match spec.network.as_str() {
        "" => first().map_or_else(String::new, |network| network.name.clone()),
        network => network.to_owned(),
    };
    if !network.is_empty() {
        checks::rule(Rule::Text, "spec.network", &network.as_str().into(), &mut draft.violations);
        if network.starts_with("container:") && !checks::is_container_mode(&network) {
            let problem =
                format!("{} contains no container name; write container:NAME", quoted(&network));
            draft.violations.add("spec.network", problem);
        }
        let before = draft.host.text("NetworkMode").unwrap_or_default().to_owned();
        draft.host.set("NetworkMode", network.as_str());
        if before != *network {
            leave(&before, draft);
        }
    }
    attachments(&spec.networks, draft);
    if !spec.network_aliases.is_empty() {
        aliases(&spec.network_aliases, draft);
    }
}

/// The endpoints of the networks, each with what its entry sets over what the body has.
fn attachments(networks: &[NetworkAttachment], draft: &mut Draft) {
    if networks.is_empty() {
        return;
    }
    let mode = draft.host.text("NetworkMode").unwrap_or("default").to_owned();
    let Draft { top, violations, .. } = draft;
    if has_no_endpoints(&mode) {
        let problem =
            format!("cannot be joined beside network {}; leave out one of the two", quoted(&mode));
        return violations.add("spec.networks", problem);
    }
    // An empty name is the main network, and that has two names where it is the Engine's own.
    let name_of = |network: &NetworkAttachment| match network.name.as_str() {
        "" => mode.clone(),
        name if is_bridge(name) && is_bridge(&mode) => mode.clone(),
        name => name.to_owned(),
    };
    for (index, network) in networks.iter().enumerate() {
        let field = format!("spec.networks[{index}]");
        let (name, before) = (name_of(network), violations.count());
        check_attachment(&name, network, &field, violations);
        if networks[..index].iter().any(|other| name_of(other) == name) {
            violations.add(format!("{field}.name"), format!("{} is there twice", quoted(&name)));
        }
        if violations.count() == before
            && let Some(endpoint) = endpoint(top, &name, violations)
        {
            attach(network, endpoint, violations);
        }
    }
    // From API 1.44 on the Engine joins what is listed, and nothing else.
    endpoint(top, &mode, violations);
}

/// The Engine's JSON of an endpoint that is added to an existing container.
pub(in crate::body) fn attachment_body(
    network: &NetworkAttachment,
    field: &str,
    violations: &mut Violations,
) -> Map<String, Value> {
    let mut endpoint = Map::new();
    check_attachment(&network.name, network, field, violations);
    attach(network, &mut endpoint, violations);
    endpoint
}

fn check_attachment(
    name: &str,
    network: &NetworkAttachment,
    field: &str,
    violations: &mut Violations,
) {
    if name.contains('\0') || has_no_endpoints(name) {
        let problem = format!("{} is not a network that can be joined", quoted(name));
        violations.add(format!("{field}.name"), problem);
    }
    alias_names(&format!("{field}.aliases"), &network.aliases, violations);
    for (key, set) in [
        ("aliases", !network.aliases.is_empty()),
        ("ipv4_address", !network.ipv4_address.is_empty()),
        ("ipv6_address", !network.ipv6_address.is_empty()),
    ] {
        if set && is_bridge(name) {
            let problem = format!(
                "works in user-defined networks only, not in {}; leave it out",
                quoted(name)
            );
            violations.add(format!("{field}.{key}"), problem);
        }
    }
    let NetworkAttachment { ipv4_address, ipv6_address, mac_address, .. } = network;
    for (key, kind, address, good) in [
        ("ipv4_address", "IPv4", ipv4_address, ipv4_address.parse::<Ipv4Addr>().is_ok()),
        ("ipv6_address", "IPv6", ipv6_address, ipv6_address.parse::<Ipv6Addr>().is_ok()),
        ("mac_address", "MAC", mac_address, is_mac_address(mac_address)),
    ] {
        if !address.is_empty() && !good {
            let problem = format!("{} is not an address of the kind {kind}", quoted(address));
            violations.add(format!("{field}.{key}"), problem);
        }
    }
}

fn attach(
    network: &NetworkAttachment,
    endpoint: &mut Map<String, Value>,
    violations: &mut Violations,
) {
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            endpoint.insert(key.to_owned(), value);
        }
    };
    let text = |text: &String| (!text.is_empty()).then(|| text.as_str().into());
    set("Aliases", (!network.aliases.is_empty()).then(|| network.aliases.as_slice().into()));
    set("MacAddress", text(&network.mac_address));
    set("GwPriority", network.gateway_priority.map(Value::from));
    let options = network.driver_options.iter();
    let options = options.map(|(key, value)| (key.clone(), value.as_str().into()));
    let addresses = [
        ("IPv4Address", text(&network.ipv4_address)),
        ("IPv6Address", text(&network.ipv6_address)),
    ];
    let addresses = addresses.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    for (key, new) in [
        ("DriverOpts", options.collect::<Map<String, Value>>()),
        ("IPAMConfig", addresses.collect()),
    ] {
        if !new.is_empty()
            && let Some(object) = object_in(endpoint, key, key, &[], violations)
        {
            object.extend(new);
        }
    }
}

fn is_mac_address(text: &str) -> bool {
    let pair = |part: &str| part.len() == 2 && part.bytes().all(|it| it.is_ascii_hexdigit());
    text.split(':').count() == 6 && text.split(':').all(pair)
}

/// The endpoint of a network in the body, made where there is none.
fn endpoint<'a>(
    top: &'a mut Section,
    network: &str,
    violations: &mut Violations,
) -> Option<&'a mut Map<String, Value>> {
    let path = "NetworkingConfig.EndpointsConfig";
    let keys = ["Aliases", "DriverOpts", "GwPriority", "IPAMConfig", "MacAddress"];
    let networking = top.object("NetworkingConfig", &["EndpointsConfig"], violations)?;
    let endpoints = object_in(networking, "EndpointsConfig", path, &[], violations)?;
    object_in(endpoints, network, &format!("{path}.{network}"), &keys, violations)
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
    let Draft { top, host, violations, .. } = draft;
    alias_names("spec.network_aliases", aliases, violations);
    let network = host.text("NetworkMode").unwrap_or("default");
    if has_no_endpoints(network) || is_bridge(network) {
        let problem = format!(
            "names work only in user-defined networks, not in {}; set `network` to one",
            quoted(network)
        );
        return violations.add("spec.network_aliases", problem);
    }
    if let Some(endpoint) = endpoint(top, network, violations) {
        endpoint.insert("Aliases".to_owned(), aliases.into());
    }
}

fn alias_names(field: &str, aliases: &[String], violations: &mut Violations) {
    let odd = |letter: char| letter.is_whitespace() || letter.is_control();
    for (index, alias) in aliases.iter().enumerate() {
        if alias.is_empty() || alias.contains(odd) {
            let problem = format!("{} is not a name; use no spaces", quoted(alias));
            violations.add(format!("{field}[{index}]"), problem);
        }
    }
}

fn has_no_endpoints(network: &str) -> bool {
    matches!(network, "host" | "none") || network.starts_with("container:")
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
        let range = port.host_port_end != 0;
        let ends_range = port.host_port > 0
            && (port.host_port.saturating_add(1)..=65535).contains(&port.host_port_end);
        if range && !ends_range {
            let problem = format!(
                "{} does not end a range that begins with {}",
                port.host_port_end, port.host_port
            );
            violations.add(format!("{field}.host_port_end"), problem);
        }
        if !is_protocol(protocol) {
            let problem = format!("{} is not tcp, udp, or sctp", quoted(protocol));
            violations.add(format!("{field}.protocol"), problem);
        }
        if !port.host_ip.is_empty() && port.host_ip.parse::<IpAddr>().is_err() {
            let problem = format!("{} is not an IP address", quoted(&port.host_ip));
            violations.add(format!("{field}.host_ip"), problem);
        }
        if port.host_port != 0 && !range {
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
            first if range => format!("{first}-{}", port.host_port_end),
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
