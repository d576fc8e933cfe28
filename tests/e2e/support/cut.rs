//! A proxy in front of an Engine that triggers something before, after, or during the effect of a
//! chosen write.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, ensure};
use futures_util::future::BoxFuture;
use testbed::Engine;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Notify;

/// A point of a call: before what it does, or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

/// A proxy on a port of 127.0.0.1 for an Engine on a unix socket. It lasts as long as the runtime
/// of its test.
pub struct Proxy {
    address: String,
    shared: Arc<Shared>,
}

type Act = Box<dyn FnOnce() + Send>;

type IsIt = Box<dyn Fn(&str) -> bool + Send>;

/// What comes before a write gets to the Engine.
enum Ahead {
    /// This happens, of what the write says.
    Act(Box<dyn FnOnce(String) -> BoxFuture<'static, ()> + Send>),
    /// The same write.
    Twice,
}

struct Shared {
    /// That of the Engine.
    socket: String,
    state: Mutex<State>,
    fired: Notify,
}

#[derive(Default)]
struct State {
    /// What was written since the proxy was armed: `POST /containers/…/stop`.
    writes: Vec<String>,
    cut: Option<(usize, Side, Act)>,
    /// With the line of the write that it comes before.
    ahead: Option<(IsIt, Ahead)>,
    /// What was armed has happened.
    has_fired: bool,
    /// What was armed was disarmed before it happened.
    spared: bool,
}

/// The head of a request and what of its body came with it.
struct Request {
    bytes: Vec<u8>,
    line: String,
    /// What is still to come of its body.
    missing: usize,
    upgrades: bool,
}

impl Proxy {
    pub async fn start(engine: &Engine) -> anyhow::Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("tcp://{}", listener.local_addr()?);
        let socket = engine.address().strip_prefix("unix://").context("a unix socket")?.to_owned();
        let (state, fired) = Default::default();
        let shared = Arc::new(Shared { socket, state, fired });
        let proxy = Proxy { address, shared: Arc::clone(&shared) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    // An Engine that is away refuses: so does this, by closing.
                    let Ok(engine) = UnixStream::connect(&shared.socket).await else { return };
                    let _ = serve(client, engine, &shared).await;
                });
            }
        });
        Ok(proxy)
    }

    /// `tcp://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Forgets the writes so far, and lets `act` happen around the write of that number, counted
    /// from 0. The connection of that write ends without an answer.
    pub fn arm(&self, number: usize, side: Side, act: impl FnOnce() + Send + 'static) {
        *self.shared.lock() =
            State { cut: Some((number, side, Box::new(act))), ..State::default() };
    }

    /// Lets `act` happen when the next write with such a line, `POST /containers/create?name=…`,
    /// arrives, and lets it through then. `act` is given the line.
    pub fn ahead<F>(
        &self,
        is_it: impl Fn(&str) -> bool + Send + 'static,
        act: impl FnOnce(String) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let act = Ahead::Act(Box::new(|line| Box::pin(act(line))));
        self.shared.lock().ahead = Some((Box::new(is_it), act));
    }

    /// Lets the next write with such a line get to the Engine twice, the second time with an
    /// answer.
    pub fn twice(&self, is_it: impl Fn(&str) -> bool + Send + 'static) {
        self.shared.lock().ahead = Some((Box::new(is_it), Ahead::Twice));
    }

    /// The writes since the proxy was armed.
    pub fn writes(&self) -> Vec<String> {
        self.shared.lock().writes.clone()
    }

    /// Lets nothing happen any longer. Whether it has.
    pub fn disarm(&self) -> bool {
        let mut state = self.shared.lock();
        state.spared |= state.cut.take().is_some();
        state.has_fired
    }

    /// Whether what was armed has not happened.
    pub fn is_armed(&self) -> bool {
        let state = self.shared.lock();
        state.spared || state.cut.is_some()
    }

    /// Ends when what was armed has happened.
    pub async fn fired(&self) {
        self.shared.fired.notified().await;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a write; what is to happen around it, if anything.
    fn count(&self, line: &str) -> Option<(Side, Act)> {
        let mut state = self.lock();
        let number = state.writes.len();
        state.writes.push(line.to_owned());
        match mem::take(&mut state.cut) {
            Some((at, side, act)) if at == number => {
                state.has_fired = true;
                Some((side, act))
            }
            other => {
                state.cut = other;
                None
            }
        }
    }

    /// What comes before a write, if anything.
    fn ahead(&self, line: &str) -> Option<Ahead> {
        let mut state = self.lock();
        state.ahead.take_if(|(is_it, _)| is_it(line)).map(|(_, ahead)| ahead)
    }

    fn fire(&self, act: Act) {
        act();
        self.fired.notify_one();
    }
}

