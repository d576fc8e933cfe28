//! What holds for every request.

use std::collections::HashSet;

use proptest::collection::{btree_map, hash_map, vec};
use proptest::prelude::*;

use super::*;

/// Any JSON, with the keys that are merged into often among its keys.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,6}|/[a-c]{1,2}:/[a-c]{1,2}|[A-C]=[a-z]?".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            hash_map(key(), inner, 0..6)
                .prop_map(|object| Value::Object(object.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    let [body, host] =
        [(settings::Section::Body, &KEYS[..]), (settings::Section::Host, &HOST_KEYS)]
            .map(|(section, more)| table::keys(section, more));
    let known = body.iter().chain(&host).map(ToString::to_string).collect::<Vec<_>>();
    let nested = ["Target", "EndpointsConfig", "Config", "Type", "Name", "Test", "80/tcp", "/a"];
    prop_oneof![
        4 => prop::sample::select(known),
        1 => prop::sample::select(nested.to_vec()).prop_map(str::to_owned),
        1 => "[A-Za-z]{1,3}",
    ]
}

fn list(element: &'static str) -> impl Strategy<Value = Vec<String>> {
    vec(element, 0..4)
}

/// Specs that are sometimes right and often nearly so.
fn spec() -> impl Strategy<Value = ContainerSpec> {
    let ports = vec((any::<u16>(), "|tcp|udp|x", any::<u16>()), 0..4).prop_map(|ports| {
        let port = |(container_port, protocol, host_port): (u16, String, u16)| PortMapping {
            container_port: container_port.into(),
            protocol,
            host_ip: String::new(),
            host_port: host_port.into(),
            host_port_end: 0,
        };
        ports.into_iter().map(port).collect::<Vec<_>>()
    });
    let mounts =
        vec(("bind|volume|tmpfs|x", "(/[a-c])?", "/[a-c]{1,2}"), 0..3).prop_map(|mounts| {
            let mount = |(kind, source, target): (String, String, String)| Mount {
                r#type: kind,
                source,
                target,
                ..Default::default()
            };
            mounts.into_iter().map(mount).collect::<Vec<_>>()
        });
    let first = (
        "|app|app:v1|A B",
        list("[A-C]=[a-z]{0,2}|[A-C]|\\PC{0,4}"),
        btree_map("[a-c]{0,2}", "[a-c]", 0..3),
        ports,
        list("(/[a-c])?:?/[a-c](:ro)?|\\PC{0,6}"),
        mounts,
        "|host|none|front|container:a",
        list("[a-c ]{0,2}"),
    );
    let second = (
        any::<Option<i64>>(),
        any::<Option<i64>>(),
        any::<Option<bool>>(),
        "|no|always|on-failure|x",
        btree_map("/[a-c]", "|rw|x", 0..3),
        list("\\PC{0,6}|/dev/[a-c](:/[a-c])?(:[rwm]{1,3})?"),
        any::<Option<(i64, i32)>>(),
        list("(NONE|CMD|CMD-SHELL|x)"),
        "|json-file|none",
    );
    (first, second).prop_map(|(first, second)| {
        let (image, env, labels, ports, volumes, mounts, network, network_aliases) = first;
        let (memory, swap, auto_remove, policy, tmpfs, devices, time, test, driver) = second;
        let time = time.map(|(seconds, nanos)| prost_types::Duration { seconds, nanos });
        let policy = RestartPolicy { name: policy, maximum_retry_count: 0 };
        ContainerSpec {
            image,
            env,
            log_options: labels.clone(),
            sysctls: labels.clone(),
            labels,
            ports,
            volumes,
            mounts,
            network,
            network_aliases,
            memory_bytes: memory,
            memory_swap_bytes: swap,
            auto_remove,
            restart_policy: (!policy.name.is_empty()).then_some(policy),
            tmpfs,
            devices,
            stop_timeout: time,
            health_check: (!test.is_empty()).then(|| HealthCheck {
                test,
                interval: time,
                ..Default::default()
            }),
            log_driver: driver,
            ..Default::default()
        }
    })
}

/// Specs and bodies that always go together.
fn good_spec() -> impl Strategy<Value = ContainerSpec> {
    (
        list("[A-C]=[a-z]{0,2}"),
        btree_map("[a-c]{1,2}", "[a-c]", 0..3),
        btree_map("/[a-c]", "|rw", 0..3),
        proptest::option::of(6_291_456..i64::MAX),
        btree_map(1..65_536_u32, Just(()), 0..4),
    )
        .prop_map(|(env, labels, tmpfs, memory_bytes, ports)| ContainerSpec {
            image: "app".into(),
            env,
            labels,
            tmpfs,
            memory_bytes,
            ports: ports
                .into_keys()
                .map(|container_port| PortMapping { container_port, ..Default::default() })
                .collect(),
            ..Default::default()
        })
}

fn no_key_twice(value: &Value) -> bool {
    match value {
        Value::Object(object) => {
            let mut seen = HashSet::new();
            object.keys().all(|key| seen.insert(key.to_ascii_lowercase()))
        }
        _ => true,
    }
}

proptest! {
    #[test]
    fn nothing_panics_and_what_comes_out_can_be_sent(spec in spec(), body in value()) {
        let engine = engine(&body);
        match container_body(Some(&spec), Some(&engine)) {
            Ok(merged) => {
                prop_assert!(merged["Image"].as_str().is_some_and(|image| !image.is_empty()));
                let again = container_body(Some(&spec), Some(&engine)).unwrap();
                prop_assert_eq!(again.to_string(), merged.to_string());
            }
            Err(violations) => {
                prop_assert!(!violations.is_empty());
                for violation in violations {
                    let FieldViolation { field, description } = violation;
                    prop_assert!(field == "engine.json" || field.starts_with("spec."), "{}", field);
                    prop_assert!(!description.contains('\n'), "{}", description);
                }
            }
        }
    }

    #[test]
    fn text_that_is_no_json_is_refused_quietly(text in "\\PC{0,40}") {
        let _ = container_body(None, Some(&engine(&text)));
    }

    #[test]
    fn unknown_keys_survive_in_order(
        spec in good_spec(),
        unknown in vec(("x-[a-z]{1,6}", value()), 0..8),
        on_host in vec(("x-[a-z]{1,6}", value()), 0..8),
    ) {
        let host: Map<String, Value> = on_host.into_iter().collect();
        let mut body: Map<String, Value> = unknown.into_iter().collect();
        let (expected, expected_host) = (body.clone(), host.clone());
        body.insert("HostConfig".to_owned(), host.into());

        let merged = container_body(Some(&spec), Some(&engine(&Value::Object(body)))).unwrap();
        let unknown = |object: &Value| -> Vec<(String, Value)> {
            let object = object.as_object().unwrap().clone();
            object.into_iter().filter(|(key, _)| key.starts_with("x-")).collect()
        };
        prop_assert_eq!(unknown(&merged), expected.into_iter().collect::<Vec<_>>());
        let host = expected_host.into_iter().collect::<Vec<_>>();
        prop_assert_eq!(unknown(&merged["HostConfig"]), host);
        prop_assert!(no_key_twice(&merged) && no_key_twice(&merged["HostConfig"]));
    }

    #[test]
    fn merging_twice_is_merging_once(spec in good_spec()) {
        let once = container_body(Some(&spec), None).unwrap();
        let twice = container_body(Some(&spec), Some(&engine(&once))).unwrap();
        prop_assert_eq!(twice, once);
    }

    #[test]
    fn the_spec_is_in_the_body(spec in good_spec(), old in list("[A-D]=[a-z]{0,2}")) {
        let body = engine(&json!({ "env": old }));
        let merged = container_body(Some(&spec), Some(&body)).unwrap();
        let env: Vec<&str> =
            merged["Env"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for key in ["A", "B", "C", "D"] {
            let last = |list: &[String]| {
                list.iter().rev().find(|entry| entry.starts_with(key)).cloned()
            };
            let expected = last(&spec.env).or_else(|| last(&old));
            let found = env.iter().rev().find(|entry| entry.starts_with(key));
            prop_assert_eq!(found.copied(), expected.as_deref());
        }
    }
}
