//! Requests that a browser can be made to send: with another name for this machine (DNS rebinding),
//! and from a foreign page. Over real sockets, as browsers and gRPC clients send them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use wharf::v1;
use wharf::v1::host_service_client::HostServiceClient;
use wharf_server::app::Server;
use wharf_server::config::{Access, Listen, Web};
use wharf_server::domain::TcpHost;

use crate::access::{TOKENS, secured};
use crate::support::{Fleet, reason};

/// A server on plain TCP, with its place as `127.0.0.1:PORT`.
struct Plain {
    server: Server,
    place: String,
    socket: String,
    _fleet: Fleet,
}

async fn plain(web: Web) -> Plain {
    let mut fleet = Fleet::new(0).await;
    fleet.stop().await;
    let mut config = fleet.config().clone();
    let socket = config.listen[0].to_string().replace("unix://", "");
    config.listen.push(Listen::Tcp { host: TcpHost::parse("127.0.0.1").unwrap(), port: 0 });
    config.access = Access::InsecureWithoutAuthentication;
    config.web = web;
    let server = Server::start(config).await.unwrap();
    let place = server.listening()[1].replace("tcp://", "");
    Plain { server, place, socket, _fleet: fleet }
}

fn web(hosts: &[&str], origins: &[&str]) -> Web {
    let texts = |all: &[&str]| all.iter().map(|&it| it.to_owned()).collect();
    Web { hosts: texts(hosts), origins: texts(origins) }
}

/// A request of HTTP/1.1 with these headers, and the head and body of its answer.
async fn send(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    method: &str,
    headers: &[(&str, &str)],
) -> String {
    // gRPC-Web in base64: a frame around an empty message.
    let body = if method == "POST" { BASE64_STANDARD.encode([0; 5]) } else { String::new() };
    let mut request = format!("{method} /wharf.v1.HostService/ListHosts HTTP/1.1\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

const GRPC_WEB: (&str, &str) = ("content-type", "application/grpc-web-text");

impl Plain {
    async fn post(&self, headers: &[(&str, &str)]) -> String {
        let stream = TcpStream::connect(&self.place).await.unwrap();
        send(stream, "POST", &[&[GRPC_WEB], headers].concat()).await
    }

    /// As a gRPC client calls that knows the server by this name.
    async fn grpc(&self, authority: &str, origin: Option<&str>) -> Result<(), tonic::Status> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.place)).unwrap();
        let endpoint = endpoint.origin(format!("http://{authority}").parse().unwrap());
        let channel: Channel = endpoint.connect().await.unwrap();
        let mut request = tonic::Request::new(v1::ListHostsRequest::default());
        if let Some(origin) = origin {
            request.metadata_mut().insert("origin", origin.parse().unwrap());
        }
        HostServiceClient::new(channel).list_hosts(request).await.map(drop)
    }
}

