//! `wharf rollout`.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tonic::Code;
use wharf::v1::host_selector::Selection;
use wharf::v1::watch_rollouts_response::Event;
use wharf::v1::{
    AbortRolloutResponse, CreateRolloutRequest, CreateRolloutResponse, FailureAction,
    GetRolloutResponse, HostState, HostStep, ListRolloutsRequest, ListRolloutsResponse, PauseCause,
    PauseRolloutRequest, PauseRolloutResponse, PlanRolloutResponse, Rollout, RolloutAction,
    RolloutCounts, RolloutPlan, RolloutPlanHost, RolloutSnapshot, RolloutState, RolloutStep,
    RolloutStepChanged, UndoRolloutRequest, UndoRolloutResponse, WatchCursor, WatchRolloutsRequest,
    WatchRolloutsResponse,
};

use crate::script::{Reply, Server, rpc_status};
use crate::{command, run, run_with};

pub const ID: &str = "1a2b3c4d-1111-4222-8333-444455556666";

fn step(host: &str, state: HostState) -> RolloutStep {
    RolloutStep { host: host.into(), wave: 1, state: state.into(), ..Default::default() }
}

fn rollout(state: RolloutState, steps: Vec<RolloutStep>) -> Rollout {
    let count = |wanted: &[HostState]| {
        steps.iter().filter(|it| wanted.contains(&it.state())).count() as u32
    };
    let counts = RolloutCounts {
        total: steps.len() as u32,
        waiting: count(&[HostState::Waiting]),
        active: count(&[HostState::Updating, HostState::Restoring]),
        succeeded: count(&[HostState::Updated]),
        failed: count(&[HostState::Restored]),
        skipped: 0,
        ..Default::default()
    };
    let at_rest = state == RolloutState::Paused || state >= RolloutState::Succeeded;
    Rollout {
        id: ID.into(),
        container: "web".into(),
        image: "app:v2".into(),
        state: state.into(),
        settled: at_rest && counts.active == 0,
        counts: Some(counts),
        wave: 1,
        waves: 1,
        steps,
        ..Default::default()
    }
}

fn event(revision: u64, event: Event) -> WatchRolloutsResponse {
    let cursor = Some(WatchCursor { epoch: "store".into(), revision });
    WatchRolloutsResponse { cursor, event: Some(event) }
}

fn snapshot(revision: u64, rollout: Rollout) -> WatchRolloutsResponse {
    event(revision, Event::Snapshot(RolloutSnapshot { rollouts: vec![rollout] }))
}

fn changed(revision: u64, step: RolloutStep) -> WatchRolloutsResponse {
    let step = RolloutStepChanged { rollout: ID.into(), step: Some(step) };
    event(revision, Event::Step(step))
}

fn whole(revision: u64, rollout: Rollout) -> WatchRolloutsResponse {
    event(revision, Event::Rollout(Rollout { steps: Vec::new(), ..rollout }))
}

fn created(rollout: Rollout) -> (&'static str, Reply) {
    let answer = CreateRolloutResponse { rollout: Some(rollout), ..Default::default() };
    ("CreateRollout", Reply::unary(&answer))
}

fn both(state: HostState) -> Vec<RolloutStep> {
    vec![step("web1", state), step("web2", state)]
}

/// From the first host to the end.
pub fn story() -> Vec<WatchRolloutsResponse> {
    let updated =
        |host| RolloutStep { new_container_id: "c".repeat(64), ..step(host, HostState::Updated) };
    vec![
        snapshot(1, rollout(RolloutState::Running, both(HostState::Waiting))),
        changed(2, step("web1", HostState::Updating)),
        changed(3, updated("web1")),
        changed(4, updated("web2")),
        whole(5, rollout(RolloutState::Succeeded, both(HostState::Updated))),
    ]
}

