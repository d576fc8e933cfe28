//! Bad input: one clear line, exit status 2, nothing sent.

use std::io::Write;
use std::net::TcpListener;

use crate::run_alone;

fn refused(arguments: &[&str], expected: &str) {
    let home = tempfile::tempdir().unwrap();
    let run = run_alone(home.path(), arguments);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", run.stderr);
    assert!(run.stderr.contains(expected), "{arguments:?}: {}", run.stderr);
    assert!(!run.stderr.contains("cannot reach"), "{arguments:?} reached for the server");
}

#[test]
fn a_negative_number_is_taken_for_a_wrong_value_and_not_for_a_flag() {
    let home = tempfile::tempdir().unwrap();
    for arguments in [
        &["stop", "-A", "-t", "-5", "web"][..],
        &["restart", "-A", "--time", "-5", "web"],
        &["create", "-A", "--cpus", "-1", "app"],
        &["create", "-A", "-m", "-1", "app"],
        &["create", "-A", "--stop-timeout", "-1", "app"],
        &["update", "-A", "--cpus", "-1", "web"],
        &["ps", "-n", "-1"],
        &["ps", "--max-parallel", "-1"],
    ] {
        let run = run_alone(home.path(), arguments);
        assert_eq!(run.code, Some(2), "{arguments:?}");
        assert!(run.stderr.starts_with("error: invalid value '-"), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn an_empty_signal_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let run = run_alone(home.path(), &["kill", "-A", "-s", "", "web"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("'--signal <SIGNAL>'"), "{}", run.stderr);
}

#[test]
fn unknown_verbs_and_flags() {
    refused(&["frobnicate"], "unrecognized subcommand");
    refused(&["ps", "--frobnicate"], "unexpected argument '--frobnicate'");
    refused(&["ps", "-o", "yaml"], "invalid value 'yaml'");
    refused(&["ps", "--timeout", "soon"], "is not a duration");
    refused(&["ps", "-f", "running"], "is not KEY=VALUE");
    refused(&["image", "prune", "-A", "--filter", "until"], "is not KEY=VALUE");
    refused(&["container", "prune", "-f", "until=24h"], "unexpected argument 'until=24h'");
}

#[test]
fn hosts_that_contradict_each_other() {
    refused(&["ps", "-A", "-H", "a"], "-H, -l, and -A conflict");
    refused(&["ps", "-l", ""], "the selector is empty");
    refused(&["stop", "-H", "", "web"], "empty host name");
    refused(&["stop", "a/b/c"], "is not a container");
    refused(&["rename", "-A", "web1/web", "x"], "names its host");
}

#[test]
fn flags_of_containers() {
    refused(&["run", "-H", "a", "-o", "json", "app"], "omit -o json");
    refused(&["run", "-H", "a", "-it", "app"], "-t needs a terminal");
    refused(&["create", "-A"], "no image was given");
    refused(&["create", "-A", "-p", "99999", "app"], "is not a port");
    refused(&["create", "-A", "-v", "./here:/x", "app"], "must be absolute");
    refused(&["create", "-A", "--mount", "type=bind,target=/x", "app"], "must be an absolute path");
    refused(&["create", "-A", "-m", "lots", "app"], "is not a size");
    refused(&["create", "-A", "--restart", "sometimes", "app"], "is not a restart policy");
    refused(
        &["create", "-A", "--env-file", "/nonexistent/env", "app"],
        "cannot read /nonexistent/env",
    );
    refused(&["create", "-A", "--no-healthcheck", "--health-cmd", "x", "app"], "--no-healthcheck");
    refused(&["create", "-A", "-w", "here", "app"], "--workdir here: the path must be absolute");
    refused(&["update", "-A", "web"], "specify at least one change");
}

#[test]
fn flags_that_docker_takes_in_another_sense_never_pass_for_done() {
    refused(&["create", "-A", "-h"], "a value is required for '--hostname <NAME>'");
    refused(&["run", "-d", "-h", "-A", "app"], "a value is required for '--hostname <NAME>'");
    refused(
        &["create", "-H", "a", "-l", "tier=web", "app"],
        "to set a label of the container, use --label",
    );
    refused(&["stop", "-A", "--timeout", "30", "web"], "write -t 30 for docker's --timeout");
    refused(&["container", "restart", "-A", "--timeout=5", "web"], "write -t 5");
    let home = tempfile::tempdir().unwrap();
    for verb in [&["create"][..], &["run"], &["rollout", "start"], &["rollout", "plan"]] {
        let help = run_alone(home.path(), &[verb, &["--help"]].concat());
        assert_eq!(help.code, Some(0), "{verb:?}: {}", help.stderr);
        assert!(help.stdout.contains("-h, --hostname <NAME>"), "{verb:?}: {}", help.stdout);
    }
    let deadline = run_alone(home.path(), &["stop", "-A", "--timeout", "30s", "web"]);
    assert!(deadline.stderr.contains("cannot reach"), "{}", deadline.stderr);
}

#[test]
fn bodies_that_are_not_json_objects() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("body.json");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "# comment\n{\"Image\": \"app\",,}\n").unwrap();
    refused(&["create", "-A", "-f", path], &format!("{path}: line 2, column 17: not valid JSON"));
    std::fs::write(&file, "[]").unwrap();
    refused(&["create", "-A", "-f", path], "must be a JSON object");
    std::fs::write(&file, "{}").unwrap();
    refused(&["create", "-A", "-f", path], "neither the command line nor the body names an image");
    refused(&["create", "-A", "-f", "/nonexistent.json"], "cannot read /nonexistent.json");
}

#[test]
fn certificates_that_are_none() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, "hello").unwrap();
    let path = file.to_str().unwrap();
    refused(&["host", "add", "a", "tcp://a:2376", "--tls-ca", path], "ca.pem: not a PEM file");
    refused(
        &["host", "add", "a", "tcp://a:2376", "--tls-ca", "/nonexistent"],
        "cannot read /nonexistent",
    );
    refused(&["host", "add", "a", "tcp://a:2376", "--tls-cert", path], "--tls-key");
    refused(&["--server", "https://a:1", "--tls-ca", path, "ps"], "ca.pem: not a PEM file");
    refused(
        &["--server", "unix:///x", "--tls-server-name", "a", "ps"],
        "TLS options are for https://",
    );
    refused(&["--server", "http://a", "ps"], "invalid server address");
}

