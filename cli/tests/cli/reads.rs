//! Reads: tables, lines for programs, partial failure, streams that end early.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use tonic::Code;
use wharf::v1::host_selector::Selection;
use wharf::v1::list_containers_response::Event;
use wharf::v1::{
    Container, ContainerBatch, InspectContainersResponse, ItemResult, ListContainersRequest,
    ListContainersResponse, inspect_containers_response,
};

use crate::script::{Reply, Server, Stream, rpc_status};
use crate::{command, run, run_with};

fn batch(names: &[&str]) -> Event {
    let container = |&name: &&str| Container {
        id: format!("{name}0123456789abcdef"),
        name: name.to_owned(),
        image: "app:v1".into(),
        status: "Up 5 minutes".into(),
        ..Container::default()
    };
    Event::Batch(ContainerBatch::of(names.iter().map(container).collect()))
}

fn partial() -> Stream<ListContainersResponse> {
    Reply::started::<ListContainersResponse>(&["web1", "web2"])
        .failed("web2", Code::Unavailable, "HOST_UNREACHABLE", "connection refused")
        .payload("web1", batch(&["web"]))
        .ok("web1", false)
}

#[test]
fn a_table_is_sorted_by_host_and_name() {
    let reply = Reply::started::<ListContainersResponse>(&["web1", "web2"])
        .payload("web2", batch(&["web"]))
        .ok("web2", false)
        .payload("web1", batch(&["web", "db"]))
        .payload("web1", batch(&["cache"]))
        .ok("web1", false);
    let server = Server::start([("ListContainers", reply.done())]);
    let run = run(&server, &["ps"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let first_two: Vec<Vec<&str>> =
        run.lines().iter().map(|line| line.split_whitespace().take(2).collect()).collect();
    assert_eq!(
        first_two,
        [["HOST", "NAME"], ["web1", "cache"], ["web1", "db"], ["web1", "web"], ["web2", "web"]]
    );
    let request: ListContainersRequest = server.request("ListContainers");
    assert!(matches!(request.targets.unwrap().selection, Some(Selection::All(_))));
}

#[test]
fn a_failed_host_is_told_on_stderr_and_the_others_are_shown() {
    let server = Server::start([("ListContainers", partial().done())]);
    let run = run(&server, &["ps", "-A"]);
    assert_eq!(run.code, Some(1));
    assert_eq!(run.lines().len(), 2, "{}", run.stdout);
    assert_eq!(
        run.stderr,
        "web2: error: connection refused (HOST_UNREACHABLE)\n1 of 2 hosts succeeded\n"
    );
}

#[test]
fn a_table_without_a_host_that_answered_has_no_title_line() {
    let failed = Reply::started::<ListContainersResponse>(&["web1"])
        .failed("web1", Code::Unavailable, "HOST_UNREACHABLE", "connection refused")
        .done();
    let run_of = |reply| run(&Server::start([("ListContainers", reply)]), &["ps"]);
    let run = run_of(failed);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    let nothing = Reply::started::<ListContainersResponse>(&["web1"]).ok("web1", false).done();
    let run = run_of(nothing);
    assert_eq!(run.code, Some(0));
    assert!(run.stdout.starts_with("HOST") && run.lines().len() == 1, "{}", run.stdout);
}

#[test]
fn for_programs_a_failed_host_is_a_line_on_stdout() {
    let server = Server::start([("ListContainers", partial().done())]);
    let run = run(&server, &["ps", "-A", "-o", "json"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""));
    let lines = run.json();
    assert_eq!(
        run.lines()[0],
        r#"{"host":"web2","error":{"code":"UNAVAILABLE","reason":"HOST_UNREACHABLE","message":"connection refused"}}"#
    );
    assert_eq!(lines[1]["host"], "web1");
    assert_eq!(lines[1]["name"], "web");
    assert_eq!(lines[1]["sizeBytes"], "0");
}

#[test]
fn names_and_ids_are_there_for_scripts() {
    let server = Server::start([("ListContainers", partial().done())]);
    assert_eq!(run(&server, &["ps", "-o", "name"]).stdout, "web1/web\n");
    assert_eq!(
        run(&server, &["ps", "-q"]).stdout,
        "web012345678
"
    );
}

#[test]
fn a_host_without_outcome_is_unknown_and_never_forgotten() {
    let replies = || {
        Reply::started::<ListContainersResponse>(&["web1", "web2"])
            .payload("web1", batch(&["web"]))
            .ok("web1", false)
    };
    for reply in [replies().cut(), replies().short()] {
        let server = Server::start([("ListContainers", reply)]);
        let table = run(&server, &["ps"]);
        assert_eq!(table.code, Some(1));
        assert!(table.stderr.contains("web2: error: result unknown"), "{}", table.stderr);
        assert!(table.stderr.ends_with("1 of 2 hosts succeeded\n"), "{}", table.stderr);
        let json = run(&server, &["ps", "-o", "json"]).json();
        assert_eq!(json[1]["host"], "web2");
        assert_eq!(json[1]["error"]["reason"], "RESULT_UNKNOWN");
    }
}

#[test]
fn a_refused_call_is_one_line_and_ends_with_2() {
    let refused = Reply::refused(Code::NotFound, "HOST_NOT_FOUND", "there is no host \"web9\"");
    let server = Server::start([("ListContainers", refused)]);
    let unknown = run(&server, &["ps", "-H", "web9"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (Some(2), ""));
    assert_eq!(unknown.stderr, "error: there is no host \"web9\" (HOST_NOT_FOUND)\n");

    let server = Server::start([(
        "ListContainers",
        Reply::invalid("targets.labels", "expected a value at 4"),
    )]);
    let invalid = run(&server, &["ps", "-l", "env="]);
    assert_eq!(invalid.code, Some(2));
    assert_eq!(invalid.stderr, "error: targets.labels: expected a value at 4 (INVALID_FIELD)\n");
}

#[test]
fn a_healthy_host_is_shown_while_another_still_hangs() {
    let reply = Reply::started::<ListContainersResponse>(&["web1", "web2"])
        .payload("web1", batch(&["web"]))
        .ok("web1", false);
    let server = Server::start([("ListContainers", reply.hang())]);
    for arguments in [["ps", "-o", "json"], ["ps", "-o", "table"]] {
        let mut child = command(server.home(), &arguments)
            .env("WHARF_SERVER", server.address())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Blocks until the line is there; the other host never answers.
        assert!(lines.any(|line| line.unwrap().contains("web0123456")));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_deadline_ends_a_server_that_hangs() {
    let reply = Reply::started::<ListContainersResponse>(&["web1"]);
    let server = Server::start([("ListContainers", reply.hang())]);
    let run = run(&server, &["ps", "--timeout", "50ms"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("the time limit of --timeout expired"), "{}", run.stderr);
    let recorded = server.recorded();
    assert!(recorded[0].headers.contains_key("grpc-timeout"));
}

#[test]
fn a_reader_that_goes_away_ends_a_read_quietly() {
    let names: Vec<String> = (0..5000).map(|index| format!("container{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let reply = Reply::started::<ListContainersResponse>(&["web1"])
        .payload("web1", batch(&names))
        .ok("web1", false)
        .done();
    let server = Server::start([("ListContainers", reply)]);
    for format in ["table", "json"] {
        let mut child = command(server.home(), &["ps", "-o", format])
            .env("WHARF_SERVER", server.address())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        reader.read_line(&mut String::new()).unwrap();
        drop(reader);
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""), "{format}");
    }
}

#[test]
fn output_that_is_lost_is_no_success() {
    let reply = Reply::started::<ListContainersResponse>(&["web1"])
        .payload("web1", batch(&["web"]))
        .ok("web1", false)
        .done();
    let server = Server::start([("ListContainers", reply)]);
    for format in ["table", "json"] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = command(server.home(), &["ps", "-o", format])
            .env("WHARF_SERVER", server.address())
            .stdout(full)
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{format}: {stderr}");
        assert!(stderr.starts_with("error: cannot write to standard output: "), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn an_inspection_is_dockers_json_with_the_host() {
    let details = |engine: &str| wharf::v1::ContainerDetails {
        name_in_request: "web".into(),
        name: "web".into(),
        engine: Some(wharf::v1::EngineJson { json: engine.into(), api_version: "1.41".into() }),
        ..Default::default()
    };
    use inspect_containers_response::Event;
    let reply = Reply::started::<InspectContainersResponse>(&["web1", "web2"])
        .payload(
            "web2",
            Event::Item(ItemResult {
                name: "web".into(),
                status: Some(rpc_status(
                    Code::NotFound,
                    "CONTAINER_NOT_FOUND",
                    "no such container: web",
                )),
                ..ItemResult::default()
            }),
        )
        .failed("web2", Code::NotFound, "CONTAINER_NOT_FOUND", "no such container: web")
        .payload("web1", Event::Container(details(r#"{"Id":"x","Z":1,"A":{"b":null}}"#)))
        .ok("web1", false)
        .done();
    let server = Server::start([("InspectContainers", reply)]);
    let run = run(&server, &["inspect", "-A", "web"]);
    assert_eq!(run.code, Some(1));
    let value: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(value.to_string(), r#"[{"Host":"web1","Id":"x","Z":1,"A":{"b":null}}]"#);
    assert_eq!(
        run.stderr,
        "web2/web: error: no such container: web (CONTAINER_NOT_FOUND)\n1 of 2 hosts succeeded\n"
    );
}

#[test]
fn a_token_is_presented_and_never_printed() {
    let server = Server::start([("ListContainers", partial().done())]);
    let run = run_with(&server, &["ps"], |command| {
        command.env("WHARF_TOKEN", "s3cret");
    });
    assert_eq!(run.code, Some(1));
    assert_eq!(server.recorded()[0].headers["authorization"], "Bearer s3cret");
    assert!(!run.stdout.contains("s3cret") && !run.stderr.contains("s3cret"));
}
