//! What a request becomes: the merge here, the table of settings in [`table_of_settings`], what is refused in
//! [`refusals`], and for all inputs in [`properties`].

mod properties;
mod refusals;
mod table_of_settings;

use serde_json::{Value, json};
use wharf::v1::{
    ContainerSpec, DeviceRequest, EngineJson, HealthCheck, Mount, NetworkAttachment, PortMapping,
    RestartPolicy, Ulimit,
};

use super::*;

/// The body of issue 2, as its author writes it.
const EXAMPLE: &str = r#"{"Env":["CLOUD_PORT=4000","CLOUD_APP_NAME=cloud"],"Cmd":["pm2","start","app.js","-i","2"],"Image":"app","Tag":"v1","Volumes":{"/usr/src/logs":{}},"HostConfig":{"Binds":["/home/cloud_new/logs/:/usr/src/logs","/etc/localtime:/etc/localtime:ro"],"RestartPolicy":{"Name":"unless-stopped"},"NetworkMode":"host"}}"#;

fn engine(json: &(impl ToString + ?Sized)) -> EngineJson {
    EngineJson { json: json.to_string(), api_version: String::new() }
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn map(entries: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    entries.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

/// What `spec` over `body` becomes; the body gets an image where it has none.
fn merged(spec: &ContainerSpec, mut body: Value) -> Value {
    if body.get("Image").is_none() {
        body["Image"] = json!("app");
    }
    let mut merged = container_body(Some(spec), Some(&engine(&body))).unwrap();
    if merged["Image"] == "app" {
        merged.as_object_mut().unwrap().shift_remove("Image");
    }
    merged
}

#[test]
fn the_example_comes_out_as_written() {
    let body = container_body(None, Some(&engine(EXAMPLE))).unwrap();
    let expected = EXAMPLE.replace(r#""Image":"app","Tag":"v1""#, r#""Image":"app:v1""#);
    assert_eq!(body.to_string(), expected, "byte for byte: keys keep their order");
    let same = container_body(Some(&ContainerSpec::default()), Some(&engine(EXAMPLE))).unwrap();
    assert_eq!(same, body);
}

#[test]
fn a_spec_alone_is_enough() {
    let spec = ContainerSpec { image: "app:v1".into(), ..Default::default() };
    assert_eq!(container_body(Some(&spec), None).unwrap(), json!({ "Image": "app:v1" }));
}

#[test]
fn every_field_of_the_spec_reaches_the_body() {
    let mut spec = ContainerSpec {
        image: "registry.example.com:5000/team/app:v2".into(),
        command: texts(&["serve", ""]),
        entrypoint: texts(&["/init", "-v"]),
        env: texts(&["A=1", "B"]),
        labels: map(&[("b", "2"), ("a", "1")]),
        user: "app:app".into(),
        working_dir: "/srv".into(),
        hostname: "web_1".into(),
        domainname: "example.com".into(),
        ports: vec![PortMapping { container_port: 80, host_port: 8080, ..Default::default() }],
        expose: texts(&["53/udp"]),
        volumes: texts(&["/data:/data:ro", "logs:/logs", "/cache"]),
        mounts: vec![Mount { r#type: "tmpfs".into(), target: "/tmp".into(), ..Default::default() }],
        network: "front".into(),
        network_aliases: texts(&["web"]),
        restart_policy: Some(RestartPolicy { name: "on-failure".into(), maximum_retry_count: 3 }),
        cap_add: texts(&["NET_ADMIN"]),
        cap_drop: texts(&["ALL"]),
        privileged: Some(false),
        memory_bytes: Some(64 << 20),
        memory_swap_bytes: Some(-1),
        nano_cpus: Some(1_500_000_000),
        cpu_shares: Some(512),
        cpuset_cpus: "0-2,5".into(),
        pids_limit: Some(-1),
        health_check: Some(HealthCheck {
            test: texts(&["CMD", "true"]),
            interval: seconds(5),
            timeout: Some(prost_types::Duration { seconds: 0, nanos: 1_500_000 }),
            start_period: seconds(0),
            retries: 4,
            start_interval: seconds(1),
        }),
        init: Some(true),
        auto_remove: Some(false),
        ulimits: vec![Ulimit { name: "nofile".into(), soft: 1024, hard: -1 }],
        log_driver: "json-file".into(),
        log_options: map(&[("max-size", "1m")]),
        dns: texts(&["10.0.0.1", "fd00::1"]),
        extra_hosts: texts(&["db:10.0.0.2", "six:::1", "me:host-gateway"]),
        tmpfs: map(&[("/run", "rw,size=64m")]),
        read_only: Some(true),
        security_opt: texts(&["no-new-privileges", "label=disable"]),
        devices: texts(&["/dev/fuse", "/dev/sda:r", "/dev/a:/dev/b", "/dev/a:/dev/c:rw"]),
        stop_signal: "SIGINT".into(),
        stop_timeout: seconds(30),
        tty: Some(true),
        open_stdin: Some(true),
        stdin_once: Some(true),
        pid_mode: "host".into(),
        ipc_mode: "container:db".into(),
        sysctls: map(&[("net.core.somaxconn", "1024")]),
        shm_size_bytes: Some(1 << 20),
        publish_all_ports: Some(true),
        group_add: texts(&["video"]),
        volumes_from: texts(&["data:ro"]),
        empty: Vec::new(),
        networks: vec![
            NetworkAttachment { mac_address: "02:42:0a:00:00:05".into(), ..Default::default() },
            NetworkAttachment {
                name: "back".into(),
                aliases: texts(&["db"]),
                ipv4_address: "10.0.0.5".into(),
                ipv6_address: "fd00::5".into(),
                gateway_priority: Some(-1),
                driver_options: map(&[("a", "b")]),
                ..Default::default()
            },
        ],
        device_requests: vec![DeviceRequest {
            count: -1,
            capabilities: texts(&["gpu"]),
            ..Default::default()
        }],
        runtime: "runc".into(),
        annotations: map(&[("org.example", "1")]),
        dns_search: texts(&["example.com"]),
        dns_options: texts(&["ndots:2"]),
        cgroup_parent: "/slice".into(),
        cpu_quota: Some(-1),
        cpu_period: Some(100_000),
        memory_reservation_bytes: Some(32 << 20),
        userns_mode: "host".into(),
        cgroupns_mode: "private".into(),
        oom_score_adj: Some(-500),
    };
    // Processors in two ways at once are refused, and so are tested apart.
    let two_ways = container_body(Some(&spec), None).unwrap_err();
    assert_eq!(two_ways[0].field, "spec.nano_cpus");
    spec.nano_cpus = None;
    let body = container_body(Some(&spec), None).unwrap();
    let mut host = json!({
        "Memory": 67_108_864, "MemorySwap": -1, "CpuShares": 512,
        "PidsLimit": -1, "CpusetCpus": "0-2,5", "ShmSize": 1_048_576,
        "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": -1}],
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
        "NetworkMode": "front",
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
        "PublishAllPorts": true,
        "Dns": ["10.0.0.1", "fd00::1"],
        "ExtraHosts": ["db:10.0.0.2", "six:::1", "me:host-gateway"],
        "Binds": ["/data:/data:ro", "logs:/logs"],
        "Mounts": [{"Type": "tmpfs", "Target": "/tmp"}],
        "Tmpfs": {"/run": "rw,size=64m"},
        "VolumesFrom": ["data:ro"],
        "Privileged": false, "ReadonlyRootfs": true, "Init": true, "AutoRemove": false,
        "CapAdd": ["NET_ADMIN"], "CapDrop": ["ALL"], "GroupAdd": ["video"],
        "SecurityOpt": ["no-new-privileges", "label=disable"],
        "PidMode": "host", "IpcMode": "container:db",
        "Sysctls": {"net.core.somaxconn": "1024"},
        "Devices": [
            {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"},
            {"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda", "CgroupPermissions": "r"},
            {"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "rwm"},
            {"PathOnHost": "/dev/a", "PathInContainer": "/dev/c", "CgroupPermissions": "rw"},
        ],
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
    });
    // More than one `json!` takes.
    let more = json!({
        "DeviceRequests": [{"Driver": "", "Count": -1, "DeviceIDs": null,
            "Capabilities": [["gpu"]], "Options": {}}],
        "Runtime": "runc", "Annotations": {"org.example": "1"},
        "DnsSearch": ["example.com"], "DnsOptions": ["ndots:2"],
        "CgroupParent": "/slice", "CpuQuota": -1, "CpuPeriod": 100_000,
        "MemoryReservation": 33_554_432, "UsernsMode": "host", "CgroupnsMode": "private",
        "OomScoreAdj": -500,
    });
    host.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let expected = json!({
        "Image": "registry.example.com:5000/team/app:v2",
        "Cmd": ["serve", ""],
        "Entrypoint": ["/init", "-v"],
        "Env": ["A=1", "B"],
        "Labels": {"a": "1", "b": "2"},
        "User": "app:app",
        "WorkingDir": "/srv",
        "Hostname": "web_1",
        "Domainname": "example.com",
        "StopSignal": "SIGINT",
        "StopTimeout": 30,
        "Tty": true,
        "OpenStdin": true,
        "StdinOnce": true,
        "Healthcheck": {
            "Test": ["CMD", "true"], "Interval": 5_000_000_000_i64, "Timeout": 1_500_000,
            "StartPeriod": 0, "StartInterval": 1_000_000_000, "Retries": 4,
        },
        "NetworkingConfig": {"EndpointsConfig": {
            "front": {"Aliases": ["web"], "MacAddress": "02:42:0a:00:00:05"},
            "back": {
                "Aliases": ["db"], "GwPriority": -1, "DriverOpts": {"a": "b"},
                "IPAMConfig": {"IPv4Address": "10.0.0.5", "IPv6Address": "fd00::5"},
            },
        }},
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Volumes": {"/cache": {}},
        "HostConfig": host,
    });
    assert_eq!(body, expected);
}

#[test]
fn keys_count_in_any_spelling_and_come_out_once() {
    let body = json!({
        "x": 1, "image": "app", "ENV": ["A=1"], "hostconfig": {"binds": ["/a:/a"], "odd": 2, "memory": 0},
        "LABELS": null, "y": 3,
    });
    let spec = ContainerSpec {
        env: texts(&["B=2"]),
        labels: map(&[("a", "b")]),
        volumes: texts(&["/b:/b"]),
        memory_bytes: Some(8 << 20),
        ..Default::default()
    };
    let body = container_body(Some(&spec), Some(&engine(&body))).unwrap();
    let expected = r#"{"x":1,"Image":"app","Env":["A=1","B=2"],"HostConfig":{"Binds":["/a:/a","/b:/b"],"odd":2,"Memory":8388608},"Labels":{"a":"b"},"y":3}"#;
    assert_eq!(body.to_string(), expected);
}

#[test]
fn tags_join_the_image_of_the_body() {
    for (body, image) in [
        (json!({"Image": "app", "Tag": "v1"}), "app:v1"),
        (json!({"image": "app", "tag": "v1"}), "app:v1"),
        (json!({"Image": "app:v1", "Tag": "v1"}), "app:v1"),
        (json!({"Image": "localhost:5000/app", "Tag": "v1"}), "localhost:5000/app:v1"),
        (json!({"Image": "app:v1"}), "app:v1"),
    ] {
        let merged = container_body(None, Some(&engine(&body))).unwrap();
        assert_eq!(merged, json!({ "Image": image }), "{body}");
    }
    let spec = ContainerSpec { image: "other:v9".into(), ..Default::default() };
    let replaced = container_body(Some(&spec), Some(&engine(EXAMPLE))).unwrap();
    assert_eq!(replaced["Image"], "other:v9");
    assert_eq!(replaced.get("Tag"), None, "the tag went with the image it belonged to");
}

#[test]
fn environment_and_labels_replace_by_key() {
    let spec = ContainerSpec {
        env: texts(&["B=spec", "NEW=old", "GONE", "NEW=a=b"]),
        labels: map(&[("b", "spec")]),
        ..Default::default()
    };
    let body = json!({
        "Env": ["A=1", "B=1", "GONE=1", "B=2"],
        "Labels": {"a": "1", "b": "1", "c": "1"},
    });
    let expected = json!({
        "Env": ["A=1", "B=spec", "GONE", "NEW=a=b"],
        "Labels": {"a": "1", "b": "spec", "c": "1"},
    });
    assert_eq!(merged(&spec, body), expected);
}

#[test]
fn ports_replace_by_port_and_protocol() {
    let port = |container_port, protocol: &str, host_ip: &str, host_port| PortMapping {
        container_port,
        protocol: protocol.into(),
        host_ip: host_ip.into(),
        host_port,
        host_port_end: 0,
    };
    let spec = ContainerSpec {
        ports: vec![
            port(80, "", "127.0.0.1", 8080),
            port(53, "udp", "", 0),
            port(80, "tcp", "::1", 8080),
        ],
        expose: texts(&["9000", "80/tcp"]),
        ..Default::default()
    };
    let body = json!({
        "ExposedPorts": {"443/tcp": {}, "9000": {}},
        "HostConfig": {"PortBindings": {
            "80": [{"HostPort": "1"}], "443/tcp": [{"HostPort": "2"}], "53/tcp": [{"HostPort": "3"}],
        }},
    });
    let expected = json!({
        "ExposedPorts": {"443/tcp": {}, "9000/tcp": {}, "80/tcp": {}, "53/udp": {}},
        "HostConfig": {"PortBindings": {
            "80/tcp": [
                {"HostIp": "127.0.0.1", "HostPort": "8080"}, {"HostIp": "::1", "HostPort": "8080"},
            ],
            "443/tcp": [{"HostPort": "2"}],
            "53/tcp": [{"HostPort": "3"}],
            "53/udp": [{"HostIp": "", "HostPort": ""}],
        }},
    });
    assert_eq!(merged(&spec, body), expected);
}

#[test]
fn mounts_replace_by_target_wherever_the_body_has_it() {
    let body = json!({
        "Volumes": {"/a": {}, "/keep1": {}},
        "HostConfig": {
            "Binds": ["/old:/b/", "named:/c:ro", "/old:/keep2"],
            "Mounts": [
                {"type": "bind", "source": "/x", "target": "/d/./"},
                {"Type": "tmpfs", "Target": "/keep3"},
            ],
            "Tmpfs": {"/e": "", "/keep4": "rw"},
        },
    });
    let mount = |target: &str| Mount {
        r#type: "volume".into(),
        source: "data".into(),
        target: target.into(),
        ..Default::default()
    };
    let spec = ContainerSpec {
        volumes: texts(&["/new:/a", "/d"]),
        mounts: vec![mount("/b"), mount("/e")],
        tmpfs: map(&[("/c", "")]),
        ..Default::default()
    };
    let expected = json!({
        "Volumes": {"/keep1": {}, "/d": {}},
        "HostConfig": {
            "Binds": ["/old:/keep2", "/new:/a"],
            "Mounts": [
                {"Type": "tmpfs", "Target": "/keep3"},
                {"Type": "volume", "Source": "data", "Target": "/b"},
                {"Type": "volume", "Source": "data", "Target": "/e"},
            ],
            "Tmpfs": {"/keep4": "rw", "/c": ""},
        },
    });
    assert_eq!(merged(&spec, body), expected);
}

#[test]
fn mounts_have_the_options_of_their_type() {
    let spec = ContainerSpec {
        mounts: vec![
            Mount {
                r#type: "bind".into(),
                source: "/src".into(),
                target: "/a".into(),
                read_only: true,
                propagation: "rslave".into(),
                ..Default::default()
            },
            Mount {
                r#type: "volume".into(),
                target: "/b".into(),
                no_copy: true,
                driver_options: map(&[("type", "nfs"), ("o", "addr=x")]),
                labels: map(&[("k", "v")]),
                ..Default::default()
            },
            Mount {
                r#type: "tmpfs".into(),
                target: "/c".into(),
                tmpfs_size_bytes: 4096,
                tmpfs_mode: 0o1777,
                ..Default::default()
            },
        ],
        ..Default::default()
    };
    let expected = json!([
        {"Type": "bind", "Source": "/src", "Target": "/a", "ReadOnly": true,
         "BindOptions": {"Propagation": "rslave"}},
        {"Type": "volume", "Target": "/b", "VolumeOptions": {
            "NoCopy": true, "Labels": {"k": "v"},
            "DriverConfig": {"Name": "local", "Options": {"o": "addr=x", "type": "nfs"}},
        }},
        {"Type": "tmpfs", "Target": "/c", "TmpfsOptions": {"SizeBytes": 4096, "Mode": 0o1777}},
    ]);
    assert_eq!(merged(&spec, json!({}))["HostConfig"]["Mounts"], expected);
}

#[test]
fn the_network_of_the_spec_replaces_that_of_the_body() {
    let body = json!({
        "HostConfig": {"NetworkMode": "back"},
        "networkingconfig": {"EndpointsConfig": {
            "back": {"Aliases": ["old"]}, "front": {"aliases": ["x"], "IPAMConfig": {}}, "more": {},
        }},
    });
    let aliases = texts(&["web"]);
    let spec =
        ContainerSpec { network: "front".into(), network_aliases: aliases, ..Default::default() };
    let expected = json!({
        "HostConfig": {"NetworkMode": "front"},
        "NetworkingConfig": {"EndpointsConfig": {
            "front": {"Aliases": ["web"], "IPAMConfig": {}}, "more": {},
        }},
    });
    assert_eq!(merged(&spec, body.clone()), expected);

    let spec = ContainerSpec { network_aliases: texts(&["web"]), ..Default::default() };
    let kept = merged(&spec, body);
    assert_eq!(kept["NetworkingConfig"]["EndpointsConfig"]["back"], json!({"Aliases": ["web"]}));
}

#[test]
fn lists_and_single_values_replace() {
    let body = json!({
        "Cmd": ["old"], "Entrypoint": "old",
        "HostConfig": {"CapAdd": ["A"], "Dns": ["1.1.1.1"], "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 9}},
    });
    let spec = ContainerSpec {
        command: texts(&["new"]),
        entrypoint: texts(&[""]),
        cap_add: texts(&["B"]),
        restart_policy: Some(RestartPolicy { name: "always".into(), maximum_retry_count: 0 }),
        ..Default::default()
    };
    let expected = json!({
        "Cmd": ["new"], "Entrypoint": [""],
        "HostConfig": {"CapAdd": ["B"], "Dns": ["1.1.1.1"], "RestartPolicy": {"Name": "always"}},
    });
    assert_eq!(merged(&spec, body), expected);
}

#[test]
fn log_options_stay_with_their_driver() {
    let body = || json!({"HostConfig": {"LogConfig": {"type": "json-file", "Config": {"max-size": "1m", "tag": "x"}}}});
    let log = |driver: &str, options: &[(&str, &str)]| {
        let spec = ContainerSpec {
            log_driver: driver.into(),
            log_options: map(options),
            ..Default::default()
        };
        merged(&spec, body())["HostConfig"]["LogConfig"].clone()
    };
    let both = json!({"Type": "json-file", "Config": {"max-size": "1m", "tag": "y"}});
    assert_eq!(log("", &[("tag", "y")]), both);
    assert_eq!(log("json-file", &[("tag", "y")]), both);
    assert_eq!(log("syslog", &[("tag", "y")]), json!({"Type": "syslog", "Config": {"tag": "y"}}));
    assert_eq!(log("none", &[]), json!({"Type": "none"}));
}

#[test]
fn a_health_check_keeps_what_it_does_not_set() {
    let body = || json!({"healthcheck": {"test": ["CMD", "old"], "retries": 7}});
    let check = |check: HealthCheck| {
        let spec = ContainerSpec { health_check: Some(check), ..Default::default() };
        merged(&spec, body())["Healthcheck"].clone()
    };
    assert_eq!(
        check(HealthCheck { interval: seconds(2), ..Default::default() }),
        json!({"Test": ["CMD", "old"], "Retries": 7, "Interval": 2_000_000_000})
    );
    assert_eq!(
        check(HealthCheck { test: texts(&["NONE"]), ..Default::default() }),
        json!({"Test": ["NONE"]})
    );
    let spec = ContainerSpec {
        health_check: Some(HealthCheck { retries: 2, ..Default::default() }),
        ..Default::default()
    };
    let own = merged(&spec, json!({}));
    assert_eq!(own, json!({"Healthcheck": {"Retries": 2}}), "no Test: that of the image stays");
}

#[test]
fn system_paths_become_what_the_engine_knows() {
    let spec = ContainerSpec {
        security_opt: texts(&[
            "systempaths=unconfined",
            "seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}",
        ]),
        ..Default::default()
    };
    let expected = json!({"HostConfig": {
        "SecurityOpt": ["seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}"],
        "MaskedPaths": [], "ReadonlyPaths": [],
    }});
    let body = json!({"HostConfig": {"SecurityOpt": ["label=disable"]}});
    assert_eq!(merged(&spec, body), expected);
}
