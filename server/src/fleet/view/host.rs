//! The view of one host: what is known of it, for readers, and the questions to its Engine, which readers
//! and the follower ask.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::state::{Content, Entry, Expected, Moment, Need, State};
use super::status::{Millis, StatusText};
use super::together::Together;
use super::{HostSync, Shared, beginning};
use crate::domain::Host;
use crate::engine::{ContainerListing, ContainerSummary, Engine, EngineError};

/// Whether a host is followed, and how well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncState {
    /// Its events are read, and what they say is known.
    Live,
    /// It answers, and its containers are being read.
    Resyncing,
    /// Its events are not read at the moment.
    Stale,
    /// It does not answer.
    Unreachable,
}

/// What is said of the view of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewNote {
    /// `None`: it is not followed.
    pub sync: Option<SyncState>,
    /// See [`Content::generation`]; 0 if it is not followed.
    pub generation: u64,
    /// When the Engine was last asked for what is shown.
    pub observed_at: Option<SystemTime>,
    /// Whether it was asked for this call.
    pub fresh: bool,
}

/// The view of one host.
pub struct HostView {
    host: Arc<Host>,
    engine: Arc<dyn Engine>,
    shared: Arc<Shared>,
    known: Mutex<Known>,
    /// Wakes the follower: something is out of date that no event told.
    changed_here: Notify,
    ended: CancellationToken,
    used_at: AtomicI64,
    /// Those who want it all the time.
    users: AtomicUsize,
    /// When the Engine last said anything.
    heard_at: AtomicI64,
    /// The complete lists that readers and the follower want.
    lists: Together<Result<Arc<Content>, EngineError>>,
}

/// What those who watch see.
#[derive(Debug)]
pub struct Watched {
    /// The containers.
    pub content: Arc<Content>,
    /// How current they are.
    pub sync: SyncState,
    /// Why they are not.
    pub trouble: Option<EngineError>,
    /// IDs of removed containers; `None` if not asked for, or no longer known.
    pub removed: Option<Vec<Box<str>>>,
}

/// Wants the view of a host as long as it exists.
pub struct User(Arc<HostView>);

struct Known {
    state: State,
    sync: SyncState,
    /// [`crate::engine::SystemEngine::writes`] of the last look.
    writes: u64,
    is_podman: bool,
    /// Why it is not live.
    trouble: Option<EngineError>,
}

impl ViewNote {
    /// Of a view with this content.
    pub fn of(sync: SyncState, content: &Content, fresh: bool) -> Self {
        let Content { generation, observed_at, .. } = *content;
        Self { sync: Some(sync), generation, observed_at, fresh }
    }

    /// Of an answer that came just now, for a host that is not followed.
    pub fn unfollowed(asked_at: SystemTime) -> Self {
        Self { sync: None, generation: 0, observed_at: Some(asked_at), fresh: true }
    }
}

impl HostView {
    pub(super) fn new(
        host: Arc<Host>,
        engine: Arc<dyn Engine>,
        shared: Arc<Shared>,
        ended: CancellationToken,
    ) -> Self {
        let (writes, now) = (engine.writes(), shared.now());
        let state = State::new(beginning());
        let sync = SyncState::Resyncing;
        Self {
            host,
            engine,
            shared,
            known: Mutex::new(Known { state, sync, writes, is_podman: false, trouble: None }),
            changed_here: Notify::new(),
            ended,
            used_at: AtomicI64::new(now),
            users: AtomicUsize::new(0),
            heard_at: AtomicI64::new(now),
            lists: Together::default(),
        }
    }

    /// The host.
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// What is known, if it is live, nothing is known to be out of date, and it has at least this
    /// generation. Otherwise, ask with [`Self::list`].
    pub fn read(&self, least_generation: u64) -> Option<Arc<Content>> {
        self.touch();
        let known = self.look();
        let is_live = known.sync == SyncState::Live && known.state.is_current();
        let content = known.state.content();
        (is_live && content.generation >= least_generation).then(|| Arc::clone(content))
    }

    /// Asks the Engine for all containers, once for all who want that at the same time. What it answers is
    /// also taken into the view, unless the view knows better by then.
    pub async fn list(&self) -> Result<Arc<Content>, EngineError> {
        self.lists.ask(self.list_now()).await
    }

    async fn list_now(&self) -> Result<Arc<Content>, EngineError> {
        let (asked, asked_at) = (self.look().state.begin(), SystemTime::now());
        let listing = ContainerListing { all: true, ..ContainerListing::default() };
        let containers = self.engine.list_containers(&listing).await?.items;
        let moment = Moment { asked_at, now: self.heard() };
        let entries = self.entries(&containers, moment.now)?;
        let mut known = self.look();
        let next = &mut || self.shared.next_revision(&self.host.name);
        // Cheap: the bytes are shared.
        let answer = entries.clone();
        if known.state.take_all(asked, entries, moment, next).is_some() {
            return Ok(Arc::clone(known.state.content()));
        }
        Ok(Arc::new(Content {
            entries: answer.into_iter().map(Arc::new).collect(),
            generation: asked,
            observed_at: Some(asked_at),
            revision: 0,
        }))
    }

    /// Asks for some containers.
    pub(super) async fn list_some(&self, ids: &BTreeSet<Box<str>>) -> Result<(), EngineError> {
        let (asked, asked_at) = (self.look().state.begin(), SystemTime::now());
        let values = ids.iter().map(ToString::to_string).collect();
        let filters = [("id".to_owned(), values)].into();
        let listing = ContainerListing { all: true, filters, ..ContainerListing::default() };
        let containers = self.engine.list_containers(&listing).await?.items;
        let moment = Moment { asked_at, now: self.heard() };
        let mut entries = self.entries(&containers, moment.now)?;
        // Another rule for the filter must not add what was not asked for.
        entries.retain(|entry| ids.contains(&entry.id));
        let next = &mut || self.shared.next_revision(&self.host.name);
        self.look().state.take_some(asked, ids, entries, moment, next);
        Ok(())
    }

