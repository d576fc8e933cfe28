//! Archives of images on their way from an Engine and to it.

use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::{Notify, mpsc, watch};
use wharf_server::domain::ImageName;
use wharf_server::engine::{Engine, EngineError, ErrorKind, Transfer, Upload, UploadSpace};

use crate::server::{Request, Server, Step, chunk, chunked_head, last_chunk, refusal};

/// More than the buffers of a connection hold.
const LARGE: usize = 32 << 20;

/// A line of Docker about a layer that is loaded.
const LAYER: &str = "{\"status\":\"Loading layer\",\"progressDetail\":{\"current\":7,\"total\":7},\"id\":\"a\"}\r\n";

/// A complete upload of so many bytes.
async fn upload(directory: &TempDir, size: usize) -> Upload {
    let space = UploadSpace::new(directory.path().join("uploads"), 1 << 30);
    let (mut writer, upload) = space.create().await.unwrap();
    for chunk in vec![b'x'; size].chunks(1 << 20) {
        writer.write(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    writer.finish();
    upload
}

fn names(names: &[&str]) -> Vec<ImageName> {
    names.iter().map(|name| ImageName::parse(name).unwrap()).collect()
}

/// An Engine that answers a load like this, and closes the connection.
async fn loading(lines: &'static [&'static str]) -> Server {
    Server::engine(move |_: &Request| {
        let lines = lines.iter().map(|line| chunk(line));
        [vec![chunked_head(200)], lines.collect(), vec![last_chunk(), Step::Close]]
            .into_iter()
            .flatten()
            .collect()
    })
    .await
}

async fn load(
    engine: Arc<dyn Engine>,
    size: usize,
) -> (Result<Vec<ImageName>, EngineError>, Transfer) {
    let directory = TempDir::new().unwrap();
    let (sink, progress) = watch::channel(Transfer::default());
    let result = engine.load_images(&upload(&directory, size).await, &sink).await;
    (result, progress.borrow().clone())
}

#[tokio::test]
async fn what_docker_and_podman_say_they_loaded_is_read() {
    const LINES: [&str; 3] = [
        LAYER,
        "{\"stream\":\"The image app:v1 already exists, renaming the old one\"}\r\n{\"stream\":\"Loaded ",
        "image: app:v1\\n\"}\r\n{\"stream\":\"Loaded image ID: sha256:01\\n\"}\r\n",
    ];
    let server = loading(&LINES).await;
    let (loaded, progress) = load(server.client(), 1000).await;
    assert_eq!(loaded.unwrap(), names(&["app:v1", "sha256:01"]));
    assert_eq!((progress.layers_done, progress.bytes_total), (1, 7));
    assert_eq!(server.lines(), ["POST /v1.41/images/load?quiet=0"]);
    assert_eq!(server.requests()[0].header("content-type"), Some("application/x-tar"));

    let server = loading(&["{\"stream\":\"Loaded image: localhost/a:v1,docker.io/b:v2\"}"]).await;
    let loaded = load(server.client(), 10).await.0.unwrap();
    assert_eq!(loaded, names(&["localhost/a:v1", "docker.io/b:v2"]));
}

#[tokio::test]
async fn a_load_that_fails_in_any_way_is_a_failed_load() {
    for lines in [
        &["{\"errorDetail\":{\"message\":\"unexpected EOF\"},\"error\":\"x\"}\r\n"][..],
        &["{\"error\":\"no space left on device\"}\n"],
        &["{\"stream\":\"nothing\"}\r\n"],
        &[],
    ] {
        let server = loading(lines).await;
        let error = load(server.client(), 1000).await.0.unwrap_err();
        assert_eq!(error.kind, ErrorKind::LoadFailed, "{lines:?}: {error}");
    }
    // Podman reads the archive before it answers.
    let server = Server::engine(|_: &Request| refusal(500, "failed to load image")).await;
    let error = load(server.client(), 10).await.0.unwrap_err();
    assert_eq!((error.kind, error.http_status), (ErrorKind::LoadFailed, Some(500)));
    let server = Server::engine(|_: &Request| vec![Step::Close]).await;
    let error = load(server.client(), LARGE).await.0.unwrap_err();
    assert_eq!((error.kind, error.is_interrupted), (ErrorKind::LoadFailed, true), "{error}");
}

#[tokio::test]
async fn an_engine_that_takes_nothing_or_says_nothing_is_given_up() {
    // It takes everything, and does not answer.
    let server = Server::engine(|_: &Request| vec![Step::Hang]).await;
    let (result, progress) = load(server.impatient_client(), 1000).await;
    let error = result.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TransferStalled, "{error}");
    assert_eq!((progress.bytes_done, progress.bytes_total), (1000, 1000));
    assert_eq!(progress.status, "Loading");
    // It takes nothing.
    let release = Arc::new(Notify::new());
    let held = Arc::clone(&release);
    let server = Server::engine(move |_: &Request| vec![Step::Hold(Arc::clone(&held))]).await;
    let (result, progress) = load(server.impatient_client(), LARGE).await;
    assert_eq!(result.unwrap_err().kind, ErrorKind::TransferStalled);
    assert!(progress.bytes_done < LARGE as u64, "{progress:?}");
    assert_eq!(progress.status, "Sending");
}

