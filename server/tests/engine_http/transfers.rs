//! Pulls and pushes, whole and broken.

use tokio::sync::watch;
use wharf_server::domain::{ImageReference, RegistryHost, RegistryLogin, Secret};
use wharf_server::engine::{EngineError, ErrorKind, Pulled, Pushed, Transfer};

use crate::server::{Request, Server, Step, answer, chunk, chunked_head, last_chunk, refusal};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const IMAGE: &str = r#"{"Id":"sha256:8d2","Os":"linux","Architecture":"amd64","RepoTags":null}"#;

fn reference(text: &str) -> ImageReference {
    ImageReference::parse(text).unwrap()
}

fn login(registry: &str, password: &str) -> RegistryLogin {
    let registry = RegistryHost::parse(registry).unwrap();
    RegistryLogin::new(registry, "ann", Secret::new(password), Secret::new("")).unwrap()
}

/// An Engine whose pulls and pushes answer as scripted, and that has every image.
async fn engine(script: impl Fn() -> Vec<Step> + Send + Sync + 'static) -> Server {
    Server::engine(move |request: &Request| {
        let transfers =
            request.target.contains("/images/create") || request.target.contains("/push");
        match request.method.as_str() {
            "POST" if transfers => script(),
            "POST" => answer(201, ""),
            _ => answer(200, IMAGE),
        }
    })
    .await
}

fn done() -> Vec<Step> {
    vec![
        chunked_head(200),
        chunk("{\"status\":\"Pulling from app\",\"id\":\"v1\"}\r\n{\"status\":\"Pull"),
        chunk("ing fs layer\",\"progressDetail\":{},\"id\":\"aaa\"}\r\n"),
        chunk(
            "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":5,\"total\":10},\"id\":\"aaa\"}\r\n",
        ),
        chunk("{\"status\":\"Pull complete\",\"progressDetail\":{},\"id\":\"aaa\"}\r\n"),
        chunk(&format!("{{\"status\":\"Digest: {DIGEST}\"}}\r\n")),
        chunk("{\"status\":\"Status: Downloaded newer image for app:v1\"}\r\n"),
        last_chunk(),
    ]
}

async fn pull(
    server: &Server,
    text: &str,
    platform: Option<&str>,
    login: Option<&RegistryLogin>,
) -> Result<Pulled, EngineError> {
    let (sink, _receiver) = watch::channel(Transfer::default());
    server.client().pull_image(&reference(text), platform, login, &sink).await
}

async fn push(
    server: &Server,
    text: &str,
    login: Option<&RegistryLogin>,
) -> Result<Pushed, EngineError> {
    let (sink, _receiver) = watch::channel(Transfer::default());
    server.client().push_image(&reference(text), login, &sink).await
}

#[tokio::test]
async fn a_pull_succeeds_when_all_of_it_did() {
    let server = engine(done).await;
    let (sink, receiver) = watch::channel(Transfer::default());
    let pulled = server.client().pull_image(&reference("app:v1"), None, None, &sink).await.unwrap();
    assert_eq!((pulled.digest.as_deref(), pulled.newer), (Some(DIGEST), Some(true)));
    assert_eq!(pulled.image.json, IMAGE);
    let transfer = receiver.borrow().clone();
    assert_eq!((transfer.layers_done, transfer.layers_total), (1, 1));
    assert_eq!((transfer.bytes_done, transfer.bytes_total), (10, 10));
    assert_eq!(
        server.lines(),
        ["POST /v1.41/images/create?fromImage=app&tag=v1", "GET /v1.41/images/app:v1/json"]
    );
    assert_eq!(server.requests()[0].header("x-registry-auth"), None);
}

