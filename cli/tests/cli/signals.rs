//! Ctrl-C.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use wharf::v1::pull_image_response::Event;
use wharf::v1::{PlanRolloutResponse, PullImageResponse, TransferProgress};

use crate::command;
use crate::script::{Reply, Server};

/// Presses Ctrl-C once a command has said something on stderr. That line, and what it says then.
fn interrupt_at_the_first_line(server: &Server, arguments: &[&str]) -> (String, String) {
    let mut child = command(server.home(), arguments)
        .env("WHARF_SERVER", server.address())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let (mut line, mut rest) = (String::new(), String::new());
    stderr.read_line(&mut line).unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    (line, rest)
}

#[test]
fn a_plan_that_takes_long_is_explained_and_can_be_left() {
    let server =
        Server::start([("PlanRollout", Reply::messages::<PlanRolloutResponse>(&[]).then_hang())]);
    let arguments = ["rollout", "plan", "web", "-A", "--image", "app:v2"];
    let (line, _) = interrupt_at_the_first_line(&server, &arguments);
    assert!(line.contains("a host that doesn't answer can delay it"), "{line}");
}

#[test]
fn ctrl_c_ends_with_130_and_says_what_goes_on() {
    let progress = TransferProgress { status: "Downloading".into(), ..Default::default() };
    let reply =
        Reply::started::<PullImageResponse>(&["web1"]).payload("web1", Event::Progress(progress));
    let server = Server::start([("PullImage", reply.hang())]);
    let (line, rest) = interrupt_at_the_first_line(&server, &["pull", "-A", "app"]);
    assert_eq!(line, "web1: Downloading\n");
    assert_eq!(rest, "interrupted; pulls in progress continue on the hosts\n");
}
