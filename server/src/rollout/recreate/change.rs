//! Applies the change of a rollout to the current settings: first unset, then set, then the merge
//! patch, so that `unset: [ports]` with new ports replaces all ports.

use serde_json::Value;
use wharf::v1::{ContainerSpec, EngineJson};

use super::json::{Object, get, text};
use super::{Notes, unset};
use crate::body::create::container_body;
use crate::domain::Reason;
use crate::rollout::spec::Change;

/// The resulting body; `None` if the change is impossible, which is then among the refusals.
pub(super) fn apply(base: Value, change: &Change, notes: &mut Notes) -> Option<Value> {
    let mut body = match &change.whole {
        Some(whole) if !whole.is_object() => {
            notes.refuse(Reason::InvalidField, "change.whole: is not a JSON object");
            return None;
        }
        Some(whole) => whole.clone(),
        None => base,
    };
    if let Some(image) = &change.image {
        body["Image"] = image.to_string().into();
    }
    if let Some(object) = body.as_object_mut() {
        unset::apply(object, &change.unset, notes);
        release_swap(object, &change.set);
    }
    let checked = change.whole.is_some() || change.set != ContainerSpec::default();
    let mut body = if checked { merged(&body, &change.set, notes)? } else { body };
    if let Some(patch) = &change.merge_patch {
        merge(&mut body, patch);
    }
    if !body.is_object() {
        notes.refuse(Reason::InvalidField, "change.merge_patch: is not a JSON object");
        return None;
    }
    if text(&body["Image"]).is_empty() {
        notes.refuse(Reason::InvalidField, "change.image: the container would have no image");
        return None;
    }
    Some(body)
}

fn merged(body: &Value, set: &ContainerSpec, notes: &mut Notes) -> Option<Value> {
    let engine = EngineJson { json: body.to_string(), ..EngineJson::default() };
    match container_body(Some(set), Some(&engine)) {
        Ok(body) => Some(body),
        Err(violations) => {
            for violation in violations {
                let field = match violation.field.strip_prefix("spec.") {
                    Some(field) => format!("change.set.{field}"),
                    None => "change".to_owned(),
                };
                notes.refuse(Reason::InvalidField, format!("{field}: {}", violation.description));
            }
            None
        }
    }
}

/// The limit of memory and swap that the Engine derived from that of memory: it would be in the
/// way of a new one, and is derived again.
fn release_swap(body: &mut Object, set: &ContainerSpec) {
    let Some(Value::Object(host_config)) = body.get_mut("HostConfig") else { return };
    let number = |key| get(host_config, key).as_i64().unwrap_or_default();
    let (memory, swap) = (number("Memory"), number("MemorySwap"));
    let derived = memory > 0 && swap == memory.saturating_mul(2);
    if derived && set.memory_bytes.is_some() && set.memory_swap_bytes.is_none() {
        host_config.shift_remove("MemorySwap");
    }
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Object::new());
    }
    let Some(object) = target.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            object.shift_remove(key);
        } else {
            merge(object.entry(key.as_str()).or_insert(Value::Null), value);
        }
    }
}
