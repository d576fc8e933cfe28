//! `--network`, with what belongs to a network. Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

use wharf::v1::NetworkAttachment;

use super::mounts::fields;

/// One `--network`: a name, or docker's comma-separated form with `name=`.
pub fn network(text: &str) -> Result<NetworkAttachment, String> {
    let mut network = NetworkAttachment::default();
    if !text.contains('=') {
        network.name = text.to_owned();
        return Ok(network);
    }
    let invalid = |problem: String| format!("\"{text}\" is not a network: {problem}");
    for field in fields(text).map_err(invalid)? {
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| invalid(format!("\"{field}\" is not KEY=VALUE")))?;
        match key {
            "name" => network.name = value.to_owned(),
            "alias" => network.aliases.push(value.to_owned()),
            "ip" => network.ipv4_address = value.to_owned(),
            "ip6" => network.ipv6_address = value.to_owned(),
            "mac-address" => network.mac_address = value.to_owned(),
            "gw-priority" => {
                let problem = || invalid(format!("gw-priority \"{value}\" is not a number"));
                network.gateway_priority = Some(value.parse().map_err(|_| problem())?);
            }
            "driver-opt" => {
                let (option, value) = value.split_once('=').unwrap_or((value, ""));
                network.driver_options.insert(option.to_owned(), value.to_owned());
            }
            other => return Err(invalid(format!("\"{other}\" is not understood"))),
        }
    }
    if network.name.is_empty() { Err(invalid("it has no name=".to_owned())) } else { Ok(network) }
}

/// The main network, and the settings in it and in all others. The addresses are those in the main
/// network.
pub fn attachments(
    mut networks: Vec<NetworkAttachment>,
    ipv4: Option<Ipv4Addr>,
    ipv6: Option<Ipv6Addr>,
    mac: Option<String>,
) -> Result<(String, Vec<NetworkAttachment>), String> {
    if networks.is_empty() {
        networks.push(NetworkAttachment::default());
    }
    let main = &mut networks[0];
    let name = main.name.clone();
    for (flag, field, value) in [
        ("--ip", &mut main.ipv4_address, ipv4.map(|address| address.to_string())),
        ("--ip6", &mut main.ipv6_address, ipv6.map(|address| address.to_string())),
        ("--mac-address", &mut main.mac_address, mac),
    ] {
        let Some(value) = value else { continue };
        if !field.is_empty() {
            return Err(format!("{flag} and --network both set this address"));
        }
        *field = value;
    }
    let bare = NetworkAttachment { name: name.clone(), ..NetworkAttachment::default() };
    if networks[0] == bare {
        networks.remove(0);
    }
    Ok((name, networks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_is_the_network_and_the_rest_are_attachments() {
        let networks = ["front", "name=back,alias=db,ip=10.0.0.5,gw-priority=2,driver-opt=a=b=c"];
        let networks = networks.map(|text| network(text).unwrap()).to_vec();
        let (main, others) = attachments(networks, None, None, None).unwrap();
        let back = NetworkAttachment {
            name: "back".into(),
            aliases: vec!["db".into()],
            ipv4_address: "10.0.0.5".into(),
            gateway_priority: Some(2),
            driver_options: [("a".to_owned(), "b=c".to_owned())].into(),
            ..NetworkAttachment::default()
        };
        assert_eq!((main.as_str(), others), ("front", vec![back]));
        assert_eq!(attachments(vec![], None, None, None), Ok((String::new(), vec![])));
    }

    #[test]
    fn addresses_without_a_network_are_those_in_the_main_one() {
        let mac = Some("02:42:ac:11:00:09".to_owned());
        let (main, networks) = attachments(vec![], None, None, mac.clone()).unwrap();
        assert_eq!((main.as_str(), networks[0].name.as_str()), ("", ""));
        assert_eq!(networks[0].mac_address, mac.clone().unwrap());
        let twice = vec![network("name=a,mac-address=02:00:00:00:00:01").unwrap()];
        assert!(attachments(twice, None, None, mac).is_err());
        for text in ["alias=x", "name=a,x", "name=a,speed=1", "name=a,gw-priority=x"] {
            assert!(network(text).is_err(), "{text}");
        }
    }
}
