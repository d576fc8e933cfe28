//! Invalid responses of an Engine, and how they are handled.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use wharf_server::domain::ContainerRef;
use wharf_server::engine::{ContainerListing, Engine, EngineError, ErrorKind};

use crate::server::{Server, Step, answer, chunk, chunked_head, last_chunk, refusal, whole};

/// What a list makes of an answer.
async fn list(
    script: impl Fn() -> Vec<Step> + Send + Sync + 'static,
) -> Result<usize, EngineError> {
    let server = Server::engine(move |_| script()).await;
    let listing = ContainerListing { all: true, ..ContainerListing::default() };
    let result = server.client().list_containers(&listing).await;
    // A read that broke off on a connection used before is made once more on a new one.
    let lines = server.lines();
    assert!(lines.len() <= 2, "{lines:?}");
    assert!(lines.iter().all(|line| line == "GET /v1.41/containers/json?all=1"), "{lines:?}");
    result.map(|listing| listing.items.len())
}

/// What a creation makes of an answer.
async fn create(script: impl Fn() -> Vec<Step> + Send + Sync + 'static) -> EngineError {
    let server = Server::engine(move |_| script()).await;
    let result = server.client().create_container(None, None, &json!({"Image": "app"})).await;
    let error = result.unwrap_err();
    assert_eq!(server.requests().len(), 1, "a write is not repeated");
    assert!(!error.message.contains('\n'));
    error
}

fn raw(text: &str) -> Vec<Step> {
    vec![Step::Send(text.as_bytes().to_vec()), Step::Close]
}

#[tokio::test]
async fn a_read_that_breaks_off_is_lost() {
    for text in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n[",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n",
    ] {
        let error = list(move || raw(text)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::ConnectionLost, "{text:?}: {error}");
        assert!(!error.message.contains('\n'));
    }
}

