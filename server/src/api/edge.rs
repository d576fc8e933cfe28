//! Shared by all services: from a request to its hosts, and from the work on them to the response
//! stream.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::{self, BoxFuture};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};
use uuid::Uuid;
use wharf::contract::{self, FanoutRequest};
use wharf::fanout::FanoutResponse;
use wharf::v1;

use super::answer::{Answer, Part};
use super::audit::Subject;
use super::auth::Principal;
use super::convert;
use super::deadline::work_deadline;
use super::operations::{Identified, Operations, Recorded, Resumed};
use super::problem::{Finish, Problem};
use super::response_recorder::Recorder;
use super::table::host_problem;
use crate::body::violation::Violations;
use crate::domain::{Host, HostName, Reason};
use crate::engine::{Engine, UploadSpace};
use crate::fleet::fanout::{self, FanoutOptions, HostCall};
use crate::fleet::inventory::{Inventory, Snapshot};
use crate::fleet::pool::EnginePool;
use crate::fleet::select::{self, Chosen, Selection};
use crate::fleet::trace::CallTrace;
use crate::fleet::view::View;
use crate::fleet::{Done, HostError};
use crate::store::Store;

/// The answer of a fan-out.
pub type ResponseStream<R> = Pin<Box<dyn Stream<Item = Result<R, Status>> + Send>>;

/// What the hosts of a fan-out say before their outcomes.
pub type EventOf<T> = <<T as contract::Request>::Response as FanoutResponse>::Event;

/// How a handler of a fan-out answers.
pub type Answered<T> = Result<Response<ResponseStream<<T as contract::Request>::Response>>, Status>;

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
    /// What is known of them without asking.
    pub view: View,
    /// Persistent state.
    pub store: Store,
    /// Disk space for what callers send to several hosts.
    pub uploads: UploadSpace,
    /// Work that continues without its caller.
    pub background: TaskTracker,
    /// Cancelled when the server stops.
    pub stopping: CancellationToken,
    /// Default number of hosts at the same time.
    pub default_max_parallel: usize,
    /// When the process started.
    pub started_at: SystemTime,
    operations: Operations,
}

/// A checked fan-out, ready to start. `T` is its request.
#[derive(Debug)]
pub struct FanoutCall<T> {
    request: PhantomData<fn(T)>,
    accepted: Accepted,
}

/// What is the same for the calls of all methods.
#[derive(Debug)]
struct Accepted {
    method: contract::Method,
    principal: Principal,
    subject: Subject,
    selection: Selection,
    options: FanoutOptions,
    allow_partial: bool,
    /// Whether cordoned hosts take part.
    include_cordoned: bool,
    operation_id: Uuid,
    /// Set if the request has an ID.
    write: Option<Identified>,
}

