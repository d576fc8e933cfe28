//! `wharf image used` and `wharf rollout plan --newer`: requests, what is shown, and how it ends.

use std::time::Duration;

use tonic::Code;
use wharf::v1::host_selector::Selection;
use wharf::v1::list_used_images_response::Event;
use wharf::v1::{
    ImageUser, ListUsedImagesRequest, ListUsedImagesResponse, ReferenceCheck, RegistryComparison,
    UsedImage,
};

use crate::script::{Reply, Server, Stream, rpc_status};
use crate::{command, run};

const OLD: &str = "sha256:1111111111111111";

pub fn user(host: &str, comparison: RegistryComparison) -> ImageUser {
    ImageUser {
        host: host.to_owned(),
        container: "web".to_owned(),
        reference: "registry.example.com/team/app:v1".to_owned(),
        comparison: comparison.into(),
        ..ImageUser::default()
    }
}

pub fn image(users: Vec<ImageUser>, continues: bool) -> Event {
    let image_ids = vec!["sha256:77".to_owned()];
    Event::Image(UsedImage {
        digest: OLD.to_owned(),
        image_ids,
        users,
        continues,
        ..UsedImage::default()
    })
}

fn check(newer: u32, status: Option<tonic_types::pb::Status>) -> Event {
    let digest = if status.is_some() { "" } else { "sha256:2222222222222222" };
    Event::Reference(ReferenceCheck {
        reference: "registry.example.com/team/app:v1".to_owned(),
        digest: digest.to_owned(),
        asked_host: "web1".to_owned(),
        containers: 2,
        newer,
        status,
    })
}

fn started() -> Stream<ListUsedImagesResponse> {
    Reply::started(&["web1", "web2"]).ok("web1", false).ok("web2", false)
}

fn serve(reply: Reply) -> Server {
    Server::start([("ListUsedImages", reply)])
}

#[test]
fn parts_of_an_image_are_put_together() {
    let newer = RegistryComparison::Newer;
    let reply = started()
        .payload("", image(vec![user("web1", newer)], true))
        .payload("", image(vec![user("web2", newer)], false))
        .payload("", check(2, None));
    let server = serve(reply.done());
    let run = run(&server, &["image", "used", "--check", "-a", "--label", "a=b", "team/app"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.lines()[1].contains("web1, web2"), "{}", run.stdout);
    assert_eq!(run.lines()[3..].len(), 2, "{}", run.stdout);
    assert!(run.lines()[4].ends_with("222222222222            2       2"), "{}", run.stdout);
    let request: ListUsedImagesRequest = server.request("ListUsedImages");
    assert!(matches!(request.targets.unwrap().selection, Some(Selection::All(_))));
    assert!(request.check_registry && request.all);
    assert_eq!(
        (request.labels, request.references),
        (vec!["a=b".to_owned()], vec!["team/app".to_owned()])
    );
}

#[test]
fn a_reference_that_could_not_be_checked_is_a_failure_of_its_own() {
    let status = rpc_status(Code::Unavailable, "REGISTRY_UNAVAILABLE", "connection refused");
    let reply = started()
        .payload("", image(vec![user("web1", RegistryComparison::Failed)], false))
        .payload("", check(0, Some(status)))
        .done();
    let server = serve(reply);
    let table = run(&server, &["image", "used", "--check"]);
    assert_eq!(table.code, Some(1));
    assert!(table.lines()[1].ends_with("unknown"), "{}", table.stdout);
    assert_eq!(
        table.stderr,
        "registry.example.com/team/app:v1, asked by web1: error: connection refused (REGISTRY_UNAVAILABLE)\n"
    );
    let json = run(&server, &["rollout", "plan", "--newer", "-o", "json"]);
    assert_eq!((json.code, json.stderr.as_str()), (Some(1), ""));
    let lines = json.json();
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (&lines[0]["type"], &lines[0]["error"]["reason"]),
        (&"reference".into(), &"REGISTRY_UNAVAILABLE".into())
    );
}

#[test]
fn what_could_be_upgraded_is_asked_of_all_hosts_and_filtered() {
    let newer = RegistryComparison::Newer;
    let reply =
        started().payload("", image(vec![user("web1", newer)], false)).payload("", check(1, None));
    let server = serve(reply.done());
    let listed = run(
        &server,
        &["rollout", "plan", "--newer", "web", "--label", "app=shop", "-l", "env=prod"],
    );
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    assert!(
        listed.stderr.contains("wharf rollout restart web --pull-policy always -H web1"),
        "{}",
        listed.stderr
    );
    let request: ListUsedImagesRequest = server.request("ListUsedImages");
    assert!(request.check_registry && !request.all);
    assert_eq!(
        (request.containers, request.labels),
        (vec!["web".to_owned()], vec!["app=shop".to_owned()])
    );
    assert_eq!(request.targets.unwrap().selection, Some(Selection::Labels("env=prod".to_owned())));
    assert_eq!(server.methods(), ["ListUsedImages"], "no rollout is planned");
}

#[test]
fn a_response_that_ends_before_its_summary_is_not_taken_for_the_whole() {
    let part =
        || started().payload("", image(vec![user("web1", RegistryComparison::Newer)], false));
    for reply in [part().short(), part().cut()] {
        let run = run(&serve(reply), &["image", "used"]);
        assert_eq!(run.code, Some(2), "{}", run.stdout);
        assert!(run.stderr.contains("error"), "{}", run.stderr);
    }
}

#[test]
fn registries_may_take_longer_than_hosts() {
    // Longer than other calls wait after the last outcome.
    let server = serve(started().hang());
    let mut command = command(server.home(), &["--timeout", "4s", "image", "used", "--check"]);
    let begun = std::time::Instant::now();
    let output = command.env("WHARF_SERVER", server.address()).output().unwrap();
    assert!(!output.status.success());
    assert!(begun.elapsed() >= Duration::from_secs(4), "it gave up after {:?}", begun.elapsed());
}
