//! `[limits]` of the configuration file: the limits for callers and hosts. Read only at startup.

use std::time::Duration;

use serde::Deserialize;

use super::error::ConfigError;

/// The limits for callers and hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections of one listener; 1024 by default. The limit of open files may leave fewer.
    pub max_connections: usize,
    /// Streams of one connection; 200 by default.
    pub max_streams_per_connection: u32,
    /// Concurrent calls of one caller; 1000 by default.
    pub max_calls_per_caller: usize,
    /// For the first bytes of a connection, and for TLS; 10 s by default.
    pub handshake_timeout: Duration,
    /// For the first request of a TCP connection, and for the body of every request; 60 s by default.
    pub first_request_timeout: Duration,
    /// Memory for responses of Engines, in bytes; 512 MiB by default.
    pub answer_memory: usize,
    /// Logins over ssh at the same time; 8 by default.
    pub ssh_handshakes: usize,
    /// Disk space for uploads in progress, in bytes; 32 GiB by default.
    pub upload_disk: u64,
}

/// `[limits]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    max_connections: Option<i64>,
    max_streams_per_connection: Option<i64>,
    max_calls_per_caller: Option<i64>,
    handshake_timeout_seconds: Option<i64>,
    first_request_timeout_seconds: Option<i64>,
    answer_memory_mib: Option<i64>,
    ssh_handshakes: Option<i64>,
    upload_disk_gib: Option<i64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_streams_per_connection: 200,
            max_calls_per_caller: 1000,
            handshake_timeout: Duration::from_secs(10),
            first_request_timeout: Duration::from_secs(60),
            answer_memory: 512 << 20,
            ssh_handshakes: 8,
            upload_disk: 32 << 30,
        }
    }
}

impl Table {
    /// Checks every value; `file` is for errors.
    pub(super) fn check(&self, file: &str) -> Result<Limits, ConfigError> {
        let number = |key: &str, value: Option<i64>, default: u32, most: u32| match value {
            None => Ok(default),
            Some(value) => u32::try_from(value)
                .ok()
                .filter(|number| (1..=most).contains(number))
                .ok_or_else(|| {
                    let problem = format!("must be from 1 to {most}");
                    ConfigError::value(format!("{file}: limits.{key}"), problem)
                }),
        };
        let size = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        let seconds = |value: u32| Duration::from_secs(value.into());
        let connections = number("max_connections", self.max_connections, 1024, 1_000_000)?;
        let calls = number("max_calls_per_caller", self.max_calls_per_caller, 1000, 1_000_000)?;
        let handshake =
            number("handshake_timeout_seconds", self.handshake_timeout_seconds, 10, 3600)?;
        let request = number(
            "first_request_timeout_seconds",
            self.first_request_timeout_seconds,
            60,
            86_400,
        )?;
        let memory = number("answer_memory_mib", self.answer_memory_mib, 512, 1 << 20)?;
        let ssh = number("ssh_handshakes", self.ssh_handshakes, 8, 1000)?;
        let disk = number("upload_disk_gib", self.upload_disk_gib, 32, 1 << 20)?;
        Ok(Limits {
            max_connections: size(connections),
            max_streams_per_connection: number(
                "max_streams_per_connection",
                self.max_streams_per_connection,
                200,
                100_000,
            )?,
            max_calls_per_caller: size(calls),
            handshake_timeout: seconds(handshake),
            first_request_timeout: seconds(request),
            answer_memory: size(memory) << 20,
            ssh_handshakes: size(ssh),
            upload_disk: u64::from(disk) << 30,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_written_has_its_default_and_what_is_wrong_is_named() {
        assert_eq!(Table::default().check("f").unwrap(), Limits::default());
        let table = Table { max_connections: Some(0), ..Table::default() };
        let text = table.check("wharfd.toml").unwrap_err().to_string();
        assert!(text.contains("wharfd.toml: limits.max_connections"), "{text}");
        assert!(text.contains("from 1 to 1000000"), "{text}");
    }
}
