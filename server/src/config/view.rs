//! `[view]` of the configuration file: whether lists may come from memory. Read only at startup.

use std::time::Duration;

use serde::Deserialize;

use super::error::ConfigError;

/// Whether, and how long, hosts are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewOptions {
    /// Whether hosts are followed at all; true by default.
    pub enabled: bool,
    /// How long a host is followed after its view was last wanted; 10 minutes by default.
    pub idle: Duration,
    /// How often all containers of a followed host are listed anyway; 60 s by default, and less often
    /// in a large fleet.
    pub resync: Duration,
    /// How often a followed host is asked whether it is there; 10 s by default, and less often in a
    /// large fleet. It may take half of this to answer.
    pub ping: Duration,
}

/// Pings of all followed hosts together, in one second: so that the work of a fleet at rest does not grow
/// with it.
const PINGS_PER_SECOND: u32 = 200;
/// The same for lists of all containers of a host.
const LISTS_PER_SECOND: u32 = 20;

impl ViewOptions {
    /// How often to ask a host whether it is there while so many are followed.
    pub fn ping_among(&self, followed: usize) -> Duration {
        among(self.ping, PINGS_PER_SECOND, followed)
    }

    /// How often to list all containers of a host while so many are followed.
    pub fn resync_among(&self, followed: usize) -> Duration {
        among(self.resync, LISTS_PER_SECOND, followed)
    }
}

fn among(pause: Duration, per_second: u32, followed: usize) -> Duration {
    let followed = u32::try_from(followed).unwrap_or(u32::MAX);
    pause.max(followed * (Duration::from_secs(1) / per_second))
}

/// `[view]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    enabled: Option<bool>,
    idle_seconds: Option<i64>,
    resync_seconds: Option<i64>,
    ping_seconds: Option<i64>,
}

impl Default for ViewOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            idle: Duration::from_secs(600),
            resync: Duration::from_secs(60),
            ping: Duration::from_secs(10),
        }
    }
}

impl Table {
    /// Checks every value; `file` is for errors.
    pub(super) fn check(&self, file: &str) -> Result<ViewOptions, ConfigError> {
        let default = ViewOptions::default();
        let seconds = |key: &str, value: Option<i64>, default| match value {
            None => Ok(default),
            Some(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds.unsigned_abs())),
            Some(_) => {
                Err(ConfigError::value(format!("{file}: view.{key}"), "must be from 1 to 86400"))
            }
        };
        Ok(ViewOptions {
            enabled: self.enabled.unwrap_or(default.enabled),
            idle: seconds("idle_seconds", self.idle_seconds, default.idle)?,
            resync: seconds("resync_seconds", self.resync_seconds, default.resync)?,
            ping: seconds("ping_seconds", self.ping_seconds, default.ping)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_a_large_fleet_are_asked_less_often_each() {
        let options = ViewOptions::default();
        let seconds = Duration::from_secs;
        for (followed, ping, resync) in
            [(0, 10, 60), (1000, 10, 60), (2000, 10, 100), (10_000, 50, 500)]
        {
            assert_eq!(options.ping_among(followed), seconds(ping), "{followed}");
            assert_eq!(options.resync_among(followed), seconds(resync), "{followed}");
        }
    }

    #[test]
    fn what_is_not_written_has_its_default_and_what_is_wrong_is_named() {
        assert_eq!(Table::default().check("f").unwrap(), ViewOptions::default());
        let table = Table { enabled: Some(false), idle_seconds: Some(5), ..Table::default() };
        let idle = Duration::from_secs(5);
        let expected = ViewOptions { enabled: false, idle, ..ViewOptions::default() };
        assert_eq!(table.check("f").unwrap(), expected);
        let table = Table { idle_seconds: Some(0), ..Table::default() };
        let text = table.check("wharfd.toml").unwrap_err().to_string();
        assert!(text.contains("wharfd.toml: view.idle_seconds"), "{text}");
    }
}
