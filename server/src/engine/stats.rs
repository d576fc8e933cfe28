//! What a container uses, from the samples that an Engine sends, with the arithmetic of the docker
//! command line. Pure; the HTTP client feeds it.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use tokio::sync::watch;

use super::LogTime;
use super::wire::null_to_default;

/// Where samples go: only the latest one is kept, so a slow reader never keeps an Engine waiting.
pub type StatsSink = watch::Sender<Option<StatsSample>>;

/// One sample of a container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StatsSample {
    /// When it was taken, by the clock of the host. `None` for a container that does not run.
    pub time: Option<LogTime>,
    /// Share of the processors since the sample before; 100 is one whole processor. `None` if there
    /// is no sample before.
    pub cpu_percent: Option<f64>,
    /// Processor time up to now.
    pub cpu: CpuTime,
    /// Memory without the inactive part of the file cache, in bytes.
    pub memory: u64,
    /// Its limit, in bytes; the memory of the host if there is none; 0 if unknown.
    pub memory_limit: u64,
    /// Received over all networks, in bytes.
    pub received: u64,
    /// Sent over all networks, in bytes.
    pub sent: u64,
    /// Read from block devices, in bytes.
    pub read: u64,
    /// Written to block devices, in bytes.
    pub written: u64,
    /// Processes and threads; 0 if unknown.
    pub pids: u64,
}

/// Processor time of a container and of its host.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CpuTime {
    /// Nanoseconds of the container.
    pub container: u64,
    /// Nanoseconds of all processors of the host; 0 if unknown.
    pub host: u64,
    /// Number of processors; 0 if unknown.
    pub cpus: u32,
}

impl StatsSample {
    /// Reads a sample as the Engine sends it. `previous` is the one before it in the same stream, for
    /// Engines that do not repeat it.
    pub fn read(json: &[u8], previous: Option<&Self>) -> Result<Self, String> {
        let sample: SampleJson = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let earlier = CpuTime::from(&sample.precpu_stats);
        let earlier = (earlier.host > 0 && !sample.is_of_podman()).then_some(earlier);
        let earlier = earlier.or_else(|| previous.map(|sample| sample.cpu));
        let mut sample = Self::from(sample);
        sample.cpu_percent = earlier.map(|earlier| sample.cpu.percent_since(earlier));
        Ok(sample)
    }
}

impl CpuTime {
    fn percent_since(self, earlier: Self) -> f64 {
        let of_container = self.container.saturating_sub(earlier.container);
        let of_host = self.host.saturating_sub(earlier.host);
        if of_container == 0 || of_host == 0 {
            return 0.0;
        }
        of_container as f64 / of_host as f64 * f64::from(self.cpus) * 100.0
    }
}

/// A sample as sent: fields may be missing or null.
#[derive(Deserialize)]
struct SampleJson {
    #[serde(default, deserialize_with = "null_to_default")]
    read: String,
    #[serde(default, deserialize_with = "null_to_default")]
    cpu_stats: CpuJson,
    #[serde(default, deserialize_with = "null_to_default")]
    precpu_stats: CpuJson,
    #[serde(default, deserialize_with = "null_to_default")]
    memory_stats: MemoryJson,
    #[serde(default, deserialize_with = "null_to_default")]
    blkio_stats: BlockJson,
    #[serde(default, deserialize_with = "null_to_default")]
    pids_stats: PidsJson,
    #[serde(default, deserialize_with = "null_to_default")]
    networks: BTreeMap<String, NetworkJson>,
}

/// A number that is missing, null, or a fraction: an Engine's word for "much" is not always a whole one.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = Option::<serde_json::Number>::deserialize(deserializer)?;
    Ok(number.map_or(0, |it| it.as_u64().or_else(|| Some(it.as_f64()? as u64)).unwrap_or(0)))
}

#[derive(Default, Deserialize)]
struct CpuJson {
    #[serde(default, deserialize_with = "null_to_default")]
    cpu_usage: CpuUsageJson,
    #[serde(default, deserialize_with = "number")]
    system_cpu_usage: u64,
    #[serde(default, deserialize_with = "null_to_default")]
    online_cpus: u32,
    /// Only podman has it.
    cpu: Option<serde_json::Number>,
}

