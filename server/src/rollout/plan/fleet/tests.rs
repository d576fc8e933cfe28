use std::time::Duration;

use super::super::host::{NewContainer, Present, Replacement};
use super::*;
use crate::rollout::model::{OldFacts, Order, RestartPolicy, Trouble};
use crate::rollout::recreate::order_where;
use crate::rollout::spec::{Amount, OrderPreference, Stopped};

fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

fn new() -> NewContainer {
    NewContainer {
        spec_sha: "sha".to_owned(),
        order: Order::StopFirst,
        diff: vec!["image: app:v1 -> app:v2".to_owned(), "env.A: set".to_owned()],
        risks: vec!["the writable layer is lost".to_owned()],
        lost_paths: Vec::new(),
        health_check: None,
        image: None,
    }
}

fn retained() -> Replacement {
    Replacement::Retained {
        id: "kept".to_owned(),
        name: "web.old-1".to_owned(),
        restart: RestartPolicy::default(),
        running: true,
        new: new(),
    }
}

fn present() -> Present {
    Present {
        old: OldFacts {
            id: "old".to_owned(),
            image: "app:v1".to_owned(),
            image_id: "sha256:1".to_owned(),
            running: true,
            restart: RestartPolicy::default(),
            auto_remove: false,
            ..OldFacts::default()
        },
        unhealthy: false,
        paused: false,
        new: Ok(Replacement::New(new())),
    }
}

fn there(change: impl FnOnce(&mut Present)) -> Found {
    let mut present = present();
    change(&mut present);
    Found::Present(Box::new(present))
}

fn silent() -> Found {
    Found::Silent(Trouble::new(Reason::HostUnreachable, "connection refused"))
}

