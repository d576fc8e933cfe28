//! Explicit MAC addresses (C21). An inspection shows the address in use, explicit or generated, so
//! they have to be distinguished.

use serde_json::Value;

use super::json::{get, object_of, text};
use super::{MANY_ENDPOINTS, Notes};
use crate::domain::quoted;
use crate::engine::inspection::Status;
use crate::engine::{ApiVersion, Inspection, NetworkSummary};
use crate::rollout::facts::HostFacts;

/// From here on the settings of a container do not show the address of its main network.
pub(crate) const NO_CONFIG_ADDRESS: ApiVersion = ApiVersion::new(1, 52);
/// Up to this version, an Engine derives a generated address from the IPv4 address; later ones
/// choose it at random.
const FROM_IPV4: ApiVersion = ApiVersion::new(1, 45);
/// Drivers whose generated addresses are known.
const DRIVERS: [&str; 3] = ["bridge", "macvlan", "overlay"];

/// Whose the address of an endpoint is.
#[derive(Debug, PartialEq, Eq)]
enum Address {
    /// The operator's.
    Explicit,
    /// The Engine's, or there is none.
    Generated,
    /// Unknown.
    Unclear,
}

/// The address of the endpoint if it is explicit. If that is unknown, it is a risk.
pub(super) fn asked_for(
    name: &str,
    endpoint: &Value,
    network: Option<&NetworkSummary>,
    is_own: bool,
    inspect: &Inspection,
    host: &HostFacts,
    notes: &mut Notes,
) -> Option<Value> {
    let config = object_of(&inspect.json["Config"]);
    let told_by_config = host.api_version < NO_CONFIG_ADDRESS || config.contains_key("MacAddress");
    if host.api_version < MANY_ENDPOINTS || (is_own && told_by_config) {
        // Other networks had none to ask for, and that of its own is in its settings.
        return None;
    }
    match of(endpoint, network, inspect, host) {
        Address::Explicit => Some(get(&object_of(endpoint), "MacAddress").clone()),
        Address::Generated => None,
        Address::Unclear => {
            let shown = text(&endpoint["MacAddress"]);
            let shown = if shown.is_empty() { String::new() } else { format!(" {shown}") };
            notes.risk(format!(
                "the Engine does not report whether its MAC address{shown} in the network {} was set explicitly; the new container gets another one, unless a merge patch sets it in NetworkingConfig.EndpointsConfig",
                quoted(name)
            ));
            None
        }
    }
}

fn of(
    endpoint: &Value,
    network: Option<&NetworkSummary>,
    inspect: &Inspection,
    host: &HostFacts,
) -> Address {
    let address = text(&endpoint["MacAddress"]);
    if !inspect.running {
        // An explicit address is shown before the first start, and never again while the container
        // is stopped.
        return match (inspect.status == Status::Created, address.is_empty()) {
            (true, true) => Address::Generated,
            (true, false) => Address::Explicit,
            (false, _) => Address::Unclear,
        };
    }
    let Some(bytes) = bytes(address) else { return Address::Generated };
    let universal = bytes[0] & 2 == 0;
    if universal {
        return Address::Explicit;
    }
    if !network.is_some_and(|network| DRIVERS.contains(&network.driver.as_str())) {
        return Address::Unclear;
    }
    let ipv4 = text(&endpoint["IPAddress"]).parse::<std::net::Ipv4Addr>();
    match ipv4.map(|ipv4| ipv4.octets()) {
        Ok([a, b, c, d]) if bytes == [2, 0x42, a, b, c, d] => Address::Generated,
        Ok(_) if host.api_version <= FROM_IPV4 => Address::Explicit,
        _ => Address::Unclear,
    }
}

fn bytes(address: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = address.split(':');
    for byte in &mut bytes {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}
