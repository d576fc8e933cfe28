//! Default time limits for the work on one host. `FanoutOptions.host_timeout` overrides them.

use std::time::Duration;

/// Reads that an Engine answers from memory. One that needs longer hangs or is away, and everybody
/// waits for it.
pub const READ: Duration = Duration::from_secs(10);

/// Changes that an Engine makes in memory.
pub const CHANGE: Duration = Duration::from_secs(30);

/// Reads of many things on a host, one after the other.
pub const SURVEY: Duration = Duration::from_secs(30);

/// Calls that start or end processes, configure the kernel, or change files.
pub const SLOW: Duration = Duration::from_secs(120);

/// Calls that free disk space.
pub const DISK: Duration = Duration::from_secs(300);
