//! Annotations of a rollout, such as the commit or the CI job that it comes from. Called by the
//! API, which checks them, and by the journal, which stores them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::labels::{InvalidLabel, LabelKey};
use super::selector::LabelSelector;
use super::text::is_invisible;

/// Maximum number of annotations.
const MOST: usize = 64;

/// Longest value, in bytes: addresses of CI jobs are long.
const LONGEST_VALUE: usize = 1024;

/// Maximum bytes of all keys and values. They are sent with every change of a rollout.
const MOST_BYTES: usize = 16 << 10;

/// Notes of a caller by key, sorted. Keys are those of labels; a value is one line of text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Annotations(BTreeMap<LabelKey, String>);

/// Text that is no annotation, or too much of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAnnotation {
    /// A key in the wrong syntax.
    #[error(transparent)]
    Key(InvalidLabel),
    /// A value that is too long, or no line of text.
    #[error("the value of {0} must be one line of text of at most {LONGEST_VALUE} bytes")]
    Value(LabelKey),
    /// Too many of them.
    #[error("there must be at most {MOST} annotations, not {0}")]
    Many(usize),
    /// Together they are too long.
    #[error("annotations must have at most {MOST_BYTES} bytes in total, but have {0}")]
    Long(usize),
}

impl Annotations {
    /// Checks keys and values.
    pub fn parse(pairs: &BTreeMap<String, String>) -> Result<Self, InvalidAnnotation> {
        if pairs.len() > MOST {
            return Err(InvalidAnnotation::Many(pairs.len()));
        }
        let bytes = pairs.iter().map(|(key, value)| key.len() + value.len()).sum();
        if bytes > MOST_BYTES {
            return Err(InvalidAnnotation::Long(bytes));
        }
        let one = |(key, value): (&String, &String)| {
            let key = LabelKey::parse(key).map_err(InvalidAnnotation::Key)?;
            if value.len() > LONGEST_VALUE || value.contains(is_invisible) {
                return Err(InvalidAnnotation::Value(key));
            }
            Ok((key, value.clone()))
        };
        pairs.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// Keys and values, sorted by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether they match all requirements of a selector, like labels.
    #[must_use]
    pub fn match_selector(&self, selector: &LabelSelector) -> bool {
        selector.matches_values(|key| self.0.get(key).map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_no_annotation_is_named() {
        let of = |given: &[(&str, &str)]| Annotations::parse(&pairs(given));
        let kept = of(&[("commit", "4f2a1c"), ("example.com/job", "https://ci.test/1?a=ü b")]);
        assert_eq!(kept.unwrap().iter().len(), 2);
        for key in ["", "-a", "a b", "a/b/c"] {
            let refused = of(&[(key, "x")]).unwrap_err();
            assert!(matches!(refused, InvalidAnnotation::Key(_)), "{refused}");
        }
        for value in ["a\nb", "\u{1b}[2J", "a\u{200b}", &"x".repeat(LONGEST_VALUE + 1)] {
            let refused = of(&[("a", value)]).unwrap_err();
            assert!(matches!(refused, InvalidAnnotation::Value(_)), "{refused}");
        }
        let many = (0..=MOST).map(|number| (format!("k{number}"), String::new())).collect();
        assert_eq!(Annotations::parse(&many), Err(InvalidAnnotation::Many(MOST + 1)));
        let long = (0..17).map(|number| (format!("k{number}"), "x".repeat(1000))).collect();
        assert!(matches!(Annotations::parse(&long), Err(InvalidAnnotation::Long(_))));
    }

    #[test]
    fn they_are_chosen_as_labels_are() {
        let given = pairs(&[("commit", "4f2a1c"), ("job", "https://ci.test/1")]);
        let annotations = Annotations::parse(&given).unwrap();
        for (selector, matches) in [
            ("commit=4f2a1c", true),
            ("commit in (4f2a1c,other),job", true),
            ("commit!=4f2a1c", false),
            ("!job", false),
            ("job notin (1)", true),
            ("nothing", false),
        ] {
            let parsed = LabelSelector::parse(selector).unwrap();
            assert_eq!(annotations.match_selector(&parsed), matches, "{selector}");
        }
    }
}
