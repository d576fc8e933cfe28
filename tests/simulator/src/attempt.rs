//! A call to the in-process Engine, with the effects of latency, faults, and crashes.

use serde_json::Value;
use tokio::time::sleep;
use wharf_server::engine::{
    ApiVersion, CLIENT_MAX, EngineDocument, EngineError, ErrorKind, Result,
};

use crate::engine::SimEngine;
use crate::host::PowerState;
use crate::model::{Model, Refusal, Time};
use crate::operation::Operation;
use crate::script::{Fault, Outcome, Plan, Script};

impl SimEngine {
    /// Makes a call: latency, faults and crashes around what `effect` does.
    pub(crate) async fn call<T>(
        &self,
        operation: Operation,
        subject: &str,
        effect: impl AsyncFnOnce(ApiVersion) -> std::result::Result<T, Refusal>,
    ) -> Result<T> {
        let call = async {
            let now = self.host().clock().now();
            let (number, plan) = self.script().begin(now, operation, subject);
            let mut guard = Guard { script: self.script(), number, outcome: Outcome::Abandoned };
            let result = self.attempt(operation, plan, effect).await;
            guard.outcome = match &result {
                Ok(_) => Outcome::Succeeded,
                Err(error) => Outcome::Failed(error.kind),
            };
            result
        };
        match self.caller() {
            Some(process) => process.carry(call).await,
            None => call.await,
        }
    }

    async fn attempt<T>(
        &self,
        operation: Operation,
        plan: Plan,
        effect: impl AsyncFnOnce(ApiVersion) -> std::result::Result<T, Refusal>,
    ) -> Result<T> {
        let lost = || Err(lost(operation));
        pause(plan.before).await;
        let power = self.host().power();
        if power.state == PowerState::Down || plan.fault == Some(Fault::Unreachable) {
            let message = "connection refused";
            return Err(EngineError::new(ErrorKind::Unreachable, operation.name(), message));
        }
        let work = async {
            if self.host().awake().await.state == PowerState::Down {
                return lost();
            }
            match &plan.fault {
                Some(Fault::Refuse(kind, status, message)) => {
                    let error = EngineError::new(*kind, operation.name(), message.clone());
                    return Err(error.with_status(*status));
                }
                Some(Fault::LoseRequest) => return lost(),
                Some(Fault::HangBefore) => return self.script().hang().await,
                Some(Fault::CrashBefore) => {
                    self.host().crash();
                    return lost();
                }
                _ => {}
            }
            let version = self.negotiate(operation)?;
            let result =
                effect(version).await.map_err(|refusal| refusal.into_error(operation.name()));
            match &plan.fault {
                Some(Fault::LoseAnswer) => return lost(),
                Some(Fault::HangAfter) => return self.script().hang().await,
                Some(Fault::CrashAfter) => {
                    self.host().crash();
                    return lost();
                }
                _ => {}
            }
            pause(plan.after).await;
            result
        };
        tokio::select! {
            biased;
            () = self.host().crashed(power) => lost(),
            result = work => result,
        }
    }

    fn negotiate(&self, operation: Operation) -> Result<ApiVersion> {
        let (min, max) = self.versions();
        let spoken = max.min(CLIENT_MAX);
        if spoken < min {
            let message =
                format!("the Engine speaks {min} and above, and this client {CLIENT_MAX}");
            return Err(EngineError::new(ErrorKind::NoCommonApiVersion, operation.name(), message));
        }
        Ok(spoken)
    }

    /// The version that is spoken with the Engine, where there is one.
    pub(crate) fn spoken(&self) -> ApiVersion {
        self.versions().1.min(CLIENT_MAX)
    }

    fn versions(&self) -> (ApiVersion, ApiVersion) {
        self.host().versions()
    }

    /// A call that takes no time on the model.
    pub(crate) async fn at_once<T>(
        &self,
        operation: Operation,
        subject: &str,
        act: impl FnOnce(&mut Model, Time, ApiVersion) -> std::result::Result<T, Refusal>,
    ) -> Result<T> {
        self.call(operation, subject, async |version| {
            self.host().with(|model, now| act(model, now, version))
        })
        .await
    }

    pub(crate) async fn document(
        &self,
        operation: Operation,
        subject: &str,
        act: impl FnOnce(&mut Model, ApiVersion) -> std::result::Result<Value, Refusal>,
    ) -> Result<EngineDocument> {
        self.at_once(operation, subject, |model, _, version| {
            act(model, version)
                .map(|json| EngineDocument { json: json.to_string(), api_version: version })
        })
        .await
    }

    /// Refuses what the Engine is too old for: it would ignore it and do something else.
    pub(crate) fn require(
        &self,
        operation: Operation,
        since: ApiVersion,
        what: &str,
    ) -> Result<()> {
        let (_, max) = self.versions();
        if max >= since {
            return Ok(());
        }
        let message = format!("{what} requires API version {since}, but the Engine supports {max}");
        Err(EngineError::new(ErrorKind::Unsupported, operation.name(), message))
    }
}

/// Writes down how a call ended, also when its future is dropped.
struct Guard<'a> {
    script: &'a Script,
    number: usize,
    outcome: Outcome,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.script.end(self.number, self.outcome);
    }
}

fn lost(operation: Operation) -> EngineError {
    let kind = match operation {
        // As the client has it: the Engine cancels a transfer whose caller is gone.
        Operation::Pull => ErrorKind::PullFailed,
        Operation::Push => ErrorKind::PushFailed,
        Operation::LoadImages => ErrorKind::LoadFailed,
        write if write.is_write() => ErrorKind::ResultUnknown,
        _ => ErrorKind::ConnectionLost,
    };
    let error =
        EngineError::new(kind, operation.name(), "the connection broke before the response");
    match kind {
        ErrorKind::PullFailed | ErrorKind::PushFailed | ErrorKind::LoadFailed => {
            error.interrupted()
        }
        _ => error,
    }
}

/// Sleeps only where there is something to sleep: even an empty sleep lets others run first.
pub(crate) async fn pause(duration: std::time::Duration) {
    if !duration.is_zero() {
        sleep(duration).await;
    }
}
