//! What is wrong with a request is named by its path.

use prost_reflect::DescriptorPool;

use super::super::{policy, spec};
use super::*;

/// A spec that is right.
pub fn spec(container: &str) -> v1::RolloutSpec {
    let selection = v1::host_selector::Selection::Labels("role=web".to_owned());
    v1::RolloutSpec {
        container: container.to_owned(),
        targets: Some(v1::HostSelector { selection: Some(selection), exclude: Vec::new() }),
        image: "registry.example.com/app:v2".to_owned(),
        ..Default::default()
    }
}

/// The fields that are wrong.
fn wrong(spec: &v1::RolloutSpec) -> Vec<String> {
    let mut violations = Violations::default();
    let read = spec::read(&mut violations, Some(spec));
    let checked = match violations.or(()) {
        Ok(()) => read.unwrap().policy.check("spec.policy", 40),
        found => found,
    };
    match checked {
        Ok(()) => Vec::new(),
        Err(found) => found.into_iter().map(|violation| violation.field).collect(),
    }
}

fn with_policy(policy: v1::RolloutPolicy) -> v1::RolloutSpec {
    v1::RolloutSpec { policy: Some(policy), ..spec("web") }
}

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

#[test]
fn an_empty_policy_is_the_default_and_its_view_says_the_same() {
    let mut violations = Violations::default();
    let empty = v1::RolloutPolicy::default();
    let read = policy::read(&mut violations, "policy", &empty, Policy::default());
    assert_eq!(read, Policy::default());
    let view = policy::view(&read);
    let other = Policy { keep_old: 9, strict: false, ..Policy::default() };
    let again = policy::read(&mut violations, "policy", &view, other);
    // What the view fills in is what the defaults mean.
    let filled = Policy {
        max_unavailable: Some(read.max_parallel),
        rollback_parallel: Some(read.max_parallel),
        ..read
    };
    assert_eq!(again, filled);
    assert!(violations.or(()).is_ok());
}

#[test]
fn an_image_comes_from_a_host_only_where_it_can() {
    let from = |host: &str, image: &str| v1::RolloutSpec {
        image_from: host.to_owned(),
        image: image.to_owned(),
        ..spec("web")
    };
    assert!(wrong(&from("build1", "app:v2")).is_empty());
    let digest = format!("app@sha256:{}", "1".repeat(64));
    for (host, image) in [("No!", "app:v2"), ("build1", ""), ("build1", &*digest)] {
        assert_eq!(wrong(&from(host, image)), ["spec.image_from"], "{host} {image}");
    }
    let never = v1::PullPolicy::Never.into();
    let policy = Some(v1::RolloutPolicy { pull_policy: never, ..Default::default() });
    let never = v1::RolloutSpec { policy, ..from("build1", "app:v2") };
    assert_eq!(wrong(&never), ["spec.image_from"]);
    let whole = v1::WholeContainer {
        spec: Some(v1::ContainerSpec { image: "app:v2".to_owned(), ..Default::default() }),
        engine: None,
    };
    assert!(wrong(&v1::RolloutSpec { whole: Some(whole), ..from("build1", "") }).is_empty());
}

#[test]
fn amounts_that_make_no_sense_are_named() {
    type Set = fn(&mut v1::RolloutPolicy, String);
    let fields: [(&str, Set); 4] = [
        ("max_parallel", |policy, text| policy.max_parallel = text),
        ("max_failures", |policy, text| policy.max_failures = text),
        ("canary", |policy, text| policy.canary = text),
        ("max_unavailable", |policy, text| policy.max_unavailable = text),
    ];
    for (field, set) in fields {
        for text in ["101%", "-1", "+3", "3.5", "%", "abc", "1 0", "99999999999"] {
            let mut policy = v1::RolloutPolicy::default();
            set(&mut policy, text.to_owned());
            assert_eq!(wrong(&with_policy(policy)), [format!("spec.policy.{field}")], "{text}");
        }
        let mut policy = v1::RolloutPolicy::default();
        set(&mut policy, "25%".to_owned());
        assert!(wrong(&with_policy(policy)).is_empty(), "{field}");
    }
}

