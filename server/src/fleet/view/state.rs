//! What is known of the containers of one host, and what is known to be out of date. Pure.
//!
//! A *stamp* is a number that only grows. Whatever may have changed something takes one
//! ([`State::invalidate`]), and so does every question to the Engine before it is sent
//! ([`State::begin`]): an answer covers what has a lower stamp than its question. Answers that an
//! invalidation or another answer has overtaken are not taken.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use super::status::{Millis, StatusText};

/// Removed containers that are remembered for watchers who come back.
const REMEMBERED: usize = 128;

/// How long a list may show another state than an event told before the event is taken for wrong, such
/// as one that was followed by another one which the Engine dropped.
const LATEST: Millis = 10_000;

/// A container, as small as it can be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Full ID.
    pub id: Box<str>,
    /// All names, without the leading slash.
    pub names: Box<[Box<str>]>,
    /// Such as `running`.
    pub state: Box<str>,
    /// Unix seconds.
    pub created: i64,
    /// Its status, which goes on with the time.
    pub status: StatusText,
    /// Everything but the status, in the form of the readers.
    pub form: Bytes,
    /// The change that brought it to this state.
    pub revision: u64,
}

/// The containers of a host at one time. Immutable.
#[derive(Debug, Clone, Default)]
pub struct Content {
    /// Newest first, in the order of the Engine.
    pub entries: Vec<Arc<Entry>>,
    /// See the contract: grows, and one generation has one content.
    pub generation: u64,
    /// When the Engine was last asked; `None` before the first answer.
    pub observed_at: Option<SystemTime>,
    /// The last change.
    pub revision: u64,
}

/// A container that was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The change.
    pub revision: u64,
    /// Full ID.
    pub id: Box<str>,
}

/// What an event tells of the state of a container. Docker stores what its lists show only after it has
/// told these events: after the end of a container, when it has taken its network down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It was started, and lists show that already.
    Started,
    /// It does not run.
    Ended,
    /// It is paused, or has ended since.
    Paused,
    /// It is not paused.
    Unpaused,
}

/// What is to be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// These containers.
    Some(BTreeSet<Box<str>>),
    /// All containers.
    All,
}

/// When an answer came.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// By the clock of the server, before the question was sent.
    pub asked_at: SystemTime,
    /// When the answer was there.
    pub now: Millis,
}

/// The state of one host.
#[derive(Debug)]
pub struct State {
    /// The last stamp.
    clock: u64,
    /// That of the last invalidation of everything.
    all_dirty: u64,
    /// Those of containers.
    dirty: BTreeMap<Box<str>, u64>,
    /// What the last event of a container told, until an answer shows it; with the time of the first
    /// answer that did not.
    expected: BTreeMap<Box<str>, (Expected, Option<Millis>)>,
    /// That of the last complete answer that was taken; 0: none.
    complete: u64,
    /// That of the last answer about some containers that was taken.
    partial: u64,
    content: Arc<Content>,
    removed: VecDeque<Removed>,
    /// The last removal that is no longer remembered, or the state before the first answer.
    forgotten: u64,
}

impl State {
    /// Nothing is known yet. Stamps, and so generations, begin after `beginning`, so that they also
    /// grow over restarts.
    pub fn new(beginning: u64) -> Self {
        Self {
            clock: beginning,
            all_dirty: 0,
            dirty: BTreeMap::new(),
            expected: BTreeMap::new(),
            complete: 0,
            partial: 0,
            content: Arc::default(),
            removed: VecDeque::new(),
            forgotten: u64::MAX,
        }
    }

