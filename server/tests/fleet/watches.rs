//! Watches of containers and hosts: the state, every change, and what happens to callers who read slowly,
//! go away, and come back.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use tonic::{Code, Streaming};
use wharf::fanout::{Envelope, FanoutResponse};
use wharf::v1;
use wharf::v1::watch_containers_response::Event;
use wharf::v1::watch_hosts_response::Event as HostEvent;
use wharf_server::config::ViewOptions;
use wharf_server::engine::ApiVersion;
use wharf_simulator::model::{Model, Time};

use crate::support::{Fleet, FleetOptions, IMAGE, all, at, list, name, reason, secs};

/// What a caller knows.
#[derive(Debug, Default)]
struct Known {
    hosts: Vec<String>,
    /// Names and states by host and ID.
    containers: BTreeMap<String, BTreeMap<String, (String, String)>>,
    syncs: BTreeMap<String, v1::ViewSync>,
    cursor: Option<v1::ViewCursor>,
    resets: usize,
    messages: usize,
    /// IDs that were sent as changed.
    changed: Vec<String>,
}

impl Known {
    fn take(&mut self, message: v1::WatchContainersResponse) {
        self.messages += 1;
        let host = message.host;
        match message.event.expect("an event that is known") {
            Event::Hosts(hosts) => {
                self.containers.retain(|host, _| hosts.hosts.contains(host));
                self.hosts = hosts.hosts;
            }
            Event::Reset(_) => {
                self.resets += 1;
                self.containers.remove(&host);
            }
            Event::Changed(batch) => {
                for it in batch.containers {
                    assert!(!it.status.is_empty(), "{it:?}");
                    self.changed.push(it.id.clone());
                    let known = self.containers.entry(host.clone()).or_default();
                    known.insert(it.id, (it.name, it.state));
                }
            }
            Event::Removed(removed) => {
                let known = self.containers.entry(host).or_default();
                removed.ids.iter().for_each(|id| drop(known.remove(id)));
            }
            Event::State(state) => {
                self.syncs.insert(host, state.sync());
            }
            Event::Heartbeat(_) => {}
        }
        self.cursor = message.cursor.or(self.cursor.take());
    }

    /// Reads until it is so, and a cursor came with it.
    async fn until(
        &mut self,
        stream: &mut Streaming<v1::WatchContainersResponse>,
        so: impl Fn(&Self) -> bool,
    ) {
        let read = async {
            loop {
                let message = stream.message().await.expect("no end").expect("no end");
                let is_place = message.cursor.is_some();
                self.take(message);
                if is_place && so(self) {
                    return;
                }
            }
        };
        let done = tokio::time::timeout(secs(60), read).await;
        assert!(done.is_ok(), "{self:#?}");
    }

    fn names(&self, host: usize) -> Vec<String> {
        let known = self.containers.get(&name(host));
        let mut names: Vec<String> = known
            .into_iter()
            .flatten()
            .map(|(_, (name, state))| format!("{name} {state}"))
            .collect();
        names.sort();
        names
    }

    fn is_live(&self, hosts: usize) -> bool {
        let live = self.syncs.values().filter(|sync| **sync == v1::ViewSync::Live).count();
        live == hosts
    }
}

fn request(targets: Option<v1::HostSelector>) -> v1::WatchContainersRequest {
    v1::WatchContainersRequest { targets, all: true, ..Default::default() }
}

async fn watch(
    fleet: &Fleet,
    request: v1::WatchContainersRequest,
) -> Streaming<v1::WatchContainersResponse> {
    fleet.containers().watch_containers(request).await.expect("a watch").into_inner()
}

/// The same from the Engines.
async fn truth(fleet: &Fleet, host: usize) -> Vec<String> {
    let stream = fleet.containers().list_containers(list(at(&[host]))).await;
    let mut stream = stream.expect("a list").into_inner();
    let mut names = Vec::new();
    while let Some(message) = stream.message().await.expect("a message") {
        if let (_, Some(Envelope::Payload(v1::list_containers_response::Event::Batch(batch)))) =
            message.into_envelope()
        {
            names
                .extend(batch.containers.into_iter().map(|it| format!("{} {}", it.name, it.state)));
        }
    }
    names.sort();
    names
}

fn change<R>(fleet: &Fleet, host: usize, change: impl FnOnce(&mut Model, Time) -> R) -> R {
    fleet.host(host).host().with(change)
}

