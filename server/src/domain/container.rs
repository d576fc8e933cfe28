//! Names of containers, in the charset of the Engine.
//!
//! The Engine uses them in paths, and its router interprets `..`, `?`, and `%2e`; names that pass
//! here cannot contain those. Called by the API for every request with a container.

use super::text::{alphanumeric_or, begins_alphanumeric, quoted, text_value};

/// Maximum length of a name or reference. The Engine sets no limit; a file name does.
const LONGEST: usize = 255;

/// The name of a new container: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, as the Engine requires, at most 255
/// characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerName(String);

/// The reference to a container: its name, its ID, or a prefix of its ID.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerRef(String);

/// Text that cannot name a new container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is not a container name: use 2 to {LONGEST} of a-z A-Z 0-9 _ . - beginning with a letter or digit",
    quoted(.0)
)]
pub struct InvalidContainerName(String);

/// Text that cannot address a container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is neither the name nor the ID of a container: use 1 to {LONGEST} of a-z A-Z 0-9 _ . - beginning with a letter or digit",
    quoted(.0)
)]
pub struct InvalidContainerRef(String);

impl ContainerName {
    /// Characters of the longest name.
    pub const LONGEST: usize = LONGEST;

    /// Checks a name for a new container.
    pub fn parse(text: &str) -> Result<Self, InvalidContainerName> {
        if text.len() >= 2 && is_engine_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidContainerName(text.to_owned()))
        }
    }
}

impl ContainerRef {
    /// Checks a name or an ID; one leading `/`, as the Engine prints it, is left out.
    pub fn parse(text: &str) -> Result<Self, InvalidContainerRef> {
        let name = text.strip_prefix('/').unwrap_or(text);
        if is_engine_name(name) {
            Ok(Self(name.to_owned()))
        } else {
            Err(InvalidContainerRef(text.to_owned()))
        }
    }
}

impl From<ContainerName> for ContainerRef {
    fn from(name: ContainerName) -> Self {
        Self(name.0)
    }
}

text_value!(ContainerName, InvalidContainerName);
text_value!(ContainerRef, InvalidContainerRef);

fn is_engine_name(text: &str) -> bool {
    text.len() <= LONGEST && begins_alphanumeric(text) && alphanumeric_or(text, b"_.-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dangerous_names_are_refused() {
        let long = "a".repeat(300);
        for text in [
            "",
            ".",
            "..",
            "/",
            "//web",
            "a/../../b",
            "x?force=1",
            "%2e%2e",
            "a%2fb",
            "a\nb",
            "a b",
            "a#b",
            "-a",
            "_a",
            "é",
            "a\0",
            "web/",
            &long,
        ] {
            assert!(ContainerName::parse(text).is_err(), "name {text:?}");
            assert!(ContainerRef::parse(text).is_err(), "reference {text:?}");
        }
    }

    #[test]
    fn good_names_are_kept() {
        for text in ["web", "web-1_a.b", "0123456789ab", "Web"] {
            assert_eq!(ContainerName::parse(text).unwrap().as_str(), text);
            assert_eq!(ContainerRef::parse(text).unwrap().as_str(), text);
        }
        assert_eq!(ContainerRef::parse("/web").unwrap().as_str(), "web");
        assert_eq!(ContainerRef::parse("4").unwrap().as_str(), "4");
        assert!(ContainerName::parse("4").is_err(), "the Engine wants two characters");
    }

    #[test]
    fn the_error_is_one_line_and_says_what_would_be_right() {
        let text = ContainerRef::parse("a\n/b").unwrap_err().to_string();
        assert!(!text.contains('\n'), "{text}");
        assert!(text.contains("a-z A-Z 0-9 _ . -"), "{text}");
    }

    proptest! {
        #[test]
        fn nothing_that_reroutes_a_request_survives(text in "\\PC*|[a-z/.?#%\\n\\r\\\\]{0,12}") {
            if let Ok(name) = ContainerRef::parse(&text) {
                prop_assert!(name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)));
                prop_assert!(!name.as_str().starts_with('.'));
                prop_assert_eq!(ContainerRef::parse(name.as_ref()).unwrap(), name);
            }
        }
    }
}
