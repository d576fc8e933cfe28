//! The number of connections, and which calls wait for each other.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::Notify;
use wharf_server::domain::{ContainerRef, HostAddress, ImageReference, Transport};
use wharf_server::engine::http::HttpConnector;
use wharf_server::engine::{ContainerListing, Engine, ErrorKind, Transfer, WaitCondition};

use crate::server::{Server, Step, answer, chunk, chunked_head, empty, last_chunk};

async fn list(engine: &Arc<dyn Engine>) {
    let listing = engine.list_containers(&ContainerListing::default()).await.unwrap();
    assert!(listing.items.is_empty());
}

/// Lists from as many tasks as fit, so that they race on all threads.
async fn race(engine: &Arc<dyn Engine>, count: usize) {
    let tasks = (0..count).map(|_| {
        let engine = Arc::clone(engine);
        tokio::spawn(async move { list(&engine).await })
    });
    for result in join_all(tasks).await {
        result.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_that_race_on_a_cold_host_share_one_connection() {
    // In one piece, in chunks, and in pieces of one byte.
    for form in 0..3 {
        let server = Server::engine(move |_| match form {
            0 => answer(200, "[]\n"),
            1 => vec![chunked_head(200), chunk("["), chunk("]\n"), last_chunk()],
            _ => vec![Step::Trickle(crate::server::whole(200, "", b"[]\n"))],
        })
        .await;
        let engine = server.client();
        race(&engine, 50).await;
        assert_eq!(server.accepted(), 1, "form {form}");
        assert_eq!(server.requests().len(), 50);
        let pings = server.all_requests().len() - 50;
        assert_eq!(pings, 1, "one negotiation for all");
        // A warm host stays on its connection.
        race(&engine, 50).await;
        assert_eq!(server.accepted(), 1, "form {form}, warm");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_connection_that_the_engine_closed_is_replaced_by_one() {
    let server = Server::engine(|_| answer(200, "[]")).await;
    let engine = server.client();
    race(&engine, 10).await;
    server.hang_up().await;
    race(&engine, 50).await;
    assert_eq!(server.accepted(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_that_hang_hold_back_no_other() {
    let server = Server::engine(|request| {
        if request.target.contains("/stuck/") { vec![Step::Hang] } else { answer(200, "[]") }
    })
    .await;
    let engine = server.client();
    for stuck in [1, 12] {
        let before = server.requests().len();
        let calls: Vec<_> = (0..stuck)
            .map(|_| {
                let engine = Arc::clone(&engine);
                let container = ContainerRef::parse("stuck").unwrap();
                tokio::spawn(async move { engine.inspect_container(&container, false).await })
            })
            .collect();
        server.until_requests(before + stuck).await;
        let accepted = server.accepted();
        race(&engine, 20).await;
        assert!(calls.iter().all(|call| !call.is_finished()));
        assert!(server.accepted() <= accepted + 1, "one connection for all others");
        calls.iter().for_each(tokio::task::JoinHandle::abort);
        server.until_closed_but(1).await;
    }
}

#[tokio::test]
async fn long_calls_hold_back_no_other() {
    let release = Arc::new(Notify::new());
    let hold = Arc::clone(&release);
    let server = Server::engine(move |request| {
        if request.target.contains("/stop") {
            [vec![Step::Hold(Arc::clone(&hold))], empty(204)].into_iter().flatten().collect()
        } else if request.target.contains("/wait") {
            vec![chunked_head(200), Step::Hang]
        } else {
            answer(200, "[]")
        }
    })
    .await;
    let engine = server.client();
    let container = ContainerRef::parse("web").unwrap();
    let stop = tokio::spawn({
        let (engine, container) = (Arc::clone(&engine), container.clone());
        async move { engine.stop_container(&container, Some(600)).await }
    });
    // More than there may be of short calls: waits have a limit of their own.
    let waits: Vec<_> = (0..40)
        .map(|_| {
            let (engine, container) = (Arc::clone(&engine), container.clone());
            tokio::spawn(async move {
                engine.wait_container(&container, WaitCondition::NotRunning).await
            })
        })
        .collect();
    server.until_requests(41).await;
    list(&engine).await;
    assert_eq!(server.requests().len(), 42, "40 waits, the stop, and the list");
    release.notify_one();
    stop.await.unwrap().unwrap();
    waits.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn all_who_wait_for_a_connection_learn_that_there_is_none() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let text = format!("tcp://{}", listener.local_addr().unwrap());
    drop(listener);
    let address = HostAddress::parse(&text, Transport::Plain).unwrap();
    let engine = HttpConnector::default().engine(&address, None).unwrap();
    let listing = ContainerListing::default();
    let errors = join_all((0..50).map(|_| engine.list_containers(&listing))).await;
    for error in errors {
        let error = error.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable);
        assert_eq!(error.operation, "GET /containers/json");
        let expected = format!(
            "{text} refused the connection; check that the Engine is running and listens there"
        );
        assert_eq!(error.message, expected);
    }
}

#[tokio::test]
async fn a_host_that_comes_back_is_found_again() {
    let server = Server::engine(|_| answer(200, "[]")).await;
    let engine = server.client();
    list(&engine).await;
    let address = server.address.to_string();
    server.hang_up().await;
    drop(server);
    // The port stays closed until someone takes it again.
    let refused =
        async { while engine.list_containers(&ContainerListing::default()).await.is_ok() {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), refused).await.unwrap();
    let listener =
        tokio::net::TcpListener::bind(address.strip_prefix("tcp://").unwrap()).await.unwrap();
    let call = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move { engine.list_containers(&ContainerListing::default()).await }
    });
    let (mut stream, _) = listener.accept().await.unwrap();
    let bytes = crate::server::whole(200, "", b"[]");
    tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes).await.unwrap();
    assert!(call.await.unwrap().is_ok());
}

#[tokio::test]
async fn dropping_a_call_closes_its_connection() {
    let server = Server::engine(|_| vec![chunked_head(200), Step::Hang]).await;
    let engine = server.client();
    let pull = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move {
            let (sink, _receiver) = tokio::sync::watch::channel(Transfer::default());
            engine.pull_image(&ImageReference::parse("app").unwrap(), None, None, &sink).await
        }
    });
    server.until_requests(1).await;
    pull.abort();
    server.until_closed().await;
}

#[tokio::test]
async fn the_same_address_gives_the_same_client() {
    let server = Server::engine(|_| answer(200, "[]")).await;
    let connector = HttpConnector::default();
    for _ in 0..3 {
        let engine = connector.engine(&server.address, None).unwrap();
        list(&engine).await;
    }
    assert_eq!(server.accepted(), 1);
    assert_eq!(server.all_requests().len(), 4, "one ping and three lists");
    connector.retain(|_, _| true);
    list(&connector.engine(&server.address, None).unwrap()).await;
    assert_eq!(server.accepted(), 1);
    connector.retain(|_, _| false);
    list(&connector.engine(&server.address, None).unwrap()).await;
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_unix_socket_is_spoken_to_and_missed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("docker.sock");
    let text = format!("unix://{}", path.display());
    let address = HostAddress::parse(&text, Transport::Plain).unwrap();
    let connector = HttpConnector::default();
    let engine = connector.engine(&address, None).unwrap();
    let error = engine.ping().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert_eq!(
        error.message,
        format!("the socket {text} does not exist; check that the Engine is running")
    );

    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let accepting = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = vec![0; 4096];
        loop {
            let read = tokio::io::AsyncReadExt::read(&mut stream, &mut bytes).await.unwrap();
            if read == 0 {
                return;
            }
            let Step::Send(answer) = crate::server::ping("1.41").remove(0) else { unreachable!() };
            tokio::io::AsyncWriteExt::write_all(&mut stream, &answer).await.unwrap();
        }
    });
    assert_eq!(engine.ping().await.unwrap().api_version.to_string(), "1.41");
    drop((engine, connector));
    accepting.await.unwrap();
}
