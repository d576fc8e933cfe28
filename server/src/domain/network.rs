//! Names of networks and volumes.
//!
//! Like those of containers, they stand in paths of the Engine API; what passes here cannot reach
//! another endpoint. Called by the API for every request with a network or a volume.

use super::text::{alphanumeric_or, begins_alphanumeric, quoted, text_value};

/// Maximum length of a name. Volumes are folders, and a file name has this limit.
const LONGEST: usize = 255;

/// Networks that every Engine has, and the name of its default one.
const PREDEFINED: [&str; 4] = ["bridge", "host", "none", "default"];

/// The reference to a network: its name, its ID, or a prefix of its ID.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkRef(String);

/// The name of a volume: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, as the Engine requires.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeName(String);

/// Text that cannot name a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is neither the name nor the ID of a network: use 1 to {LONGEST} of a-z A-Z 0-9 _ . - beginning with a letter or digit",
    quoted(.0)
)]
pub struct InvalidNetwork(String);

/// Text that cannot name a volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is not the name of a volume: use 2 to {LONGEST} of a-z A-Z 0-9 _ . - beginning with a letter or digit",
    quoted(.0)
)]
pub struct InvalidVolume(String);

impl NetworkRef {
    /// Checks a name or an ID.
    pub fn parse(text: &str) -> Result<Self, InvalidNetwork> {
        if is_name(text) { Ok(Self(text.to_owned())) } else { Err(InvalidNetwork(text.to_owned())) }
    }

    /// Whether it is a network that every Engine has, which can neither be created nor removed.
    #[must_use]
    pub fn is_predefined(&self) -> bool {
        PREDEFINED.contains(&self.as_str())
    }
}

impl VolumeName {
    /// Checks a name.
    pub fn parse(text: &str) -> Result<Self, InvalidVolume> {
        if text.len() >= 2 && is_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidVolume(text.to_owned()))
        }
    }
}

text_value!(NetworkRef, InvalidNetwork);
text_value!(VolumeName, InvalidVolume);

fn is_name(text: &str) -> bool {
    text.len() <= LONGEST && begins_alphanumeric(text) && alphanumeric_or(text, b"_.-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dangerous_names_are_refused() {
        let long = "a".repeat(256);
        for text in
            ["", ".", "..", "a/b", "x?force=1", "%2e", "a\nb", "a b", "-a", "_a", "é", "a\0", &long]
        {
            assert!(NetworkRef::parse(text).is_err(), "network {text:?}");
            assert!(VolumeName::parse(text).is_err(), "volume {text:?}");
        }
        assert!(VolumeName::parse("d").is_err(), "the Engine wants two characters");
    }

    #[test]
    fn good_names_are_kept() {
        for text in ["front", "app_front-1.x", "0123456789ab"] {
            assert_eq!(NetworkRef::parse(text).unwrap().as_str(), text);
            assert_eq!(VolumeName::parse(text).unwrap().as_str(), text);
        }
        assert!(NetworkRef::parse("none").unwrap().is_predefined());
        assert!(!NetworkRef::parse("none2").unwrap().is_predefined());
    }
}
