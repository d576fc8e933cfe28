//! Tells those who trace a call of the work on each of its hosts. If nobody does, nothing is noted.

use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::outcome::{Done, HostError};
use crate::domain::Host;
use crate::engine::{CallLog, EngineCall};

/// The trace of a call, told of the work on its hosts. In the extensions of its request.
#[derive(Debug, Clone)]
pub struct CallTrace(pub Arc<dyn HostObserver>);

/// Is told of work on hosts that has ended. Must not wait.
pub trait HostObserver: fmt::Debug + Send + Sync {
    /// The work on one host has ended.
    fn ended(&self, work: EndedWork<'_>);
}

/// The work on one host, at its end.
#[derive(Debug)]
pub struct EndedWork<'a> {
    /// The host.
    pub host: &'a Host,
    /// When its turn came.
    pub begun: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// Its result; `None` if its caller left before.
    pub result: Option<&'a Result<Done, HostError>>,
    /// The calls to its Engine, in the order of their ends.
    pub calls: Vec<EngineCall>,
    /// How many calls were left out of these.
    pub calls_left_out: u32,
}

/// The work on one host in progress. Dropped before [`HostSpan::end`], its caller has left.
pub(super) struct HostSpan {
    trace: CallTrace,
    host: Arc<Host>,
    begun: SystemTime,
    clock: Instant,
    log: CallLog,
    has_ended: bool,
}

impl HostSpan {
    pub(super) fn begin(trace: &CallTrace, host: &Arc<Host>) -> Self {
        Self {
            trace: trace.clone(),
            host: Arc::clone(host),
            begun: SystemTime::now(),
            clock: Instant::now(),
            log: CallLog::default(),
            has_ended: false,
        }
    }

    /// Where the work notes its calls.
    pub(super) fn log(&self) -> CallLog {
        self.log.clone()
    }

    pub(super) fn end(mut self, result: &Result<Done, HostError>) {
        self.has_ended = true;
        self.tell(Some(result));
    }

    fn tell(&self, result: Option<&Result<Done, HostError>>) {
        let (calls, calls_left_out) = self.log.take();
        self.trace.0.ended(EndedWork {
            host: &self.host,
            begun: self.begun,
            // The clock of the system may be set in between.
            ended: self.begun + self.clock.elapsed(),
            result,
            calls,
            calls_left_out,
        });
    }
}

impl Drop for HostSpan {
    fn drop(&mut self) {
        if !self.has_ended {
            self.tell(None);
        }
    }
}
