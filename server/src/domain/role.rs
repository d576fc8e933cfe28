//! The roles of callers. Set by the configuration, checked by the API.

use std::fmt;

use super::text::quoted;

/// The three roles; each includes the permissions of those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads.
    Reader,
    /// Can also change containers and images.
    Operator,
    /// Can also change hosts and logins.
    Admin,
}

/// Text that is not a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a role; use reader, operator, or admin", quoted(.0))]
pub struct InvalidRole(String);

impl Role {
    /// Reads `reader`, `operator` or `admin`.
    pub fn parse(text: &str) -> Result<Self, InvalidRole> {
        match text {
            "reader" => Ok(Self::Reader),
            "operator" => Ok(Self::Operator),
            "admin" => Ok(Self::Admin),
            _ => Err(InvalidRole(text.to_owned())),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Admin => "admin",
        })
    }
}
