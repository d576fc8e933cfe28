//! Labels of hosts, in the syntax of Kubernetes labels
//! (<https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/>).
//! Called by the configuration, the API, the store and the selector.

use std::collections::BTreeMap;

use super::text::{alphanumeric_or, begins_alphanumeric, ends_alphanumeric, quoted, text_value};

/// The labels of one host: keys with their values, sorted by key.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(BTreeMap<LabelKey, LabelValue>);

/// Key of a label: a name of at most 63 characters, with an optional prefix and `/` before it.
/// The name is of `a-z A-Z 0-9 - _ .`, the prefix a DNS name of at most 253 characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelKey(String);

/// Value of a label: at most 63 of `a-z A-Z 0-9 - _ .`, beginning and ending with a letter or
/// digit; or nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelValue(String);

/// Text that is not a label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLabel {
    /// A key in the wrong syntax.
    #[error(
        "{} is not a label key: use 1 to 63 of a-z A-Z 0-9 - _ . beginning and ending with a letter or digit, after an optional prefix such as example.com/",
        quoted(.0)
    )]
    Key(String),
    /// A value in the wrong syntax.
    #[error(
        "{} is not a label value: use at most 63 of a-z A-Z 0-9 - _ . beginning and ending with a letter or digit",
        quoted(.0)
    )]
    Value(String),
    /// A duplicate key.
    #[error("duplicate label {}; specify each key only once", quoted(.0))]
    Repeated(String),
}

impl Labels {
    /// Checks keys and values; a duplicate key is an error.
    pub fn from_pairs<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self, InvalidLabel>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let mut labels = BTreeMap::new();
        for (key, value) in pairs {
            let key = LabelKey::parse(key.as_ref())?;
            let value = LabelValue::parse(value.as_ref())?;
            if labels.contains_key(&key) {
                return Err(InvalidLabel::Repeated(key.0));
            }
            labels.insert(key, value);
        }
        Ok(Self(labels))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&LabelValue> {
        self.0.get(key)
    }

    /// Sets a label and returns the previous value.
    pub fn insert(&mut self, key: LabelKey, value: LabelValue) -> Option<LabelValue> {
        self.0.insert(key, value)
    }

    /// Removes a label and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<LabelValue> {
        self.0.remove(key)
    }

    /// Keys and values, sorted by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&LabelKey, &LabelValue)> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(LabelKey, LabelValue)> for Labels {
    fn from_iter<T: IntoIterator<Item = (LabelKey, LabelValue)>>(pairs: T) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl Extend<(LabelKey, LabelValue)> for Labels {
    fn extend<T: IntoIterator<Item = (LabelKey, LabelValue)>>(&mut self, pairs: T) {
        self.0.extend(pairs);
    }
}

impl LabelKey {
    /// Checks a key.
    pub fn parse(text: &str) -> Result<Self, InvalidLabel> {
        let (prefix, name) = match text.split_once('/') {
            Some((prefix, name)) => (Some(prefix), name),
            None => (None, text),
        };
        if prefix.is_none_or(is_dns_subdomain) && is_label_text(name) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidLabel::Key(text.to_owned()))
        }
    }
}

impl LabelValue {
    /// Checks a value.
    pub fn parse(text: &str) -> Result<Self, InvalidLabel> {
        if text.is_empty() || is_label_text(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidLabel::Value(text.to_owned()))
        }
    }
}

text_value!(LabelKey, InvalidLabel);
text_value!(LabelValue, InvalidLabel);

fn is_label_text(text: &str) -> bool {
    text.len() <= 63
        && begins_alphanumeric(text)
        && ends_alphanumeric(text)
        && alphanumeric_or(text, b"-_.")
}

fn is_dns_subdomain(text: &str) -> bool {
    let fits = |part: &str| {
        begins_alphanumeric(part)
            && ends_alphanumeric(part)
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    text.len() <= 253 && text.split('.').all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_and_values_follow_kubernetes() {
        let longest = "a".repeat(63);
        let too_long = "a".repeat(64);
        for key in ["env", "a", "Env_1.x-y", "example.com/env", "a-b.c/X", &longest] {
            assert_eq!(LabelKey::parse(key).unwrap().as_str(), key);
        }
        for key in
            ["", "/", "a/", "/a", "-a", "a-", "a/b/c", "Example.com/a", "a b", "é", &too_long]
        {
            assert!(LabelKey::parse(key).is_err(), "{key:?}");
        }
        for value in ["", "prod", "1", "V1.2_3-x", &longest] {
            assert_eq!(LabelValue::parse(value).unwrap().as_str(), value);
        }
        for value in ["-a", "a.", "a b", "a/b", "a=b", "a\n", &too_long] {
            assert!(LabelValue::parse(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn repetition_is_refused() {
        assert_eq!(
            Labels::from_pairs([("a", "1"), ("a", "2")]),
            Err(InvalidLabel::Repeated("a".into()))
        );
    }

    proptest! {
        #[test]
        fn what_passes_stays_in_its_charset(text in "\\PC*|[a-zA-Z0-9./_-]{0,70}") {
            if let Ok(key) = LabelKey::parse(&text) {
                prop_assert!(alphanumeric_or(key.as_str(), b"-_./"));
                prop_assert_eq!(LabelKey::parse(key.as_str()).unwrap(), key);
            }
            if let Ok(value) = LabelValue::parse(&text) {
                prop_assert!(alphanumeric_or(value.as_str(), b"-_."));
            }
        }
    }
}
