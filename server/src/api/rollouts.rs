//! `RolloutService`: rollouts as resources.
//!
//! Reads (`reads`, `watch`) use the journal; changes go to the supervisor behind [`Rollouts`].
//! `spec` and `policy` check requests; `plan`, `view`, and `trouble` create responses.

mod order;
mod plan;
mod policy;
mod reads;
mod snapshot;
pub(super) mod spec;
mod trouble;
mod view;
mod watch;

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prost::Message;
use sha2::{Digest, Sha256};
use tonic::{Request, Response, Status};
use uuid::Uuid;
use wharf::contract;
use wharf::v1;
use wharf::v1::rollout_service_server::RolloutService;

use self::order::Wanted;
use self::reads::Reads;
use self::trouble::journal_problem;
use super::audit::Subject;
use super::auth::Principal;
use super::claims::{Claim, Claims, reused};
use super::convert;
use super::edge::{Edge, ResponseStream};
use super::problem::{Finish, Problem};
use super::transfer;
use crate::body::violation::Violations;
use crate::domain::{HostName, ImageReference, RegistryLogin, quoted};
use crate::rollout::control::check_undo;
use crate::rollout::journal::{Journal, SecretKind};
use crate::rollout::model::{Control, Revision, RolloutId};
use crate::rollout::requests::{Order, RequestText, RolloutError, Rollouts, Terms, UndoOrder};
use crate::rollout::spec::{Gate, Promote, Stopped};

/// The service.
#[derive(Clone)]
pub struct RolloutApi {
    edge: Arc<Edge>,
    reads: Reads,
    rollouts: Arc<dyn Rollouts>,
    /// Request IDs under which rollouts are being planned.
    claims: Claims,
}

/// The ID of a new rollout.
enum NewId {
    /// The ID is free, and reserved while the claim lives.
    Free(RolloutId, Option<Claim>),
    /// The same request already created it.
    Made(RolloutId),
}

/// A command for an existing rollout.
struct ControlRequest {
    id: String,
    /// The revision that it must have; 0: any.
    expected: u64,
    control: Control,
    credentials: Option<v1::RegistryCredentials>,
}

impl ControlRequest {
    fn new(id: &str, expected: u64, control: Control) -> Self {
        Self { id: id.to_owned(), expected, control, credentials: None }
    }
}

impl RolloutApi {
    /// The service. `journal` is the one that `rollouts` writes to.
    pub fn new(edge: Arc<Edge>, journal: Arc<dyn Journal>, rollouts: Arc<dyn Rollouts>) -> Self {
        Self { edge, reads: Reads::new(journal), rollouts, claims: Claims::default() }
    }
}

#[tonic::async_trait]
impl RolloutService for RolloutApi {
    type WatchRolloutsStream = ResponseStream<v1::WatchRolloutsResponse>;

    async fn create_rollout(
        &self,
        request: Request<v1::CreateRolloutRequest>,
    ) -> Result<Response<v1::CreateRolloutResponse>, Status> {
        let (principal, subject) = (Principal::of(&request), Subject::of(&request));
        let mut message = request.into_inner();
        // Removed before the request is stored for retries: they end with the rollout.
        let credentials = message.credentials.take();
        let terms = order::terms(&message.expected_plan, &message.annotations)?;
        let request_id = convert::request_id(&message.request_id)?;
        // First of all: an existing rollout is valid even if its hosts are gone by now.
        let (id, claim) = match self.new_id(request_id, &message, message.validate_only).await? {
            NewId::Free(id, claim) => (id, claim),
            NewId::Made(id) => {
                let (rollout, next_page_token) = self.reads.first_page(id).await?;
                return Ok(Response::new(v1::CreateRolloutResponse {
                    rollout: Some(rollout),
                    plan: None,
                    next_page_token,
                }));
            }
        };
        let Wanted { spec, hosts, left_out, login } =
            order::wanted(&self.edge, message.spec.as_ref(), credentials.as_ref())?;
        let request = RequestText(BASE64_STANDARD.encode(message.encode_to_vec()));
        let by = principal.to_string();
        let order = Order { id, spec, hosts, left_out, login, by, request, terms };
        let answer = if message.validate_only {
            let plan = self.rollouts.plan(&order).await.map_err(trouble::problem)?;
            v1::CreateRolloutResponse {
                plan: Some(plan::bounded(&plan, &order.spec.policy)),
                ..v1::CreateRolloutResponse::default()
            }
        } else {
            let (container, hosts) = (order.spec.container.clone(), order.hosts.len());
            let rollouts = Arc::clone(&self.rollouts);
            self.begin(claim, async move { rollouts.create(order).await }).await?;
            subject.say(format_args!("rollout={id} container={container} hosts={hosts}"));
            let (rollout, next_page_token) = self.reads.first_page(id).await?;
            v1::CreateRolloutResponse { rollout: Some(rollout), plan: None, next_page_token }
        };
        Ok(Response::new(answer))
    }

