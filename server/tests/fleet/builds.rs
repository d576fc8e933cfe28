//! Builds: one context for several hosts, and what can go wrong on the way.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::runtime::Builder;
use tonic::Code;
use wharf::client::Target;
use wharf::v1;
use wharf::v1::build_image_response::Event;
use wharf::v1::build_service_client::BuildServiceClient;
use wharf_simulator::http::HttpFault;
use wharf_simulator::{Operation, When};

use crate::support::{Answer, Fleet, Reader, all, at, until};

/// A tar archive with these files.
fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

fn first(hosts: Option<v1::HostSelector>) -> v1::BuildImageRequest {
    v1::BuildImageRequest {
        targets: hosts,
        tags: vec!["built:v1".to_owned(), "registry.test/built".to_owned()],
        ..Default::default()
    }
}

/// The messages of a request: the fields, then the context in small pieces.
fn messages(first: v1::BuildImageRequest, context: &[u8]) -> Vec<v1::BuildImageRequest> {
    let pieces = context
        .chunks(700)
        .map(|chunk| v1::BuildImageRequest { chunk: chunk.to_vec(), ..Default::default() });
    std::iter::once(first).chain(pieces.collect::<Vec<_>>()).collect()
}

async fn build(fleet: &Fleet, first: v1::BuildImageRequest, dockerfile: &str) -> Answer<Event> {
    let context = archive(&[("Dockerfile", dockerfile), ("file", "content")]);
    let messages = stream::iter(messages(first, &context));
    Answer::of(fleet.builds().build_image(messages)).await
}

/// What the build wrote on one host.
fn output(answer: &Answer<Event>, host: &str) -> String {
    let of_host = answer.payloads.iter().filter(|(name, _)| name == host);
    let texts = of_host.filter_map(|(_, event)| match event {
        Event::Output(output) => Some(output.text.as_str()),
        _ => None,
    });
    texts.collect()
}