#[tokio::test]
async fn a_pull_says_which_tag_and_what_platform() {
    for (text, platform, lines) in [
        (
            "app",
            None,
            vec![
                "POST /v1.41/images/create?fromImage=app&tag=latest",
                "GET /v1.41/images/app:latest/json",
            ],
        ),
        (
            "r.io:5000/a/b",
            Some("linux/amd64"),
            vec![
                "POST /v1.41/images/create?fromImage=r.io%3A5000%2Fa%2Fb&tag=latest&platform=linux%2Famd64",
                "GET /v1.41/images/r.io:5000/a/b:latest/json",
            ],
        ),
    ] {
        let server = engine(done).await;
        pull(&server, text, platform, None).await.unwrap();
        assert_eq!(server.lines(), lines, "{text}");
    }
    let server = engine(done).await;
    let error = pull(&server, "app", Some("linux/arm64"), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ForeignPlatform);
    assert!(error.message.contains("linux/amd64, not for linux/arm64"), "{error}");
}

#[tokio::test]
async fn a_pull_by_digest_gets_its_tag() {
    let server = engine(done).await;
    pull(&server, &format!("app:v1@{DIGEST}"), None, None).await.unwrap();
    let encoded = DIGEST.replace(':', "%3A");
    assert_eq!(
        server.lines(),
        [
            format!("POST /v1.41/images/create?fromImage=app&tag={encoded}"),
            format!("GET /v1.41/images/app@{DIGEST}/json"),
            format!("POST /v1.41/images/app@{DIGEST}/tag?repo=app&tag=v1"),
            format!("GET /v1.41/images/app@{DIGEST}/json"),
        ]
    );
}

#[tokio::test]
async fn failures_in_a_stream_are_failures() {
    let line = |text: &'static str| {
        move || vec![chunked_head(200), chunk("{\"status\":\"x\"}\r\n"), chunk(text), last_chunk()]
    };
    for (text, expected) in [
        (
            "{\"errorDetail\":{\"message\":\"unexpected EOF\"},\"error\":\"unexpected EOF\"}\r\n",
            ErrorKind::PullFailed,
        ),
        ("{\"errorDetail\":{\"message\":\"unexpected EOF\"}}", ErrorKind::PullFailed),
        (
            "{\"error\":\"unauthorized: authentication required\"}\n",
            ErrorKind::RegistryAuthRequired,
        ),
        ("{\"error\":\"toomanyrequests: slow down\"}\n", ErrorKind::RegistryRateLimited),
        ("{\"error\":\"manifest unknown\"}\n", ErrorKind::ImageNotFound),
        ("<html>\r\n", ErrorKind::BadAnswer),
    ] {
        let server = engine(line(text)).await;
        let error = pull(&server, "app", None, None).await.unwrap_err();
        assert_eq!(error.kind, expected, "{text}: {error}");
        assert!(!error.is_interrupted, "the Engine said so: {error}");
        assert_eq!(server.requests().len(), 1, "a pull that failed is not looked for");
    }
}

#[tokio::test]
async fn a_stream_without_its_end_is_a_failure() {
    let cut = || {
        let mut steps = done();
        steps.pop();
        steps.push(Step::Close);
        steps
    };
    let server = engine(cut).await;
    let error = pull(&server, "app:v1", None, None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PullFailed, "{error}");
    assert!(error.is_interrupted, "begun again, it may succeed: {error}");
    let server = engine(cut).await;
    assert_eq!(push(&server, "app:v1", None).await.unwrap_err().kind, ErrorKind::PushFailed);
    // Before the first byte.
    let server = engine(|| vec![Step::Close]).await;
    assert_eq!(pull(&server, "app:v1", None, None).await.unwrap_err().kind, ErrorKind::PullFailed);
    // An answer that ends with the connection may be cut anywhere.
    let server = engine(|| {
        vec![
            Step::Send(
                b"HTTP/1.1 200 OK\r\n\r\n{\"status\":\"Pull complete\",\"id\":\"aaa\"}\r\n"
                    .to_vec(),
            ),
            Step::Close,
        ]
    })
    .await;
    let error = pull(&server, "app:v1", None, None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PullFailed, "{error}");
}

#[tokio::test]
async fn a_pull_whose_image_is_not_there_afterwards_is_a_failure() {
    let server = Server::engine(|request: &Request| match request.method.as_str() {
        "POST" => done(),
        _ => refusal(404, "No such image: app:v1"),
    })
    .await;
    let error = pull(&server, "app:v1", None, None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PullFailed);
    assert!(error.message.contains("does not exist"), "{error}");
}

