//! Shared by all services: from a request to its hosts, and from the work on them to the response
//! stream.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{Stream, StreamExt};
use prost::Message;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};
use uuid::Uuid;
use wharf::fanout::FanoutResponse;
use wharf::v1;

use super::answer::{Answer, Part};
use super::audit::Subject;
use super::auth::Principal;
use super::convert;
use super::deadline::work_deadline;
use super::methods::{Method, Methods};
use super::operations::{Identified, Operations, Resumed};
use super::problem::Problem;
use super::requests::{FanoutRequest, WriteRequest};
use crate::domain::{Host, HostName};
use crate::fleet::fanout::{self, FanoutOptions, HostCall};
use crate::fleet::inventory::{Inventory, Snapshot};
use crate::fleet::pool::EnginePool;
use crate::fleet::select::{self, Selection};
use crate::fleet::{Done, HostError};
use crate::store::Store;

/// The answer of a fan-out.
pub type ResponseStream<R> = Pin<Box<dyn Stream<Item = Result<R, Status>> + Send>>;

/// Maximum time that work continues after its caller stopped waiting. Engines that hang longer do
/// not recover; a stop with a longer grace period is an exception.
const BACKGROUND_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Hosts that a line of the log names.
const MOST_NAMES: usize = 10;

/// The same for pulls and pushes, which watch for standstill themselves.
pub const TRANSFER_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Shared by all services.
#[derive(Debug)]
pub struct Edge {
    /// The hosts.
    pub inventory: Inventory,
    /// Their Engines.
    pub pool: Arc<EnginePool>,
    /// Persistent state.
    pub store: Store,
    /// Work that continues without its caller.
    pub background: TaskTracker,
    /// Cancelled when the server stops.
    pub stopping: CancellationToken,
    /// Default number of hosts at the same time.
    pub default_max_parallel: usize,
    /// When the process started.
    pub started_at: SystemTime,
    methods: Methods,
    operations: Operations,
}

/// A checked fan-out, ready to start.
#[derive(Debug)]
pub struct FanoutCall {
    path: &'static str,
    method: Method,
    principal: Principal,
    subject: Subject,
    selection: Selection,
    options: FanoutOptions,
    allow_partial: bool,
    operation_id: Uuid,
    /// Set if the request has an ID.
    write: Option<Identified>,
}

