//! Every failure of one host: its outcome, and that the others are not affected.

use std::time::Duration;

use tonic::Code;
use wharf::v1;
use wharf_simulator::{HttpFault, Operation, When};

use crate::support::{Answer, Fleet, all, host_timeout, list, name, secs, start};

const HTML: &[u8] = b"<html><body><h1>It works!</h1></body></html>";

/// A case: what happens, and what is said of it.
type Case = (&'static str, Fault, Code, &'static str);

enum Fault {
    /// Connections are refused.
    Down,
    /// It takes connections and says nothing.
    Hung,
    Http(HttpFault),
}

use Fault::{Down, Http, Hung};

fn answer(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Fault {
    Http(HttpFault::Answer { status, content_type, body: body.into() })
}

fn refuse(status: u16) -> Fault {
    Http(HttpFault::Refuse { status, message: "as the script says".to_owned() })
}

/// A host for each case and one that is well, at the end. The faults come at `operation`.
async fn fleet(cases: &[Case], operation: Operation) -> Fleet {
    let fleet = Fleet::new(cases.len() + 1).await;
    fleet.warm().await;
    for (place, (_, fault, ..)) in cases.iter().enumerate() {
        let host = fleet.host(place);
        match fault {
            Down => host.host().set_unreachable(true),
            Hung => host.host().set_hung(true),
            Http(fault) => host.faults.add(When::on(operation), fault.clone()),
        }
    }
    fleet
}

fn check<P: std::fmt::Debug>(cases: &[Case], answer: &Answer<P>) {
    for (place, (what, _, code, reason)) in cases.iter().enumerate() {
        let refused = answer.refused(&name(place));
        assert_eq!((refused.code, &*refused.reason), (*code, *reason), "{what}: {refused:?}");
        assert!(!refused.message.contains('\n'), "{what}: one line: {refused:?}");
        assert!(!refused.message.is_empty(), "{what}");
    }
    assert_eq!(answer.succeeded(), [name(cases.len())], "the host that is well");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads() {
    let nested = [b"[".repeat(10_000), b"]".repeat(10_000)].concat();
    let slow = HttpFault::Slow { bytes: 1, every: Duration::from_millis(100) };
    let cases = [
        ("down", Down, Code::Unavailable, "HOST_UNREACHABLE"),
        ("hung", Hung, Code::DeadlineExceeded, "HOST_TIMEOUT"),
        (
            "hangs before headers",
            Http(HttpFault::HangBeforeHeaders),
            Code::DeadlineExceeded,
            "HOST_TIMEOUT",
        ),
        (
            "hangs in the body",
            Http(HttpFault::HangInBody { after: 20 }),
            Code::DeadlineExceeded,
            "HOST_TIMEOUT",
        ),
        ("slow loris", Http(slow), Code::DeadlineExceeded, "HOST_TIMEOUT"),
        ("reset at once", Http(HttpFault::ResetBefore), Code::Unavailable, "HOST_CONNECTION_LOST"),
        (
            "reset in the head",
            Http(HttpFault::ResetAt(40)),
            Code::Unavailable,
            "HOST_CONNECTION_LOST",
        ),
        (
            "reset in the body",
            Http(HttpFault::ResetAt(500)),
            Code::Unavailable,
            "HOST_CONNECTION_LOST",
        ),
        (
            "closed in the body",
            Http(HttpFault::CloseAt(500)),
            Code::Unavailable,
            "HOST_CONNECTION_LOST",
        ),
        (
            "another protocol",
            Http(HttpFault::Garbage(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())),
            Code::Unknown,
            "ENGINE_BAD_ANSWER",
        ),
        ("HTML with 200", answer(200, "text/html", HTML), Code::Unknown, "ENGINE_BAD_ANSWER"),
        ("HTML with 502", answer(502, "text/html", HTML), Code::Unavailable, "ENGINE_UNAVAILABLE"),
        (
            "HTML with 404",
            answer(404, "text/html", HTML),
            Code::Unimplemented,
            "ENGINE_UNSUPPORTED",
        ),
        (
            "JSON cut off",
            answer(200, "application/json", *b"[{\"Id\":"),
            Code::Unknown,
            "ENGINE_BAD_ANSWER",
        ),
        (
            "JSON of another shape",
            answer(200, "application/json", *b"{\"Id\":1}"),
            Code::Unknown,
            "ENGINE_BAD_ANSWER",
        ),
        (
            "no UTF-8",
            answer(200, "application/json", *b"[\"\xff\xfe\"]"),
            Code::Unknown,
            "ENGINE_BAD_ANSWER",
        ),
        (
            "deep nesting",
            answer(200, "application/json", nested),
            Code::Unknown,
            "ENGINE_BAD_ANSWER",
        ),
        (
            "a redirect",
            Http(HttpFault::Redirect("http://elsewhere.test/".to_owned())),
            Code::Unknown,
            "ENGINE_BAD_ANSWER",
        ),
        ("400", refuse(400), Code::InvalidArgument, "ENGINE_BAD_REQUEST"),
        ("403", refuse(403), Code::PermissionDenied, "ENGINE_FORBIDDEN"),
        ("500", refuse(500), Code::Unknown, "ENGINE_ERROR"),
        ("501", refuse(501), Code::Unimplemented, "ENGINE_UNSUPPORTED"),
        ("503", refuse(503), Code::Unavailable, "ENGINE_UNAVAILABLE"),
    ];
    let fleet = fleet(&cases, Operation::ListContainers).await;
    let fanout = host_timeout(secs(2));
    let request = v1::ListContainersRequest { fanout, ..list(all()) };
    let listed = Answer::of(fleet.containers().list_containers(request)).await;
    check(&cases, &listed);
    assert!(listed.status.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_without_end_are_cut_off() {
    let fleet = Fleet::new(2).await;
    let endless = HttpFault::Endless(vec![b' '; 1 << 16]);
    fleet.host(0).faults.add(When::on(Operation::Inspect), endless);
    let inspect = v1::InspectContainersRequest {
        targets: all(),
        containers: vec!["c0".to_owned()],
        ..Default::default()
    };
    let inspected = Answer::of(fleet.containers().inspect_containers(inspect)).await;
    let expected = (Code::ResourceExhausted, "ENGINE_ANSWER_TOO_LARGE".to_owned());
    assert_eq!(inspected.code_and_reason(&name(0)), expected);
    assert_eq!(inspected.succeeded(), [name(1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interim_answers_are_passed_over() {
    let fleet = Fleet::new(1).await;
    fleet.host(0).faults.add(When::on(Operation::ListContainers), HttpFault::Interim(5));
    fleet.warm().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes() {
    let unknown = "RESULT_UNKNOWN";
    let cases = [
        ("down", Down, Code::Unavailable, "HOST_UNREACHABLE"),
        ("hung", Hung, Code::DeadlineExceeded, "HOST_TIMEOUT"),
        ("no answer", Http(HttpFault::HangAfter), Code::DeadlineExceeded, "HOST_TIMEOUT"),
        ("reset before", Http(HttpFault::ResetBefore), Code::Unknown, unknown),
        ("answer lost", Http(HttpFault::LoseAnswer), Code::Unknown, unknown),
        ("answer cut", Http(HttpFault::ResetAt(20)), Code::Unknown, unknown),
        (
            "another protocol",
            Http(HttpFault::Garbage(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())),
            Code::Unknown,
            unknown,
        ),
        ("HTML with 502", answer(502, "text/html", HTML), Code::Unknown, unknown),
        ("500", refuse(500), Code::Unknown, "ENGINE_ERROR"),
        ("503", refuse(503), Code::Unavailable, "ENGINE_UNAVAILABLE"),
        ("409", refuse(409), Code::FailedPrecondition, "ENGINE_CONFLICT"),
        (
            "no network",
            Http(HttpFault::Refuse { status: 404, message: "network x not found".to_owned() }),
            Code::NotFound,
            "NETWORK_NOT_FOUND",
        ),
    ];
    let fleet = fleet(&cases, Operation::Start).await;
    let request =
        v1::StartContainersRequest { fanout: host_timeout(secs(2)), ..start(all(), "c0") };
    let started = Answer::of(fleet.containers().start_containers(request)).await;
    check(&cases, &started);
    assert_eq!(started.failure(), (Code::Aborted, "SOME_HOSTS_FAILED".to_owned()));
    for (place, (what, fault, ..)) in cases.iter().enumerate() {
        let host = fleet.host(place);
        let tries = host.counters.count(Operation::Start);
        let most = u64::from(!matches!(fault, Down | Hung));
        assert_eq!(tries, most, "{what}: a write is sent once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pulls() {
    let error = |message: &str| {
        let message = message.to_owned();
        Http(HttpFault::StreamError { after_lines: 2, message })
    };
    let cases = [
        ("an error line", error("unexpected EOF"), Code::Unknown, "PULL_FAILED"),
        (
            "denied in the stream",
            error("unauthorized: authentication required"),
            Code::PermissionDenied,
            "REGISTRY_AUTH_REQUIRED",
        ),
        (
            "cut without its last chunk",
            Http(HttpFault::CutStream { after_lines: 2 }),
            Code::Unknown,
            "PULL_FAILED",
        ),
        ("an image that is not there", Http(HttpFault::LieStream), Code::Unknown, "PULL_FAILED"),
        (
            "a stream that stands still",
            Http(HttpFault::StallStream { after_lines: 2 }),
            Code::DeadlineExceeded,
            "HOST_TIMEOUT",
        ),
        (
            "a stream without end",
            Http(HttpFault::EndlessStream),
            Code::DeadlineExceeded,
            "HOST_TIMEOUT",
        ),
        ("HTML with 200", answer(200, "text/html", HTML), Code::Unknown, "ENGINE_BAD_ANSWER"),
        ("429", refuse(429), Code::ResourceExhausted, "REGISTRY_RATE_LIMITED"),
    ];
    let fleet = fleet(&cases, Operation::Pull).await;
    let request = v1::PullImageRequest {
        targets: all(),
        fanout: host_timeout(secs(3)),
        reference: "registry.test/app:v2".to_owned(),
        // What does not end is not to go on behind the test.
        cancel_on_disconnect: true,
        ..Default::default()
    };
    let pulled = Answer::of(fleet.images().pull_image(request)).await;
    check(&cases, &pulled);
}
