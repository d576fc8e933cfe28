//! `wharf ui`: the page, and who may use it. Requests are written by hand, as no browser would send them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use wharf::v1::{GetServerInfoRequest, GetServerInfoResponse};

use crate::script::{Reply, Server};
use crate::{command, run};

/// A call of gRPC-Web with an empty message.
const CALL: &[u8] = &[0; 5];
const CALL_PATH: &str = "/wharf.v1.SystemService/GetServerInfo";

/// A running `wharf ui`.
struct Page {
    child: Child,
    port: u16,
    secret: String,
}

/// A browser that has exchanged the address for a session.
struct Browser {
    cookie: String,
    key: String,
}

impl Page {
    fn start(server: &Server) -> Self {
        let mut child = command(server.home(), &["ui"])
            .env("WHARF_SERVER", server.address())
            .env("WHARF_TOKEN", "token-of-the-command-line")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (place, secret) = line.trim().split_once("/#open=").unwrap();
        let port = place.strip_prefix("http://127.0.0.1:").unwrap().parse().unwrap();
        Self { child, port, secret: secret.to_owned() }
    }

    /// The head and body of an answer.
    fn send(&self, start: &str, headers: &[(&str, &str)], body: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut request =
            format!("{start} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(&[request.as_bytes(), b"\r\n", body].concat()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn origin(&self) -> String {
        format!("http://{}", self.host())
    }

    fn get(&self, path: &str) -> String {
        self.send(&format!("GET {path}"), &[("host", &self.host())], b"")
    }

    fn sign_in(&self, secret: &str) -> String {
        let headers = [("host", &*self.host()), ("origin", &*self.origin())];
        self.send("POST /session", &headers, secret.as_bytes())
    }

    fn browser(&self) -> Browser {
        let answer = self.sign_in(&self.secret);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let cookie = answer.split("set-cookie: ").nth(1).unwrap();
        let (_, json) = answer.split_once("\r\n\r\n").unwrap();
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        Browser {
            cookie: cookie.split(';').next().unwrap().to_owned(),
            key: json["key"].as_str().unwrap().to_owned(),
        }
    }

    /// A call with these headers instead of what a browser sends, or without them where they are empty.
    fn call(&self, browser: &Browser, other: &[(&str, &str)]) -> String {
        let (host, origin) = (self.host(), self.origin());
        let mut headers = vec![
            ("host", &*host),
            ("origin", &*origin),
            ("content-type", "application/grpc-web+proto"),
            ("cookie", &*browser.cookie),
            ("x-wharf-key", &*browser.key),
        ];
        for (name, value) in other {
            headers.retain(|(known, _)| known != name);
            if !value.is_empty() {
                headers.push((name, value));
            }
        }
        self.send(&format!("POST {CALL_PATH}"), &headers, CALL)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn server() -> Server {
    let info = GetServerInfoResponse { version: "9.9.9".into(), ..Default::default() };
    Server::start([("GetServerInfo", Reply::unary(&info))])
}

#[test]
fn the_page_is_served_with_a_strict_policy() {
    let server = server();
    let page = Page::start(&server);
    let index = page.get("/");
    assert!(index.starts_with("HTTP/1.1 200"), "{index}");
    let head = index.split("\r\n\r\n").next().unwrap();
    for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "nosniff"] {
        assert!(head.contains(part), "{part}: {head}");
    }
    assert!(page.get("/nothing").starts_with("HTTP/1.1 404"));
    assert!(server.recorded().is_empty(), "files need no server");
}

#[test]
fn calls_go_on_with_the_credentials_of_the_command_line() {
    let server = server();
    let page = Page::start(&server);
    let browser = page.browser();
    let mine = [("authorization", "Bearer of-the-browser"), ("x-forwarded-for", "10.0.0.1")];
    let answer = page.call(&browser, &mine);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("9.9.9"), "{answer}");
    assert!(answer.contains("grpc-status:0"), "{answer}");
    let [request] = &server.recorded()[..] else { panic!("one request") };
    let _: GetServerInfoRequest = request.message();
    assert_eq!(request.headers["authorization"], "Bearer token-of-the-command-line");
    for name in ["cookie", "origin", "x-wharf-key", "x-forwarded-for"] {
        assert!(!request.headers.contains_key(name), "{name}");
    }
}

#[test]
fn the_address_works_once() {
    let server = server();
    let page = Page::start(&server);
    let wrong = page.sign_in("0123456789abcdef");
    assert!(wrong.starts_with("HTTP/1.1 403"), "{wrong}");
    let browser = page.browser();
    let again = page.sign_in(&page.secret);
    assert!(again.starts_with("HTTP/1.1 403") && again.contains("used already"), "{again}");
    assert!(!again.contains("set-cookie"), "{again}");
    assert!(page.call(&browser, &[]).starts_with("HTTP/1.1 200"), "the first browser goes on");
}

#[test]
fn nobody_else_calls() {
    let server = server();
    let page = Page::start(&server);
    let browser = page.browser();
    let refused: [(&str, &[(&str, &str)]); 9] = [
        ("401", &[("cookie", "")]),
        ("401", &[("cookie", "wharf=1")]),
        // Another program on this machine has seen the cookie, which all ports share.
        ("401", &[("x-wharf-key", "")]),
        ("401", &[("x-wharf-key", "guess")]),
        // Another page makes the browser call; without an origin, it is no browser.
        ("403", &[("origin", "https://evil.example")]),
        ("403", &[("origin", "null")]),
        ("403", &[("origin", "")]),
        // A page has its own name stand for 127.0.0.1.
        ("403", &[("host", "evil.example"), ("origin", "http://evil.example")]),
        ("403", &[("host", "127.0.0.1:1"), ("origin", "http://127.0.0.1:1")]),
    ];
    for (status, headers) in refused {
        let answer = page.call(&browser, headers);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{headers:?}: {answer}");
    }
    assert!(server.recorded().is_empty());
}

#[test]
fn a_browser_signs_out() {
    let server = server();
    let page = Page::start(&server);
    let browser = page.browser();
    let (host, origin) = (page.host(), page.origin());
    let headers = [
        ("host", &*host),
        ("origin", &*origin),
        ("cookie", &*browser.cookie),
        ("x-wharf-key", &*browser.key),
    ];
    let answer = page.send("DELETE /session", &headers, b"");
    assert!(answer.contains("Max-Age=0"), "{answer}");
    assert!(page.call(&browser, &[]).starts_with("HTTP/1.1 401"));
}

#[test]
fn ctrl_c_ends_the_page() {
    let server = server();
    let mut page = Page::start(&server);
    kill_process(Pid::from_child(&page.child), Signal::INT).unwrap();
    assert_eq!(page.child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let server = server();
    let page = Page::start(&server);
    let second = run(&server, &["ui", "--port", &page.port.to_string()]);
    assert_eq!(second.code, Some(2));
    assert!(
        second.stderr.contains(&page.host()) && second.stderr.contains("--port"),
        "{}",
        second.stderr
    );
}