/// What an Engine sends as the archive of two images.
async fn save(server: &Server) -> (Result<(), EngineError>, Vec<u8>) {
    let (sink, mut pieces) = mpsc::channel(1);
    let engine = server.client();
    let images = names(&[
        "app:v1",
        "r.io:5000/a/b@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ]);
    let save = async move { engine.save_images(&images, &sink).await };
    let read = async {
        let mut archive = Vec::new();
        while let Some(piece) = pieces.recv().await {
            archive.extend_from_slice(&piece);
        }
        archive
    };
    tokio::join!(save, read)
}

#[tokio::test]
async fn an_archive_is_passed_on_and_one_without_its_end_is_none() {
    // What is checked is its end.
    let zeros = "\0".repeat(1020);
    let whole = move || vec![chunked_head(200), chunk("abcd"), chunk(&zeros), last_chunk()];
    let server = Server::engine(move |_: &Request| whole()).await;
    let (result, archive) = save(&server).await;
    assert_eq!((result, archive.len(), &archive[..5]), (Ok(()), 1024, &b"abcd\0"[..]));
    let line = &server.lines()[0];
    assert!(line.starts_with("GET /v1.41/images/get?names=app%3Av1&names=r.io%3A5000"), "{line}");

    let broken = "{\"message\":\"write /x: input/output error\"}";
    for (sent, problem) in [
        (None, "it ends in the middle"),
        (Some("this is not an archive".to_owned()), "it ends in the middle"),
        (Some("x".repeat(1024)), "it ends in the middle"),
        (Some("x".repeat(1024) + broken), "the Engine says: write /x: input/output error"),
    ] {
        let end = move || {
            let middle = sent.iter().map(|text| chunk(text));
            [chunked_head(200)].into_iter().chain(middle).chain([last_chunk()]).collect::<Vec<_>>()
        };
        let server = Server::engine(move |_: &Request| end()).await;
        let error = save(&server).await.0.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadAnswer);
        assert!(error.message.ends_with(problem), "{error}");
    }

    let cut = || vec![chunked_head(200), chunk("abc"), Step::Close];
    let server = Server::engine(move |_: &Request| cut()).await;
    assert_eq!(save(&server).await.0.unwrap_err().kind, ErrorKind::ConnectionLost);
    let head = b"HTTP/1.1 200 OK\r\n\r\nabc".to_vec();
    let server =
        Server::engine(move |_: &Request| vec![Step::Send(head.clone()), Step::Close]).await;
    assert_eq!(save(&server).await.0.unwrap_err().kind, ErrorKind::ConnectionLost);
    let server = Server::engine(|_: &Request| refusal(404, "No such image: app:v1")).await;
    assert_eq!(save(&server).await.0.unwrap_err().kind, ErrorKind::ImageNotFound);
}
