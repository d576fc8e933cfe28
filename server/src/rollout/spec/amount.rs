//! Amounts and durations as people write them: `3`, `25%`, `90s`, `1h 30m`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::domain::quoted;

use super::Amount;

/// Text that is no amount of hosts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a number of hosts: use a number such as 3, or 0% to 100%", quoted(.0))]
pub struct InvalidAmount(String);

/// Text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a duration: use a number with its unit, such as 500ms, 90s, 5m, 1h 30m", quoted(.0))]
pub struct InvalidDuration(String);

/// A duration with its unit; `0` needs none.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text).map_err(|_| InvalidDuration(text.to_owned()))
}

impl Amount {
    /// So many of `hosts` as a width: a percentage is rounded down, at least 1.
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
        // `parse` would take a plus sign.
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
