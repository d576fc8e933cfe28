//! Texts and maps of an answer that stay where they are in it. Pure.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// A text of a JSON document: in place, unless it has escapes.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<'a>(Cow<'a, str>);

impl<'a> Text<'a> {
    /// The text without its first `start` bytes.
    pub(super) fn without_start(self, start: usize) -> Self {
        Self(match self.0 {
            Cow::Borrowed(text) => Cow::Borrowed(&text[start..]),
            Cow::Owned(mut text) => {
                text.drain(..start);
                Cow::Owned(text)
            }
        })
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Text<'a> {
    fn from(text: &'a String) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<Text<'_>> for String {
    fn from(text: Text<'_>) -> Self {
        text.0.into_owned()
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(text.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

/// A JSON object as pairs, sorted by key. Of a key that is there twice, the last value counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Pairs<'a, V>(pub Vec<(Text<'a>, V)>);

impl<V> Default for Pairs<'_, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de: 'a, 'a, V: Deserialize<'de>> Deserialize<'de> for Pairs<'a, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut pairs = deserializer.deserialize_map(PairsVisitor(PhantomData))?;
        // Engines sort them.
        if !pairs.is_sorted_by(|(one, _), (next, _)| one < next) {
            pairs.reverse();
            pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
            pairs.dedup_by(|(next, _), (one, _)| next == one);
        }
        Ok(Self(pairs))
    }
}

struct PairsVisitor<V>(PhantomData<fn() -> V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for PairsVisitor<V> {
    type Value = Vec<(Text<'de>, V)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn texts_are_copied_only_if_they_have_escapes() {
        let texts: Vec<Text<'_>> = serde_json::from_str(r#"["plain","a\tb"]"#).unwrap();
        assert!(matches!(texts[0].0, Cow::Borrowed("plain")));
        assert!(matches!(&texts[1].0, Cow::Owned(text) if text == "a\tb"));
        let cut: Vec<String> = texts.into_iter().map(|text| text.without_start(2).into()).collect();
        assert_eq!(cut, ["ain", "b"]);
        assert!(serde_json::from_str::<Text<'_>>("null").is_err());
        assert!(serde_json::from_str::<Text<'_>>("1").is_err());
    }

    #[test]
    fn pairs_are_those_of_a_sorted_map() {
        for text in [
            "{}",
            r#"{"a":"1","b":"2"}"#,
            r#"{"b":"1","a":"2","\u0061b":"3"}"#,
            r#"{"a":"1","b":"2","a":"3"}"#,
            r#"{"b":"1","b":"2","b":"3","a":"4","a":"5"}"#,
        ] {
            let map: BTreeMap<String, String> = serde_json::from_str(text).unwrap();
            let pairs: Pairs<'_, Text<'_>> = serde_json::from_str(text).unwrap();
            let pairs: Vec<(String, String)> =
                pairs.0.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
            assert_eq!(pairs, map.into_iter().collect::<Vec<_>>(), "{text}");
        }
        assert!(serde_json::from_str::<Pairs<'_, Text<'_>>>("[]").is_err());
    }
}
