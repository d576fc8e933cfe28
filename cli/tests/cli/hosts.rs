//! Hosts and registries.

use std::io::Write;
use std::process::Stdio;

use tonic::Code;
use wharf::v1::check_hosts_response::Event;
use wharf::v1::{
    AddHostRequest, AddHostResponse, CheckHostsResponse, CheckLoginResponse, Host, HostSource,
    HostStatus, ListHostsRequest, ListHostsResponse, LoginRequest, LoginResponse, RegistryLogin,
    UpdateHostLabelsRequest, UpdateHostLabelsResponse, add_host_request,
};

use crate::script::{Reply, Server};
use crate::{Run, command, run};

fn host(name: &str) -> Host {
    Host {
        name: name.into(),
        address: format!("tcp://{name}:2375"),
        labels: [("env".to_owned(), "prod".to_owned())].into(),
        source: HostSource::Api.into(),
        ..Host::default()
    }
}

fn status() -> HostStatus {
    HostStatus {
        engine_version: "20.10.24".into(),
        api_version: "1.41".into(),
        containers: 5,
        containers_running: 3,
        latency: Some(prost_types::Duration { seconds: 0, nanos: 1_500_000 }),
        ..HostStatus::default()
    }
}

fn check() -> Reply {
    Reply::started::<CheckHostsResponse>(&["web1", "web2"])
        .failed("web2", Code::Unavailable, "HOST_UNREACHABLE", "connection refused")
        .payload("web1", Event::Status(status()))
        .ok("web1", false)
        .done()
}

fn two_hosts() -> Server {
    let first = ListHostsResponse { hosts: vec![host("web1")], next_page_token: "more".into() };
    let second = ListHostsResponse { hosts: vec![host("web2")], next_page_token: String::new() };
    Server::start([
        ("ListHosts", Reply::unary(&first)),
        ("ListHosts", Reply::unary(&second)),
        ("CheckHosts", check()),
    ])
}

#[test]
fn host_ls_joins_the_inventory_with_what_hosts_answer() {
    let server = two_hosts();
    let run = run(&server, &["host", "ls"]);
    assert_eq!(run.code, Some(0));
    assert_eq!(run.stderr, "web2: error: connection refused (HOST_UNREACHABLE)\n");
    assert_eq!(
        run.lines(),
        [
            "HOST   STATUS        ENGINE     API    RUNNING   LATENCY   LABELS",
            "web1   reachable     20.10.24   1.41       3/5     1.5ms   env=prod",
            "web2   unreachable                                         env=prod",
        ]
    );
    let second: ListHostsRequest = server.recorded()[1].message();
    assert_eq!(second.page_token, "more");
}

#[test]
fn host_ls_wide_has_the_whole_error_in_its_row() {
    let run = run(&two_hosts(), &["host", "ls", "-o", "wide"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(run.lines()[2].ends_with("connection refused (HOST_UNREACHABLE)"), "{}", run.stdout);
}

#[test]
fn host_ls_for_programs_has_status_or_error() {
    let run = run(&two_hosts(), &["host", "ls", "-o", "json"]);
    let lines = run.json();
    assert_eq!(lines[0]["status"]["engineVersion"], "20.10.24");
    assert_eq!(lines[1]["error"]["reason"], "HOST_UNREACHABLE");
    assert_eq!(lines[1]["source"], "HOST_SOURCE_API");
}

#[test]
fn host_check_fails_where_a_host_does_not_answer() {
    let server = Server::start([("CheckHosts", check())]);
    let run = run(&server, &["host", "check"]);
    assert_eq!((run.code, run.lines().len()), (Some(1), 2), "{}", run.stdout);
    assert!(run.stderr.contains("web2: error: connection refused"));
}

#[test]
fn host_add_reads_its_pem_files_and_says_whether_the_host_answers() {
    let unreachable = Reply::started::<CheckHostsResponse>(&["web1"])
        .failed("web1", Code::Unavailable, "HOST_UNREACHABLE", "connection refused")
        .done();
    let added = AddHostResponse { host: Some(host("web1")) };
    let server = Server::start([("AddHost", Reply::unary(&added)), ("CheckHosts", unreachable)]);
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let file = server.home().join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    let path = file.to_str().unwrap();
    let run = run(
        &server,
        &["host", "add", "web1", "tcp://web1:2376", "--label", "env=prod", "--tls-ca", path],
    );
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "web1\n"));
    assert_eq!(
        run.stderr,
        "warning: web1 was added, but doesn't answer: connection refused (HOST_UNREACHABLE)\n"
    );
    let request: AddHostRequest = server.request("AddHost");
    let Some(add_host_request::Tls::TlsMaterial(material)) = request.tls else { panic!() };
    assert_eq!((material.ca_pem.as_str(), request.labels["env"].as_str()), (pem, "prod"));
}

