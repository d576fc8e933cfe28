//! Records the messages of the hosts of a call, so that a retry can repeat them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use prost::Message;
use tokio::time::Instant;
use uuid::Uuid;
use wharf::fanout::{Envelope, FanoutResponse};
use wharf::v1;

use super::answer::outcome_message;
use super::claims::Claim;
use crate::domain::HostName;
use crate::fleet::fanout::HostCall;
use crate::fleet::{Done, HostError, HostOutcome};
use crate::store::Store;

/// Records the messages of the hosts of one call.
#[derive(Debug)]
pub struct Recorder {
    store: Store,
    request_id: String,
    /// Messages of hosts that are worked on again, if some of them are still valid.
    earlier: Mutex<HashMap<HostName, Vec<u8>>>,
    /// Lives as long as the work.
    _claim: Claim,
}

/// Records the messages of one host.
pub struct ResponseRecorder {
    recorder: Arc<Recorder>,
    host: HostName,
    said: Arc<Mutex<Vec<u8>>>,
    /// Adds an outcome of the host as a response of the method.
    write_outcome: fn(&Mutex<Vec<u8>>, &HostName, v1::HostOutcome),
}

impl Recorder {
    /// Records the messages under `id`.
    pub fn new(store: Store, id: Uuid, claim: Claim) -> Self {
        let request_id = id.to_string();
        Self { store, request_id, earlier: Mutex::default(), _claim: claim }
    }

    /// Keeps the valid messages of a host before it is worked on again.
    pub fn keep(&self, host: HostName, said: Vec<u8>) {
        self.earlier().insert(host, said);
    }

    fn earlier(&self) -> MutexGuard<'_, HashMap<HostName, Vec<u8>>> {
        self.earlier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `call` record its messages.
    pub fn for_host<R: FanoutResponse>(
        self: &Arc<Self>,
        call: HostCall<R::Event>,
    ) -> (HostCall<R::Event>, ResponseRecorder)
    where
        R::Event: Clone,
    {
        let host = call.host_name().clone();
        let earlier = self.earlier().remove(&host).unwrap_or_default();
        // Read without an error before.
        let earlier = read_responses::<R>(&earlier).unwrap_or_default();
        let earlier = earlier.into_iter().filter_map(|message| match message.into_envelope() {
            (_, Some(Envelope::Payload(event))) => Some(event),
            _ => None,
        });
        let call = call.with_earlier(earlier.collect());
        let said = Arc::new(Mutex::new(Vec::new()));
        let (name, recorder) = (host.to_string(), Arc::clone(&said));
        let call = call.with_observer(move |event: &R::Event| {
            let envelope = Envelope::Payload(event.clone());
            write_responses(&recorder, &R::from_envelope(name.clone(), envelope));
        });
        let (recorder, write_outcome) = (Arc::clone(self), write_outcome::<R>);
        (call, ResponseRecorder { recorder, host, said, write_outcome })
    }
}

impl ResponseRecorder {
    /// Records the start of `work`, does it, and records its end.
    pub async fn record(
        self,
        work: BoxFuture<'static, Result<Done, HostError>>,
    ) -> Result<Done, HostError> {
        let Recorder { store, request_id, .. } = &*self.recorder;
        let host = self.host.as_str();
        store.operation_host_begun(request_id, host).await.map_err(|error| {
            tracing::error!(%error, host, "cannot record a request");
            HostError::NotRecorded(error)
        })?;
        let started = Instant::now();
        let outcome = HostOutcome { result: work.await, elapsed: started.elapsed(), view: None };
        (self.write_outcome)(&self.said, &self.host, outcome_message(&self.host, &outcome));
        let said = std::mem::take(&mut *self.said.lock().unwrap_or_else(PoisonError::into_inner));
        if let Err(error) = store.operation_host_done(request_id, host, &said).await {
            // The work is done; a retry will find it started but not ended.
            tracing::error!(%error, host, "cannot record the end of a request");
        }
        outcome.result
    }
}

fn write_outcome<R: FanoutResponse>(
    recorder: &Mutex<Vec<u8>>,
    host: &HostName,
    outcome: v1::HostOutcome,
) {
    write_responses(recorder, &R::from_envelope(host.to_string(), Envelope::Outcome(outcome)));
}

fn write_responses(recorder: &Mutex<Vec<u8>>, message: &impl Message) {
    let mut recorder = recorder.lock().unwrap_or_else(PoisonError::into_inner);
    // Fails only if the vector cannot grow, which does not happen.
    let _ = message.encode_length_delimited(&mut *recorder);
}

/// The messages of a host, from the first to its outcome.
pub fn read_responses<R: FanoutResponse>(mut said: &[u8]) -> Result<Vec<R>, prost::DecodeError> {
    let mut messages = Vec::new();
    while !said.is_empty() {
        messages.push(R::decode_length_delimited(&mut said)?);
    }
    Ok(messages)
}
