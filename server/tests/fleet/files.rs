//! Files in containers, on simulated hosts.

use tonic::Code;
use wharf::v1;
use wharf::v1::download_archive_response::Event;
use wharf_simulator::http::HttpFault;
use wharf_simulator::{Operation, When};

use crate::support::{Answer, Fleet, all, at, host_timeout, name, reason, secs};

/// What looks like an archive: it ends as one.
fn archive(bytes: usize) -> Vec<u8> {
    let content = (0..bytes.next_multiple_of(512)).map(|place| (place % 251) as u8 + 1);
    content.chain([0; 1024]).collect()
}

fn first(targets: Option<v1::HostSelector>, path: &str) -> v1::UploadArchiveRequest {
    let (container, path) = ("c0".to_owned(), path.to_owned());
    v1::UploadArchiveRequest { targets, container, path, ..Default::default() }
}

/// The first message, and the archive in others.
fn messages(first: v1::UploadArchiveRequest, archive: &[u8]) -> Vec<v1::UploadArchiveRequest> {
    let chunk = |chunk: &[u8]| v1::UploadArchiveRequest {
        chunk: chunk.to_vec(),
        ..v1::UploadArchiveRequest::default()
    };
    std::iter::once(first).chain(archive.chunks(256 << 10).map(chunk)).collect()
}

async fn upload(
    fleet: &Fleet,
    messages: Vec<v1::UploadArchiveRequest>,
) -> Answer<v1::upload_archive_response::Event> {
    Answer::of(fleet.files().upload_archive(tokio_stream::iter(messages))).await
}

async fn refused(fleet: &Fleet, messages: Vec<v1::UploadArchiveRequest>) -> tonic::Status {
    let called = fleet.files().upload_archive(tokio_stream::iter(messages)).await;
    called.expect_err("a refusal")
}

fn download(targets: Option<v1::HostSelector>, path: &str) -> v1::DownloadArchiveRequest {
    let (container, path) = ("c0".to_owned(), path.to_owned());
    v1::DownloadArchiveRequest { targets, container, path, ..Default::default() }
}

/// What a host sent: the stat, and the archive.
fn received(answer: &Answer<Event>, host: &str) -> (Option<v1::PathStat>, Vec<u8>) {
    let (mut stat, mut archive) = (None, Vec::new());
    for (_, event) in answer.payloads.iter().filter(|(of, _)| of == host) {
        match event {
            Event::Stat(found) => {
                assert!(stat.is_none() && archive.is_empty(), "the stat comes first, once");
                stat = Some(found.clone());
            }
            Event::Chunk(chunk) => {
                assert!(!chunk.is_empty() && chunk.len() <= 1 << 20);
                archive.extend_from_slice(chunk);
            }
            _ => {}
        }
    }
    (stat, archive)
}

#[tokio::test]
async fn one_archive_goes_to_every_host_and_comes_back_as_it_was() {
    let fleet = Fleet::new(20).await;
    let archive = archive(3 << 20);
    let answer = upload(&fleet, messages(first(all(), "/data"), &archive)).await;
    answer.all_succeeded();
    for host in (0..20).map(name) {
        let sizes: Vec<u64> = answer
            .payloads
            .iter()
            .filter(|(of, _)| *of == host)
            .filter_map(|(_, event)| match event {
                v1::upload_archive_response::Event::Archive(archive) => Some(archive.size_bytes),
                _ => None,
            })
            .collect();
        assert_eq!(sizes, [archive.len() as u64], "{host}");
    }
    let answer = Answer::of(fleet.files().download_archive(download(all(), "/data"))).await;
    answer.all_succeeded();
    for host in (0..20).map(name) {
        let (stat, found) = received(&answer, &host);
        let stat = stat.expect("what the path is");
        assert_eq!((stat.name.as_str(), stat.kind()), ("data", v1::FileKind::Directory));
        assert_eq!(
            (stat.mode, stat.modified_at.map(|at| at.seconds)),
            (0o755, Some(1_767_323_045))
        );
        assert!(found == archive, "{host}: {} bytes", found.len());
    }
}

#[tokio::test]
async fn hosts_that_hang_and_refuse_do_not_hold_the_others_up() {
    let fleet = Fleet::new(5).await;
    let fault = |place: usize, fault| {
        fleet.host(place).faults.add(When::on(Operation::UploadArchive), fault);
    };
    fault(1, HttpFault::HangBeforeHeaders);
    let message = "mounted volume is marked read-only".to_owned();
    fault(2, HttpFault::Refuse { status: 500, message });
    fault(3, HttpFault::LoseAnswer);
    let mut request = first(all(), "/data");
    request.fanout = host_timeout(secs(2));
    let answer = upload(&fleet, messages(request, &archive(1 << 20))).await;
    assert_eq!(answer.succeeded(), [name(0), name(4)]);
    assert_eq!(answer.failure(), (Code::Aborted, "SOME_HOSTS_FAILED".to_owned()));
    for (place, code, expected) in [
        (1, Code::DeadlineExceeded, "HOST_TIMEOUT"),
        (2, Code::FailedPrecondition, "ENGINE_CONFLICT"),
        (3, Code::Unknown, "RESULT_UNKNOWN"),
    ] {
        assert_eq!(answer.code_and_reason(&name(place)), (code, expected.to_owned()), "{place}");
    }
    let refused = answer.refused(&name(2)).message;
    assert!(refused.contains("mounted volume is marked read-only"), "{refused}");
}

