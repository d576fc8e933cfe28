//! Against a registry on this machine that wants to see a token first, and others that behave badly.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::{RegistryError, tags};
use crate::domain::{ImageReference, RegistryHost, RegistryLogin, Secret};

/// What a request was, and what is answered.
struct Asked {
    line: String,
    headers: HashMap<String, String>,
    body: String,
}

type Answer = (u16, Vec<(&'static str, String)>, String);

/// A server on this machine; what it was asked, in order.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answer: impl Fn(&str, &Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (own, log) = (address.clone(), asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut stream = BufReader::new(stream);
                let Some(request) = read(&mut stream).await else { continue };
                let authorization =
                    request.headers.get("authorization").cloned().unwrap_or_default();
                log.lock().unwrap().push(format!("{} {authorization}", request.line));
                let (status, headers, body) = answer(&own, &request);
                let headers: String =
                    headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let text = format!(
                    "HTTP/1.1 {status} x\r\n{headers}connection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(text.as_bytes()).await;
            }
        });
        Self { address, asked }
    }

    fn image(&self, repository: &str) -> ImageReference {
        ImageReference::parse(&format!("{}/{repository}", self.address)).unwrap()
    }

    fn login(&self, password: &str, token: &str) -> RegistryLogin {
        let registry = RegistryHost::parse(&self.address).unwrap();
        let user = if password.is_empty() { "" } else { "ann" };
        RegistryLogin::new(registry, user, Secret::new(password), Secret::new(token)).unwrap()
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

async fn read(stream: &mut BufReader<tokio::net::TcpStream>) -> Option<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let headers: HashMap<_, _> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Asked { line: lines.swap_remove(0), headers, body: String::from_utf8(body).ok()? })
}

fn provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A registry that has its tokens made at its own `/token`.
fn with_tokens(own: &str, asked: &Asked) -> Answer {
    let authorization = asked.headers.get("authorization").map_or("", String::as_str);
    if asked.line.contains("/token") {
        let known = authorization == "Basic YW5uOnNlY3JldA=="
            || asked.body.contains("refresh_token=identity");
        let open = asked.line.contains("repository%3Aopen%3Apull");
        return match known || open {
            true => (200, vec![], r#"{"access_token":"t0ken"}"#.to_owned()),
            false => (401, vec![], String::new()),
        };
    }
    if authorization != "Bearer t0ken" {
        let challenge = format!(
            r#"Bearer realm="http://{own}/token",service="registry",scope="repository:x:*""#
        );
        return (401, vec![("www-authenticate", challenge)], String::new());
    }
    if asked.line.contains("last=") {
        return (200, vec![], r#"{"tags":["v10","latest","not a tag","<b>"]}"#.to_owned());
    }
    let link = "</v2/team/app/tags/list?n=1000&last=v9>; rel=\"next\"".to_owned();
    (200, vec![("link", link)], r#"{"tags":["v9","v9-rc1"]}"#.to_owned())
}

#[tokio::test]
async fn a_token_is_fetched_for_this_repository_alone() {
    provider();
    let server = Server::start(with_tokens).await;
    let image = server.image("team/app");
    for login in [server.login("secret", ""), server.login("", "identity")] {
        let found = tags(&image, Some(&login)).await.unwrap();
        assert_eq!(found.names, ["v10", "v9", "v9-rc1", "latest"]);
        assert!(!found.more);
        let asked = server.asked();
        assert_eq!(asked.len(), 4, "{asked:#?}");
        // The credentials go to the place of the tokens, and the registry sees only its token.
        assert!(asked[0].ends_with("HTTP/1.1 "), "{asked:#?}");
        assert!(asked[1].contains("/token"), "{asked:#?}");
        assert!(
            asked[2].ends_with("Bearer t0ken") && asked[3].ends_with("Bearer t0ken"),
            "{asked:#?}"
        );
    }
    assert!(tags(&server.image("open"), None).await.is_ok());
    assert!(server.asked()[1].contains("scope=repository%3Aopen%3Apull&service=registry"));
    for login in [None, Some(server.login("wrong", "")), Some(server.login("", "wrong"))] {
        assert_eq!(tags(&image, login.as_ref()).await, Err(RegistryError::AuthRequired));
    }
}

#[tokio::test]
async fn credentials_go_to_no_other_place() {
    provider();
    let other =
        Server::start(|_, _| (200, vec![], r#"{"tags":["stolen"],"token":"t"}"#.to_owned())).await;
    let elsewhere = format!("http://{}/", other.address.replace("127.0.0.1", "127.0.0.2"));
    let cases: [(&str, Answer); 4] = [
        ("redirect", (307, vec![("location", elsewhere.clone())], String::new())),
        (
            "link",
            (
                200,
                vec![("link", format!("<{elsewhere}v2/>; rel=\"next\""))],
                r#"{"tags":["v1"]}"#.to_owned(),
            ),
        ),
        (
            "realm",
            (
                401,
                vec![("www-authenticate", "Bearer realm=\"http://registry.example/\"".to_owned())],
                String::new(),
            ),
        ),
        (
            "cloud",
            (
                401,
                vec![("www-authenticate", "Bearer realm=\"https://169.254.169.254/\"".to_owned())],
                String::new(),
            ),
        ),
    ];
    for (case, answer) in cases {
        let server =
            Server::start(move |_, _| (answer.0, answer.1.clone(), answer.2.clone())).await;
        let login = server.login("secret", "");
        match (case, tags(&server.image("app"), Some(&login)).await) {
            ("link", Ok(found)) => assert_eq!(found.names, ["v1"]),
            ("redirect", Err(RegistryError::Unavailable(text))) => {
                assert!(text.contains("redirect"), "{text}");
            }
            ("realm" | "cloud", Err(RegistryError::NotAsked(_))) => {}
            (_, result) => panic!("{case}: {result:?}"),
        }
    }
    assert_eq!(other.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn answers_are_bounded_and_explained() {
    provider();
    let endless = |_: &str, asked: &Asked| {
        let page: usize = asked
            .line
            .split("page=")
            .nth(1)
            .and_then(|it| it.split(' ').next()?.parse().ok())
            .unwrap_or(0);
        let names: Vec<_> = (0..1000).map(|tag| format!("v{page}.{tag}")).collect();
        let body = serde_json::json!({ "tags": names }).to_string();
        (200, vec![("link", format!("</v2/app/tags/list?page={}>; rel=next", page + 1))], body)
    };
    let server = Server::start(endless).await;
    let found = tags(&server.image("app"), None).await.unwrap();
    assert_eq!((found.names.len(), found.more), (super::MOST_TAGS, true));
    let big = "x".repeat(super::MOST_BYTES + 1);
    let cases: [(u16, &str, &str); 6] = [
        (404, "", "no such repository"),
        (429, "", "rate limit"),
        (403, "", "requires credentials"),
        (500, "", "status 500"),
        (200, "<html>", "something else than JSON"),
        (200, &big, "more than a megabyte"),
    ];
    for (status, body, expected) in cases {
        let body = body.to_owned();
        let server = Server::start(move |_, _| (status, vec![], body.clone())).await;
        let error = tags(&server.image("app"), None).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{status}: {error}");
    }
    let empty =
        Server::start(|_, _| (200, vec![], r#"{"name":"app","tags":null}"#.to_owned())).await;
    assert_eq!(tags(&empty.image("app"), None).await.unwrap().names, Vec::<String>::new());
}