fn has(fleet: &Fleet, place: usize, tag: &str) -> bool {
    fleet
        .host(place)
        .host()
        .with(|model, _| model.images().iter().any(|image| image.tags.contains(tag)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_context_is_built_on_every_host() {
    let fleet = Fleet::new(3).await;
    let request = v1::BuildImageRequest {
        labels: [("team".to_owned(), "a b".to_owned())].into(),
        ..first(all())
    };
    let answer = build(&fleet, request, "FROM app:v1\nCOPY file /\nRUN echo hello\n").await;
    answer.all_succeeded();
    let images: Vec<_> = answer
        .payloads
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Image(image) => Some(image),
            _ => None,
        })
        .collect();
    assert_eq!(images.len(), 3);
    assert!(images.iter().all(|image| image.id == images[0].id && image.os == "linux"));
    assert_eq!(images[0].tags, ["built:v1", "registry.test/built:latest"]);
    for place in 0..3 {
        assert!(has(&fleet, place, "built:v1") && has(&fleet, place, "registry.test/built:latest"));
        let output = output(&answer, &crate::support::name(place));
        assert!(output.starts_with("Step 1/3 : FROM app:v1\n"), "{output}");
        assert!(output.contains("hello\n") && output.contains("Successfully built "), "{output}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_step_has_its_exit_code_and_its_output_and_no_image() {
    let fleet = Fleet::new(1).await;
    let answer = build(&fleet, first(all()), "FROM app:v1\nRUN echo almost\nRUN exit 7\n").await;
    let refused = answer.refused("host-0000");
    assert_eq!((refused.code, &*refused.reason), (Code::FailedPrecondition, "BUILD_FAILED"));
    assert!(refused.message.contains("returned a non-zero code: 7"), "{}", refused.message);
    assert!(refused.message.contains("\"Step 3/3 : RUN exit 7\""), "{}", refused.message);
    let status = answer.outcomes["host-0000"].status.as_ref().unwrap();
    let info = String::from_utf8_lossy(&status.details[0].value).into_owned();
    assert!(info.contains("exit_code"), "{info}");
    assert!(output(&answer, "host-0000").contains("almost\n"));
    assert!(!has(&fleet, 0, "built:v1"));
    for (dockerfile, reason) in [
        ("FROM nosuch\n", "REGISTRY_AUTH_REQUIRED"),
        ("FROM app:v1\nCOPY none /\n", "BUILD_FAILED"),
    ] {
        let answer = build(&fleet, first(all()), dockerfile).await;
        assert_eq!(answer.refused("host-0000").reason, reason, "{dockerfile}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_context_builds_nothing() {
    let fleet = Fleet::new(2).await;
    fleet.warm().await;
    let context = archive(&[("Dockerfile", "FROM app:v1\n")]);
    // A whole archive, and still not the end of the context.
    let half = messages(first(all()), &context);
    let place = fleet.config().listen[0].to_string();
    let caller = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    caller.spawn(async move {
        let channel = Target::parse(&place).unwrap().connect().await.unwrap();
        let messages = stream::iter(half).chain(stream::pending());
        BuildServiceClient::new(channel).build_image(messages).await.unwrap();
        std::future::pending::<()>().await;
    });
    until("every host receives it", || {
        fleet.hosts().iter().all(|host| host.counters.snapshot().in_flight == 1)
    })
    .await;
    // The caller goes away in the middle, with its connection.
    caller.shutdown_background();
    until("no request is left", || {
        fleet.hosts().iter().all(|host| host.counters.snapshot().in_flight == 0)
    })
    .await;
    assert!(!has(&fleet, 0, "built:v1") && !has(&fleet, 1, "built:v1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_engine_does_to_the_answer_is_a_failure_of_its_host() {
    let fleet = Fleet::new(1).await;
    let dockerfile = "FROM app:v1\nRUN echo hello\n";
    let long = "x".repeat(1 << 20);
    let long = format!("{{\"stream\":\"{long}\"}}\r\n").into_bytes();
    for (fault, reason, part) in [
        (
            HttpFault::StreamError {
                after_lines: 3,
                message: "no space left on device".to_owned(),
            },
            "BUILD_FAILED",
            "no space left",
        ),
        (HttpFault::CutStream { after_lines: 3 }, "BUILD_FAILED", "connection broke"),
        (HttpFault::LieStream, "BUILD_FAILED", "the image does not exist"),
        (
            HttpFault::Answer { status: 200, content_type: "application/json", body: long },
            "ENGINE_ANSWER_TOO_LARGE",
            "longer than 1048576 bytes",
        ),
        (
            HttpFault::Answer { status: 200, content_type: "text/html", body: b"<html>".to_vec() },
            "ENGINE_BAD_ANSWER",
            "",
        ),
        (
            HttpFault::Refuse {
                status: 400,
                message: "dockerfile parse error on line 2: unknown instruction: RNU".to_owned(),
            },
            "BUILD_FAILED",
            "unknown instruction: RNU",
        ),
        (
            HttpFault::Refuse {
                status: 400,
                message: "the --mount option requires BuildKit".to_owned(),
            },
            "BUILD_FAILED",
            "docker buildx",
        ),
    ] {
        let what = format!("{fault:?}").chars().take(80).collect::<String>();
        fleet.host(0).faults.add(When::on(Operation::Build).once(), fault);
        let refused = build(&fleet, first(all()), dockerfile).await.refused("host-0000");
        assert_eq!(refused.reason, reason, "{what}: {}", refused.message);
        assert!(refused.message.contains(part), "{what}: {}", refused.message);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_step_is_no_standstill_and_a_caller_that_goes_cancels_the_build() {
    let fleet = Fleet::new(1).await;
    fleet.host(0).faults.add(When::on(Operation::Build), HttpFault::StallStream { after_lines: 2 });
    let context = archive(&[("Dockerfile", "FROM app:v1\n")]);
    let messages = stream::iter(messages(first(at(&[0])), &context));
    let mut reader = Reader::begin(fleet.builds().build_image(messages)).await;
    let mut text = String::new();
    while !text.ends_with('\n') {
        let (_, event) = reader.next().await.unwrap().unwrap();
        let Event::Output(output) = event else { panic!("{event:?}") };
        text.push_str(&output.text);
    }
    assert!(text.starts_with("Step 1/1 : FROM app:v1"), "{text}");
    let quiet = tokio::time::timeout(Duration::from_millis(50), reader.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    drop(reader);
    until("the build is cancelled", || {
        let counts = fleet.host(0).counters.snapshot();
        counts.in_flight == 0 && counts.cancelled == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_fields_are_refused_before_any_host_is_touched() {
    let fleet = Fleet::new(1).await;
    let credentials = |registry: &str| v1::RegistryCredentials {
        registry: registry.to_owned(),
        username: "ann".to_owned(),
        password: "opensesame".to_owned(),
        ..Default::default()
    };
    let text = |text: &str| text.to_owned();
    for (request, field) in [
        (v1::BuildImageRequest { tags: vec![text("ok"), text("No")], ..first(all()) }, "tags[1]"),
        (
            v1::BuildImageRequest {
                tags: vec![format!("a@sha256:{}", "0".repeat(64))],
                ..first(all())
            },
            "tags[0]",
        ),
        (v1::BuildImageRequest { dockerfile: text("../x"), ..first(all()) }, "dockerfile"),
        (v1::BuildImageRequest { dockerfile: text("/x"), ..first(all()) }, "dockerfile"),
        (v1::BuildImageRequest { platform: text("a/b/c/d"), ..first(all()) }, "platform"),
        (v1::BuildImageRequest { target: text("a\nb"), ..first(all()) }, "target"),
        (
            v1::BuildImageRequest { labels: [(text(""), text("x"))].into(), ..first(all()) },
            "labels",
        ),
        (
            v1::BuildImageRequest { credentials: vec![credentials("")], ..first(all()) },
            "credentials[0].registry",
        ),
        (
            v1::BuildImageRequest {
                credentials: vec![credentials("private.test"), credentials("private.test")],
                ..first(all())
            },
            "credentials",
        ),
        (
            v1::BuildImageRequest { login_registries: vec![text("a b")], ..first(all()) },
            "login_registries[0]",
        ),
        (v1::BuildImageRequest { targets: None, ..first(all()) }, "targets"),
        (v1::BuildImageRequest { chunk: vec![0; (1 << 20) + 1], ..first(all()) }, "chunk"),
    ] {
        let refused = fleet.builds().build_image(stream::iter([request])).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{field}: {refused}");
        assert!(refused.message().starts_with(field), "{field}: {refused}");
    }
    let refused = fleet.builds().build_image(stream::iter([])).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert_eq!(fleet.host(0).counters.count(Operation::Build), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_reads_slowly_does_not_break_the_build() {
    let fleet = Fleet::new(1).await;
    let mut dockerfile = "FROM app:v1\n".to_owned();
    for line in 0..300 {
        dockerfile.push_str(&format!("RUN echo {line} {}\n", "x".repeat(300)));
    }
    let context = archive(&[("Dockerfile", &dockerfile)]);
    let messages = stream::iter(messages(first(all()), &context)).boxed();
    let mut reader = Reader::begin(fleet.builds().build_image(messages)).await;
    let mut text = String::new();
    while let Some((_, event)) = reader.next().await.unwrap() {
        if let Event::Output(output) = event {
            text.push_str(&output.text);
            tokio::task::yield_now().await;
        }
    }
    let answer = reader.finish().await;
    answer.all_succeeded();
    assert!(has(&fleet, 0, "built:v1"));
    for line in 0..300 {
        assert!(text.contains(&format!("\n{line} xxx")), "{line}");
    }
}
