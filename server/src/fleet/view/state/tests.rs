use proptest::prelude::*;

use super::*;

fn entry(id: &str, state: &str, created: i64) -> Entry {
    Entry {
        id: id.into(),
        names: [id.into()].into(),
        state: state.into(),
        created,
        status: StatusText::read("", 0),
        form: Bytes::from(format!("{id} {state}")),
        revision: 0,
    }
}

fn moment() -> Moment {
    Moment { asked_at: SystemTime::UNIX_EPOCH, now: 0 }
}

/// A state with its counter of revisions.
struct Host {
    state: State,
    revision: u64,
}

impl Host {
    fn new() -> Self {
        Self { state: State::new(100), revision: 0 }
    }

    fn take_all(&mut self, asked: u64, entries: Vec<Entry>) -> Option<bool> {
        let revision = &mut self.revision;
        self.state.take_all(asked, entries, moment(), &mut || {
            *revision += 1;
            *revision
        })
    }

    fn take_some(&mut self, asked: u64, ids: &[&str], entries: Vec<Entry>) -> Option<bool> {
        let revision = &mut self.revision;
        let ids = ids.iter().map(|id| (*id).into()).collect();
        self.state.take_some(asked, &ids, entries, moment(), &mut || {
            *revision += 1;
            *revision
        })
    }

    fn list(&mut self, entries: Vec<Entry>) -> Option<bool> {
        let asked = self.state.begin();
        self.take_all(asked, entries)
    }

    fn shown(&self) -> Vec<String> {
        let entries = &self.state.content().entries;
        entries.iter().map(|entry| format!("{} {}", entry.id, entry.state)).collect()
    }
}

#[test]
fn a_list_that_does_not_show_yet_what_an_event_told_leaves_the_container_out_of_date() {
    let mut host = Host::new();
    let a = |state: &str| entry("a", state, 1);
    host.list(vec![a("running"), entry("b", "running", 2)]);
    // The list of a reader and that of the follower both come before the Engine has stored the end.
    host.state.invalidate_one("a");
    host.state.expect("a", Expected::Ended);
    host.list(vec![a("running"), entry("b", "running", 2)]);
    assert_eq!(host.state.need(), Need::Some(["a".into()].into()));
    let asked = host.state.begin();
    host.take_some(asked, &["a"], vec![a("running")]);
    assert!(!host.state.is_current());
    // An answer about another container says nothing.
    let asked = host.state.begin();
    host.take_some(asked, &["b"], vec![entry("b", "exited", 2)]);
    assert!(!host.state.is_current());
    let asked = host.state.begin();
    host.take_some(asked, &["a"], vec![a("exited")]);
    assert!(host.state.is_current());
    // A later event takes the place of an earlier one.
    host.state.expect("a", Expected::Ended);
    host.state.expect("a", Expected::Started);
    host.list(vec![a("running"), entry("b", "exited", 2)]);
    assert!(host.state.is_current());
    for (expected, other, told) in
        [(Expected::Paused, "running", "paused"), (Expected::Unpaused, "paused", "running")]
    {
        host.state.expect("a", expected);
        host.list(vec![a(other)]);
        assert!(!host.state.is_current(), "{expected:?}");
        host.list(vec![a(told)]);
        assert!(host.state.is_current(), "{expected:?}");
    }
    // What is gone, and what stays otherwise for long, is not waited for.
    host.state.expect("a", Expected::Ended);
    host.list(vec![]);
    assert!(host.state.is_current());
    host.state.expect("a", Expected::Ended);
    host.list(vec![a("running")]);
    assert!(!host.state.is_current());
    let (asked, later) = (host.state.begin(), Moment { now: LATEST, ..moment() });
    host.state.take_all(asked, vec![a("running")], later, &mut || 1);
    assert!(host.state.is_current());
}

#[test]
fn an_answer_that_was_overtaken_is_not_taken() {
    let mut host = Host::new();
    assert_eq!(host.state.need(), Need::All);
    // A change of this server, while the list is under way.
    let asked = host.state.begin();
    let changed = host.state.invalidate();
    assert_eq!(host.take_all(asked, vec![entry("a", "running", 1)]), None);
    assert!(!host.state.is_current());
    assert_eq!(host.list(vec![entry("a", "exited", 1)]), Some(true));
    assert!(host.state.is_current() && host.state.content().generation > changed);
    // An older list that comes later.
    let (older, newer) = (host.state.begin(), host.state.begin());
    assert_eq!(host.take_all(newer, vec![entry("a", "running", 1)]), Some(true));
    assert_eq!(host.take_all(older, vec![entry("a", "exited", 1)]), None);
    assert_eq!(host.take_some(older, &["a"], vec![]), None);
    // A list that is older than what is known of one container.
    let (older, newer) = (host.state.begin(), host.state.begin());
    assert_eq!(host.take_some(newer, &["a"], vec![entry("a", "paused", 1)]), Some(true));
    assert_eq!(host.take_all(older, vec![entry("a", "running", 1)]), None);
    assert_eq!(host.shown(), ["a paused"]);
}

