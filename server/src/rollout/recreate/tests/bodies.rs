//! What the tests are made of: one container, its image and its host.

use serde_json::{Value, json};

use crate::engine::{ApiVersion, ContainerFacts, Inspection, NetworkSummary, Platform};
use crate::rollout::facts::{HostFacts, OldContainer};
use crate::rollout::model::Trouble;
use crate::rollout::recreate::{Options, Recreated, recreate};
use crate::rollout::spec::{Change, Policy};

pub const ID: &str = "aaaaaaaaaaaabbbbbbbbbbbbccccccccccccddddddddddddeeeeeeeeeeeeffff";
pub const IMAGE: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

/// A container that has nothing but its image, with settings of its own put over it.
pub fn container(own: Value) -> Value {
    let mut inspect = json!({
        "Id": ID,
        "Name": "/web",
        "Image": IMAGE,
        "State": {"Running": true},
        "Mounts": [],
        "Config": {"Hostname": &ID[..12], "Image": "app:v1", "Env": null, "Cmd": null},
        "HostConfig": {"NetworkMode": "front", "Memory": 0},
        "NetworkSettings": {"Networks": {"front": {"NetworkID": "n1", "Aliases": [&ID[..12]]}}},
    });
    put(&mut inspect, own);
    inspect
}

/// As the container, with this in its image.
#[expect(clippy::needless_pass_by_value, reason = "reads better with JSON written in place")]
pub fn old(own: Value, image: Value) -> OldContainer {
    OldContainer {
        inspect: Inspection::of(container(own)),
        image: Some(json!({"Id": IMAGE, "Os": "linux", "Architecture": "amd64", "Config": image})),
        named_image: Some(IMAGE.to_owned()),
        changes: Some(Vec::new()),
    }
}

/// A host with two networks and the container.
pub fn host(api: u16) -> HostFacts {
    let network = |id: &str, name: &str| NetworkSummary {
        id: id.to_owned(),
        name: name.to_owned(),
        driver: "bridge".to_owned(),
        scope: "local".to_owned(),
        ..NetworkSummary::default()
    };
    HostFacts {
        api_version: ApiVersion::new(1, api),
        engine_name: "node-1".to_owned(),
        log_driver: "json-file".to_owned(),
        runtime: "runc".to_owned(),
        platform: Platform::default(),
        networks: vec![network("n0", "bridge"), network("n1", "front"), network("n2", "back")],
        containers: vec![ContainerFacts::read(&container(json!({})))],
        unread: Vec::new(),
        fixed_restart_policies: false,
        made: Vec::new(),
        now: None,
    }
}

pub fn options() -> Options {
    Options::from(&Policy::default())
}

pub fn made(old: &OldContainer, host: &HostFacts, change: &Change) -> Recreated {
    recreate(old, host, change, &options()).unwrap_or_else(|refusals| panic!("{refusals:?}"))
}

/// What an unchanged container would be created with, read with API 1.41.
pub fn body(own: Value, image: Value) -> Value {
    made(&old(own, image), &host(41), &Change::default()).body
}

pub fn refused(own: Value, host: &HostFacts, change: &Change) -> Vec<Trouble> {
    recreate(&old(own, json!({})), host, change, &options()).expect_err("it is refused")
}

fn put(target: &mut Value, own: Value) {
    match (target, own) {
        (Value::Object(target), Value::Object(own)) => {
            for (key, value) in own {
                // Whole, not merged: a test says which networks there are.
                if key == "Networks" {
                    target.insert(key, value);
                } else {
                    put(target.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (target, own) => *target = own,
    }
}
