//! What the text values of the domain share. Called by their parsers and by error texts.

/// The text in double quotes, with control characters escaped and cut after 80 characters: fit
/// for an error message of one line, whatever a caller sent.
pub fn quoted(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
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

/// Implements what every newtype over a checked `String` offers, from its `parse`.
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
    use super::quoted;

    #[test]
    fn quoted_is_one_short_line() {
        assert_eq!(quoted("a\nb\"c"), r#""a\nb\"c""#);
        let long = quoted(&"x".repeat(1000));
        assert_eq!(long.chars().count(), 83);
        assert!(long.ends_with("…\""));
    }
}
