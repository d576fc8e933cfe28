//! Contexts, completions, and manual pages: features that need no server.

use std::path::Path;

use crate::script::{Reply, Server};
use crate::{Run, command, run_alone};

fn alone(home: &Path, arguments: &[&str]) -> Run {
    Run::of(command(home, arguments).output().unwrap())
}

#[test]
fn a_context_that_was_set_is_used() {
    let answer = wharf::v1::GetServerInfoResponse { version: "9.9.9".into(), ..Default::default() };
    let server = Server::start([("GetServerInfo", Reply::unary(&answer))]);
    let home = tempfile::tempdir().unwrap();
    let address = server.address();
    let set = alone(home.path(), &["context", "set", "test", "--server", &address]);
    assert_eq!(set.code, Some(0), "{}", set.stderr);
    assert_eq!(
        alone(home.path(), &["context", "set", "other", "--server", "tcp://other:1"]).code,
        Some(0)
    );
    let version = alone(home.path(), &["version"]);
    assert_eq!(version.code, Some(0), "{}", version.stderr);
    assert!(version.stdout.contains("Server   9.9.9"), "{}", version.stdout);
    let listed = alone(home.path(), &["context", "ls", "-o", "name"]);
    assert_eq!(listed.stdout, "other\ntest\n");
    assert_eq!(alone(home.path(), &["context", "use", "other"]).code, Some(0));
    assert_eq!(alone(home.path(), &["context", "show"]).stdout, "tcp://other:1\n");
    assert_eq!(alone(home.path(), &["context", "rm", "other"]).code, Some(0));
    assert_eq!(alone(home.path(), &["--context", "other", "ps"]).code, Some(2));
    let shown = run_alone(home.path(), &["context", "show"]);
    assert_eq!(shown.stdout, "unix:///nonexistent/wharfd.sock\n");
}

#[test]
fn completions_and_manual_pages_are_made() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let run = alone(home.path(), &["completion", shell]);
        assert_eq!(run.code, Some(0));
        assert!(run.stdout.contains("wharf"), "{shell}");
    }
    let pages = home.path().join("man/man1");
    let run = alone(home.path(), &["man", "--dir", pages.to_str().unwrap()]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for page in ["wharf.1", "wharf-host-add.1", "wharf-create.1"] {
        assert!(pages.join(page).is_file(), "{page}");
    }
}

#[test]
fn the_client_knows_its_version_without_a_server() {
    let home = tempfile::tempdir().unwrap();
    let run = run_alone(home.path(), &["version", "--client"]);
    assert_eq!(run.stdout, format!("Client   {}\n", env!("CARGO_PKG_VERSION")));
}
