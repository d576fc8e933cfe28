//! Commands in containers, on simulated hosts.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request};
use wharf::v1;
use wharf::v1::exec_request::Event as Sent;
use wharf::v1::exec_response::Event as Answered;
use wharf::v1::run_command_response::Event;

use crate::support::{Answer, Fleet, FleetOptions, all, at, name, reason, start as begin};

fn command(words: &[&str]) -> Option<v1::CommandSpec> {
    let command = words.iter().map(|word| (*word).to_owned()).collect();
    Some(v1::CommandSpec { command, ..Default::default() })
}

/// Hosts with one running container.
async fn hosts(count: usize) -> Fleet {
    let fleet = Fleet::with(FleetOptions { containers: 1, ..FleetOptions::of(count) }).await;
    let started = Answer::of(fleet.containers().start_containers(begin(all(), "c0"))).await;
    assert!(started.status.is_ok(), "{:?}", started.status);
    fleet
}

fn run(targets: Option<v1::HostSelector>, words: &[&str]) -> v1::RunCommandRequest {
    let container = "c0".to_owned();
    v1::RunCommandRequest { targets, container, command: command(words), ..Default::default() }
}

fn outputs(answer: &Answer<Event>) -> Vec<(String, String)> {
    let mut outputs: Vec<_> = answer
        .payloads
        .iter()
        .filter_map(|(host, event)| match event {
            Event::Output(output) => {
                Some((host.clone(), String::from_utf8(output.data.clone()).unwrap()))
            }
            _ => None,
        })
        .collect();
    outputs.sort();
    outputs
}

#[tokio::test]
async fn two_hundred_hosts_run_a_command_at_once() {
    let fleet = hosts(200).await;
    let answer = Answer::of(fleet.exec().run_command(run(all(), &["echo", "hello"]))).await;
    assert!(answer.status.is_ok(), "{:?}", answer.status);
    let expected: Vec<_> = {
        let mut hosts: Vec<_> = (0..200).map(name).collect();
        hosts.sort();
        hosts.into_iter().map(|host| (host, "hello\n".to_owned())).collect()
    };
    assert_eq!(outputs(&answer), expected);
    let exits = answer.payloads.iter().filter(|(_, event)| matches!(event, Event::Exit(_)));
    assert_eq!(exits.count(), 200);
}

#[tokio::test]
async fn a_command_that_fails_is_a_failure_of_its_host() {
    let fleet = hosts(2).await;
    let answer = Answer::of(fleet.exec().run_command(run(at(&[0]), &["exit", "7"]))).await;
    let status = answer.status.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "COMMAND_FAILED")
    );
    let outcome = &answer.outcomes[&name(0)];
    assert!(outcome.changed, "it ran: {outcome:?}");
    let exit = answer.payloads.iter().find_map(|(_, event)| match event {
        Event::Exit(exit) => Some(exit.exit_code),
        _ => None,
    });
    assert_eq!(exit, Some(7));
}

#[tokio::test]
async fn a_retry_does_not_run_it_again() {
    let fleet = hosts(1).await;
    let request = v1::RunCommandRequest {
        request_id: uuid::Uuid::new_v4().to_string(),
        ..run(all(), &["exit", "7"])
    };
    let first = Answer::of(fleet.exec().run_command(request.clone())).await;
    let heard = fleet.host(0).counters.snapshot().total;
    let again = Answer::of(fleet.exec().run_command(request)).await;
    assert_eq!(fleet.host(0).counters.snapshot().total, heard);
    assert!(again.outcomes[&name(0)].replayed);
    // The metadata has no order.
    let told = |answer: &Answer<Event>| {
        let status = answer.outcomes[&name(0)].status.clone().unwrap();
        (status.code, status.message)
    };
    assert_eq!(told(&again), told(&first));
}

