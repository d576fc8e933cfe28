//! Published and exposed ports: `[IP:][HOST_PORT[-END]:]PORT[-END][/PROTOCOL]`. Pure.
//!
//! Two ranges are published port by port. A range of the host for one port is handed on: the Engine
//! takes a free port of it.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use wharf::v1::PortMapping;

/// The mappings of one `-p`; a range makes several.
pub fn publish(text: &str) -> Result<Vec<PortMapping>, String> {
    let invalid = |problem: &str| format!("\"{text}\" is not a port mapping: {problem}");
    let (rest, protocol) = protocol(text).map_err(|problem| invalid(&problem))?;
    let (host, container) =
        rest.rsplit_once(':').map_or((None, rest), |(host, port)| (Some(host), port));
    let container = range(container).map_err(|problem| invalid(&problem))?;
    let (host_ip, host_ports) = match host {
        None => ("", ""),
        Some(host) => match host.rsplit_once(':') {
            // [::1]:80 has colons of its own.
            Some((ip, port)) if !port.ends_with(']') => (ip, port),
            _ if host.starts_with('[') => {
                return Err(invalid(
                    "expected HOST_PORT:PORT after an address, or :PORT for a free port",
                ));
            }
            _ if host.contains('.') => {
                return Err(invalid(
                    "expected HOST_PORT:PORT after an address, or :PORT for a free port",
                ));
            }
            _ => ("", host),
        },
    };
    let host_ip = host_ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(host_ip);
    if !host_ip.is_empty() && host_ip.parse::<IpAddr>().is_err() {
        return Err(invalid(&format!("\"{host_ip}\" is not an IP address")));
    }
    let mapping = |container_port, host_port| PortMapping {
        container_port,
        protocol: protocol.to_owned(),
        host_ip: host_ip.to_owned(),
        host_port,
        host_port_end: 0,
    };
    if host_ports.is_empty() {
        return Ok(container.map(|port| mapping(port, 0)).collect());
    }
    let host_ports = range(host_ports).map_err(|problem| invalid(&problem))?;
    if container.clone().count() == 1 && host_ports.start() < host_ports.end() {
        let free = mapping(*container.start(), *host_ports.start());
        return Ok(vec![PortMapping { host_port_end: *host_ports.end(), ..free }]);
    }
    if host_ports.clone().count() != container.clone().count() {
        return Err(invalid("the two ranges differ in length"));
    }
    Ok(container.zip(host_ports).map(|(container, host)| mapping(container, host)).collect())
}

/// The ports of one `--expose`, each as `8080/tcp`.
pub fn expose(text: &str) -> Result<Vec<String>, String> {
    let invalid = |problem: String| format!("\"{text}\" is not a port: {problem}");
    let (rest, protocol) = protocol(text).map_err(invalid)?;
    let ports = range(rest).map_err(invalid)?;
    Ok(ports.map(|port| format!("{port}/{protocol}")).collect())
}

fn protocol(text: &str) -> Result<(&str, &str), String> {
    match text.split_once('/') {
        None => Ok((text, "tcp")),
        Some((rest, protocol @ ("tcp" | "udp" | "sctp"))) => Ok((rest, protocol)),
        Some((_, other)) => Err(format!("protocol \"{other}\" is not tcp, udp, or sctp")),
    }
}

fn range(text: &str) -> Result<RangeInclusive<u32>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| {
        let port = text.parse::<u16>().ok().filter(|port| *port > 0);
        port.map(u32::from).ok_or_else(|| format!("\"{text}\" is not a port from 1 to 65535"))
    };
    let (first, last) = (port(first)?, port(last)?);
    if first > last { Err(format!("the range {text} is descending")) } else { Ok(first..=last) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(host_ip: &str, host_port: u32, container_port: u32, protocol: &str) -> PortMapping {
        PortMapping {
            container_port,
            protocol: protocol.into(),
            host_ip: host_ip.into(),
            host_port,
            host_port_end: 0,
        }
    }

    #[test]
    fn dockers_forms_are_understood() {
        for (text, expected) in [
            ("80", mapping("", 0, 80, "tcp")),
            ("8080:80", mapping("", 8080, 80, "tcp")),
            ("53:53/udp", mapping("", 53, 53, "udp")),
            ("127.0.0.1:8080:80", mapping("127.0.0.1", 8080, 80, "tcp")),
            ("127.0.0.1::80/udp", mapping("127.0.0.1", 0, 80, "udp")),
            ("[::1]:8080:80", mapping("::1", 8080, 80, "tcp")),
            ("[::]::80", mapping("::", 0, 80, "tcp")),
            (":80", mapping("", 0, 80, "tcp")),
        ] {
            assert_eq!(publish(text), Ok(vec![expected]), "{text}");
        }
        assert_eq!(
            publish("8000-8002:80-82").unwrap(),
            [
                mapping("", 8000, 80, "tcp"),
                mapping("", 8001, 81, "tcp"),
                mapping("", 8002, 82, "tcp")
            ]
        );
    }

    #[test]
    fn one_port_gets_a_free_one_of_a_range() {
        let expected = PortMapping { host_port_end: 8002, ..mapping("127.0.0.1", 8000, 80, "udp") };
        assert_eq!(publish("127.0.0.1:8000-8002:80/udp"), Ok(vec![expected]));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, problem) in [
            ("", "not a port"),
            ("0", "not a port"),
            ("65536", "not a port"),
            ("80/http", "not tcp"),
            ("a:80", "not a port"),
            ("999.0.0.1:80:80", "not an IP"),
            ("127.0.0.1:80", "after an address"),
            ("8000-8002:80-81", "differ in length"),
            ("8000:80-82", "differ in length"),
            ("82-80", "descending"),
        ] {
            let error = publish(text).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn exposed_ports_may_be_ranges() {
        assert_eq!(expose("80-81/udp").unwrap(), ["80/udp", "81/udp"]);
        assert!(expose("x").is_err());
    }
}
