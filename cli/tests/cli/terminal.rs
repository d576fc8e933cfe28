//! On a terminal: bars that move, and tables that fit.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tonic::Code;
use wharf::v1::pull_image_response::Event;
use wharf::v1::{
    Container, ContainerBatch, ListContainersResponse, PullImageResponse, PulledImage,
    TransferProgress, list_containers_response,
};

use crate::command;
use crate::rollouts::ID;
use crate::script::{Reply, Server};

/// Runs `wharf` with both outputs on a terminal of this size, and gives what is seen there.
fn run(
    server: &Server,
    columns: u16,
    arguments: &[&str],
    more: impl FnOnce(&mut Command),
) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let size = Winsize { ws_row: 10, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let end = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let mut command = command(server.home(), arguments);
    command
        .env("WHARF_SERVER", server.address())
        .env("TERM", "xterm")
        .stdout(Stdio::from(end.try_clone().unwrap()))
        .stderr(Stdio::from(end));
    more(&mut command);
    let mut child = command.spawn().unwrap();
    // The last handle of this side must go, or the terminal never ends.
    drop(command);
    let mut seen = Vec::new();
    let mut terminal = File::from(terminal);
    let mut buffer = [0; 4096];
    // A terminal whose other end is closed reads as an error on Linux.
    while let Ok(count @ 1..) = terminal.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..count]);
    }
    child.wait().unwrap();
    String::from_utf8(seen).unwrap()
}

#[test]
fn a_pull_has_a_bar_for_each_host_and_a_total() {
    let progress = TransferProgress {
        status: "Downloading".into(),
        layers_total: 2,
        bytes_done: 5_000_000,
        bytes_total: 10_000_000,
        ..Default::default()
    };
    let image = PulledImage {
        reference: "app:v1".into(),
        digest: "sha256:77".into(),
        ..Default::default()
    };
    let mut reply = Reply::started::<PullImageResponse>(&["web1", "web2"]);
    for host in ["web1", "web2"] {
        reply = reply.payload(host, Event::Progress(progress.clone()));
    }
    let reply = reply
        .payload("web1", Event::Image(image))
        .ok("web1", true)
        .failed("web2", Code::Unavailable, "HOST_UNREACHABLE", "connection refused")
        .aborted();
    let server = Server::start([("PullImage", reply)]);
    let seen = run(&server, 100, &["pull", "-A", "app:v1"], |_| {});
    for part in [
        "web1             [",
        "Downloading 0/2 layers 5MB/10MB",
        "total",
        "of 2 hosts done",
        "\x1b[1;31merror:\x1b[0m connection refused",
        "web1   app:v1   pulled   sha256:77",
        "1 of 2 hosts succeeded",
    ] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    let plain = run(&server, 100, &["pull", "-q", "-A", "app:v1"], |command| {
        command.env("NO_COLOR", "1");
    });
    assert!(
        !plain.contains('\x1b') && plain.contains("web2: error: connection refused"),
        "{plain}"
    );
}

#[test]
fn a_table_fits_the_terminal_and_names_stay_whole() {
    let container = Container {
        id: "0123456789abcdef".into(),
        name: "a-rather-long-name".into(),
        image: "registry.example.com:5000/team/application:v1".into(),
        status: "Up 5 minutes (healthy)".into(),
        ..Container::default()
    };
    let batch = list_containers_response::Event::Batch(ContainerBatch::of(vec![container]));
    let reply = Reply::started::<ListContainersResponse>(&["web1"])
        .payload("web1", batch)
        .ok("web1", false)
        .done();
    let server = Server::start([("ListContainers", reply)]);
    for (columns, variable) in [(80, None), (200, Some("80"))] {
        let seen = run(&server, columns, &["ps"], |command| {
            command.envs(variable.map(|columns| ("COLUMNS", columns)));
        });
        assert_eq!(seen.lines().count(), 2, "{seen}");
        assert!(seen.lines().all(|line| line.trim_end().chars().count() <= 80), "{seen}");
        assert!(seen.contains("a-rather-long-name") && seen.contains('…'), "{seen}");
    }
}

#[test]
fn a_rollout_is_a_table_that_moves() {
    let reply = Reply::messages(&crate::rollouts::story());
    let server = Server::start([("WatchRollouts", reply)]);
    let seen = run(&server, 100, &["rollout", "watch", ID], |_| {});
    for part in [
        "web to app:v2: running, 0 of 2 done",
        "HOST",
        "updating",
        "web to app:v2 succeeded on 2 hosts; to undo it, run: wharf rollout undo 1a2b3c4d",
    ] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
}

#[test]
fn a_rollout_of_many_hosts_fits_the_terminal() {
    use wharf::v1::{
        HostState, Rollout, RolloutCounts, RolloutSnapshot, RolloutState, RolloutStep,
        WatchRolloutsResponse, watch_rollouts_response,
    };
    let step = |number: usize| RolloutStep {
        host: format!("web{number:03}"),
        wave: 1,
        state: match number {
            0..20 => HostState::Updating,
            20..25 => HostState::Restored,
            _ => HostState::Waiting,
        }
        .into(),
        ..Default::default()
    };
    let rollout = |state: RolloutState| Rollout {
        id: ID.into(),
        container: "web".into(),
        image: "registry.example.com/team/application:v2".into(),
        state: state.into(),
        counts: Some(RolloutCounts { total: 200, failed: 5, ..Default::default() }),
        steps: (0..200).map(step).collect(),
        ..Default::default()
    };
    let messages = [RolloutState::Running, RolloutState::Aborted].map(|state| {
        let snapshot = RolloutSnapshot { rollouts: vec![rollout(state)] };
        let event = Some(watch_rollouts_response::Event::Snapshot(snapshot));
        WatchRolloutsResponse { cursor: None, event }
    });
    let server = Server::start([("WatchRollouts", Reply::messages(&messages))]);
    // Ten lines high.
    let seen = run(&server, 60, &["rollout", "watch", ID], |_| {});
    for part in [
        "  running, 0 of 200 done, 5 failed",
        "web000",
        "web024",
        "… and 175 waiting, 17 updating, 4 restored",
        "… and 175 waiting, 5 updating (all hosts: wharf rollout show 1a2b3c4d)",
    ] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    assert!(!seen.contains("web150"), "{seen}");
}

#[test]
fn which_image_runs_where_fits_a_narrow_terminal() {
    use wharf::v1::{ListUsedImagesResponse, RegistryComparison};
    let hosts: Vec<_> = (10..40).map(|number| format!("web{number}")).collect();
    let hosts: Vec<_> = hosts.iter().map(String::as_str).collect();
    let users = |host: &&str| crate::used::user(host, RegistryComparison::Newer);
    let mut reply = Reply::started::<ListUsedImagesResponse>(&hosts);
    for host in &hosts {
        reply = reply.ok(host, false);
    }
    let image = crate::used::image(hosts.iter().map(users).collect(), false);
    let server = Server::start([("ListUsedImages", reply.payload("", image).done())]);
    for arguments in [&["image", "used"][..], &["rollout", "plan", "--newer"]] {
        let seen = run(&server, 72, arguments, |_| {});
        let lines: Vec<_> = seen.lines().take(2).collect();
        assert!(lines.iter().all(|line| line.chars().count() <= 72), "{seen}");
        assert!(lines[1].contains("web10, web") && lines[1].contains('…'), "{seen}");
        assert!(lines[1].contains("111111111111"), "{seen}");
    }
}