#[tokio::test]
async fn wrong_commands_are_refused_before_any_host_is_contacted() {
    let fleet = hosts(1).await;
    let heard = fleet.host(0).counters.snapshot().total;
    let with = |change: fn(&mut v1::CommandSpec)| {
        let mut request = run(all(), &["true"]);
        request.command.as_mut().map(change);
        request
    };
    for (field, request) in [
        ("command", v1::RunCommandRequest { command: None, ..run(all(), &[]) }),
        ("command.command", run(all(), &[])),
        ("command.command", run(all(), &["", "x"])),
        ("command", run(all(), &["echo", "a\0b"])),
        ("command.env[0]", with(|command| command.env = vec!["=x".to_owned()])),
        ("command.env[1]", with(|command| command.env = vec!["A=b".to_owned(), "A".to_owned()])),
        ("command.working_dir", with(|command| command.working_dir = "tmp".to_owned())),
        (
            "container",
            v1::RunCommandRequest { container: "../x".to_owned(), ..run(all(), &["true"]) },
        ),
    ] {
        let status = fleet.exec().run_command(request).await.unwrap_err();
        let details = tonic_types::StatusExt::get_error_details(&status);
        let fields: Vec<_> = details
            .bad_request()
            .unwrap()
            .field_violations
            .iter()
            .map(|it| it.field.as_str())
            .collect();
        assert_eq!((status.code(), fields), (Code::InvalidArgument, vec![field]));
    }
    assert_eq!(fleet.host(0).counters.snapshot().total, heard);
}

fn start(host: &str, words: &[&str]) -> Sent {
    Sent::Start(v1::ExecStart {
        host: host.to_owned(),
        container: "c0".to_owned(),
        command: command(words),
        ..Default::default()
    })
}

/// The answers of a session with this input, and how it ended.
async fn session(fleet: &Fleet, sent: Vec<Sent>) -> (Vec<Answered>, Result<(), tonic::Status>) {
    let (requests, body) = mpsc::channel(16);
    for event in sent {
        requests.send(v1::ExecRequest { event: Some(event) }).await.unwrap();
    }
    let mut answers = Vec::new();
    let mut client = fleet.exec();
    let opened = client.exec(Request::new(ReceiverStream::new(body)));
    let opened = tokio::time::timeout(Duration::from_secs(30), opened).await.expect("an answer");
    let mut responses = match opened {
        Ok(responses) => responses.into_inner(),
        Err(status) => return (answers, Err(status)),
    };
    loop {
        match responses.message().await {
            Ok(Some(response)) => answers.extend(response.event),
            Ok(None) => return (answers, Ok(())),
            Err(status) => return (answers, Err(status)),
        }
    }
}

#[tokio::test]
async fn a_session_ends_with_the_exit_code_while_its_input_is_open() {
    let fleet = hosts(1).await;
    let (answers, end) =
        session(&fleet, vec![start(&name(0), &["sh", "-c", "echo hi; exit 3"])]).await;
    end.unwrap();
    let [Answered::Started(started), Answered::Output(output), Answered::Exited(exit)] = &*answers
    else {
        panic!("{answers:?}")
    };
    assert!(!started.exec_id.is_empty());
    assert_eq!((&*output.data, exit.exit_code), (&b"hi\n"[..], 3));
}

#[tokio::test]
async fn a_session_is_refused_with_the_reason() {
    let fleet = hosts(1).await;
    let first = start(&name(0), &["true"]);
    let size = v1::TerminalSize { columns: 80, rows: 24 };
    let with_size = match first.clone() {
        Sent::Start(start) => Sent::Start(v1::ExecStart { size: Some(size), ..start }),
        other => other,
    };
    let no_container = match first.clone() {
        Sent::Start(start) => Sent::Start(v1::ExecStart { container: "none".to_owned(), ..start }),
        other => other,
    };
    for (sent, code, expected) in [
        (vec![Sent::Stdin(vec![1])], Code::InvalidArgument, "INVALID_FIELD"),
        (vec![with_size], Code::InvalidArgument, "INVALID_FIELD"),
        (vec![start("", &["true"])], Code::InvalidArgument, "INVALID_FIELD"),
        (vec![start("nobody", &["true"])], Code::NotFound, "HOST_NOT_FOUND"),
        (vec![no_container], Code::NotFound, "CONTAINER_NOT_FOUND"),
    ] {
        let (_, end) = session(&fleet, sent.clone()).await;
        let status = end.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (code, expected), "{sent:?}");
    }
}
