//! The Engine's JSON of a caller, prepared for merging.
//!
//! Called by [`super::container_body`] and [`crate::api::update_body`]. The Engine decodes with
//! Go's `encoding/json`, which accepts `image` and `IMAGE` for `Image`; so keys to merge into are
//! normalized first, or the body would contain two of them. All other keys and the order of all
//! keys stay unchanged.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::body::violation::Violations;
use crate::domain::quoted;
use wharf::v1::EngineJson;

/// Field path of every violation that concerns the JSON.
pub(in crate::body) const ENGINE_JSON: &str = "engine.json";

/// Maximum bytes of JSON in a request; `EngineJson.json` in the contract.
const LONGEST: usize = 4 * 1024 * 1024;

/// An object of the body with its path, for messages.
#[derive(Debug, Default)]
pub(in crate::body) struct Section {
    path: &'static str,
    fields: Map<String, Value>,
}

impl Section {
    /// `path` is empty for the body itself, otherwise it ends with a dot. `known` are the keys to
    /// merge into.
    pub(in crate::body) fn new(
        path: &'static str,
        mut fields: Map<String, Value>,
        known: &[&str],
        violations: &mut Violations,
    ) -> Self {
        normalise(path, &mut fields, known, violations);
        Self { path, fields }
    }

    pub(in crate::body) fn into_fields(self) -> Map<String, Value> {
        self.fields
    }

    pub(in crate::body) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Replaces the value, in its place.
    pub(in crate::body) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.fields.insert(key.to_owned(), value.into());
    }

    /// Removes the key and keeps the order of the others.
    pub(in crate::body) fn remove(&mut self, key: &str) {
        self.fields.shift_remove(key);
    }

    /// The value; `null` is none, as for the Engine.
    pub(in crate::body) fn get(&self, key: &str) -> Option<&Value> {
        self.fields.get(key).filter(|value| !value.is_null())
    }

    pub(in crate::body) fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.fields.get_mut(key)
    }

    /// The text; none if it is empty or not a text.
    pub(in crate::body) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str().filter(|text| !text.is_empty())
    }

    /// The number; 0 if there is none, like in the Engine.
    pub(in crate::body) fn integer(&self, key: &str) -> i64 {
        self.get(key).and_then(Value::as_i64).unwrap_or_default()
    }

    /// The object to merge into, created if missing. `known` as in [`Section::new`].
    pub(in crate::body) fn object(
        &mut self,
        key: &str,
        known: &[&str],
        violations: &mut Violations,
    ) -> Option<&mut Map<String, Value>> {
        let path = format!("{}{key}", self.path);
        object_in(&mut self.fields, key, &path, known, violations)
    }

    /// The list to merge into, created if missing.
    pub(in crate::body) fn list(
        &mut self,
        key: &str,
        violations: &mut Violations,
    ) -> Option<&mut Vec<Value>> {
        let value = self.fields.entry(key).or_insert(Value::Null);
        if value.is_null() {
            *value = Value::Array(Vec::new());
        }
        if !value.is_array() {
            violations.add(ENGINE_JSON, format!("{}{key} must be a list", self.path));
        }
        value.as_array_mut()
    }
}

/// Reads the JSON of a request. `None` if it is invalid, which is then among the violations; an
/// empty object if `engine` is unset.
pub(in crate::body) fn parse(
    engine: Option<&EngineJson>,
    violations: &mut Violations,
) -> Option<Map<String, Value>> {
    let Some(engine) = engine else { return Some(Map::new()) };
    if engine.json.len() > LONGEST {
        violations.add(
            ENGINE_JSON,
            format!("has {} bytes; the maximum is {LONGEST} (4 MiB)", engine.json.len()),
        );
        return None;
    }
    if engine.json.trim().is_empty() {
        violations.add(ENGINE_JSON, "is empty; set a JSON object, or don't set `engine`");
        return None;
    }
    match serde_json::from_str::<UniqueKeys>(&engine.json) {
        Ok(UniqueKeys(Value::Object(fields))) => Some(fields),
        Ok(UniqueKeys(_)) => {
            violations.add(ENGINE_JSON, "is not a JSON object; write {\"Image\": …}");
            None
        }
        Err(error) => {
            violations.add(ENGINE_JSON, format!("is not valid JSON: {error}"));
            None
        }
    }
}

/// The object at `key`, created if missing; `path` names it in a message.
pub(in crate::body) fn object_in<'a>(
    fields: &'a mut Map<String, Value>,
    key: &str,
    path: &str,
    known: &[&str],
    violations: &mut Violations,
) -> Option<&'a mut Map<String, Value>> {
    let value = fields.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(object) => {
            normalise(&format!("{path}."), object, known, violations);
            Some(object)
        }
        _ => {
            violations.add(ENGINE_JSON, format!("{path} must be an object"));
            None
        }
    }
}

/// The value of `key` in any spelling.
pub(in crate::body) fn lookup<'a>(fields: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    fields.get(key).or_else(|| {
        let folded = fold(key);
        fields.iter().find(|(name, _)| fold(name) == folded).map(|(_, value)| value)
    })
}

/// Normalizes the `known` keys. Two spellings of one key are refused: which of them the Engine uses
/// depends on their order and type.
fn normalise(
    path: &str,
    fields: &mut Map<String, Value>,
    known: &[&str],
    violations: &mut Violations,
) {
    let spelling = |key: &str| {
        let folded = fold(key);
        known.iter().find(|name| fold(name) == folded).copied()
    };
    if fields.keys().all(|key| spelling(key).is_none_or(|name| name == key)) {
        return;
    }
    for (key, value) in std::mem::take(fields) {
        let Some(name) = spelling(&key) else {
            fields.insert(key, value);
            continue;
        };
        if fields.contains_key(name) {
            violations.add(
                ENGINE_JSON,
                format!("{path}{name} occurs twice, in different spellings; keep one of them"),
            );
        }
        fields.insert(name.to_owned(), value);
    }
}

/// Go's folding of keys: ASCII case, and the two letters outside ASCII that fold into it.
fn fold(key: &str) -> String {
    key.chars()
        .map(|letter| match letter {
            'ſ' => 's',
            '\u{212A}' => 'k',
            other => other.to_ascii_lowercase(),
        })
        .collect()
}

/// A JSON value without duplicate keys in objects. serde_json would silently keep the last one, and
/// the Engine merges them: either way, half of the caller's input could be lost.
struct UniqueKeys(Value);

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor).map(UniqueKeys)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(UniqueKeys(value)) = sequence.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("duplicate key {}", quoted(&key))));
            }
            let UniqueKeys(value) = entries.next_value()?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}
