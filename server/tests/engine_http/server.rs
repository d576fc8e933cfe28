//! A server that answers as a test scripts it, byte by byte, and counts connections.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use wharf_server::domain::{HostAddress, Transport};
use wharf_server::engine::Engine;
use wharf_server::engine::http::{ConnectorSettings, HttpConnector};

/// What a scripted server does with a request, in order. The connection stays open after it.
pub enum Step {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Sends bytes one at a time.
    Trickle(Vec<u8>),
    /// Sends the same bytes until nobody takes them.
    Forever(Vec<u8>),
    /// Waits until the test releases it.
    Hold(Arc<Notify>),
    /// Waits until the client goes away.
    Hang,
    /// Closes the connection.
    Close,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

pub struct Server {
    pub address: HostAddress,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct State {
    accepted: AtomicUsize,
    open: AtomicUsize,
    requests: Mutex<Vec<Request>>,
    changed: Notify,
    hang_up: Notify,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

impl Server {
    /// Starts a server whose answers `script` gives.
    pub async fn start(script: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let text = format!("tcp://{}", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        let script = Arc::new(script);
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                let (state, script) = (Arc::clone(&shared), Arc::clone(&script));
                tokio::spawn(async move {
                    state.open.fetch_add(1, Ordering::SeqCst);
                    tokio::select! {
                        _ = serve(stream, &state, &*script) => {}
                        () = state.hang_up.notified() => {}
                    }
                    state.open.fetch_sub(1, Ordering::SeqCst);
                    state.changed.notify_waiters();
                });
            }
        });
        let address = HostAddress::parse(&text, Transport::Plain).unwrap();
        Self { address, state, task }
    }

    /// Starts a server that answers pings as API 1.41, and all else as `script` says.
    pub async fn engine(script: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::start(
            move |request| {
                if request.target == "/_ping" { ping("1.41") } else { script(request) }
            },
        )
        .await
    }

    /// A client of this server of its own.
    pub fn client(&self) -> Arc<dyn Engine> {
        HttpConnector::default().engine(&self.address, None).unwrap()
    }

    /// A client that gives up a transfer soon.
    pub fn impatient_client(&self) -> Arc<dyn Engine> {
        let settings =
            ConnectorSettings { stall: Duration::from_millis(50), ..ConnectorSettings::default() };
        HttpConnector::new(settings).engine(&self.address, None).unwrap()
    }

    /// A client that lets an Engine report little of a transfer.
    pub fn brief_client(&self) -> Arc<dyn Engine> {
        let settings = ConnectorSettings { report: 64 << 10, ..ConnectorSettings::default() };
        HttpConnector::new(settings).engine(&self.address, None).unwrap()
    }

    pub fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// All requests but pings.
    pub fn requests(&self) -> Vec<Request> {
        let mut requests = self.all_requests();
        requests.retain(|request| request.target != "/_ping");
        requests
    }

    pub fn all_requests(&self) -> Vec<Request> {
        self.state.requests.lock().unwrap().clone()
    }

    pub fn lines(&self) -> Vec<String> {
        self.requests().iter().map(Request::line).collect()
    }

    /// Waits until `count` requests other than pings have come.
    pub async fn until_requests(&self, count: usize) {
        self.until(|server| server.requests().len() >= count, "requests").await;
    }

    /// Waits until no connection is open.
    pub async fn until_closed(&self) {
        self.until_closed_but(0).await;
    }

    /// Waits until so many connections are open at most.
    pub async fn until_closed_but(&self, count: usize) {
        let closed = |server: &Self| server.state.open.load(Ordering::SeqCst) <= count;
        self.until(closed, "closed connections").await;
    }

    /// Closes all connections from this end.
    pub async fn hang_up(&self) {
        self.state.hang_up.notify_waiters();
        self.until_closed().await;
    }

    async fn until(&self, is_so: impl Fn(&Self) -> bool, what: &str) {
        let waited = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                let mut changed = std::pin::pin!(self.state.changed.notified());
                changed.as_mut().enable();
                if is_so(self) {
                    return;
                }
                changed.await;
            }
        });
        assert!(waited.await.is_ok(), "waited in vain for {what}: {:?}", self.lines());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: TcpStream,
    state: &State,
    script: &(impl Fn(&Request) -> Vec<Step> + ?Sized),
) -> std::io::Result<()> {
    // Otherwise small pieces wait for the acknowledgement of the ones before.
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await? {
        state.requests.lock().unwrap().push(request.clone());
        state.changed.notify_waiters();
        for step in script(&request) {
            match step {
                Step::Send(bytes) => stream.write_all(&bytes).await?,
                Step::Trickle(bytes) => {
                    for byte in bytes {
                        stream.write_all(&[byte]).await?;
                        stream.flush().await?;
                        tokio::task::yield_now().await;
                    }
                }
                Step::Forever(bytes) => loop {
                    stream.write_all(&bytes).await?;
                },
                Step::Hold(release) => release.notified().await,
                Step::Hang => {
                    let mut rest = Vec::new();
                    stream.read_to_end(&mut rest).await?;
                    return Ok(());
                }
                Step::Close => return Ok(()),
            }
        }
    }
    Ok(())
}

async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(key, value)| (key.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(key, _)| key == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
    stream.read_exact(&mut body).await?;
    let body = String::from_utf8(body).unwrap();
    Ok(Some(Request { method: method.to_owned(), target: target.to_owned(), headers, body }))
}

/// An answer with a status and a JSON body.
pub fn answer(status: u16, body: &str) -> Vec<Step> {
    vec![Step::Send(whole(status, "Content-Type: application/json\r\n", body.as_bytes()))]
}

/// An Engine's error.
pub fn refusal(status: u16, message: &str) -> Vec<Step> {
    answer(status, &serde_json::json!({ "message": message }).to_string())
}

/// A status without a body.
pub fn empty(status: u16) -> Vec<Step> {
    // These two have no body by themselves.
    let length = if matches!(status, 204 | 304) { "" } else { "Content-Length: 0\r\n" };
    vec![Step::Send(format!("HTTP/1.1 {status} X\r\n{length}\r\n").into_bytes())]
}

/// The answer to a ping.
pub fn ping(version: &str) -> Vec<Step> {
    let header = format!("Api-Version: {version}\r\n");
    // A HEAD has no body, whatever the headers say; no length, so both read it alike.
    vec![Step::Send(format!("HTTP/1.1 200 OK\r\n{header}Content-Length: 0\r\n\r\n").into_bytes())]
}

/// An answer with headers and a length.
pub fn whole(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// The head of an answer in chunks.
pub fn chunked_head(status: u16) -> Step {
    Step::Send(format!("HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes())
}

/// One chunk.
pub fn chunk(text: &str) -> Step {
    Step::Send(format!("{:x}\r\n{text}\r\n", text.len()).into_bytes())
}

/// The chunk that ends an answer.
pub fn last_chunk() -> Step {
    Step::Send(b"0\r\n\r\n".to_vec())
}
