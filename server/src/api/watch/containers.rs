//! `WatchContainers`: first the containers of the hosts, then every change, from their views.
//!
//! The stream is pulled, and knows for each host the content that its caller has. A change is the
//! difference to what the view has when the caller reads on: one that reads slowly gets fewer messages
//! and misses no state.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use futures_util::Stream;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;
use wharf::batch::{ContainerBatch, EncodedContainer};
use wharf::v1;
use wharf::v1::watch_containers_response::Event;

use super::{Cursor, HEARTBEAT_AFTER, Woken, woken};
use crate::api::answer::stopping;
use crate::api::convert;
use crate::api::edge::Edge;
use crate::api::problem::Problem;
use crate::api::size::batches;
use crate::api::view_form::{encoded, view_state};
use crate::body::violation::Violations;
use crate::domain::HostName;
use crate::engine::ContainerListing;
use crate::fleet::inventory::Snapshot;
use crate::fleet::select::Selection;
use crate::fleet::view::filter::Query;
use crate::fleet::view::host::{SyncState, User, ViewNote};
use crate::fleet::view::state::{Content, Entry};
use crate::fleet::view::watchers::Changes;

/// IDs in one message.
const MOST_IDS: usize = 1000;

/// What a caller watches.
pub struct Order {
    /// The hosts.
    pub selection: Selection,
    /// Their containers.
    pub query: Query,
    /// Where to continue.
    pub after: Option<v1::ViewCursor>,
}

impl Order {
    /// Reads the request.
    pub fn read(violations: &mut Violations, message: &v1::WatchContainersRequest) -> Option<Self> {
        let selection = match convert::selection(message.targets.as_ref()) {
            Ok(selection) => selection,
            Err(problem) => {
                violations.add("targets", problem.message);
                return None;
            }
        };
        let listing = ContainerListing {
            all: message.all,
            filters: convert::filters(violations, &message.filters),
            ..ContainerListing::default()
        };
        let query = Query::of(&listing);
        if query.is_none() {
            let problem = "must be name (letters, digits, and the characters ._-/^$|()*+?), label, status, or id";
            violations.add("filters", problem);
        }
        Some(Self { selection, query: query?, after: message.after.clone() })
    }
}

struct Watcher {
    edge: Arc<Edge>,
    order: Order,
    changes: Arc<Changes>,
    inventory: watch::Receiver<Arc<Snapshot>>,
    cursor: Cursor,
    /// The revision up to which the caller had everything, until each host was looked at once.
    after: Option<u64>,
    hosts: BTreeMap<HostName, Told>,
    /// Hosts to look at in this round.
    pending: BTreeSet<HostName>,
    ready: VecDeque<(String, Event)>,
    /// Whether messages of this round were sent, so that one with the cursor must follow.
    owes_cursor: bool,
    told_at: Instant,
    over: bool,
}

/// What the caller has of a host.
#[derive(Default)]
struct Told {
    view: Option<User>,
    content: Option<Arc<Content>>,
    sync: Option<Option<SyncState>>,
    /// Whether it was looked at.
    seen: bool,
}

/// The stream. It ends only with UNAVAILABLE when the server stops.
pub fn stream(
    edge: Arc<Edge>,
    order: Order,
) -> Result<impl Stream<Item = Result<v1::WatchContainersResponse, Status>> + Send + use<>, Problem>
{
    let inventory = edge.inventory.subscribe();
    // Before the first look, so that no change is missed in between.
    let changes = edge.view.watch();
    let cursor = Cursor::new(&edge.view);
    let after = cursor.resumed(order.after.as_ref());
    let mut watcher = Watcher {
        edge,
        order,
        changes,
        inventory,
        cursor,
        after,
        hosts: BTreeMap::new(),
        pending: BTreeSet::new(),
        ready: VecDeque::new(),
        owes_cursor: false,
        told_at: Instant::now(),
        over: false,
    };
    watcher.select(true)?;
    Ok(futures_util::stream::unfold(watcher, |mut watcher| async move {
        watcher.next().await.map(|item| (item, watcher))
    }))
}

impl Watcher {
    async fn next(&mut self) -> Option<Result<v1::WatchContainersResponse, Status>> {
        if self.over {
            return None;
        }
        loop {
            if let Some((host, event)) = self.ready.pop_front() {
                return Some(Ok(self.message(host, event)));
            }
            if let Some(host) = self.pending.pop_first() {
                self.look(&host);
                continue;
            }
            if self.owes_cursor {
                return Some(Ok(self.message(String::new(), Event::Heartbeat(v1::Heartbeat {}))));
            }
            let silence = self.told_at + HEARTBEAT_AFTER;
            match woken(&self.edge.stopping, &self.changes, &mut self.inventory, silence).await {
                Woken::Changed => {
                    // In this order: what is told later has a later revision.
                    self.cursor.advance(&self.edge.view);
                    self.pending = self.changes.take();
                    let hosts = &self.hosts;
                    self.pending.retain(|host| hosts.contains_key(host));
                }
                Woken::Inventory => {
                    if let Err(problem) = self.select(false) {
                        self.over = true;
                        return Some(Err(problem.into()));
                    }
                }
                Woken::Silence => {
                    let heartbeat = Event::Heartbeat(v1::Heartbeat {});
                    return Some(Ok(self.message(String::new(), heartbeat)));
                }
                Woken::Stopping => {
                    self.over = true;
                    return Some(Err(stopping().into()));
                }
            }
        }
    }

