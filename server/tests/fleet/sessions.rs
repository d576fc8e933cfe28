//! Sessions in containers whose input comes in calls, on simulated hosts: `cat` there writes what it
//! reads, and `sleep` reads nothing.

use std::time::Duration;

use tokio::time::timeout;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status, Streaming};
use wharf::v1;
use wharf::v1::exec_service_client::ExecServiceClient;
use wharf::v1::send_session_input_request::Input;
use wharf::v1::start_session_request::Target;
use wharf::v1::start_session_response::Event;
use wharf_server::config::Limits;
use wharf_simulator::Operation;

use crate::access::{TOKENS, secured_with};
use crate::support::{Answer, Fleet, FleetOptions, Log, all, name, reason, secs, start, until};

/// The longest that something may take; the machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);

async fn host(limits: Limits) -> Fleet {
    let fleet = Fleet::with(FleetOptions { limits, ..FleetOptions::of(1) }).await;
    Answer::of(fleet.containers().start_containers(start(all(), "c0"))).await.all_succeeded();
    fleet
}

fn order(program: &str, tty: bool) -> v1::ExecStart {
    let command = v1::CommandSpec { command: vec![program.to_owned()], ..Default::default() };
    v1::ExecStart {
        host: name(0),
        container: "c0".to_owned(),
        command: Some(command),
        stdin: true,
        tty,
        size: None,
    }
}

fn request(start: v1::ExecStart) -> v1::StartSessionRequest {
    v1::StartSessionRequest { target: Some(Target::Start(start)) }
}

/// A session under way.
struct Session {
    client: ExecServiceClient<tonic::transport::Channel>,
    responses: Streaming<v1::StartSessionResponse>,
    started: v1::ExecStarted,
}

impl Session {
    async fn begin(fleet: &Fleet, start: v1::ExecStart) -> Result<Self, Status> {
        let mut client = fleet.exec();
        let mut responses = client.start_session(request(start)).await?.into_inner();
        match responses.message().await?.and_then(|response| response.event) {
            Some(Event::Started(started)) => Ok(Self { client, responses, started }),
            other => panic!("the first message is {other:?}"),
        }
    }

    async fn send(&self, position: u64, input: Input) -> Result<(), Status> {
        let session_id = self.started.session_id.clone();
        let input = Some(input);
        let request = v1::SendSessionInputRequest { session_id, position, input };
        let mut client = self.client.clone();
        timeout(LIMIT, client.send_session_input(request)).await.expect("an answer").map(drop)
    }

    async fn stdin(&self, position: u64, text: &str) -> Result<(), Status> {
        self.send(position, Input::Stdin(text.into())).await
    }

    async fn next(&mut self) -> Result<Option<Event>, Status> {
        let next = timeout(LIMIT, self.responses.message()).await.expect("a message")?;
        Ok(next.and_then(|response| response.event))
    }

    /// The output until it has as much as `text`, which it must be.
    async fn writes(&mut self, text: &str) {
        let mut seen = String::new();
        while seen.len() < text.len() {
            match self.next().await {
                Ok(Some(Event::Output(output))) => {
                    seen.push_str(std::str::from_utf8(&output.data).unwrap());
                }
                other => panic!("{other:?} after {seen:?}"),
            }
        }
        assert_eq!(seen, text);
    }

    async fn exits(&mut self) -> i32 {
        match self.next().await {
            Ok(Some(Event::Exited(exit))) => {
                assert!(self.next().await.unwrap().is_none(), "a message after the end");
                exit.exit_code
            }
            other => panic!("{other:?}"),
        }
    }
}

fn refused<T>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.err().expect("it is refused");
    (status.code(), reason(&status))
}

fn not_found() -> (Code, String) {
    (Code::NotFound, "SESSION_NOT_FOUND".to_owned())
}

fn out_of_order() -> (Code, String) {
    (Code::FailedPrecondition, "SESSION_INPUT_ORDER".to_owned())
}

