//! What following costs: a caller gets what it asked for and nothing else, and one that does not
//! read costs the server nothing.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt};
use uuid::Uuid;

use super::*;
use crate::domain::{Annotations, ContainerName, HostName, Reason};
use crate::engine::Transfer;
use crate::memory_journal::MemoryJournal;
use crate::rollout::journal::{NewRollout, NewSecret, Result, SecretKind, Summary};
use crate::rollout::model::{
    Control, Epoch, Event as Happened, HostEnd, HostEvent, HostPlan, Millis, PauseCause, Phase,
    Plan, Record, TargetKind, Trouble, Work,
};
use crate::rollout::spec::Policy;

type Messages =
    Pin<Box<dyn Stream<Item = std::result::Result<v1::WatchRolloutsResponse, Status>> + Send>>;

/// A journal that counts what is read from it.
#[derive(Clone)]
struct Counting {
    inner: MemoryJournal,
    read: Arc<AtomicUsize>,
}

struct Scene {
    journal: Counting,
    epoch: Epoch,
    pulls: broadcast::Sender<PullProgress>,
    stopping: CancellationToken,
}

fn id(number: u128) -> RolloutId {
    RolloutId(Uuid::from_u128(number))
}

fn host() -> HostName {
    HostName::parse("a").unwrap()
}

fn begun() -> Happened {
    let happened = HostEvent::Begun { work: Work::Pull, attempt: 1 };
    Happened::Host { host: host(), happened }
}

impl Scene {
    /// Two rollouts that run.
    async fn new() -> Self {
        let inner = MemoryJournal::new(Uuid::from_u128(9));
        let journal = Counting { inner, read: Arc::default() };
        let epoch = journal.take_over().await.unwrap();
        let (pulls, _) = broadcast::channel(16);
        let scene = Self { journal, epoch, pulls, stopping: CancellationToken::new() };
        for (number, container) in [(1, "web"), (2, "db")] {
            scene.create(number, container).await;
        }
        scene
    }

    async fn create(&self, number: u128, container: &str) {
        let container = ContainerName::parse(container).unwrap();
        let kind = TargetKind::Create;
        let host_plan = HostPlan { kind, ..HostPlan::skipped(String::new()) };
        let plan = Plan {
            container,
            image: None,
            waves: vec![vec![host()]],
            hosts: [(host(), host_plan)].into(),
            warnings: Vec::new(),
        };
        let rollout = NewRollout {
            id: id(number),
            created_at: Millis(1),
            plan,
            policy: Policy::default(),
            by: "anna".to_owned(),
            undo_of: None,
            annotations: Annotations::default(),
            secrets: Vec::new(),
            planned_at: Revision(u64::MAX),
        };
        self.journal.create(self.epoch, rollout).await.unwrap();
    }

    async fn append(&self, number: u128, event: Happened) {
        self.append_all(number, vec![event]).await;
    }

    async fn append_all(&self, number: u128, events: Vec<Happened>) {
        let record = |event| Record { at: Millis(2), event };
        let records: Vec<_> = events.into_iter().map(record).collect();
        self.journal.append(self.epoch, id(number), &records).await.unwrap();
    }

    fn pull(&self, number: u128) {
        let transfer = Transfer { bytes_done: 7, ..Transfer::default() };
        // Nobody may listen.
        let _ = self.pulls.send(PullProgress { rollout: id(number), host: host(), transfer });
    }

    async fn watch(&self, number: Option<u128>, progress: bool) -> Messages {
        let pulls = progress.then(|| self.pulls.subscribe());
        let request = WatchRequest { id: number.map(id), after: None, pulls, rollouts: None };
        let journal = Arc::new(self.journal.clone());
        let stream = stream(journal, request, self.stopping.clone()).await;
        let mut messages: Messages = Box::pin(stream.unwrap_or_else(|_| panic!("it is refused")));
        let first = event(&mut messages).await;
        assert!(matches!(first, Event::Snapshot(_)), "{first:?}");
        messages
    }
}

async fn event(messages: &mut Messages) -> Event {
    messages.next().await.expect("a message").expect("no error").event.expect("an event")
}

/// Nothing is there to be read.
fn is_silent(messages: &mut Messages) -> bool {
    messages.next().now_or_never().is_none()
}

#[tokio::test(start_paused = true)]
async fn one_that_follows_a_rollout_hears_of_no_other() {
    let scene = Scene::new().await;
    let mut one = scene.watch(Some(1), true).await;
    let mut all = scene.watch(None, true).await;
    scene.append(2, begun()).await;
    scene.pull(2);
    assert!(is_silent(&mut one));
    assert!(matches!(event(&mut all).await, Event::Step(_)));
    scene.append(1, begun()).await;
    let Event::Step(step) = event(&mut one).await else { panic!("no step") };
    assert_eq!(step.rollout, id(1).to_string());
}

