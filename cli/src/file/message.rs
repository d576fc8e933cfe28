//! Converts a YAML tree to a message of the contract. Pure.
//!
//! Keys are the fields, in snake_case. Durations (`30s`) and enum values (`stop-first`) are written
//! as on the command line, the Engine's own JSON as YAML, and sizes in bytes also as `512m`. Every
//! error has its line and column.

use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    Value as Field,
};
use serde_json::{Map, Number, Value as Json};
use wharf::v1::{EngineJson, RolloutSpec};

use super::yaml::{Key, Node, Place, Problem, Value};
use crate::duration;
use crate::json;
use crate::spec::values;

/// The message of a file.
pub fn read(node: &Node) -> Result<RolloutSpec, Problem> {
    let descriptor = json::descriptor::<RolloutSpec>();
    let message = fill(node, &descriptor)?;
    message.transcode_to().map_err(|error| node.at.problem(error.to_string()))
}

/// How an enum value is written: without the prefix of its type, in lower case, with dashes.
/// `None` for the value that means "not set".
pub fn choice_name(choices: &EnumDescriptor, name: &str) -> Option<String> {
    let unset = choices.get_value(0)?;
    let prefix = unset.name().strip_suffix("UNSPECIFIED").unwrap_or_default().to_owned();
    let name = name.strip_prefix(&prefix)?;
    (name != "UNSPECIFIED").then(|| name.to_ascii_lowercase().replace('_', "-"))
}

/// Whether a field holds the Engine's own JSON, which is written as YAML.
pub fn is_engine_json(message: &MessageDescriptor) -> bool {
    message.full_name() == "wharf.v1.EngineJson"
}

/// Whether a field is a duration.
pub fn is_duration(message: &MessageDescriptor) -> bool {
    message.full_name() == "google.protobuf.Duration"
}

/// Whether a number may be written as a size, such as `512m`.
pub fn is_size(field: &FieldDescriptor) -> bool {
    field.name().ends_with("_bytes")
}

fn fill(node: &Node, descriptor: &MessageDescriptor) -> Result<DynamicMessage, Problem> {
    let mut message = DynamicMessage::new(descriptor.clone());
    let keys = || descriptor.fields().map(|field| field.name().to_owned()).collect::<Vec<_>>();
    let entries = mapping(node).map_err(|problem| match &keys()[..] {
        // For a message with one key, show an example.
        [key] => node.at.problem(format!("must be a mapping, such as {{{key}: …}}")),
        [] => node.at.problem("must be {}"),
        _ => problem,
    })?;
    for (key, value) in entries {
        let field = field_of(key, descriptor)?;
        if let Some(choice) = field.containing_oneof().filter(|it| it.fields().len() > 1)
            && let Some(other) = choice.fields().find(|other| message.has_field(other))
        {
            let problem = format!("conflicts with `{}`; remove one of the two", other.name());
            return Err(key.at.problem(problem));
        }
        if value.is_null() {
            continue;
        }
        message.set_field(&field, value_of(value, &field)?);
    }
    Ok(message)
}

fn field_of(key: &Key, descriptor: &MessageDescriptor) -> Result<FieldDescriptor, Problem> {
    if let Some(field) = descriptor.get_field_by_name(&key.name) {
        return Ok(field);
    }
    let mut names: Vec<_> = descriptor.fields().map(|field| field.name().to_owned()).collect();
    let likeness = |name: &str| strsim::jaro_winkler(name, &key.name);
    names.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)));
    let unknown = format!("unknown key \"{}\"", key.name.escape_debug());
    Err(key.at.problem(match names.first() {
        Some(nearest) if likeness(nearest) > 0.8 => format!("{unknown}; did you mean {nearest}?"),
        _ => format!("{unknown}; valid keys: {}", names.join(", ")),
    }))
}

fn value_of(node: &Node, field: &FieldDescriptor) -> Result<Field, Problem> {
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else {
            return Err(node.at.problem("must be a mapping"));
        };
        let value = entry.map_entry_value_field();
        let entries = mapping(node)?.iter().map(|(key, node)| {
            let empty = node.is_null();
            let node = if empty { Field::String(String::new()) } else { single(node, &value)? };
            Ok((MapKey::String(key.name.clone()), node))
        });
        return entries.collect::<Result<_, _>>().map(Field::Map);
    }
    if field.is_list() {
        let Value::List(items) = &node.value else {
            return Err(node.at.problem(format!("`{}` must be a list", field.name())));
        };
        let items = items.iter().map(|item| single(item, field));
        return items.collect::<Result<_, _>>().map(Field::List);
    }
    single(node, field)
}

