//! `WatchHosts`: first the hosts of the inventory, then every change of them, and whether they answer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use futures_util::Stream;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;
use wharf::v1;
use wharf::v1::watch_hosts_response::Event;

use super::{HEARTBEAT_AFTER, Woken, woken};
use crate::api::answer::stopping;
use crate::api::edge::Edge;
use crate::api::host_view::view as host_message;
use crate::api::problem::Problem;
use crate::api::table::host_problem;
use crate::api::view_form::view_state;
use crate::domain::{Host, HostName};
use crate::fleet::HostError;
use crate::fleet::inventory::Snapshot;
use crate::fleet::select::{Selection, Targets};
use crate::fleet::view::host::{SyncState, User, ViewNote};
use crate::fleet::view::watchers::Changes;

struct Watcher {
    edge: Arc<Edge>,
    selection: Selection,
    changes: Arc<Changes>,
    inventory: watch::Receiver<Arc<Snapshot>>,
    /// The generation of the inventory that the caller has.
    generation: u64,
    hosts: BTreeMap<HostName, Told>,
    pending: BTreeSet<HostName>,
    ready: VecDeque<Event>,
    told_at: Instant,
    over: bool,
}

/// What the caller has of a host.
struct Told {
    message: v1::Host,
    view: Option<User>,
    sync: Option<Option<SyncState>>,
}

/// The stream. It ends only with UNAVAILABLE when the server stops.
pub fn stream(
    edge: Arc<Edge>,
    selection: Selection,
    after: Option<&v1::ViewCursor>,
) -> Result<impl Stream<Item = Result<v1::WatchHostsResponse, Status>> + Send + use<>, Problem> {
    let inventory = edge.inventory.subscribe();
    let changes = edge.view.watch();
    let generation = inventory.borrow().generation();
    let is_known =
        after.is_some_and(|after| after.epoch == edge.view.epoch() && after.revision == generation);
    let mut watcher = Watcher {
        edge,
        selection,
        changes,
        inventory,
        generation,
        hosts: BTreeMap::new(),
        pending: BTreeSet::new(),
        ready: VecDeque::new(),
        told_at: Instant::now(),
        over: false,
    };
    if !is_known {
        watcher.ready.push_back(Event::Reset(v1::HostsReset {}));
    }
    watcher.select(Some(is_known))?;
    Ok(futures_util::stream::unfold(watcher, |mut watcher| async move {
        watcher.next().await.map(|item| (item, watcher))
    }))
}

impl Watcher {
    async fn next(&mut self) -> Option<Result<v1::WatchHostsResponse, Status>> {
        if self.over {
            return None;
        }
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(self.message(event)));
            }
            if let Some(host) = self.pending.pop_first() {
                self.look(&host);
                continue;
            }
            let silence = self.told_at + HEARTBEAT_AFTER;
            match woken(&self.edge.stopping, &self.changes, &mut self.inventory, silence).await {
                Woken::Changed => {
                    self.pending = self.changes.take();
                }
                Woken::Inventory => {
                    if let Err(problem) = self.select(None) {
                        self.over = true;
                        return Some(Err(problem.into()));
                    }
                }
                Woken::Silence => {
                    return Some(Ok(self.message(Event::Heartbeat(v1::Heartbeat {}))));
                }
                Woken::Stopping => {
                    self.over = true;
                    return Some(Err(stopping().into()));
                }
            }
        }
    }

    fn message(&mut self, event: Event) -> v1::WatchHostsResponse {
        self.told_at = Instant::now();
        // The hosts come first, then their states, which are sent again to everyone who comes back.
        let is_whole = !self.ready.iter().any(|event| !matches!(event, Event::State(_)));
        let cursor = is_whole.then(|| v1::ViewCursor {
            epoch: self.edge.view.epoch().to_owned(),
            revision: self.generation,
        });
        v1::WatchHostsResponse { cursor, event: Some(event) }
    }

    /// The hosts: at the beginning, with whether the caller has them already, and later what changed.
    fn select(&mut self, beginning: Option<bool>) -> Result<(), Problem> {
        let snapshot = self.inventory.borrow_and_update().clone();
        self.generation = snapshot.generation();
        // Every host may be none, as in `ListHosts`.
        let must_match = beginning.is_some() && self.selection.targets != Some(Targets::All);
        let chosen = self.edge.chosen(&self.selection, &snapshot, must_match)?;
        let names: BTreeSet<&HostName> = chosen.iter().map(|host| &host.name).collect();
        let gone: Vec<HostName> =
            self.hosts.keys().filter(|name| !names.contains(name)).cloned().collect();
        for name in gone {
            self.hosts.remove(&name);
            self.ready.push_back(Event::Removed(name.to_string()));
        }
        for host in &chosen {
            self.take(host, &snapshot, beginning == Some(true));
        }
        Ok(())
    }

    fn take(&mut self, host: &Arc<Host>, snapshot: &Snapshot, is_known: bool) {
        let message = host_message(host, snapshot);
        let view = self.edge.view.follow(host);
        let before = self.hosts.remove(&host.name);
        if !is_known && before.as_ref().map(|told| &told.message) != Some(&message) {
            self.ready.push_back(Event::Host(message.clone()));
        }
        let (sync, known) = before.map_or((None, None), |told| (told.sync, told.view));
        let view = view.map(|view| {
            known.filter(|known| Arc::ptr_eq(known, &view)).unwrap_or_else(|| view.user())
        });
        self.hosts.insert(host.name.clone(), Told { message, view, sync });
        self.pending.insert(host.name.clone());
    }

    /// Says whether a host answers, if the caller does not have that.
    fn look(&mut self, host: &HostName) {
        let Some(told) = self.hosts.get_mut(host) else { return };
        let seen = told.view.as_ref().map(|view| view.watched(None));
        let sync = seen.as_ref().map(|seen| seen.sync);
        if told.sync.replace(sync) == Some(sync) {
            return;
        }
        let state =
            seen.as_ref().map(|seen| view_state(&ViewNote::of(seen.sync, &seen.content, false)));
        let trouble = seen
            .and_then(|seen| seen.trouble)
            .map(|error| host_problem(host, &HostError::Engine(error)).to_proto());
        self.ready.push_back(Event::State(v1::HostViewState {
            host: host.to_string(),
            state: Some(state.unwrap_or_default()),
            trouble,
        }));
    }
}
