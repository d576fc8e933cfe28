//! Retries of writes that do nothing twice.
//!
//! A write that brings a `request_id` is recorded: before its work begins, and with everything
//! that was said when it ends; a write on hosts host by host. The same request again is answered
//! from the record where something was done, or may have been; everything else is worked on now
//! ([`super::replay`] has the rule). Where the server died in the middle of a host's work, the
//! work is repeated if the contract says that this does no harm, else the caller hears that the
//! result is not known.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prost::Message;
use tonic::Code;
use uuid::Uuid;
use wharf::fanout::{Envelope, FanoutResponse};
use wharf::v1;

use super::answer::outcome_message;
use super::auth::Principal;
use super::claims::{Claims, reused};
use super::problem::Problem;
use super::replay::{self, Standing};
use super::response_recorder::{Recorder, read_responses};
use super::table::store_problem;
use crate::domain::{Host, HostName};
use crate::fleet::inventory::Snapshot;
use crate::fleet::{HostError, HostOutcome};
use crate::store::{Begun, HostProgress, NewOperation, Store, StoredOperation};

/// How long a request ID is remembered.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

/// The row of what the call itself said, beside those of its hosts, whose names are never empty:
/// which hosts it is for, or the whole answer of a write that is not about hosts.
const CALL: &str = "";

/// The record of writes. Clones share it.
#[derive(Debug, Clone)]
pub struct Operations {
    store: Store,
    /// Those that this process works on.
    claims: Claims,
}

/// A write with a request ID.
#[derive(Debug, Clone)]
pub struct Identified {
    /// The caller's.
    pub id: Uuid,
    /// Who calls.
    pub principal: Principal,
    /// The method, such as `/wharf.v1.ContainerService/StopContainers`.
    pub path: &'static str,
    /// Of the request, as [`Operations::digest`] makes it.
    pub request_sha256: [u8; 32],
    /// Whether doing it twice does no harm.
    pub repeatable: bool,
}

/// Where a call stands after its record was read.
#[derive(Debug)]
pub struct Resumed<R> {
    /// Takes down what happens now; `None` for a call without request ID.
    pub recorder: Option<Arc<Recorder>>,
    /// All hosts of the call, sorted by name.
    pub names: Vec<HostName>,
    /// What hosts said before.
    pub recorded: Vec<R>,
    /// The hosts that are still to be worked on.
    pub hosts: Vec<Arc<Host>>,
}

impl<R> Resumed<R> {
    /// A call that has no record.
    pub fn fresh(hosts: Vec<Arc<Host>>) -> Self {
        let names = hosts.iter().map(|host| host.name.clone()).collect();
        Self { recorder: None, names, recorded: Vec::new(), hosts }
    }
}

impl Operations {
    /// Keeps its record in `store`.
    pub fn new(store: Store) -> Self {
        Self { store, claims: Claims::default() }
    }

    /// Identifies the content of a request. Needs the server's key to be made, so that nobody who
    /// reads the database can try out passwords on it.
    pub fn digest(&self, path: &str, message: &impl Message) -> [u8; 32] {
        self.store.fingerprint(&[path.as_bytes(), &message.encode_to_vec()])
    }

    /// Reads the record of a write on hosts, or begins one. `select` chooses the hosts of a write
    /// that was not recorded before; a repetition is for the hosts of the first call.
    pub async fn resume<R: FanoutResponse>(
        &self,
        write: &Identified,
        snapshot: &Snapshot,
        select: impl FnOnce() -> Result<Vec<Arc<Host>>, Problem> + Send,
    ) -> Result<Resumed<R>, Problem> {
        let claim = self.claims.claim(write.id).await?;
        let earlier = self.earlier(write).await?;
        let names = earlier.as_ref().and_then(hosts_of);
        let first = names.is_none();
        let names = match names {
            Some(names) => names,
            None => select()?.iter().map(|host| host.name.clone()).collect(),
        };
        let earlier = self.begin(write, earlier).await?;
        if first {
            let hosts = names.iter().map(ToString::to_string).collect();
            let started = v1::FanoutStarted { hosts, ..Default::default() };
            self.done(write, &started).await?;
        }
        let recorder = Recorder::new(self.store.clone(), write.id, claim);
        let (mut recorded, mut hosts) = (Vec::new(), Vec::new());
        for name in &names {
            let progress = earlier.as_ref().and_then(|it| it.hosts.get(name.as_str()));
            match standing::<R>(progress, write.repeatable)? {
                Stand::Recorded(said) => recorded.extend(said.into_iter().map(replay::mark)),
                Stand::Unknown => recorded.push(failed(name, HostError::EarlierResultUnknown)),
                Stand::Work(said) => match snapshot.get(name) {
                    Some(host) => {
                        if let Some(said) = said {
                            recorder.keep(name.clone(), said);
                        }
                        hosts.push(Arc::clone(host));
                    }
                    None => recorded.push(failed(name, HostError::Removed)),
                },
            }
        }
        Ok(Resumed { recorder: Some(Arc::new(recorder)), names, recorded, hosts })
    }

