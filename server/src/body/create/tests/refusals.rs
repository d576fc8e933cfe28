//! What is refused, and under which field.

use super::*;

fn spec() -> ContainerSpec {
    ContainerSpec { image: "app".into(), ..Default::default() }
}

/// The fields of all violations of a spec, which must each be one line.
fn fields(spec: &ContainerSpec, body: &str) -> Vec<String> {
    let engine = (!body.is_empty()).then(|| engine(&body));
    let violations = match container_body(Some(spec), engine.as_ref()) {
        Ok(body) => panic!("accepted as {body}"),
        Err(violations) => violations,
    };
    for violation in &violations {
        let text = &violation.description;
        assert!(!text.is_empty() && !text.contains(['\n', '\0']), "{text:?}");
    }
    violations.into_iter().map(|violation| violation.field).collect()
}

#[track_caller]
fn refused(change: impl FnOnce(&mut ContainerSpec), expected: &[&str]) {
    let mut spec = spec();
    change(&mut spec);
    assert_eq!(fields(&spec, ""), expected);
}

/// The one violation that the JSON itself has.
fn json_problem(body: &str) -> String {
    let mut violations = container_body(None, Some(&engine(&body))).unwrap_err();
    assert_eq!(violations.len(), 1, "{body}: {violations:?}");
    let violation = violations.remove(0);
    assert_eq!(violation.field, "engine.json", "{body}");
    violation.description
}