    fn message(&mut self, host: String, event: Event) -> v1::WatchContainersResponse {
        self.told_at = Instant::now();
        let is_last = self.ready.is_empty() && self.pending.is_empty();
        self.owes_cursor = !is_last;
        let cursor = is_last.then(|| self.cursor.to_message());
        v1::WatchContainersResponse { host, cursor, event: Some(event) }
    }

    /// The hosts, at the beginning and when the inventory changed.
    fn select(&mut self, is_first: bool) -> Result<(), Problem> {
        let snapshot = self.inventory.borrow_and_update().clone();
        let chosen = self.edge.chosen(&self.order.selection, &snapshot, is_first)?;
        let before: Vec<HostName> = self.hosts.keys().cloned().collect();
        let names: BTreeSet<HostName> = chosen.iter().map(|host| host.name.clone()).collect();
        self.hosts.retain(|name, _| names.contains(name));
        for host in chosen {
            let told = self.hosts.entry(host.name.clone()).or_default();
            let view = self.edge.view.follow(&host);
            let is_same = match (&told.view, &view) {
                (Some(known), Some(view)) => Arc::ptr_eq(known, view),
                (None, None) => told.seen,
                _ => false,
            };
            if !is_same {
                // What a cursor says is of the hosts that were there at the beginning.
                *told = Told { view: view.map(|it| it.user()), seen: !is_first, ..Told::default() };
                self.pending.insert(host.name.clone());
            }
        }
        if is_first || !before.iter().eq(names.iter()) {
            let hosts = names.iter().map(ToString::to_string).collect();
            let hosts = Event::Hosts(v1::WatchedHosts { hosts });
            self.ready.push_back((String::new(), hosts));
        }
        Ok(())
    }

    /// Says what the caller does not have of a host.
    fn look(&mut self, host: &HostName) {
        let Some(told) = self.hosts.get_mut(host) else { return };
        let after = if told.seen { None } else { self.after };
        let Some(view) = &told.view else {
            told.seen = true;
            if told.sync.replace(None) != Some(None) {
                let state = v1::ViewState::default();
                self.ready.push_back((host.to_string(), Event::State(state)));
            }
            return;
        };
        let seen = view.watched(after);
        let content = seen.content.observed_at.map(|_| seen.content);
        let mut events = Vec::new();
        if let Some(content) = &content {
            let query = &self.order.query;
            let form = self.edge.view.form();
            let chosen: Vec<&Arc<Entry>> = query.choose(content, form).collect();
            let (is_reset, changed, removed) = match (&told.content, seen.removed) {
                (Some(known), _) if known.revision == content.revision => {
                    (false, Vec::new(), Vec::new())
                }
                (Some(known), _) => {
                    let known: BTreeMap<&str, u64> = query
                        .choose(known, form)
                        .map(|entry| (&*entry.id, entry.revision))
                        .collect();
                    let (changed, gone) = difference(&known, &chosen);
                    (false, changed, gone)
                }
                (None, Some(removed)) if !query.depends_on_others() => {
                    let after = after.unwrap_or_default();
                    let is_chosen =
                        |entry: &Arc<Entry>| chosen.iter().any(|one| Arc::ptr_eq(one, entry));
                    let hidden = content.entries.iter().filter(|it| !is_chosen(it));
                    let hidden = hidden.filter(|it| it.revision > after).map(|it| it.id.clone());
                    let removed = removed.into_iter().chain(hidden).collect();
                    let changed = chosen.into_iter().filter(|it| it.revision > after).collect();
                    (false, changed, removed)
                }
                (None, _) => (true, chosen, Vec::new()),
            };
            if is_reset {
                events.push(Event::Reset(v1::ContainersReset {}));
            }
            for ids in removed.chunks(MOST_IDS) {
                let ids = ids.iter().map(ToString::to_string).collect();
                events.push(Event::Removed(v1::RemovedContainers { ids }));
            }
            let now = self.edge.view.now();
            let changed: Vec<_> = changed.into_iter().map(|entry| encoded(entry, now)).collect();
            events.extend(
                batches(changed, EncodedContainer::encoded_len).map(|encoded| {
                    Event::Changed(ContainerBatch { containers: Vec::new(), encoded })
                }),
            );
        }
        let is_new = told.sync.replace(Some(seen.sync)) != Some(Some(seen.sync));
        if is_new || !events.is_empty() {
            let content = content.as_deref();
            events.push(Event::State(view_state(&ViewNote {
                sync: Some(seen.sync),
                generation: content.map_or(0, |content| content.generation),
                observed_at: content.and_then(|content| content.observed_at),
                fresh: false,
            })));
        }
        told.seen = true;
        if content.is_some() {
            told.content = content;
        }
        self.ready.extend(events.into_iter().map(|event| (host.to_string(), event)));
    }
}

/// What is new or changed, and what is gone. `known` has the revisions.
fn difference<'a>(
    known: &BTreeMap<&str, u64>,
    chosen: &[&'a Arc<Entry>],
) -> (Vec<&'a Arc<Entry>>, Vec<Box<str>>) {
    let is_new = |entry: &&&Arc<Entry>| known.get(&*entry.id) != Some(&entry.revision);
    let changed = chosen.iter().filter(is_new).copied().collect();
    let kept: BTreeSet<&str> = chosen.iter().map(|entry| &*entry.id).collect();
    let gone = known.keys().filter(|id| !kept.contains(*id)).map(|id| (*id).into()).collect();
    (changed, gone)
}