    /// Does a write that is not about hosts, once under its ID. `work` is told whether an earlier
    /// try may have done it already, because the server died in the middle of it.
    pub async fn once<R, F>(
        &self,
        write: Identified,
        work: impl FnOnce(bool) -> F,
    ) -> Result<R, Problem>
    where
        R: Message + Default,
        F: Future<Output = Result<R, Problem>>,
    {
        let _claim = self.claims.claim(write.id).await?;
        let earlier = self.earlier(&write).await?;
        let earlier = self.begin(&write, earlier).await?;
        let again = match earlier.as_ref().and_then(|earlier| earlier.hosts.get(CALL)) {
            Some(HostProgress::Done(said)) => {
                return R::decode(said.as_slice()).map_err(|error| Problem::internal(&error));
            }
            Some(HostProgress::Begun) => true,
            None => false,
        };
        let request_id = write.id.to_string();
        let begun = self.store.operation_host_begun(&request_id, CALL).await;
        begun.map_err(|error| store_problem(&error))?;
        let result = work(again).await;
        match &result {
            // What was done is done; a repetition finds it begun and not ended.
            Ok(answer) => drop(self.done(&write, answer).await),
            // A bug may show after the effect.
            Err(problem) if again || problem.code == Code::Internal => {}
            Err(_) => {
                let forgotten = self.store.operation_host_untouched(&request_id, CALL).await;
                drop(forgotten.map_err(|error| store_problem(&error)));
            }
        }
        result
    }

    /// What is recorded under the ID of a write.
    async fn earlier(&self, write: &Identified) -> Result<Option<StoredOperation>, Problem> {
        let failed = |error| store_problem(&error);
        if let Some(before) = SystemTime::now().checked_sub(KEPT_FOR) {
            self.store.prune_operations(before).await.map_err(failed)?;
        }
        let earlier = self.store.operation(&write.id.to_string()).await.map_err(failed)?;
        match earlier {
            Some(earlier)
                if earlier.principal != write.principal.to_string()
                    || earlier.method != write.path
                    || earlier.request_sha256 != write.request_sha256 =>
            {
                Err(reused(write.id))
            }
            earlier => Ok(earlier),
        }
    }

    /// Records a write that was not recorded before, and gives what is recorded of it.
    async fn begin(
        &self,
        write: &Identified,
        earlier: Option<StoredOperation>,
    ) -> Result<Option<StoredOperation>, Problem> {
        if earlier.is_some() {
            return Ok(earlier);
        }
        let (request_id, principal) = (write.id.to_string(), write.principal.to_string());
        let new = NewOperation {
            request_id: &request_id,
            principal: &principal,
            method: write.path,
            request_sha256: write.request_sha256,
        };
        let begun = self.store.begin_operation(new, SystemTime::now()).await;
        match begun.map_err(|error| store_problem(&error))? {
            Begun::New => Ok(None),
            Begun::Again(earlier) => Ok(Some(earlier)),
            Begun::Different => Err(reused(write.id)),
        }
    }

    /// Records what the call itself said.
    async fn done(&self, write: &Identified, said: &impl Message) -> Result<(), Problem> {
        let (id, said) = (write.id.to_string(), said.encode_to_vec());
        let done = self.store.operation_host_done(&id, CALL, &said).await;
        done.map_err(|error| store_problem(&error))
    }
}

/// What becomes of a host in a repetition.
enum Stand<R> {
    /// It is told what the host said.
    Recorded(Vec<R>),
    /// The server died in the middle of work that must not be repeated.
    Unknown,
    /// It is worked on; with what it said, where something of that stands.
    Work(Option<Vec<u8>>),
}

fn standing<R: FanoutResponse>(
    progress: Option<&HostProgress>,
    repeatable: bool,
) -> Result<Stand<R>, Problem> {
    let said = match progress {
        Some(HostProgress::Done(said)) => said,
        Some(HostProgress::Begun) if !repeatable => return Ok(Stand::Unknown),
        Some(HostProgress::Begun) | None => return Ok(Stand::Work(None)),
    };
    let mut messages = read_responses::<R>(said).map_err(|error| Problem::internal(&error))?;
    let Some(last) = messages.pop() else { return Ok(Stand::Work(None)) };
    let (host, envelope) = last.into_envelope();
    let standing = match &envelope {
        Some(Envelope::Outcome(outcome)) => replay::of_outcome(outcome),
        // Written by a later version, which knows better.
        _ => Standing::Stands,
    };
    Ok(match standing {
        Standing::Stands => {
            messages.extend(envelope.map(|envelope| R::from_envelope(host, envelope)));
            Stand::Recorded(messages)
        }
        Standing::Again => Stand::Work(None),
        Standing::ByItem => Stand::Work(Some(said.clone())),
    })
}

/// The hosts of the first call; `None` where it ended before it had chosen them.
fn hosts_of(earlier: &StoredOperation) -> Option<Vec<HostName>> {
    let Some(HostProgress::Done(said)) = earlier.hosts.get(CALL) else { return None };
    let started = v1::FanoutStarted::decode(said.as_slice()).ok()?;
    let names = started.hosts.iter().map(|name| HostName::parse(name));
    names.collect::<Result<_, _>>().ok()
}

/// The outcome of a host that is not worked on.
fn failed<R: FanoutResponse>(host: &HostName, error: HostError) -> R {
    let outcome = HostOutcome { result: Err(error), elapsed: Duration::ZERO };
    R::from_envelope(host.to_string(), Envelope::Outcome(outcome_message(host, &outcome)))
}

#[cfg(test)]
mod tests;
