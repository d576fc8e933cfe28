//! What people see: differences without secrets, and the look at what the Engine made.

use serde_json::{Value, json};

use crate::rollout::recreate::diff::diff;
use crate::rollout::recreate::{compare, complete};

#[expect(clippy::needless_pass_by_value, reason = "reads better with JSON written in place")]
fn one(before: Value, after: Value) -> String {
    let lines = diff(&before, &after);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.into_iter().next().unwrap_or_default()
}

#[test]
fn secrets_are_not_shown_wherever_they_stand() {
    for after in [
        json!({"Env": ["PLAIN=s3cret"]}),
        json!({"Labels": {"api-token": "s3cret"}}),
        json!({"Cmd": ["app", "--password", "s3cret"]}),
        json!({"Cmd": ["app", "--db-password=s3cret"]}),
        json!({"Cmd": ["sh", "-c", "export TOKEN=s3cret; app"]}),
        json!({"Labels": {"url": "postgres://me:s3cret@db/x"}}),
        json!({"HostConfig": {"LogConfig": {"Config": {"splunk-token": "s3cret"}}}}),
        json!({"Healthcheck": {"Test": ["CMD-SHELL", "curl -H 'Authorization: s3cret' x"]}}),
        json!({"HostConfig": {"Mounts": [{"Target": "/x", "VolumeOptions": {"DriverConfig": {
            "Options": {"password": "s3cret"}}}}]}}),
    ] {
        let line = one(json!({}), after.clone());
        assert!(!line.contains("s3cret") && line.contains("(hidden)"), "{line}");
        let line = one(after, json!({}));
        assert!(!line.contains("s3cret"), "{line}");
    }
}

#[test]
fn plain_settings_are_shown_on_one_line() {
    for (before, after, expected) in [
        (json!({"Labels": {"tier": "a\nb"}}), json!({}), r#"labels.tier: "a\nb" -> none"#),
        (
            json!({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "80"}]}}}),
            json!({"HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "::1", "HostPort": "81"}]}}}),
            r#"ports.80/tcp: ["80"] -> ["::1:81"]"#,
        ),
        (
            json!({"HostConfig": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}}}),
            json!({"HostConfig": {"RestartPolicy": {"Name": "no"}}}),
            r#"restart_policy: "on-failure:3" -> none"#,
        ),
        (json!({"StopTimeout": 0}), json!({}), "stop_timeout: 0 -> none"),
        (json!({"Entrypoint": [""]}), json!({}), r#"entrypoint: [""] -> none"#),
    ] {
        assert_eq!(one(before, after), expected);
    }
    // Words for the same thing are no difference.
    let empty = json!({"Tty": false, "HostConfig": {"Memory": 0, "Dns": [], "CapAdd": null}});
    assert_eq!(diff(&empty, &json!({})), [""; 0]);
    let capabilities = |list: Value| json!({"HostConfig": {"CapAdd": list}});
    let (one, other) = (json!(["CAP_B", "a"]), json!(["A", "b"]));
    assert_eq!(diff(&capabilities(one), &capabilities(other)), [""; 0]);
}

#[test]
fn c36_what_the_engine_and_the_image_add_is_no_difference() {
    let asked = json!({
        "Image": "app:v2", "Env": ["A=1"], "Labels": {"a": "1"}, "Entrypoint": [""],
        "MacAddress": "02:42:0a:00:00:05",
        "HostConfig": {
            "NetworkMode": "default", "Links": ["/db:d"], "CapAdd": ["NET_ADMIN"],
            "Mounts": [{"Type": "volume", "Source": "v", "Target": "/d", "ReadOnly": false}],
            "PortBindings": {"80/tcp": [{}]}, "RestartPolicy": {"Name": ""},
        },
        "NetworkingConfig": {"EndpointsConfig": {"default": {}}},
    });
    let inspect = json!({
        "Config": {
            "Image": "app:v2", "Env": ["A=1", "B=2"], "Labels": {"a": "1", "b": "2"},
            "Entrypoint": null, "Hostname": "x",
        },
        "HostConfig": {
            "NetworkMode": "bridge", "Links": ["/db:/web/d"], "CapAdd": ["CAP_NET_ADMIN"],
            "Mounts": [{"Type": "volume", "Source": "v", "Target": "/d"}], "Memory": 0,
            "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": ""}]},
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        },
        "NetworkSettings": {"Networks": {"bridge": {"MacAddress": "02:42:0a:00:00:05"}}},
    });
    assert_eq!(compare(&asked, &inspect), [""; 0]);

    let mut other = inspect.clone();
    other["Config"]["Env"] = json!(["A=2"]);
    other["HostConfig"]["Mounts"][0]["Source"] = json!("w");
    other["HostConfig"]["CapAdd"] = json!(null);
    let found = compare(&asked, &other);
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn c26_compose_looks_for_the_image_in_a_label() {
    let body = json!({"Labels": {"com.docker.compose.image": "sha256:old", "x": "1"}});
    let sent = complete(&body, Some("sha256:new"), &[("io.wharf.rollout.id", "r".to_owned())]);
    assert_eq!(
        sent["Labels"],
        json!({"com.docker.compose.image": "sha256:new", "x": "1", "io.wharf.rollout.id": "r"})
    );
    let sent = complete(&json!({}), Some("sha256:new"), &[("io.wharf.rollout.id", "r".to_owned())]);
    assert_eq!(sent["Labels"], json!({"io.wharf.rollout.id": "r"}));
}
