//! Makes retries of writes safe: nothing is done twice.
//!
//! A write with a `request_id` is recorded: before its work starts, and with all messages when it
//! ends; for a write on hosts, host by host. A retry gets the recorded result for work that was
//! done or may have been done; everything else is done now ([`super::replay`] has the rule). If the
//! server died during a host's work, the work is repeated if the contract allows it; otherwise, the
//! caller gets RESULT_UNKNOWN.

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

/// The row of the call itself, beside those of its hosts, whose names are never empty: the hosts of
/// the call, or the complete response of a write that is not about hosts.
const CALL: &str = "";

/// The record of writes. Clones share it.
#[derive(Debug, Clone)]
pub struct Operations {
    store: Store,
    /// IDs in use in this process.
    claims: Claims,
}

/// A write with a request ID.
#[derive(Debug, Clone)]
pub struct Identified {
    /// The caller's.
    pub id: Uuid,
    /// The caller.
    pub principal: Principal,
    /// The method, such as `/wharf.v1.ContainerService/StopContainers`.
    pub path: &'static str,
    /// Digest of the request, from [`Operations::digest`].
    pub request_sha256: [u8; 32],
    /// Whether doing it twice is harmless.
    pub repeatable: bool,
}

/// State of a call after its record was read.
#[derive(Debug)]
pub struct Resumed {
    /// Records what happens now; `None` for a call without request ID.
    pub recorder: Option<Arc<Recorder>>,
    /// All hosts of the call, sorted by name.
    pub names: Vec<HostName>,
    /// The hosts that are still to be worked on.
    pub hosts: Vec<Arc<Host>>,
}

impl Resumed {
    /// A call that has no record.
    pub fn fresh(hosts: Vec<Arc<Host>>) -> Self {
        let names = hosts.iter().map(|host| host.name.clone()).collect();
        Self { recorder: None, names, hosts }
    }
}

/// The recorded messages of a call, as responses of its method.
pub trait Recorded: Send {
    /// Takes what is recorded of a host, and decides what a retry does for it.
    fn take(&mut self, progress: Option<&HostProgress>, repeatable: bool)
    -> Result<Stand, Problem>;
    /// Adds the outcome of a host that is not worked on.
    fn add_failure(&mut self, host: &HostName, error: HostError);
}

impl Operations {
    /// Stores records in `store`.
    pub fn new(store: Store) -> Self {
        Self { store, claims: Claims::default() }
    }

    /// Identifies the content of a request. Requires the server's key, so that the database alone
    /// does not allow guessing passwords.
    pub fn digest(&self, path: &str, message: &impl Message) -> [u8; 32] {
        self.store.fingerprint(&[path.as_bytes(), &message.encode_to_vec()])
    }

    /// Reads the record of a write on hosts, or starts one. `select` selects the hosts of a new
    /// write; a retry uses the hosts of the first call. Recorded messages go to `recorded`.
    pub async fn resume(
        &self,
        write: &Identified,
        snapshot: &Snapshot,
        select: &mut (dyn FnMut() -> Result<Vec<Arc<Host>>, Problem> + Send),
        recorded: &mut dyn Recorded,
    ) -> Result<Resumed, Problem> {
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
        let mut hosts = Vec::new();
        for name in &names {
            let progress = earlier.as_ref().and_then(|it| it.hosts.get(name.as_str()));
            match recorded.take(progress, write.repeatable)? {
                Stand::Recorded => {}
                Stand::Unknown => recorded.add_failure(name, HostError::EarlierResultUnknown),
                Stand::Work(said) => match snapshot.get(name) {
                    Some(host) => {
                        if let Some(said) = said {
                            recorder.keep(name.clone(), said);
                        }
                        hosts.push(Arc::clone(host));
                    }
                    None => recorded.add_failure(name, HostError::Removed),
                },
            }
        }
        Ok(Resumed { recorder: Some(Arc::new(recorder)), names, hosts })
    }

    /// Does a write that is not about hosts, once under its ID. `work` learns whether an earlier
    /// attempt may already have done it, because the server died during it.
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
            // The work is done; a retry finds it started but not ended.
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

    /// The record under the ID of a write.
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

    /// Records the messages of the call itself.
    async fn done(&self, write: &Identified, said: &impl Message) -> Result<(), Problem> {
        let (id, said) = (write.id.to_string(), said.encode_to_vec());
        let done = self.store.operation_host_done(&id, CALL, &said).await;
        done.map_err(|error| store_problem(&error))
    }
}

/// What a retry does for a host.
#[derive(Debug)]
pub enum Stand {
    /// Repeats the recorded messages.
    Recorded,
    /// The server died in the middle of work that must not be repeated.
    Unknown,
    /// Does the work, with the recorded messages that are still valid.
    Work(Option<Vec<u8>>),
}

impl<R: FanoutResponse> Recorded for Vec<R> {
    fn take(
        &mut self,
        progress: Option<&HostProgress>,
        repeatable: bool,
    ) -> Result<Stand, Problem> {
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
            // Written by a later version, which decides.
            _ => Standing::Stands,
        };
        Ok(match standing {
            Standing::Stands => {
                messages.extend(envelope.map(|envelope| R::from_envelope(host, envelope)));
                self.extend(messages.into_iter().map(replay::mark));
                Stand::Recorded
            }
            Standing::Again => Stand::Work(None),
            Standing::ByItem => Stand::Work(Some(said.clone())),
        })
    }

    fn add_failure(&mut self, host: &HostName, error: HostError) {
        let outcome = HostOutcome { result: Err(error), elapsed: Duration::ZERO, view: None };
        let envelope = Envelope::Outcome(outcome_message(host, &outcome));
        self.push(R::from_envelope(host.to_string(), envelope));
    }
}

/// The hosts of the first call; `None` if it ended before it selected them.
fn hosts_of(earlier: &StoredOperation) -> Option<Vec<HostName>> {
    let Some(HostProgress::Done(said)) = earlier.hosts.get(CALL) else { return None };
    let started = v1::FanoutStarted::decode(said.as_slice()).ok()?;
    let names = started.hosts.iter().map(|name| HostName::parse(name));
    names.collect::<Result<_, _>>().ok()
}

#[cfg(test)]
mod tests;
