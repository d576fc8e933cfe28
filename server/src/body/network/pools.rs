//! Ranges of addresses of a network: checks them, and compares them with those of a network that
//! exists. Engines write the same subnet in different ways, so addresses are compared, not texts.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value, json};
use wharf::v1::NetworkPool;

use super::set;
use crate::body::difference::Differences;
use crate::body::json::{entries, items, text};
use crate::body::violation::Violations;
use crate::domain::quoted;

/// Reads CIDR notation; the bits after the prefix are ignored, as Engines do.
fn cidr(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().map(|it| it.trunc())
}

/// The Engine's JSON of the pools; all problems go to `violations`.
pub(super) fn bodies(pools: &[NetworkPool], violations: &mut Violations) -> Vec<Value> {
    let mut known: Vec<IpNet> = Vec::new();
    let mut bodies = Vec::new();
    for (index, pool) in pools.iter().enumerate() {
        let field = |name: &str| format!("pools[{index}].{name}");
        let Some(subnet) = cidr(&pool.subnet) else {
            let problem = format!("{} is not a subnet such as 10.1.0.0/16", quoted(&pool.subnet));
            violations.add(field("subnet"), problem);
            continue;
        };
        let overlaps = |other: &&IpNet| other.contains(&subnet) || subnet.contains(*other);
        if let Some(other) = known.iter().find(overlaps) {
            violations.add(field("subnet"), format!("{subnet} overlaps with {other}"));
        }
        known.push(subnet);
        let inside = |name: String, address: &str, violations: &mut Violations| match address
            .parse::<IpAddr>()
        {
            Err(_) => violations.add(name, format!("{} is not an address", quoted(address))),
            Ok(parsed) if !subnet.contains(&parsed) => {
                violations.add(name, format!("{parsed} is not in the subnet {subnet}"));
            }
            Ok(_) => {}
        };
        let mut body = Map::new();
        set(&mut body, "Subnet", &pool.subnet);
        if !pool.gateway.is_empty() {
            inside(field("gateway"), &pool.gateway, violations);
            set(&mut body, "Gateway", &pool.gateway);
        }
        if !pool.ip_range.is_empty() {
            match cidr(&pool.ip_range) {
                Some(range) if subnet.contains(&range) => {}
                Some(range) => violations
                    .add(field("ip_range"), format!("{range} is not in the subnet {subnet}")),
                None => violations.add(
                    field("ip_range"),
                    format!("{} is not a range such as 10.1.2.0/24", quoted(&pool.ip_range)),
                ),
            }
            set(&mut body, "IPRange", &pool.ip_range);
        }
        for (name, address) in &pool.auxiliary_addresses {
            inside(field("auxiliary_addresses"), address, violations);
            if name.is_empty() {
                violations.add(field("auxiliary_addresses"), "a name must not be empty");
            }
        }
        if !pool.auxiliary_addresses.is_empty() {
            body.insert("AuxiliaryAddresses".to_owned(), json!(pool.auxiliary_addresses));
        }
        bodies.push(Value::Object(body));
    }
    bodies
}

/// Compares each requested pool with that of the same subnet. Others, such as those that an Engine
/// adds for IPv6, don't matter.
pub(super) fn compare(asked: &Value, here: &Value, found: &mut Differences) {
    let all: Vec<(Option<IpNet>, &Value)> =
        items(here).map(|pool| (cidr(text(&pool["Subnet"])), pool)).collect();
    for pool in items(asked) {
        let wanted = cidr(text(&pool["Subnet"]));
        let Some((_, other)) = all.iter().find(|(subnet, _)| subnet.is_some() && *subnet == wanted)
        else {
            let subnets: Vec<String> =
                all.iter().filter_map(|(subnet, _)| Some(subnet.as_ref()?.to_string())).collect();
            let here = (!subnets.is_empty()).then(|| subnets.join(" and "));
            found.add("subnet", here, text(&pool["Subnet"]));
            continue;
        };
        let subnet = text(&pool["Subnet"]);
        let of = |what: &str| format!("{what} of {subnet}");
        let addresses =
            |value: &Value| address(text(value)).map_or_else(|| value.clone(), |it| json!(it));
        found.value(of("gateway"), &addresses(&pool["Gateway"]), &addresses(&other["Gateway"]));
        let range = |value: &Value| {
            cidr(text(value)).map_or_else(|| value.clone(), |it| json!(it.to_string()))
        };
        found.value(of("range"), &range(&pool["IPRange"]), &range(&other["IPRange"]));
        for (name, wanted) in entries(&pool["AuxiliaryAddresses"]) {
            let here = &other["AuxiliaryAddresses"][name];
            let what = format!("auxiliary address {name} of {subnet}");
            found.value(what, &addresses(wanted), &addresses(here));
        }
    }
}

/// An address, with or without the length of a prefix.
fn address(text: &str) -> Option<String> {
    let address: IpAddr = text.split('/').next()?.parse().ok()?;
    Some(address.to_string())
}