#[tokio::test]
async fn what_is_no_id_gets_neither_to_people_nor_into_a_path() {
    for id in ["", "..", "../../images/prune?x=", "web", "4bc\u{200b}"] {
        let id = json!(id);
        let text = json!([{"Id": id, "Names": ["/web"]}]).to_string();
        let error = list(move || answer(200, &text)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{id}: {error}");
        let text = json!({"Id": id, "Name": "/web"}).to_string();
        let server = Server::engine(move |request| match request.method.as_str() {
            "GET" => answer(200, &text),
            _ => answer(201, &text),
        })
        .await;
        let (engine, web) = (server.client(), ContainerRef::parse("web").unwrap());
        let error = engine.inspect_container(&web, false).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{id}: {error}");
        let error = engine.create_container(None, None, &json!({})).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{id}: {error}");
        // A command: its ID would stand in the path of its start.
        let error = engine.run_in_container(&web, &["true".to_owned()]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{id}: {error}");
        assert!(!server.lines().iter().any(|line| line.contains("/start")), "{:?}", server.lines());
    }
}

#[tokio::test]
async fn an_inspection_of_another_container_is_not_followed() {
    let id = "4bc1".repeat(16);
    let text = json!({"Id": id, "Name": "/database"}).to_string();
    let server = Server::engine(move |_| answer(200, &text)).await;
    let engine = server.client();
    for asked in ["web", "4bc2", "data"] {
        let asked = ContainerRef::parse(asked).unwrap();
        let error = engine.inspect_container(&asked, false).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{asked}: {error}");
        assert!(error.message.contains("\"database\""), "{error}");
    }
    for asked in ["database", "4bc1", &id] {
        let asked = ContainerRef::parse(asked).unwrap();
        engine.inspect_container(&asked, false).await.unwrap();
    }
}

#[tokio::test]
async fn a_write_whose_answer_breaks_off_is_in_doubt() {
    for text in [
        "",
        "HTTP/1.1 201 Cre",
        "HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{",
        "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{",
        "%%% garbage\r\n\r\n",
    ] {
        let error = create(move || raw(text)).await;
        assert_eq!(error.kind, ErrorKind::ResultUnknown, "{text:?}: {error}");
        assert!(error.message.ends_with("the result is unknown"), "{error}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_said_to_be_none() {
    for text in [
        "%%% garbage\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\u{15}\u{3}\u{1}\u{0}\u{2}\u{2}P\r\n\r\n",
    ] {
        let error = list(move || raw(text)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{text:?}: {error}");
        assert!(error.message.contains("not HTTP"), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let text = "HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n";
    let error = list(move || raw(text)).await.unwrap_err();
    assert_eq!((error.kind, error.http_status), (ErrorKind::BadAnswer, Some(301)));
    assert!(error.message.contains("redirect to \"http://127.0.0.1:1/x\""), "{error}");
}

#[tokio::test]
async fn answers_have_their_limits() {
    // Announced.
    let error = list(|| raw("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n[")).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::AnswerTooLarge);
    // Not announced, without end.
    let megabyte = format!("{:x}\r\n{}\r\n", 1 << 20, " ".repeat(1 << 20)).into_bytes();
    let server =
        Server::engine(move |_| vec![chunked_head(200), Step::Forever(megabyte.clone())]).await;
    let container = ContainerRef::parse("web").unwrap();
    let error = server.client().inspect_container(&container, false).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AnswerTooLarge);
    assert!(error.message.contains("3145728 bytes"), "{error}");
    // An error without end is read up to its limit, and its status counts.
    let megabyte = vec![b' '; 1 << 20];
    let error = list(move || {
        vec![
            Step::Send(b"HTTP/1.1 503 X\r\nContent-Length: 99999999999\r\n\r\nbusy".to_vec()),
            Step::Forever(megabyte.clone()),
        ]
    });
    let error = error.await.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Unavailable, "busy"));
}

#[tokio::test]
async fn what_is_not_the_json_of_an_engine_is_refused() {
    for body in [
        &b""[..],
        b"<html>It works!</html>",
        b"[{]",
        b"{\"Id\":\"x\"}",
        b"[{\"Id\":1}]",
        b"[{\"Id\":\"\xff\"}]",
        b"[][]",
    ] {
        let error = list(move || vec![Step::Send(whole(200, "", body))]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{error}");
        assert_eq!(error.operation, "GET /containers/json");
    }
    let deep = "[".repeat(10_000);
    assert_eq!(list(move || answer(200, &deep)).await.unwrap_err().kind, ErrorKind::BadAnswer);
    assert_eq!(list(|| answer(200, "null")).await, Ok(0));
}

#[tokio::test]
async fn slow_answers_are_answers() {
    let body = "[{\"Id\":\"4bc\"}]";
    let trickled = || vec![Step::Trickle(whole(200, "", body.as_bytes()))];
    assert_eq!(list(trickled).await, Ok(1));
    let pieces =
        || vec![chunked_head(200), chunk("["), chunk("{\"Id\":"), chunk("\"4bc\"}]"), last_chunk()];
    assert_eq!(list(pieces).await, Ok(1));
}

#[tokio::test]
async fn a_large_list_is_read_on_another_thread() {
    let item = json!({"Id": "4bc", "Names": ["/web"], "Labels": {"a": "b".repeat(1000)}});
    let body = serde_json::to_string(&vec![item; 2000]).unwrap();
    assert!(body.len() > 1 << 20);
    assert_eq!(list(move || answer(200, &body)).await, Ok(2000));
    let broken = format!("[{}", "{},".repeat(1 << 20));
    assert_eq!(list(move || answer(200, &broken)).await.unwrap_err().kind, ErrorKind::BadAnswer);
}

#[tokio::test]
async fn a_host_that_never_answers_is_left_by_the_callers_deadline() {
    for phase in 0..2 {
        let server = Server::engine(move |_| match phase {
            0 => vec![Step::Hang],
            _ => vec![chunked_head(200), chunk("["), Step::Hang],
        })
        .await;
        let client = server.client();
        let call =
            tokio::spawn(async move { client.list_containers(&ContainerListing::default()).await });
        server.until_requests(1).await;
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        server.until_closed().await;
    }
}

#[tokio::test]
async fn a_host_that_takes_connections_only_is_said_to_hang() {
    use wharf_server::engine::http::{ConnectorSettings, HttpConnector};
    let server = Server::start(|_| vec![Step::Hang]).await;
    let settings = ConnectorSettings {
        negotiation: Duration::from_millis(50),
        ..ConnectorSettings::default()
    };
    let engine: Arc<dyn Engine> =
        HttpConnector::new(settings).engine(&server.address, None).unwrap();
    let container = ContainerRef::parse("web").unwrap();
    // A write too: nothing of it was sent.
    let error = engine.start_container(&container).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ConnectionLost);
    assert_eq!(error.operation, "POST /containers/{id}/start");
    assert!(error.message.contains("did not answer within 50ms"), "{error}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn errors_carry_status_and_message_whole() {
    let long = "x".repeat(1500);
    let server = {
        let long = long.clone();
        Server::engine(move |_| refusal(500, &format!("a\n{long}"))).await
    };
    let error = server.client().info().await.unwrap_err();
    assert_eq!((error.kind, error.http_status), (ErrorKind::Engine, Some(500)));
    assert_eq!(error.to_string(), format!("GET /info: a {long}"));
    // A proxy gave up: a write may have been done.
    let error =
        create(|| vec![Step::Send(whole(504, "", b"<html><title>504 Gateway Time-out</title>"))])
            .await;
    assert_eq!(error.kind, ErrorKind::ResultUnknown);
    assert_eq!(error.message, "504 Gateway Time-out; the result is unknown");
    // The error broke off: its status counts all the same.
    let error = create(|| raw("HTTP/1.1 409 X\r\nContent-Length: 50\r\n\r\n{\"mess")).await;
    assert_eq!(error.kind, ErrorKind::Conflict);
}

#[tokio::test]
async fn hosts_that_send_much_and_stop_share_one_budget() {
    use wharf_server::engine::http::{ConnectorSettings, HttpConnector};
    const EACH: usize = 1 << 20;
    let settings = ConnectorSettings {
        answer_memory: 4 << 20,
        answer_wait: Duration::from_millis(50),
        ..ConnectorSettings::default()
    };
    let connector = HttpConnector::new(settings);
    // Lists that stop before their end, and each holds what it has.
    let mut servers = Vec::new();
    for _ in 0..12 {
        let start = format!("[{{\"Id\":\"4bc\",\"Command\":\"{}", "a".repeat(EACH));
        servers.push(
            Server::engine(move |_| vec![chunked_head(200), chunk(&start), Step::Hang]).await,
        );
    }
    let mut calls = tokio::task::JoinSet::new();
    for server in &servers {
        let engine: Arc<dyn Engine> = connector.engine(&server.address, None).unwrap();
        calls.spawn(async move { engine.list_containers(&ContainerListing::default()).await });
    }
    // At most four of them fit, and the others are refused instead of held.
    for _ in 0..8 {
        let error = calls.join_next().await.unwrap().unwrap().unwrap_err();
        assert_eq!(error.kind, ErrorKind::AnswerMemory, "{error}");
        assert!(error.message.contains("4 MiB") && error.message.contains("answer_memory_mib"));
    }
    // A short answer needs no room.
    let small = Server::engine(|_| answer(200, "[{\"Id\":\"4bc\"}]")).await;
    let engine = connector.engine(&small.address, None).unwrap();
    assert_eq!(engine.list_containers(&ContainerListing::default()).await.unwrap().items.len(), 1);
    // What was held is free once the callers have given up.
    calls.shutdown().await;
    let item = json!({"Id": "4bc", "Command": "a".repeat(EACH)});
    let large = serde_json::to_string(&vec![item; 2]).unwrap();
    let large = Server::engine(move |_| answer(200, &large)).await;
    let engine = connector.engine(&large.address, None).unwrap();
    assert_eq!(engine.list_containers(&ContainerListing::default()).await.unwrap().items.len(), 2);
}

#[tokio::test]
async fn of_a_long_list_only_what_is_read_of_it_is_held() {
    use wharf_server::engine::http::{ConnectorSettings, HttpConnector};
    let settings = ConnectorSettings {
        answer_memory: 1 << 20,
        answer_wait: Duration::from_millis(50),
        ..ConnectorSettings::default()
    };
    // Four times what may be held, nearly all of it in a field that nobody reads.
    let items = vec![json!({"Id": "4bc", "Later": "x".repeat(100_000)}); 40];
    let list = serde_json::to_string(&items).unwrap();
    let server = Server::engine(move |_| answer(200, &list)).await;
    let engine = HttpConnector::new(settings).engine(&server.address, None).unwrap();
    let listing = ContainerListing::default();
    assert_eq!(engine.list_containers(&listing).await.unwrap().items.len(), 40);
    // Where all of it is asked for, it counts.
    let listing = ContainerListing { keep_json: true, ..listing };
    let error = engine.list_containers(&listing).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AnswerMemory, "{error}");
}