#[tokio::test]
async fn a_source_that_is_interrupted_fails_the_hosts_with_a_reason() {
    let fleet = Fleet::new(3).await;
    let mut parts = messages(first(all(), "/data"), &archive(1 << 20));
    // Too large, so it ends the source; the caller still listens.
    parts.push(v1::UploadArchiveRequest { chunk: vec![7; 2 << 20], ..Default::default() });
    let answer = upload(&fleet, parts).await;
    for host in (0..3).map(name) {
        let expected = (Code::Aborted, "UPLOAD_INTERRUPTED".to_owned());
        assert_eq!(answer.code_and_reason(&host), expected);
    }
    // Nothing was extracted, and the next one is.
    let answer = Answer::of(fleet.files().download_archive(download(at(&[0]), "/data"))).await;
    assert_eq!(received(&answer, &name(0)).1, vec![0; 1024]);
    upload(&fleet, messages(first(all(), "/data"), &archive(1000))).await.all_succeeded();
}

#[tokio::test]
async fn an_archive_that_is_incomplete_is_an_error() {
    let fleet = Fleet::new(2).await;
    let mut half = archive(1 << 20);
    half.truncate(half.len() - 600);
    upload(&fleet, messages(first(at(&[0]), "/data"), &half)).await.all_succeeded();
    let answer = Answer::of(fleet.files().download_archive(download(all(), "/data"))).await;
    assert_eq!(answer.succeeded(), [name(1)]);
    let expected = (Code::Unknown, "ENGINE_BAD_ANSWER".to_owned());
    assert_eq!(answer.code_and_reason(&name(0)), expected);

    let broken = HttpFault::ResetAt(1 << 19);
    fleet.host(1).faults.add(When::on(Operation::DownloadArchive), broken);
    upload(&fleet, messages(first(at(&[1]), "/data"), &archive(1 << 20))).await.all_succeeded();
    let answer = Answer::of(fleet.files().download_archive(download(at(&[1]), "/data"))).await;
    let expected = (Code::Unavailable, "HOST_CONNECTION_LOST".to_owned());
    assert_eq!(answer.code_and_reason(&name(1)), expected);
}

#[tokio::test]
async fn a_missing_path_and_a_missing_container_are_told_apart() {
    let fleet = Fleet::new(1).await;
    let not_found = |reason: &str| (Code::NotFound, reason.to_owned());
    for (container, path, expected) in
        [("c0", "/nothing", "PATH_NOT_FOUND"), ("nobody", "/data", "CONTAINER_NOT_FOUND")]
    {
        let request = v1::StatPathRequest {
            targets: all(),
            container: container.to_owned(),
            path: path.to_owned(),
            ..Default::default()
        };
        let answer = Answer::of(fleet.files().stat_path(request)).await;
        assert_eq!(answer.code_and_reason(&name(0)), not_found(expected), "stat {path}");
        let request =
            v1::DownloadArchiveRequest { container: container.to_owned(), ..download(all(), path) };
        let answer = Answer::of(fleet.files().download_archive(request)).await;
        assert_eq!(answer.code_and_reason(&name(0)), not_found(expected), "download {path}");
        let request =
            v1::UploadArchiveRequest { container: container.to_owned(), ..first(all(), path) };
        let answer = upload(&fleet, messages(request, &archive(1000))).await;
        assert_eq!(answer.code_and_reason(&name(0)), not_found(expected), "upload {path}");
    }
}

#[tokio::test]
async fn wrong_fields_are_refused_before_a_host_is_touched() {
    let fleet = Fleet::new(1).await;
    let before = fleet.host(0).counters.snapshot().total;
    let no_nul = v1::UploadArchiveRequest { path: "/a\0b".to_owned(), ..first(all(), "") };
    let no_name = v1::UploadArchiveRequest { container: "../x".to_owned(), ..first(all(), "/") };
    let large = v1::UploadArchiveRequest { chunk: vec![0; (1 << 20) + 1], ..first(all(), "/data") };
    for (message, field) in [
        (first(all(), ""), "path"),
        (no_nul, "path"),
        (no_name, "container"),
        (first(None, "/data"), "targets"),
        (large, "chunk"),
    ] {
        let status = refused(&fleet, vec![message]).await;
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, "INVALID_FIELD")
        );
        assert!(status.message().contains(field), "{field}: {}", status.message());
    }
    assert_eq!(refused(&fleet, Vec::new()).await.code(), Code::InvalidArgument);
    let status = fleet.files().download_archive(download(all(), "")).await.unwrap_err();
    assert_eq!(reason(&status), "INVALID_FIELD");
    assert_eq!(fleet.host(0).counters.snapshot().total, before);
}
