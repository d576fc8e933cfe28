//! The negotiation of the API version.

use serde_json::json;
use wharf_server::domain::ContainerRef;
use wharf_server::engine::{ContainerListing, ErrorKind};

use crate::server::{Request, Server, Step, answer, empty, ping, refusal, whole};

/// A server that speaks versions up to `max` from `min`, as Engines refuse others.
async fn engine(max: &'static str, min: &'static str) -> Server {
    Server::start(move |request| {
        if request.target == "/_ping" {
            return ping(max);
        }
        let Some(version) = request.target.strip_prefix("/v1.").and_then(|rest| rest.split('/').next())
        else {
            return refusal(404, "page not found");
        };
        let minor = |text: &str| text.trim_start_matches("1.").parse::<u32>().unwrap();
        if minor(version) > minor(max) {
            let text = format!("client version 1.{version} is too new. Maximum supported API version is {max}");
            refusal(400, &text)
        } else if minor(version) < minor(min) {
            let text = format!("client version 1.{version} is too old. Minimum supported API version is {min}, please upgrade your client to a newer version");
            refusal(400, &text)
        } else if request.target.ends_with("/version") {
            answer(200, &format!(r#"{{"ApiVersion":"{max}","MinAPIVersion":"{min}"}}"#))
        } else {
            answer(200, "[]")
        }
    })
    .await
}

#[tokio::test]
async fn the_highest_common_version_is_spoken() {
    for (max, min, expected) in [
        ("1.24", "1.12", "/v1.24/containers/json"),
        ("1.35", "1.12", "/v1.35/containers/json"),
        ("1.41", "1.12", "/v1.41/containers/json"),
        ("1.44", "1.24", "/v1.44/containers/json"),
        ("1.51", "1.24", "/v1.51/containers/json"),
        ("1.52", "1.44", "/v1.52/containers/json"),
        ("1.55", "1.40", "/v1.55/containers/json"),
        ("1.60", "1.44", "/v1.55/containers/json"),
    ] {
        let server = engine(max, min).await;
        let client = server.client();
        let listing = client.list_containers(&ContainerListing::default()).await.unwrap();
        assert_eq!(format!("/v{}/containers/json", listing.api_version), expected, "{max}");
        assert_eq!(server.requests().last().unwrap().target, expected);
        client.list_containers(&ContainerListing::default()).await.unwrap();
        let pings = server.all_requests().iter().filter(|r| r.target == "/_ping").count();
        assert_eq!(pings, 1, "the version is remembered");
    }
}

#[tokio::test]
async fn what_the_engine_does_not_know_is_refused_before_it_is_sent() {
    let mount = json!({"Type": "image", "Source": "models", "Target": "/models"});
    let body = json!({"Image": "app", "HostConfig": {"Mounts": [mount]}});
    let server = engine("1.47", "1.24").await;
    let error = server.client().create_container(None, None, &body).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    let expected =
        "an image as a mount at \"/models\" requires API version 1.48, but this Engine uses 1.47";
    assert!(error.message.contains(expected), "{error}");
    assert!(!server.lines().iter().any(|line| line.contains("create")), "{:?}", server.lines());
}

#[tokio::test]
async fn a_signal_for_a_stop_is_sent_to_engines_that_know_it() {
    let web = ContainerRef::parse("web").unwrap();
    let old = engine("1.41", "1.24").await;
    for restart in [false, true] {
        let stop = old.client().stop_with_signal(&web, restart, None, "SIGINT").await;
        let error = stop.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert!(error.message.contains("a signal for a stop requires API version 1.42"), "{error}");
    }
    assert!(!old.lines().iter().any(|line| line.starts_with("POST")), "{:?}", old.lines());
    let new = engine("1.42", "1.24").await;
    let client = new.client();
    client.stop_with_signal(&web, false, None, "SIGINT").await.unwrap();
    client.stop_with_signal(&web, true, Some(5), "9").await.unwrap();
    let expected = [
        "POST /v1.42/containers/web/stop?signal=SIGINT",
        "POST /v1.42/containers/web/restart?t=5&signal=9",
    ];
    assert_eq!(new.lines()[new.lines().len() - 2..], expected);
}

#[tokio::test]
async fn networks_that_a_creation_cannot_take_are_connected_after_it() {
    let body = json!({
        "Image": "app", "HostConfig": {"NetworkMode": "front"},
        "NetworkingConfig": {"EndpointsConfig": {
            "back": {"Aliases": ["db"]}, "front": {"MacAddress": "02:00:00:00:00:01"},
        }},
    });
    let server = Server::engine(|request| match request.target.as_str() {
        "/v1.41/containers/create" => answer(201, r#"{"Id":"4bc","Warnings":null}"#),
        "/v1.41/networks/back/connect" => empty(200),
        _ => empty(500),
    })
    .await;
    server.client().create_container(None, None, &body).await.unwrap();
    let sent: Vec<serde_json::Value> = server
        .requests()
        .iter()
        .map(|request| serde_json::from_str(&request.body).unwrap())
        .collect();
    let expected = json!({
        "Image": "app", "MacAddress": "02:00:00:00:00:01", "HostConfig": {"NetworkMode": "front"},
        "NetworkingConfig": {"EndpointsConfig": {"front": {}}},
    });
    assert_eq!(sent[0], expected);
    assert_eq!(sent[1], json!({"Container": "4bc", "EndpointConfig": {"Aliases": ["db"]}}));

    // A failure names what is left.
    let server = Server::engine(|request| match request.target.as_str() {
        "/v1.41/containers/create" => answer(201, r#"{"Id":"4bc","Warnings":null}"#),
        _ => refusal(404, "network back not found"),
    })
    .await;
    let error = server.client().create_container(None, None, &body).await.unwrap_err();
    let expected = "container 4bc was created and stays, but cannot be connected to back: network back not found";
    assert_eq!(error.message, expected);
}

#[tokio::test]
async fn no_common_version_is_said_before_anything_is_asked() {
    let server = engine("1.70", "1.60").await;
    let client = server.client();
    let error = client.list_containers(&ContainerListing::default()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoCommonApiVersion);
    assert!(error.message.contains("from 1.60"), "{error}");
    assert_eq!(server.lines(), ["GET /v1.70/version"]);

    let server = Server::start(|_| ping("1.23")).await;
    let error = server.client().ping().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoCommonApiVersion);
    assert!(error.message.contains("up to 1.23"), "{error}");
}

#[tokio::test]
async fn an_engine_that_was_exchanged_is_asked_again_once() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let pings = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        if request.target == "/_ping" {
            let first = pings.fetch_add(1, Ordering::SeqCst) == 0;
            return ping(if first { "1.41" } else { "1.40" });
        }
        if request.target.starts_with("/v1.41/") {
            return refusal(
                400,
                "client version 1.41 is too new. Maximum supported API version is 1.40",
            );
        }
        answer(200, "[]")
    })
    .await;
    let client = server.client();
    let listing = client.list_containers(&ContainerListing::default()).await.unwrap();
    assert_eq!(listing.api_version.to_string(), "1.40");
    assert_eq!(server.lines(), ["GET /v1.41/containers/json", "GET /v1.40/containers/json"]);

    // One that refuses whatever it offers is not asked forever.
    let server = Server::engine(|_| {
        refusal(400, "client version 1.41 is too new. Maximum supported API version is 1.41")
    })
    .await;
    let error = server.client().list_containers(&ContainerListing::default()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoCommonApiVersion);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn an_engine_that_does_not_know_head_is_asked_by_get() {
    let server = Server::start(|request: &Request| match request.line().as_str() {
        "HEAD /_ping" => {
            vec![Step::Send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 29\r\n\r\n".to_vec())]
        }
        "GET /_ping" => vec![Step::Send(whole(200, "Api-Version: 1.35\r\n", b"OK"))],
        _ => answer(200, "[]"),
    })
    .await;
    let listing = server.client().list_containers(&ContainerListing::default()).await.unwrap();
    assert_eq!(listing.api_version.to_string(), "1.35");
    assert_eq!(server.accepted(), 1);

    // Some servers break off on it.
    let server = Server::start(|request: &Request| match request.line().as_str() {
        "HEAD /_ping" => vec![Step::Close],
        "GET /_ping" => vec![Step::Send(whole(200, "Api-Version: 1.35\r\n", b"OK"))],
        _ => answer(200, "[]"),
    })
    .await;
    assert!(server.client().list_containers(&ContainerListing::default()).await.is_ok());
}

#[tokio::test]
async fn an_engine_that_names_no_version_is_taken_for_the_oldest() {
    let server = Server::start(|request: &Request| match request.line().as_str() {
        "HEAD /_ping" => vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n".to_vec())],
        "GET /_ping" => vec![Step::Send(whole(200, "", b"OK"))],
        _ => answer(200, "[]"),
    })
    .await;
    let listing = server.client().list_containers(&ContainerListing::default()).await.unwrap();
    assert_eq!(listing.api_version.to_string(), "1.24");
}

#[tokio::test]
async fn what_is_no_engine_is_said_to_be_none() {
    for (head, body) in [("", "<html>Welcome to nginx!</html>"), ("Api-Version: latest\r\n", "OK")]
    {
        let server = Server::start(move |request: &Request| match request.method.as_str() {
            "HEAD" => vec![Step::Send(
                format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 9\r\n\r\n").into_bytes(),
            )],
            _ => vec![Step::Send(whole(200, head, body.as_bytes()))],
        })
        .await;
        let error = server.client().info().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{error}");
        assert_eq!(error.operation, "GET /info");
    }
}

#[tokio::test]
async fn a_ping_tells_versions_and_notices_an_upgrade() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let upgraded = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&upgraded);
    let server = Server::start(move |request| {
        let max = if seen.load(Ordering::SeqCst) { "1.44" } else { "1.41" };
        if request.target == "/_ping" {
            ping(max)
        } else {
            answer(200, &format!(r#"{{"ApiVersion":"{max}","MinAPIVersion":"1.12"}}"#))
        }
    })
    .await;
    let client = server.client();
    let before = client.ping().await.unwrap();
    assert_eq!(before.api_version.to_string(), "1.41");
    assert_eq!(before.max_api_version, Some(before.api_version));
    assert_eq!(before.min_api_version, None);
    client.version().await.unwrap();
    let known = client.ping().await.unwrap();
    assert_eq!(known.min_api_version.map(|min| min.to_string()).as_deref(), Some("1.12"));
    upgraded.store(true, Ordering::SeqCst);
    assert_eq!(client.ping().await.unwrap().api_version.to_string(), "1.44");
}