    /// The stamp of a question that is about to be sent.
    pub fn begin(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Everything may have changed. Returns the generation from which on a content has that change.
    pub fn invalidate(&mut self) -> u64 {
        self.all_dirty = self.begin();
        self.all_dirty
    }

    /// A container may have changed.
    pub fn invalidate_one(&mut self, id: &str) {
        let stamp = self.begin();
        self.dirty.insert(id.into(), stamp);
    }

    /// What the last event tells of the state of a container: it is out of date until an answer shows
    /// that.
    pub fn expect(&mut self, id: &str, expected: Expected) {
        self.expected.insert(id.into(), (expected, None));
    }

    /// Whether nothing is known to be out of date.
    pub fn is_current(&self) -> bool {
        self.complete > self.all_dirty && self.dirty.is_empty()
    }

    /// What is to be asked for so that it is current.
    pub fn need(&self) -> Need {
        if self.complete <= self.all_dirty {
            Need::All
        } else if self.dirty.is_empty() {
            Need::Nothing
        } else {
            Need::Some(self.dirty.keys().cloned().collect())
        }
    }

    /// What is known.
    pub fn content(&self) -> &Arc<Content> {
        &self.content
    }

    /// What was removed after a revision; `None` if that is no longer known.
    pub fn removed_after(&self, revision: u64) -> Option<impl Iterator<Item = &Removed>> {
        let known = self.complete != 0 && revision >= self.forgotten;
        known.then(|| self.removed.iter().filter(move |removed| removed.revision > revision))
    }

    /// Takes an answer with all containers, asked for with the stamp `asked`. `revision` counts the
    /// changes of all hosts. Returns whether anything changed; `None` if the answer was overtaken.
    pub fn take_all(
        &mut self,
        asked: u64,
        mut entries: Vec<Entry>,
        moment: Moment,
        revision: &mut dyn FnMut() -> u64,
    ) -> Option<bool> {
        if asked < self.all_dirty || asked < self.complete || asked < self.partial {
            return None;
        }
        let is_first = self.complete == 0;
        self.complete = asked;
        self.dirty.retain(|_, stamp| *stamp > asked);
        self.compare(&entries, |_| true, moment.now);
        let known: BTreeMap<&str, &Arc<Entry>> =
            self.content.entries.iter().map(|entry| (&*entry.id, entry)).collect();
        let mut change = Change::new(revision);
        let mut gone: BTreeSet<&str> = known.keys().copied().collect();
        let mut next = Vec::with_capacity(entries.len());
        for entry in entries.drain(..) {
            gone.remove(&*entry.id);
            let before = known.get(&*entry.id).copied();
            next.push(change.entry(before, entry));
        }
        let gone: Vec<Box<str>> = gone.into_iter().map(Into::into).collect();
        let is_reordered = !next.iter().map(|it| &it.id).eq(self
            .content
            .entries
            .iter()
            .filter(|it| !gone.contains(&it.id))
            .map(|it| &it.id));
        for id in gone {
            let revision = change.revision();
            self.remember(Removed { revision, id });
        }
        if is_first {
            // Who knew the host before this must get everything.
            self.forgotten = change.revision();
        }
        let changed = change.made.is_some() || is_reordered;
        self.publish(next, asked, change.made, changed, moment);
        Some(changed)
    }

    /// The same for an answer about the containers `ids`: those that are not in it are gone.
    pub fn take_some(
        &mut self,
        asked: u64,
        ids: &BTreeSet<Box<str>>,
        entries: Vec<Entry>,
        moment: Moment,
        revision: &mut dyn FnMut() -> u64,
    ) -> Option<bool> {
        if asked < self.all_dirty || asked < self.complete || self.complete == 0 {
            return None;
        }
        self.partial = self.partial.max(asked);
        self.dirty.retain(|id, stamp| *stamp > asked || !ids.contains(id));
        self.compare(&entries, |id| ids.contains(id), moment.now);
        let mut change = Change::new(revision);
        let mut next = self.content.entries.clone();
        let found: BTreeSet<Box<str>> = entries.iter().map(|entry| entry.id.clone()).collect();
        let gone = |entry: &Arc<Entry>| ids.contains(&entry.id) && !found.contains(&entry.id);
        let removed: Vec<Box<str>> =
            next.iter().filter(|entry| gone(entry)).map(|entry| entry.id.clone()).collect();
        next.retain(|entry| !gone(entry));
        for entry in entries.into_iter().rev() {
            match next.iter_mut().find(|known| known.id == entry.id) {
                Some(known) => *known = change.entry(Some(&*known), entry),
                None => {
                    let place = next.iter().position(|known| known.created <= entry.created);
                    let entry = change.entry(None, entry);
                    next.insert(place.unwrap_or(next.len()), entry);
                }
            }
        }
        for id in removed {
            let revision = change.revision();
            self.remember(Removed { revision, id });
        }
        let changed = change.made.is_some();
        let asked = self.content.generation.max(if self.is_current() { asked } else { 0 });
        self.publish(next, asked, change.made, changed, moment);
        Some(changed)
    }

    /// Leaves containers out of date that an answer does not show as their events told. `is_asked` says
    /// which containers the answer is about.
    fn compare(&mut self, entries: &[Entry], is_asked: impl Fn(&str) -> bool, now: Millis) {
        let stamp = self.begin();
        let dirty = &mut self.dirty;
        self.expected.retain(|id, (expected, since)| {
            if !is_asked(id) {
                return true;
            }
            let Some(entry) = entries.iter().find(|entry| entry.id == *id) else { return false };
            let is_late = now - *since.get_or_insert(now) >= LATEST;
            let is_open = !expected.is_shown(&entry.state) && !is_late;
            if is_open {
                dirty.insert(id.clone(), stamp);
            }
            is_open
        });
    }

    fn remember(&mut self, removed: Removed) {
        self.removed.push_back(removed);
        if self.removed.len() > REMEMBERED
            && let Some(oldest) = self.removed.pop_front()
        {
            self.forgotten = self.forgotten.max(oldest.revision);
        }
    }

    fn publish(
        &mut self,
        entries: Vec<Arc<Entry>>,
        asked: u64,
        revision: Option<u64>,
        changed: bool,
        moment: Moment,
    ) {
        // A generation never has two contents.
        let generation = if changed { self.begin() } else { asked.max(self.content.generation) };
        self.content = Arc::new(Content {
            entries,
            generation,
            observed_at: Some(moment.asked_at),
            revision: revision.unwrap_or(self.content.revision),
        });
    }
}

impl Expected {
    fn is_shown(self, state: &str) -> bool {
        match self {
            Self::Started => true,
            Self::Ended => !matches!(state, "running" | "paused"),
            Self::Paused => state != "running",
            Self::Unpaused => state != "paused",
        }
    }
}

/// The revision of a change, which is taken when there is one.
struct Change<'a> {
    next: &'a mut dyn FnMut() -> u64,
    made: Option<u64>,
}

impl<'a> Change<'a> {
    fn new(next: &'a mut dyn FnMut() -> u64) -> Self {
        Self { next, made: None }
    }

    fn revision(&mut self) -> u64 {
        match self.made {
            Some(revision) => revision,
            None => *self.made.insert((self.next)()),
        }
    }

    /// The entry to keep: the known one, if nothing changed but what time changes.
    fn entry(&mut self, known: Option<&Arc<Entry>>, mut new: Entry) -> Arc<Entry> {
        let same = known.filter(|known| {
            known.form == new.form
                && known.state == new.state
                && known.names == new.names
                && new.status.goes_on_from(&known.status)
        });
        let Some(known) = same else {
            new.revision = self.revision();
            return Arc::new(new);
        };
        new.status.refine(&known.status);
        if new.status == known.status {
            return Arc::clone(known);
        }
        new.revision = known.revision;
        // One copy of the bytes.
        new.form = known.form.clone();
        Arc::new(new)
    }
}

#[cfg(test)]
mod tests;
