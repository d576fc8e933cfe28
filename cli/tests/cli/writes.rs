//! Writes: targets, one line for each result, partial failure, exit statuses handed on.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use tonic::Code;
use wharf::v1::host_selector::Selection;
use wharf::v1::{
    ContainerExit, HostNames, HostSelector, ItemResult, ListHostsResponse, StopContainersRequest,
    StopContainersResponse, TagImageResponse, WaitContainersResponse, stop_containers_response,
    wait_containers_response,
};

use crate::script::{Reply, Server, rpc_status};
use crate::{command, run, run_alone};

fn item(name: &str, changed: bool) -> stop_containers_response::Event {
    stop_containers_response::Event::Item(ItemResult {
        name: name.into(),
        id: format!("{name}0123456789abcdef"),
        changed,
        status: None,
    })
}

fn missing(name: &str) -> stop_containers_response::Event {
    let status = rpc_status(Code::NotFound, "CONTAINER_NOT_FOUND", "no such container");
    stop_containers_response::Event::Item(ItemResult {
        name: name.into(),
        status: Some(status),
        ..ItemResult::default()
    })
}

#[test]
fn a_write_without_hosts_is_refused_before_anything_is_sent() {
    let server = Server::start([]);
    for arguments in [
        &["stop", "web"][..],
        &["rm", "-f", "web"],
        &["pull", "app"],
        &["tag", "a", "b"],
        &["rmi", "a"],
        &["create", "app"],
        &["run", "-d", "app"],
        &["image", "prune"],
        &["image", "prune", "-f"],
        &["container", "prune", "--force"],
        &["network", "create", "front"],
        &["network", "rm", "-f", "front"],
        &["network", "prune", "-f"],
        &["network", "connect", "front", "web"],
        &["network", "disconnect", "front", "web"],
        &["volume", "create", "data"],
        &["volume", "rm", "data"],
        &["volume", "prune", "-a"],
        &["rename", "a", "b"],
        &["push", "app"],
        &["update", "-m", "1g", "web"],
    ] {
        let run = run(&server, arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(
            run.stderr.contains("-H NAME[,NAME], -l LABELS, or -A"),
            "{arguments:?}: {}",
            run.stderr
        );
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    }
    assert_eq!(server.methods(), [""; 0]);
}

#[test]
fn a_line_for_each_container_and_a_remark_where_nothing_changed() {
    let reply = Reply::started::<StopContainersResponse>(&["web1", "web2"])
        .payload("web1", item("web", true))
        .payload("web2", item("web", false))
        .ok("web2", false)
        .ok("web1", true)
        .done();
    let server = Server::start([("StopContainers", reply)]);
    let table = run(&server, &["stop", "-t", "5", "-H", "web1,web2", "web"]);
    assert_eq!((table.code, table.stdout.as_str()), (Some(0), "web1/web\nweb2/web\n"));
    assert_eq!(table.stderr, "web2/web: not running\n");
    let request: StopContainersRequest = server.request("StopContainers");
    assert_eq!(request.timeout.unwrap().seconds, 5);
    assert_eq!(request.containers, ["web"]);
    assert_eq!(request.request_id.len(), 36);
    let quiet = run(&server, &["stop", "-q", "-A", "web"]);
    assert_eq!(quiet.stderr, "");
    let json = run(&server, &["stop", "-A", "-o", "json", "web"]);
    assert_eq!(
        json.stdout,
        "{\"host\":\"web1\",\"name\":\"web\",\"id\":\"web0123456789abcdef\",\"changed\":true}\n\
         {\"host\":\"web2\",\"name\":\"web\",\"id\":\"web0123456789abcdef\",\"changed\":false}\n"
    );
}

#[test]
fn an_aborted_write_tells_each_failure_once() {
    let reply = Reply::started::<StopContainersResponse>(&["web1", "web2", "web3"])
        .payload("web1", item("web", true))
        .ok("web1", true)
        .payload("web2", missing("web"))
        .failed("web2", Code::NotFound, "CONTAINER_NOT_FOUND", "no such container")
        .failed("web3", Code::DeadlineExceeded, "HOST_TIMEOUT", "no answer within 10s")
        .aborted();
    let server = Server::start([("StopContainers", reply)]);
    let table = run(&server, &["stop", "-A", "web"]);
    assert_eq!((table.code, table.stdout.as_str()), (Some(1), "web1/web\n"));
    assert_eq!(
        table.stderr,
        "web2/web: error: no such container (CONTAINER_NOT_FOUND)\n\
         web3: error: no answer within 10s (HOST_TIMEOUT)\n\
         1 of 3 hosts succeeded\n"
    );
    let json = run(&server, &["stop", "-A", "web", "-o", "json"]);
    assert_eq!((json.code, json.stderr.as_str()), (Some(1), ""));
    let lines = json.json();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1]["error"]["reason"], "CONTAINER_NOT_FOUND");
    assert_eq!(lines[1]["changed"], false);
    assert_eq!(lines[2]["error"]["code"], "DEADLINE_EXCEEDED");
}