/// Whether an answer of gRPC-Web is success: its trailers stand at the end of the body.
fn succeeded(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200") && answer.contains("grpc-status:0")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_a_page_made_stand_for_this_machine_is_refused() {
    let plain = plain(web(&["wharf.lan"], &[])).await;
    for name in [plain.place.as_str(), "localhost", "LOCALHOST:99", "[::1]:1", "wharf.lan:8080"] {
        let answer = plain.post(&[("host", name)]).await;
        assert!(succeeded(&answer), "{name}: {answer}");
        plain.grpc(name, None).await.unwrap_or_else(|status| panic!("{name}: {status}"));
    }
    for name in ["evil.example", "evil.example:7443", "localhost.evil.example", "10.0.0.1"] {
        let answer = plain.post(&[("host", name)]).await;
        assert!(answer.contains("grpc-status: 7"), "{name}: {answer}");
        let status = plain.grpc(name, None).await.unwrap_err();
        assert_eq!(
            (status.code(), &*reason(&status)),
            (Code::PermissionDenied, "AUTHORITY_REFUSED")
        );
        assert!(status.message().contains("allowed_hosts"), "{status}");
    }
    plain.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_a_stranger_is_refused_everywhere() {
    let plain = plain(Web::default()).await;
    for origin in ["https://evil.example", "null", "http://localhost:5173"] {
        let host = ("host", "localhost");
        let answer = plain.post(&[host, ("origin", origin)]).await;
        assert!(answer.contains("grpc-status: 7"), "{origin}: {answer}");
        assert!(!answer.to_lowercase().contains("access-control-"), "{answer}");
        let status = plain.grpc("localhost", Some(origin)).await.unwrap_err();
        assert_eq!((status.code(), &*reason(&status)), (Code::PermissionDenied, "ORIGIN_REFUSED"));
        // A proxy in front of the unix socket passes on what the browser sent.
        let stream = UnixStream::connect(&plain.socket).await.unwrap();
        let headers = [GRPC_WEB, ("host", "anything at all"), ("origin", origin)];
        let answer = send(stream, "POST", &headers).await;
        assert!(answer.contains("grpc-status: 7") || answer.contains(" 400 "), "{answer}");
        let stream = TcpStream::connect(&plain.place).await.unwrap();
        let asked = [host, ("origin", origin), ("access-control-request-method", "POST")];
        let answer = send(stream, "OPTIONS", &asked).await;
        assert!(!answer.to_lowercase().contains("access-control-allow"), "{answer}");
    }
    plain.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_a_stranger_is_refused_over_tls_whoever_calls() {
    let secured = secured().await;
    let call = async |origin: Option<&str>| {
        let mut request = tonic::Request::new(v1::ListHostsRequest::default());
        let token = format!("Bearer {}", TOKENS[2].0);
        request.metadata_mut().insert("authorization", token.parse().unwrap());
        if let Some(origin) = origin {
            request.metadata_mut().insert("origin", origin.parse().unwrap());
        }
        HostServiceClient::new(secured.channel.clone()).list_hosts(request).await
    };
    call(None).await.unwrap();
    let status = call(Some("https://evil.example")).await.unwrap_err();
    assert_eq!(reason(&status), "ORIGIN_REFUSED");
    secured.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_the_operator_listed_may_ask_and_call() {
    const UI: &str = "https://ui.example.com";
    let plain = plain(web(&[], &[UI])).await;
    let stream = TcpStream::connect(&plain.place).await.unwrap();
    let asked = [
        ("host", "localhost"),
        ("origin", UI),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type,x-grpc-web"),
    ];
    let answer = send(stream, "OPTIONS", &asked).await.to_lowercase();
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    assert!(answer.contains(&format!("access-control-allow-origin: {UI}")), "{answer}");
    assert!(answer.contains("access-control-allow-headers: authorization,"), "{answer}");
    assert!(answer.contains("access-control-allow-methods: post"), "{answer}");

    let answer = plain.post(&[("host", "localhost"), ("origin", UI)]).await;
    assert!(succeeded(&answer), "{answer}");
    let answer = answer.to_lowercase();
    assert!(answer.contains(&format!("access-control-allow-origin: {UI}")), "{answer}");
    assert!(answer.contains("access-control-expose-headers: grpc-status"), "{answer}");

    let asked = [asked[0], ("origin", "https://evil.example"), asked[2]];
    let stream = TcpStream::connect(&plain.place).await.unwrap();
    let answer = send(stream, "OPTIONS", &asked).await.to_lowercase();
    assert!(!answer.contains("access-control-allow-origin"), "{answer}");
    plain.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_takes_the_odd_names_of_grpc_clients() {
    let plain = plain(Web::default()).await;
    for name in ["localhost", "%2Frun%2Fwharf%2Fwharfd.sock", "evil.example", "wharfd.sock"] {
        let stream = UnixStream::connect(&plain.socket).await.unwrap();
        let answer = send(stream, "POST", &[GRPC_WEB, ("host", name)]).await;
        assert!(succeeded(&answer), "{name}: {answer}");
    }
    plain.server.stop().await;
}
