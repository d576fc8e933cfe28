//! Settings from flags over those of a file. Pure.

use prost::Message;
use wharf::v1::{ContainerSpec, PortMapping};

/// `base` with the settings of `flags`. Entries of environment, ports, volumes, mounts, and limits
/// replace the entry with the same key; every other list replaces the whole list.
pub fn settings(mut base: ContainerSpec, flags: &ContainerSpec) -> ContainerSpec {
    base.env.retain(|entry| !flags.env.iter().any(|flag| variable(flag) == variable(entry)));
    base.ports.retain(|port| !flags.ports.iter().any(|flag| port_key(flag) == port_key(port)));
    base.volumes.retain(|it| !flags.volumes.iter().any(|flag| target(flag) == target(it)));
    base.mounts.retain(|it| !flags.mounts.iter().any(|flag| flag.target == it.target));
    base.ulimits.retain(|it| !flags.ulimits.iter().any(|flag| flag.name == it.name));
    let lists = [
        (&mut base.command, &flags.command),
        (&mut base.entrypoint, &flags.entrypoint),
        (&mut base.expose, &flags.expose),
        (&mut base.network_aliases, &flags.network_aliases),
        (&mut base.cap_add, &flags.cap_add),
        (&mut base.cap_drop, &flags.cap_drop),
        (&mut base.dns, &flags.dns),
        (&mut base.extra_hosts, &flags.extra_hosts),
        (&mut base.security_opt, &flags.security_opt),
        (&mut base.devices, &flags.devices),
        (&mut base.group_add, &flags.group_add),
        (&mut base.volumes_from, &flags.volumes_from),
    ];
    for (list, flags) in lists {
        if !flags.is_empty() {
            list.clear();
        }
    }
    if let (Some(check), Some(flags)) = (&mut base.health_check, &flags.health_check)
        && !flags.test.is_empty()
    {
        check.test.clear();
    }
    // What protobuf does with two messages in a row: set values win, lists follow, maps join.
    base.merge(flags.encode_to_vec().as_slice()).expect("what was just encoded can be decoded");
    base
}

fn variable(entry: &str) -> &str {
    entry.split('=').next().unwrap_or_default()
}

fn port_key(port: &PortMapping) -> (u32, &str) {
    let protocol = if port.protocol.is_empty() { "tcp" } else { port.protocol.as_str() };
    (port.container_port, protocol)
}

/// The path in the container: `/data`, `data:/data` and `data:/data:ro` have one.
fn target(volume: &str) -> &str {
    let mut parts = volume.split(':');
    let first = parts.next().unwrap_or_default();
    parts.next().unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn entries_replace_those_of_their_key_and_lists_the_list() {
        let base = ContainerSpec {
            env: list(&["A=file", "B=file"]),
            volumes: list(&["old:/data", "/cache"]),
            command: list(&["serve", "--all"]),
            labels: [("a", "file"), ("b", "file")].map(|(k, v)| (k.into(), v.into())).into(),
            memory_bytes: Some(1),
            user: "web".into(),
            ..Default::default()
        };
        let flags = ContainerSpec {
            env: list(&["B=flag"]),
            volumes: list(&["new:/data:ro"]),
            command: list(&["check"]),
            labels: [("b".to_owned(), "flag".to_owned())].into(),
            memory_bytes: Some(2),
            ..Default::default()
        };
        let merged = settings(base, &flags);
        assert_eq!(merged.env, ["A=file", "B=flag"]);
        assert_eq!(merged.volumes, ["/cache", "new:/data:ro"]);
        assert_eq!(merged.command, ["check"]);
        assert_eq!((merged.labels["a"].as_str(), merged.labels["b"].as_str()), ("file", "flag"));
        assert_eq!((merged.memory_bytes, merged.user.as_str()), (Some(2), "web"));
    }
}