#[test]
fn hosts_before_containers_become_a_call_for_each_set_of_hosts() {
    let reply = |host: &str, name: &str| {
        Reply::started::<StopContainersResponse>(&[host])
            .payload(host, item(name, true))
            .ok(host, true)
            .done()
    };
    let server = Server::start([
        ("ListHosts", Reply::unary(&ListHostsResponse::default())),
        ("StopContainers", reply("web1", "web")),
        ("StopContainers", reply("web2", "web")),
    ]);
    let run = run(&server, &["stop", "web1/web", "web2/db", "web1/db"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(server.methods()[0], "ListHosts", "all hosts are checked before the first call");
    let mut calls: Vec<(HostSelector, Vec<String>)> = server.recorded()[1..]
        .iter()
        .map(crate::script::Recorded::message::<StopContainersRequest>)
        .map(|request| (request.targets.unwrap(), request.containers))
        .collect();
    calls.sort_by_key(|(_, containers)| containers.len());
    let on = |host: &str| HostSelector {
        selection: Some(Selection::Hosts(HostNames { names: vec![host.into()] })),
        exclude: vec![],
    };
    assert_eq!(
        calls,
        [
            (on("web2"), vec!["db".to_owned()]),
            (on("web1"), vec!["web".to_owned(), "db".to_owned()]),
        ]
    );
}

#[test]
fn an_unknown_host_among_several_stops_all_of_a_write() {
    let server = Server::start([(
        "ListHosts",
        Reply::refused(Code::NotFound, "HOST_NOT_FOUND", "there is no host \"web9\""),
    )]);
    let run = run(&server, &["stop", "web1/web", "web9/db"]);
    assert_eq!(run.code, Some(2));
    assert_eq!(server.methods(), ["ListHosts"]);
}

#[test]
fn a_reader_that_goes_away_does_not_end_a_write() {
    let mut reply = Reply::started::<StopContainersResponse>(&["web1", "web2"]);
    for index in 0..5000 {
        reply = reply.payload("web1", item(&format!("container{index}"), true));
    }
    let reply = reply
        .ok("web1", true)
        .failed("web2", Code::Unavailable, "HOST_UNREACHABLE", "connection refused")
        .aborted();
    let server = Server::start([("StopContainers", reply)]);
    let mut child = command(server.home(), &["stop", "-A", "web"])
        .env("WHARF_SERVER", server.address())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut String::new()).unwrap();
    drop(reader);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "the outcome of every host was awaited");
    assert!(String::from_utf8(output.stderr).unwrap().contains("web2: error: connection refused"));
}

#[test]
fn a_server_that_never_sums_up_is_not_waited_for() {
    let reply = Reply::started::<StopContainersResponse>(&["web1", "web2"])
        .payload("web1", item("web", true))
        .ok("web1", true)
        .failed("web2", Code::DeadlineExceeded, "HOST_TIMEOUT", "no answer within 3s")
        .hang();
    let server = Server::start([("StopContainers", reply)]);
    let run = run(&server, &["stop", "-A", "web"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), "web1/web\n"));
    assert_eq!(
        run.stderr,
        "web2: error: no answer within 3s (HOST_TIMEOUT)\n1 of 2 hosts succeeded\n"
    );
}

#[test]
fn a_call_without_payload_has_a_line_for_each_host() {
    let reply = Reply::started::<TagImageResponse>(&["a", "b"]).ok("a", true).ok("b", false).done();
    let server = Server::start([("TagImage", reply)]);
    let table = run(&server, &["tag", "-A", "app:v1", "app:v2"]);
    assert_eq!((table.code, table.stdout.as_str()), (Some(0), "a/app:v2\nb/app:v2\n"));
    let json = run(&server, &["tag", "-A", "app:v1", "app:v2", "-o", "json"]);
    assert_eq!(json.lines()[1], r#"{"host":"b","name":"app:v2","changed":false}"#);
}

fn exit(name: &str, exit_code: i64) -> wait_containers_response::Event {
    let exit = ContainerExit { name: name.into(), exit_code, ..ContainerExit::default() };
    wait_containers_response::Event::Exit(exit)
}

#[test]
fn wait_hands_on_the_status_of_one_container() {
    let reply = Reply::started::<WaitContainersResponse>(&["web1"])
        .payload("web1", exit("job", 7))
        .ok("web1", false)
        .done();
    let server = Server::start([("WaitContainers", reply)]);
    let run = run(&server, &["wait", "web1/job"]);
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(7), "7\n", ""));
}

#[test]
fn wait_for_several_names_each_and_ends_with_1_unless_all_are_0() {
    for (code, expected) in [(0, 0), (7, 1)] {
        let reply = Reply::started::<WaitContainersResponse>(&["a", "b"])
            .payload("a", exit("job", 0))
            .ok("a", false)
            .payload("b", exit("job", code))
            .ok("b", false)
            .done();
        let server = Server::start([("WaitContainers", reply)]);
        let run = run(&server, &["wait", "-A", "job"]);
        assert_eq!(run.code, Some(expected));
        assert_eq!(run.stdout, format!("a/job   0\nb/job   {code}\n"));
    }
}

#[test]
fn no_server_is_one_line_that_names_it() {
    let home = tempfile::tempdir().unwrap();
    let run = run_alone(home.path(), &["stop", "-A", "web"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    assert!(
        run.stderr.contains("unix:///nonexistent/wharfd.sock") && run.stderr.contains("--server")
    );
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
}
