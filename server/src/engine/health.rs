//! What the calls to one Engine have shown of it: whether it answers, how soon, and what it is.
//! Written by the HTTP client with every call, without a call of its own; read by those who watch
//! over the fleet ([`super::SystemEngine::health`]).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{ApiVersion, EngineError, ErrorKind};
use crate::domain::{Durations, Tally};

/// How long an Engine may take to begin an answer that needs no work before it counts as one that
/// does not answer. Callers that give up earlier say nothing about it.
const HUNG: Duration = Duration::from_secs(5);
/// Buckets of the time to an answer, in seconds. Few, because every host of the fleet has them.
const BOUNDS: &[f64] = &[0.005, 0.025, 0.1, 0.5, 2.5, 10.0];
/// Longest version that is kept, in bytes: an Engine may send anything.
const LONGEST_VERSION: usize = 32;

/// What is known of an Engine from the calls so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// The last result; `None` before the first.
    pub last: Option<LastResult>,
    /// Number of calls that got no answer.
    pub unanswered: u64,
    /// The time from sending to the beginning of an answer, of calls that an Engine answers at once.
    pub answers: Tally,
    /// What the Engine says it is, if it does.
    pub software: Option<Software>,
    /// The version of its API that is spoken with it; `None` before it was negotiated.
    pub api_version: Option<ApiVersion>,
}

/// The result of the last call that showed whether the Engine answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastResult {
    /// Whether it answered; an error of the Engine is an answer.
    pub is_up: bool,
    /// When.
    pub at: SystemTime,
}

/// What an Engine says it is, in the `Server` header of its answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Software {
    /// The product.
    pub kind: SoftwareKind,
    /// Its version, such as `20.10.24`: letters, digits, and `. _ ~ + -`.
    pub version: String,
}

/// A product with the Engine API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoftwareKind {
    /// Docker Engine.
    Docker,
    /// Podman.
    Podman,
    /// Something else.
    Other,
}

/// Takes down what calls show.
#[derive(Debug)]
pub(super) struct HealthRecord {
    last: Mutex<Last>,
    unanswered: AtomicU64,
    answers: Durations,
}

#[derive(Debug, Default)]
struct Last {
    result: Option<LastResult>,
    /// The header as it came, so that it is read only when it changes.
    server: Vec<u8>,
    software: Option<Software>,
}

/// A call that waits for its answer. Dropped without a result, it shows something only if it waited
/// for long.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    record: &'a HealthRecord,
    /// Whether the Engine should answer at once.
    is_quick: bool,
    since: Instant,
    has_ended: bool,
}

impl SoftwareKind {
    /// Its name, in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Other => "other",
        }
    }
}

impl Software {
    /// Reads a header such as `Docker/20.10.24 (linux)` or `Libpod/4.3.1 (linux)`.
    fn parse(header: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(header).ok()?;
        let (product, version) = text.split_whitespace().next()?.split_once('/')?;
        let kind = match product {
            "Docker" => SoftwareKind::Docker,
            "Libpod" => SoftwareKind::Podman,
            _ => SoftwareKind::Other,
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~+-".contains(&byte);
        let is_version = (1..=LONGEST_VERSION).contains(&version.len());
        (is_version && version.bytes().all(is_plain))
            .then(|| Self { kind, version: version.to_owned() })
    }
}

impl HealthRecord {
    /// Nothing so far.
    pub(super) fn new() -> Self {
        let (unanswered, answers) = (AtomicU64::new(0), Durations::new(BOUNDS));
        Self { last: Mutex::default(), unanswered, answers }
    }

    /// Begins to wait for an answer. `is_quick`: whether the Engine should answer at once.
    pub(super) fn wait(&self, is_quick: bool) -> Waiting<'_> {
        Waiting { record: self, is_quick, since: Instant::now(), has_ended: false }
    }

    /// Everything that was taken down.
    pub(super) fn read(&self, api_version: Option<ApiVersion>) -> Health {
        let (last, software) = {
            let last = self.last();
            (last.result, last.software.clone())
        };
        let unanswered = self.unanswered.load(Ordering::Relaxed);
        Health { last, unanswered, answers: self.answers.tally(), software, api_version }
    }

