//! Whether the table of settings is that of the contract, and what only rows of it bring about.

use super::*;

#[test]
fn every_field_of_the_spec_has_a_row_in_the_table() {
    let descriptor = wharf::reflect::descriptor::<ContainerSpec>();
    for field in descriptor.fields().filter(|field| field.name() != "empty") {
        let setting = settings::by_field(field.name());
        let setting = setting.unwrap_or_else(|| panic!("{} has no row", field.name()));
        let shape = match setting.shape {
            settings::Shape::Map => field.is_map(),
            settings::Shape::One | settings::Shape::Fields => !field.is_list() && !field.is_map(),
            settings::Shape::List(_) | settings::Shape::Keyed(_) | settings::Shape::Words => {
                field.is_list()
            }
        };
        assert!(shape, "{setting:?}");
    }
    for setting in settings::SETTINGS {
        assert!(descriptor.get_field_by_name(setting.field).is_some(), "{setting:?}");
        let found = settings::by_key(setting.section, setting.key);
        assert_eq!(found.map(|found| found.field), Some(setting.field), "a key has one row");
    }
}

#[test]
fn settings_can_be_made_empty() {
    let body = json!({
        "user": "web", "Env": ["A=1"], "Cmd": ["x"], "Entrypoint": ["y"], "Volumes": {"/a": {}},
        "Healthcheck": {"Test": ["CMD", "true"]}, "ExposedPorts": {"80/tcp": {}, "81/tcp": {}},
        "HostConfig": {
            "dns": ["10.0.0.1"], "CapAdd": ["ALL"], "Binds": ["/b:/b"], "Memory": 64 << 20,
            "MemorySwap": 128 << 20, "PortBindings": {"80/tcp": [{"HostPort": "80"}]},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}, "Privileged": true,
        },
    });
    let empty = [
        "user",
        "env",
        "command",
        "entrypoint",
        "health_check",
        "volumes",
        "ports",
        "dns",
        "memory_bytes",
        "log_options",
    ];
    let spec = ContainerSpec { empty: texts(&empty), ..Default::default() };
    let expected = json!({
        "Entrypoint": [""], "Healthcheck": {"Test": ["NONE"]}, "ExposedPorts": {"81/tcp": {}},
        "HostConfig": {
            "CapAdd": ["ALL"], "PortBindings": null, "LogConfig": {"Type": "json-file"},
            "Privileged": true,
        },
    });
    let mut found = merged(&spec, body);
    found["HostConfig"]["PortBindings"].take();
    assert_eq!(found, expected);
}

#[test]
fn networks_are_joined_with_what_the_body_says_of_them() {
    let network = |name: &str| NetworkAttachment { name: name.into(), ..Default::default() };
    let spec = ContainerSpec {
        networks: vec![
            NetworkAttachment { ipv4_address: "10.0.0.5".into(), ..network("back") },
            network("more"),
        ],
        ..Default::default()
    };
    let made = merged(&spec, json!({}));
    assert_eq!(made["HostConfig"]["NetworkMode"], "back", "the first is the main network");
    let expected = json!({"back": {"IPAMConfig": {"IPv4Address": "10.0.0.5"}}, "more": {}});
    assert_eq!(made["NetworkingConfig"]["EndpointsConfig"], expected);

    let body = json!({
        "HostConfig": {"NetworkMode": "front"},
        "NetworkingConfig": {"EndpointsConfig": {
            "back": {"ipamconfig": {"IPv6Address": "fd00::1"}, "Aliases": ["db"]},
        }},
    });
    let expected = json!({
        "front": {}, "more": {},
        "back": {"Aliases": ["db"], "IPAMConfig": {"IPv4Address": "10.0.0.5", "IPv6Address": "fd00::1"}},
    });
    assert_eq!(merged(&spec, body)["NetworkingConfig"]["EndpointsConfig"], expected);
}