#[test]
fn start_follows_to_the_end_and_says_how_to_take_it_back() {
    let pulling = rollout(RolloutState::Pulling, both(HostState::Waiting));
    let server = Server::start([created(pulling), ("WatchRollouts", Reply::messages(&story()))]);
    let arguments = ["rollout", "start", "web", "--image", "app:v2", "-l", "role=web"];
    let run = run(&server, &arguments);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let lines = run.lines();
    for line in ["web1: updating", "web1: updated, container cccccccccccc"] {
        assert!(lines.contains(&line), "{line}: {lines:?}");
    }
    let heads = lines.iter().filter(|line| line.starts_with("web to app:v2: running"));
    assert_eq!(heads.count(), 1, "said once: {lines:?}");
    assert_eq!(
        *lines.last().unwrap(),
        "1a2b3c4d: web to app:v2 succeeded on 2 hosts; to undo it, run: wharf rollout undo 1a2b3c4d"
    );
    let request: CreateRolloutRequest = server.request("CreateRollout");
    let spec = request.spec.unwrap();
    assert_eq!((spec.container.as_str(), spec.image.as_str()), ("web", "app:v2"));
    assert_eq!(spec.targets.unwrap().selection, Some(Selection::Labels("role=web".into())));
    assert!(!request.request_id.is_empty() && !request.validate_only);
}

#[test]
fn flags_win_over_the_file() {
    let done = rollout(RolloutState::Succeeded, both(HostState::Updated));
    let server = Server::start([created(done)]);
    let file = server.home().join("web.yaml");
    let text = "container: web\ntargets: {labels: role=web}\nimage: app:v1\nset: {env: [A=file, B=file]}\n\
                policy: {max_parallel: 2, on_failure: abort, max_failures: 1}\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let arguments = [
        "rollout",
        "start",
        "-f",
        file,
        "--image",
        "app:v2",
        "-e",
        "B=flag",
        "--on-failure",
        "rollback",
        "--max-parallel",
        "50%",
        "--stop-timeout",
        "20s",
        "--unset",
        "env.C",
        "--verify",
        "check me",
        "--detach",
        "-o",
        "name",
    ];
    let run = run(&server, &arguments);
    assert_eq!((run.code, run.lines()), (Some(0), vec![ID]), "{}", run.stderr);
    let spec = server.request::<CreateRolloutRequest>("CreateRollout").spec.unwrap();
    assert_eq!((spec.image.as_str(), spec.unset), ("app:v2", vec!["env.C".to_owned()]));
    assert_eq!(spec.set.unwrap().env, ["A=file", "B=flag"]);
    let policy = spec.policy.unwrap();
    assert_eq!((policy.max_parallel.as_str(), policy.max_failures.as_str()), ("50%", "1"));
    assert_eq!(policy.on_failure(), FailureAction::Rollback);
    assert_eq!(policy.stop_timeout.unwrap().seconds, 20);
    assert_eq!(policy.verify, ["/bin/sh", "-c", "check me"]);
}

#[test]
fn a_key_that_nobody_knows_is_named_with_its_place() {
    let server = Server::start([]);
    let file = server.home().join("web.yaml");
    std::fs::write(&file, "container: web\npolicy:\n  max_paralel: 2\n").unwrap();
    let file = file.to_str().unwrap();
    let run = run(&server, &["rollout", "start", "-f", file, "-A"]);
    assert_eq!(run.code, Some(2));
    let expected =
        format!("error: {file}:3:3: unknown key \"max_paralel\"; did you mean max_parallel?\n");
    assert_eq!(run.stderr, expected);
    assert!(server.methods().is_empty());
}

#[test]
fn hosts_are_never_implied() {
    let server = Server::start([]);
    for verb in ["start", "plan", "restart"] {
        let run = run(&server, &["rollout", verb, "web"]);
        assert_eq!(run.code, Some(2), "{verb}");
        assert!(run.stderr.contains("explicit target"), "{}", run.stderr);
    }
    assert!(server.methods().is_empty());
}

