//! Which image runs where, with simulated hosts: bad fields, hosts that are down or slow, and
//! registries.

use std::time::Duration;

use serde_json::json;
use tonic::{Code, Request};
use tonic_types::StatusExt;
use wharf::v1::list_used_images_response::Event;
use wharf::v1::{
    ListUsedImagesRequest, PullImageRequest, ReferenceCheck, RegistryComparison, UsedImage,
};
use wharf_server::engine::ApiVersion;
use wharf_simulator::{HttpFault, ImageContent, Operation, When};

use crate::support::{Answer, Fleet, all, name, secs};

const REFERENCE: &str = "registry.test/app:v2";

fn request() -> ListUsedImagesRequest {
    ListUsedImagesRequest {
        targets: all(),
        all: true,
        containers: vec!["web".to_owned()],
        check_registry: true,
        ..Default::default()
    }
}

/// Hosts with a container `web` of an image that they pulled.
async fn fleet(hosts: usize) -> Fleet {
    let fleet = Fleet::new(hosts).await;
    let pull =
        PullImageRequest { targets: all(), reference: REFERENCE.to_owned(), ..Default::default() };
    Answer::of(fleet.images().pull_image(pull)).await.all_succeeded();
    for host in fleet.hosts() {
        host.host().with(|model, now| {
            let body = json!({ "Image": REFERENCE });
            model
                .create(now, ApiVersion::new(1, 41), Some("web"), None, &body)
                .expect("a container");
        });
    }
    fleet
}

fn told(answer: &Answer<Event>) -> (Vec<&UsedImage>, Vec<&ReferenceCheck>) {
    let (mut images, mut references) = (Vec::new(), Vec::new());
    for (host, event) in &answer.payloads {
        match event {
            Event::Image(image) => images.push(image),
            Event::Reference(reference) => references.push(reference),
            other => panic!("{host}: {other:?}"),
        }
    }
    (images, references)
}

fn reason(reference: &ReferenceCheck) -> String {
    let status = reference.status.clone().unwrap_or_default();
    let details = prost::Message::encode_to_vec(&status).into();
    let status = tonic::Status::with_details(status.code.into(), status.message, details);
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_fields_are_refused_before_a_host_is_touched() {
    let fleet = Fleet::new(1).await;
    let heard = fleet.host(0).counters.snapshot().total;
    let wrong = ListUsedImagesRequest {
        containers: vec!["a/b".to_owned()],
        labels: vec!["=".to_owned()],
        references: vec!["app:v1".to_owned(), ":v1".to_owned()],
        ..request()
    };
    let status = fleet.images().list_used_images(wrong).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_error_details();
    let fields = details.bad_request().unwrap().field_violations.iter().map(|it| it.field.as_str());
    assert_eq!(fields.collect::<Vec<_>>(), ["containers[0]", "references[1]", "labels[0]"]);
    assert_eq!(fleet.host(0).counters.snapshot().total, heard);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_fail_are_not_in_what_is_said_about_all() {
    let fleet = fleet(3).await;
    let refuse = HttpFault::Refuse { status: 500, message: "disk on fire".to_owned() };
    fleet.host(1).faults.add(When::on(Operation::ListImages), refuse);
    let answer = Answer::of(fleet.images().list_used_images(request())).await;
    assert!(answer.status.is_ok(), "{:?}", answer.status);
    assert_eq!(answer.code_and_reason(&name(1)), (Code::Unknown, "ENGINE_ERROR".to_owned()));
    let (images, references) = told(&answer);
    let users: Vec<_> =
        images[0].users.iter().map(|it| (it.host.clone(), it.comparison())).collect();
    let current = RegistryComparison::Current;
    assert_eq!(users, [(name(0), current), (name(2), current)]);
    assert_eq!((references.len(), references[0].containers), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_host_leaves_time_for_the_registries() {
    let fleet = fleet(3).await;
    fleet.registries.publish("registry.test", "app", "v2", &ImageContent::builder("v3").build());
    fleet.host(1).host().set_hung(true);
    // Its answers take longer than what is reserved of the deadline for the response.
    fleet.host(0).set_latency(Duration::from_millis(300));
    let mut request = Request::new(request());
    request.set_timeout(secs(4));
    let answer = Answer::of(fleet.images().list_used_images(request)).await;
    assert!(answer.status.is_ok(), "{:?}", answer.status);
    assert_eq!(
        answer.code_and_reason(&name(1)),
        (Code::DeadlineExceeded, "HOST_TIMEOUT".to_owned())
    );
    let (images, references) = told(&answer);
    assert!(images[0].users.iter().all(|it| it.comparison() == RegistryComparison::Newer));
    assert_eq!((references[0].newer, reason(references[0])), (2, String::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_host_asks_and_another_one_if_that_cannot() {
    let fleet = fleet(3).await;
    let asked = |place: usize| fleet.host(place).counters.count(Operation::Distribution);
    let answer = Answer::of(fleet.images().list_used_images(request())).await;
    assert_eq!(told(&answer).1[0].asked_host, name(0));
    assert_eq!([asked(0), asked(1), asked(2)], [1, 0, 0]);

    // As Podman: no such endpoint.
    let refuse = |status, message: &str| HttpFault::Refuse { status, message: message.to_owned() };
    let missing = refuse(404, "Path /v1.41/distribution/app/json is not supported");
    fleet.host(0).faults.add(When::on(Operation::Distribution), missing);
    let answer = Answer::of(fleet.images().list_used_images(request())).await;
    assert_eq!(told(&answer).1[0].asked_host, name(1));

    // What a registry refuses, it refuses everybody.
    let unauthorized = refuse(401, "unauthorized: authentication required");
    fleet.host(1).faults.add(When::on(Operation::Distribution), unauthorized);
    let before = asked(2);
    let answer = Answer::of(fleet.images().list_used_images(request())).await;
    let reference = told(&answer).1[0];
    assert_eq!((&*reason(reference), &reference.asked_host), ("REGISTRY_AUTH_REQUIRED", &name(1)));
    assert_eq!(asked(2), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_does_not_answer_before_the_deadline_is_late_and_not_the_call() {
    let fleet = fleet(1).await;
    fleet.host(0).faults.add(When::on(Operation::Distribution), HttpFault::HangBeforeHeaders);
    let mut request = Request::new(request());
    request.set_timeout(secs(2));
    let answer = Answer::of(fleet.images().list_used_images(request)).await;
    assert!(answer.status.is_ok(), "{:?}", answer.status);
    let (images, references) = told(&answer);
    assert_eq!(images[0].users[0].comparison(), RegistryComparison::Failed);
    assert_eq!(reason(references[0]), "DEADLINE_EXCEEDED");
}
