use serde_json::{Value, json};
use wharf::v1::ContainerSpec;

use super::bodies::{body, host, made, old, options, refused};
use crate::domain::Reason;
use crate::rollout::recreate::{check_unset, fresh, recreate};
use crate::rollout::spec::Change;

fn full() -> Value {
    json!({
        "Config": {
            "Env": ["A=1", "B=2"], "Labels": {"a.b": "1"}, "Cmd": ["x"],
            "ExposedPorts": {"80/tcp": {}, "81/tcp": {}},
        },
        "HostConfig": {
            "Memory": 100, "MemorySwap": 200, "CapAdd": ["CAP_NET_ADMIN", "SYS_TIME"],
            "PortBindings": {"80/tcp": [{"HostPort": "8080"}]},
            "Binds": ["/srv:/data", "/x:/y"],
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
            "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
            "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
        },
    })
}

fn without(paths: &[&str]) -> Value {
    let unset = paths.iter().map(|&path| path.to_owned()).collect();
    let change = Change { unset, ..Change::default() };
    made(&old(full(), json!({})), &host(41), &change).body
}

#[test]
fn settings_are_taken_away_by_name() {
    let all = body(full(), json!({}));
    let host_config = |body: &Value| body["HostConfig"].clone();
    assert_eq!(without(&["env.A"])["Env"], json!(["B=2"]));
    assert_eq!(without(&["env"]).get("Env"), None);
    assert_eq!(without(&["labels.a.b"]).get("Labels"), None);
    assert_eq!(without(&["command"]).get("Cmd"), None);
    let body = without(&["ports.80/tcp"]);
    assert_eq!(body["ExposedPorts"], json!({"81/tcp": {}}));
    assert_eq!(host_config(&body).get("PortBindings"), None);
    assert_eq!(without(&["ports.80"]), body);
    assert_eq!(without(&["ports"]), body);
    assert_eq!(without(&["volumes./data/"])["HostConfig"]["Binds"], json!(["/x:/y"]));
    assert_eq!(without(&["cap_add.NET_ADMIN"])["HostConfig"]["CapAdd"], json!(["SYS_TIME"]));
    let body = without(&["memory_bytes"]);
    assert_eq!(host_config(&body).get("Memory"), None);
    assert_eq!(host_config(&body).get("MemorySwap"), None);
    let log = &without(&["log_options.max-size"])["HostConfig"]["LogConfig"];
    assert_eq!(*log, json!({"Type": "json-file"}));
    assert_eq!(without(&["ulimits.nofile"])["HostConfig"]["Ulimits"], json!([]));
    assert_eq!(host_config(&without(&["restart_policy"])).get("RestartPolicy"), None);
    assert_eq!(without(&[]), all);
}

#[test]
fn what_is_not_there_is_told_and_what_does_not_exist_is_refused() {
    let change = Change { unset: vec!["env.NONE".to_owned()], ..Change::default() };
    let recreated = made(&old(full(), json!({})), &host(41), &change);
    assert_eq!(recreated.diff, [""; 0]);
    assert!(recreated.risks[0].starts_with("unset env.NONE: the container does not set it"));

    let paths = ["enw.A", "command.x", "env.", "networks", "image"].map(str::to_owned);
    let found = check_unset(&paths);
    let fields: Vec<&str> = found.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, [0, 1, 2, 3, 4].map(|index| format!("change.unset[{index}]")));
    assert_eq!(found[0].description, "\"enw\" is not a setting; did you mean \"env\"?");
    let change = Change { unset: paths.to_vec(), ..Change::default() };
    assert_eq!(refused(json!({}), &host(41), &change).len(), 5);
}

