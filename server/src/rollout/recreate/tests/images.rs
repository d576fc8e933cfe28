use serde_json::{Value, json};

use super::bodies::{body, host, made, old, options};
use crate::domain::Reason;
use crate::rollout::recreate::{Options, recreate};
use crate::rollout::spec::Change;

#[expect(clippy::needless_pass_by_value, reason = "reads better with JSON written in place")]
fn config(own: Value, image: Value) -> Value {
    body(json!({ "Config": own }), image)
}

#[test]
fn c01_environment_is_what_stands_before_the_image_s() {
    for (shown, image, expected) in [
        (json!(["A=1"]), json!(["A=1"]), json!(null)),
        (json!(["X=1", "A=1"]), json!(["A=1"]), json!(["X=1"])),
        // The operator's own value equals the image's.
        (json!(["A=1", "X=1"]), json!(["A=1"]), json!(["A=1", "X=1"])),
        (json!(["A=2", "B=1"]), json!(["A=1", "B=1"]), json!(["A=2"])),
        (json!(["B=9", "A=1"]), json!(["A=1", "B=1"]), json!(["B=9"])),
        (json!(["X", "A=1"]), json!(["A=1"]), json!(["X"])),
        (json!(["X=1"]), json!(null), json!(["X=1"])),
        (json!(null), json!(null), json!(null)),
    ] {
        let found = config(json!({ "Env": shown }), json!({ "Env": image }));
        assert_eq!(found["Env"], expected, "{shown} {image}");
    }
}

#[test]
fn c01_environment_that_does_not_follow_is_told() {
    let old = old(json!({"Config": {"Env": ["A=1", "X=1"]}}), json!({"Env": ["B=2", "A=1"]}));
    let recreated = made(&old, &host(41), &Change::default());
    // No beginning of it becomes this list: B is missing.
    assert_eq!(recreated.body["Env"], json!(["X=1"]));
    assert!(recreated.risks[0].starts_with("cannot derive its environment"), "{recreated:?}");
}

#[test]
fn c02_entrypoint_and_command() {
    for (entrypoint, command, of_image, expected) in [
        (json!(["e"]), json!(["c"]), (json!(["e"]), json!(["c"])), (json!(null), json!(null))),
        (json!(["e"]), json!(["x"]), (json!(["e"]), json!(["c"])), (json!(null), json!(["x"]))),
        (json!(["x"]), json!(null), (json!(["e"]), json!(["c"])), (json!(["x"]), json!(null))),
        (json!(["x"]), json!(["c"]), (json!(["e"]), json!(["c"])), (json!(["x"]), json!(["c"]))),
        (json!(["e"]), json!(null), (json!(["e"]), json!(["c"])), (json!(["e"]), json!(null))),
        (json!(null), json!(["c"]), (json!(["e"]), json!(["c"])), (json!([""]), json!(["c"]))),
        (json!([]), json!(["c"]), (json!(["e"]), json!(["c"])), (json!([]), json!(null))),
        (json!(null), json!(["c"]), (json!(null), json!(["c"])), (json!(null), json!(null))),
        (json!(null), json!(["x"]), (json!([]), json!(["c"])), (json!(null), json!(["x"]))),
    ] {
        let found = config(
            json!({"Entrypoint": entrypoint, "Cmd": command}),
            json!({"Entrypoint": of_image.0, "Cmd": of_image.1}),
        );
        let found = (found["Entrypoint"].clone(), found["Cmd"].clone());
        assert_eq!(found, expected, "{entrypoint} {command}");
    }
}

