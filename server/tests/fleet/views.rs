//! Lists from the views of hosts: what they agree with, and when the Engine is asked instead.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tonic::Code;
use wharf::v1;
use wharf::v1::list_containers_response::Event;
use wharf_server::config::ViewOptions;
use wharf_server::engine::ApiVersion;
use wharf_simulator::http::HttpFault;
use wharf_simulator::model::{Model, Time};
use wharf_simulator::{Operation, When};

use crate::support::{Answer, Fleet, FleetOptions, IMAGE, all, at, list, name, secs, start};

/// The containers of each host by name, without what time changes.
type Containers = BTreeMap<String, BTreeMap<String, v1::Container>>;

fn from_view(targets: Option<v1::HostSelector>) -> v1::ListContainersRequest {
    v1::ListContainersRequest { consistency: v1::Consistency::View.into(), ..list(targets) }
}

async fn ask(fleet: &Fleet, request: v1::ListContainersRequest) -> Answer<Event> {
    Answer::of(fleet.containers().list_containers(request)).await
}

fn containers(answer: &Answer<Event>) -> Containers {
    let mut hosts = Containers::new();
    for (host, payload) in &answer.payloads {
        let Event::Batch(batch) = payload else { panic!("{payload:?}") };
        for container in &batch.containers {
            let container = v1::Container { status: String::new(), ..container.clone() };
            let known = hosts.entry(host.clone()).or_default();
            assert_eq!(known.insert(container.name.clone(), container), None, "twice");
        }
    }
    hosts
}

fn view_of(answer: &Answer<Event>, host: usize) -> &v1::ViewState {
    answer.outcomes[&name(host)].view.as_ref().expect("a list says how current it is")
}

