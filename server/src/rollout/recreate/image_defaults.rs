//! Removes the settings that a container has from its image, so that those of the new image apply
//! (C1 to C9).
//!
//! The Engine merges the image and the request at the creation (moby, `daemon/commit.go`, `merge`);
//! each function here reverts one part of that. An explicit setting that equals the image's cannot
//! be distinguished from an inherited one, and is removed.

use serde_json::Value;

use super::json::{Object, entries, get, is_empty, items, object_of, text, texts};
use super::{Notes, Options};
use crate::domain::{Reason, quoted};
use crate::rollout::facts::OldContainer;

/// Removes the settings of the old image from the container's.
pub(super) fn subtract(
    config: &mut Object,
    old: &OldContainer,
    options: &Options,
    notes: &mut Notes,
) {
    // Belongs to a command of Windows images and is derived.
    config.shift_remove("ArgsEscaped");
    let Some(image) = usable_image(old) else {
        without_image(old, options, notes);
        return;
    };
    let image = object_of(&image["Config"]);
    environment(config, &image, notes);
    arguments(config, &image);
    labels(config, &image);
    for key in ["WorkingDir", "User", "StopSignal", "OnBuild", "Shell"] {
        if get(config, key) == get(&image, key) || is_empty(get(config, key)) {
            config.shift_remove(key);
        }
    }
    exposed_ports(config, &image, &old.inspect.json["HostConfig"]["PortBindings"]);
    volumes(config, &image);
    health_check(config, &image);
}

/// If the image's name no longer points to the image of the container, uses the ID: "as it is" must
/// not mean another image (C35). A change of the image overrides it.
pub(super) fn pin(config: &mut Object, old: &OldContainer, notes: &mut Notes) {
    let id = &*old.inspect.image_id;
    if id.is_empty() || old.named_image.as_deref() == Some(id) {
        return;
    }
    let name = text(get(config, "Image")).to_owned();
    if name != id {
        notes.risk(format!(
            "tag {} now points to another image; without a new image the container is recreated from {id}",
            quoted(&name)
        ));
        config.insert("Image".to_owned(), id.into());
    }
}

/// The image, if it is that of the container: for a multi-platform image, an Engine can show
/// another one than the container uses (C8).
fn usable_image(old: &OldContainer) -> Option<&Value> {
    let image = old.image.as_ref()?;
    let platform = &old.inspect.json["ImageManifestDescriptor"]["platform"];
    let differs =
        |wanted: &Value, found: &Value| !is_empty(wanted) && !is_empty(found) && wanted != found;
    let other = differs(&platform["architecture"], &image["Architecture"])
        || differs(&platform["os"], &image["Os"]);
    (!other).then_some(image)
}

fn without_image(old: &OldContainer, options: &Options, notes: &mut Notes) {
    let image = &old.inspect.image_id;
    if options.assume_explicit {
        notes.risk(format!(
            "its image {image} is gone: every current setting counts as set explicitly, so settings of the old image stay"
        ));
        return;
    }
    notes.refuse(
        Reason::OldImageMissing,
        format!(
            "its image {image} is gone, so it is unknown which settings come from the image; load or pull that image, set the whole body, or use assume_explicit"
        ),
    );
}

/// The shortest prefix of the list from which the Engine's merge produces the whole list (C1).
fn environment(config: &mut Object, image: &Object, notes: &mut Notes) {
    let all: Vec<&str> = texts(get(config, "Env")).collect();
    let of_image: Vec<&str> = texts(get(image, "Env")).collect();
    let found = (0..=all.len()).find(|&count| mixed(&all[..count], &of_image) == all);
    let explicit: Vec<Value> = match found {
        Some(count) => all[..count].iter().map(|&entry| entry.into()).collect(),
        None => {
            notes.risk(
                "cannot derive its environment from its image: variables equal to the image's count as the image's",
            );
            let own = all.iter().filter(|entry| !of_image.contains(*entry));
            own.map(|&entry| entry.into()).collect()
        }
    };
    set_or_remove(config, "Env", Value::Array(explicit));
}

