//! Amounts of hosts as people write them: `3`, `25%`.

use std::fmt;
use std::str::FromStr;

use crate::domain::quoted;

use super::Amount;

/// Text that is no amount of hosts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a number of hosts: use a number such as 3, or 0% to 100%", quoted(.0))]
pub struct InvalidAmount(String);

impl Amount {
    /// The amount of `hosts` as a width: a percentage is rounded down, at least 1.
    #[must_use]
    pub fn width(self, hosts: usize) -> usize {
        self.budget(hosts).max(1)
    }

    /// So many of `hosts` as a budget: a percentage is rounded down, maybe to 0.
    #[must_use]
    pub fn budget(self, hosts: usize) -> usize {
        match self {
            Self::Count(count) => count as usize,
            Self::Percent(percent) => hosts * percent as usize / 100,
        }
    }
}

impl FromStr for Amount {
    type Err = InvalidAmount;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidAmount(text.to_owned());
        let digits = text.strip_suffix('%').unwrap_or(text);
        // `parse` would accept a plus sign.
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid());
        }
        let number = digits.parse().map_err(|_| invalid())?;
        if digits.len() == text.len() {
            return Ok(Self::Count(number));
        }
        if number > 100 { Err(invalid()) } else { Ok(Self::Percent(number)) }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(formatter, "{count}"),
            Self::Percent(percent) => write!(formatter, "{percent}%"),
        }
    }
}
