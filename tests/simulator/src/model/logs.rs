//! Logs of containers: what their commands print when they start, and what a test lets them write.

use std::time::Duration;

use serde_json::Value;
use wharf_server::engine::ErrorKind;

use super::rollout_calls::printed;
use super::{Model, Refusal, Time};

/// An entry of a log: a line with its end, or a piece of a long one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// When the Engine got it.
    pub time: Time,
    /// Whether it was written to standard error.
    pub stderr: bool,
    /// The text.
    pub text: String,
}

/// What of a log is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogQuery {
    /// From this time on, inclusive.
    pub since: Option<Time>,
    /// Before this time.
    pub until: Option<Time>,
    /// Only so many entries at the end.
    pub tail: Option<usize>,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
}

/// A look at a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogView {
    /// The wanted entries that are new.
    pub entries: Vec<LogEntry>,
    /// Where to look on.
    pub next: usize,
    /// Whether there may be more.
    pub running: bool,
    /// Whether the container has a terminal, so that its log has no frames.
    pub tty: bool,
}

impl Model {
    /// A container writes to its log.
    pub fn write_log(&mut self, now: Time, name: &str, stderr: bool, text: &str) {
        if let Ok(id) = self.resolve(name) {
            self.at(&id).log.push(LogEntry { time: now, stderr, text: text.to_owned() });
        }
    }

    /// The entries of a log from a place on, at first 0.
    pub fn look_at_log(
        &self,
        name: &str,
        query: &LogQuery,
        from: usize,
    ) -> Result<LogView, Refusal> {
        let found = self.found(name)?;
        if found.host_config["LogConfig"]["Type"] == "none" {
            let message = "configured logging driver does not support reading";
            return Err(Refusal::new(501, ErrorKind::Unsupported, message));
        }
        if !(query.stdout || query.stderr) {
            let message = "Bad parameters: you must choose at least one stream";
            return Err(Refusal::bad_request(message));
        }
        let started = found.state.started_at.unwrap_or(found.created);
        let printed = printed(found).filter(|_| found.started_before).unwrap_or_default();
        let printed = printed.into_iter().map(|line| LogEntry {
            time: started,
            stderr: false,
            text: format!("{line}\n"),
        });
        let all: Vec<LogEntry> = printed.chain(found.log.iter().cloned()).collect();
        let surplus = match (from, query.tail) {
            (0, Some(tail)) => all.len().saturating_sub(tail),
            _ => 0,
        };
        let wanted = |entry: &LogEntry| {
            query.since.is_none_or(|since| entry.time >= since)
                && query.until.is_none_or(|until| entry.time < until)
                && if entry.stderr { query.stderr } else { query.stdout }
        };
        let next = all.len();
        let entries = all.into_iter().skip(from.max(surplus)).filter(wanted).collect();
        let tty = found.config.get("Tty").and_then(Value::as_bool).unwrap_or(false);
        Ok(LogView { entries, next, running: found.state.status.counts_as_running(), tty })
    }
}

impl LogEntry {
    /// As the Engine sends it: the time, and the text; in a frame unless there is a terminal.
    pub fn encoded(&self, tty: bool) -> Vec<u8> {
        let text = format!("{} {}", self.time.rfc3339_nanos(), self.text);
        if tty {
            return text.into_bytes();
        }
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes();
        [&[1 + u8::from(self.stderr), 0, 0, 0][..], &length, text.as_bytes()].concat()
    }
}

/// A time as requests have it: seconds with an optional fraction. `None` for the empty text.
pub fn log_time(text: &str) -> Result<Option<Time>, Refusal> {
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let parsed = seconds.parse().ok().zip(format!("{fraction:0<9}").parse().ok());
    let Some((seconds, nanos)) = parsed else {
        let message = format!("strconv.ParseInt: parsing \"{text}\": invalid syntax");
        return Err(Refusal::bad_request_500(message));
    };
    Ok(Some(Time::from_unix_seconds(seconds) + Duration::from_nanos(nanos)))
}