/// The Engine's merge of an explicit environment and that of the image.
fn mixed<'a>(explicit: &[&'a str], image: &[&'a str]) -> Vec<&'a str> {
    if explicit.is_empty() {
        return image.to_vec();
    }
    let mut all = explicit.to_vec();
    for entry in image {
        if !all.iter().any(|have| variable(have) == variable(entry)) {
            all.push(entry);
        }
    }
    all
}

fn variable(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(key, _)| key)
}

/// C2.
fn arguments(config: &mut Object, image: &Object) {
    let same = |key: &str| {
        let (own, theirs) = (get(config, key), get(image, key));
        own == theirs || (is_empty(own) && is_empty(theirs))
    };
    let nothing = |object: &Object, key: &str| is_empty(get(object, key));
    if same("Entrypoint") {
        // An explicit entrypoint suppresses the image's command: there is none, although the image
        // has one.
        let asked_for = nothing(config, "Cmd") && !nothing(image, "Cmd");
        if same("Cmd") {
            config.shift_remove("Cmd");
        }
        if !asked_for {
            config.shift_remove("Entrypoint");
        }
    } else if get(config, "Entrypoint").is_null() {
        // Null would bring the image's back; one empty text is the Engine's word for none.
        config.insert("Entrypoint".to_owned(), Value::from(vec![""]));
    } else if nothing(config, "Entrypoint") && same("Cmd") {
        // An empty list suppresses the image's entrypoint, but not its command.
        config.shift_remove("Cmd");
    }
    for key in ["Cmd", "Entrypoint"] {
        if get(config, key).is_null() {
            config.shift_remove(key);
        }
    }
}

/// C3.
fn labels(config: &mut Object, image: &Object) {
    let of_image = object_of(get(image, "Labels"));
    let own: Object = entries(get(config, "Labels"))
        .filter(|(key, value)| of_image.get(*key) != Some(*value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    set_or_remove(config, "Labels", own.into());
}

/// C5: published ports are exposed explicitly, even if the image exposes them too.
fn exposed_ports(config: &mut Object, image: &Object, bindings: &Value) {
    let of_image = object_of(get(image, "ExposedPorts"));
    let published = object_of(bindings);
    let mut own: Object = entries(get(config, "ExposedPorts"))
        .filter(|(port, _)| !of_image.contains_key(*port) || published.contains_key(*port))
        .map(|(port, value)| (port.clone(), value.clone()))
        .collect();
    for port in published.keys() {
        own.entry(port.clone()).or_insert_with(|| Object::new().into());
    }
    set_or_remove(config, "ExposedPorts", own.into());
}

/// C6: the Engine keeps both spellings of a path.
fn volumes(config: &mut Object, image: &Object) {
    let of_image: Vec<&str> =
        entries(get(image, "Volumes")).map(|(path, _)| path.trim_matches('/')).collect();
    let own: Object = entries(get(config, "Volumes"))
        .filter(|(path, _)| !of_image.contains(&path.trim_matches('/')))
        .map(|(path, value)| (path.clone(), value.clone()))
        .collect();
    set_or_remove(config, "Volumes", own.into());
}

/// C7: mixed field by field, `StartInterval` included; `NONE` stays.
fn health_check(config: &mut Object, image: &Object) {
    let of_image = get(image, "Healthcheck");
    let own: Object = entries(get(config, "Healthcheck"))
        .filter(|(key, value)| !is_empty(value) && of_image.get(key.as_str()) != Some(*value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let off = items(&own.get("Test").cloned().unwrap_or_default()).next() == Some(&"NONE".into());
    let own = if off { own.into_iter().filter(|(key, _)| key == "Test").collect() } else { own };
    set_or_remove(config, "Healthcheck", own.into());
}

fn set_or_remove(config: &mut Object, key: &str, value: Value) {
    if is_empty(&value) {
        config.shift_remove(key);
    } else {
        config.insert(key.to_owned(), value);
    }
}
