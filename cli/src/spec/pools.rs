//! `--subnet`, `--gateway`, `--ip-range`, and `--aux-address` of a network. Pure.
//!
//! As in docker, each address belongs to the subnet that contains it.

use std::net::IpAddr;

use ipnet::IpNet;
use wharf::v1::NetworkPool;

/// One `--aux-address`: `NAME=ADDRESS`.
pub fn auxiliary(text: &str) -> Result<(String, IpAddr), String> {
    let (name, address) = text.split_once('=').unwrap_or_default();
    match address.parse() {
        Ok(address) if !name.is_empty() => Ok((name.to_owned(), address)),
        _ => Err(format!("\"{text}\" is not NAME=ADDRESS, such as router=10.1.0.2")),
    }
}

/// The pools: one for each subnet, with what is in it.
pub fn pools(
    subnets: &[IpNet],
    ranges: &[IpNet],
    gateways: &[IpAddr],
    auxiliary: &[(String, IpAddr)],
) -> Result<Vec<NetworkPool>, String> {
    let mut pools: Vec<NetworkPool> = subnets
        .iter()
        .map(|subnet| NetworkPool { subnet: subnet.to_string(), ..NetworkPool::default() })
        .collect();
    let place = |flag: &str, shown: String, is_in: &dyn Fn(&IpNet) -> bool| {
        subnets.iter().position(is_in).ok_or_else(|| {
            format!("{flag} {shown} is in no --subnet; give the subnet that contains it")
        })
    };
    for range in ranges {
        let at = place("--ip-range", range.to_string(), &|subnet| subnet.contains(range))?;
        once("--ip-range", &mut pools[at].ip_range, range.to_string())?;
    }
    for gateway in gateways {
        let at = place("--gateway", gateway.to_string(), &|subnet| subnet.contains(gateway))?;
        once("--gateway", &mut pools[at].gateway, gateway.to_string())?;
    }
    for (name, address) in auxiliary {
        let at = place("--aux-address", address.to_string(), &|subnet| subnet.contains(address))?;
        let entries = &mut pools[at].auxiliary_addresses;
        if entries.insert(name.clone(), address.to_string()).is_some() {
            return Err(format!("--aux-address has {name} twice"));
        }
    }
    Ok(pools)
}

fn once(flag: &str, place: &mut String, value: String) -> Result<(), String> {
    if !place.is_empty() {
        return Err(format!("{flag} has two values for one subnet, {place} and {value}"));
    }
    *place = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn each_address_belongs_to_the_subnet_that_has_it() {
        let subnets = nets(&["10.1.0.0/16", "fd00::/64"]);
        let router = auxiliary("router=10.1.0.2").unwrap();
        let found = pools(
            &subnets,
            &nets(&["10.1.2.0/24"]),
            &addresses(&["fd00::1", "10.1.0.1"]),
            &[router],
        )
        .unwrap();
        let v4 = NetworkPool {
            subnet: "10.1.0.0/16".into(),
            gateway: "10.1.0.1".into(),
            ip_range: "10.1.2.0/24".into(),
            auxiliary_addresses: [("router".into(), "10.1.0.2".into())].into(),
        };
        let v6 = NetworkPool {
            subnet: "fd00::/64".into(),
            gateway: "fd00::1".into(),
            ..Default::default()
        };
        assert_eq!(found, [v4, v6]);
        assert_eq!(pools(&[], &[], &[], &[]), Ok(vec![]));
    }

    #[test]
    fn an_address_without_a_place_is_refused() {
        let subnets = nets(&["10.1.0.0/16"]);
        for (ranges, gateways) in [
            (vec!["10.2.0.0/24"], vec![]),
            (vec![], vec!["10.2.0.1"]),
            (vec![], vec!["10.1.0.1", "10.1.0.2"]),
            (vec!["10.1.0.0/24", "10.1.1.0/24"], vec![]),
        ] {
            let found = pools(&subnets, &nets(&ranges), &addresses(&gateways), &[]);
            assert!(found.is_err(), "{ranges:?} {gateways:?}");
        }
        assert!(pools(&[], &[], &addresses(&["10.1.0.1"]), &[]).unwrap_err().contains("--subnet"));
        for text in ["a", "=10.0.0.1", "a=b", ""] {
            assert!(auxiliary(text).is_err(), "{text}");
        }
    }
}