fn create(model: &mut Model, now: Time, container: &str, app: &str) {
    let body = json!({"Image": IMAGE, "Labels": {"app": app}});
    model.create(now, ApiVersion::new(1, 41), Some(container), None, &body).expect("a container");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_has_the_state_and_then_every_change() {
    let fleet = Fleet::with(FleetOptions { containers: 2, ..FleetOptions::of(2) }).await;
    let mut stream = watch(&fleet, request(all())).await;
    let mut known = Known::default();
    known.until(&mut stream, |it| it.is_live(2) && it.containers.len() == 2).await;
    assert_eq!(known.hosts, [name(0), name(1)]);
    assert_eq!(known.names(0), ["c0 created", "c1 created"]);
    assert_eq!(known.resets, 2);

    known.changed.clear();
    change(&fleet, 1, |model, now| {
        model.start(now, "c0").unwrap();
        create(model, now, "new", "x");
        model.remove(now, "c1", true, false).unwrap();
    });
    known.until(&mut stream, |it| it.names(1) == ["c0 running", "new created"]).await;
    assert_eq!(known.names(0), ["c0 created", "c1 created"]);
    let told: BTreeSet<_> = known.changed.iter().collect();
    assert_eq!(told.len(), 2, "only what changed: {told:?}");
    // By this server.
    let start = crate::support::start(at(&[0]), "c1");
    crate::support::Answer::of(fleet.containers().start_containers(start)).await.all_succeeded();
    known.until(&mut stream, |it| it.names(0) == ["c0 created", "c1 running"]).await;
    assert_eq!(known.resets, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_tells_when_a_host_goes_away_and_comes_back() {
    let fleet = Fleet::new(2).await;
    let mut stream = watch(&fleet, request(all())).await;
    let mut known = Known::default();
    known.until(&mut stream, |it| it.is_live(2)).await;
    fleet.host(1).host().crash();
    let is = |it: &Known, sync| it.syncs.get(&name(1)) == Some(&sync);
    known.until(&mut stream, |it| is(it, v1::ViewSync::Unreachable)).await;
    assert_eq!(known.names(1), ["c0 created"], "what was known stays known");
    change(&fleet, 1, |model, now| create(model, now, "meanwhile", "x"));
    fleet.host(1).host().boot();
    known.until(&mut stream, |it| is(it, v1::ViewSync::Live)).await;
    assert_eq!(known.names(1), ["c0 created", "meanwhile created"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_continues_and_one_of_another_run_or_server_begins_again() {
    let mut fleet = Fleet::with(FleetOptions { containers: 3, ..FleetOptions::of(2) }).await;
    let mut known = Known::default();
    let mut stream = watch(&fleet, request(all())).await;
    known.until(&mut stream, |it| it.is_live(2) && it.containers.len() == 2).await;
    drop(stream);

    change(&fleet, 0, |model, now| {
        model.remove(now, "c0", true, false).unwrap();
        model.start(now, "c1").unwrap();
    });
    known.changed.clear();
    let after = |known: &Known| v1::WatchContainersRequest {
        after: known.cursor.clone(),
        ..request(all())
    };
    let mut stream = watch(&fleet, after(&known)).await;
    known.until(&mut stream, |it| it.names(0) == ["c1 running", "c2 created"]).await;
    assert_eq!(known.resets, 2, "nothing was sent again");
    assert_eq!(known.changed.len(), 1, "{:?}", known.changed);
    drop(stream);

    // More removals than are remembered: the host begins again, the other one does not.
    change(&fleet, 0, |model, now| {
        for number in 0..200 {
            create(model, now, &format!("n{number}"), "x");
        }
    });
    let mut stream = watch(&fleet, after(&known)).await;
    known.until(&mut stream, |it| it.names(0).len() == 202).await;
    drop(stream);
    change(&fleet, 0, |model, now| {
        for number in 0..200 {
            model.remove(now, &format!("n{number}"), true, false).unwrap();
        }
    });
    let mut other = watch(&fleet, request(all())).await;
    let mut newest = Known::default();
    newest.until(&mut other, |it| it.names(0) == ["c1 running", "c2 created"]).await;
    let mut stream = watch(&fleet, after(&known)).await;
    known.until(&mut stream, |it| it.names(0) == ["c1 running", "c2 created"]).await;
    assert_eq!(known.resets, 3);

    // The server starts again, and the cursor is of its earlier run.
    drop((stream, other));
    fleet.stop().await;
    fleet.start().await;
    let mut stream = watch(&fleet, after(&known)).await;
    known.until(&mut stream, |it| it.resets == 5 && it.is_live(2)).await;
    for host in 0..2 {
        assert_eq!(known.names(host), truth(&fleet, host).await);
    }
    // One that nobody gave.
    let epoch = known.cursor.clone().unwrap().epoch;
    for (epoch, revision) in [(epoch, u64::MAX), ("another server".to_owned(), 1)] {
        let strange = v1::ViewCursor { epoch, revision };
        let strange = v1::WatchContainersRequest { after: Some(strange), ..request(all()) };
        let mut stream = watch(&fleet, strange).await;
        let mut begun = Known::default();
        begun.until(&mut stream, |it| it.resets == 2).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_watcher_gets_fewer_messages_and_the_whole_state() {
    let fleet = Fleet::new(1).await;
    let mut stream = watch(&fleet, request(all())).await;
    let mut known = Known::default();
    known.until(&mut stream, |it| it.is_live(1)).await;
    let before = known.messages;
    // Each is seen by the server, and none is read.
    let mut quick = watch(&fleet, request(all())).await;
    let mut seen = Known::default();
    let text = "x".repeat(20_000);
    for round in 0..100 {
        change(&fleet, 0, |model, now| {
            for number in 0..10 {
                create(model, now, &format!("r{round}-{number}"), &text);
                if round > 0 {
                    let old = format!("r{}-{number}", round - 1);
                    model.remove(now, &old, true, false).unwrap();
                }
            }
        });
        let last = format!("r{round}-9 created");
        seen.until(&mut quick, |it| it.names(0).contains(&last)).await;
    }
    known.until(&mut stream, |it| it.names(0) == seen.names(0)).await;
    assert_eq!(known.names(0), truth(&fleet, 0).await);
    let (slow, quick) = (known.messages - before, seen.messages);
    assert!(slow < quick, "{slow} messages for one that reads slowly, {quick} for the other");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_and_selectors_of_a_watch_follow_the_changes() {
    let fleet = Fleet::new(2).await;
    change(&fleet, 0, |model, now| {
        create(model, now, "web", "shop");
        create(model, now, "db", "other");
    });
    let filter =
        |key: &str, value: &str| v1::Filter { key: key.to_owned(), values: vec![value.to_owned()] };
    let running = v1::WatchContainersRequest {
        filters: vec![filter("label", "app=shop"), filter("status", "running")],
        ..request(at(&[0]))
    };
    let mut stream = watch(&fleet, running.clone()).await;
    let mut known = Known::default();
    known.until(&mut stream, |it| it.is_live(1)).await;
    assert!(known.names(0).is_empty());
    change(&fleet, 0, |model, now| {
        model.start(now, "web").unwrap();
        model.start(now, "db").unwrap();
    });
    known.until(&mut stream, |it| it.names(0) == ["web running"]).await;
    change(&fleet, 0, |model, now| model.pause(now, "web").unwrap());
    known.until(&mut stream, |it| it.names(0).is_empty()).await;
    drop(stream);
    // It matched when the caller left, and does not when they come back.
    change(&fleet, 0, |model, _| model.unpause(model_now(), "web").unwrap());
    let after = |known: &Known| v1::WatchContainersRequest {
        after: known.cursor.clone(),
        ..running.clone()
    };
    let mut stream = watch(&fleet, after(&known)).await;
    known.until(&mut stream, |it| it.names(0) == ["web running"]).await;
    drop(stream);
    change(&fleet, 0, |model, now| model.stop(now, "web", Some(1)).unwrap());
    let mut stream = watch(&fleet, after(&known)).await;
    known.until(&mut stream, |it| it.names(0).is_empty()).await;
    assert_eq!(known.resets, 1);

    for (key, value) in [("ancestor", "app"), ("name", "["), ("health", "healthy")] {
        let bad =
            v1::WatchContainersRequest { filters: vec![filter(key, value)], ..request(all()) };
        let status = fleet.containers().watch_containers(bad).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status)),
            (Code::InvalidArgument, "INVALID_FIELD".to_owned())
        );
    }
    let nowhere = fleet.containers().watch_containers(request(None)).await.unwrap_err();
    assert_eq!(nowhere.code(), Code::InvalidArgument);
}

fn model_now() -> Time {
    Time::BEGINNING + secs(1)
}

/// What a caller waits for: the hosts, whether they answer, and how often everything was sent again.
type So<'a> =
    &'a dyn Fn(&BTreeMap<String, v1::Host>, &BTreeMap<String, v1::HostViewState>, usize) -> bool;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_are_watched_with_whether_they_answer() {
    let mut fleet = Fleet::new(2).await;
    let watch = async |fleet: &Fleet, after: Option<v1::ViewCursor>| {
        let request = v1::WatchHostsRequest { targets: None, after };
        fleet.inventory().watch_hosts(request).await.expect("a watch").into_inner()
    };
    let mut stream = watch(&fleet, None).await;
    let mut hosts: BTreeMap<String, v1::Host> = BTreeMap::new();
    let mut states: BTreeMap<String, v1::HostViewState> = BTreeMap::new();
    let (mut resets, mut cursor) = (0, None);
    let mut until = async |stream: &mut Streaming<v1::WatchHostsResponse>, so: So<'_>| {
        let deadline = tokio::time::Instant::now() + secs(60);
        while !so(&hosts, &states, resets) {
            let message = tokio::time::timeout_at(deadline, stream.message()).await;
            let message = message.expect("it becomes so").expect("no end").expect("no end");
            cursor = message.cursor.or(cursor.take());
            match message.event.expect("an event that is known") {
                HostEvent::Reset(_) => {
                    hosts.clear();
                    resets += 1;
                }
                HostEvent::Host(host) => drop(hosts.insert(host.name.clone(), host)),
                HostEvent::Removed(name) => drop(hosts.remove(&name)),
                HostEvent::State(state) => drop(states.insert(state.host.clone(), state)),
                HostEvent::Heartbeat(_) => {}
            }
        }
        cursor.clone()
    };
    let sync = |states: &BTreeMap<String, v1::HostViewState>, host: usize| {
        states.get(&name(host)).and_then(|it| it.state).map(|it| it.sync())
    };
    let live = Some(v1::ViewSync::Live);
    until(&mut stream, &|hosts, states, _| {
        hosts.len() == 2 && (0..2).all(|host| sync(states, host) == live)
    })
    .await;
    fleet.host(1).host().crash();
    until(&mut stream, &|_, states, _| {
        let state = states.get(&name(1));
        sync(states, 1) == Some(v1::ViewSync::Unreachable)
            && state.is_some_and(|it| it.trouble.as_ref().is_some_and(|it| it.code != 0))
    })
    .await;
    fleet.host(1).host().boot();
    until(&mut stream, &|_, states, _| sync(states, 1) == live).await;
    // The inventory.
    let add = v1::AddHostRequest {
        name: "added".to_owned(),
        address: fleet.host(0).address(),
        ..Default::default()
    };
    fleet.inventory().add_host(add).await.unwrap();
    until(&mut stream, &|hosts, _, _| hosts.contains_key("added")).await;
    let cordon = v1::CordonHostsRequest { targets: at(&[0]), ..Default::default() };
    fleet.inventory().cordon_hosts(cordon).await.unwrap();
    until(&mut stream, &|hosts, _, _| hosts[&name(0)].cordon.is_some()).await;
    let remove = v1::RemoveHostRequest { name: "added".to_owned(), ..Default::default() };
    fleet.inventory().remove_host(remove).await.unwrap();
    // With it goes the warning that another host has this address.
    let is_whole = |host: &v1::Host| host.warnings.is_empty();
    let place =
        until(&mut stream, &|hosts, _, _| hosts.len() == 2 && hosts.values().all(is_whole)).await;
    assert!(place.is_some());
    // With a cursor, the hosts are not sent again while nothing changed.
    drop(stream);
    let mut stream = watch(&fleet, place.clone()).await;
    until(&mut stream, &|_, _, resets| resets == 1).await;
    let first = stream.message().await.unwrap().unwrap();
    assert!(matches!(first.event, Some(HostEvent::State(_))), "{first:?}");
    drop(stream);
    fleet.stop().await;
    fleet.start().await;
    let mut stream = watch(&fleet, place).await;
    until(&mut stream, &|hosts, _, resets| resets == 2 && hosts.len() == 2).await;
    // A server that stops says so.
    fleet.stop().await;
    let status = loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it does not end well"),
            Err(status) => break status,
        }
    };
    assert_eq!(reason(&status), "SERVER_STOPPING");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_need_views() {
    let view = ViewOptions { enabled: false, ..ViewOptions::default() };
    let fleet = Fleet::with(FleetOptions { view, ..FleetOptions::of(1) }).await;
    let status = fleet.containers().watch_containers(request(all())).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(reason(&status), "VIEW_DISABLED");
    let hosts = v1::WatchHostsRequest::default();
    let status = fleet.inventory().watch_hosts(hosts).await.unwrap_err();
    assert_eq!(reason(&status), "VIEW_DISABLED");
}
