use wharf::v1::host_selector::Selection;
use wharf::v1::{FailureAction, HealthGate, RolloutOrder};

use super::*;

fn spec(text: &str) -> RolloutSpec {
    parse(text).unwrap_or_else(|problem| panic!("{problem}"))
}

fn problem(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn a_file_becomes_the_message_of_the_contract() {
    let spec = spec(
        r#"
# kept in git
container: web
targets:
  labels: role=web
  exclude: [web9]
image: registry.example.com:5000/app:v2
set:
  env: [LEVEL=debug, EMPTY=]
  labels: {country: no, version: 1.10, on: yes, empty: }
  memory_bytes: 512m
  privileged: false
  ports:
    - {container_port: 80, host_port: 8080}
unset: [env.OLD]
merge_patch:
  HostConfig: {OomScoreAdj: -500, Init: true, ShmSize: 9223372036854775807, X: null, Y: "5"}
policy:
  max_parallel: 25%
  batches: [1, 10%, 100%]
  order: start-first
  on_failure: rollback
  min_healthy_time: 1m30s
  delay: 5
  health: http
  probe: {port: 8080, path: /healthz, status: 200}
  keep_old: 0
  drain: [/bin/drain, --now]
"#,
    );
    let targets = spec.targets.unwrap();
    assert_eq!(targets.selection, Some(Selection::Labels("role=web".into())));
    assert_eq!(targets.exclude, ["web9"]);
    let set = spec.set.unwrap();
    assert_eq!(set.env, ["LEVEL=debug", "EMPTY="]);
    let label = |key: &str| set.labels[key].as_str();
    // A string keeps its text, whatever else it looks like.
    assert_eq!((label("country"), label("version"), label("on")), ("no", "1.10", "yes"));
    assert_eq!(label("empty"), "");
    assert_eq!((set.memory_bytes, set.privileged), (Some(512 << 20), Some(false)));
    assert_eq!((set.ports[0].container_port, set.ports[0].host_port), (80, 8080));
    assert_eq!(
        spec.merge_patch.unwrap().json,
        r#"{"HostConfig":{"OomScoreAdj":-500,"Init":true,"ShmSize":9223372036854775807,"X":null,"Y":"5"}}"#
    );
    let policy = spec.policy.unwrap();
    assert_eq!(policy.batches, ["1", "10%", "100%"]);
    assert_eq!((policy.order(), policy.health()), (RolloutOrder::StartFirst, HealthGate::Http));
    assert_eq!(policy.on_failure(), FailureAction::Rollback);
    assert_eq!((policy.min_healthy_time.unwrap().seconds, policy.delay.unwrap().seconds), (90, 5));
    assert_eq!((policy.probe.unwrap().port, policy.keep_old), (8080, Some(0)));
    assert_eq!(policy.drain, ["/bin/drain", "--now"]);
}

#[test]
fn anchors_are_filled_in() {
    let spec = spec("container: web\nset:\n  env: &env [A=1]\nwhole:\n  spec: {env: *env}\n");
    assert_eq!(spec.whole.unwrap().spec.unwrap().env, ["A=1"]);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, expected) in [
        (
            "container: web\npolicy:\n  max_paralel: 3\n",
            "3:3: unknown key \"max_paralel\"; did you mean max_parallel?",
        ),
        ("container: web\ncontainer: db\n", "2:1: duplicate key \"container\""),
        (
            "targets:\n  all: {}\n  labels: a=b\n",
            "3:3: conflicts with `all`; remove one of the two",
        ),
        (
            "policy:\n  order: sideways\n",
            "2:10: \"sideways\" is not one of: stop-first, start-first, auto",
        ),
        (
            "policy:\n  delay: soon\n",
            "2:10: \"soon\" is not a duration; write 500ms, 30s, 5m or 1h30m",
        ),
        ("policy:\n  strict: yes\n", "2:11: `strict` must be true or false"),
        ("policy:\n  strict: \"true\"\n", "2:11: `strict` must be true or false"),
        ("policy:\n  keep_old: -1\n", "2:13: `keep_old` must be a number, not \"-1\""),
        ("unset: env.A\n", "1:8: `unset` must be a list"),
        ("image: [a]\n", "1:8: must be one value, not a list or a mapping"),
        ("image: !Ref x\n", "1:8: unsupported tag !Ref; remove it"),
        ("- a\n", "1:1: must be a mapping of keys to values"),
        ("targets: {hosts: [web1]}\n", "1:18: must be a mapping, such as {names: …}"),
        ("targets: {all: true}\n", "1:16: must be {}"),
        ("", "1:1: the file is empty"),
        ("a: 1\n---\nb: 1\n", "2:1: unexpected second document; a file describes one rollout"),
        ("policy:\n  _unknown_: 1\n", "2:3: unknown key \"_unknown_\"; valid keys: "),
    ] {
        let found = problem(text);
        assert!(found.starts_with(expected), "{text:?}: {found}");
        assert!(!found.contains('\n'), "{found}");
    }
    assert!(problem("image: \"a\n").contains("not YAML"), "{}", problem("image: \"a\n"));
}

