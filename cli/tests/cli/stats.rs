//! `wharf stats`, and the full screen of `wharf top --fleet` in a real terminal, which is tmux.

use tonic::Code;
use wharf::v1::stream_stats_response::Event;
use wharf::v1::{
    ContainerStats, HostStats, ListRolloutsResponse, ResourceUsage, StatsFrame, StreamStatsRequest,
    StreamStatsResponse,
};

use crate::script::{Reply, Server};
use crate::tmux::Terminal;
use crate::{run, run_alone};

fn frame(names: &[&str], continues: bool) -> Event {
    let usage = ResourceUsage {
        cpu_percent: Some(12.5),
        memory_bytes: 10 << 20,
        memory_limit_bytes: 1 << 30,
        pids: 3,
        ..ResourceUsage::default()
    };
    let container = |&name: &&str| ContainerStats {
        container_id: format!("{name}0123456789abcdef"),
        name: name.to_owned(),
        state: "running".to_owned(),
        usage: Some(usage),
    };
    let total = HostStats { containers: 3, usage: Some(usage), cpus: 2 };
    Event::Frame(StatsFrame {
        containers: names.iter().map(container).collect(),
        total: (!continues).then_some(total),
        continues,
    })
}

fn once() -> Reply {
    Reply::started::<StreamStatsResponse>(&["web1", "web2", "web3"])
        .failed("web3", Code::Unavailable, "HOST_UNREACHABLE", "connection refused")
        .payload("web2", frame(&["web"], false))
        .ok("web2", false)
        // In two parts.
        .payload("web1", frame(&["cache", "db"], true))
        .payload("web1", frame(&["web"], false))
        .ok("web1", false)
        .done()
}

#[test]
fn one_table_of_all_hosts_with_their_sums() {
    let server = Server::start([("StreamStats", once())]);
    let shown = run(&server, &["stats", "--no-stream"]);
    assert_eq!(shown.code, Some(1));
    assert_eq!(
        shown.lines(),
        [
            "HOST   NAME         CPU %   MEM USAGE / LIMIT   MEM %   NET I/O   BLOCK I/O   PIDS",
            "web1   cache       12.50%        10MiB / 1GiB   0.98%   0B / 0B     0B / 0B      3",
            "web1   db          12.50%        10MiB / 1GiB   0.98%   0B / 0B     0B / 0B      3",
            "web1   web         12.50%        10MiB / 1GiB   0.98%   0B / 0B     0B / 0B      3",
            "web1   (total 3)   12.50%        10MiB / 1GiB   0.98%   0B / 0B     0B / 0B      3",
            "web2   web         12.50%        10MiB / 1GiB   0.98%   0B / 0B     0B / 0B      3",
        ]
    );
    assert!(shown.stderr.contains("web3: error: connection refused"), "{}", shown.stderr);
    let request: StreamStatsRequest = server.request("StreamStats");
    assert!(request.once && !request.all && request.containers.is_empty());

    let server = Server::start([("StreamStats", once())]);
    let format = ["stats", "--no-stream", "--format", "{{.Host}} {{.Name}} {{.CPUPerc}} {{.PIDs}}"];
    let shown = run(&server, &format);
    assert_eq!(
        shown.lines(),
        ["web1 cache 12.50% 3", "web1 db 12.50% 3", "web1 web 12.50% 3", "web2 web 12.50% 3"]
    );
    let names = run(&server, &["stats", "--no-stream", "-o", "name"]);
    assert_eq!(names.lines(), ["web1/cache", "web1/db", "web1/web", "web2/web"]);
}

#[test]
fn programs_get_raw_numbers() {
    let server = Server::start([("StreamStats", once())]);
    let lines = run(&server, &["stats", "-a", "-o", "json", "web1/web", "web2/web"]).json();
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).count();
    assert_eq!((of("container"), of("host"), lines.len()), (4, 2, 7), "{lines:?}");
    let request: StreamStatsRequest = server.request("StreamStats");
    assert!(request.all && !request.once && request.containers == ["web"]);
    let web = lines.iter().find(|line| line["name"] == "db").unwrap();
    assert_eq!(web["host"], "web1");
    assert_eq!(web["usage"]["memoryBytes"], "10485760");
    assert_eq!(web["usage"]["cpuPercent"], 12.5);
    let error = lines.iter().find(|line| line["host"] == "web3").unwrap();
    assert_eq!(error["error"]["reason"], "HOST_UNREACHABLE");
}

#[test]
fn what_cannot_be_is_refused_before_the_server_is_asked() {
    let home = tempfile::tempdir().unwrap();
    for (arguments, said) in [
        (&["stats", "--max-parallel", "2"][..], "needs --no-stream"),
        (&["stats", "-o", "name"], "needs --no-stream"),
        (&["stats", "--format", "{{.Nothing}}"], "there is no field .Nothing; there are .Host"),
        (&["stats", "--format", "{{.Name}}", "-o", "json"], "exclude each other"),
        (&["top"], "CONTAINER"),
        (&["top", "--fleet", "web"], "cannot be used with"),
        (&["top", "--fleet"], "needs a terminal"),
    ] {
        let refused = run_alone(home.path(), arguments);
        assert_eq!(refused.code, Some(2), "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(said), "{arguments:?}: {}", refused.stderr);
    }
}

#[test]
fn fifty_hosts_on_a_terminal_of_eighty_columns() {
    let hosts: Vec<String> = (0..50).map(|number| format!("host-{number:02}")).collect();
    let names: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let mut reply = Reply::started::<StreamStatsResponse>(&names);
    for host in &hosts {
        reply = reply.payload(host, frame(&["cache", "db", "web"], false));
    }
    let rollouts = Reply::unary(&ListRolloutsResponse::default());
    let server = Server::start([("StreamStats", reply.hang()), ("ListRollouts", rollouts)]);
    let terminal = Terminal::start(&server, ["80", "24"], &["top", "--fleet"]);
    let screen = terminal.until("all hosts", |it| it.contains("50 hosts, 150 containers"));
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
    assert!(screen.contains("Containers (150) by CPU") && screen.contains("q quit"), "{screen}");

    terminal.press(&["?"]);
    terminal.until("the help", |it| it.contains("Any key closes this help"));
    terminal.press(&["x"]);
    terminal.until("no help", |it| !it.contains("Any key closes this help"));
    terminal.tmux(&["resize-window", "-x", "120", "-y", "40"]);
    terminal.until("more columns", |it| it.contains("BLOCK I/O"));
    terminal.press(&["/"]);
    terminal.press(&["-l", "07/WEB"]);
    terminal.until("the filter", |it| it.contains("filter: 07/WEB"));
    terminal.press(&["Enter"]);
    terminal.until("one container", |it| it.contains("Containers (1 of 150)"));
    terminal.press(&["s"]);
    terminal.until("a question", |it| it.contains("Stop host-07/web?"));
    terminal.press(&["n"]);
    terminal.until("a no", |it| it.contains("not stopped"));
    terminal.press(&["o"]);
    terminal.until("another order", |it| it.contains("by memory"));
    terminal.press(&["C-c"]);
    terminal.until("the end", |it| it.contains("ended with 0") && !it.contains("Hosts (50)"));
    assert!(!server.methods().iter().any(|method| method == "StopContainers"));
}
