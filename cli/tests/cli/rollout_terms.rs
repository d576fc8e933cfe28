//! Conditions and annotations of a rollout; and waiting until it is settled.

use std::collections::BTreeMap;

use tonic::Code;
use wharf::v1::watch_rollouts_response::Event;
use wharf::v1::{
    CreateRolloutRequest, CreateRolloutResponse, GetRolloutResponse, ListRolloutsRequest,
    ListRolloutsResponse, PauseRolloutResponse, Rollout, RolloutSnapshot, RolloutState,
    UndoRolloutRequest, UndoRolloutResponse, WatchRolloutsResponse,
};

use crate::rollouts::ID;
use crate::run;
use crate::script::{Reply, Server};

const FINGERPRINT: &str = "4f2a1c0000000000000000000000000000000000000000000000000000000000";

fn rollout(state: RolloutState) -> Rollout {
    let annotations = notes();
    Rollout {
        id: ID.into(),
        container: "web".into(),
        state: state.into(),
        annotations,
        ..Default::default()
    }
}

fn notes() -> BTreeMap<String, String> {
    [("commit", "4f2a1c"), ("job", "https://ci.test/?a=b")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

const NOTES: [&str; 4] =
    ["--annotation", "commit=4f2a1c", "--annotation", "job=https://ci.test/?a=b"];

#[test]
fn a_start_and_an_undo_send_the_plan_and_the_notes() {
    let done = rollout(RolloutState::Succeeded);
    let created = CreateRolloutResponse { rollout: Some(done.clone()), ..Default::default() };
    let undone = UndoRolloutResponse { rollout: Some(done), ..Default::default() };
    let server = Server::start([
        ("CreateRollout", Reply::unary(&created)),
        ("UndoRollout", Reply::unary(&undone)),
    ]);
    let start = ["rollout", "start", "web", "--image", "app:v2", "-A", "-d", "--expect-plan"];
    let started = run(&server, &[&start[..], &[FINGERPRINT], &NOTES].concat());
    assert_eq!(started.code, Some(0), "{}", started.stderr);
    let request: CreateRolloutRequest = server.request("CreateRollout");
    assert_eq!((request.expected_plan.as_str(), request.annotations), (FINGERPRINT, notes()));
    let undo = ["rollout", "undo", ID, "-d", "--expect-plan", FINGERPRINT];
    assert_eq!(run(&server, &[&undo[..], &NOTES].concat()).code, Some(0));
    let request: UndoRolloutRequest = server.request("UndoRollout");
    assert_eq!((request.expected_plan.as_str(), request.annotations), (FINGERPRINT, notes()));
}

#[test]
fn another_plan_is_refused_with_2() {
    let refused = Reply::refused(Code::FailedPrecondition, "PLAN_CHANGED", "the plan is another");
    let server = Server::start([("CreateRollout", refused)]);
    let start = ["rollout", "start", "web", "--image", "app:v2", "-A", "--expect-plan", "4f2a"];
    let run = run(&server, &start);
    assert_eq!(run.code, Some(2));
    assert_eq!(run.stderr, "error: the plan is another (PLAN_CHANGED)\n");
}

#[test]
fn lists_filter_by_notes_and_show_them() {
    let rollouts = vec![rollout(RolloutState::Succeeded)];
    let list = ListRolloutsResponse { rollouts, ..Default::default() };
    let got = rollout(RolloutState::Succeeded);
    let got = GetRolloutResponse { rollout: Some(got), ..Default::default() };
    let server =
        Server::start([("ListRollouts", Reply::unary(&list)), ("GetRollout", Reply::unary(&got))]);
    let filters = ["--annotation", "commit=4f2a1c", "--annotation", "!manual"];
    let listed = run(&server, &[&["rollout", "ls", "-o", "wide"][..], &filters].concat());
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    let request: ListRolloutsRequest = server.request("ListRollouts");
    assert_eq!(request.annotations, "commit=4f2a1c,!manual");
    assert!(listed.lines()[1].contains("commit=4f2a1c"), "{}", listed.stdout);
    let shown = run(&server, &["rollout", "show", ID]);
    assert!(shown.stdout.contains("\n  annotation job=https://ci.test/?a=b\n"), "{}", shown.stdout);
    // What a variable that is not set makes of a filter.
    let empty = run(&server, &["rollout", "ls", "--annotation", ""]);
    assert_eq!(empty.code, Some(2), "{}", empty.stdout);
}

#[test]
fn a_pause_waits_until_no_host_is_at_work() {
    let at_work = rollout(RolloutState::Paused);
    let settled = Rollout { settled: true, ..at_work.clone() };
    let response = |event| WatchRolloutsResponse { cursor: None, event: Some(event) };
    let rollouts = vec![rollout(RolloutState::Running)];
    let first = response(Event::Snapshot(RolloutSnapshot { rollouts }));
    let last = response(Event::Rollout(settled.clone()));
    let paused = PauseRolloutResponse { rollout: Some(at_work.clone()) };
    let got = GetRolloutResponse { rollout: Some(settled), ..Default::default() };
    let server = Server::start([
        ("PauseRollout", Reply::unary(&paused)),
        (
            "WatchRollouts",
            Reply::messages(&[first.clone(), response(Event::Rollout(at_work))]).then_cut(),
        ),
        ("WatchRollouts", Reply::messages(&[first, last]).then_hang()),
        ("GetRollout", Reply::unary(&got)),
    ]);
    let run = run(&server, &["rollout", "pause", ID, "--wait", "-o", "json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let shown: serde_json::Value = serde_json::from_str(run.lines()[0]).unwrap();
    assert_eq!(shown["settled"], true, "{shown}");
    let watches = server.methods().into_iter().filter(|method| method == "WatchRollouts").count();
    assert_eq!(watches, 2);
}
