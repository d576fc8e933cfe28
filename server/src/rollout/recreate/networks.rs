//! The networks of a container, and which endpoint settings are the operator's (C17 to C23, and the
//! kernel parameters of C10).

use serde_json::Value;

use super::json::{Object, entries, get, is_empty, object_of, text, texts};
use super::{MANY_ENDPOINTS, Notes, Options, mac};
pub(super) use crate::body::unset::is_bridge;
use crate::domain::{Reason, quoted};
use crate::engine::{ApiVersion, Inspection, NetworkSummary};
use crate::rollout::facts::HostFacts;

/// From here on the Engine leaves its own names out of `Aliases`.
const CLEAN_ALIASES: ApiVersion = ApiVersion::new(1, 45);
/// From here on kernel parameters of a network card are its endpoint's.
const ENDPOINT_SYSCTLS: ApiVersion = ApiVersion::new(1, 48);
/// From here on an empty list of bindings is deprecated.
const EXPLICIT_BINDINGS: ApiVersion = ApiVersion::new(1, 52);

/// Settings of an endpoint that can be requested (C19); all others are runtime values.
const ASKED_FOR: [&str; 5] = ["Aliases", "IPAMConfig", "Links", "DriverOpts", "GwPriority"];
/// The same for a network without names and fixed addresses (C22).
const ASKED_FOR_ON_BRIDGE: [&str; 2] = ["DriverOpts", "GwPriority"];

/// All endpoints, by the string that `NetworkMode` has for its own network (C18). May correct
/// `NetworkMode`.
pub(super) fn endpoints(
    config: &mut Object,
    host_config: &mut Object,
    inspect: &Inspection,
    host: &HostFacts,
    options: &Options,
    notes: &mut Notes,
) -> Object {
    bindings(host_config, host.api_version);
    let shown = &inspect.json["NetworkSettings"]["Networks"];
    let mode = text(get(host_config, "NetworkMode")).to_owned();
    if takes_no_endpoint(&mode) {
        return Object::new();
    }
    let mut endpoints = Object::new();
    let mut own = None;
    for (name, endpoint) in entries(shown) {
        if matches!(name.as_str(), "host" | "none") {
            continue;
        }
        let network = known(name, endpoint, host, notes);
        let is_own = is_own(&mode, name, network);
        let by_mode = is_own && is_bridge(&mode) && !mode.is_empty();
        let key = if by_mode { mode.clone() } else { name.clone() };
        let mut settings =
            settings(endpoint, network, is_bridge(&key), inspect, host, options, notes);
        if let Some(address) = mac::asked_for(name, endpoint, network, is_own, inspect, host, notes)
        {
            settings.insert("MacAddress".to_owned(), address);
        }
        if is_own {
            own = Some(key.clone());
        }
        endpoints.insert(key, settings.into());
    }
    endpoints.sort_keys();
    let own = own.unwrap_or_else(|| stand_in(&mode, &endpoints, host, notes));
    if own != mode {
        host_config.insert("NetworkMode".to_owned(), own.as_str().into());
    }
    card_address(config, &mut endpoints, &own, host.api_version);
    card_parameters(host_config, &mut endpoints, &own, host.api_version);
    if endpoints.len() == 1 {
        // If it is the only one, the Engine's own network is implicit.
        endpoints.retain(|name, endpoint| !(is_bridge(name) && is_empty(endpoint)));
    }
    endpoints
}

/// Refuses a body whose networks are not on the host.
pub(super) fn refuse_missing(body: &Value, host: &HostFacts, notes: &mut Notes) {
    let mode = text(&body["HostConfig"]["NetworkMode"]);
    let own = (!mode.is_empty() && !is_predefined(mode)).then_some(mode);
    let others =
        entries(&body["NetworkingConfig"]["EndpointsConfig"]).map(|(name, _)| name.as_str());
    let mut wanted: Vec<&str> = own.into_iter().chain(others).collect();
    wanted.sort_unstable();
    wanted.dedup();
    for name in wanted.into_iter().filter(|name| !is_predefined(name)) {
        if !host.networks.iter().any(|network| network.name == name || network.id == name) {
            missing(name, notes);
        }
    }
}

/// Whether a container of this mode has no endpoints of its own.
pub(super) fn takes_no_endpoint(mode: &str) -> bool {
    matches!(mode, "host" | "none") || mode.starts_with("container:")
}

fn is_predefined(mode: &str) -> bool {
    is_bridge(mode) || takes_no_endpoint(mode)
}

pub(super) fn is_own(mode: &str, name: &str, network: Option<&NetworkSummary>) -> bool {
    mode == name
        || (is_bridge(mode) && is_bridge(name))
        || network.is_some_and(|network| !mode.is_empty() && network.id == mode)
}

fn missing(name: &str, notes: &mut Notes) {
    notes.refuse(
        Reason::NetworkNotFound,
        format!(
            "the network {} does not exist on the host; create it there, or set another one",
            quoted(name)
        ),
    );
}

fn known<'a>(
    name: &str,
    endpoint: &Value,
    host: &'a HostFacts,
    notes: &mut Notes,
) -> Option<&'a NetworkSummary> {
    let id = text(&endpoint["NetworkID"]);
    let by_id = host.networks.iter().find(|network| !id.is_empty() && network.id == id);
    let by_name = || host.networks.iter().find(|network| network.name == name);
    if by_id.is_none() && !is_bridge(name) {
        match by_name() {
            None => missing(name, notes),
            Some(_) if !id.is_empty() => notes.risk(format!(
                "the network {} was recreated after it joined; the new container joins the new one",
                quoted(name)
            )),
            Some(_) => {}
        }
    }
    by_id.or_else(by_name)
}