impl Edge {
    /// Puts the shared parts together.
    pub fn new(
        inventory: Inventory,
        pool: Arc<EnginePool>,
        view: View,
        store: Store,
        uploads: UploadSpace,
        default_max_parallel: usize,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            inventory,
            pool,
            view,
            operations: Operations::new(store.clone()),
            store,
            uploads,
            background: TaskTracker::new(),
            stopping,
            default_max_parallel,
            started_at: SystemTime::now(),
        }
    }

    /// Checks the hosts and the limits of a call. Contacts no host.
    ///
    /// `default_timeout` is that of the method for one host; `None` is none.
    pub fn accept<T: FanoutRequest>(
        &self,
        request: &Request<T>,
        default_timeout: Option<Duration>,
    ) -> Result<FanoutCall<T>, Problem> {
        let (message, method) = (request.get_ref(), T::METHOD);
        let settings = convert::fanout_options(message.fanout())?;
        let write = self.identified(request)?;
        let selection = convert::selection(message.targets())?;
        let options = FanoutOptions {
            host_timeout: settings.host_timeout.or(default_timeout),
            is_requested: settings.host_timeout.is_some(),
            caller_deadline: work_deadline(request.metadata(), Instant::now()),
            max_parallel: settings.max_parallel.unwrap_or(self.default_max_parallel),
            detached: method.mutates,
            try_unreachable: settings.try_unreachable || method.mutates,
            background_limit: BACKGROUND_LIMIT,
            changes: method.mutates.then(|| self.view.clone()),
            hedge_after: settings.hedge_after.filter(|_| !method.mutates),
            trace: request.extensions().get::<CallTrace>().cloned(),
        };
        let accepted = Accepted {
            method,
            subject: Subject::of(request),
            selection,
            options,
            allow_partial: settings.allow_partial.unwrap_or(!method.mutates),
            include_cordoned: settings.include_cordoned || !method.mutates,
            operation_id: Uuid::new_v4(),
            write,
            principal: Principal::of(request),
        };
        Ok(FanoutCall { request: PhantomData, accepted })
    }

    /// The write that a request is, where it has an ID.
    fn identified<T: contract::Request>(
        &self,
        request: &Request<T>,
    ) -> Result<Option<Identified>, Problem> {
        let (message, method) = (request.get_ref(), T::METHOD);
        Ok(convert::request_id(message.request_id())?.map(|id| Identified {
            id,
            principal: Principal::of(request),
            path: method.path,
            request_sha256: self.operations.digest(method.path, message),
            repeatable: method.repeatable,
        }))
    }

    /// Does a write that is not about hosts. It continues if the caller disconnects, and with a
    /// request ID it is done once: `work` learns whether an earlier attempt may already have done
    /// it.
    pub async fn once<T, F>(
        &self,
        request: &Request<T>,
        work: impl FnOnce(bool) -> F + Send + 'static,
    ) -> Result<Response<T::Response>, Status>
    where
        T: contract::Request,
        F: Future<Output = Result<T::Response, Problem>> + Send + 'static,
    {
        let write = self.identified(request)?;
        let operations = self.operations.clone();
        let done = self.background.spawn(async move {
            match write {
                Some(write) => operations.once(write, work).await,
                None => work(false).await,
            }
        });
        Ok(Response::new(done.await.map_err(|error| Problem::internal(&error))??))
    }

    /// The hosts of a selection, sorted by name.
    pub fn select(&self, targets: Option<&v1::HostSelector>) -> Result<Vec<Arc<Host>>, Problem> {
        choose(&convert::selection(targets)?, &self.inventory.snapshot())
    }

    /// The hosts of a selection in a snapshot; without `must_match`, none is no error.
    pub fn chosen(
        &self,
        selection: &Selection,
        snapshot: &Snapshot,
        must_match: bool,
    ) -> Result<Vec<Arc<Host>>, Problem> {
        match choose(selection, snapshot) {
            Err(problem)
                if !must_match
                    && matches!(problem.reason, Reason::NoHostsMatched | Reason::NoHosts) =>
            {
                Ok(Vec::new())
            }
            hosts => hosts,
        }
    }

    /// The same for what changes something on the hosts: without cordoned ones.
    pub fn select_for_changes(
        &self,
        targets: Option<&v1::HostSelector>,
    ) -> Result<Chosen, Problem> {
        choose_for_changes(&convert::selection(targets)?, &self.inventory.snapshot())
    }

    /// Refuses a host that is not in the inventory.
    pub fn check_known(&self, host: &HostName) -> Result<(), Problem> {
        self.inventory.snapshot().get(host).map(drop).ok_or_else(|| unknown_host(host))
    }

    /// The Engine of one host, for calls that are about no other.
    pub fn engine(&self, host: &HostName) -> Result<Arc<dyn Engine>, Problem> {
        let snapshot = self.inventory.snapshot();
        let known = snapshot.get(host).ok_or_else(|| unknown_host(host))?;
        self.pool.engine(known).map_err(|error| host_problem(host, &error.into()))
    }

    /// Does `work` on every host that the request is for, and answers with the envelope around
    /// it. `order` is what the hosts are to do, as it was checked.
    ///
    /// Boxed like the others here: the compiler otherwise looks at all of it again in each handler.
    pub fn each_host<'a, T, O, W, F>(
        &'a self,
        request: &Request<T>,
        default_timeout: Option<Duration>,
        order: O,
        work: W,
    ) -> BoxFuture<'a, Answered<T>>
    where
        T: FanoutRequest,
        O: Send + Sync + 'static,
        W: Fn(HostCall<EventOf<T>>, Arc<O>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Done, HostError>> + Send + 'static,
    {
        match self.accept(request, default_timeout) {
            Ok(call) => self.run(call, order, work),
            Err(problem) => future::ready(Err(problem.into())).boxed(),
        }
    }

    /// The same for a call that was accepted.
    pub fn run<'a, T, O, W, F>(
        &'a self,
        call: FanoutCall<T>,
        order: O,
        work: W,
    ) -> BoxFuture<'a, Answered<T>>
    where
        T: FanoutRequest,
        O: Send + Sync + 'static,
        W: Fn(HostCall<EventOf<T>>, Arc<O>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Done, HostError>> + Send + 'static,
    {
        self.run_then(call, order, work, futures_util::stream::empty().boxed())
    }

    /// The same, and then what is said about all hosts: `closing` is read after the last outcome. Only
    /// for calls that change nothing: it is not recorded.
    pub fn run_then<'a, T, O, W, F>(
        &'a self,
        call: FanoutCall<T>,
        order: O,
        work: W,
        closing: BoxStream<'static, EventOf<T>>,
    ) -> BoxFuture<'a, Answered<T>>
    where
        T: FanoutRequest,
        O: Send + Sync + 'static,
        W: Fn(HostCall<EventOf<T>>, Arc<O>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Done, HostError>> + Send + 'static,
    {
        self.run_beside(call, order, work, |hosts| (Vec::new(), hosts), closing)
    }

    /// The same where some hosts need no work: `answer` gives their messages, which are sent first, and
    /// the other hosts. Only for calls that change nothing.
    pub fn run_beside<'a, T, O, W, F, I>(
        &'a self,
        call: FanoutCall<T>,
        order: O,
        work: W,
        answer: impl FnOnce(Vec<Arc<Host>>) -> (I, Vec<Arc<Host>>) + Send + 'a,
        closing: BoxStream<'static, EventOf<T>>,
    ) -> BoxFuture<'a, Answered<T>>
    where
        T: FanoutRequest,
        O: Send + Sync + 'static,
        W: Fn(HostCall<EventOf<T>>, Arc<O>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Done, HostError>> + Send + 'static,
        I: IntoIterator<Item = T::Response, IntoIter: Send + 'static>,
    {
        let begun = async move {
            let mut recorded = Vec::<T::Response>::new();
            let call = call.accepted;
            let (recorder, hosts, envelope) = self.begin(&call, &mut recorded).await?;
            let (known, hosts) = answer(hosts);
            let order = Arc::new(order);
            let work = move |call: HostCall<EventOf<T>>| match recorder.clone() {
                Some(recorder) => {
                    let (call, recorder) = recorder.for_host::<T::Response>(call);
                    recorder.record(work(call, Arc::clone(&order)).boxed()).boxed()
                }
                None => work(call, Arc::clone(&order)).boxed(),
            };
            let live =
                fanout::start(hosts, call.options, Arc::clone(&self.pool), &self.background, work);
            let parts = futures_util::stream::iter(recorded.into_iter().map(Part::Recorded))
                .chain(futures_util::stream::iter(known.into_iter().map(Part::Recorded)))
                .chain(ReceiverStream::new(live).map(Part::Live))
                .boxed();
            let answer: ResponseStream<T::Response> =
                Box::pin(envelope.stream(parts, closing, self.stopping.clone()));
            Ok(Response::new(answer))
        };
        begun.boxed()
    }

    /// Selects the hosts of a call, or finds those of its first attempt. Returns the recorder of a call
    /// with a request ID, the hosts to work on, and what is said around their messages; those that are
    /// recorded go to `recorded`.
    async fn begin(
        &self,
        call: &Accepted,
        recorded: &mut dyn Recorded,
    ) -> Result<(Option<Arc<Recorder>>, Vec<Arc<Host>>, Answer), Problem> {
        let snapshot = self.inventory.snapshot();
        let mut cordoned = Vec::new();
        let mut select = || {
            if call.include_cordoned {
                return choose(&call.selection, &snapshot);
            }
            let chosen = choose_for_changes(&call.selection, &snapshot)?;
            cordoned.extend(chosen.cordoned.into_iter().map(|(name, _)| name));
            Ok(chosen.hosts)
        };
        let resumed = match &call.write {
            Some(write) => self.operations.resume(write, &snapshot, &mut select, recorded).await?,
            None => Resumed::fresh(select()?),
        };
        let Resumed { recorder, names, hosts } = resumed;
        call.log(&names);
        Ok((recorder, hosts, call.answer(names, cordoned)))
    }
}

