//! Which containers of a view a list wants, exactly as the Engine would choose them. Pure.
//!
//! What cannot be decided like that from what a view has is not decided here: then the Engine is asked.

use std::sync::Arc;

use regex::Regex;

use super::Form;
use super::state::{Content, Entry};
use crate::engine::{ContainerListing, Filters};

/// States in which a container counts as running.
const RUNNING: [&str; 3] = ["running", "paused", "restarting"];
/// The states that the filter `status` knows.
const STATES: [&str; 7] =
    ["created", "restarting", "running", "removing", "paused", "exited", "dead"];

/// A list that can be answered from a view.
#[derive(Debug, Clone, Default)]
pub struct Query {
    all: bool,
    statuses: Vec<String>,
    names: Vec<Name>,
    labels: Vec<(String, Option<String>)>,
    ids: Vec<String>,
}

/// A value of the filter `name`.
#[derive(Debug, Clone)]
struct Name {
    exact: String,
    pattern: Regex,
}

impl Query {
    /// The same list for a view; `None` if a view cannot answer it.
    pub fn of(listing: &ContainerListing) -> Option<Self> {
        if listing.size || listing.keep_json || listing.limit > 0 {
            return None;
        }
        let mut query = Self { all: listing.all, ..Self::default() };
        query.read(&listing.filters)?;
        Some(query)
    }

    fn read(&mut self, filters: &Filters) -> Option<()> {
        for (key, values) in filters {
            for value in values {
                match key.as_str() {
                    "status" => {
                        self.statuses.push(STATES.contains(&&**value).then(|| value.clone())?);
                    }
                    "name" => self.names.push(Name::read(value)?),
                    "label" => self.labels.push(match value.split_once('=') {
                        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                        None => (value.clone(), None),
                    }),
                    "id" => self.ids.push(is_id(value).then(|| value.clone())?),
                    _ => return None,
                }
            }
        }
        Some(())
    }

    /// Whether it has filters.
    pub fn has_filters(&self) -> bool {
        !(self.statuses.is_empty()
            && self.names.is_empty()
            && self.labels.is_empty()
            && self.ids.is_empty())
    }

    /// Whether a container may be chosen or not because of another one.
    pub fn depends_on_others(&self) -> bool {
        !self.ids.is_empty()
    }

    /// Whether a view of Podman can answer it: its filters and states have other rules.
    pub fn is_for_podman(&self) -> bool {
        self.all && !self.has_filters()
    }

    /// The containers that are wanted, in the order of the Engine.
    pub fn choose<'a>(
        &'a self,
        content: &'a Content,
        form: &'a dyn Form,
    ) -> impl Iterator<Item = &'a Arc<Entry>> + 'a {
        // The Engine ignores the beginning of several IDs.
        let prefixes: Vec<&str> = self
            .ids
            .iter()
            .map(String::as_str)
            .filter(|id| content.entries.iter().filter(|it| it.id.starts_with(id)).count() == 1)
            .collect();
        content.entries.iter().filter(move |entry| {
            self.has_state(entry)
                && (self.ids.is_empty() || prefixes.iter().any(|id| entry.id.starts_with(id)))
                && (self.names.is_empty() || self.names.iter().any(|name| name.is_of(entry)))
                && (self.labels.is_empty() || self.has_labels(entry, form))
        })
    }

    fn has_state(&self, entry: &Entry) -> bool {
        if self.statuses.is_empty() {
            self.all || RUNNING.contains(&&*entry.state)
        } else {
            self.statuses.iter().any(|state| **state == *entry.state)
        }
    }

    fn has_labels(&self, entry: &Entry, form: &dyn Form) -> bool {
        let labels = form.labels(&entry.form);
        self.labels.iter().all(|(key, wanted)| {
            labels.get(key).is_some_and(|found| wanted.as_ref().is_none_or(|it| it == found))
        })
    }
}

impl Name {
    /// Only patterns that mean the same to Go's regular expressions, which the Engine uses.
    fn read(value: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-/.^$|()".contains(&byte);
        let is_repeated = |byte: u8| b"*+?".contains(&byte);
        let mut before = b'(';
        for byte in value.bytes() {
            // What repeats must follow something: `a**` and `(?i)` have other meanings.
            let follows = before.is_ascii_alphanumeric() || b"_-/.)".contains(&before);
            if !(is_plain(byte) || is_repeated(byte) && follows) {
                return None;
            }
            before = byte;
        }
        let pattern = Regex::new(value).ok()?;
        Some(Self { exact: value.to_owned(), pattern })
    }

    fn is_of(&self, entry: &Entry) -> bool {
        let matches = |name: &str| {
            name == self.exact
                || self.pattern.is_match(name)
                || self.pattern.is_match(&format!("/{name}"))
        };
        // Any name leads to the container, and then its own must match.
        entry.names.first().is_some_and(|name| matches(name))
    }
}

/// Whether it is an ID, or the beginning of one.
fn is_id(text: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(is_hex)
}

#[cfg(test)]
mod tests;