#[test]
fn host_label_sets_and_removes() {
    let changed = UpdateHostLabelsResponse { hosts: vec![host("web1")] };
    let server = Server::start([("UpdateHostLabels", Reply::unary(&changed))]);
    let run = run(&server, &["host", "label", "web1", "env=prod", "tier-"]);
    assert_eq!(run.lines(), ["HOST   LABELS", "web1   env=prod"]);
    let request: UpdateHostLabelsRequest = server.request("UpdateHostLabels");
    assert_eq!((request.set["env"].as_str(), &*request.remove), ("prod", &["tier".to_owned()][..]));
}

#[test]
fn host_import_shows_what_it_would_do() {
    let server = Server::start([]);
    let contexts =
        [("1", "prod one", "tcp://a:2375"), ("2", "far", "ssh://u@b"), ("3", "odd", "npipe://x")];
    for (id, name, address) in contexts {
        let directory = server.home().join(".docker/contexts/meta").join(id);
        std::fs::create_dir_all(&directory).unwrap();
        let meta = serde_json::json!({"Name": name, "Endpoints": {"docker": {"Host": address}}});
        std::fs::write(directory.join("meta.json"), meta.to_string()).unwrap();
    }
    let dry = run(&server, &["host", "import", "--dry-run"]);
    let shown = "far   ssh://u@b\nprod-one   tcp://a:2375\n";
    assert_eq!((dry.code, dry.stdout.as_str()), (Some(0), shown));
    assert!(dry.stderr.contains("odd: skipped: npipe://"), "{}", dry.stderr);
    assert_eq!(server.methods(), [""; 0]);
    let unknown = run(&server, &["host", "import", "nope"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("no Docker context \"nope\""), "{}", unknown.stderr);
}

#[test]
fn host_import_of_a_context_by_name_that_cannot_be_a_host_fails() {
    let server = Server::start([]);
    let directory = server.home().join(".docker/contexts/meta/1");
    std::fs::create_dir_all(&directory).unwrap();
    let meta = serde_json::json!({"Name": "far", "Endpoints": {"docker": {"Host": "npipe://x"}}});
    std::fs::write(directory.join("meta.json"), meta.to_string()).unwrap();
    for arguments in [&["host", "import", "far"][..], &["host", "import", "--dry-run", "far"]] {
        let named = run(&server, arguments);
        assert_eq!((named.code, named.stdout.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(named.stderr.starts_with("error: far: npipe://"), "{}", named.stderr);
    }
    // Of all that are there, those that fit were meant.
    let all = run(&server, &["host", "import"]);
    assert_eq!(all.code, Some(0), "{}", all.stderr);
    assert!(all.stderr.contains("far: skipped: npipe://"), "{}", all.stderr);
    assert_eq!(server.methods(), [""; 0]);
}

fn login(server: &Server, arguments: &[&str], stdin: &str) -> Run {
    let mut child = command(server.home(), arguments)
        .env("WHARF_SERVER", server.address())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Refused usage may end the program before it reads.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    Run::of(child.wait_with_output().unwrap())
}

#[test]
fn login_takes_the_password_from_stdin_and_prints_it_nowhere() {
    let kept =
        RegistryLogin { registry: "r.example".into(), username: "ci".into(), updated_at: None };
    let answer = LoginResponse { login: Some(kept), host: "web1".into() };
    let server = Server::start([("Login", Reply::unary(&answer))]);
    let run = login(&server, &["login", "r.example", "-u", "ci", "--password-stdin"], "hunter2\n");
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "Login Succeeded: r.example as ci\n"));
    let credentials = server.request::<LoginRequest>("Login").credentials.unwrap();
    assert_eq!((credentials.username.as_str(), credentials.password.as_str()), ("ci", "hunter2"));
    assert!(!run.stderr.contains("hunter2"));
}

#[test]
fn login_with_hosts_keeps_nothing_unless_all_accept() {
    let checks = Reply::started::<CheckLoginResponse>(&["web1"])
        .failed("web1", Code::PermissionDenied, "REGISTRY_AUTH_REQUIRED", "wrong password")
        .done();
    let server = Server::start([("CheckLogin", checks)]);
    let run = login(&server, &["login", "-A", "r.example", "-u", "ci", "--password-stdin"], "x");
    assert_eq!(run.code, Some(1));
    assert_eq!(server.methods(), ["CheckLogin"]);
}

#[test]
fn a_wrong_login_is_1_and_a_password_on_the_command_line_is_2() {
    let refused =
        Reply::refused(Code::PermissionDenied, "REGISTRY_AUTH_REQUIRED", "wrong password");
    let server = Server::start([("Login", refused)]);
    let wrong = login(&server, &["login", "r.example", "-u", "ci", "--password-stdin"], "x");
    assert_eq!(wrong.code, Some(1));
    assert_eq!(wrong.stderr, "error: wrong password (REGISTRY_AUTH_REQUIRED)\n");
    let argument = login(&server, &["login", "r.example", "-u", "ci", "-p", "hunter2"], "");
    assert_eq!(argument.code, Some(2));
    assert!(argument.stderr.contains("--password-stdin") && !argument.stderr.contains("hunter2"));
    assert_eq!(login(&server, &["login", "r.example", "-u", "ci"], "").code, Some(2));
    assert_eq!(
        login(&server, &["login", "r.example", "-u", "ci", "--password-stdin"], "").code,
        Some(2)
    );
}
