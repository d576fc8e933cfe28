//! The script for the calls of one in-process Engine: latency, faults, and the log of calls.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use wharf_server::engine::ErrorKind;

use crate::model::Time;
use crate::operation::Operation;
use crate::rules::{Rules, When};

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Counted from 0, for each Engine.
    pub number: usize,
    /// When it began.
    pub at: Time,
    /// What it was.
    pub operation: Operation,
    /// The container or image it was about; empty for others.
    pub subject: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has not.
    Running,
    /// The caller was told of success.
    Succeeded,
    /// The caller was told of a failure.
    Failed(ErrorKind),
    /// The caller went away.
    Abandoned,
}

/// What a script lets happen to a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// On the way there.
    pub before: Duration,
    /// On the way back.
    pub after: Duration,
    /// What goes wrong.
    pub fault: Option<Fault>,
}

/// What goes wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// No connection; nothing is done.
    Unreachable,
    /// The Engine refuses with this kind, status and text; nothing is done.
    Refuse(ErrorKind, u16, String),
    /// It is done, and the connection breaks before the answer.
    LoseAnswer,
    /// Nothing is done, and the connection breaks: to the caller the same as a lost answer.
    LoseRequest,
    /// Nothing is done, and no answer comes.
    HangBefore,
    /// It is done, and no answer comes.
    HangAfter,
    /// The Engine crashes before it does it.
    CrashBefore,
    /// The Engine crashes once it has done it.
    CrashAfter,
}

/// Decides on each call; a closure will do. It comes before the rules and the latency that are
/// set on the [`Script`], and where it gives `None`, those apply.
pub type Decide = Box<dyn FnMut(&Call) -> Option<Plan> + Send>;

/// What happens to the calls of one Engine.
#[derive(Default)]
pub struct Script {
    /// Faults by call.
    pub faults: Rules<Fault>,
    latency: Mutex<Duration>,
    decide: Mutex<Option<Decide>>,
    calls: Mutex<Vec<Call>>,
    hangs: Notify,
}

impl Script {
    /// Every call takes so long, half on the way there and half on the way back.
    pub fn set_latency(&self, latency: Duration) {
        *locked(&self.latency) = latency;
    }

    /// Lets a function decide on each call, in the order of the calls.
    pub fn set_decide(&self, decide: impl FnMut(&Call) -> Option<Plan> + Send + 'static) {
        *locked(&self.decide) = Some(Box::new(decide));
    }

    /// Adds a fault.
    pub fn add(&self, when: When, fault: Fault) {
        self.faults.add(when, fault);
    }

    /// The calls so far, in the order in which they began.
    pub fn calls(&self) -> Vec<Call> {
        locked(&self.calls).clone()
    }

    /// How many calls of a kind were made.
    pub fn count(&self, operation: Operation) -> usize {
        locked(&self.calls).iter().filter(|call| call.operation == operation).count()
    }

    /// Forgets the calls so far. Numbers start again.
    pub fn clear_calls(&self) {
        locked(&self.calls).clear();
    }

    /// Ends when a call hangs as scripted; each that does ends one wait.
    pub async fn hung(&self) {
        self.hangs.notified().await;
    }

    pub(crate) async fn hang<T>(&self) -> T {
        self.hangs.notify_one();
        std::future::pending().await
    }

    pub(crate) fn begin(&self, at: Time, operation: Operation, subject: &str) -> (usize, Plan) {
        let call = {
            let mut calls = locked(&self.calls);
            let call = Call {
                number: calls.len(),
                at,
                operation,
                subject: subject.to_owned(),
                outcome: Outcome::Running,
            };
            calls.push(call.clone());
            call
        };
        let decided = locked(&self.decide).as_mut().and_then(|decide| decide(&call));
        let plan = decided.unwrap_or_else(|| {
            let latency = *locked(&self.latency);
            Plan {
                before: latency / 2,
                after: latency - latency / 2,
                fault: self.faults.take(Some(operation), subject),
            }
        });
        (call.number, plan)
    }

    pub(crate) fn end(&self, number: usize, outcome: Outcome) {
        if let Some(call) = locked(&self.calls).get_mut(number) {
            call.outcome = outcome;
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