fn fleet(hosts: impl IntoIterator<Item = (&'static str, Found)>) -> BTreeMap<HostName, Found> {
    hosts.into_iter().map(|(name, facts)| (host(name), facts)).collect()
}

fn planned(policy: &Policy, hosts: &BTreeMap<HostName, Found>) -> Result<Plan, Vec<Refusal>> {
    let digest = Some("sha256:2".to_owned());
    let image = Some(PlannedImage { reference: "app:v2".to_owned(), digest, from: None });
    plan(&Input { container: &"web".parse().unwrap(), policy, image, hosts, first: &[] })
}

fn reasons(refusals: Vec<Refusal>) -> Vec<Reason> {
    refusals.into_iter().map(|refusal| refusal.reason).collect()
}

fn names(waves: &[Vec<HostName>]) -> Vec<Vec<&str>> {
    waves.iter().map(|wave| wave.iter().map(HostName::as_str).collect()).collect()
}

#[test]
fn the_same_facts_make_the_same_bytes() {
    let hosts = fleet([("b", there(|_| {})), ("a", silent()), ("c", there(|_| {}))]);
    let policy = Policy {
        on_unreachable: OnUnreachable::Skip,
        max_unreachable: Amount::Count(1),
        ..Policy::default()
    };
    let text = || serde_json::to_string(&planned(&policy, &hosts).unwrap()).unwrap();
    assert_eq!(text(), text());
    let shuffled = fleet([
        (
            "c",
            there(|present| {
                let mut other = new();
                other.diff.reverse();
                present.new = Ok(Replacement::New(other));
            }),
        ),
        ("a", silent()),
        ("b", there(|_| {})),
    ]);
    assert_eq!(text(), serde_json::to_string(&planned(&policy, &shuffled).unwrap()).unwrap());
}

#[test]
fn bad_hosts_come_first_then_those_that_were_named_then_the_alphabet() {
    let hosts = fleet([
        ("a", there(|_| {})),
        ("b", there(|_| {})),
        ("c", there(|_| {})),
        ("d", there(|present| present.unhealthy = true)),
    ]);
    let policy = Policy::default();
    let plan = plan(&Input {
        container: &"web".parse().unwrap(),
        policy: &policy,
        image: None,
        hosts: &hosts,
        first: &[host("c"), host("b")],
    })
    .unwrap();
    assert_eq!(names(&plan.waves), [["d", "c", "b", "a"]]);
}

#[test]
fn waves_are_cut_as_the_policy_says() {
    let all = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let hosts = fleet(all.map(|name| (name, there(|_| {}))));
    let sizes = |policy: Policy| {
        let plan = planned(&policy, &hosts).unwrap();
        assert_eq!(names(&plan.waves).concat(), all);
        plan.waves.iter().map(Vec::len).collect::<Vec<_>>()
    };
    let batches = |texts: &[&str]| Policy {
        batches: texts.iter().map(|text| text.parse().unwrap()).collect(),
        ..Policy::default()
    };
    assert_eq!(sizes(Policy::default()), [10]);
    assert_eq!(sizes(Policy { canary: Some(Amount::Count(2)), ..Policy::default() }), [2, 8]);
    assert_eq!(sizes(Policy { canary: Some(Amount::Count(20)), ..Policy::default() }), [10]);
    assert_eq!(sizes(batches(&["1", "10%", "50%", "100%"])), [1, 4, 5]);
    assert_eq!(sizes(batches(&["3", "5", "10"])), [3, 2, 5]);
}

#[test]
fn what_is_there_decides_what_is_done() {
    let hosts = fleet([
        ("a", there(|_| {})),
        ("b", Found::Missing { new: Some(Replacement::New(new())) }),
        ("c", Found::Missing { new: None }),
        ("d", there(|present| present.paused = true)),
        ("e", there(|present| present.old.running = false)),
        ("f", there(|present| present.new = Ok(retained()))),
        ("g", Found::Missing { new: Some(retained()) }),
    ]);
    let plan = planned(&Policy::default(), &hosts).unwrap();
    let of = |name: &str| &plan.hosts[name];
    assert!(of("a").kind == TargetKind::Replace && of("a").start);
    assert_eq!(of("a").diff, ["env.A: set", "image: app:v1 -> app:v2"]);
    assert!(of("b").kind == TargetKind::Create && of("b").start && of("b").unhealthy);
    assert!(matches!(of("c").kind, TargetKind::Skip { .. }));
    assert!(matches!(of("d").kind, TargetKind::Skip { .. }));
    assert!(of("e").kind == TargetKind::Replace && of("e").start);
    let has = |name: &str, what: &str| of(name).risks.iter().any(|risk| risk.contains(what));
    assert!(has("e", "is not running") && !has("a", "is not running"));
    assert!(matches!(of("f").kind, TargetKind::Adopt { .. }));
    assert!(matches!(of("g").kind, TargetKind::Adopt { .. }) && of("g").old.is_none());
    assert_eq!(names(&plan.waves), [["b", "g", "a", "e", "f"]]);
    assert_eq!(plan.warnings, ["skipped: c, d"]);
}

#[test]
fn the_policy_says_what_happens_to_a_container_that_is_not_running() {
    let down =
        || fleet([("a", there(|present| present.old.running = false)), ("b", there(|_| {}))]);
    let with = |stopped| Policy { stopped, ..Policy::default() };
    let plan = planned(&with(Stopped::Keep), &down()).unwrap();
    assert!(!plan.hosts["a"].start && plan.hosts["b"].start);
    let risks = &plan.hosts["a"].risks;
    assert!(risks.iter().any(|risk| risk.contains("nothing verifies")), "{risks:?}");
    let plan = planned(&with(Stopped::Skip), &down()).unwrap();
    assert!(matches!(plan.hosts["a"].kind, TargetKind::Skip { .. }));
    assert_eq!(plan.warnings, ["skipped: a"]);
    let refused = planned(&with(Stopped::Refuse), &down()).unwrap_err();
    let refused: Vec<_> = refused.iter().map(|it| it.reason).collect();
    assert_eq!(refused, [Reason::RolloutContainerStopped]);
}

#[test]
fn start_first_is_refused_or_given_up_where_it_cannot_be() {
    let obstacles = ["port 80 of the host is fixed".to_owned()];
    let refused = order_where(OrderPreference::StartFirst, &obstacles).unwrap_err();
    assert_eq!(refused.reason, Reason::RolloutStartFirstImpossible);
    let (order, risk) = order_where(OrderPreference::Auto, &obstacles).unwrap();
    assert_eq!(order, Order::StopFirst);
    assert!(risk.is_some_and(|risk| risk.contains(&obstacles[0])));
    for (wished, order) in [
        (OrderPreference::StartFirst, Order::StartFirst),
        (OrderPreference::Auto, Order::StartFirst),
        (OrderPreference::StopFirst, Order::StopFirst),
    ] {
        assert_eq!(order_where(wished, &[]), Ok((order, None)));
    }
    let start_first = || Ok(Replacement::New(NewContainer { order: Order::StartFirst, ..new() }));
    let hosts = fleet([
        ("a", there(|present| present.new = start_first())),
        ("b", there(|_| {})),
        (
            "c",
            there(|present| {
                present.new = start_first();
                present.old.running = false;
            }),
        ),
    ]);
    let plan = planned(&Policy::default(), &hosts).unwrap();
    assert_eq!(plan.hosts["a"].order, Order::StartFirst);
    assert_eq!(plan.hosts["b"].order, Order::StopFirst);
    assert_eq!(plan.hosts["c"].order, Order::StopFirst, "nothing runs that it could run beside");
}

#[test]
fn everything_that_speaks_against_it_is_told_at_once() {
    let missing = Trouble::new(Reason::ImageNotFound, "no image");
    let task = Trouble::new(Reason::SwarmTask, "web is a task of Swarm");
    let hosts = fleet([
        ("a", there(|present| present.new = Err(vec![task]))),
        ("b", Found::Refused(vec![missing.clone(), Trouble::new(Reason::NamespaceGone, "more")])),
        ("c", silent()),
        ("d", there(|present| present.new = Err(vec![missing]))),
    ]);
    let refusals = planned(&Policy::default(), &hosts).unwrap_err();
    assert!(refusals[3].message.contains("on_unreachable"), "{refusals:?}");
    assert_eq!(
        reasons(refusals),
        [
            Reason::SwarmTask,
            Reason::ImageNotFound,
            Reason::NamespaceGone,
            Reason::HostUnreachable,
            Reason::ImageNotFound
        ]
    );
}

#[test]
fn hosts_that_do_not_answer_are_skipped_up_to_a_number() {
    let hosts = fleet([("a", silent()), ("b", silent()), ("c", there(|_| {}))]);
    let policy = |max_unreachable| Policy {
        on_unreachable: OnUnreachable::Skip,
        max_unreachable,
        ..Policy::default()
    };
    let plan = planned(&policy(Amount::Count(2)), &hosts).unwrap();
    assert_eq!(names(&plan.waves), [["c"]]);
    let refusals = planned(&policy(Amount::Count(1)), &hosts).unwrap_err();
    assert_eq!(reasons(refusals), [Reason::RolloutTooManyUnreachable]);
}

#[test]
fn a_host_that_answers_with_an_error_is_told_with_that_error() {
    let said = "GET /networks: boom";
    let fails = || Found::Silent(Trouble::new(Reason::EngineError, said));
    let lone = planned(&Policy::default(), &fleet([("a", fails())])).unwrap_err();
    assert!(lone[0].message.starts_with(said), "{lone:?}");
    assert!(!lone[0].message.contains("reachable,"), "it is reachable: {lone:?}");
    assert_eq!(reasons(lone), [Reason::EngineError]);
    let skip = |allowed| Policy {
        on_unreachable: OnUnreachable::Skip,
        max_unreachable: Amount::Count(allowed),
        ..Policy::default()
    };
    let hosts = fleet([("a", fails()), ("b", silent()), ("c", there(|_| {}))]);
    let message = &planned(&skip(1), &hosts).unwrap_err()[0].message;
    assert!(message.contains("can't be queried") && message.contains(said), "{message}");
    let reason = format!("the query failed: {said}");
    assert_eq!(planned(&skip(2), &hosts).unwrap().hosts["a"].kind, TargetKind::Skip { reason });
}

#[test]
fn a_rollout_that_would_do_nothing_is_refused() {
    let hosts = fleet([("a", Found::Missing { new: None })]);
    let refusals = planned(&Policy::default(), &hosts).unwrap_err();
    assert!(refusals[0].message.contains("no container web"), "{refusals:?}");
    assert_eq!(reasons(refusals), [Reason::RolloutNothingToDo]);
}

#[test]
fn a_rollout_whose_hosts_are_there_already_is_a_plan_without_waves() {
    let hosts = fleet([("a", Found::Current), ("b", Found::Missing { new: None })]);
    let plan = planned(&Policy::default(), &hosts).unwrap();
    assert_eq!(plan.waves, [[]; 0]);
    let reason = "already on this version".to_owned();
    assert_eq!(plan.hosts["a"].kind, TargetKind::Skip { reason });
    assert_eq!(plan.warnings, ["skipped: b"]);
}

#[test]
fn dangerous_policies_are_warned_of() {
    let hosts = fleet([("a", there(|_| {})), ("b", there(|_| {}))]);
    let policy = Policy {
        max_parallel: Amount::Percent(100),
        gate: Gate::None,
        bake: Duration::from_secs(1),
        ..Policy::default()
    };
    let plan = planned(&policy, &hosts).unwrap();
    assert_eq!(plan.warnings.len(), 2, "{:?}", plan.warnings);
    assert_eq!(planned(&Policy::default(), &hosts).unwrap().warnings, [""; 0]);
}

#[test]
fn the_gate_on_a_health_check_needs_one() {
    let docker = Policy { gate: Gate::Docker, ..Policy::default() };
    let with = |health_check| NewContainer { health_check, ..new() };
    let replaced = |health_check, running| {
        there(|it| {
            it.new = Ok(Replacement::New(with(health_check)));
            it.old.running = running;
        })
    };
    let kept = |running| match retained() {
        Replacement::Retained { id, name, restart, .. } => {
            Replacement::Retained { id, name, restart, running, new: with(Some(false)) }
        }
        other => other,
    };
    let missing = |new| Found::Missing { new: Some(new) };
    for facts in [
        replaced(Some(false), true),
        missing(Replacement::New(with(Some(false)))),
        there(|it| it.new = Ok(kept(true))),
        // Not running now, and started.
        replaced(Some(false), false),
    ] {
        let hosts = fleet([("a", facts.clone())]);
        let refused = reasons(planned(&docker, &hosts).unwrap_err());
        assert_eq!(refused, [Reason::RolloutNoHealthCheck], "{facts:?}");
        assert!(planned(&Policy::default(), &hosts).is_ok(), "auto looks at what there is");
    }
    for facts in [
        replaced(Some(true), true),
        // Known once the image is there.
        replaced(None, true),
        // Not started, not gated.
        missing(kept(false)),
    ] {
        let hosts = fleet([("a", facts.clone())]);
        assert!(planned(&docker, &hosts).is_ok(), "{facts:?}");
    }
    let keep = Policy { stopped: Stopped::Keep, ..docker };
    let hosts = fleet([("a", replaced(Some(false), false))]);
    assert!(planned(&keep, &hosts).is_ok(), "not started, not gated");
}