fn settings(
    endpoint: &Value,
    network: Option<&NetworkSummary>,
    on_bridge: bool,
    inspect: &Inspection,
    host: &HostFacts,
    options: &Options,
    notes: &mut Notes,
) -> Object {
    let keys: &[&str] = if on_bridge { &ASKED_FOR_ON_BRIDGE } else { &ASKED_FOR };
    let mut settings = Object::new();
    for &key in keys {
        let value = &endpoint[key];
        let value = match key {
            "Aliases" => aliases(value, inspect, host.api_version),
            "IPAMConfig" => addresses(value, network, options, notes),
            _ => value.clone(),
        };
        if !is_empty(&value) {
            settings.insert(key.to_owned(), value);
        }
    }
    settings
}

/// C20: removes exactly what the Engine adds; from API 1.44 on, that includes the host name, which
/// the new container gets again.
fn aliases(shown: &Value, inspect: &Inspection, api_version: ApiVersion) -> Value {
    if api_version >= CLEAN_ALIASES {
        return shown.clone();
    }
    let short_id = inspect.id.get(..12).unwrap_or_default();
    let hostname = text(&inspect.json["Config"]["Hostname"]);
    let added =
        |alias: &str| alias == short_id || (api_version >= MANY_ENDPOINTS && alias == hostname);
    texts(shown).filter(|alias| !added(alias)).map(Value::from).collect()
}

/// C23: in a Swarm network, the Engine may have chosen it.
fn addresses(
    shown: &Value,
    network: Option<&NetworkSummary>,
    options: &Options,
    notes: &mut Notes,
) -> Value {
    let own: Object = entries(shown)
        .filter(|(_, value)| !is_empty(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let Some(network) = network.filter(|network| network.scope == "swarm") else {
        return own.into();
    };
    if !own.is_empty() && !options.pin_overlay_addresses {
        notes.risk(format!(
            "its address in the overlay network {} may be dynamic; it is not kept",
            quoted(&network.name)
        ));
        return Value::Null;
    }
    own.into()
}

/// The network of a container that has left its own: a creation joins the network of its mode.
fn stand_in(mode: &str, endpoints: &Object, host: &HostFacts, notes: &mut Notes) -> String {
    if is_bridge(mode) && endpoints.is_empty() {
        // Some Engines do not show their own network.
        return mode.to_owned();
    }
    match endpoints.keys().next() {
        Some(first) => {
            notes.risk(format!(
                "it has left its own network {}; the new container has {} in its place",
                quoted(mode),
                quoted(first)
            ));
            first.clone()
        }
        None => {
            let by_id = host.networks.iter().find(|network| network.id == mode);
            if by_id.is_none() && !host.networks.iter().any(|network| network.name == mode) {
                missing(mode, notes);
            }
            notes.risk(format!(
                "it has left its network {}; the new container joins it again",
                quoted(mode)
            ));
            by_id.map_or_else(|| mode.to_owned(), |network| network.name.clone())
        }
    }
}

/// C21: an address in `Config` is explicit; the one in the endpoint is a runtime value.
fn card_address(config: &mut Object, endpoints: &mut Object, own: &str, api_version: ApiVersion) {
    if is_empty(get(config, "MacAddress")) {
        config.shift_remove("MacAddress");
    } else if api_version >= MANY_ENDPOINTS
        && let Some(address) = config.shift_remove("MacAddress")
    {
        let endpoint = endpoints.entry(own).or_insert_with(|| Object::new().into());
        endpoint["MacAddress"] = address;
    }
}

/// C10: `net.ipv4.conf.eth0.x` is refused as a parameter of the container; the endpoint has it,,,,
/// with `IFNAME` for the interface.
fn card_parameters(
    host_config: &mut Object,
    endpoints: &mut Object,
    own: &str,
    api_version: ApiVersion,
) {
    if api_version < ENDPOINT_SYSCTLS {
        return;
    }
    let mut moved = Vec::new();
    let mut kept = object_of(get(host_config, "Sysctls"));
    kept.retain(|key, value| {
        let of_card = key.starts_with("net.") && key.contains(".eth0.");
        if of_card {
            moved.push(format!("{}={}", key.replacen(".eth0.", ".IFNAME.", 1), text(value)));
        }
        !of_card
    });
    if moved.is_empty() {
        return;
    }
    host_config.insert("Sysctls".to_owned(), kept.into());
    let endpoint = endpoints.entry(own).or_insert_with(|| Object::new().into());
    let option = &mut endpoint["DriverOpts"]["com.docker.network.endpoint.sysctls"];
    let before = text(option).to_owned();
    *option = Some(before)
        .into_iter()
        .filter(|text| !text.is_empty())
        .chain(moved)
        .collect::<Vec<_>>()
        .join(",")
        .into();
}

fn bindings(host_config: &mut Object, api_version: ApiVersion) {
    if api_version < EXPLICIT_BINDINGS {
        return;
    }
    if let Some(Value::Object(ports)) = host_config.get_mut("PortBindings") {
        for bindings in ports.values_mut().filter(|bindings| is_empty(bindings)) {
            *bindings = serde_json::json!([{}]);
        }
    }
}
