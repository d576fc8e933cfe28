//! `wharf rollout start`, `plan`, `restart`, and `undo` before a rollout exists.

use tonic::Code;
use wharf::v1::{
    AbortRolloutResponse, CreateRolloutRequest, CreateRolloutResponse, GetRolloutResponse,
    PauseRolloutRequest, PauseRolloutResponse, PlanRolloutRequest, PlanRolloutResponse,
    PromoteRolloutResponse, ResumeRolloutRequest, ResumeRolloutResponse, Rollout, RolloutCounts,
    RolloutPlan, RolloutState, UndoRolloutRequest, UndoRolloutResponse,
};

use crate::rollouts::ID;
use crate::run;
use crate::script::{Reply, Server};

fn done() -> Rollout {
    Rollout {
        id: ID.into(),
        container: "web".into(),
        image: "app:v2".into(),
        state: RolloutState::Succeeded.into(),
        counts: Some(RolloutCounts { total: 1, succeeded: 1, ..Default::default() }),
        ..Default::default()
    }
}

#[test]
fn a_start_that_changes_nothing_is_a_mistake() {
    let server = Server::start([]);
    let file = server.home().join("web.yaml");
    std::fs::write(&file, "container: web\ntargets: {all: {}}\nset: {}\n").unwrap();
    let file = file.to_str().unwrap();
    for arguments in [&["start", "web", "-A"][..], &["plan", "web", "-A"], &["start", "-f", file]] {
        let run = run(&server, &[&["rollout"], arguments].concat());
        assert_eq!(run.code, Some(2), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.starts_with("error: specify at least one change: "), "{}", run.stderr);
        assert!(run.stderr.ends_with(": wharf rollout restart web\n"), "{}", run.stderr);
    }
    assert!(server.methods().is_empty());
}