#[test]
fn waves_that_fall_are_refused() {
    let batches = |texts: &[&str]| {
        let batches = texts.iter().map(ToString::to_string).collect();
        wrong(&with_policy(v1::RolloutPolicy { batches, ..Default::default() }))
    };
    assert!(batches(&["1", "10%", "50%", "100%"]).is_empty());
    assert!(batches(&["2", "5", "40"]).is_empty());
    assert_eq!(batches(&["2", "5"]), ["spec.policy.batches"]);
    assert_eq!(batches(&["50%", "10%", "100%"]), ["spec.policy.batches[1]"]);
    assert_eq!(batches(&["3", "10%", "3", "100%"]), ["spec.policy.batches[2]"]);
    assert_eq!(batches(&["50%", "7", "100%"]), ["spec.policy.batches[1]"]);
    assert_eq!(batches(&["0", "100%"]), ["spec.policy.batches[0]"]);
    assert_eq!(batches(&["", "100%"]), ["spec.policy.batches[0]"]);
}

#[test]
fn gates_need_what_they_look_at() {
    let gate = |health: v1::HealthGate, probe: v1::HealthProbe| {
        let health = health.into();
        wrong(&with_policy(v1::RolloutPolicy { health, probe: Some(probe), ..Default::default() }))
    };
    let empty = v1::HealthProbe::default();
    let port = v1::HealthProbe { port: 8080, ..empty.clone() };
    assert_eq!(gate(v1::HealthGate::Http, empty.clone()), ["spec.policy.probe.port"]);
    assert_eq!(gate(v1::HealthGate::Tcp, empty.clone()), ["spec.policy.probe.port"]);
    assert_eq!(gate(v1::HealthGate::Exec, empty.clone()), ["spec.policy.probe.command"]);
    let high = v1::HealthProbe { port: 65536, ..empty.clone() };
    assert_eq!(gate(v1::HealthGate::Tcp, high), ["spec.policy.probe.port"]);
    let much = v1::HealthProbe { status: 70_200, ..port.clone() };
    assert_eq!(gate(v1::HealthGate::Http, much), ["spec.policy.probe.status"]);
    let path = v1::HealthProbe { path: "up".to_owned(), status: 99, ..port.clone() };
    let fields = ["spec.policy.probe.path", "spec.policy.probe.status"];
    assert_eq!(gate(v1::HealthGate::Http, path), fields);
    assert_eq!(gate(v1::HealthGate::Running, port.clone()), ["spec.policy.probe.port"]);
    assert_eq!(gate(v1::HealthGate::Unspecified, port.clone()), ["spec.policy.probe.port"]);
    assert!(gate(v1::HealthGate::Http, port).is_empty());
}

#[test]
fn what_is_wrong_in_a_spec_and_in_its_policy_is_told_at_once() {
    let policy = v1::RolloutPolicy {
        health: v1::HealthGate::Tcp.into(),
        batches: vec!["3".to_owned(), "2".to_owned()],
        ..Default::default()
    };
    let spec = v1::RolloutSpec { policy: Some(policy), ..spec("a/../b") };
    let fields = ["spec.container", "spec.policy.batches[1]", "spec.policy.probe.port"];
    assert_eq!(wrong(&spec), fields);
}

#[test]
fn deadlines_leave_time_for_what_they_bound() {
    let short = v1::RolloutPolicy {
        healthy_deadline: seconds(5),
        min_healthy_time: seconds(10),
        ..Default::default()
    };
    assert_eq!(wrong(&with_policy(short)), ["spec.policy.healthy_deadline"]);
    let slow = v1::RolloutPolicy { healthy_deadline: seconds(3600), ..Default::default() };
    assert_eq!(wrong(&with_policy(slow)), ["spec.policy.progress_deadline"]);
    let negative = v1::RolloutPolicy { delay: seconds(-1), ..Default::default() };
    assert_eq!(wrong(&with_policy(negative)), ["spec.policy.delay"]);
    let fraction = Some(prost_types::Duration { seconds: 1, nanos: 5 });
    let stop = v1::RolloutPolicy { stop_timeout: fraction, ..Default::default() };
    assert_eq!(wrong(&with_policy(stop)), ["spec.policy.stop_timeout"]);
}

#[test]
fn a_number_that_is_no_choice_is_named() {
    let policy = v1::RolloutPolicy { on_failure: 77, order: 9, ..Default::default() };
    let fields = ["spec.policy.order", "spec.policy.on_failure"];
    assert_eq!(wrong(&with_policy(policy)), fields);
}