    async fn plan_rollout(
        &self,
        request: Request<v1::PlanRolloutRequest>,
    ) -> Result<Response<v1::PlanRolloutResponse>, Status> {
        let by = Principal::of(&request).to_string();
        let message = request.into_inner();
        let Wanted { spec, hosts, left_out, login } =
            order::wanted(&self.edge, message.spec.as_ref(), message.credentials.as_ref())?;
        let (id, request) = (RolloutId(Uuid::new_v4()), RequestText(String::new()));
        let terms = Terms::default();
        let order = Order { id, spec, hosts, left_out, login, by, request, terms };
        let plan = self.rollouts.plan(&order).await.map_err(trouble::problem)?;
        let plan = Some(plan::bounded(&plan, &order.spec.policy));
        Ok(Response::new(v1::PlanRolloutResponse { plan }))
    }

    async fn get_rollout(
        &self,
        request: Request<v1::GetRolloutRequest>,
    ) -> Result<Response<v1::GetRolloutResponse>, Status> {
        let message = request.get_ref();
        let id = self.reads.resolve(&message.id).await?;
        let (mut rollout, next_page_token) = self.reads.page(id, &message.page_token).await?;
        if let Some(error) = self.rollouts.stuck(id) {
            rollout.reason = Some(trouble::stuck(&error));
        }
        let rollout = Some(rollout);
        Ok(Response::new(v1::GetRolloutResponse { rollout, next_page_token }))
    }

    async fn list_rollouts(
        &self,
        request: Request<v1::ListRolloutsRequest>,
    ) -> Result<Response<v1::ListRolloutsResponse>, Status> {
        Ok(Response::new(self.reads.list(request.get_ref()).await?))
    }

    async fn watch_rollouts(
        &self,
        request: Request<v1::WatchRolloutsRequest>,
    ) -> Result<Response<Self::WatchRolloutsStream>, Status> {
        let message = request.into_inner();
        let id = match message.id.as_str() {
            "" => None,
            id => Some(self.reads.view(self.reads.resolve(id).await?).await?.id()),
        };
        let pulls = message.progress.then(|| self.rollouts.pulls());
        let rollouts = Some(Arc::clone(&self.rollouts));
        let watch_request = watch::WatchRequest { id, after: message.after, pulls, rollouts };
        let journal = Arc::clone(&self.reads.journal);
        let stream = watch::stream(journal, watch_request, self.edge.stopping.clone()).await?;
        Ok(Response::new(Box::pin(stream)))
    }

    async fn pause_rollout(
        &self,
        request: Request<v1::PauseRolloutRequest>,
    ) -> Result<Response<v1::PauseRolloutResponse>, Status> {
        let message = request.get_ref();
        let asked = ControlRequest::new(&message.id, message.expected_revision, Control::Pause);
        let wrap = |rollout| v1::PauseRolloutResponse { rollout: Some(rollout) };
        self.steer(&request, asked, wrap).await
    }

    async fn resume_rollout(
        &self,
        request: Request<v1::ResumeRolloutRequest>,
    ) -> Result<Response<v1::ResumeRolloutResponse>, Status> {
        let message = request.get_ref();
        let control = Control::Resume { retry_failed: message.retry_failed };
        let asked = ControlRequest::new(&message.id, message.expected_revision, control);
        let asked = ControlRequest { credentials: message.credentials.clone(), ..asked };
        let wrap = |rollout| v1::ResumeRolloutResponse { rollout: Some(rollout) };
        self.steer(&request, asked, wrap).await
    }