#[test]
fn a_pause_by_policy_is_1_and_shows_what_failed() {
    let status =
        rpc_status(Code::FailedPrecondition, "ROLLOUT_GATE_FAILED", "HTTP 503, 200 expected");
    let failed = RolloutStep {
        failed_step: HostStep::Gate.into(),
        status: Some(status),
        log_tail: vec!["boom".into()],
        ..step("web1", HostState::Restoring)
    };
    let restored = RolloutStep { state: HostState::Restored.into(), ..failed.clone() };
    let mut paused =
        rollout(RolloutState::Paused, vec![restored.clone(), step("web2", HostState::Waiting)]);
    paused.pause_cause = PauseCause::Budget.into();
    paused.reason = Some(rpc_status(Code::FailedPrecondition, "X", "web1 failed"));
    let messages = [
        snapshot(1, rollout(RolloutState::Running, both(HostState::Waiting))),
        changed(2, failed),
        changed(3, restored),
        whole(4, paused),
    ];
    // The stream continues, since a rollout that is paused has not ended.
    let server = Server::start([("WatchRollouts", Reply::messages(&messages).then_hang())]);
    let run = run(&server, &["rollout", "watch", ID]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let lines = run.lines();
    let expected = "web1: failed at gate: HTTP 503, 200 expected (ROLLOUT_GATE_FAILED)";
    assert!(lines.contains(&expected) && lines.contains(&"web1: | boom"), "{lines:#?}");
    let last = lines.last().unwrap();
    assert!(last.contains("is paused") && last.contains("web1 failed"), "{last}");
    assert!(last.contains("wharf rollout resume 1a2b3c4d --retry-failed"), "{last}");
}

#[test]
fn a_server_that_restarts_is_waited_for() {
    let story = story();
    let lost =
        Reply::messages(&story[..3]).then_refused(Code::Unavailable, "SERVER_STOPPING", "stops");
    let broken = Reply::messages(&story[3..4]).then_cut();
    let server = Server::start([
        ("WatchRollouts", lost),
        ("WatchRollouts", broken),
        ("WatchRollouts", Reply::messages(&story[4..])),
    ]);
    let run = run(&server, &["rollout", "watch", ID]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(run.stderr.matches("reconnecting").count(), 2, "{}", run.stderr);
    let cursors: Vec<_> = server
        .recorded()
        .iter()
        .map(|request| request.message::<WatchRolloutsRequest>().after.map(|it| it.revision))
        .collect();
    assert_eq!(cursors, [None, Some(3), Some(4)]);
    assert_eq!(run.stdout.matches("web1: updated").count(), 1, "told once: {}", run.stdout);
}

#[test]
fn events_are_json_one_a_line() {
    let server = Server::start([("WatchRollouts", Reply::messages(&story()))]);
    let run = run(&server, &["rollout", "watch", ID, "-o", "json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let events = run.json();
    assert_eq!(events.len(), 5);
    assert_eq!(events[1]["step"]["step"]["state"], "HOST_STATE_UPDATING");
    assert_eq!(events[4]["cursor"]["revision"], "5");
    assert!(run.stderr.contains("succeeded on 2 hosts"), "{}", run.stderr);
}

#[test]
fn ctrl_c_detaches_and_aborts_nothing() {
    let reply = Reply::messages(&story()[..2]).then_hang();
    let server = Server::start([("WatchRollouts", reply)]);
    let mut child = command(server.home(), &["rollout", "watch", ID])
        .env("WHARF_SERVER", server.address())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.ends_with("web1: updating\n") {
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "{line}");
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(stderr.contains("wharf rollout watch 1a2b3c4d"), "{stderr}");
    assert_eq!(server.methods(), ["WatchRollouts"]);
}

#[test]
fn a_refused_plan_has_a_line_for_each_host() {
    let refused = Reply::refused(
        Code::FailedPrecondition,
        "PLAN_REFUSED",
        "web1: the image is for arm64\nweb2: no container web",
    );
    let server = Server::start([("CreateRollout", refused)]);
    let run = run(&server, &["rollout", "start", "web", "--image", "app:v2", "-A"]);
    assert_eq!(run.code, Some(2));
    assert_eq!(
        run.stderr,
        "error: web1: the image is for arm64\nerror: web2: no container web (PLAN_REFUSED)\n"
    );
}

#[test]
fn a_plan_is_printed_and_nothing_is_begun() {
    let host = |name: &str| RolloutPlanHost {
        host: name.into(),
        wave: 1,
        action: RolloutAction::Replace.into(),
        old_image: "app:v1".into(),
        old_container_id: "d".repeat(64),
        running: true,
        diff: vec!["image: app:v1 -> app:v2".into()],
        ..Default::default()
    };
    let plan = RolloutPlan {
        container: "web".into(),
        image: "app:v2".into(),
        image_digest: "sha256:77".into(),
        hosts: vec![host("web1"), host("web2")],
        fingerprint: "4f2a".into(),
        ..Default::default()
    };
    let answer = PlanRolloutResponse { plan: Some(plan) };
    let server = Server::start([("PlanRollout", Reply::unary(&answer))]);
    let run = run(&server, &["rollout", "plan", "web", "--image", "app:v2", "-A"]);
    assert_eq!(
        run.lines(),
        [
            "web to app:v2 (sha256:77)",
            "",
            "HOST   WAVE   ACTION    ORDER        FROM IMAGE   NOW",
            "web1      1   replace   stop-first   app:v1       running",
            "web2      1   replace   stop-first   app:v1       running",
            "",
            "changes on web1, web2:",
            "  image: app:v1 -> app:v2",
            "",
            "to start only this plan, use: --expect-plan 4f2a",
        ]
    );
    assert_eq!(server.methods(), ["PlanRollout"]);
}

#[test]
fn a_container_stands_for_its_newest_rollout() {
    let running = rollout(RolloutState::Running, both(HostState::Waiting));
    let list = ListRolloutsResponse { rollouts: vec![running.clone()], ..Default::default() };
    let paused = PauseRolloutResponse { rollout: Some(running) };
    let server = Server::start([
        ("ListRollouts", Reply::unary(&list)),
        ("PauseRollout", Reply::unary(&paused)),
    ]);
    let run = run(&server, &["rollout", "pause", "web"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let asked: ListRolloutsRequest = server.request("ListRollouts");
    assert_eq!(asked.container, "web");
    assert!(!asked.states.contains(&RolloutState::Succeeded.into()), "{asked:?}");
    assert_eq!(server.request::<PauseRolloutRequest>("PauseRollout").id, ID);
}

#[test]
fn the_history_of_a_container_without_rollouts_is_an_error() {
    let none = ListRolloutsResponse::default();
    let server = Server::start([("ListRollouts", Reply::unary(&none))]);
    let history = run(&server, &["rollout", "history", "wbe"]);
    assert_eq!((history.code, history.stdout.as_str()), (Some(2), ""));
    assert!(history.stderr.contains("container \"wbe\" has no rollout"), "{}", history.stderr);
    // What a variable that is not set makes of a name. Any container would fit it.
    let empty = run(&server, &["rollout", "history", ""]);
    assert_eq!((empty.code, server.methods().len()), (Some(2), 2), "{}", empty.stderr);
}

#[test]
fn who_watches_what_somebody_paused_is_told_how_it_goes_on() {
    let mut paused = rollout(RolloutState::Paused, both(HostState::Waiting));
    paused.pause_cause = PauseCause::User.into();
    let again = Rollout { revision: 3, ..paused.clone() };
    let ended = rollout(RolloutState::Succeeded, both(HostState::Updated));
    let messages = [snapshot(2, paused), whole(3, again), whole(4, ended)];
    let server = Server::start([("WatchRollouts", Reply::messages(&messages))]);
    let run = run(&server, &["rollout", "watch", ID]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let hint = "paused by a user; to resume it, run: wharf rollout resume 1a2b3c4d\n";
    assert_eq!(run.stderr, hint, "said once");
}

/// As with docker, a name goes before the first digits of an ID.
#[test]
fn a_container_may_have_a_name_that_looks_like_an_id() {
    let mut running = rollout(RolloutState::Running, both(HostState::Waiting));
    running.container = "deadbeef".into();
    let found = ListRolloutsResponse { rollouts: vec![running.clone()], ..Default::default() };
    for (list, meant) in [(found, ID), (ListRolloutsResponse::default(), "deadbeef")] {
        let paused = PauseRolloutResponse { rollout: Some(running.clone()) };
        let server = Server::start([
            ("ListRollouts", Reply::unary(&list)),
            ("PauseRollout", Reply::unary(&paused)),
        ]);
        let run = run(&server, &["rollout", "pause", "deadbeef"]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert_eq!(server.request::<ListRolloutsRequest>("ListRollouts").container, "deadbeef");
        assert_eq!(server.request::<PauseRolloutRequest>("PauseRollout").id, meant);
    }
}

#[test]
fn what_comes_next_follows_from_what_was_asked_for() {
    // The answer may show the rollout as it was before the wish.
    let [running, paused] = [RolloutState::Running, RolloutState::Paused]
        .map(|state| Some(rollout(state, both(HostState::Waiting))));
    let server = Server::start([
        ("PauseRollout", Reply::unary(&PauseRolloutResponse { rollout: running })),
        ("AbortRollout", Reply::unary(&AbortRolloutResponse { rollout: paused })),
    ]);
    for (verb, then) in
        [("pause", "to resume it, run: wharf rollout resume"), ("abort", "to follow it, run")]
    {
        let run = run(&server, &["rollout", verb, ID]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert!(run.stderr.starts_with(then), "{verb}: {}", run.stderr);
    }
}

#[test]
fn an_undo_takes_back_the_newest_change() {
    let done = rollout(RolloutState::Succeeded, both(HostState::Updated));
    // Nothing of it is left that could be taken back.
    let mut rolled_back = rollout(RolloutState::RolledBack, both(HostState::Restored));
    rolled_back.id = "99999999-1111-4222-8333-444455556666".into();
    let rollouts = vec![rolled_back, done.clone()];
    let list = ListRolloutsResponse { rollouts, ..Default::default() };
    let answer = UndoRolloutResponse { rollout: Some(done), ..Default::default() };
    let server = Server::start([
        ("ListRollouts", Reply::unary(&list)),
        ("UndoRollout", Reply::unary(&answer)),
    ]);
    let run = run(&server, &["rollout", "undo", "web", "-d", "--max-parallel", "100%"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let request: UndoRolloutRequest = server.request("UndoRollout");
    assert_eq!((request.id.as_str(), request.policy.unwrap().max_parallel.as_str()), (ID, "100%"));
}

#[test]
fn lists_and_details_are_tables_for_people() {
    let running = rollout(RolloutState::Running, both(HostState::Waiting));
    let list = ListRolloutsResponse { rollouts: vec![running.clone()], ..Default::default() };
    let got = GetRolloutResponse { rollout: Some(running), ..Default::default() };
    let server =
        Server::start([("ListRollouts", Reply::unary(&list)), ("GetRollout", Reply::unary(&got))]);
    let listed = run(&server, &["rollout", "ls"]);
    assert_eq!(
        listed.lines()[1].split_whitespace().collect::<Vec<_>>()[..5],
        ["1a2b3c4d", "web", "app:v2", "running", "0/2"]
    );
    let shown = run_with(&server, &["rollout", "show", "1a2b3c4d"], |_| {});
    assert_eq!(shown.lines()[0], "web to app:v2: running, 0 of 2 done");
    assert!(shown.stdout.contains("web2"), "{}", shown.stdout);
    assert!(shown.stderr.contains("wharf rollout watch 1a2b3c4d"), "{}", shown.stderr);
}
