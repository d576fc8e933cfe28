//! For any wishes and any image: what the Engine mixes of them, taken apart and mixed again, is
//! the same.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::bodies::{host, made, old};
use crate::rollout::recreate::json::canonical;
use crate::rollout::spec::Change;

/// The Engine's mixing of wishes and image (moby, `daemon/commit.go`).
fn mixed(asked: &Value, image: &Value) -> Value {
    let mut all = asked.clone();
    let none = |value: &Value| crate::rollout::recreate::json::is_empty(value);
    let texts = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let key = |entry: &Value| {
        entry.as_str().unwrap_or_default().split('=').next().unwrap_or_default().to_owned()
    };
    let mut env = texts(&all["Env"]);
    if env.is_empty() {
        env = texts(&image["Env"]);
    } else {
        for entry in texts(&image["Env"]) {
            if !env.iter().any(|have| key(have) == key(&entry)) {
                env.push(entry);
            }
        }
    }
    all["Env"] = env.into();
    for map in ["Labels", "ExposedPorts", "Volumes"] {
        let mut merged = image[map].as_object().cloned().unwrap_or_default();
        merged.extend(all[map].as_object().cloned().unwrap_or_default());
        all[map] = merged.into();
    }
    if none(&all["Entrypoint"]) {
        if none(&all["Cmd"]) {
            all["Cmd"] = image["Cmd"].clone();
        }
        if all["Entrypoint"].is_null() {
            all["Entrypoint"] = image["Entrypoint"].clone();
        }
    }
    if all["Entrypoint"] == json!([""]) {
        all["Entrypoint"] = Value::Null;
    }
    for text in ["User", "WorkingDir", "StopSignal"] {
        if none(&all[text]) {
            all[text] = image[text].clone();
        }
    }
    if !image["Healthcheck"].is_null() {
        let mut check = image["Healthcheck"].as_object().cloned().unwrap_or_default();
        let own = all["Healthcheck"].as_object().cloned().unwrap_or_default();
        check.extend(own.into_iter().filter(|(_, value)| !none(value)));
        all["Healthcheck"] = check.into();
    }
    all
}

fn words(from: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<String>> {
    let word = prop::sample::select(from).prop_map(str::to_owned);
    prop::collection::vec(word, 0..=most)
}

fn map_of(
    keys: &'static [&'static str],
    values: &'static [&'static str],
) -> impl Strategy<Value = Value> {
    let entry = (prop::sample::select(keys), prop::sample::select(values));
    prop::collection::vec(entry, 0..4).prop_map(|entries| {
        let map: Map<String, Value> =
            entries.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
        map.into()
    })
}

fn set_of(keys: &'static [&'static str]) -> impl Strategy<Value = Value> {
    words(keys, 3).prop_map(|keys| {
        keys.into_iter().map(|key| (key, json!({}))).collect::<Map<String, Value>>().into()
    })
}

fn maybe(list: Vec<String>) -> Value {
    if list.is_empty() { Value::Null } else { list.into() }
}

fn settings() -> impl Strategy<Value = Value> {
    let env = words(&["A=1", "A=2", "B=1", "B", "C=3", "D="], 4).prop_map(|list| {
        let mut seen = Vec::new();
        let first = |entry: &String| {
            let key = entry.split('=').next().unwrap_or_default().to_owned();
            let new = !seen.contains(&key);
            seen.push(key);
            new
        };
        list.into_iter().filter(first).collect::<Vec<_>>()
    });
    let health = prop::option::of((1..4_i64, 1..4_i64, prop::bool::ANY));
    (
        env,
        map_of(&["a", "b", "c"], &["1", "2"]),
        set_of(&["80/tcp", "81/tcp", "82/udp"]),
        set_of(&["/a", "/b", "/c"]),
        words(&["e", "f"], 1),
        words(&["x", "y"], 1),
        words(&["u", "v"], 1),
        health,
    )
        .prop_map(|(env, labels, ports, volumes, entrypoint, command, user, health)| {
            let mut settings = json!({
                "Env": maybe(env), "Labels": labels, "ExposedPorts": ports, "Volumes": volumes,
                "Entrypoint": maybe(entrypoint), "Cmd": maybe(command),
                "User": user.first().cloned().unwrap_or_default(),
                "WorkingDir": "", "StopSignal": "",
            });
            if let Some((interval, retries, with_test)) = health {
                settings["Healthcheck"] = json!({"Interval": interval, "Retries": retries});
                if with_test {
                    settings["Healthcheck"]["Test"] = json!(["CMD", "true"]);
                }
            }
            settings
        })
}

/// Equal but for nulls and empties.
fn same(one: &Value, other: &Value) -> bool {
    fn bare(value: &Value) -> Value {
        match value {
            Value::Object(object) => object
                .iter()
                .filter(|(_, value)| !crate::rollout::recreate::json::is_empty(value))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            other => other.clone(),
        }
    }
    canonical(&bare(one)) == canonical(&bare(other))
}

fn anew(config: &Value, image: &Value) -> Value {
    let mut body =
        made(&old(json!({"Config": config}), image.clone()), &host(41), &Change::default()).body;
    let object = body.as_object_mut().expect("a body");
    for key in ["HostConfig", "NetworkingConfig", "Image"] {
        object.shift_remove(key);
    }
    body
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn taken_apart_and_mixed_again_it_is_the_same(asked in settings(), image in settings()) {
        let shown = mixed(&asked, &image);
        let body = anew(&shown, &image);
        let again = mixed(&body, &image);
        prop_assert!(same(&again, &shown), "{shown}\n{body}\n{again}");
        prop_assert_eq!(anew(&again, &image), body);
    }

    #[test]
    fn wishes_that_differ_from_the_old_image_survive_the_new_one(
        asked in settings(), old_image in settings(), new_image in settings(),
    ) {
        let body = anew(&mixed(&asked, &old_image), &old_image);
        let after = mixed(&body, &new_image);
        let of_image = old_image["Env"].as_array().cloned().unwrap_or_default();
        for entry in asked["Env"].as_array().into_iter().flatten() {
            if !of_image.contains(entry) {
                let all = after["Env"].as_array().cloned().unwrap_or_default();
                prop_assert!(all.contains(entry), "{} {}", entry, after);
            }
        }
        for (key, value) in asked["Labels"].as_object().into_iter().flatten() {
            if old_image["Labels"].get(key) != Some(value) {
                prop_assert_eq!(&after["Labels"][key], value);
            }
        }
    }

    #[test]
    fn nothing_of_the_old_image_is_left_where_nothing_was_asked_for(
        old_image in settings(), new_image in settings(),
    ) {
        let nothing = json!({});
        let body = anew(&mixed(&nothing, &old_image), &old_image);
        prop_assert!(same(&mixed(&body, &new_image), &mixed(&nothing, &new_image)), "{body}");
    }

    #[test]
    fn no_value_of_a_variable_is_shown(
        names in prop::collection::btree_set("[A-Z]{1,5}", 0..5), marker in "[a-z]{12}",
    ) {
        let env: Vec<String> = names.iter().map(|name| format!("{name}={marker}")).collect();
        let old = old(json!({"Config": {"Env": env}}), json!({}));
        let change = Change { unset: vec!["env".to_owned()], ..Change::default() };
        let recreated = made(&old, &host(41), &change);
        prop_assert_eq!(recreated.diff.len(), names.len());
        let shown = format!("{:?} {:?}", recreated.diff, recreated.risks);
        prop_assert!(!shown.contains(&marker), "{shown}");
    }
}