#[test]
fn settings_come_over_what_is_left_and_the_patch_over_all() {
    let set = ContainerSpec {
        env: vec!["B=3".to_owned(), "C=4".to_owned()],
        memory_bytes: Some(16 << 20),
        ..ContainerSpec::default()
    };
    let change = Change {
        image: Some("app:v2".parse().unwrap()),
        set,
        unset: vec!["env.A".to_owned()],
        merge_patch: Some(json!({"HostConfig": {"CpuShares": 5, "Binds": null}, "User": "u"})),
        whole: None,
        image_from: None,
    };
    let recreated = made(&old(full(), json!({})), &host(41), &change);
    let body = &recreated.body;
    assert_eq!(body["Image"], "app:v2");
    assert_eq!(body["Env"], json!(["B=3", "C=4"]));
    assert_eq!(body["User"], "u");
    assert_eq!(body["HostConfig"]["Memory"], 16 << 20);
    // Derived from the old limit by the Engine, and in the way of the new one.
    assert_eq!(body["HostConfig"].get("MemorySwap"), None);
    assert_eq!(body["HostConfig"].get("Binds"), None);
    assert_eq!(
        recreated.diff,
        [
            "HostConfig.CpuShares: none -> 5".replace("HostConfig.CpuShares", "cpu_shares"),
            "env.A: (hidden) -> none".to_owned(),
            "env.B: (hidden) -> (hidden), changed".to_owned(),
            "env.C: none -> (hidden)".to_owned(),
            "image: \"app:v1\" -> \"app:v2\"".to_owned(),
            "memory_bytes: 100 -> 16777216".to_owned(),
            "memory_swap_bytes: 200 -> none".to_owned(),
            "user: none -> \"u\"".to_owned(),
            "volumes./data: \"/srv:/data\" -> none".to_owned(),
            "volumes./y: \"/x:/y\" -> none".to_owned(),
        ]
    );
}

#[test]
fn a_whole_body_takes_nothing_over() {
    let change = Change {
        whole: Some(json!({"Image": "app:v9", "HostConfig": {"NetworkMode": "back"}})),
        ..Change::default()
    };
    let mut old = old(full(), json!({}));
    // Nothing of it is used; so nobody has to know what of it is the image's.
    old.image = None;
    let recreated = made(&old, &host(41), &change);
    assert_eq!(recreated.body, change.whole.clone().unwrap());
    assert!(recreated.diff.contains(&"network: \"front\" -> \"back\"".to_owned()));

    let created = fresh(&host(41), &change).unwrap();
    assert_eq!(created.body, recreated.body);
    assert_eq!(created.spec_sha, recreated.spec_sha);
    let lost = Change {
        whole: Some(json!({"Image": "a:1", "HostConfig": {"NetworkMode": "lost"}})),
        ..Change::default()
    };
    assert_eq!(fresh(&host(41), &lost).unwrap_err()[0].reason, Reason::NetworkNotFound);
    assert_eq!(fresh(&host(41), &Change::default()).unwrap_err()[0].reason, Reason::InvalidField);
}

#[test]
fn what_is_wrong_is_refused_with_its_field() {
    let set = ContainerSpec { working_dir: "relative".to_owned(), ..ContainerSpec::default() };
    let change = Change { set, ..Change::default() };
    let found = refused(json!({}), &host(41), &change);
    assert_eq!(found[0].reason, Reason::InvalidField);
    assert!(found[0].message.starts_with("change.set.working_dir: "), "{found:?}");

    for patch in [
        json!({"HostConfig": {"NetworkMode": "bridge"},
            "NetworkingConfig": {"EndpointsConfig": {"bridge": {"Aliases": ["x"]}}}}),
        json!({"Hostname": "x", "HostConfig": {"NetworkMode": "container:other"}}),
        json!({"HostConfig": {"AutoRemove": true, "RestartPolicy": {"Name": "always"}}}),
        json!({"Image": ""}),
        json!([]),
    ] {
        let change = Change { merge_patch: Some(patch.clone()), ..Change::default() };
        let result = recreate(&old(json!({}), json!({})), &host(41), &change, &options());
        assert_eq!(
            result.expect_err(&patch.to_string())[0].reason,
            Reason::InvalidField,
            "{patch}"
        );
    }
}

#[test]
fn endpoints_of_a_network_that_is_left_are_not_asked_for() {
    let set = ContainerSpec { network: "host".to_owned(), ..ContainerSpec::default() };
    let change = Change { set, ..Change::default() };
    let recreated = made(&old(json!({}), json!({})), &host(41), &change);
    assert_eq!(recreated.body.get("NetworkingConfig"), None);
    assert_eq!(recreated.extra_networks, []);
}