#[test]
fn json_that_is_no_body() {
    for (body, word) in [
        ("", "empty"),
        (" \n", "empty"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ("{\"Image\":\n\"app\",}", "line 2 column 7"),
        ("{\"Image\":\"app\"} x", "trailing"),
        ("{\"Image\":\"app\",\"Env\":[],\"Env\":[]}", "duplicate key \"Env\""),
        ("{\"Image\":\"app\",\"HostConfig\":{\"a\":[{\"b\":1,\"b\":2}]}}", "duplicate key \"b\""),
        ("{\"Image\":\"app\",\"image\":\"b\"}", "Image occurs twice"),
        (
            "{\"Image\":\"app\",\"HostConfig\":{\"Binds\":[],\"bindſ\":[]}}",
            "HostConfig.Binds occurs twice",
        ),
        ("{\"Image\":\"app\",\"HostConfig\":[]}", "HostConfig must be an object"),
        ("{\"Image\":7}", "Image must be a string"),
        ("{\"Image\":\"APP\"}", "lowercase"),
        ("{\"Image\":\"app\",\"Tag\":1}", "Tag must be a string"),
        ("{\"Image\":\"app:v2\",\"Tag\":\"v1\"}", "differs from Tag"),
        ("{\"Image\":\"app\",\"Tag\":\"-v1\"}", "not a tag"),
    ] {
        let problem = json_problem(body);
        assert!(problem.contains(word), "{body}: {problem}");
    }
    let digest = format!("sha256:{}", "a".repeat(64));
    let problem = json_problem(&format!(r#"{{"Image":"app@{digest}","Tag":"v1"}}"#));
    assert!(problem.contains("digest"), "{problem}");
    let problem = json_problem(&format!(r#"{{"Image":"{digest}","Tag":"v1"}}"#));
    assert!(problem.contains("is the ID"), "{problem}");
    let large = format!(r#"{{"Image":"app","x":"{}"}}"#, "x".repeat(4 << 20));
    assert!(json_problem(&large).contains("4 MiB"));
    assert!(json_problem(&"[".repeat(100_000)).contains("recursion limit"));
}

#[test]
fn a_missing_or_wrong_image() {
    let nothing = ContainerSpec::default();
    assert_eq!(container_body(None, None).unwrap_err()[0].field, "spec.image");
    assert_eq!(fields(&nothing, "{}"), ["spec.image"]);
    assert_eq!(fields(&nothing, r#"{"Tag":"v1"}"#), ["spec.image"]);
    assert_eq!(fields(&nothing, r#"{"Image":""}"#), ["spec.image"]);
    assert_eq!(fields(&nothing, "{"), ["engine.json"], "what is unreadable lacks nothing");
    refused(|spec| spec.image = "a b".into(), &["spec.image"]);
}

#[test]
fn parts_of_the_body_that_cannot_be_merged_into() {
    let env = ContainerSpec { env: texts(&["A=1"]), ..spec() };
    assert_eq!(fields(&env, r#"{"Env":"A=1"}"#), ["engine.json"]);
    assert_eq!(fields(&env, r#"{"Env":[1]}"#), ["engine.json"]);
    let labels = ContainerSpec { labels: map(&[("a", "b")]), ..spec() };
    assert_eq!(fields(&labels, r#"{"Labels":["a=b"]}"#), ["engine.json"]);
    let bind = ContainerSpec { volumes: texts(&["/a:/a"]), ..spec() };
    assert_eq!(fields(&bind, r#"{"HostConfig":{"Binds":{}}}"#), ["engine.json"]);
    let untouched = container_body(Some(&spec()), Some(&engine(r#"{"Env":"A=1"}"#)));
    assert!(untouched.is_ok(), "what nobody merges into is the Engine's business");
}

#[test]
fn everything_wrong_is_told_at_once() {
    let spec = ContainerSpec {
        image: "APP".into(),
        working_dir: "srv".into(),
        memory_bytes: Some(1),
        ports: vec![PortMapping { container_port: 70_000, ..Default::default() }],
        ..Default::default()
    };
    let expected = [
        "engine.json",
        "spec.image",
        "spec.working_dir",
        "spec.memory_bytes",
        "spec.ports[0].container_port",
    ];
    assert_eq!(fields(&spec, "{"), expected);
}

#[test]
fn process() {
    refused(
        |s| s.env = texts(&["A=1", "=x", "", "B=\0"]),
        &["spec.env[3]", "spec.env[1]", "spec.env[2]"],
    );
    refused(|s| s.command = texts(&["a\0"]), &["spec.command[0]"]);
    refused(|s| s.entrypoint = texts(&["", "x"]), &["spec.entrypoint[0]"]);
    refused(|s| s.labels = map(&[("", "x")]), &["spec.labels"]);
    refused(|s| s.working_dir = "a/b".into(), &["spec.working_dir"]);
    refused(|s| s.hostname = "a b".into(), &["spec.hostname"]);
    refused(|s| s.hostname = "x".repeat(65), &["spec.hostname"]);
    for signal in ["SIGFOO", "0", "65", "SIGRTMIN+16", "-9", " 9"] {
        refused(|s| s.stop_signal = signal.into(), &["spec.stop_signal"]);
    }
    for signal in ["9", "term", "SIGTERM", "SIGRTMIN+3", "RTMAX-14"] {
        let spec = ContainerSpec { stop_signal: signal.into(), ..spec() };
        assert!(container_body(Some(&spec), None).is_ok(), "{signal}");
    }
    for (seconds, nanos) in [(1, 1), (-1, 0), (i64::MAX, 0)] {
        let time = Some(prost_types::Duration { seconds, nanos });
        refused(|s| s.stop_timeout = time, &["spec.stop_timeout"]);
    }
}

#[test]
fn health_checks() {
    let health = |s: &mut ContainerSpec, check| s.health_check = Some(check);
    for test in [
        &["curl"] as &[&str],
        &[""],
        &["CMD"],
        &["CMD", ""],
        &["CMD-SHELL"],
        &["CMD-SHELL", "a", "b"],
        &["NONE", "x"],
    ] {
        let check = HealthCheck { test: texts(test), ..Default::default() };
        refused(|s| health(s, check), &["spec.health_check.test"]);
    }
    for (seconds, nanos) in [(0, 999_999), (-1, 0), (i64::MAX, 0)] {
        let interval = Some(prost_types::Duration { seconds, nanos });
        let check = HealthCheck { interval, ..Default::default() };
        refused(|s| health(s, check), &["spec.health_check.interval"]);
    }
    let check = HealthCheck { test: texts(&["NONE"]), retries: 1, ..Default::default() };
    refused(|s| health(s, check), &["spec.health_check"]);
}

#[test]
fn limits() {
    refused(|s| s.memory_bytes = Some(6 * 1024 * 1024 - 1), &["spec.memory_bytes"]);
    refused(|s| s.memory_bytes = Some(-1), &["spec.memory_bytes"]);
    refused(|s| s.memory_swap_bytes = Some(8 << 20), &["spec.memory_swap_bytes"]);
    refused(|s| s.memory_swap_bytes = Some(-2), &["spec.memory_swap_bytes"]);
    refused(
        |s| (s.memory_bytes, s.memory_swap_bytes) = (Some(8 << 20), Some(7 << 20)),
        &["spec.memory_swap_bytes"],
    );
    let memory = ContainerSpec { memory_bytes: Some(8 << 20), ..spec() };
    let reserved = r#"{"HostConfig":{"MemoryReservation":16777216}}"#;
    assert_eq!(fields(&memory, reserved), ["spec.memory_bytes"]);
    assert_eq!(fields(&memory, r#"{"HostConfig":{"memoryswap":1}}"#), ["spec.memory_bytes"]);
    refused(|s| s.nano_cpus = Some(-1), &["spec.nano_cpus"]);
    refused(|s| s.nano_cpus = Some(9_999_999), &["spec.nano_cpus"]);
    let processors = ContainerSpec { nano_cpus: Some(1_000_000_000), ..spec() };
    assert_eq!(fields(&processors, r#"{"HostConfig":{"CpuQuota":5000}}"#), ["spec.nano_cpus"]);
    refused(|s| s.cpu_shares = Some(1), &["spec.cpu_shares"]);
    refused(|s| s.cpu_shares = Some(262_145), &["spec.cpu_shares"]);
    refused(|s| s.pids_limit = Some(-2), &["spec.pids_limit"]);
    for list in ["a", "0-", "3-1", "0,,1", "0 ,1", "+1"] {
        refused(|s| s.cpuset_cpus = list.into(), &["spec.cpuset_cpus"]);
    }
    refused(|s| s.shm_size_bytes = Some(-1), &["spec.shm_size_bytes"]);
    let limit = |name: &str, soft, hard| Ulimit { name: name.into(), soft, hard };
    refused(
        |s| {
            s.ulimits = vec![
                limit("nofile", 1, 1),
                limit("files", 1, 1),
                limit("nofile", 1, 1),
                limit("core", -1, 5),
                limit("cpu", 6, 5),
                limit("as", -2, -1),
            ];
        },
        &[
            "spec.ulimits[1].name",
            "spec.ulimits[2].name",
            "spec.ulimits[3].soft",
            "spec.ulimits[4].soft",
            "spec.ulimits[5].soft",
        ],
    );
    refused(
        |s| (s.log_driver, s.log_options) = ("none".into(), map(&[("a", "b")])),
        &["spec.log_options"],
    );
}

#[test]
fn networks_and_ports() {
    let port =
        |container_port, host_port| PortMapping { container_port, host_port, ..Default::default() };
    refused(|s| s.ports = vec![port(80, 0), port(0, 1)], &["spec.ports[1].container_port"]);
    refused(|s| s.ports = vec![port(80, 65_536)], &["spec.ports[0].host_port"]);
    refused(|s| s.ports = vec![port(80, 1), port(81, 1)], &["spec.ports[1].host_port"]);
    refused(
        |s| {
            let odd =
                PortMapping { protocol: "TCP".into(), host_ip: "localhost".into(), ..port(1, 1) };
            s.ports = vec![odd];
        },
        &["spec.ports[0].protocol", "spec.ports[0].host_ip"],
    );
    let ports = vec![port(80, 8080)];
    refused(|s| (s.network, s.ports) = ("container:db".into(), ports), &["spec.ports"]);
    for expose in ["0", "70000", "80/icmp", "80-90/tcp", "", "+80", "/tcp"] {
        refused(|s| s.expose = texts(&[expose]), &["spec.expose[0]"]);
    }
    refused(|s| s.network = "container:".into(), &["spec.network"]);
    for network in ["", "host", "none", "bridge", "default", "container:db"] {
        let aliases = texts(&["web"]);
        refused(
            |s| (s.network, s.network_aliases) = (network.into(), aliases),
            &["spec.network_aliases"],
        );
    }
    refused(
        |s| (s.network, s.network_aliases) = ("front".into(), texts(&["a", "", "b c"])),
        &["spec.network_aliases[1]", "spec.network_aliases[2]"],
    );
    refused(|s| s.dns = texts(&["dns.example.com"]), &["spec.dns[0]"]);
    for host in ["db", "db:", ":10.0.0.1", "db:x", "d b:10.0.0.1", "db:[::1]"] {
        refused(|s| s.extra_hosts = texts(&[host]), &["spec.extra_hosts[0]"]);
    }
}

#[test]
fn storage() {
    for volume in [
        "",
        ":",
        "data",
        "./a:/a",
        "~/a:/a",
        "/a:b",
        "/a:ro",
        "/a:/",
        "/a:/x/..",
        "/a:/b:xx",
        "/a:/b:ro,rw",
        "/a:/b:nocopy",
        "data:/b:rslave",
        "a:/b",
        "/a:/b:ro:x",
        "/a:",
        ":/a",
        "/a\0:/b",
        "/",
    ] {
        refused(|s| s.volumes = texts(&[volume]), &["spec.volumes[0]"]);
    }
    for volume in ["/a:/b:ro,z", "/a:/b:rw,rshared", "data:/b:nocopy", "/a:/b:cached", "/b"] {
        let spec = ContainerSpec { volumes: texts(&[volume]), ..spec() };
        assert!(container_body(Some(&spec), None).is_ok(), "{volume}");
    }
    refused(|s| s.volumes = texts(&["/a:/x", "/b:/x/"]), &["spec.volumes[1]"]);
    refused(
        |s| (s.volumes, s.tmpfs) = (texts(&["/a:/x"]), map(&[("/x", "")])),
        &["spec.tmpfs[\"/x\"]"],
    );
    for options in ["size", "siz=1", "rw,", "ro rw", "size="] {
        refused(|s| s.tmpfs = map(&[("/x", options)]), &["spec.tmpfs[\"/x\"]"]);
    }
    refused(|s| s.tmpfs = map(&[("x", "")]), &["spec.tmpfs[\"x\"]"]);
    for source in ["", ":ro", "data:xx", "a/b"] {
        refused(|s| s.volumes_from = texts(&[source]), &["spec.volumes_from[0]"]);
    }
}

#[test]
fn mounts() {
    let mount = |kind: &str, source: &str, target: &str| Mount {
        r#type: kind.into(),
        source: source.into(),
        target: target.into(),
        ..Default::default()
    };
    for (mount, field) in [
        (mount("", "/a", "/b"), "type"),
        (mount("npipe", "/a", "/b"), "type"),
        (mount("bind", "", "/b"), "source"),
        (mount("bind", "a", "/b"), "source"),
        (mount("volume", "/a", "/b"), "source"),
        (mount("tmpfs", "a", "/b"), "source"),
        (mount("bind", "/a", ""), "target"),
        (mount("bind", "/a", "/"), "target"),
        (Mount { read_only: true, ..mount("volume", "", "/b") }, "read_only"),
        (Mount { propagation: "x".into(), ..mount("bind", "/a", "/b") }, "propagation"),
        (Mount { propagation: "slave".into(), ..mount("volume", "", "/b") }, "propagation"),
        (Mount { no_copy: true, ..mount("bind", "/a", "/b") }, "no_copy"),
        (Mount { driver: "nfs".into(), ..mount("tmpfs", "", "/b") }, "driver"),
        (
            Mount { driver_options: map(&[("a", "b")]), ..mount("bind", "/a", "/b") },
            "driver_options",
        ),
        (Mount { labels: map(&[("a", "b")]), ..mount("bind", "/a", "/b") }, "labels"),
        (Mount { tmpfs_size_bytes: 1, ..mount("bind", "/a", "/b") }, "tmpfs_size_bytes"),
        (Mount { tmpfs_size_bytes: -1, ..mount("tmpfs", "", "/b") }, "tmpfs_size_bytes"),
        (Mount { tmpfs_mode: 0o10000, ..mount("tmpfs", "", "/b") }, "tmpfs_mode"),
        (Mount { tmpfs_mode: 1, ..mount("volume", "", "/b") }, "tmpfs_mode"),
    ] {
        refused(|s| s.mounts = vec![mount], &[&format!("spec.mounts[0].{field}")]);
    }
}

#[test]
fn isolation() {
    refused(|s| s.cap_add = texts(&["NET ADMIN"]), &["spec.cap_add[0]"]);
    refused(|s| s.cap_drop = texts(&["ALL", ""]), &["spec.cap_drop[1]"]);
    refused(|s| s.group_add = texts(&[""]), &["spec.group_add[0]"]);
    for option in ["", "foo=1", "seccomp", "seccomp=/etc/x.json", "apparmor=", "systempaths=x"] {
        refused(|s| s.security_opt = texts(&[option]), &["spec.security_opt[0]"]);
    }
    refused(|s| s.pid_mode = "private".into(), &["spec.pid_mode"]);
    refused(|s| s.ipc_mode = "container:".into(), &["spec.ipc_mode"]);
    refused(|s| s.sysctls = map(&[("vm.swappiness", "1")]), &["spec.sysctls[\"vm.swappiness\"]"]);
    let sysctls = map(&[("net.ipv4.ip_forward", "1")]);
    let host = ContainerSpec { sysctls, ..spec() };
    let body = r#"{"HostConfig":{"NetworkMode":"host"}}"#;
    assert_eq!(fields(&host, body), ["spec.sysctls[\"net.ipv4.ip_forward\"]"]);
    for device in ["", "fuse", "/dev/a:b", "/dev/a:/dev/b:x", "/dev/a:/dev/b:rr", "/dev/a:/b:r:w"] {
        refused(|s| s.devices = texts(&[device]), &["spec.devices[0]"]);
    }
}

#[test]
fn restart_policies() {
    let policy =
        |name: &str, count| Some(RestartPolicy { name: name.into(), maximum_retry_count: count });
    refused(|s| s.restart_policy = policy("", 0), &["spec.restart_policy.name"]);
    refused(|s| s.restart_policy = policy("Always", 0), &["spec.restart_policy.name"]);
    refused(
        |s| s.restart_policy = policy("always", 1),
        &["spec.restart_policy.maximum_retry_count"],
    );
    refused(
        |s| (s.auto_remove, s.restart_policy) = (Some(true), policy("always", 0)),
        &["spec.auto_remove"],
    );
    let always = ContainerSpec { restart_policy: policy("always", 0), ..spec() };
    assert_eq!(fields(&always, r#"{"hostconfig":{"autoremove":true}}"#), ["spec.restart_policy"]);
    let both = r#"{"HostConfig":{"AutoRemove":true,"RestartPolicy":{"name":"always"}}}"#;
    assert_eq!(fields(&spec(), both), ["engine.json"]);
    let no = ContainerSpec { restart_policy: policy("no", 0), auto_remove: Some(true), ..spec() };
    assert!(container_body(Some(&no), None).is_ok());
}

#[test]
fn names_of_empty_settings() {
    for (name, word) in [
        ("image", "requires an image"),
        ("networks", "requires the name"),
        ("dsn", "did you mean"),
        ("env.A", "without an entry"),
        ("user", "set too"),
    ] {
        let spec = ContainerSpec { empty: texts(&["dns", name]), user: "web".into(), ..spec() };
        let found = container_body(Some(&spec), None).unwrap_err();
        assert_eq!((found.len(), found[0].field.as_str()), (1, "spec.empty[1]"), "{name}");
        assert!(found[0].description.contains(word), "{name}: {found:?}");
    }
}

#[test]
fn attachments() {
    let network = |name: &str| NetworkAttachment { name: name.into(), ..Default::default() };
    let good = NetworkAttachment { ipv4_address: "10.0.0.5".into(), ..network("a") };
    refused(|s| s.networks = vec![network("host")], &["spec.networks"]);
    refused(|s| (s.network, s.networks) = ("none".into(), vec![good.clone()]), &["spec.networks"]);
    for (attachment, field) in [
        (network("container:x"), "name"),
        (network("front"), "name"),
        (NetworkAttachment { ipv4_address: "fd00::1".into(), ..network("b") }, "ipv4_address"),
        (NetworkAttachment { ipv6_address: "10.0.0.1".into(), ..network("b") }, "ipv6_address"),
        (NetworkAttachment { mac_address: "02:42:0a:00:00".into(), ..network("b") }, "mac_address"),
        (NetworkAttachment { aliases: texts(&["a b"]), ..network("b") }, "aliases[0]"),
        (
            NetworkAttachment { ipv4_address: "10.0.0.5".into(), ..network("bridge") },
            "ipv4_address",
        ),
    ] {
        refused(
            |s| {
                s.network = "front".into();
                s.networks = vec![network(""), good.clone(), attachment];
            },
            &[&format!("spec.networks[2].{field}")],
        );
    }
}

#[test]
fn host_names_are_those_that_the_engine_takes() {
    // Engine 20.10 starts containers with all of these, and truncates no host name.
    for host in ["-a_b-", "a/b", "web.example.com", "日本"] {
        let spec = ContainerSpec { hostname: host.into(), ..spec() };
        assert!(container_body(Some(&spec), None).is_ok(), "{host}");
    }
    let long = ContainerSpec { domainname: "abcdefghi.".repeat(12), ..spec() };
    assert!(container_body(Some(&long), None).is_ok());
    refused(|s| s.domainname = "x".repeat(254), &["spec.domainname"]);
}

#[test]
fn what_rows_of_the_table_refuse() {
    refused(|s| s.cpu_quota = Some(999), &["spec.cpu_quota"]);
    refused(|s| s.cpu_period = Some(1_000_001), &["spec.cpu_period"]);
    refused(|s| (s.nano_cpus, s.cpu_quota) = (Some(1 << 30), Some(5000)), &["spec.nano_cpus"]);
    refused(
        |s| (s.memory_bytes, s.memory_reservation_bytes) = (Some(8 << 20), Some(9 << 20)),
        &["spec.memory_reservation_bytes"],
    );
    refused(|s| s.oom_score_adj = Some(1001), &["spec.oom_score_adj"]);
    refused(|s| s.cgroupns_mode = "shareable".into(), &["spec.cgroupns_mode"]);
    refused(|s| s.dns_search = texts(&[""]), &["spec.dns_search[0]"]);
    let port = |host_port, host_port_end| PortMapping {
        container_port: 80,
        host_port,
        host_port_end,
        ..Default::default()
    };
    for (first, last) in [(0, 5), (5, 5), (6, 5), (5, 70_000)] {
        refused(|s| s.ports = vec![port(first, last)], &["spec.ports[0].host_port_end"]);
    }
    let gpu = |count, ids: &[&str], capabilities: &[&str]| DeviceRequest {
        count,
        device_ids: texts(ids),
        capabilities: texts(capabilities),
        ..Default::default()
    };
    for (request, field) in [
        (gpu(0, &[], &["gpu"]), "count"),
        (gpu(-2, &[], &["gpu"]), "count"),
        (gpu(1, &["0"], &["gpu"]), "count"),
        (gpu(1, &[], &[]), "capabilities"),
    ] {
        refused(
            |s| s.device_requests = vec![request],
            &[&format!("spec.device_requests[0].{field}")],
        );
    }
}
