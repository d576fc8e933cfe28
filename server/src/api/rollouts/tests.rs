//! The service over a journal in memory, with a supervisor that only writes down.

mod callers;
mod inputs;
mod large;
mod reasons;
mod retries;
mod story;
mod watching;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{FutureExt, StreamExt};
use tempfile::TempDir;
use tokio::sync::{Notify, Semaphore, broadcast};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic_types::StatusExt;
use v1::watch_rollouts_response::Event as WatchEvent;

use super::*;
use crate::api::container_form::ContainerForm;
use crate::config::FileHosts;
use crate::config::ViewOptions;
use crate::domain::{
    Annotations, Host, HostAddress, HostName, HostSource, Labels, Reason, Transport,
};
use crate::engine::{Engine, EngineError, ErrorKind, UploadSpace};
use crate::fleet::inventory::{Inventory, NewHost, NewTls, Snapshot};
use crate::fleet::pool::{Connector, EnginePool};
use crate::fleet::view::View;
use crate::memory_journal::MemoryJournal;
use crate::rollout::control::effect;
use crate::rollout::journal::{JournalError, NewRollout, NewSecret};
use crate::rollout::model::{
    Epoch, Event, HostEnd, HostEvent, Millis, PauseCause, Phase, Plan, Record, Trouble, Work,
};
use crate::rollout::requests::{PullProgress, Refusal, RolloutError};
use crate::rollout::spec::Policy;
use crate::store::{Store, StoreOptions};

/// Writes down what it is asked for and does nothing else.
struct RecordingRollouts {
    journal: MemoryJournal,
    pulls: broadcast::Sender<PullProgress>,
    /// How many plans may still become rollouts.
    planned: Arc<Semaphore>,
    /// Hears of a plan that may not.
    waits: Arc<Notify>,
    /// Whether its journal fails.
    stuck: Arc<AtomicBool>,
}

struct World {
    api: RolloutApi,
    journal: MemoryJournal,
    stopping: CancellationToken,
    planned: Arc<Semaphore>,
    waits: Arc<Notify>,
    stuck: Arc<AtomicBool>,
    _directory: TempDir,
}

struct NoEngines;

impl Connector for NoEngines {
    fn engine(&self, _host: &Host) -> Result<Arc<dyn Engine>, EngineError> {
        Err(EngineError::new(ErrorKind::Unreachable, "test", "no Engine here"))
    }

    fn keep_only(&self, _hosts: &Snapshot) {}
}

#[tonic::async_trait]
impl Rollouts for RecordingRollouts {
    async fn plan(&self, order: &Order) -> Result<Plan, RolloutError> {
        if let Some(reason) = order.spec.container.as_str().strip_prefix("refused") {
            let reason = reason.strip_prefix('.').and_then(Reason::parse);
            let refusal = |host: &Arc<Host>| Refusal {
                host: Some(host.name.clone()),
                reason: reason.unwrap_or(Reason::ImageNotFound),
                message: "the image is for arm64".to_owned(),
            };
            return Err(RolloutError::PlanRefused(order.hosts.iter().map(refusal).collect()));
        }
        if order.spec.container.as_str() == "large" {
            return Ok(large::plan("large"));
        }
        let hosts: Vec<_> = order.hosts.iter().map(|host| host.name.clone()).collect();
        Ok(story::plan(order.spec.container.as_str(), &hosts))
    }

    async fn create(&self, order: Order) -> Result<(), RolloutError> {
        let plan = self.plan(&order).await?;
        self.take_permit().await;
        let policy = order.spec.policy.clone();
        order.terms.check(&plan, &policy)?;
        let noted = order.terms.annotations;
        self.write(order.id, plan, policy, order.by, order.request, None, noted).await
    }

    async fn plan_undo(&self, order: &UndoOrder) -> Result<Plan, RolloutError> {
        let entries = self.journal.records(order.of).await?;
        let Event::Created { plan, .. } = &entries[0].record.event else { panic!("{entries:?}") };
        Ok((**plan).clone())
    }

    async fn undo(&self, order: UndoOrder) -> Result<(), RolloutError> {
        let plan = self.plan_undo(&order).await?;
        self.take_permit().await;
        order.terms.check(&plan, &order.policy)?;
        let UndoOrder { id, of, policy, by, request, terms, .. } = order;
        self.write(id, plan, policy, by, request, Some(of), terms.annotations).await
    }

