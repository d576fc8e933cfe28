//! What differs between a requested thing and the one that exists, phrase by phrase.
//!
//! Only what was requested is compared: an Engine fills in the rest. Used for networks, volumes, and
//! the settings of a container in a network.

use std::fmt;

use serde_json::Value;

use super::json::{entries, get, is_empty};
use crate::domain::quoted;

/// The differences so far, in the form "driver: here bridge, asked macvlan".
#[derive(Debug, Default)]
pub(super) struct Differences(Vec<String>);

impl Differences {
    /// Adds one. `here` is `None` if the existing thing has nothing there.
    pub(super) fn add(
        &mut self,
        what: impl fmt::Display,
        here: Option<impl fmt::Display>,
        asked: impl fmt::Display,
    ) {
        let here = here.map_or_else(|| "unset".to_owned(), |here| here.to_string());
        self.0.push(format!("{what}: here {here}, asked {asked}"));
    }

    /// Compares a value if it was requested.
    pub(super) fn value(&mut self, what: impl fmt::Display, asked: &Value, here: &Value) {
        // Engines leave out what is false or empty.
        if asked.is_null() || asked == here || (is_empty(asked) && is_empty(here)) {
            return;
        }
        self.add(what, shown(here), shown(asked).unwrap_or_default());
    }

    /// Compares the requested entries of a map.
    pub(super) fn entries(&mut self, what: &str, asked: &Value, here: &Value) {
        let found = super::json::object_of(here);
        for (key, value) in entries(asked) {
            let here = get(&found, key);
            if here.is_null() {
                self.add(format_args!("{what} {key}"), None::<&str>, quoted_value(value));
            } else if here != value {
                let (here, asked) = (quoted_value(here), quoted_value(value));
                self.add(format_args!("{what} {key}"), Some(here), asked);
            }
        }
    }

    /// The phrases.
    pub(super) fn into_lines(self) -> Vec<String> {
        self.0
    }
}

/// A value in a phrase; `None` where there is none.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(plain(text)),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        other => Some(quoted(&other.to_string())),
    }
}

/// A text without quotation marks if it can be read without: what an Engine sends may be anything.
fn plain(text: &str) -> String {
    let quoted = quoted(text);
    if text.contains(char::is_whitespace) || quoted.len() != text.len() + 2 {
        return quoted;
    }
    text.to_owned()
}

fn quoted_value(value: &Value) -> String {
    value.as_str().map_or_else(|| quoted(&value.to_string()), quoted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_was_asked_for_is_compared() {
        let mut found = Differences::default();
        found.value("driver", &Value::Null, &json!("bridge"));
        found.value("driver", &json!("bridge"), &json!("bridge"));
        found.value("internal", &json!(false), &Value::Null);
        found.entries("label", &json!({"a": "1"}), &json!({"a": "1", "b": "2"}));
        found.entries("label", &Value::Null, &json!({"b": "2"}));
        assert!(found.into_lines().is_empty());
    }

    #[test]
    fn each_difference_has_both_sides() {
        let mut found = Differences::default();
        found.value("driver", &json!("macvlan"), &json!("bridge"));
        found.value("internal", &json!(true), &Value::Null);
        found.value("IPv6", &json!(false), &json!(true));
        found.entries(
            "label",
            &json!({"a": "1", "b": "", "c": "3"}),
            &json!({"a": "x y", "c": "3"}),
        );
        assert_eq!(
            found.into_lines(),
            [
                "driver: here bridge, asked macvlan",
                "internal: here unset, asked true",
                "IPv6: here true, asked false",
                "label a: here \"x y\", asked \"1\"",
                "label b: here unset, asked \"\"",
            ]
        );
    }

    #[test]
    fn what_an_engine_sends_stays_on_one_line() {
        let mut found = Differences::default();
        found.value("driver", &json!("bridge"), &json!("a\nb"));
        assert_eq!(found.into_lines(), ["driver: here \"a\\nb\", asked bridge"]);
    }
}