/// What the command of a session read, and the size of its terminal.
fn seen(fleet: &Fleet, session: &v1::ExecStarted) -> (Vec<u8>, Option<String>) {
    let seen = fleet.host(0).host().with(|model, _| model.seen_by_exec(&session.exec_id));
    seen.expect("the command")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn input_arrives_once_and_in_order_until_its_end() {
    let fleet = host(Limits::default()).await;
    let mut session = Session::begin(&fleet, order("cat", false)).await.unwrap();
    assert!(session.started.session_id.len() >= 32, "{:?}", session.started);
    assert_eq!(refused(session.stdin(1, "too early").await), out_of_order());
    session.stdin(0, "one ").await.unwrap();
    // Its answer was lost, and it is sent again.
    session.stdin(0, "one ").await.unwrap();
    assert_eq!(refused(session.stdin(0, "another one").await), out_of_order());
    session.stdin(1, "two ").await.unwrap();
    assert_eq!(refused(session.stdin(0, "one ").await), out_of_order());
    assert_eq!(refused(session.stdin(u64::MAX, "last").await), out_of_order());
    session.stdin(2, "three").await.unwrap();
    session.writes("one two three").await;
    let close = || Input::CloseStdin(v1::CloseStdin {});
    session.send(3, close()).await.unwrap();
    session.send(3, close()).await.unwrap_or_else(|status| {
        // The command may have ended by then.
        assert_eq!(reason(&status), "SESSION_NOT_FOUND");
    });
    assert_eq!(session.exits().await, 0);
    assert_eq!(seen(&fleet, &session.started).0, b"one two three");
    assert_eq!(refused(session.stdin(4, "after the end").await), not_found());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_gets_its_sizes_and_nothing_that_is_none() {
    let fleet = host(Limits::default()).await;
    let size = |columns, rows| Input::Resize(v1::TerminalSize { columns, rows });
    let invalid = (Code::InvalidArgument, "INVALID_FIELD".to_owned());
    let session = Session::begin(&fleet, order("cat", true)).await.unwrap();
    assert!(session.started.tty);
    session.send(0, size(97, 31)).await.unwrap();
    let has = |text: &str| seen(&fleet, &session.started).1.as_deref() == Some(text);
    until("it has the size", || has("97x31")).await;
    // A wrong one ends nothing, and takes no position.
    assert_eq!(refused(session.send(1, size(0, 31)).await), invalid);
    assert_eq!(refused(session.send(1, size(97, 70_000)).await), invalid);
    session.send(1, size(123, 45)).await.unwrap();
    until("it has the other size", || has("123x45")).await;

    let mut plain = Session::begin(&fleet, order("cat", false)).await.unwrap();
    assert_eq!(refused(plain.send(0, size(1, 1)).await), invalid);
    plain.stdin(0, "still here").await.unwrap();
    plain.writes("still here").await;
    let nothing = v1::SendSessionInputRequest {
        session_id: plain.started.session_id.clone(),
        position: 1,
        input: None,
    };
    assert_eq!(refused(fleet.exec().send_session_input(nothing).await), invalid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_refused_with_the_reason_of_exec() {
    let fleet = host(Limits::default()).await;
    let size = Some(v1::TerminalSize { columns: 80, rows: 24 });
    let with = |change: fn(&mut v1::ExecStart)| {
        let mut start = order("cat", false);
        change(&mut start);
        start
    };
    for (start, code, expected) in [
        (with(|start| start.host.clear()), Code::InvalidArgument, "INVALID_FIELD"),
        (v1::ExecStart { size, ..order("cat", false) }, Code::InvalidArgument, "INVALID_FIELD"),
        (with(|start| start.command = None), Code::InvalidArgument, "INVALID_FIELD"),
        (with(|start| start.host = "nobody".to_owned()), Code::NotFound, "HOST_NOT_FOUND"),
        (with(|start| start.container = "none".to_owned()), Code::NotFound, "CONTAINER_NOT_FOUND"),
    ] {
        let begun = Session::begin(&fleet, start.clone()).await;
        assert_eq!(refused(begun), (code, expected.to_owned()), "{start:?}");
    }
    let nothing = fleet.exec().start_session(v1::StartSessionRequest { target: None }).await;
    assert_eq!(refused(nothing), (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_drops_the_stream_ends_the_session_and_hangs_up_its_terminal() {
    let fleet = host(Limits::default()).await;
    let before = fleet.host(0).counters.snapshot().in_flight;
    for tty in [true, false] {
        let session = Session::begin(&fleet, order("cat", tty)).await.unwrap();
        session.stdin(0, "half a line").await.unwrap();
        let Session { client, responses, started } = session;
        drop(responses);
        until("the connection to the Engine is closed", || {
            fleet.host(0).counters.snapshot().in_flight == before
        })
        .await;
        let expected: &[u8] = if tty { b"half a line\x15\x04" } else { b"half a line" };
        assert_eq!(seen(&fleet, &started).0, expected);
        let input = Some(Input::Stdin(b"x".to_vec()));
        let session_id = started.session_id;
        let request = v1::SendSessionInputRequest { session_id, position: 1, input };
        assert_eq!(refused(client.clone().send_session_input(request).await), not_found());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_somebody_else_is_none() {
    let fleet = host(Limits::default()).await;
    let secured = secured_with(&fleet).await;
    let as_caller = |token: &'static str| {
        let token: MetadataValue<_> = format!("Bearer {token}").parse().unwrap();
        ExecServiceClient::with_interceptor(secured.channel.clone(), move |mut call: Request<()>| {
            call.metadata_mut().insert("authorization", token.clone());
            Ok(call)
        })
    };
    let [(reader, _), (owner, _), (admin, _)] = TOKENS;
    let begun = as_caller(owner).start_session(request(order("cat", false))).await.unwrap();
    let mut responses = begun.into_inner();
    let first = responses.message().await.unwrap().and_then(|response| response.event);
    let Some(Event::Started(started)) = first else { panic!("{first:?}") };
    let input = |session_id: &str| v1::SendSessionInputRequest {
        session_id: session_id.to_owned(),
        position: 0,
        input: Some(Input::Stdin(b"x".to_vec())),
    };
    let id = started.session_id.as_str();
    // Nothing tells a session of another caller from one that there never was.
    let of_owner = as_caller(admin).send_session_input(input(id)).await.unwrap_err();
    let unknown = as_caller(admin).send_session_input(input(&"0".repeat(id.len()))).await;
    let unknown = unknown.unwrap_err();
    assert_eq!(refused::<()>(Err(of_owner.clone())), not_found());
    assert_eq!((of_owner.message(), of_owner.details()), (unknown.message(), unknown.details()));
    let forged = as_caller(reader).send_session_input(input(id)).await.unwrap_err();
    assert_eq!(reason(&forged), "ROLE_REQUIRED");
    assert_eq!(seen(&fleet, &started).0, b"");
    as_caller(owner).send_session_input(input(id)).await.unwrap();
    until("it is there", || seen(&fleet, &started).0 == b"x").await;
    drop(responses);
    secured.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn input_waits_for_a_command_that_does_not_read() {
    let fleet = host(Limits::default()).await;
    let session = Session::begin(&fleet, order("sleep", false)).await.unwrap();
    let mebibyte = vec![b'x'; 1 << 20];
    let send = async |position| {
        let session_id = session.started.session_id.clone();
        let input = Some(Input::Stdin(mebibyte.clone()));
        let mut request = Request::new(v1::SendSessionInputRequest { session_id, position, input });
        request.set_timeout(Duration::from_secs(1));
        let answer = session.client.clone().send_session_input(request).await;
        // Of the server, or of the client, which is told by the first of the two.
        answer.map_err(|status| match status.code() {
            Code::DeadlineExceeded | Code::Cancelled => (),
            code => panic!("{code}: {status:?}"),
        })
    };
    let mut position = 0;
    while send(position).await.is_ok() {
        position += 1;
        assert!(position < 16, "what nobody reads is kept");
    }
    // It was not taken, so the next one has its position, and waits as well.
    send(position).await.unwrap_err();
    assert_eq!(refused(session.stdin(position + 1, "x").await), out_of_order());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_sessions_each_have_their_own_input() {
    const SESSIONS: usize = 200;
    let limits = Limits { max_calls_per_caller: SESSIONS + 1, ..Limits::default() };
    let fleet = host(limits).await;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        // One connection has fewer streams than this.
        let channel = fleet.connect().await;
        let mut client = ExecServiceClient::new(channel);
        let responses = client.start_session(request(order("cat", false))).await.unwrap();
        let mut responses = responses.into_inner();
        let first = responses.message().await.unwrap().and_then(|response| response.event);
        let Some(Event::Started(started)) = first else { panic!("{first:?}") };
        sessions.push(Session { client, responses, started });
    }
    for (number, session) in sessions.iter_mut().enumerate() {
        let text = format!("session {number}");
        session.stdin(0, &text).await.unwrap();
        session.writes(&text).await;
    }
    // The last place was for their input.
    let last = Session::begin(&fleet, order("cat", false)).await.unwrap();
    let beyond = refused(Session::begin(&fleet, order("cat", false)).await);
    assert_eq!(beyond, (Code::ResourceExhausted, "TOO_MANY_CALLS".to_owned()));
    drop(last);
    let deadline = tokio::time::Instant::now() + secs(60);
    while let Err(status) = Session::begin(&fleet, order("cat", false)).await {
        assert_eq!(reason(&status), "TOO_MANY_CALLS");
        assert!(tokio::time::Instant::now() < deadline, "an ended session still counts");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_with_the_server_and_says_so() {
    let mut fleet = host(Limits::default()).await;
    let mut session = Session::begin(&fleet, order("cat", true)).await.unwrap();
    timeout(LIMIT, fleet.stop()).await.expect("it stops");
    let status = session.next().await.unwrap_err();
    assert_eq!((status.code(), &*reason(&status)), (Code::Unavailable, "SERVER_STOPPING"));
    until("the terminal is hung up", || seen(&fleet, &session.started).0.ends_with(b"\x15\x04"))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_log_has_a_session_and_what_fails_but_no_input() {
    let log = Log::take_down();
    let fleet = host(Limits::default()).await;
    let mut start = order("cat", true);
    start.container = "audited-session".to_owned();
    Session::begin(&fleet, start).await.err().expect("there is no such container");
    let mut session = Session::begin(&fleet, order("cat", true)).await.unwrap();
    session.stdin(0, "what-was-typed-there").await.unwrap();
    session.writes("what-was-typed-there").await;
    session.stdin(7, "what-was-typed-there").await.unwrap_err();
    let method = "method=\"/wharf.v1.ExecService/SendSessionInput\"";
    let failed = [method, "container=\\\"c0\\\"", "reason=\"SESSION_INPUT_ORDER\""];
    until("the failure is there", || !log.audit(&failed).is_empty()).await;
    session.stdin(1, "\u{4}").await.unwrap();
    session.writes("").await;
    assert_eq!(session.exits().await, 0);
    let started = "method=\"/wharf.v1.ExecService/StartSession\"";
    for subject in ["container=\\\"audited-session\\\"", "container=\\\"c0\\\" program=\\\"cat\\\""]
    {
        until(subject, || !log.audit(&[started, subject]).is_empty()).await;
    }
    assert!(log.audit(&[method, "outcome=\"OK\""]).is_empty());
    assert!(log.audit(&["what-was-typed-there"]).is_empty());
    assert!(fleet.host(0).counters.count(Operation::StartExec) >= 1);
}