/// What a request asks for, once it is checked. `read` notes all that is wrong, and has a value
/// where nothing is.
pub fn checked<T, O>(
    request: &Request<T>,
    read: impl FnOnce(&mut Violations, &T) -> Option<O>,
) -> Result<O, Problem> {
    let mut violations = Violations::default();
    let order = read(&mut violations, request.get_ref());
    violations.finish()?;
    order.ok_or_else(|| Problem::invalid_field("request", "must be complete"))
}

fn choose(selection: &Selection, snapshot: &Snapshot) -> Result<Vec<Arc<Host>>, Problem> {
    select::select(selection, snapshot).map_err(|error| convert::select_problem(&error))
}

fn choose_for_changes(selection: &Selection, snapshot: &Snapshot) -> Result<Chosen, Problem> {
    select::select_for_changes(selection, snapshot).map_err(|error| convert::select_problem(&error))
}

/// The first of many names, and the number of others.
pub fn some(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(MOST_NAMES);
    let list = names.take(MOST_NAMES).collect::<Vec<_>>().join(",");
    if more == 0 { list } else { format!("{list},+{more}") }
}

impl<T> FanoutCall<T> {
    /// Work in progress stops if the caller disconnects.
    #[must_use]
    pub fn cancelled_with_caller(mut self, cancelled: bool) -> Self {
        self.accepted.options.detached &= !cancelled;
        self
    }