    fn result(&self, is_up: bool) {
        if !is_up {
            self.unanswered.fetch_add(1, Ordering::Relaxed);
        }
        self.last().result = Some(LastResult { is_up, at: SystemTime::now() });
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        // Every change under the lock is a single assignment.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting<'_> {
    /// An answer began, `latency` after its request was sent, with this `Server` header.
    pub(super) fn answered(mut self, latency: Duration, server: Option<&[u8]>) {
        self.has_ended = true;
        if self.is_quick {
            self.record.answers.add(latency);
        }
        self.record.result(true);
        let mut last = self.record.last();
        let server = server.unwrap_or_default();
        if last.server != server {
            last.software = Software::parse(server);
            last.server = server.to_owned();
        }
    }

    /// The call failed before an answer that is a success.
    pub(super) fn failed(mut self, error: &EngineError) {
        self.has_ended = true;
        if let Some(is_up) = shows(error) {
            self.record.result(is_up);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.has_ended && self.is_quick && self.since.elapsed() >= HUNG {
            self.record.result(false);
        }
    }
}

/// Whether a failure shows that the Engine answers; `None` if it says nothing about the Engine, such
/// as a lack of file descriptors here.
fn shows(error: &EngineError) -> Option<bool> {
    use ErrorKind::{
        BadAnswer, ConnectionLost, ResultUnknown, SshHostKeyChanged, SshHostKeyUnknown,
        SshPermissionDenied, SshSocketUnavailable, Tls, TransferStalled, Unreachable,
    };
    match error.kind {
        // Also where the answer is the one of a TLS server to a request without TLS.
        Tls => Some(false),
        _ if error.http_status.is_some() => Some(true),
        Unreachable | ConnectionLost | ResultUnknown | BadAnswer | TransferStalled
        | SshHostKeyChanged | SshHostKeyUnknown | SshPermissionDenied | SshSocketUnavailable => {
            Some(false)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: ErrorKind) -> EngineError {
        EngineError::new(kind, "GET /info", "a message")
    }

    fn is_up(record: &HealthRecord) -> Option<bool> {
        record.read(None).last.map(|last| last.is_up)
    }

    #[test]
    fn only_failures_of_the_engine_and_of_the_way_to_it_say_that_it_is_down() {
        let record = HealthRecord::new();
        record.wait(true).failed(&error(ErrorKind::NoResources));
        assert_eq!(is_up(&record), None);
        record.wait(true).failed(&error(ErrorKind::Unreachable));
        assert_eq!(is_up(&record), Some(false));
        record.wait(true).failed(&error(ErrorKind::ContainerNotFound).with_status(404));
        assert_eq!(is_up(&record), Some(true));
        record.wait(true).failed(&error(ErrorKind::Tls).with_status(400));
        record.wait(true).failed(&error(ErrorKind::UploadDiskFull));
        assert_eq!(is_up(&record), Some(false));
        let health = record.read(None);
        assert_eq!((health.unanswered, health.answers.count), (2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_hangs_is_down_and_a_caller_that_leaves_says_nothing() {
        let record = HealthRecord::new();
        let waiting = record.wait(true);
        tokio::time::advance(HUNG - Duration::from_millis(1)).await;
        drop(waiting);
        assert_eq!(is_up(&record), None);
        let (quick, long) = (record.wait(true), record.wait(false));
        tokio::time::advance(HUNG).await;
        drop(long);
        assert_eq!(is_up(&record), None);
        drop(quick);
        assert_eq!(is_up(&record), Some(false));
        record.wait(true).answered(Duration::from_millis(20), None);
        assert_eq!(is_up(&record), Some(true));
        assert_eq!(record.read(None).answers.buckets[1], (0.025, 1));
    }

    #[test]
    fn the_software_is_read_from_its_header() {
        let read = |header: &str| {
            let software = Software::parse(header.as_bytes())?;
            Some((software.kind.as_str(), software.version))
        };
        let is = |kind, version: &str| Some((kind, version.to_owned()));
        assert_eq!(read("Docker/20.10.24+dfsg1 (linux)"), is("docker", "20.10.24+dfsg1"));
        assert_eq!(read("Libpod/4.3.1 (linux)"), is("podman", "4.3.1"));
        assert_eq!(read("nginx/1.22.1"), is("other", "1.22.1"));
        for unusable in
            ["", "Docker", "Docker/", "Docker/1\"2", &format!("Docker/{}", "1".repeat(33))]
        {
            assert_eq!(read(unusable), None, "{unusable}");
        }
        let record = HealthRecord::new();
        record.wait(true).answered(Duration::ZERO, Some(b"Docker/20.10.24 (linux)"));
        record.wait(true).answered(Duration::ZERO, Some(b"Docker/28.5.1 (linux)"));
        assert_eq!(record.read(None).software.unwrap().version, "28.5.1");
    }
}
