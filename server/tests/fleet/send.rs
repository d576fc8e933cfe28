//! Images that are sent from host to host, saved, and loaded, on simulated hosts.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use wharf::v1;
use wharf::v1::load_images_response::Event as Loaded;
use wharf::v1::save_images_response::Event as Saved;
use wharf::v1::send_image_response::Event as Sent;
use wharf_simulator::model::ImageContent;
use wharf_simulator::{HttpFault, Operation, When};

use crate::support::{Answer, Fleet, IMAGE, Reader, all, at, max_parallel, name, reason, until};

/// The name of an image that only host 0 has.
const NEW: &str = "team/app:v9";

/// Hosts of which the first has [`NEW`].
async fn hosts(count: usize) -> Fleet {
    let fleet = Fleet::new(count).await;
    fleet.host(0).host().with(|model, _| {
        model
            .load(NEW, &ImageContent::builder("v9").label("sim.note", &"x".repeat(100_000)).build())
    });
    fleet
}

fn send(targets: Option<v1::HostSelector>, image: &str) -> v1::SendImageRequest {
    let (source_host, image) = (name(0), image.to_owned());
    v1::SendImageRequest { targets, source_host, image, ..Default::default() }
}

/// The ID of an image on a host.
fn id(fleet: &Fleet, place: usize, image: &str) -> Option<String> {
    fleet.host(place).host().with(|model, _| {
        let images = model.images();
        let found = images.iter().find(|found| found.tags.contains(image));
        found.map(|found| found.id.clone())
    })
}