/// Also where a read of the journal ends between the two.
#[tokio::test(start_paused = true)]
async fn nobody_hears_of_a_pause_before_its_reason_is_known() {
    let trouble = Trouble::new(Reason::RolloutNeedsAttention, "whose is it?");
    let paused = |cause| {
        let resume_to = Box::new(Phase::Running { wave: 0 });
        let to = Phase::Paused { cause, resume_to, since: Millis(2) };
        Happened::Phase { to, reason: Some(trouble.clone()) }
    };
    let ended = HostEvent::Ended { end: HostEnd::NeedsAttention { trouble: trouble.clone() } };
    for before in [0, BATCH - 2] {
        let scene = Scene::new().await;
        let mut messages = scene.watch(Some(1), false).await;
        let work = HostEvent::Begun { work: Work::Forward, attempt: 1 };
        scene.append(1, Happened::Host { host: host(), happened: work }).await;
        scene.append(1, paused(PauseCause::Budget)).await;
        assert!(matches!(event(&mut messages).await, Event::Step(_)));
        assert!(matches!(event(&mut messages).await, Event::Rollout(_)));
        assert!(is_silent(&mut messages));

        for _ in 0..=before {
            scene.append(1, Happened::Control { control: Control::Pause, by: String::new() }).await;
        }
        let ended = Happened::Host { host: host(), happened: ended.clone() };
        scene.append_all(1, vec![ended, paused(PauseCause::NeedsAttention)]).await;
        let Event::Step(step) = event(&mut messages).await else { panic!("no step") };
        assert_eq!(step.step.unwrap().state(), v1::HostState::NeedsAttention);
        let Event::Rollout(rollout) = event(&mut messages).await else { panic!("no rollout") };
        assert_eq!(rollout.pause_cause(), v1::PauseCause::NeedsAttention);
        assert_eq!(rollout.counts.unwrap().active, 0);
        assert!(is_silent(&mut messages));
    }
}

#[tokio::test(start_paused = true)]
async fn pulls_are_told_to_those_who_asked_for_them() {
    let scene = Scene::new().await;
    let mut plain = scene.watch(Some(1), false).await;
    let mut curious = scene.watch(Some(1), true).await;
    scene.pull(2);
    scene.pull(1);
    assert!(is_silent(&mut plain));
    let Event::PullProgress(pull) = event(&mut curious).await else { panic!("no pull") };
    assert_eq!(pull.rollout, id(1).to_string());
    assert!(is_silent(&mut curious));
}

#[tokio::test(start_paused = true)]
async fn what_happens_to_others_does_not_put_off_a_heartbeat() {
    let scene = Scene::new().await;
    let mut messages = scene.watch(Some(1), false).await;
    let began = Instant::now();
    let noise = async {
        loop {
            tokio::time::sleep(HEARTBEAT_AFTER / 3).await;
            scene.append(2, Happened::Control { control: Control::Pause, by: String::new() }).await;
        }
    };
    let heard = tokio::select! {
        heard = event(&mut messages) => heard,
        () = noise => unreachable!("it has no end"),
        () = tokio::time::sleep(HEARTBEAT_AFTER * 10) => panic!("no heartbeat"),
    };
    assert!(matches!(heard, Event::Heartbeat(_)), "{heard:?}");
    assert_eq!(began.elapsed(), HEARTBEAT_AFTER);
}

#[tokio::test(start_paused = true)]
async fn one_whose_rollout_was_forgotten_does_not_wait_for_ever() {
    let scene = Scene::new().await;
    let mut messages = scene.watch(Some(1), false).await;
    for to in [Phase::Aborting, Phase::Aborted] {
        scene.append(1, Happened::Phase { to, reason: None }).await;
    }
    scene.journal.forget(scene.epoch, id(1)).await.unwrap();
    let last = messages.next().await.expect("a message");
    let status = last.expect_err("no end was read");
    assert_eq!(status.code(), tonic::Code::NotFound, "{status}");
    assert!(status.message().contains(&id(1).to_string()), "{status}");
    assert!(messages.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_read_holds_nothing_in_the_server() {
    let scene = Scene::new().await;
    let mut messages = scene.watch(Some(1), true).await;
    let before = scene.journal.read.load(Ordering::SeqCst);
    let many = 5_000;
    for number in 0..many {
        let wave = usize::from(number % 2 == 1);
        scene.append(1, Happened::Phase { to: Phase::Running { wave }, reason: None }).await;
        scene.pull(1);
    }
    let read = || scene.journal.read.load(Ordering::SeqCst) - before;
    assert_eq!(read(), 0);
    // One message is asked for: no more is read than that takes.
    let _ = event(&mut messages).await;
    assert!((1..=BATCH).contains(&read()), "{}", read());
}

#[async_trait]
impl Journal for Counting {
    fn store_id(&self) -> Uuid {
        self.inner.store_id()
    }
    async fn take_over(&self) -> Result<Epoch> {
        self.inner.take_over().await
    }
    async fn create(&self, epoch: Epoch, rollout: NewRollout) -> Result<Revision> {
        self.inner.create(epoch, rollout).await
    }
    async fn append(&self, epoch: Epoch, id: RolloutId, records: &[Record]) -> Result<Revision> {
        self.inner.append(epoch, id, records).await
    }
    async fn replace_secret(&self, epoch: Epoch, id: RolloutId, secret: NewSecret) -> Result<()> {
        self.inner.replace_secret(epoch, id, secret).await
    }
    async fn forget(&self, epoch: Epoch, id: RolloutId) -> Result<()> {
        self.inner.forget(epoch, id).await
    }
    async fn records(&self, id: RolloutId) -> Result<Vec<Entry>> {
        let found = self.inner.records(id).await?;
        self.read.fetch_add(found.len(), Ordering::SeqCst);
        Ok(found)
    }
    async fn after(
        &self,
        revision: Revision,
        id: Option<RolloutId>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let found = self.inner.after(revision, id, limit).await?;
        self.read.fetch_add(found.len(), Ordering::SeqCst);
        Ok(found)
    }
    async fn open(&self) -> Result<Vec<RolloutId>> {
        self.inner.open().await
    }
    async fn list(&self) -> Result<Vec<Summary>> {
        self.inner.list().await
    }
    async fn secret(
        &self,
        id: RolloutId,
        host: Option<&HostName>,
        kind: SecretKind,
    ) -> Result<Option<String>> {
        self.inner.secret(id, host, kind).await
    }
    fn changes(&self) -> watch::Receiver<Revision> {
        self.inner.changes()
    }
}