    async fn abort_rollout(
        &self,
        request: Request<v1::AbortRolloutRequest>,
    ) -> Result<Response<v1::AbortRolloutResponse>, Status> {
        let message = request.get_ref();
        let asked = ControlRequest::new(&message.id, message.expected_revision, Control::Abort);
        let wrap = |rollout| v1::AbortRolloutResponse { rollout: Some(rollout) };
        self.steer(&request, asked, wrap).await
    }

    async fn promote_rollout(
        &self,
        request: Request<v1::PromoteRolloutRequest>,
    ) -> Result<Response<v1::PromoteRolloutResponse>, Status> {
        let message = request.get_ref();
        let asked = ControlRequest::new(&message.id, message.expected_revision, Control::Promote);
        let wrap = |rollout| v1::PromoteRolloutResponse { rollout: Some(rollout) };
        self.steer(&request, asked, wrap).await
    }

    async fn undo_rollout(
        &self,
        request: Request<v1::UndoRolloutRequest>,
    ) -> Result<Response<v1::UndoRolloutResponse>, Status> {
        let (principal, subject) = (Principal::of(&request), Subject::of(&request));
        let message = request.into_inner();
        let request_id = convert::request_id(&message.request_id)?;
        let terms = order::terms(&message.expected_plan, &message.annotations)?;
        let (id, claim) = match self.new_id(request_id, &message, message.validate_only).await? {
            NewId::Free(id, claim) => (id, claim),
            NewId::Made(id) => {
                let (rollout, next_page_token) = self.reads.first_page(id).await?;
                return Ok(Response::new(v1::UndoRolloutResponse {
                    rollout: Some(rollout),
                    plan: None,
                    next_page_token,
                }));
            }
        };
        let view = self.reads.view(self.reads.resolve(&message.id).await?).await?;
        let of = view.id();
        check_undo(view.phase()).map_err(RolloutError::WrongState).map_err(trouble::problem)?;
        let mut policy = view.policy().clone();
        // Waves are for a new, unverified version.
        (policy.canary, policy.batches, policy.promote) = (None, Vec::new(), Promote::Auto);
        // The previous version may have no health check; if it has one, it counts.
        if policy.gate == Gate::Docker {
            policy.gate = Gate::Auto;
        }
        // An undo is often for a version that crashed, so a container that is down must not prevent
        // it.
        if matches!(policy.stopped, Stopped::Skip | Stopped::Refuse) {
            policy.stopped = Stopped::Start;
        }
        let mut violations = Violations::default();
        if let Some(changes) = &message.policy {
            policy = policy::read(&mut violations, "policy", changes, policy);
        }
        violations.finish()?;
        policy.check("policy", view.hosts().count()).map_err(Problem::invalid)?;
        let request = RequestText(BASE64_STANDARD.encode(message.encode_to_vec()));
        let by = principal.to_string();
        let snapshot = self.edge.inventory.snapshot();
        let cordon = |host: HostName| {
            let why = snapshot.cordon_of(&host)?.to_string();
            Some((host, why))
        };
        let left_out = view.hosts().filter_map(cordon).collect();
        let order = UndoOrder { id, of, left_out, policy, by, request, terms };
        if message.validate_only {
            let plan = self.rollouts.plan_undo(&order).await.map_err(trouble::problem)?;
            return Ok(Response::new(v1::UndoRolloutResponse {
                plan: Some(plan::bounded(&plan, &order.policy)),
                ..v1::UndoRolloutResponse::default()
            }));
        }
        let rollouts = Arc::clone(&self.rollouts);
        self.begin(claim, async move { rollouts.undo(order).await }).await?;
        subject.say(format_args!("rollout={id} undo_of={of}"));
        let (rollout, next_page_token) = self.reads.first_page(id).await?;
        let rollout = Some(rollout);
        Ok(Response::new(v1::UndoRolloutResponse { rollout, plan: None, next_page_token }))
    }
}

