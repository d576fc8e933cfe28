//! Settings from flags over those of a file. Pure.

use prost_reflect::{DynamicMessage, ReflectMessage, Value};
use wharf::reflect::dynamic;
use wharf::settings::{Name, SETTINGS, Shape};
use wharf::v1::ContainerSpec;

/// `base` with what `flags` set, as the table of settings says: entries with a name replace the one of
/// that name and keep the others, everything else replaces what is there.
pub fn settings(base: &ContainerSpec, flags: &ContainerSpec) -> ContainerSpec {
    let (mut base, set_empty, flags) = (dynamic(base), flags.empty.clone(), dynamic(flags));
    let descriptor = flags.descriptor();
    for field in &set_empty {
        base.clear_field_by_name(field);
    }
    for setting in SETTINGS {
        let Some(field) = descriptor.get_field_by_name(setting.field) else { continue };
        if !flags.has_field(&field) {
            continue;
        }
        let new = flags.get_field(&field).into_owned();
        match (setting.shape, base.get_field_mut(&field), new) {
            (Shape::Keyed(by), Value::List(old), Value::List(new)) => {
                let names: Vec<String> = new.iter().map(|entry| name(by, entry)).collect();
                old.retain(|entry| !names.contains(&name(by, entry)));
                old.extend(new);
            }
            (Shape::Map, Value::Map(old), Value::Map(new)) => old.extend(new),
            (Shape::Fields, Value::Message(old), Value::Message(new)) => {
                for (field, value) in new.fields() {
                    old.set_field(&field, value.clone());
                }
            }
            (_, old, new) => *old = new,
        }
    }
    let mut merged: ContainerSpec = base.transcode_to().expect("it is the same message");
    merged.empty.retain(|field| !flags.has_field_by_name(field) && !set_empty.contains(field));
    merged.empty.extend(set_empty);
    merged
}

/// What an entry of a list is called.
fn name(by: Name, entry: &Value) -> String {
    let field = |message: &DynamicMessage, name: &str| {
        message.get_field_by_name(name).map(|value| match &*value {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        })
    };
    match (by, entry) {
        (_, Value::String(text)) => Some(by.of(text)),
        (Name::Member(key), Value::Message(entry)) => field(entry, &key.to_ascii_lowercase()),
        (Name::Target, Value::Message(entry)) => field(entry, "target").map(|path| by.of(&path)),
        (Name::Port, Value::Message(entry)) => {
            let protocol = field(entry, "protocol").filter(|protocol| !protocol.is_empty());
            let protocol = protocol.unwrap_or_else(|| "tcp".to_owned());
            field(entry, "container_port").map(|port| format!("{port}/{protocol}"))
        }
        _ => None,
    }
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use wharf::v1::RestartPolicy;

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
        let merged = settings(&base, &flags);
        assert_eq!(merged.env, ["A=file", "B=flag"]);
        assert_eq!(merged.volumes, ["/cache", "new:/data:ro"]);
        assert_eq!(merged.command, ["check"]);
        assert_eq!((merged.labels["a"].as_str(), merged.labels["b"].as_str()), ("file", "flag"));
        assert_eq!((merged.memory_bytes, merged.user.as_str()), (Some(2), "web"));
    }

    #[test]
    fn the_latest_word_on_empty_counts() {
        let base = ContainerSpec {
            user: "web".into(),
            empty: list(&["dns", "hostname"]),
            ..Default::default()
        };
        let flags = ContainerSpec {
            dns: list(&["10.0.0.1"]),
            empty: list(&["user", "hostname"]),
            ..Default::default()
        };
        let merged = settings(&base, &flags);
        assert_eq!((merged.user.as_str(), merged.dns), ("", list(&["10.0.0.1"])));
        assert_eq!(merged.empty, ["user", "hostname"]);
    }

    #[test]
    fn a_restart_policy_replaces_the_whole_one() {
        let policy = |name: &str, maximum_retry_count| ContainerSpec {
            restart_policy: Some(RestartPolicy { name: name.into(), maximum_retry_count }),
            ..Default::default()
        };
        // `always` with three retries is refused.
        assert_eq!(settings(&policy("on-failure", 3), &policy("always", 0)), policy("always", 0));
    }
}
