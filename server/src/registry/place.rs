//! Where a request to a registry may go. The caller names the registry, DNS the addresses, and the registry the
//! place of its tokens; none of them may send the credentials over the network in the clear, or this machine
//! to the services that clouds have for it alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::RegistryError;
use crate::domain::RegistryHost;

/// Services of clouds at addresses that are not link-local: what they tell a machine is for nobody else.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
];

/// Why an address is not asked.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Forbidden(pub String);

/// The address of a registry: over plain HTTP on this machine, as Docker does, and otherwise with TLS.
pub(super) fn of(registry: &RegistryHost) -> Result<Url, RegistryError> {
    let name = if registry.is_docker_hub() { "registry-1.docker.io" } else { registry.as_str() };
    let refused = |_| RegistryError::NotAsked(format!("{name} is not an address of a registry"));
    let url = Url::parse(&format!("https://{name}/")).map_err(refused)?;
    let url =
        if is_local(&url) { Url::parse(&format!("http://{name}/")).map_err(refused)? } else { url };
    checked(url)
}

/// A path at a registry.
pub(super) fn join(origin: &Url, path: &str) -> Result<Url, RegistryError> {
    let refused = |_| RegistryError::NotAsked(format!("{path} is not a path"));
    origin.join(path).map_err(refused)
}

/// Where a registry has its tokens made. Only a registry on this machine may have them made there.
pub(super) fn realm(registry: &Url, text: &str) -> Result<Url, RegistryError> {
    let refused = |why: &str| {
        RegistryError::NotAsked(format!(
            "the registry has its tokens made at a place that is not asked: {why}"
        ))
    };
    let url = Url::parse(text).map_err(|_| refused("it is not an address"))?;
    if is_local(&url) && !is_local(registry) {
        return Err(refused("it is on the machine of wharfd"));
    }
    checked(url).map_err(|error| refused(&error.to_string()))
}

fn checked(url: Url) -> Result<Url, RegistryError> {
    let plain = url.scheme() == "http" && is_local(&url);
    if !plain && url.scheme() != "https" {
        return Err(RegistryError::NotAsked("it is without TLS".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(RegistryError::NotAsked("its address has a user".to_owned()));
    }
    // Names are judged when they are resolved.
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(Host::Domain(_)) => None,
        None => return Err(RegistryError::NotAsked("its address has no host".to_owned())),
    };
    match address.filter(|address| is_forbidden(*address)) {
        Some(address) => Err(RegistryError::NotAsked(refusal(&address.to_string()))),
        None => Ok(url),
    }
}

fn refusal(address: &str) -> String {
    format!(
        "{address} is an address that no registry has: link-local, multicast, or a service of a cloud"
    )
}

/// `localhost`, 127.0.0.0/8, or `::1`.
fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn is_forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        found if METADATA.contains(&found) => true,
        IpAddr::V4(v4) => {
            v4.is_link_local() || v4.is_multicast() || v4.is_broadcast() || v4.octets()[0] == 0
        }
        IpAddr::V6(v6) => {
            let [first, second, .., high, low] = v6.segments();
            // An IPv4 address behind a translator (64:ff9b::/96).
            let translated = (first, second) == (0x64, 0xff9b) && {
                let [a, b] = high.to_be_bytes();
                let [c, d] = low.to_be_bytes();
                is_forbidden(Ipv4Addr::new(a, b, c, d).into())
            };
            translated || v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local()
        }
    }
}

/// Resolves names, and leaves out the addresses that are not asked: a name can be made to point anywhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            permitted(&name, found).map_err(Into::into)
        })
    }
}

fn permitted(name: &str, found: Vec<SocketAddr>) -> Result<Addrs, Forbidden> {
    let permitted: Vec<_> =
        found.into_iter().filter(|address| !is_forbidden(address.ip())).collect();
    if permitted.is_empty() {
        return Err(Forbidden(refusal(name)));
    }
    Ok(Box::new(permitted.into_iter()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(registry: &str) -> Result<String, RegistryError> {
        of(&RegistryHost::parse(registry).unwrap()).map(Into::into)
    }

    #[test]
    fn only_this_machine_is_asked_without_tls() {
        for (registry, url) in [
            ("docker.io", "https://registry-1.docker.io/"),
            ("registry.example.com:5000", "https://registry.example.com:5000/"),
            ("10.1.2.3", "https://10.1.2.3/"),
            ("localhost:5000", "http://localhost:5000/"),
            ("127.8.9.1:5000", "http://127.8.9.1:5000/"),
            ("[::1]:5000", "http://[::1]:5000/"),
            ("localhost.example.com", "https://localhost.example.com/"),
        ] {
            assert_eq!(place(registry).as_deref(), Ok(url), "{registry}");
        }
    }

    #[test]
    fn services_of_clouds_are_no_registries() {
        for registry in [
            "169.254.169.254",
            "169.254.1.1:5000",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "168.63.129.16",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[::]",
            "[ff02::1]",
        ] {
            assert!(matches!(place(registry), Err(RegistryError::NotAsked(_))), "{registry}");
            let host = registry.trim_end_matches(":5000").trim_matches(['[', ']']);
            let address = SocketAddr::new(host.parse().unwrap(), 443);
            assert!(permitted("registry.example.com", vec![address]).is_err(), "{registry}");
            let other = SocketAddr::new([10, 0, 0, 1].into(), 443);
            let left: Vec<_> =
                permitted("registry.example.com", vec![address, other]).unwrap().collect();
            assert_eq!(left, [other]);
        }
    }

    #[test]
    fn tokens_are_fetched_with_tls() {
        let far = Url::parse("https://registry.example.com/").unwrap();
        let near = Url::parse("http://localhost:5000/").unwrap();
        for (registry, text, fine) in [
            (&far, "https://auth.example.com/token", true),
            (&far, "http://auth.example.com/token", false),
            (&far, "http://localhost:5001/token", false),
            (&far, "https://127.0.0.1/token", false),
            (&far, "https://169.254.169.254/token", false),
            (&far, "https://user:secret@auth.example.com/", false),
            (&far, "file:///etc/passwd", false),
            (&far, "/token", false),
            (&near, "http://127.0.0.1:5001/token", true),
            (&near, "https://auth.example.com/token", true),
            (&near, "http://auth.example.com/token", false),
        ] {
            assert_eq!(realm(registry, text).is_ok(), fine, "{text}");
        }
    }
}