impl RolloutApi {
    /// Credentials for the registry of the image of a rollout.
    async fn login_of(
        &self,
        id: RolloutId,
        credentials: &v1::RegistryCredentials,
    ) -> Result<Option<Arc<RegistryLogin>>, Problem> {
        let v1::Rollout { image, image_from, .. } = self.reads.view(id).await?.summary();
        if !image_from.is_empty() {
            let problem = format!("are for a registry, but the image comes from {image_from}");
            return Err(Problem::invalid_field("credentials", problem));
        }
        let Ok(image) = ImageReference::parse(&image) else {
            let problem = "are for pulling an image, but the rollout has no image";
            return Err(Problem::invalid_field("credentials", problem));
        };
        transfer::given_login(&image, Some(credentials))
    }

    /// Begins a rollout. Not in the caller's future: a caller that goes away while the plan is made
    /// does not leave it half-way, and does not give its ID free for a second beginning.
    async fn begin(
        &self,
        claim: Option<Claim>,
        work: impl Future<Output = Result<(), RolloutError>> + Send + 'static,
    ) -> Result<(), Problem> {
        let begun = self.edge.background.spawn(async move {
            let _claim = claim;
            work.await
        });
        begun.await.map_err(|error| Problem::internal(&error))?.map_err(trouble::problem)
    }

    /// Carries out the command, once.
    async fn steer<T: contract::Request>(
        &self,
        request: &Request<T>,
        control_request: ControlRequest,
        wrap: fn(v1::Rollout) -> T::Response,
    ) -> Result<Response<T::Response>, Status> {
        let (principal, subject) = (Principal::of(request), Subject::of(request));
        let ControlRequest { id, expected, control, credentials } = control_request;
        subject.say(format_args!("rollout={} {control:?}", quoted(&id)));
        let (api, by) = (self.clone(), principal.to_string());
        let work = move |again| async move {
            let id = api.reads.resolve(&id).await?;
            subject.say(format_args!("rollout={id} {control:?}"));
            let login = match &credentials {
                Some(credentials) => api.login_of(id, credentials).await?,
                None => None,
            };
            let expected = (expected > 0).then_some(Revision(expected));
            let done = api.rollouts.control(id, control, expected, &by, login).await;
            done.map_err(trouble::problem).map_err(|problem| trouble::after(again, problem))?;
            Ok(wrap(api.reads.view(id).await?.summary()))
        };
        self.edge.once(request, work).await
    }

    /// The ID of a new rollout. It is derived from the request ID, if any, so that a retry finds
    /// the rollout of the first call; `message` must then be the same.
    async fn new_id<M: Message + Default + PartialEq>(
        &self,
        request_id: Option<Uuid>,
        message: &M,
        validate_only: bool,
    ) -> Result<NewId, Problem> {
        let Some(request_id) = request_id.filter(|_| !validate_only) else {
            return Ok(NewId::Free(RolloutId(Uuid::new_v4()), None));
        };
        let claim = self.claims.claim(request_id).await?;
        let id = rollout_id(request_id);
        if self.reads.find(id).await?.is_none() {
            return Ok(NewId::Free(id, Some(claim)));
        }
        let earlier = self.reads.journal.secret(id, None, SecretKind::Request).await;
        let earlier = earlier.map_err(|error| journal_problem(&error))?;
        // Compares messages rather than bytes, which contain maps in any order.
        let earlier = earlier
            .and_then(|text| BASE64_STANDARD.decode(text).ok())
            .and_then(|bytes| M::decode(bytes.as_slice()).ok());
        if earlier.as_ref() == Some(message) {
            return Ok(NewId::Made(id));
        }
        Err(reused(request_id))
    }
}

impl fmt::Debug for RolloutApi {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RolloutApi").finish_non_exhaustive()
    }
}

/// Hashed, because callers may choose IDs that start with the time: the first digits are part of
/// container names and must differ.
fn rollout_id(request_id: Uuid) -> RolloutId {
    let hash = Sha256::new().chain_update("rollout").chain_update(request_id).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    RolloutId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

#[cfg(test)]
mod tests;