    async fn control(
        &self,
        id: RolloutId,
        control: Control,
        expected: Option<Revision>,
        by: &str,
        _: Option<Arc<RegistryLogin>>,
    ) -> Result<(), RolloutError> {
        let entries = self.journal.records(id).await?;
        let actual = entries.last().expect("a rollout").revision;
        if let Some(expected) = expected.filter(|expected| *expected != actual) {
            return Err(RolloutError::RevisionChanged { expected: expected.0, actual: actual.0 });
        }
        let phases = entries.into_iter().rev().map(|entry| entry.record.event);
        let phase = phases.filter_map(|event| match event {
            Event::Phase { to, .. } => Some(to),
            _ => None,
        });
        effect(&phase.into_iter().next().unwrap_or(Phase::Pulling), control)
            .map_err(|refused| RolloutError::refused(id, refused))?;
        let event = Event::Control { control, by: by.to_owned() };
        self.journal.append(Epoch(0), id, &[Record { at: Millis(9), event }]).await?;
        Ok(())
    }

    fn stuck(&self, _: RolloutId) -> Option<Arc<JournalError>> {
        let stuck = self.stuck.load(Ordering::Relaxed);
        stuck.then(|| Arc::new(JournalError::Store("the disk is full".into())))
    }

    fn pulls(&self) -> broadcast::Receiver<PullProgress> {
        self.pulls.subscribe()
    }
}

impl RecordingRollouts {
    async fn take_permit(&self) {
        if self.planned.available_permits() == 0 {
            self.waits.notify_one();
        }
        self.planned.acquire().await.expect("open").forget();
    }

    #[expect(clippy::too_many_arguments, reason = "all that a rollout is")]
    async fn write(
        &self,
        id: RolloutId,
        plan: Plan,
        policy: Policy,
        by: String,
        request: RequestText,
        undo_of: Option<RolloutId>,
        annotations: Annotations,
    ) -> Result<(), RolloutError> {
        let created_at = Millis(1000 + self.journal.changes().borrow().0);
        let secrets = vec![NewSecret { host: None, kind: SecretKind::Request, text: request.0 }];
        let new = NewRollout {
            id,
            created_at,
            plan,
            policy,
            by,
            undo_of,
            annotations,
            secrets,
            planned_at: Revision(u64::MAX),
        };
        self.journal.create(Epoch(0), new).await?;
        Ok(())
    }
}

impl World {
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let store = store(directory.path()).await;
        let inventory = Inventory::open(store.clone(), FileHosts::default()).await.unwrap();
        for name in ["web1", "web2", "web3"] {
            let address = format!("unix:///run/{name}.sock");
            let new = NewHost {
                name: HostName::parse(name).unwrap(),
                address: HostAddress::parse(&address, Transport::Plain).unwrap(),
                labels: Labels::from_pairs([("role", "web")]).unwrap(),
                tls: NewTls::Plain,
                insecure: false,
            };
            let added = inventory.add(new, std::time::UNIX_EPOCH).await.unwrap();
            assert_eq!(added.source, HostSource::Api);
        }
        let stopping = CancellationToken::new();
        let pool = Arc::new(EnginePool::new(NoEngines));
        let uploads = UploadSpace::new("/nowhere".into(), 0);
        let off = ViewOptions { enabled: false, ..ViewOptions::default() };
        let view = View::new(off, 0, Arc::clone(&pool), ContainerForm, stopping.clone());
        let edge = Edge::new(inventory, pool, view, store, uploads, 8, stopping.clone());
        let journal = MemoryJournal::new(Uuid::from_u128(7));
        let (planned, waits) = (Arc::new(Semaphore::new(1000)), Arc::<Notify>::default());
        let stuck = Arc::new(AtomicBool::new(false));
        let rollouts = RecordingRollouts {
            journal: journal.clone(),
            pulls: broadcast::channel(8).0,
            planned: Arc::clone(&planned),
            waits: Arc::clone(&waits),
            stuck: Arc::clone(&stuck),
        };
        let api = RolloutApi::new(Arc::new(edge), Arc::new(journal.clone()), Arc::new(rollouts));
        Self { api, journal, stopping, planned, waits, stuck, _directory: directory }
    }

    async fn create(&self, message: v1::CreateRolloutRequest) -> Result<v1::Rollout, Status> {
        let answer = self.api.create_rollout(Request::new(message)).await?;
        Ok(answer.into_inner().rollout.expect("a rollout"))
    }

    async fn write(&self, id: &str, events: Vec<Event>) -> Revision {
        let id = RolloutId(id.parse().unwrap());
        let record = |event| Record { at: Millis(5000), event };
        let records: Vec<_> = events.into_iter().map(record).collect();
        self.journal.append(Epoch(0), id, &records).await.unwrap()
    }

    async fn watch(
        &self,
        id: &str,
        after: Option<v1::WatchCursor>,
    ) -> ResponseStream<v1::WatchRolloutsResponse> {
        let request = v1::WatchRolloutsRequest { id: id.to_owned(), after, progress: false };
        self.api.watch_rollouts(Request::new(request)).await.unwrap().into_inner()
    }
}