/// Runs `wharf` on a port where something else listens, which says `greeting` to everyone.
fn on_another_port(scheme: &str, greeting: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("{scheme}://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let _ = connection.write_all(greeting);
            // The other side ends it: closing with unread bytes would take back the greeting.
            let _ = std::io::copy(&mut connection, &mut std::io::sink());
        }
    });
    let home = tempfile::tempdir().unwrap();
    let run = run_alone(home.path(), &["--server", &address, "ps"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    run.stderr
}

#[test]
fn the_wrong_scheme_for_a_port_is_named() {
    // What a TLS server says to a client without TLS: the alert unexpected_message.
    let said = on_another_port("tcp", &[0x15, 3, 3, 0, 2, 2, 10]);
    assert!(said.contains("write https:// instead of tcp://"), "{said}");
    let said = on_another_port("https", b"HTTP/1.1 400 Bad Request\r\n\r\n");
    assert!(said.contains("write tcp:// instead of https://"), "{said}");
}

#[test]
fn labels_and_contexts() {
    refused(&["host", "label", "web1"], "specify a label");
    refused(&["host", "label", "env=prod"], "specify a host");
    refused(&["host", "add", "a", "unix:///x", "--label", "=x"], "has no key");
    refused(&["--context", "nope", "ps"], "no context \"nope\"");
}