#[tokio::test]
async fn a_transfer_that_stands_still_is_given_up() {
    for steps in 0..2 {
        let server = engine(move || match steps {
            0 => vec![Step::Hang],
            _ => vec![chunked_head(200), chunk("{\"status\":\"x\"}\r\n"), Step::Hang],
        })
        .await;
        let (sink, _receiver) = watch::channel(Transfer::default());
        let client = server.impatient_client();
        let error = client.pull_image(&reference("app"), None, None, &sink).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::TransferStalled);
        assert!(error.message.contains("50ms"), "{error}");
        server.until_closed().await;
    }
}

#[tokio::test]
async fn an_engine_that_reports_for_ever_is_given_up() {
    let server = engine(|| {
        let line =
            "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":1},\"id\":\"aaa\"}\r\n";
        vec![
            chunked_head(200),
            Step::Forever(format!("{:x}\r\n{line}\r\n", line.len()).into_bytes()),
        ]
    })
    .await;
    let (sink, _receiver) = watch::channel(Transfer::default());
    let client = server.brief_client();
    let error = client.pull_image(&reference("app"), None, None, &sink).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AnswerTooLarge, "{error}");
    server.until_closed().await;
}

#[tokio::test]
async fn a_line_without_end_is_refused() {
    let server = engine(|| {
        let junk = format!("10000\r\n{}\r\n", "x".repeat(0x10000)).into_bytes();
        vec![chunked_head(200), Step::Forever(junk)]
    })
    .await;
    let error = pull(&server, "app", None, None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AnswerTooLarge, "{error}");
}

#[tokio::test]
async fn credentials_go_into_the_header_and_nowhere_else() {
    let server = engine(|| {
        vec![chunked_head(200), chunk("{\"error\":\"denied: hunter2 is wrong\"}\n"), last_chunk()]
    })
    .await;
    let login = login("r.io:5000", "hunter2");
    let error = pull(&server, "r.io:5000/app", None, Some(&login)).await.unwrap_err();
    assert_eq!(error.message, "denied: [redacted] is wrong");
    let error = push(&server, "r.io:5000/app", Some(&login)).await.unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"));
    for request in server.requests() {
        let header = request.header("x-registry-auth").unwrap();
        assert_eq!(
            header,
            "eyJ1c2VybmFtZSI6ImFubiIsInBhc3N3b3JkIjoiaHVudGVyMiIsInNlcnZlcmFkZHJlc3MiOiJyLmlvOjUwMDAifQ=="
        );
        assert!(!request.target.contains("hunter2"));
    }
    // Not to another registry.
    let server = engine(done).await;
    let error = pull(&server, "other.io/app", None, Some(&login)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadRequest);
    assert!(server.all_requests().is_empty());
}

#[tokio::test]
async fn a_push_sends_one_tag_and_a_header() {
    let pushed = || {
        vec![
            chunked_head(200),
            chunk("{\"status\":\"The push refers to repository [r.io:5000/a/b]\"}\r\n"),
            chunk(
                "{\"progressDetail\":{},\"aux\":{\"Tag\":\"latest\",\"Digest\":\"sha256:1f\",\"Size\":528}}\r\n",
            ),
            last_chunk(),
        ]
    };
    let server = engine(pushed).await;
    let result = push(&server, "r.io:5000/a/b", None).await.unwrap();
    assert_eq!(result, Pushed { digest: Some("sha256:1f".into()), size: 528 });
    assert_eq!(server.lines(), ["POST /v1.41/images/r.io:5000/a/b/push?tag=latest"]);
    assert_eq!(server.requests()[0].header("x-registry-auth"), Some("e30="));
    let error = push(&server, &format!("app@{DIGEST}"), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadRequest);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn podman_says_neither_digest_nor_status() {
    let server = engine(|| {
        vec![
            chunked_head(200),
            chunk("{\"status\":\"Pull complete\",\"progressDetail\":{},\"id\":\"aaa\"}\n"),
            last_chunk(),
        ]
    })
    .await;
    let pulled = pull(&server, "app", None, None).await.unwrap();
    assert_eq!((pulled.digest, pulled.newer), (None, None));
}