#[test]
fn an_image_from_a_host_is_said_with_its_host_and_needs_no_credentials() {
    let plan = RolloutPlan {
        container: "web".into(),
        image: "app:v2".into(),
        image_from: "build1".into(),
        image_id: "sha256:1".into(),
        ..Default::default()
    };
    let answer = PlanRolloutResponse { plan: Some(plan) };
    let server = Server::start([("PlanRollout", Reply::unary(&answer))]);
    let file = server.home().join("web.yaml");
    std::fs::write(&file, "container: web\nimage: app:v1\nimage_from: build2\n").unwrap();
    let file = file.to_str().unwrap();
    let more = ["--image", "app:v2", "--image-from", "build1"];
    let run = run(&server, &[&["rollout", "plan", "-f", file, "-A"][..], &more].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(run.lines()[0], "web to app:v2 from build1 (sha256:1)");
    let request = server.request::<PlanRolloutRequest>("PlanRollout");
    let spec = request.spec.unwrap();
    assert_eq!((&*spec.image, &*spec.image_from), ("app:v2", "build1"));
    assert_eq!(request.credentials, None);
}

#[test]
fn a_restart_can_be_planned() {
    let plan = RolloutPlan { container: "web".into(), ..Default::default() };
    let answer = PlanRolloutResponse { plan: Some(plan) };
    let server = Server::start([("PlanRollout", Reply::unary(&answer))]);
    let run = run(&server, &["rollout", "restart", "web", "-A", "--plan"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(run.lines()[0], "web: every host keeps its image");
    let spec = server.request::<PlanRolloutRequest>("PlanRollout").spec.unwrap();
    assert_eq!((spec.container.as_str(), spec.image.as_str()), ("web", ""));
}

#[test]
fn a_server_that_goes_away_before_it_answers_is_asked_again_for_the_same_rollout() {
    let answer = CreateRolloutResponse { rollout: Some(done()), ..Default::default() };
    let stopping =
        || Reply::refused(Code::Unavailable, "SERVER_STOPPING", "wharfd stops; connect again");
    let server = Server::start([
        ("CreateRollout", stopping()),
        ("CreateRollout", Reply::unary(&answer).then_cut()),
        // It plans still for the connection that was cut.
        ("CreateRollout", Reply::refused(Code::Aborted, "REQUEST_IN_PROGRESS", "try again")),
        ("CreateRollout", Reply::unary(&answer)),
    ]);
    let arguments = ["rollout", "start", "web", "--image", "app:v2", "-A", "-d", "-o", "name"];
    let started = run(&server, &arguments);
    assert_eq!((started.code, started.lines()), (Some(0), vec![ID]), "{}", started.stderr);
    let ids: Vec<String> = server
        .recorded()
        .iter()
        .map(|request| request.message::<CreateRolloutRequest>().request_id)
        .collect();
    assert!(ids.len() > 2 && ids.iter().all(|id| !id.is_empty() && *id == ids[0]), "{ids:?}");
    assert!(started.stderr.contains("connection to wharfd lost"), "{}", started.stderr);

    let answer = UndoRolloutResponse { rollout: Some(done()), ..Default::default() };
    let server =
        Server::start([("UndoRollout", stopping()), ("UndoRollout", Reply::unary(&answer))]);
    let undone = run(&server, &["rollout", "undo", ID, "-d", "-o", "name"]);
    assert_eq!((undone.code, undone.lines()), (Some(0), vec![ID]), "{}", undone.stderr);
    let ids: Vec<String> = server
        .recorded()
        .iter()
        .map(|request| request.message::<UndoRolloutRequest>().request_id)
        .collect();
    assert!(ids.len() == 2 && !ids[0].is_empty() && ids[0] == ids[1], "{ids:?}");
}

#[test]
fn a_server_that_goes_away_is_steered_again_under_the_same_request_id() {
    let stopping =
        || Reply::refused(Code::Unavailable, "SERVER_STOPPING", "wharfd stops; connect again");
    let rollout = || Some(done());
    for (verb, method, answer) in [
        ("pause", "PauseRollout", Reply::unary(&PauseRolloutResponse { rollout: rollout() })),
        ("resume", "ResumeRollout", Reply::unary(&ResumeRolloutResponse { rollout: rollout() })),
        ("promote", "PromoteRollout", Reply::unary(&PromoteRolloutResponse { rollout: rollout() })),
        ("abort", "AbortRollout", Reply::unary(&AbortRolloutResponse { rollout: rollout() })),
    ] {
        let server = Server::start([
            (
                "GetRollout",
                Reply::unary(&GetRolloutResponse { rollout: rollout(), ..Default::default() }),
            ),
            (method, stopping()),
            (method, answer),
        ]);
        let steered = run(&server, &["rollout", verb, ID, "-o", "name"]);
        assert_eq!((steered.code, steered.lines()), (Some(0), vec![ID]), "{}", steered.stderr);
        let ids: Vec<String> = server
            .recorded()
            .iter()
            .filter(|request| request.method == method)
            .map(|request| match verb {
                "resume" => request.message::<ResumeRolloutRequest>().request_id,
                // The other three have the same fields.
                _ => request.message::<PauseRolloutRequest>().request_id,
            })
            .collect();
        assert!(ids.len() == 2 && !ids[0].is_empty() && ids[0] == ids[1], "{verb}: {ids:?}");
    }
}

#[test]
fn a_host_before_the_container_is_answered_with_how_to_write_it() {
    let server = Server::start([]);
    let arguments = ["rollout", "start", "web1/web", "--image", "app:v2"];
    let started = run(&server, &arguments);
    assert_eq!(started.code, Some(2));
    assert!(started.stderr.ends_with("the hosts separately: web -H web1\n"), "{}", started.stderr);
    assert!(server.methods().is_empty());
}

#[test]
fn an_empty_argument_is_no_rollout() {
    let server = Server::start([]);
    for verb in ["show", "watch", "pause", "resume", "promote", "abort", "undo"] {
        let refused = run(&server, &["rollout", verb, ""]);
        assert_eq!(refused.code, Some(2), "{verb}");
        assert!(
            refused.stderr.contains("specify the ID of a rollout or a container"),
            "{}",
            refused.stderr
        );
    }
    assert!(server.methods().is_empty());
}

#[test]
fn what_may_be_the_beginning_of_an_id_is_told_how_long_one_must_be() {
    let empty = wharf::v1::ListRolloutsResponse::default();
    let server = Server::start([("ListRollouts", Reply::unary(&empty))]);
    let run = run(&server, &["rollout", "show", "1a2b"]);
    assert_eq!(run.code, Some(2));
    assert_eq!(
        run.stderr,
        "error: container \"1a2b\" has no rollout; an ID needs at least 8 digits; see: wharf rollout ls\n"
    );
}

#[test]
fn a_list_of_none_is_a_mistake() {
    let server = Server::start([]);
    for verb in ["ls", "history"] {
        let run = run(&server, &["rollout", verb, "web", "-n", "0"]);
        assert_eq!(run.code, Some(2), "{verb}");
        assert!(run.stderr.contains("--limit"), "{}", run.stderr);
    }
    assert!(server.methods().is_empty());
}
