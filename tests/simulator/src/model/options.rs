//! The Engine that a model represents.

use std::time::Duration;

use wharf_server::engine::ApiVersion;

/// What one Engine is, apart from its state.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Host name; also what a container on the host's network is called.
    pub name: String,
    /// Seed of all IDs; two models with one seed give the same ones.
    pub seed: u64,
    /// Such as `20.10.24`.
    pub engine_version: String,
    /// The highest API version it speaks.
    pub api_version: ApiVersion,
    /// The lowest it accepts.
    pub min_api_version: ApiVersion,
    /// In the words of images: `amd64`, `arm64`.
    pub architecture: String,
    /// Images are named by the digest of their manifest, as on a fresh Engine 29.
    pub containerd_store: bool,
    /// Whether it answers `HEAD /_ping` (since 19.03) and says its API version there (since 1.13).
    pub ping: PingOptions,
    /// How long things take in the Engine itself.
    pub timing: Timing,
}

/// What an Engine's ping can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PingOptions {
    /// Answers HEAD.
    pub head: bool,
    /// Has the header `Api-Version`.
    pub api_version: bool,
}

/// How long things take inside the Engine, apart from the latency of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From the exit of an `--rm` container to its removal.
    pub auto_remove: Duration,
    /// The removal of a container.
    pub remove: Duration,
    /// For each layer that is downloaded, and as long again for its extraction.
    pub layer: Duration,
    /// Default of `stop` where neither the call nor the container says one.
    pub stop_timeout: Duration,
}

impl Default for Timing {
    /// As fast as can be, but `--rm` is asynchronous as on every Engine.
    fn default() -> Self {
        Self {
            auto_remove: Duration::from_millis(20),
            remove: Duration::ZERO,
            layer: Duration::from_millis(5),
            stop_timeout: Duration::from_secs(10),
        }
    }
}

impl EngineOptions {
    /// Docker 20.10 as Debian 12 ships it: API 1.41.
    pub fn new(name: &str) -> Self {
        Self::for_api(name, ApiVersion::new(1, 41))
    }

    /// The Engine that brought an API version, with the minimum it had by default.
    pub fn for_api(name: &str, api_version: ApiVersion) -> Self {
        let (engine_version, min) = match api_version.minor {
            ..=24 => ("1.12.6", 12),
            25..=29 => ("1.13.1", 12),
            30..=35 => ("17.12.1-ce", 12),
            36..=39 => ("18.09.9", 12),
            40 => ("19.03.15", 12),
            41 => ("20.10.24", 12),
            42..=43 => ("24.0.9", 12),
            44..=45 => ("25.0.13", 24),
            46..=47 => ("27.5.1", 24),
            48..=51 => ("28.5.2", 24),
            _ => ("29.1.0", 44),
        };
        Self {
            name: name.to_owned(),
            seed: seed_of(name),
            engine_version: engine_version.to_owned(),
            api_version,
            min_api_version: ApiVersion::new(1, min),
            architecture: "amd64".to_owned(),
            containerd_store: api_version.minor >= 52,
            ping: PingOptions {
                head: api_version.minor >= 40,
                api_version: api_version.minor > 24,
            },
            timing: Timing::default(),
        }
    }

    /// The same with another minimum, as operators and Engine 29 set it.
    #[must_use]
    pub fn with_min_api(mut self, min: ApiVersion) -> Self {
        self.min_api_version = min;
        self
    }

    /// Whether control groups are of version 2, which decides a default at create.
    pub(crate) fn cgroup_v2(&self) -> bool {
        self.api_version.minor >= 42
    }
}

/// FNV-1a: the same name gives the same seed in every run.
fn seed_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