#[derive(Default, Deserialize)]
struct CpuUsageJson {
    #[serde(default, deserialize_with = "number")]
    total_usage: u64,
    #[serde(default, deserialize_with = "null_to_default")]
    percpu_usage: Vec<u64>,
}

#[derive(Default, Deserialize)]
struct MemoryJson {
    #[serde(default, deserialize_with = "number")]
    usage: u64,
    #[serde(default, deserialize_with = "number")]
    limit: u64,
    #[serde(default, deserialize_with = "null_to_default")]
    stats: BTreeMap<String, serde_json::Value>,
}

#[derive(Default, Deserialize)]
struct BlockJson {
    #[serde(default, deserialize_with = "null_to_default")]
    io_service_bytes_recursive: Vec<BlockEntryJson>,
}

#[derive(Deserialize)]
struct BlockEntryJson {
    #[serde(default, deserialize_with = "null_to_default")]
    op: String,
    #[serde(default, deserialize_with = "number")]
    value: u64,
}

#[derive(Default, Deserialize)]
struct PidsJson {
    #[serde(default, deserialize_with = "number")]
    current: u64,
}

#[derive(Default, Deserialize)]
struct NetworkJson {
    #[serde(default, deserialize_with = "number")]
    rx_bytes: u64,
    #[serde(default, deserialize_with = "number")]
    tx_bytes: u64,
}

impl SampleJson {
    fn is_of_podman(&self) -> bool {
        self.cpu_stats.cpu.is_some()
    }
}

impl From<SampleJson> for StatsSample {
    fn from(sample: SampleJson) -> Self {
        let time = LogTime::parse(sample.read.as_bytes());
        let mut cpu = CpuTime::from(&sample.cpu_stats);
        if let (true, Some(time)) = (sample.is_of_podman(), time) {
            // Its time of the host leaves out when processors were idle; the time on the wall is that
            // of one processor.
            let nanos =
                time.seconds.saturating_mul(1_000_000_000).saturating_add(time.nanos.into());
            (cpu.host, cpu.cpus) = (nanos, 1);
        }
        let (read, written) = sample.blkio_stats.sums();
        let networks = sample.networks.values();
        let sum = |bytes: fn(&NetworkJson) -> u64| networks.clone().map(bytes).fold(0, add);
        Self {
            // The Engine writes the year 1 for a container that does not run.
            time,
            cpu_percent: None,
            cpu,
            memory: sample.memory_stats.in_use(),
            memory_limit: sample.memory_stats.limit,
            received: sum(|network| network.rx_bytes),
            sent: sum(|network| network.tx_bytes),
            read,
            written,
            pids: sample.pids_stats.current,
        }
    }
}

impl From<&CpuJson> for CpuTime {
    fn from(cpu: &CpuJson) -> Self {
        let cpus = match cpu.online_cpus {
            // Engines before API 1.27, and only they, list each processor instead.
            0 => u32::try_from(cpu.cpu_usage.percpu_usage.len()).unwrap_or(u32::MAX),
            cpus => cpus,
        };
        Self { container: cpu.cpu_usage.total_usage, host: cpu.system_cpu_usage, cpus }
    }
}

impl MemoryJson {
    /// Memory that cannot be freed at once: the usage less the inactive part of the file cache.
    fn in_use(&self) -> u64 {
        // cgroup v1 has the first, cgroup v2 the second, Engines before 20.10 subtract the third.
        let inactive = ["total_inactive_file", "inactive_file", "cache"];
        let inactive = inactive.into_iter().find_map(|key| self.stats.get(key)?.as_u64());
        // A larger one is of another moment.
        self.usage - inactive.filter(|inactive| *inactive < self.usage).unwrap_or(0)
    }
}

impl BlockJson {
    /// Bytes read and written.
    fn sums(&self) -> (u64, u64) {
        let sum = |letter: u8| {
            let first = |entry: &&BlockEntryJson| {
                entry.op.as_bytes().first().is_some_and(|it| it.eq_ignore_ascii_case(&letter))
            };
            let entries = self.io_service_bytes_recursive.iter();
            entries.filter(first).map(|entry| entry.value).fold(0, add)
        };
        (sum(b'r'), sum(b'w'))
    }
}

/// Engines are not trusted to send small numbers.
fn add(left: u64, right: u64) -> u64 {
    left.saturating_add(right)
}
