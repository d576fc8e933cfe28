//! `wharf ps --watch` and `wharf host ls --watch`: on a terminal, in a pipe, and for programs.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tonic::Code;
use wharf::v1::watch_containers_response::Event;
use wharf::v1::watch_hosts_response::Event as HostEvent;
use wharf::v1::{
    Container, ContainerBatch, ContainersReset, Host, HostViewState, HostsReset,
    ListContainersResponse, RemovedContainers, ViewCursor, ViewState, ViewSync,
    WatchContainersRequest, WatchContainersResponse, WatchHostsResponse, WatchedHosts,
};

use crate::script::{Recorded, Reply, Server, rpc_status};
use crate::tmux::Terminal;
use crate::{command, run_alone};

fn container(name: &str, status: &str, image: &str) -> Container {
    Container {
        id: format!("{name}0123456789abcdef"),
        name: name.to_owned(),
        image: image.to_owned(),
        state: if status.starts_with("Up") { "running" } else { "exited" }.to_owned(),
        status: status.to_owned(),
        ..Container::default()
    }
}

fn message(host: &str, event: Event) -> WatchContainersResponse {
    WatchContainersResponse { host: host.to_owned(), cursor: None, event: Some(event) }
}

fn changed(host: &str, containers: Vec<Container>) -> WatchContainersResponse {
    message(host, Event::Changed(ContainerBatch::of(containers)))
}

fn state(host: &str, sync: ViewSync) -> WatchContainersResponse {
    message(host, Event::State(ViewState { sync: sync.into(), ..ViewState::default() }))
}

/// The containers of some hosts, one for each of these names on each of them.
fn snapshot(hosts: &[&str], names: &[String]) -> Vec<WatchContainersResponse> {
    let watched = hosts.iter().map(|&host| host.to_owned()).collect();
    let mut messages = vec![message("", Event::Hosts(WatchedHosts { hosts: watched }))];
    for host in hosts {
        let containers = names.iter().map(|name| container(name, "Up 5 minutes", "app:v1"));
        messages.push(message(host, Event::Reset(ContainersReset {})));
        messages.push(changed(host, containers.collect()));
        messages.push(state(host, ViewSync::Live));
    }
    messages
}

/// Runs `wharf`, reads this many lines of its output, and presses Ctrl-C.
fn lines_until_ctrl_c(server: &Server, arguments: &[&str], count: usize) -> Vec<String> {
    let mut child = command(server.home(), arguments)
        .env("WHARF_SERVER", server.address())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let lines = stdout.lines().take(count).map(Result::unwrap).collect();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    lines
}

#[test]
fn a_pipe_has_a_line_for_each_change_over_a_restart_of_the_server() {
    let cursor = ViewCursor { epoch: "first".to_owned(), revision: 7 };
    let mut first = snapshot(&["web1"], &["web".to_owned()]);
    first.last_mut().unwrap().cursor = Some(cursor.clone());
    // Only the health has changed: no line.
    first.push(changed("web1", vec![container("web", "Up 5 minutes (healthy)", "app:v1")]));
    let gone = RemovedContainers { ids: vec![container("web", "", "").id] };
    let second = [
        changed("web1", vec![container("web", "Exited (1) 1 second ago", "app:v1")]),
        message("web1", Event::Removed(gone)),
    ];
    let server = Server::start([
        ("WatchContainers", Reply::messages(&first).then_cut()),
        ("WatchContainers", Reply::messages(&second).then_hang()),
    ]);
    assert_eq!(
        lines_until_ctrl_c(&server, &["ps", "--watch", "-A"], 3),
        [
            "web1/web: Up 5 minutes (app:v1)",
            "web1/web: Exited (1) 1 second ago (app:v1)",
            "web1/web: removed",
        ]
    );
    let requests: Vec<WatchContainersRequest> = server
        .recorded()
        .iter()
        .filter(|recorded| recorded.method == "WatchContainers")
        .map(Recorded::message)
        .collect();
    let after: Vec<_> = requests.into_iter().map(|request| request.after).collect();
    assert_eq!(after, [None, Some(cursor)]);
}

#[test]
fn programs_get_every_event() {
    let messages = snapshot(&["web1"], &["web".to_owned()]);
    let server = Server::start([("WatchContainers", Reply::messages(&messages).then_hang())]);
    let lines = lines_until_ctrl_c(&server, &["ps", "--watch", "-A", "-o", "json"], 4);
    let events: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["hosts", "reset", "changed", "state"]);
    assert_eq!(events[0]["hosts"][0], "web1");
    assert_eq!((&events[2]["host"], &events[2]["name"]), (&"web1".into(), &"web".into()));
    assert_eq!(events[3]["sync"], "VIEW_SYNC_LIVE");
}

