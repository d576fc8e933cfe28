//! A cordon: the word of an operator that a host is to be left alone for a while. Pure.

use std::fmt;
use std::time::SystemTime;

/// Longest reason, in bytes.
const LONGEST: usize = 500;

/// Why calls and rollouts leave a host out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cordon {
    /// Why, in the words of the operator; may be empty.
    pub reason: CordonReason,
    /// Who cordoned it.
    pub by: String,
    /// When, in whole milliseconds.
    pub since: SystemTime,
}

/// The reason of a cordon: one line of at most 500 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CordonReason(String);

/// A text that is not a reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one line of at most {LONGEST} bytes")]
pub struct InvalidReason;

impl CordonReason {
    /// Checks a text.
    pub fn parse(text: &str) -> Result<Self, InvalidReason> {
        let text = text.trim();
        if text.len() > LONGEST || text.contains(char::is_control) {
            return Err(InvalidReason);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Cordon {
    /// `cordoned by ann: kernel upgrade`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cordoned by {}", self.by)?;
        if self.reason.0.is_empty() { Ok(()) } else { write!(formatter, ": {}", self.reason.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line() {
        let cordon = |reason: &str| Cordon {
            reason: CordonReason::parse(reason).unwrap(),
            by: "ann".to_owned(),
            since: SystemTime::UNIX_EPOCH,
        };
        assert_eq!(cordon(" new disk ").to_string(), "cordoned by ann: new disk");
        assert_eq!(cordon("").to_string(), "cordoned by ann");
        assert!(CordonReason::parse("two\nlines").is_err());
        assert!(CordonReason::parse(&"x".repeat(LONGEST + 1)).is_err());
    }
}