fn single(node: &Node, field: &FieldDescriptor) -> Result<Field, Problem> {
    if let Kind::Message(message) = field.kind() {
        return Ok(Field::Message(if is_engine_json(&message) {
            let value = engine_json(node)?.to_string();
            let json = EngineJson { json: value, api_version: String::new() };
            let mut dynamic = DynamicMessage::new(message);
            dynamic.transcode_from(&json).map_err(|error| node.at.problem(error.to_string()))?;
            dynamic
        } else if is_duration(&message) {
            let text = scalar(node)?;
            let length = duration::parse(text).map_err(|error| node.at.problem(error))?;
            let mut dynamic = DynamicMessage::new(message);
            let length = duration::to_proto(length);
            dynamic.transcode_from(&length).map_err(|error| node.at.problem(error.to_string()))?;
            dynamic
        } else {
            fill(node, &message)?
        }));
    }
    let text = scalar(node)?;
    let number = || {
        let text = text.escape_debug();
        node.at.problem(format!("`{}` must be a number, not \"{text}\"", field.name()))
    };
    Ok(match field.kind() {
        Kind::String => Field::String(text.to_owned()),
        Kind::Bool => match (text, &node.value) {
            ("true", Value::Scalar { plain: true, .. }) => Field::Bool(true),
            ("false", Value::Scalar { plain: true, .. }) => Field::Bool(false),
            _ => {
                let problem = format!("`{}` must be true or false", field.name());
                return Err(node.at.problem(problem));
            }
        },
        Kind::Uint32 => Field::U32(text.parse().map_err(|_| number())?),
        Kind::Int32 => Field::I32(text.parse().map_err(|_| number())?),
        Kind::Int64 if is_size(field) => {
            let size = values::bytes_or_unlimited(text);
            Field::I64(size.map_err(|error| node.at.problem(error))?)
        }
        Kind::Int64 => Field::I64(text.parse().map_err(|_| number())?),
        Kind::Enum(choices) => choice(text, &choices, node.at)?,
        _ => return Err(node.at.problem(format!("`{}` cannot be set in a file", field.name()))),
    })
}

fn choice(text: &str, choices: &EnumDescriptor, at: Place) -> Result<Field, Problem> {
    let mut names = Vec::new();
    for value in choices.values() {
        match choice_name(choices, value.name()) {
            Some(name) if name == text => return Ok(Field::EnumNumber(value.number())),
            Some(name) => names.push(name),
            None => {}
        }
    }
    let text = text.escape_debug();
    Err(at.problem(format!("\"{text}\" is not one of: {}", names.join(", "))))
}

fn mapping(node: &Node) -> Result<&[(Key, Node)], Problem> {
    match &node.value {
        Value::Mapping(entries) => Ok(entries),
        _ if node.is_null() => Ok(&[]),
        _ => Err(node.at.problem("must be a mapping of keys to values")),
    }
}

fn scalar(node: &Node) -> Result<&str, Problem> {
    match &node.value {
        Value::Scalar { text, .. } if !node.is_null() => Ok(text),
        Value::Scalar { .. } => Err(node.at.problem("a value is missing")),
        _ => Err(node.at.problem("must be one value, not a list or a mapping")),
    }
}

/// YAML as JSON, by the core schema of YAML 1.2.
fn engine_json(node: &Node) -> Result<Json, Problem> {
    match &node.value {
        Value::List(items) => items.iter().map(engine_json).collect(),
        Value::Mapping(entries) => {
            let entries =
                entries.iter().map(|(key, node)| Ok((key.name.clone(), engine_json(node)?)));
            entries.collect::<Result<Map<_, _>, _>>().map(Json::Object)
        }
        Value::Scalar { text, plain: true } => Ok(plain(text)),
        Value::Scalar { text, plain: false } => Ok(text.as_str().into()),
    }
}

fn plain(text: &str) -> Json {
    let is_number = |letter: char| letter.is_ascii_digit() || "+-.eE".contains(letter);
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Json::Null,
        "true" | "True" | "TRUE" => Json::Bool(true),
        "false" | "False" | "FALSE" => Json::Bool(false),
        // Text such as `1.2.3` or `-` fails to parse as a number.
        text if text.chars().all(is_number) => {
            let integer = || text.parse::<i64>().ok().map(Json::from);
            let large = || text.parse::<u64>().ok().map(Json::from);
            let float = || text.parse::<f64>().ok().and_then(Number::from_f64).map(Json::Number);
            integer().or_else(large).or_else(float).unwrap_or_else(|| text.into())
        }
        text => text.into(),
    }
}
