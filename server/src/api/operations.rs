//! Retries of writes that do nothing twice.
//!
//! A write that brings a `request_id` is recorded host by host: before its work begins, and
//! with everything the host said when it ends. The same request again is answered from the
//! record; a host that was not reached before is worked on now. Where the server died in
//! the middle of a host's work, the work is repeated if the contract says that this does no
//! harm, else the caller hears that the result is not known.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use prost::Message;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;
use wharf::fanout::{Envelope, FanoutResponse};

use super::answer::outcome_message;
use super::auth::Principal;
use super::problem::Problem;
use super::table::store_problem;
use crate::domain::{Host, HostName, Reason};
use crate::fleet::fanout::HostCall;
use crate::fleet::{Done, HostError, HostOutcome};
use crate::store::{Begun, HostProgress, NewOperation, Store};

/// How long a request ID is remembered.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

/// How long a repetition waits for the end of the first call. The caller has the last outcome a
/// moment before the work behind it is put away.
const HAND_OVER: Duration = Duration::from_millis(500);

/// The record of writes.
#[derive(Debug)]
pub struct Operations {
    store: Store,
    /// Those that this process works on, until they are cancelled: when the recorder, which
    /// lives as long as the work, is dropped.
    running: Mutex<HashMap<Uuid, CancellationToken>>,
}

/// Where a call stands after its record was read.
#[derive(Debug)]
pub struct Resumed<R> {
    /// Takes down what happens now; `None` for a call without request ID.
    pub recorder: Option<Arc<Recorder>>,
    /// What hosts said before.
    pub recorded: Vec<R>,
    /// The hosts that are still to be worked on.
    pub hosts: Vec<Arc<Host>>,
}

/// Takes down what the hosts of one call say.
#[derive(Debug)]
pub struct Recorder {
    store: Store,
    request_id: String,
    _running: DropGuard,
}

/// Takes down what one host says.
pub struct Tape<R> {
    recorder: Arc<Recorder>,
    host: HostName,
    said: Arc<Mutex<Vec<u8>>>,
    response: std::marker::PhantomData<fn() -> R>,
}

impl<R> Resumed<R> {
    /// A call that has no record.
    pub fn fresh(hosts: Vec<Arc<Host>>) -> Self {
        Self { recorder: None, recorded: Vec::new(), hosts }
    }
}

impl Operations {
    /// Keeps its record in `store`.
    pub fn new(store: Store) -> Self {
        Self { store, running: Mutex::default() }
    }

    /// Identifies the content of a request.
    pub fn digest(path: &str, message: &impl Message) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(path);
        hash.update([0]);
        hash.update(message.encode_to_vec());
        hash.finalize().into()
    }

    /// Reads the record of a request ID, or begins one.
    pub async fn resume<R: FanoutResponse>(
        &self,
        id: Uuid,
        principal: &Principal,
        path: &str,
        request_sha256: [u8; 32],
        repeatable: bool,
        hosts: Vec<Arc<Host>>,
    ) -> Result<Resumed<R>, Problem> {
        let recorder = self.claim(id).await?;
        let now = SystemTime::now();
        let failed = |error| store_problem(&error);
        if let Some(before) = now.checked_sub(KEPT_FOR) {
            self.store.prune_operations(before).await.map_err(failed)?;
        }
        let principal = principal.to_string();
        let request_id = &recorder.request_id;
        let new = NewOperation { request_id, principal: &principal, method: path, request_sha256 };
        let earlier = match self.store.begin_operation(new, now).await.map_err(failed)? {
            Begun::New => {
                return Ok(Resumed { recorder: Some(recorder), recorded: Vec::new(), hosts });
            }
            Begun::Different => return Err(reused(id)),
            Begun::Again(earlier) => earlier,
        };
        let mut resumed =
            Resumed { recorder: Some(recorder), recorded: Vec::new(), hosts: Vec::new() };
        for host in hosts {
            match earlier.hosts.get(host.name.as_str()) {
                Some(HostProgress::Done(said)) => {
                    resumed.recorded.extend(read_tape(said).map_err(|e| Problem::internal(&e))?);
                }
                Some(HostProgress::Begun) if !repeatable => {
                    let result = Err(HostError::EarlierResultUnknown);
                    let outcome = HostOutcome { result, elapsed: Duration::ZERO };
                    let outcome = Envelope::Outcome(outcome_message(&host.name, &outcome));
                    resumed.recorded.push(R::from_envelope(host.name.to_string(), outcome));
                }
                Some(HostProgress::Begun) | None => resumed.hosts.push(host),
            }
        }
        Ok(resumed)
    }

    /// One call at a time may work under a request ID.
    async fn claim(&self, id: Uuid) -> Result<Arc<Recorder>, Problem> {
        let give_up = Instant::now() + HAND_OVER;
        loop {
            let ended = match self.try_claim(id) {
                Ok(recorder) => return Ok(recorder),
                Err(ended) => ended,
            };
            if timeout_at(give_up, ended.cancelled()).await.is_err() {
                return Err(in_progress(id));
            }
        }
    }

    /// Fails with what is cancelled at the end of the call that is at work.
    fn try_claim(&self, id: Uuid) -> Result<Arc<Recorder>, CancellationToken> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, ended| !ended.is_cancelled());
        if let Some(ended) = running.get(&id) {
            return Err(ended.clone());
        }
        let ended = CancellationToken::new();
        running.insert(id, ended.clone());
        Ok(Arc::new(Recorder {
            store: self.store.clone(),
            request_id: id.to_string(),
            _running: ended.drop_guard(),
        }))
    }
}