#[test]
fn c03_to_c06_what_equals_the_image_goes() {
    let own = json!({
        "Labels": {"a": "1", "b": "2", "c": "3"},
        "WorkingDir": "/w", "User": "u", "StopSignal": "SIGINT",
        "ExposedPorts": {"80/tcp": {}, "81/tcp": {}, "9/udp": {}},
        "Volumes": {"/data": {}, "/data/": {}, "/own": {}},
    });
    let image = json!({
        "Labels": {"a": "1", "b": "x", "gone": "1"},
        "WorkingDir": "/w", "User": "u", "StopSignal": "SIGINT",
        "ExposedPorts": {"80/tcp": {}, "81/tcp": {}},
        "Volumes": {"/data/": {}},
    });
    let shown = json!({
        "Config": own,
        "HostConfig": {"PortBindings": {"81/tcp": [{"HostPort": "8081"}], "82/tcp": []}},
    });
    let found = body(shown, image);
    assert_eq!(found["Labels"], json!({"b": "2", "c": "3"}));
    for key in ["WorkingDir", "User", "StopSignal"] {
        assert_eq!(found.get(key), None, "{key}");
    }
    assert_eq!(found["ExposedPorts"], json!({"81/tcp": {}, "9/udp": {}, "82/tcp": {}}));
    assert_eq!(found["Volumes"], json!({"/own": {}}));
}

#[test]
fn c07_health_check_loses_what_equals_the_image_s_and_keeps_the_start_interval() {
    let image = json!({"Healthcheck": {
        "Test": ["CMD", "true"], "Interval": 5, "StartInterval": 2, "Retries": 3,
    }});
    let own = json!({"Healthcheck": {
        "Test": ["CMD", "true"], "Interval": 5, "StartInterval": 9, "Retries": 3, "Timeout": 0,
    }});
    // Since API 1.44.
    let own = old(json!({"Config": own}), image.clone());
    let found = made(&own, &host(44), &Change::default()).body;
    assert_eq!(found["Healthcheck"], json!({"StartInterval": 9}));
    let same = image.clone();
    assert_eq!(config(same, image.clone()).get("Healthcheck"), None);
    let off = json!({"Healthcheck": {"Test": ["NONE"], "Interval": 5, "Retries": 3}});
    assert_eq!(config(off, image)["Healthcheck"], json!({"Test": ["NONE"]}));
}

#[test]
fn c08_an_image_of_another_platform_is_not_the_container_s() {
    let own = json!({
        "Config": {"Env": ["A=1"]},
        "ImageManifestDescriptor": {"platform": {"os": "linux", "architecture": "arm64"}},
    });
    let old = old(own, json!({"Env": ["A=1"]}));
    let refusals = recreate(&old, &host(48), &Change::default(), &options())
        .expect_err("that image says nothing");
    assert_eq!(refusals[0].reason, Reason::OldImageMissing);
    let explicit = Options { assume_explicit: true, ..options() };
    let recreated = recreate(&old, &host(48), &Change::default(), &explicit).unwrap();
    assert_eq!(recreated.body["Env"], json!(["A=1"]));
}

#[test]
fn c09_what_is_of_builds_and_of_windows_is_not_asked_for() {
    let own = json!({"ArgsEscaped": true, "OnBuild": ["RUN x"], "Shell": ["/bin/sh"]});
    let image = json!({"OnBuild": ["RUN x"], "Shell": ["/bin/sh"]});
    let found = config(own, image);
    for key in ["ArgsEscaped", "OnBuild", "Shell"] {
        assert_eq!(found.get(key), None, "{key}");
    }
}

#[test]
fn c10_settings_that_nobody_here_knows_go_through() {
    let own = json!({
        "Config": {"Future": {"a": [1, {"b": null}]}},
        "HostConfig": {"FutureLimit": {"x": 18_446_744_073_709_551_615_u64}, "Annotations": {}},
    });
    let found = body(own.clone(), json!({}));
    assert_eq!(found["Future"], own["Config"]["Future"]);
    for key in ["FutureLimit", "Annotations"] {
        assert_eq!(found["HostConfig"][key], own["HostConfig"][key]);
    }
}

#[test]
fn c35_a_name_that_moved_on_is_replaced_by_the_id() {
    let mut old = old(json!({}), json!({}));
    old.named_image = Some("sha256:other".to_owned());
    let recreated = made(&old, &host(41), &Change::default());
    assert_eq!(recreated.body["Image"], super::bodies::IMAGE);
    let change = Change { image: Some("app:v2".parse().unwrap()), ..Change::default() };
    assert_eq!(made(&old, &host(41), &change).body["Image"], "app:v2");
}