#[test]
fn a_terminal_has_a_table_that_fits_it_and_says_what_is_not_live() {
    let names: Vec<String> = (0..30).map(|number| format!("web-{number:02}")).collect();
    let mut messages = snapshot(&["web1", "web2"], &names);
    messages.push(state("web2", ViewSync::Unreachable));
    let lists = Reply::started::<ListContainersResponse>(&["web1", "web2"]).hang();
    let server = Server::start([
        ("WatchContainers", Reply::messages(&messages).then_hang()),
        ("ListContainers", lists),
    ]);
    let terminal = Terminal::start(&server, ["80", "20"], &["ps", "--watch", "-A"]);
    // The warning is the last message; the table may be drawn before.
    let screen = terminal.until("the table and the warning", |it| {
        it.contains("and 44 more; ") && it.contains("web2: does not answer; connecting again")
    });
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
    assert!(screen.contains("to see them, choose hosts or use -f"), "{screen}");
    terminal.press(&["C-c"]);
    terminal.until("the end", |it| it.contains("ended with 130") && !it.contains("web-00"));
}

fn host_messages(hosts: usize) -> Vec<WatchHostsResponse> {
    let mut events = vec![HostEvent::Reset(HostsReset {})];
    for number in 1..=hosts {
        let name = format!("web{number:02}");
        let state = ViewState { sync: ViewSync::Live.into(), ..ViewState::default() };
        let state = HostViewState { host: name.clone(), state: Some(state), trouble: None };
        let address = format!("tcp://10.0.0.{number}:2375");
        events.push(HostEvent::Host(Host { name, address, ..Host::default() }));
        events.push(HostEvent::State(state));
    }
    let state = ViewState { sync: ViewSync::Unreachable.into(), ..ViewState::default() };
    let trouble = rpc_status(Code::Unavailable, "HOST_UNREACHABLE", "connection refused");
    events.push(HostEvent::State(HostViewState {
        host: "web02".to_owned(),
        state: Some(state),
        trouble: Some(trouble),
    }));
    let message = |event| WatchHostsResponse { cursor: None, event: Some(event) };
    events.into_iter().map(message).collect()
}

#[test]
fn hosts_are_lines_in_a_pipe() {
    let mut messages = host_messages(2);
    let removed = HostEvent::Removed("web01".to_owned());
    messages.push(WatchHostsResponse { cursor: None, event: Some(removed) });
    let server = Server::start([("WatchHosts", Reply::messages(&messages).then_hang())]);
    assert_eq!(
        lines_until_ctrl_c(&server, &["host", "ls", "--watch"], 4),
        ["web01: reachable", "web02: reachable", "web02: unreachable", "web01: removed"]
    );
    let server = Server::start([("WatchHosts", Reply::messages(&messages).then_hang())]);
    let lines = lines_until_ctrl_c(&server, &["host", "ls", "--watch", "-o", "json"], 7);
    let events: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[5]["error"]["reason"], "HOST_UNREACHABLE", "{events:?}");
    assert_eq!(events[6]["type"], "removed", "{events:?}");
}

#[test]
fn more_hosts_than_fit_a_terminal_are_counted() {
    let server = Server::start([("WatchHosts", Reply::messages(&host_messages(40)).then_hang())]);
    let terminal = Terminal::start(&server, ["80", "20"], &["host", "ls", "--watch"]);
    // The last message is that of the host that is not reachable; the table may be drawn before.
    let screen = terminal
        .until("the hosts", |it| it.contains("and 24 more; ") && it.contains("unreachable"));
    assert!(screen.contains("to see them, choose hosts with -l"), "{screen}");
    terminal.press(&["C-c"]);
    terminal.until("the end", |it| it.contains("ended with 130") && !it.contains("web02"));
}

#[test]
fn a_watch_of_names_is_refused() {
    let home = tempfile::tempdir().unwrap();
    for arguments in
        [&["ps", "--watch", "-o", "name"][..], &["host", "ls", "--watch", "-o", "name"]]
    {
        let refused = run_alone(home.path(), arguments);
        assert_eq!(refused.code, Some(2), "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("shows a table, or -o json"), "{}", refused.stderr);
    }
}