async fn store(directory: &Path) -> Store {
    let options = StoreOptions { data_dir: directory.to_owned(), secret_key_file: None };
    Store::open(&options).await.unwrap()
}

fn request(container: &str) -> v1::CreateRolloutRequest {
    v1::CreateRolloutRequest { spec: Some(inputs::spec(container)), ..Default::default() }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

fn phase(to: Phase) -> Event {
    Event::Phase { to, reason: None }
}

#[tokio::test]
async fn what_is_created_is_read_back_whole() {
    let world = World::new().await;
    let created = world.create(request("web")).await.unwrap();
    assert_eq!(created.state(), v1::RolloutState::Pulling);
    let hosts: Vec<_> = created.steps.iter().map(|step| step.host.as_str()).collect();
    assert_eq!(hosts, ["web1", "web2", "web3"]);
    let id = created.id[..8].to_owned();
    let got = world
        .api
        .get_rollout(Request::new(v1::GetRolloutRequest { id, ..Default::default() }))
        .await
        .unwrap();
    assert_eq!(got.into_inner().rollout, Some(created.clone()));
    assert_eq!(created.policy.unwrap().max_parallel, "1");
    assert_eq!(created.plan.unwrap().waves.len(), 1);
}

#[tokio::test]
async fn a_plan_alone_stores_nothing() {
    let world = World::new().await;
    let message = v1::CreateRolloutRequest { validate_only: true, ..request("web") };
    let answer = world.api.create_rollout(Request::new(message)).await.unwrap().into_inner();
    assert_eq!(answer.rollout, None);
    assert_eq!(answer.plan.unwrap().hosts.len(), 3);
    assert!(world.journal.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_refused_plan_has_a_line_for_each_reason() {
    let world = World::new().await;
    let error = world.create(request("refused")).await.unwrap_err();
    assert_eq!((error.code(), reason(&error).as_str()), (Code::FailedPrecondition, "PLAN_REFUSED"));
    assert_eq!(error.message(), "web1, web2, web3: the image is for arm64");
    let failure = error.get_details_precondition_failure().unwrap();
    let hosts: Vec<_> = failure.violations.iter().map(|it| it.subject.as_str()).collect();
    assert_eq!(hosts, ["web1", "web2", "web3"]);
    assert!(failure.violations.iter().all(|it| it.r#type == "IMAGE_NOT_FOUND"), "{failure:?}");
}

#[tokio::test]
async fn a_retry_makes_nothing_twice() {
    let world = World::new().await;
    let mut message = request("web");
    message.request_id = Uuid::from_u128(1).to_string();
    // Maps go over the wire in any order.
    let labels = (0..20).map(|number| (format!("key{number}"), number.to_string())).collect();
    let set = v1::ContainerSpec { labels, ..Default::default() };
    message.spec.as_mut().unwrap().set = Some(set);
    let first = world.create(message.clone()).await.unwrap();
    let bytes = message.encode_to_vec();
    let again = v1::CreateRolloutRequest::decode(bytes.as_slice()).unwrap();
    assert_eq!(world.create(again).await.unwrap().id, first.id);
    assert_eq!(world.journal.list().await.unwrap().len(), 1);

    message.spec.as_mut().unwrap().image = "app:v3".to_owned();
    let error = world.create(message).await.unwrap_err();
    assert_eq!(reason(&error), "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn a_second_rollout_of_the_container_hears_of_the_first() {
    let world = World::new().await;
    let first = world.create(request("web")).await.unwrap();
    let error = world.create(request("web")).await.unwrap_err();
    let info = error.get_details_error_info().unwrap();
    assert_eq!((error.code(), info.reason.as_str()), (Code::FailedPrecondition, "ROLLOUT_ACTIVE"));
    assert_eq!(info.metadata["rollout"], first.id);
    world.create(request("other")).await.unwrap();
}

#[tokio::test]
async fn steering_says_why_it_cannot() {
    let world = World::new().await;
    let rollout = world.create(request("web")).await.unwrap();
    let pause = |expected_revision| v1::PauseRolloutRequest {
        id: rollout.id.clone(),
        expected_revision,
        ..Default::default()
    };
    let error = world.api.pause_rollout(Request::new(pause(99))).await.unwrap_err();
    assert_eq!((error.code(), reason(&error).as_str()), (Code::Aborted, "REVISION_CHANGED"));
    let paused = world.api.pause_rollout(Request::new(pause(rollout.revision))).await.unwrap();
    assert!(paused.into_inner().rollout.unwrap().revision > rollout.revision);

    let promote = v1::PromoteRolloutRequest { id: rollout.id.clone(), ..Default::default() };
    let error = world.api.promote_rollout(Request::new(promote)).await.unwrap_err();
    assert_eq!(reason(&error), "ROLLOUT_STATE");
    let undo = v1::UndoRolloutRequest { id: rollout.id.clone(), ..Default::default() };
    let error = world.api.undo_rollout(Request::new(undo)).await.unwrap_err();
    assert_eq!(reason(&error), "ROLLOUT_STATE");

    world.write(&rollout.id, vec![phase(Phase::Succeeded)]).await;
    let id = rollout.id.clone();
    let resume = v1::ResumeRolloutRequest { id, ..Default::default() };
    let error = world.api.resume_rollout(Request::new(resume)).await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::FailedPrecondition, "ROLLOUT_ENDED")
    );
}

#[tokio::test]
async fn an_undo_keeps_the_policy_but_not_the_waves() {
    let world = World::new().await;
    let mut message = request("web");
    message.spec.as_mut().unwrap().policy = Some(v1::RolloutPolicy {
        max_parallel: "50%".to_owned(),
        canary: "1".to_owned(),
        promote: v1::Promote::Manual.into(),
        ..Default::default()
    });
    let rollout = world.create(message).await.unwrap();
    world.write(&rollout.id, vec![phase(Phase::Succeeded)]).await;
    let policy = v1::RolloutPolicy { max_failures: "2".to_owned(), ..Default::default() };
    let id = rollout.id.clone();
    let undo = v1::UndoRolloutRequest { id, policy: Some(policy), ..Default::default() };
    let answer = world.api.undo_rollout(Request::new(undo)).await.unwrap().into_inner();
    let undo = answer.rollout.unwrap();
    let policy = undo.policy.unwrap();
    assert_eq!(undo.undo_of, rollout.id);
    assert_eq!((policy.max_parallel.as_str(), policy.max_failures.as_str()), ("50%", "2"));
    assert_eq!((policy.canary.as_str(), policy.promote()), ("0", v1::Promote::Auto));
}

#[tokio::test]
async fn lists_have_pages_and_filters() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for container in ["aa", "bb", "cc"] {
        ids.insert(0, world.create(request(container)).await.unwrap().id);
    }
    world.write(&ids[1], vec![phase(Phase::Failed)]).await;
    let list = |message| async { world.api.list_rollouts(Request::new(message)).await };
    let ids_of = |answer: &v1::ListRolloutsResponse| -> Vec<String> {
        answer.rollouts.iter().map(|rollout| rollout.id.clone()).collect()
    };

    let mut paged = Vec::new();
    let mut page_token = String::new();
    loop {
        let message = v1::ListRolloutsRequest { page_size: 2, page_token, ..Default::default() };
        let page = list(message).await.unwrap().into_inner();
        assert!(page.rollouts.iter().all(|it| it.plan.is_none() && it.steps.is_empty()));
        paged.extend(ids_of(&page));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, ids);

    let states = vec![v1::RolloutState::Failed.into()];
    let failed = v1::ListRolloutsRequest { states, ..Default::default() };
    assert_eq!(ids_of(list(failed).await.unwrap().get_ref()), ids[1..2]);
    let container = "aa".to_owned();
    let one = v1::ListRolloutsRequest { container, ..Default::default() };
    assert_eq!(ids_of(list(one).await.unwrap().get_ref()), ids[2..]);
    let host = "web9".to_owned();
    let none = v1::ListRolloutsRequest { host, ..Default::default() };
    assert!(list(none).await.unwrap().get_ref().rollouts.is_empty());
    let page_token = "bm9uc2Vuc2U".to_owned();
    let wrong = v1::ListRolloutsRequest { page_token, ..Default::default() };
    assert_eq!(reason(&list(wrong).await.unwrap_err()), "INVALID_FIELD");
}

#[tokio::test]
async fn an_unknown_rollout_is_not_found() {
    let world = World::new().await;
    world.create(request("web")).await.unwrap();
    for (id, expected) in [
        (Uuid::from_u128(3).to_string(), "ROLLOUT_NOT_FOUND"),
        ("00000000".to_owned(), "ROLLOUT_NOT_FOUND"),
        ("web".to_owned(), "INVALID_FIELD"),
        ("0123".to_owned(), "INVALID_FIELD"),
    ] {
        let message = v1::GetRolloutRequest { id: id.clone(), ..Default::default() };
        let error = world.api.get_rollout(Request::new(message)).await.unwrap_err();
        assert_eq!(reason(&error), expected, "{id}");
    }
}