    /// Works on all hosts at the same time: for streams that do not end by themselves.
    #[must_use]
    pub fn all_at_once(mut self) -> Self {
        self.accepted.options.max_parallel = usize::MAX;
        // They say what becomes of a host that is away.
        self.accepted.options.try_unreachable = true;
        self
    }

    /// Leaves half of the caller's time for what is done after the hosts. Returns when that ends; `None`
    /// without a deadline.
    pub fn halve_time(&mut self) -> Option<Instant> {
        let end = self.accepted.options.caller_deadline?;
        let now = Instant::now();
        self.accepted.options.caller_deadline = Some(now + end.saturating_duration_since(now) / 2);
        Some(end)
    }

    /// Maximum time that work continues without a caller.
    #[must_use]
    pub fn background_limit(mut self, limit: Duration) -> Self {
        self.accepted.options.background_limit = limit;
        self
    }
}

impl Accepted {
    fn answer(&self, hosts: Vec<HostName>, cordoned: Vec<HostName>) -> Answer {
        Answer {
            hosts,
            cordoned,
            operation_id: self.operation_id.to_string(),
            allow_partial: self.allow_partial,
            mutates: self.method.mutates,
        }
    }

    fn log(&self, names: &[HostName]) {
        let (method, hosts, operation) = (self.method.path, names.len(), self.operation_id);
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

fn unknown_host(host: &HostName) -> Problem {
    let message = format!("there is no host \"{host}\"; to list hosts, run `wharf host ls`");
    Problem::new(Reason::HostNotFound, message)
}