fn arrivals(answer: &Answer<Sent>) -> Vec<(String, v1::LoadedImage)> {
    let mut arrivals: Vec<_> = answer
        .payloads
        .iter()
        .filter_map(|(host, event)| match event {
            Sent::Image(image) => Some((host.clone(), image.clone())),
            _ => None,
        })
        .collect();
    arrivals.sort_by(|one, other| one.0.cmp(&other.0));
    arrivals
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_is_read_once_and_each_host_gets_what_it_lacks() {
    let fleet = hosts(5).await;
    let own = id(&fleet, 0, NEW).unwrap();
    let content = ImageContent::builder("v9").label("sim.note", &"x".repeat(100_000)).build();
    // 1 has the image under another name, 2 another image under the name.
    fleet.host(1).host().with(|model, _| model.load("other:v1", &content));
    let old = ImageContent::builder("old").build();
    let old = fleet.host(2).host().with(|model, _| model.load(NEW, &old));
    let answer = Answer::of(fleet.images().send_image(send(all(), NEW))).await;
    assert!(answer.status.is_ok(), "{:?}", answer.status);
    let expected = [
        (v1::ImageArrival::Present, ""),
        (v1::ImageArrival::Tagged, ""),
        (v1::ImageArrival::Loaded, &*old),
        (v1::ImageArrival::Loaded, ""),
        (v1::ImageArrival::Loaded, ""),
    ];
    let arrivals = arrivals(&answer);
    for (place, (arrival, replaced)) in expected.into_iter().enumerate() {
        let (host, image) = &arrivals[place];
        assert_eq!((host, image.arrival()), (&name(place), arrival));
        assert_eq!((&*image.reference, &image.id, &*image.replaced_id), (NEW, &own, replaced));
        assert_eq!((&*image.os, &*image.architecture), ("linux", "amd64"));
        assert_eq!(answer.outcomes[host].changed, arrival != v1::ImageArrival::Present);
        assert_eq!(id(&fleet, place, NEW).as_ref(), Some(&own));
    }
    let count = |place: usize, operation| fleet.host(place).counters.count(operation);
    assert_eq!(count(0, Operation::SaveImages), 1);
    assert_eq!([0, 1, 2, 3, 4].map(|place| count(place, Operation::LoadImages)), [0, 0, 1, 1, 1]);

    // Nothing is read or sent when every host has it.
    let again = Answer::of(fleet.images().send_image(send(all(), NEW))).await;
    assert_eq!(again.summary.unwrap().unchanged, 5);
    assert_eq!(count(0, Operation::SaveImages), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_its_id_an_image_gets_no_name() {
    let fleet = hosts(2).await;
    let own = id(&fleet, 0, NEW).unwrap();
    let answer = Answer::of(fleet.images().send_image(send(at(&[1]), &own))).await;
    assert!(answer.status.is_ok(), "{:?}", answer.status);
    let [(_, image)] = &arrivals(&answer)[..] else { panic!("{answer:?}") };
    assert_eq!(
        (&*image.reference, &image.id, image.arrival()),
        ("", &own, v1::ImageArrival::Loaded)
    );
    assert_eq!(id(&fleet, 1, NEW), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_target_fails_on_its_own_and_names_nothing() {
    let fleet = hosts(7).await;
    let fault = |place: usize, fault| {
        fleet.host(place).faults.add(When::on(Operation::LoadImages), fault);
    };
    fault(1, HttpFault::HangBeforeHeaders);
    fault(2, HttpFault::ResetBefore);
    fault(3, HttpFault::StreamError { after_lines: 1, message: "no space left".to_owned() });
    fault(4, HttpFault::LieStream);
    fault(5, HttpFault::Refuse { status: 500, message: "failed to load image".to_owned() });
    let request = send(at(&[1, 2, 3, 4, 5, 6]), NEW);
    let mut reader = Reader::begin(fleet.images().send_image(request)).await;
    // The one that hangs holds nobody back.
    reader.until_ended(5).await;
    let outcomes = reader.outcomes.clone();
    let answer = Answer::<Sent> { payloads: vec![], outcomes, summary: None, status: Ok(()) };
    assert!(!answer.outcomes.contains_key(&name(1)));
    let expected = [
        (2, Code::Unknown, "LOAD_FAILED", "the connection broke"),
        (3, Code::Unknown, "LOAD_FAILED", "no space left"),
        (4, Code::Unknown, "LOAD_FAILED", "does not exist there"),
        (5, Code::Unknown, "LOAD_FAILED", "failed to load image"),
    ];
    for (place, code, reason, text) in expected {
        let refused = answer.refused(&name(place));
        assert_eq!((refused.code, &*refused.reason), (code, reason), "{refused:?}");
        assert!(refused.message.contains(text), "{refused:?}");
        assert_eq!(id(&fleet, place, NEW), None);
    }
    assert_eq!((id(&fleet, 1, NEW), id(&fleet, 6, NEW)), (None, id(&fleet, 0, NEW)));
    assert_eq!(fleet.host(0).counters.count(Operation::SaveImages), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_fails_is_named_and_nothing_is_loaded() {
    let fleet = hosts(3).await;
    for (fault, text) in [
        (HttpFault::CloseAt(20_000), "the connection broke"),
        (HttpFault::Refuse { status: 500, message: "disk broken".to_owned() }, "disk broken"),
        (
            HttpFault::Answer {
                status: 200,
                content_type: "application/x-tar",
                body: br#"{"errorDetail":{"message":"layer is gone"}}"#.to_vec(),
            },
            "layer is gone",
        ),
    ] {
        fleet.host(0).faults.add(When::on(Operation::SaveImages), fault);
        let answer = Answer::of(fleet.images().send_image(send(at(&[1, 2]), NEW))).await;
        for place in [1, 2] {
            let refused = answer.refused(&name(place));
            assert_eq!((refused.code, &*refused.reason), (Code::Aborted, "UPLOAD_INTERRUPTED"));
            let from = format!("did not come whole from {}", name(0));
            assert!(
                refused.message.contains(&from) && refused.message.contains(text),
                "{refused:?}"
            );
            assert_eq!(id(&fleet, place, NEW), None);
        }
        fleet.host(0).faults.clear();
    }
    let answer = Answer::of(fleet.images().send_image(send(at(&[1, 2]), NEW))).await;
    assert!(answer.status.is_ok(), "{:?}", answer.status);
}

fn refused<T>(answer: Result<T, Status>) -> (Code, String, String) {
    let status = answer.err().expect("the call is refused");
    (status.code(), reason(&status), status.message().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_sent_is_refused_as_a_whole() {
    let fleet = hosts(2).await;
    let mut images = fleet.images();
    let wrong = [
        (v1::SendImageRequest { source_host: String::new(), ..send(all(), NEW) }, "source_host"),
        (send(all(), ""), "image"),
        (send(all(), "../x"), "image"),
        (send(None, NEW), "targets"),
    ];
    for (request, field) in wrong {
        let (code, reason, message) = refused(images.send_image(request).await);
        assert_eq!((code, &*reason), (Code::InvalidArgument, "INVALID_FIELD"));
        assert!(message.starts_with(field), "{message}");
    }
    let unknown = v1::SendImageRequest { source_host: "nobody".to_owned(), ..send(all(), NEW) };
    let (code, reason, message) = refused(images.send_image(unknown).await);
    assert_eq!((code, &*reason), (Code::NotFound, "HOST_NOT_FOUND"), "{message}");
    let (code, reason, message) = refused(images.send_image(send(all(), "team/none:v1")).await);
    assert_eq!((code, &*reason), (Code::NotFound, "IMAGE_NOT_FOUND"), "{message}");
    let arm = ImageContent::builder("arm").architecture("arm64").build();
    fleet.host(0).host().with(|model, _| model.load("team/arm:v1", &arm));
    let answer = Answer::of(images.send_image(send(at(&[1]), "team/arm:v1"))).await;
    let refused = answer.refused(&name(1));
    assert_eq!((refused.code, &*refused.reason), (Code::FailedPrecondition, "IMAGE_PLATFORM"));
    assert!(refused.message.contains("linux/arm64") && refused.message.contains("linux/amd64"));
    assert_eq!(fleet.host(1).counters.count(Operation::LoadImages), 0);
}

/// The archive of an image on host 0.
async fn saved(fleet: &Fleet, images: &[&str]) -> Result<Vec<u8>, Status> {
    let images = images.iter().map(|image| (*image).to_owned()).collect();
    let request = v1::SaveImagesRequest { host: name(0), images };
    let mut messages = fleet.images().save_images(request).await?.into_inner();
    let mut archive = Vec::new();
    while let Some(message) = messages.message().await? {
        if let Some(Saved::Chunk(chunk)) = message.event {
            assert!(chunk.len() <= 256 << 10);
            archive.extend(chunk);
        }
    }
    Ok(archive)
}

/// Loads an archive, in pieces of so many bytes.
async fn load(
    fleet: &Fleet,
    targets: Option<v1::HostSelector>,
    archive: &[u8],
    size: usize,
) -> Result<Answer<Loaded>, Status> {
    let first = v1::LoadImagesRequest { targets, fanout: max_parallel(1), chunk: Vec::new() };
    let mut messages = vec![first];
    messages.extend(
        archive
            .chunks(size)
            .map(|chunk| v1::LoadImagesRequest { chunk: chunk.to_vec(), ..Default::default() }),
    );
    let opened = fleet.images().load_images(tokio_stream::iter(messages)).await?;
    Ok(Answer::of(async { Ok(opened) }).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_is_saved_and_loaded_again() {
    let fleet = hosts(3).await;
    let archive = saved(&fleet, &[NEW, IMAGE]).await.unwrap();
    let answer = load(&fleet, at(&[1, 2]), &archive, 10_000).await.unwrap();
    assert!(answer.status.is_ok(), "{:?}", answer.status);
    for place in [1, 2] {
        assert_eq!(id(&fleet, place, NEW), id(&fleet, 0, NEW));
        let arrived = answer.payloads.iter().filter(|(host, _)| *host == name(place));
        let arrived: Vec<_> = arrived
            .filter_map(|(_, event)| match event {
                Loaded::Image(image) => Some((&*image.reference, image.arrival())),
                _ => None,
            })
            .collect();
        let expected = [(NEW, v1::ImageArrival::Loaded), (IMAGE, v1::ImageArrival::Present)];
        assert_eq!(arrived, expected);
        assert!(answer.outcomes[&name(place)].changed);
    }
    let again = load(&fleet, at(&[1, 2]), &archive, 1 << 20).await.unwrap();
    assert_eq!(again.summary.unwrap().unchanged, 2);
    let (code, reason, _) = refused(saved(&fleet, &["team/none:v1"]).await);
    assert_eq!((code, &*reason), (Code::NotFound, "IMAGE_NOT_FOUND"));
    let (code, reason, _) = refused(saved(&fleet, &[]).await);
    assert_eq!((code, &*reason), (Code::InvalidArgument, "INVALID_FIELD"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_whole_archive_is_not_loaded() {
    let fleet = hosts(2).await;
    fleet.warm().await;
    let heard = fleet.host(1).counters.snapshot().total;
    for (text, problem) in [("", "must not be empty"), ("FROM scratch\n", "must be an archive")] {
        let text = text.repeat(100);
        let (code, reason, message) = refused(load(&fleet, all(), text.as_bytes(), 100).await);
        assert_eq!((code, &*reason), (Code::InvalidArgument, "INVALID_FIELD"));
        assert!(message.starts_with("chunk") && message.contains(problem), "{message}");
    }
    let archive = saved(&fleet, &[NEW]).await.unwrap();
    assert!(archive.len() > 100_000);
    let long = [archive.clone(), vec![0; 2 << 20]].concat();
    let (code, _, message) = refused(load(&fleet, all(), &long, 2 << 20).await);
    assert_eq!(code, Code::InvalidArgument, "{message}");
    assert_eq!(fleet.host(1).counters.snapshot().total, heard, "no host was touched");

    let answer = load(&fleet, at(&[1]), &archive[..50_000], 10_000).await.unwrap();
    let failed = answer.refused(&name(1));
    assert_eq!((failed.code, &*failed.reason), (Code::Unknown, "LOAD_FAILED"));
    assert!(failed.message.contains("unexpected EOF"), "{failed:?}");
    assert_eq!(id(&fleet, 1, NEW), None);

    // A caller that disconnects has not sent all.
    let (messages, body) = mpsc::channel(4);
    let first = v1::LoadImagesRequest {
        targets: at(&[1]),
        chunk: archive[..50_176].to_vec(),
        ..Default::default()
    };
    messages.send(first).await.unwrap();
    let mut responses =
        fleet.images().load_images(ReceiverStream::new(body)).await.unwrap().into_inner();
    assert!(responses.message().await.unwrap().is_some());
    until("the load has begun", || fleet.host(1).counters.count(Operation::LoadImages) == 2).await;
    drop(responses);
    drop(messages);
    until("the load has ended", || fleet.host(1).counters.snapshot().in_flight == 0).await;
    assert_eq!(id(&fleet, 1, NEW), None);
}
