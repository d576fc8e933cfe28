//! Shared by the text values of the domain. Called by their parsers and by error texts.

/// The text in double quotes, with invisible characters escaped, and truncated after 80 characters:
/// suitable for an error message of one line, for any input.
pub fn quoted(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown = String::new();
    for character in text.chars().take(LONGEST) {
        if is_invisible(character) {
            shown.extend(character.escape_default());
        } else {
            shown.extend(character.escape_debug());
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

/// Whether a character is invisible, or changes how others are displayed: control characters, line
/// separators, directional marks, and characters without width. A name with one looks like another
/// name.
pub fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Whether `text` is an ID of an Engine: 1 to 64 hexadecimal digits.
pub fn is_engine_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether `text` consists of ASCII letters, digits and the bytes of `others` only.
pub(super) fn alphanumeric_or(text: &str, others: &[u8]) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

/// Whether `text` begins with an ASCII letter or digit.
pub(super) fn begins_alphanumeric(text: &str) -> bool {
    text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
}

/// Whether `text` ends with an ASCII letter or digit.
pub(super) fn ends_alphanumeric(text: &str) -> bool {
    text.bytes().next_back().is_some_and(|byte| byte.is_ascii_alphanumeric())
}

/// Implements the common traits of a newtype over a checked `String`, from its `parse`.
macro_rules! text_value {
    ($name:ident, $error:ty) => {
        impl $name {
            /// The value as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&self.0, formatter)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(source)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        // Sound because the derived Eq, Ord and Hash are those of the text.
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $error;
            fn try_from(text: &str) -> Result<Self, Self::Error> {
                Self::parse(text)
            }
        }
    };
}
pub(super) use text_value;

#[cfg(test)]
mod tests {
    use super::{is_engine_id, is_invisible, quoted};

    #[test]
    fn quoted_is_one_short_line() {
        assert_eq!(quoted("a\nb\"c"), r#""a\nb\"c""#);
        let long = quoted(&"x".repeat(1000));
        assert_eq!(long.chars().count(), 83);
        assert!(long.ends_with("…\""));
        assert_eq!(quoted("we\u{200b}b\u{202e}"), r#""we\u{200b}b\u{202e}""#);
    }

    #[test]
    fn what_looks_like_nothing_is_found() {
        for character in
            "\u{0}\n\u{7f}\u{9b}\u{200b}\u{200d}\u{202e}\u{2066}\u{feff}\u{e0041}".chars()
        {
            assert!(is_invisible(character), "{character:?}");
        }
        for character in "a é日 🐳\u{301}".chars() {
            assert!(!is_invisible(character), "{character:?}");
        }
    }

    #[test]
    fn an_id_is_hexadecimal() {
        assert!(is_engine_id("4bc1") && is_engine_id(&"f".repeat(64)));
        for text in ["", "..", "a/b", "web", "4bc1 ", "\u{200b}4b", &"f".repeat(65)] {
            assert!(!is_engine_id(text), "{text:?}");
        }
    }
}