/// One connection, request after request.
async fn serve(
    mut client: TcpStream,
    mut engine: UnixStream,
    shared: &Shared,
) -> anyhow::Result<()> {
    let mut answer = vec![0; 16 << 10];
    let mut begun = Vec::new();
    loop {
        let mut request = tokio::select! {
            request = Request::read(&mut client, &mut begun) => request?,
            length = engine.read(&mut answer) => {
                let length = length?;
                ensure!(length > 0, "the Engine closed it");
                client.write_all(&answer[..length]).await?;
                continue;
            }
        };
        let cut = if request.is_write() { shared.count(&request.line) } else { None };
        let after = match cut {
            Some((Side::Before, act)) => {
                shared.fire(act);
                return Ok(());
            }
            Some((Side::After, act)) => Some(act),
            None => None,
        };
        match shared.ahead(&request.line) {
            Some(Ahead::Act(act)) => act(request.line.clone()).await,
            Some(Ahead::Twice) => {
                request.complete(&mut client).await?;
                let mut first = UnixStream::connect(&shared.socket).await?;
                first.write_all(&request.bytes).await?;
                ensure!(first.read(&mut answer).await? > 0, "the Engine closed it");
            }
            None => {}
        }
        engine.write_all(&request.bytes).await?;
        let mut body = (&mut client).take(request.missing as u64);
        tokio::io::copy(&mut body, &mut engine).await?;
        if let Some(act) = after {
            // The Engine answers a write once it is done.
            let length = engine.read(&mut answer).await?;
            ensure!(length > 0, "the Engine closed it");
            shared.fire(act);
            return Ok(());
        }
        if request.upgrades {
            tokio::io::copy_bidirectional(&mut client, &mut engine).await?;
            return Ok(());
        }
    }
}

impl Request {
    /// Reads on; what was read stays in `begun` when this is dropped halfway.
    async fn read(
        client: &mut (impl AsyncRead + Unpin),
        begun: &mut Vec<u8>,
    ) -> anyhow::Result<Request> {
        let end = loop {
            if let Some(at) = begun.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            ensure!(client.read_buf(begun).await? > 0, "the client closed it");
        };
        let head = String::from_utf8_lossy(&begun[..end]).into_owned();
        let header = |name: &str| {
            head.lines().skip(1).find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        ensure!(header("transfer-encoding").is_none(), "a body of unknown length: {head}");
        let length = header("content-length").map_or(Ok(0), |length| length.parse::<usize>())?;
        let here = (begun.len() - end).min(length);
        let bytes: Vec<u8> = begun.drain(..end + here).collect();
        let line = head.lines().next().unwrap_or_default();
        let line = line.strip_suffix(" HTTP/1.1").unwrap_or(line).to_owned();
        let upgrades = header("upgrade").is_some();
        Ok(Request { bytes, line, missing: length - here, upgrades })
    }

    /// Reads the rest of its body.
    async fn complete(&mut self, client: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<()> {
        let here = self.bytes.len();
        self.bytes.resize(here + mem::take(&mut self.missing), 0);
        client.read_exact(&mut self.bytes[here..]).await?;
        Ok(())
    }

    /// Whether it changes a container. What a gate runs in one does not.
    fn is_write(&self) -> bool {
        !self.line.starts_with("GET ")
            && !self.line.starts_with("HEAD ")
            && !self.line.contains("/exec")
    }
}