#[test]
fn a_small_file_cannot_stand_for_a_large_one() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let before = vec![format!("*a{}", level - 1); 10].join(", ");
        text += &format!("a{level}: &a{level} [{before}]\n");
    }
    assert!(problem(&text).contains("more than 100000 values"), "{}", problem(&text));
    let deep = "[".repeat(1000);
    assert!(!problem(&deep).is_empty());
}

#[test]
fn the_schema_is_that_of_the_contract() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rollout.schema.json");
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        stored == schema::rollout(),
        "docs/rollout.schema.json is stale; regenerate it with: wharf rollout schema >docs/rollout.schema.json"
    );
}

#[test]
fn the_schema_knows_every_key_and_choice_that_is_read() {
    let schema: serde_json::Value = serde_json::from_str(&schema::rollout()).unwrap();
    let policy = &schema["definitions"]["RolloutPolicy"]["properties"];
    assert_eq!(policy["order"]["enum"][1], "start-first");
    assert!(policy["delay"]["pattern"].is_string());
    assert_eq!(schema["properties"]["merge_patch"]["type"], "object");
    assert_eq!(schema["additionalProperties"], false);
    let described = policy["max_failures"]["description"].as_str().unwrap();
    assert!(described.starts_with("Amount: number of failed hosts"), "{described}");
}

#[test]
fn every_key_has_its_line_in_the_document() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rollout.md");
    let document = std::fs::read_to_string(path).unwrap();
    for message in [
        crate::json::descriptor::<RolloutSpec>(),
        crate::json::descriptor::<wharf::v1::RolloutPolicy>(),
    ] {
        for field in message.fields() {
            let row = format!("| `{}` |", field.name());
            assert!(document.lines().any(|line| line.starts_with(&row)), "{row}");
        }
    }
}

#[test]
fn every_kind_of_a_setting_is_read() {
    let text = "container: web\nset:\n  oom_score_adj: -500\n  networks:\n  - name: front\n    gateway_priority: 2\n  memory_reservation_bytes: 64m\n  empty: [dns]\n";
    let set = spec(text).set.unwrap();
    assert_eq!(set.oom_score_adj, Some(-500));
    assert_eq!(
        (set.networks[0].name.as_str(), set.networks[0].gateway_priority),
        ("front", Some(2))
    );
    assert_eq!(
        (set.memory_reservation_bytes, &set.empty[..]),
        (Some(64 << 20), &["dns".to_owned()][..])
    );
}

#[test]
fn the_example_is_read() {
    let spec = spec(include_str!("../../../examples/rollout.yaml"));
    assert_eq!(spec.container, "web");
    assert_eq!(spec.policy.unwrap().batches, ["1", "10%", "50%", "100%"]);
}