impl Edge {
    /// Puts the shared parts together.
    pub fn new(
        inventory: Inventory,
        pool: Arc<EnginePool>,
        store: Store,
        default_max_parallel: usize,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            inventory,
            pool,
            operations: Operations::new(store.clone()),
            store,
            background: TaskTracker::new(),
            stopping,
            default_max_parallel,
            started_at: SystemTime::now(),
            methods: Methods::load(),
        }
    }

    /// Checks the hosts and the limits of a call. Contacts no host.
    ///
    /// `default_timeout` is that of the method for one host; `None` is none.
    pub fn accept<T: FanoutRequest>(
        &self,
        path: &'static str,
        request: &Request<T>,
        default_timeout: Option<Duration>,
    ) -> Result<FanoutCall, Problem> {
        let message = request.get_ref();
        let method = self.method(path)?;
        let settings = convert::fanout_options(message.fanout())?;
        let request_id = convert::request_id(message.request_id())?;
        let selection = convert::selection(message.targets())?;
        let options = FanoutOptions {
            host_timeout: settings.host_timeout.or(default_timeout),
            caller_deadline: work_deadline(request.metadata(), Instant::now()),
            max_parallel: settings.max_parallel.unwrap_or(self.default_max_parallel),
            detached: method.mutates,
            background_limit: BACKGROUND_LIMIT,
        };
        let principal = Principal::of(request);
        Ok(FanoutCall {
            path,
            method,
            subject: Subject::of(request),
            selection,
            options,
            allow_partial: settings.allow_partial.unwrap_or(!method.mutates),
            operation_id: Uuid::new_v4(),
            write: request_id.map(|id| Identified {
                id,
                principal: principal.clone(),
                path,
                request_sha256: self.operations.digest(path, message),
                repeatable: method.repeatable,
            }),
            principal,
        })
    }

    /// Does a write that is not about hosts. It continues if the caller disconnects, and with a
    /// request ID it is done once: `work` learns whether an earlier attempt may already have done
    /// it.
    pub async fn once<T, R, F>(
        &self,
        path: &'static str,
        principal: Principal,
        message: &T,
        work: impl FnOnce(bool) -> F + Send + 'static,
    ) -> Result<R, Problem>
    where
        T: WriteRequest,
        R: Message + Default + 'static,
        F: Future<Output = Result<R, Problem>> + Send + 'static,
    {
        let repeatable = self.method(path)?.repeatable;
        let request_id = convert::request_id(message.request_id())?;
        let write = request_id.map(|id| {
            let request_sha256 = self.operations.digest(path, message);
            Identified { id, principal, path, request_sha256, repeatable }
        });
        let operations = self.operations.clone();
        let done = self.background.spawn(async move {
            match write {
                Some(write) => operations.once(write, work).await,
                None => work(false).await,
            }
        });
        done.await.map_err(|error| Problem::internal(&error))?
    }

    fn method(&self, path: &str) -> Result<Method, Problem> {
        self.methods.get(path).ok_or_else(|| {
            Problem::invalid_field("method", format!("{path} is not in the contract"))
        })
    }

    /// The hosts of a selection, sorted by name.
    pub fn select(&self, targets: Option<&v1::HostSelector>) -> Result<Vec<Arc<Host>>, Problem> {
        choose(&convert::selection(targets)?, &self.inventory.snapshot())
    }

    /// Does `work` on every host of the call and returns the stream with the envelope.
    pub async fn run<R, W, F>(
        &self,
        call: FanoutCall,
        work: W,
    ) -> Result<Response<ResponseStream<R>>, Status>
    where
        R: FanoutResponse,
        R::Event: Clone + Sync,
        W: Fn(HostCall<R::Event>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Done, HostError>> + Send + 'static,
    {
        let snapshot = self.inventory.snapshot();
        let select = || choose(&call.selection, &snapshot);
        let resumed = match &call.write {
            Some(write) => self.operations.resume::<R>(write, &snapshot, select).await?,
            None => Resumed::fresh(select()?),
        };
        let Resumed { recorder, names, recorded, hosts } = resumed;
        call.log(&names);
        let answer = call.answer(names);
        let work = move |call: HostCall<R::Event>| {
            let recorder = recorder.clone();
            match recorder {
                Some(recorder) => {
                    let (call, recorder) = recorder.for_host::<R>(call);
                    let work = work(call);
                    futures_util::future::Either::Left(recorder.record(work))
                }
                None => futures_util::future::Either::Right(work(call)),
            }
        };
        let live =
            fanout::start(hosts, call.options, Arc::clone(&self.pool), &self.background, work);
        let parts = futures_util::stream::iter(recorded.into_iter().map(Part::Recorded))
            .chain(ReceiverStream::new(live).map(Part::Live))
            .boxed();
        Ok(Response::new(Box::pin(answer.stream(parts, self.stopping.clone()))))
    }
}

fn choose(selection: &Selection, snapshot: &Snapshot) -> Result<Vec<Arc<Host>>, Problem> {
    select::select(selection, snapshot).map_err(|error| convert::select_problem(&error))
}

/// The first of many names, and the number of others.
pub fn some(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(MOST_NAMES);
    let list = names.take(MOST_NAMES).collect::<Vec<_>>().join(",");
    if more == 0 { list } else { format!("{list},+{more}") }
}

impl FanoutCall {
    /// Work in progress stops if the caller disconnects.
    #[must_use]
    pub fn cancelled_with_caller(mut self, cancelled: bool) -> Self {
        self.options.detached &= !cancelled;
        self
    }

    /// Maximum time that work continues without a caller.
    #[must_use]
    pub fn background_limit(mut self, limit: Duration) -> Self {
        self.options.background_limit = limit;
        self
    }

    fn answer(&self, hosts: Vec<HostName>) -> Answer {
        Answer {
            hosts,
            operation_id: self.operation_id.to_string(),
            allow_partial: self.allow_partial,
            mutates: self.method.mutates,
        }
    }

    fn log(&self, names: &[HostName]) {
        let (method, hosts, operation) = (self.path, names.len(), self.operation_id);
        let list = some(names.iter().map(ToString::to_string));
        self.subject.say(format_args!("hosts={list} operation={operation}"));
        let principal = &self.principal;
        if self.method.mutates {
            tracing::info!(%method, hosts, %operation, %principal, "call");
        } else {
            tracing::debug!(%method, hosts, %operation, %principal, "call");
        }
    }
}