#[test]
fn what_an_event_says_is_out_of_date_until_it_was_asked_for() {
    let mut host = Host::new();
    host.list(vec![entry("c", "running", 3), entry("a", "running", 1)]);
    host.state.invalidate_one("a");
    let asked = host.state.begin();
    // Again, while the answer is under way.
    host.state.invalidate_one("a");
    host.state.invalidate_one("b");
    assert_eq!(host.take_some(asked, &["a"], vec![entry("a", "exited", 1)]), Some(true));
    let ids = ["a", "b"].map(Box::from).into();
    assert_eq!(host.state.need(), Need::Some(ids));
    let asked = host.state.begin();
    host.take_some(asked, &["a", "b"], vec![entry("b", "created", 2)]);
    assert_eq!(host.state.need(), Need::Nothing);
    assert!(host.state.is_current());
    // In its place, and what is not there any longer is gone.
    assert_eq!(host.shown(), ["c running", "b created"]);
    host.state.invalidate();
    assert_eq!(host.state.need(), Need::All);
}

#[test]
fn one_generation_is_one_content_and_what_did_not_change_has_its_revision() {
    let mut host = Host::new();
    let list = || vec![entry("b", "running", 2), entry("a", "running", 1)];
    host.list(list());
    let first = Arc::clone(host.state.content());
    assert_eq!(host.list(list()), Some(false));
    let second = Arc::clone(host.state.content());
    assert!(second.generation > first.generation);
    assert_eq!(second.revision, first.revision);
    assert!(Arc::ptr_eq(&first.entries[0], &second.entries[0]));
    host.list(vec![entry("b", "exited", 2), entry("a", "running", 1)]);
    let third = host.state.content();
    assert!(third.revision > second.revision);
    assert_eq!(third.entries[0].revision, third.revision);
    assert_eq!(third.entries[1].revision, first.entries[1].revision);
}

#[test]
fn removals_are_remembered_for_a_while() {
    let mut host = Host::new();
    assert!(host.state.removed_after(0).is_none(), "nothing is known");
    host.list((0..300).map(|number| entry(&number.to_string(), "running", 1)).collect());
    assert!(host.state.removed_after(0).is_none(), "from before it was known");
    let start = host.state.content().revision;
    assert_eq!(host.state.removed_after(start).unwrap().count(), 0);
    for number in 0..REMEMBERED {
        let (asked, id) = (host.state.begin(), number.to_string());
        host.take_some(asked, &[&id], vec![]);
    }
    assert_eq!(host.state.removed_after(start).unwrap().count(), REMEMBERED);
    let asked = host.state.begin();
    host.take_some(asked, &["299"], vec![]);
    assert!(host.state.removed_after(start).is_none());
    let removed: Vec<_> = host.state.removed_after(start + 1).unwrap().collect();
    assert_eq!(removed.len(), REMEMBERED);
}

proptest! {
    /// An Engine that changes, events that come late, and questions that are answered late and in any
    /// order: whenever the view says that it is current, it is what the Engine had when the last event
    /// came or later.
    #[test]
    fn a_current_view_has_everything_that_was_told(
        steps in prop::collection::vec((0..7_u8, 0..4_usize), 1..120),
    ) {
        let ids = ["a", "b", "c", "d"];
        let mut truth: [Option<u32>; 4] = [None; 4];
        let mut host = Host::new();
        // What the view has been told of each container.
        let mut told = truth;
        let mut events: Vec<usize> = Vec::new();
        let mut answers: Vec<(u64, Option<usize>, [Option<u32>; 4])> = Vec::new();
        let list = |truth: &[Option<u32>; 4], only: Option<usize>| -> Vec<Entry> {
            let one = |(place, version): (usize, &Option<u32>)| {
                let created = i64::try_from(place).unwrap();
                version.map(|version| entry(ids[place], &version.to_string(), created))
            };
            let wanted = |entry: &Entry| only.is_none_or(|place| *entry.id == *ids[place]);
            truth.iter().enumerate().rev().filter_map(one).filter(wanted).collect()
        };
        let mut version = 0;
        for (step, place) in steps {
            match step {
                0 => {
                    version += 1;
                    truth[place] = Some(version);
                    events.push(place);
                }
                1 => {
                    truth[place] = None;
                    events.push(place);
                }
                2 if !events.is_empty() => {
                    let place = events.remove(0);
                    host.state.invalidate_one(ids[place]);
                    told[place] = truth[place];
                }
                3 => {
                    let asked = host.state.begin();
                    answers.push((asked, None, truth));
                }
                4 => {
                    let asked = host.state.begin();
                    answers.push((asked, Some(place), truth));
                }
                5 if !answers.is_empty() => {
                    let (asked, only, then) = answers.remove(place % answers.len());
                    let entries = list(&then, only);
                    match only {
                        None => host.take_all(asked, entries),
                        Some(place) => host.take_some(asked, &[ids[place]], entries),
                    };
                }
                6 => {
                    // A change by this server: no event is needed.
                    version += 1;
                    truth[place] = Some(version);
                    told[place] = truth[place];
                    host.state.invalidate();
                }
                _ => {}
            }
            if host.state.is_current() {
                for (place, id) in ids.iter().enumerate() {
                    let shown = host.state.content().entries.iter().find(|it| *it.id == **id);
                    let shown: Option<u32> = shown.map(|it| it.state.parse().unwrap());
                    // As it was when the last event about it came, or newer.
                    let fine = shown == told[place]
                        || shown == truth[place]
                        || shown > told[place]
                        || events.contains(&place);
                    prop_assert!(fine, "{id}: {shown:?}, told {:?}, is {:?}", told[place], truth[place]);
                }
            }
        }
    }
}
