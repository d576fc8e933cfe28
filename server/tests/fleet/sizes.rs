//! Messages that fit a client's default limit of 4 MiB, for any hosts.

use prost::Message;
use serde_json::json;
use tonic::Code;
use wharf::v1;
use wharf::v1::list_containers_response::Event;
use wharf_server::engine::ApiVersion;

use crate::support::{Answer, Fleet, IMAGE, all, list, name};

/// So many containers on the host at a place, each with a label of that many bytes.
fn labelled(fleet: &Fleet, place: usize, count: usize, bytes: usize) {
    fleet.host(place).host().with(|model, now| {
        for number in 0..count {
            let body = json!({"Image": IMAGE, "Labels": {"config": "x".repeat(bytes)}});
            let name = format!("labelled{number}");
            let version = ApiVersion::new(1, 41);
            model.create(now, version, Some(&name), None, &body).expect("a container");
        }
    });
}

fn batches(answer: &Answer<Event>, host: &str) -> Vec<v1::ContainerBatch> {
    let batch = |(from, event): &(String, Event)| match event {
        Event::Batch(batch) if from == host => Some(batch.clone()),
        _ => None,
    };
    answer.payloads.iter().filter_map(batch).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_containers_with_long_labels_fit_every_client() {
    let fleet = Fleet::new(2).await;
    labelled(&fleet, 0, 300, 15_000);
    for include_engine_json in [false, true] {
        let request = v1::ListContainersRequest { include_engine_json, ..list(all()) };
        let listed = Answer::of(fleet.containers().list_containers(request)).await;
        listed.all_succeeded();
        let batches = batches(&listed, &name(0));
        assert_eq!(batches.iter().map(|batch| batch.containers.len()).sum::<usize>(), 301);
        let largest = batches.iter().map(Message::encoded_len).max().unwrap();
        assert!(largest <= 1 << 20, "{largest} bytes in one of {} messages", batches.len());
        assert!(batches.len() < 20, "{} messages", batches.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_client_could_take_is_the_error_of_its_host_alone() {
    let fleet = Fleet::new(2).await;
    labelled(&fleet, 0, 1, 5 << 20);
    let listed = Answer::of(fleet.containers().list_containers(list(all()))).await;
    let refused = listed.code_and_reason(&name(0));
    assert_eq!(refused, (Code::ResourceExhausted, "ENGINE_ANSWER_TOO_LARGE".to_owned()));
    let message = listed.refused(&name(0)).message;
    assert!(message.contains("labelled0"), "{message}");
    assert_eq!(batches(&listed, &name(1)).len(), 1);
}