impl Recorder {
    /// Makes `call` write what it emits on a tape.
    pub fn tape<R: FanoutResponse>(
        self: &Arc<Self>,
        call: HostCall<R::Event>,
    ) -> (HostCall<R::Event>, Tape<R>)
    where
        R::Event: Clone,
    {
        let host = call.host_name().clone();
        let said = Arc::new(Mutex::new(Vec::new()));
        let (name, tape) = (host.to_string(), Arc::clone(&said));
        let call = call.with_tap(move |event: &R::Event| {
            let envelope = Envelope::Payload(event.clone());
            write_tape(&tape, &R::from_envelope(name.clone(), envelope));
        });
        let recorder = Arc::clone(self);
        (call, Tape { recorder, host, said, response: std::marker::PhantomData })
    }
}

impl<R: FanoutResponse> Tape<R> {
    /// Does `work` between a note of its beginning and one of its end.
    pub fn record<F>(self, work: F) -> BoxFuture<'static, Result<Done, HostError>>
    where
        F: Future<Output = Result<Done, HostError>> + Send + 'static,
    {
        async move {
            let Recorder { store, request_id, .. } = &*self.recorder;
            let host = self.host.as_str();
            store.operation_host_begun(request_id, host).await.map_err(|error| {
                tracing::error!(%error, host, "cannot record a request");
                HostError::NotRecorded(error)
            })?;
            let started = Instant::now();
            let outcome = HostOutcome { result: work.await, elapsed: started.elapsed() };
            let message = Envelope::Outcome(outcome_message(&self.host, &outcome));
            write_tape(&self.said, &R::from_envelope(host.to_owned(), message));
            let said =
                std::mem::take(&mut *self.said.lock().unwrap_or_else(PoisonError::into_inner));
            if let Err(error) = store.operation_host_done(request_id, host, &said).await {
                // What was done is done; a retry will find it begun and not ended.
                tracing::error!(%error, host, "cannot record the end of a request");
            }
            outcome.result
        }
        .boxed()
    }
}

fn write_tape(tape: &Mutex<Vec<u8>>, message: &impl Message) {
    let mut tape = tape.lock().unwrap_or_else(PoisonError::into_inner);
    // Growing a vector is the only way to fail, and that does not fail.
    let _ = message.encode_length_delimited(&mut *tape);
}

fn read_tape<R: FanoutResponse>(mut said: &[u8]) -> Result<Vec<R>, prost::DecodeError> {
    let mut messages = Vec::new();
    while !said.is_empty() {
        messages.push(R::decode_length_delimited(&mut said)?);
    }
    Ok(messages)
}

fn in_progress(id: Uuid) -> Problem {
    let message = format!("the call with request ID {id} is still at work; try again");
    let mut problem = Problem::new(Reason::RequestInProgress, message);
    problem.retry_after = Some(Duration::from_secs(1));
    problem
}

fn reused(id: Uuid) -> Problem {
    Problem::new(
        Reason::RequestIdReused,
        format!("request ID {id} stands for another request; make a new one for each request"),
    )
}