#[test]
fn what_a_rollout_changes_is_checked() {
    let mut bad = spec("a/../b");
    bad.image = "no image".to_owned();
    assert_eq!(wrong(&bad), ["spec.container", "spec.image"]);

    let set = v1::ContainerSpec {
        image: "app:v3".to_owned(),
        env: vec!["=x".to_owned()],
        network_aliases: vec!["db".to_owned()],
        memory_swap_bytes: Some(1 << 30),
        ..Default::default()
    };
    let changed = v1::RolloutSpec { set: Some(set), ..spec("web") };
    assert_eq!(wrong(&changed), ["spec.set.image", "spec.set.env[0]"]);

    let unset = ["env.DEBUG", "labels.a.b", "command", "image", "enw.A", "user.x", "ports."];
    let unset = unset.map(str::to_owned).to_vec();
    let fields = ["spec.unset[3]", "spec.unset[4]", "spec.unset[5]", "spec.unset[6]"];
    assert_eq!(wrong(&v1::RolloutSpec { unset, ..spec("web") }), fields);

    let own = "io.wharf.rollout.twin".to_owned();
    let set = v1::ContainerSpec { labels: [(own, "x".to_owned())].into(), ..Default::default() };
    let labelled = v1::RolloutSpec { set: Some(set.clone()), ..spec("web") };
    assert_eq!(wrong(&labelled), ["spec.set.labels"], "rollouts would take it for theirs");
    let whole = v1::WholeContainer { spec: Some(set), engine: None };
    let whole = v1::RolloutSpec { whole: Some(whole), ..spec("web") };
    assert_eq!(wrong(&whole), ["spec.whole"]);

    let not_there = r#"{"Labels": {"io.wharf.rollout.id": null}}"#;
    let patch = v1::EngineJson { json: not_there.to_owned(), ..Default::default() };
    assert_eq!(wrong(&v1::RolloutSpec { merge_patch: Some(patch), ..spec("web") }), [""; 0]);
    let [image, label] = [r#"{"Image": "app:v3"}"#, r#"{"Labels": {"io.wharf.rollout.id": "x"}}"#];
    for json in ["", "[1]", "{\"a\":", image, label] {
        let patch = v1::EngineJson { json: json.to_owned(), ..Default::default() };
        let patched = v1::RolloutSpec { merge_patch: Some(patch), ..spec("web") };
        assert_eq!(wrong(&patched), ["spec.merge_patch.json"], "{json}");
    }
}

#[test]
fn a_whole_container_is_not_a_change_as_well() {
    let whole = v1::WholeContainer {
        spec: Some(v1::ContainerSpec { image: "app:v1".to_owned(), ..Default::default() }),
        engine: None,
    };
    let both = v1::RolloutSpec {
        whole: Some(whole.clone()),
        unset: vec!["command".to_owned()],
        ..spec("web")
    };
    assert_eq!(wrong(&both), ["spec.unset", "spec.whole.spec.image"]);
    let alone = v1::RolloutSpec { whole: Some(whole), image: String::new(), ..spec("web") };
    let mut violations = Violations::default();
    let read = spec::read(&mut violations, Some(&alone)).unwrap();
    assert_eq!(read.change.whole.unwrap()["Image"], "app:v1");
    assert_eq!(read.change.image.unwrap().to_string(), "app:v1");
}

/// Two tables that disagreed would refuse here what can be taken away there, or let through what
/// fails on every host.
#[test]
fn every_setting_of_a_container_can_be_taken_away_and_nothing_else() {
    let pool = DescriptorPool::decode(wharf::DESCRIPTORS).unwrap();
    let settings = pool.get_message_by_name("wharf.v1.ContainerSpec").unwrap();
    let is_right = |path: &str| {
        let unset = vec![path.to_owned()];
        wrong(&v1::RolloutSpec { unset, ..spec("web") }).is_empty()
    };
    // A container needs an image, of networks one has to be named, and `empty` names settings.
    let others = |name: &str| !["image", "networks", "empty"].contains(&name);
    for field in settings.fields().filter(|field| others(field.name())) {
        let name = field.name();
        let with_entries = field.is_list() || field.is_map();
        // The words of these two have an order, and so no names.
        let with_entries = with_entries && !["command", "entrypoint"].contains(&name);
        assert!(is_right(name), "{name}");
        assert_eq!(is_right(&format!("{name}.x")), with_entries, "{name}.x");
        assert!(!is_right(&format!("{name}.")), "{name}.");
    }
    assert!(is_right("networks.backend"));
    for path in ["networks", "image", "image.x", "enw.A", "", ".", "hostConfig"] {
        assert!(!is_right(path), "{path}");
    }
}
