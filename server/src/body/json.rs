//! Small readings of JSON, taken for empty where it is of another kind.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

pub(crate) type Object = Map<String, Value>;

/// The object; an empty one if it is not an object.
pub(crate) fn object_of(value: &Value) -> Object {
    value.as_object().cloned().unwrap_or_default()
}

/// The entries of an object; none if it is not an object.
pub(crate) fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// The elements of a list; none if it is not a list.
pub(crate) fn items(value: &Value) -> impl DoubleEndedIterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The texts of a list.
pub(crate) fn texts(value: &Value) -> impl DoubleEndedIterator<Item = &str> {
    items(value).filter_map(Value::as_str)
}

/// The text; empty if it is not a text.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The value of a key of an object; null if it is missing.
pub(crate) fn get<'a>(object: &'a Object, key: &str) -> &'a Value {
    object.get(key).unwrap_or(&Value::Null)
}

/// Whether the Engine treats the value as unset: null, or Go's zero values.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
    }
}

/// Removes an entry, and the object if it becomes empty; keeps the order.
pub(crate) fn take_entry(object: &mut Object, key: &str, entry: &str) -> bool {
    let Some(Value::Object(inner)) = object.get_mut(key) else { return false };
    let there = inner.shift_remove(entry).is_some();
    if there && inner.is_empty() {
        object.shift_remove(key);
    }
    there
}

/// The JSON with the keys of all objects sorted, so that equal values have one text.
pub(crate) fn canonical(value: &Value) -> String {
    fn write(value: &Value, out: &mut String) {
        match value {
            Value::Array(list) => {
                out.push('[');
                for (index, item) in list.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write(item, out);
                }
                out.push(']');
            }
            Value::Object(object) => {
                out.push('{');
                let sorted: BTreeMap<_, _> = object.iter().collect();
                for (index, (key, item)) in sorted.into_iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    let _ = write!(out, "{}:", Value::from(key.as_str()));
                    write(item, out);
                }
                out.push('}');
            }
            scalar => {
                let _ = write!(out, "{scalar}");
            }
        }
    }
    let mut out = String::new();
    write(value, &mut out);
    out
}

/// SHA-256 of the canonical JSON, in hex.
pub(crate) fn sha256(value: &Value) -> String {
    let digest = Sha256::digest(canonical(value));
    digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