/// Lists from the views until all these hosts answer from them.
async fn until_followed(fleet: &Fleet, hosts: &[usize]) -> Answer<Event> {
    let deadline = tokio::time::Instant::now() + secs(60);
    loop {
        let answer = ask(fleet, from_view(at(hosts))).await;
        let is_known = |host: &usize| !view_of(&answer, *host).fresh;
        if answer.outcomes.values().all(|it| it.view.is_some()) && hosts.iter().all(is_known) {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "{:?}", answer.outcomes);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// Lists from the views until that is as the Engines say.
async fn until_it_agrees(fleet: &Fleet, hosts: &[usize]) {
    let deadline = tokio::time::Instant::now() + secs(60);
    loop {
        let known = containers(&until_followed(fleet, hosts).await);
        let truth = containers(&ask(fleet, list(at(hosts))).await);
        if known == truth {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{known:#?} is not {truth:#?}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

fn change<R>(fleet: &Fleet, host: usize, change: impl FnOnce(&mut Model, Time) -> R) -> R {
    fleet.host(host).host().with(change)
}

fn create(model: &mut Model, now: Time, container: &str) {
    let body = json!({"Image": IMAGE, "Labels": {"app": container}});
    model.create(now, ApiVersion::new(1, 41), Some(container), None, &body).expect("a container");
}

fn lists(fleet: &Fleet, host: usize) -> u64 {
    fleet.host(host).counters.count(Operation::ListContainers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_answers_without_the_engine_and_says_how_current_it_is() {
    let fleet = Fleet::with(FleetOptions { containers: 3, ..FleetOptions::of(2) }).await;
    let first = ask(&fleet, from_view(all())).await;
    assert!(view_of(&first, 0).fresh, "nobody had asked for it before");
    let known = until_followed(&fleet, &[0, 1]).await;
    let before = lists(&fleet, 0);
    for _ in 0..20 {
        let answer = ask(&fleet, from_view(all())).await;
        answer.all_succeeded();
        let view = view_of(&answer, 0);
        assert_eq!(view.sync(), v1::ViewSync::Live);
        assert!(!view.fresh && view.generation > 0 && view.observed_at.is_some(), "{view:?}");
        assert_eq!(containers(&answer), containers(&known));
    }
    assert_eq!(lists(&fleet, 0), before);
    // What a view does not have, and what is not to come from it, comes from the Engine.
    let sizes = v1::ListContainersRequest { size: true, ..from_view(all()) };
    let fresh = v1::ListContainersRequest { consistency: 1, ..from_view(all()) };
    for request in [sizes, fresh, list(all())] {
        let answer = ask(&fleet, request).await;
        assert!(view_of(&answer, 0).fresh);
        assert_eq!(view_of(&answer, 0).sync(), v1::ViewSync::Live);
    }
    assert_eq!(lists(&fleet, 0), before + 3);
    let running = v1::ListContainersRequest { all: false, ..from_view(all()) };
    assert!(containers(&ask(&fleet, running).await).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_reads_its_own_writes() {
    let fleet = Fleet::new(3).await;
    until_followed(&fleet, &[0, 1, 2]).await;
    let mut last = 0;
    for round in 0..30 {
        let (state, answer) = if round % 2 == 0 {
            let answer = Answer::of(fleet.containers().start_containers(start(all(), "c0"))).await;
            ("running", answer.outcomes)
        } else {
            let request = v1::StopContainersRequest {
                targets: all(),
                containers: vec!["c0".to_owned()],
                ..Default::default()
            };
            ("exited", Answer::of(fleet.containers().stop_containers(request)).await.outcomes)
        };
        let list = ask(&fleet, from_view(all())).await;
        for host in 0..3 {
            assert_eq!(containers(&list)[&name(host)]["c0"].state, state, "round {round}");
        }
        let written = answer[&name(0)].view.as_ref().expect("it is followed").generation;
        assert!(written > last && view_of(&list, 0).generation > written, "{written}");
        last = view_of(&list, 0).generation;
        if round % 3 == 0 {
            until_followed(&fleet, &[0, 1, 2]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generation_that_the_view_does_not_have_is_asked_from_the_engine() {
    let fleet = Fleet::new(1).await;
    let known = until_followed(&fleet, &[0]).await;
    let generation = view_of(&known, 0).generation;
    let at_least = |generation| v1::ListContainersRequest {
        min_generation: [(name(0), generation), ("unknown".to_owned(), 1)].into(),
        ..from_view(all())
    };
    assert!(!view_of(&ask(&fleet, at_least(generation)).await, 0).fresh);
    assert!(view_of(&ask(&fleet, at_least(generation + 1_000_000)).await, 0).fresh);
    let bad = v1::ListContainersRequest {
        min_generation: [("no host".to_owned(), 1)].into(),
        ..from_view(all())
    };
    let status = fleet.containers().list_containers(bad).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let unknown = v1::ListContainersRequest { consistency: 7, ..list(all()) };
    let status = fleet.containers().list_containers(unknown).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_at_the_same_time_share_the_lists_that_a_view_needs() {
    let fleet = Fleet::new(1).await;
    let known = until_followed(&fleet, &[0]).await;
    let later = view_of(&known, 0).generation + 1_000_000;
    let request =
        v1::ListContainersRequest { min_generation: [(name(0), later)].into(), ..from_view(all()) };
    let before = lists(&fleet, 0);
    fleet.host(0).set_latency(Duration::from_secs(1));
    let mut streams = Vec::new();
    for _ in 0..40 {
        let mut stream =
            fleet.containers().list_containers(request.clone()).await.unwrap().into_inner();
        let started = stream.message().await.unwrap().unwrap();
        assert!(matches!(started.event, Some(Event::Started(_))), "{started:?}");
        streams.push(stream);
    }
    for mut stream in streams {
        let mut outcome = None;
        while let Some(message) = stream.message().await.unwrap() {
            if let Some(Event::Outcome(it)) = message.event {
                outcome = Some(it);
            }
        }
        let outcome = outcome.unwrap();
        assert!(outcome.view.as_ref().is_some_and(|view| view.fresh), "{outcome:?}");
    }
    let asked = lists(&fleet, 0) - before;
    // One that was asked first, and one for all others; some may have come between the two.
    assert!((1..=5).contains(&asked), "{asked} lists for 40 callers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_change_is_seen_by_its_events() {
    let fleet = Fleet::new(2).await;
    until_followed(&fleet, &[0, 1]).await;
    for round in 0..10 {
        change(&fleet, 0, |model, now| {
            create(model, now, &format!("new{round}"));
            model.start(now, "c0").unwrap();
            model.rename(&format!("new{round}"), &format!("old{round}")).unwrap();
        });
        until_it_agrees(&fleet, &[0, 1]).await;
        change(&fleet, 0, |model, now| {
            model.stop(now, "c0", Some(1)).unwrap();
            model.remove(now, &format!("old{round}"), true, false).unwrap();
        });
        until_it_agrees(&fleet, &[0, 1]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_events_than_an_engine_remembers_end_in_the_true_state() {
    let fleet = Fleet::new(1).await;
    until_followed(&fleet, &[0]).await;
    let burst = |prefix: &str| {
        change(&fleet, 0, |model, now| {
            for number in 0..150 {
                create(model, now, &format!("{prefix}{number}"));
            }
            for number in 0..149 {
                model.remove(now, &format!("{prefix}{number}"), true, false).unwrap();
            }
        });
    };
    burst("connected");
    until_it_agrees(&fleet, &[0]).await;
    fleet.host(0).host().set_unreachable(true);
    burst("away");
    fleet.host(0).host().set_unreachable(false);
    until_it_agrees(&fleet, &[0]).await;
    let known = containers(&until_followed(&fleet, &[0]).await);
    let names: Vec<_> = known[&name(0)].keys().cloned().collect();
    assert_eq!(names, ["away149", "c0", "connected149"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_events_are_made_up_for_by_the_next_complete_list() {
    let view = ViewOptions { resync: secs(1), ..ViewOptions::default() };
    let fleet = Fleet::with(FleetOptions { view, ..FleetOptions::of(1) }).await;
    until_followed(&fleet, &[0]).await;
    change(&fleet, 0, |model, now| {
        model.lose_events(true);
        create(model, now, "unheard");
        model.start(now, "c0").unwrap();
    });
    until_it_agrees(&fleet, &[0]).await;
}

/// As behind a proxy that sends new connections to another Engine: the stream of events is still that of
/// the first one, and calls are answered by the second one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_in_the_place_of_another_is_shown_with_the_next_complete_list() {
    let view = ViewOptions { resync: secs(1), ..ViewOptions::default() };
    let fleet = Fleet::with(FleetOptions { view, ..FleetOptions::of(2) }).await;
    change(&fleet, 0, |model, now| create(model, now, "first"));
    change(&fleet, 1, |model, now| create(model, now, "second"));
    until_followed(&fleet, &[0, 1]).await;
    change(&fleet, 0, |one, _| change(&fleet, 1, |other, _| std::mem::swap(one, other)));
    until_it_agrees(&fleet, &[0, 1]).await;
    // And from then on, although the events of this one are not read.
    change(&fleet, 0, |model, now| create(model, now, "later"));
    until_it_agrees(&fleet, &[0, 1]).await;
    let known = containers(&until_followed(&fleet, &[0, 1]).await);
    let names = |host| known[&name(host)].keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(0), ["c0", "later", "second"]);
    assert_eq!(names(1), ["c0", "first"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_gone_fails_as_ever_and_is_followed_again_when_it_is_back() {
    let view = ViewOptions { ping: secs(1), ..ViewOptions::default() };
    let fleet = Fleet::with(FleetOptions { view, ..FleetOptions::of(2) }).await;
    until_followed(&fleet, &[0, 1]).await;

    // An Engine that dies and forgets its events.
    fleet.host(1).host().crash();
    let deadline = tokio::time::Instant::now() + secs(60);
    let answer = loop {
        let answer = ask(&fleet, from_view(all())).await;
        if answer.succeeded().len() == 1 {
            break answer;
        }
        assert!(tokio::time::Instant::now() < deadline);
    };
    assert_eq!(answer.code_and_reason(&name(1)).1, "HOST_UNREACHABLE");
    change(&fleet, 1, |model, now| create(model, now, "meanwhile"));
    fleet.host(1).host().boot();
    until_it_agrees(&fleet, &[0, 1]).await;

    // One that is there and says nothing: its stream of events is as silent as before.
    fleet.host(1).host().set_hung(true);
    let request = || v1::ListContainersRequest {
        fanout: crate::support::host_timeout(std::time::Duration::from_millis(300)),
        ..from_view(all())
    };
    loop {
        let answer = ask(&fleet, request()).await;
        if answer.succeeded() == [name(0)] {
            break;
        }
        assert_eq!(view_of(&answer, 1).sync(), v1::ViewSync::Live, "until it is noticed");
        assert!(tokio::time::Instant::now() < deadline + secs(60));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    fleet.host(1).host().set_hung(false);
    until_it_agrees(&fleet, &[0, 1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_that_cannot_be_kept_is_never_used() {
    let fleet = Fleet::new(2).await;
    // The stream of events of one host never opens.
    fleet.host(1).faults.add(When::on(Operation::Events), HttpFault::HangBeforeHeaders);
    until_followed(&fleet, &[0]).await;
    for _ in 0..10 {
        let answer = ask(&fleet, from_view(all())).await;
        answer.all_succeeded();
        assert!(view_of(&answer, 1).fresh && view_of(&answer, 1).sync() != v1::ViewSync::Live);
        change(&fleet, 1, |model, now| {
            let number = model.containers().count();
            create(model, now, &format!("n{number}"));
        });
        let known = containers(&ask(&fleet, from_view(at(&[1]))).await);
        assert_eq!(known, containers(&ask(&fleet, list(at(&[1]))).await));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_followed_when_nobody_wants_it_or_views_are_off() {
    let view = ViewOptions { enabled: false, ..ViewOptions::default() };
    let fleet = Fleet::with(FleetOptions { view, ..FleetOptions::of(1) }).await;
    let answer = ask(&fleet, from_view(all())).await;
    assert!(view_of(&answer, 0).fresh);
    assert_eq!(view_of(&answer, 0).sync(), v1::ViewSync::Unspecified);
    assert_eq!(fleet.host(0).counters.count(Operation::Events), 0);

    let view = ViewOptions { idle: secs(1), ..ViewOptions::default() };
    let fleet = Fleet::with(FleetOptions { view, ..FleetOptions::of(1) }).await;
    let fresh = ask(&fleet, list(all())).await;
    assert_eq!(view_of(&fresh, 0).sync(), v1::ViewSync::Unspecified);
    assert_eq!(fleet.host(0).counters.count(Operation::Events), 0);
    until_followed(&fleet, &[0]).await;
    let in_flight = || fleet.host(0).counters.snapshot().in_flight;
    crate::support::until("the events are no longer read", || in_flight() == 0).await;
    assert_eq!(view_of(&ask(&fleet, list(all())).await, 0).sync(), v1::ViewSync::Unspecified);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_choose_from_a_view_as_from_the_engine() {
    let fleet = Fleet::with(FleetOptions { containers: 4, ..FleetOptions::of(1) }).await;
    change(&fleet, 0, |model, now| {
        for number in 0..3 {
            create(model, now, &format!("web-{number}"));
        }
        model.start(now, "web-1").unwrap();
        model.start(now, "c2").unwrap();
        model.pause(now, "c2").unwrap();
    });
    until_followed(&fleet, &[0]).await;
    let id = change(&fleet, 0, |model, _| model.container("web-2").unwrap().id.clone());
    let filters: Vec<(&str, &str)> = vec![
        ("name", "web"),
        ("name", "^web-1$"),
        ("name", "^/c[12]"),
        ("name", "c.|web-0"),
        ("label", "app"),
        ("label", "app=web-1"),
        ("label", "app=nothing"),
        ("status", "created"),
        ("status", "paused"),
        ("id", &id[..12]),
        ("id", "0f0f0f0f0f"),
    ];
    for (key, value) in filters {
        for all_states in [false, true] {
            let filter = v1::Filter { key: key.to_owned(), values: vec![value.to_owned()] };
            let request = |request| v1::ListContainersRequest {
                all: all_states,
                filters: vec![filter.clone()],
                ..request
            };
            let known = ask(&fleet, request(from_view(all()))).await;
            let is_simple = value != "^/c[12]";
            assert_eq!(view_of(&known, 0).fresh, !is_simple, "{key}={value}");
            let truth = ask(&fleet, request(list(all()))).await;
            assert_eq!(containers(&known), containers(&truth), "{key}={value}");
        }
    }
}
