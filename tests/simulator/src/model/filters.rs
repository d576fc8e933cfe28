//! The `filters` parameter of the Engine API.

use std::collections::BTreeMap;

use serde_json::Value;
use wharf_server::engine::ErrorKind;

use super::refusal::Refusal;
use super::time::Time;

/// Filters of one request: key to values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    /// Reads the parameter: a map of arrays, or of maps to booleans.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let value: Value = super::parse_json(text.as_bytes())?;
        let Value::Object(members) = value else {
            return Err(Refusal::bad_request_500(
                "json: cannot unmarshal into Go value of type map[string][]string",
            ));
        };
        let values = |value: Value| match value {
            Value::Array(_) => super::content::strings(Some(&value)),
            Value::Object(members) => members.keys().cloned().collect(),
            _ => Vec::new(),
        };
        Ok(Self(members.into_iter().map(|(key, value)| (key, values(value))).collect()))
    }

    /// Refuses keys that the call does not know.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        match self.0.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(Refusal::bad_request(format!("Invalid filter '{key}'"))),
            None => Ok(()),
        }
    }

    /// The values of a key.
    pub(super) fn values(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether the key is not there, or one of its values passes.
    pub(super) fn any(&self, key: &str, passes: impl Fn(&str) -> bool) -> bool {
        self.0.get(key).is_none_or(|values| values.iter().any(|value| passes(value)))
    }

    /// Whether all of `label` are there, and none of `label!`.
    pub(super) fn labels_match(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |wanted: &String| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|found| found == value),
            None => labels.contains_key(wanted),
        };
        self.values("label").iter().all(has) && !self.values("label!").iter().any(has)
    }

    /// A filter that is true or false.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, Refusal> {
        match self.values(key) {
            [] => Ok(None),
            [value] if matches!(value.as_str(), "true" | "1") => Ok(Some(true)),
            [value] if matches!(value.as_str(), "false" | "0") => Ok(Some(false)),
            values => {
                let message = format!("Invalid filter '{key}=[{}]'", values.join(" "));
                Err(Refusal::new(400, ErrorKind::BadRequest, message))
            }
        }
    }

    /// `until` as an instant: a duration before `now`, or Unix seconds.
    pub(super) fn until(&self, now: Time) -> Result<Option<Time>, Refusal> {
        let Some(text) = self.values("until").first() else { return Ok(None) };
        if let Ok(seconds) = text.parse::<u64>() {
            return Ok(Some(Time::from_unix_seconds(seconds)));
        }
        match humantime::parse_duration(text) {
            Ok(duration) => Ok(Some(now - duration)),
            Err(_) => Err(Refusal::bad_request_500(format!("invalid until filter: {text}"))),
        }
    }
}

impl From<BTreeMap<String, Vec<String>>> for Filters {
    fn from(filters: BTreeMap<String, Vec<String>>) -> Self {
        Self(filters)
    }
}
