//! Settings that a row of the table says all of: read from a message by the names of its fields,
//! checked by the rule of their row.

use prost::{Message, Name};
use prost_reflect::Value as Field;
use serde_json::Value;
use wharf::settings::{Rule, SETTINGS, Section, Setting};

use super::checks;
use crate::body::violation::Violations;

/// The settings that a message has, each in the Engine's form. `prefix` stands before the names of
/// the fields in violations.
pub(in crate::body) fn read<M: Message + Name>(
    message: &M,
    prefix: &str,
    violations: &mut Violations,
) -> Vec<(&'static Setting, Value)> {
    let message = wharf::reflect::dynamic(message);
    let descriptor = prost_reflect::ReflectMessage::descriptor(&message);
    SETTINGS
        .iter()
        .filter(|setting| setting.rule != Rule::Own)
        .filter_map(|setting| {
            let field = descriptor.get_field_by_name(setting.field)?;
            let value = message.has_field(&field).then(|| json(&message.get_field(&field)))?;
            checks::rule(setting.rule, &format!("{prefix}{}", setting.field), &value, violations);
            Some((setting, value))
        })
        .collect()
}

/// The Engine's keys of a section, and these.
pub(in crate::body) fn keys(section: Section, more: &[&'static str]) -> Vec<&'static str> {
    let own = SETTINGS.iter().filter(|setting| setting.section == section);
    own.map(|setting| setting.key).chain(more.iter().copied()).collect()
}

/// The JSON of a field that is no message; maps sorted.
fn json(field: &Field) -> Value {
    match field {
        Field::Bool(value) => (*value).into(),
        Field::I64(value) => (*value).into(),
        Field::I32(value) => (*value).into(),
        Field::String(text) => text.as_str().into(),
        Field::List(list) => list.iter().map(json).collect(),
        Field::Map(map) => {
            let entry = |(key, value): (&prost_reflect::MapKey, &Field)| {
                (key.as_str().unwrap_or_default().to_owned(), json(value))
            };
            let mut map: serde_json::Map<_, _> = map.iter().map(entry).collect();
            map.sort_keys();
            map.into()
        }
        _ => Value::Null,
    }
}