    /// What a reader is told who was answered with this content.
    pub fn note(&self, content: &Content, fresh: bool) -> ViewNote {
        ViewNote::of(self.look().sync, content, fresh)
    }

    /// What the caller of a change is told: the generation from which on lists have its effect.
    pub(super) fn after_change(&self) -> ViewNote {
        let mut known = self.look();
        let generation = known.state.invalidate();
        self.changed_here.notify_one();
        ViewNote { sync: Some(known.sync), generation, observed_at: None, fresh: false }
    }

    /// Whether it asks this Engine: not after the host was changed in the inventory.
    pub fn is_of(&self, engine: &Arc<dyn Engine>) -> bool {
        Arc::ptr_eq(&self.engine, engine)
    }

    /// Whether the Engine is a Podman.
    pub fn is_podman(&self) -> bool {
        self.look().is_podman
    }

    /// Follows it as long as the result exists.
    pub fn user(self: &Arc<Self>) -> User {
        self.users.fetch_add(1, Ordering::AcqRel);
        User(Arc::clone(self))
    }

    /// What is known and how well, for those who watch; with `after`, also what was removed after that
    /// revision.
    pub fn watched(&self, after: Option<u64>) -> Watched {
        let known = self.look();
        let removed = after.and_then(|after| known.state.removed_after(after));
        Watched {
            removed: removed.map(|removed| removed.map(|it| it.id.clone()).collect()),
            content: Arc::clone(known.state.content()),
            sync: known.sync,
            trouble: known.trouble.clone(),
        }
    }

    /// The state of the view.
    pub fn sync(&self) -> SyncState {
        self.look().sync
    }

    /// Notes that somebody wants it.
    pub(super) fn touch(&self) {
        self.used_at.store(self.shared.now(), Ordering::Release);
    }

    pub(super) fn is_idle(&self, idle: Duration) -> bool {
        let since = self.shared.now() - self.used_at.load(Ordering::Acquire);
        let idle = Millis::try_from(idle.as_millis()).unwrap_or(Millis::MAX);
        self.users.load(Ordering::Acquire) == 0 && since >= idle
    }

    pub(super) fn end(&self) {
        self.ended.cancel();
    }

    pub(super) fn sync_state(&self) -> HostSync {
        let known = self.look();
        let note = ViewNote::of(known.sync, known.state.content(), false);
        let silent = self.shared.now() - self.heard_at.load(Ordering::Acquire);
        let silent = Duration::from_millis(u64::try_from(silent).unwrap_or(0));
        HostSync { host: self.host.name.clone(), note, silent }
    }

    fn entries(
        &self,
        containers: &[ContainerSummary],
        now: Millis,
    ) -> Result<Vec<Entry>, EngineError> {
        containers.iter().map(|container| self.entry(container, now)).collect()
    }

    fn entry(&self, container: &ContainerSummary, now: Millis) -> Result<Entry, EngineError> {
        Ok(Entry {
            id: container.id.as_str().into(),
            names: container.names.iter().map(|name| name.as_str().into()).collect(),
            state: container.state.as_str().into(),
            created: container.created.unwrap_or_default(),
            status: StatusText::read(&container.status, now),
            form: self.shared.form().write(container)?,
            revision: 0,
        })
    }

    /// What is known, together with what this server did on the host since the last look.
    fn look(&self) -> MutexGuard<'_, Known> {
        // The state stays consistent: what can fail is done before it is changed.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let writes = self.engine.writes();
        if writes != known.writes {
            known.writes = writes;
            known.state.invalidate();
            self.changed_here.notify_one();
        }
        known
    }

    // For the follower.

    pub(super) fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    pub(super) fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// How many hosts are followed.
    pub(super) fn followed(&self) -> usize {
        self.shared.followed()
    }

    /// Waits until something is out of date that no event told.
    pub(super) async fn changed_here(&self) {
        self.changed_here.notified().await;
    }

    pub(super) fn need(&self) -> Need {
        self.look().state.need()
    }

    pub(super) fn invalidate(&self) {
        self.look().state.invalidate();
    }

    /// An event told that a container changed, and perhaps its state.
    pub(super) fn invalidate_one(&self, id: &str, expected: Option<Expected>) {
        let state = &mut self.look().state;
        state.invalidate_one(id);
        if let Some(expected) = expected {
            state.expect(id, expected);
        }
    }

    pub(super) fn set_podman(&self, is_podman: bool) {
        self.look().is_podman = is_podman;
    }

    /// The state of the view from now on, and why it is not live.
    pub(super) fn set_sync(&self, sync: SyncState, trouble: Option<EngineError>) {
        let mut known = self.look();
        if sync == SyncState::Live || trouble.is_some() {
            known.trouble = trouble;
        }
        if known.sync != sync {
            self.shared.watchers.tell(&self.host.name);
            known.sync = sync;
            tracing::debug!(host = %self.host.name, ?sync, "view");
        }
    }

    /// The Engine said something. Returns the time.
    pub(super) fn heard(&self) -> Millis {
        let now = self.shared.now();
        self.heard_at.store(now, Ordering::Release);
        now
    }
}

impl Deref for User {
    type Target = Arc<HostView>;

    fn deref(&self) -> &Arc<HostView> {
        &self.0
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.0.touch();
        self.0.users.fetch_sub(1, Ordering::AcqRel);
    }
}
