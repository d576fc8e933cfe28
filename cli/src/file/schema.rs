//! The JSON Schema of rollout files, generated from the contract and its comments. Pure.

use std::collections::BTreeSet;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use prost_types::source_code_info::Location;
use serde_json::{Map, Value, json};
use wharf::v1::RolloutSpec;

use super::message::{choice_name, is_duration, is_engine_json, is_size};
use crate::json;

/// Durations as the reader takes them.
const DURATION: &str = "^([0-9]+|([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$";

/// The schema, as it is checked in: docs/rollout.schema.json.
pub fn rollout() -> String {
    let root = json::descriptor::<RolloutSpec>();
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), "http://json-schema.org/draft-07/schema#".into());
    schema.insert("title".to_owned(), "Wharf rollout".into());
    schema.extend(object(&root));
    let mut definitions = Map::new();
    let mut known = BTreeSet::new();
    define(&root, &mut known, &mut definitions);
    definitions.sort_keys();
    schema.insert("definitions".to_owned(), definitions.into());
    let text = serde_json::to_string_pretty(&Value::Object(schema)).unwrap_or_default();
    format!("{text}\n")
}

/// Collects the messages below `message`.
fn define(
    message: &MessageDescriptor,
    known: &mut BTreeSet<String>,
    definitions: &mut Map<String, Value>,
) {
    for field in message.fields() {
        let Kind::Message(inner) = field.kind() else { continue };
        if field.is_map() || is_duration(&inner) || is_engine_json(&inner) {
            continue;
        }
        if known.insert(inner.name().to_owned()) {
            definitions.insert(inner.name().to_owned(), object(&inner).into());
            define(&inner, known, definitions);
        }
    }
}

fn object(message: &MessageDescriptor) -> Map<String, Value> {
    let mut properties = Map::new();
    for field in message.fields() {
        let mut property = Map::new();
        let description = comment(&field);
        if !description.is_empty() {
            property.insert("description".to_owned(), description.into());
        }
        property.extend(of_field(&field));
        properties.insert(field.name().to_owned(), property.into());
    }
    let mut object = Map::new();
    object.insert("type".to_owned(), "object".into());
    object.insert("properties".to_owned(), properties.into());
    object.insert("additionalProperties".to_owned(), false.into());
    object
}

fn of_field(field: &FieldDescriptor) -> Map<String, Value> {
    let value = if field.is_map() {
        json!({"type": "object", "additionalProperties": {"type": SCALARS}})
    } else if field.is_list() {
        json!({"type": "array", "items": of_single(field)})
    } else {
        of_single(field)
    };
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// A string may also be written as a number without quotes; see the reader.
const SCALARS: [&str; 3] = ["string", "number", "boolean"];

fn of_single(field: &FieldDescriptor) -> Value {
    match field.kind() {
        Kind::Message(message) if is_duration(&message) => {
            json!({"type": ["string", "integer"], "pattern": DURATION})
        }
        Kind::Message(message) if is_engine_json(&message) => json!({"type": "object"}),
        // Draft 7 ignores everything beside `$ref`, including the description.
        Kind::Message(message) => {
            json!({"allOf": [{"$ref": format!("#/definitions/{}", message.name())}]})
        }
        Kind::Enum(choices) => json!({"enum": names(&choices)}),
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Int64 if is_size(field) => json!({"type": ["integer", "string"]}),
        Kind::Int32 | Kind::Int64 => json!({"type": "integer"}),
        Kind::Uint32 => json!({"type": "integer", "minimum": 0}),
        _ => json!({"type": SCALARS}),
    }
}

fn names(choices: &EnumDescriptor) -> Vec<String> {
    choices.values().filter_map(|value| choice_name(choices, value.name())).collect()
}

/// The comment of a field, as one paragraph.
fn comment(field: &FieldDescriptor) -> String {
    let file = field.parent_file();
    let locations = file.file_descriptor_proto().source_code_info.as_ref();
    let mut locations = locations.into_iter().flat_map(|info| &info.location);
    let location = locations.find(|location| location.path == field.path());
    let comment = location.map(Location::leading_comments).unwrap_or_default();
    comment.split_whitespace().collect::<Vec<_>>().join(" ")
}
