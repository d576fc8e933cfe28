//! Connections of one listener: their maximum number, their maximum idle time, and failed accepts.
//! Without this, a few hundred idle connections use up the file descriptors of the process and
//! block everyone else.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};
use tonic::transport::server::{Connected, TcpConnectInfo, TlsConnectInfo};
use tower::{Layer, Service};

use crate::config::Limits;

/// Delay after a failed accept: initial and maximum. A process without file descriptors would
/// otherwise retry without a pause.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How often the log repeats that connections are turned away.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);
/// Number of bytes after which a connection counts as started: the length of the HTTP/2 preface.
const FIRST_BYTES: usize = 24;

/// The source of connections.
pub trait Accept: Send + Sync + 'static {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static;
    /// Waits for the next one; with the peer's address if it identifies one connection.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Io, Option<SocketAddr>)>> + Send;
}

impl Accept for TcpListener {
    type Io = TcpStream;
    async fn accept(&self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        let (stream, peer) = Self::accept(self).await?;
        // Messages are written as a whole; a failure costs a few milliseconds.
        let _ = stream.set_nodelay(true);
        Ok((stream, Some(peer)))
    }
}

impl Accept for UnixListener {
    type Io = UnixStream;
    async fn accept(&self) -> io::Result<(UnixStream, Option<SocketAddr>)> {
        Self::accept(self).await.map(|(stream, _)| (stream, None))
    }
}

/// TCP connections without a request so far, by the address of the peer.
type Silent = Arc<Mutex<HashMap<SocketAddr, Arc<AtomicBool>>>>;

/// The connections that a listener has open.
#[derive(Debug, Clone)]
pub struct Connections {
    room: Arc<Semaphore>,
    most: usize,
    first_bytes: Duration,
    first_request: Duration,
    silent: Silent,
}

impl Connections {
    /// At most `most` at the same time, with the time limits of the configuration.
    pub fn new(most: usize, limits: &Limits) -> Self {
        Self {
            room: Arc::new(Semaphore::new(most)),
            most,
            first_bytes: limits.handshake_timeout,
            first_request: limits.first_request_timeout,
            silent: Arc::default(),
        }
    }

    /// How many there may be.
    pub fn most(&self) -> u64 {
        self.most as u64
    }

    /// How many there are.
    pub fn open(&self) -> u64 {
        self.most.saturating_sub(self.room.available_permits()) as u64
    }

    /// The connections of a listener. Never an error: a failed accept is retried.
    pub fn of<A: Accept>(
        self,
        listener: A,
        name: String,
    ) -> impl Stream<Item = io::Result<Guarded<A::Io>>> + Send {
        let state = (self, listener, Warnings { name, last: None, unsaid: 0 });
        futures_util::stream::unfold(state, |(connections, listener, mut warnings)| async move {
            let io = connections.next(&listener, &mut warnings).await;
            Some((Ok(io), (connections, listener, warnings)))
        })
    }

    async fn next<A: Accept>(&self, listener: &A, warnings: &mut Warnings) -> Guarded<A::Io> {
        let mut pause = BACK_OFF.0;
        loop {
            match listener.accept().await {
                Ok((io, peer)) => match Arc::clone(&self.room).try_acquire_owned() {
                    Ok(permit) => return self.guard(io, peer, permit),
                    Err(_) => warnings.say(&format!(
                        "{} connections are open, the limit for this listener; new ones are closed immediately; raise max_connections, or stop idle clients",
                        self.most
                    )),
                },
                // Closed before it was accepted; says nothing about the next one.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    warnings.say(&format!(
                        "cannot accept connections: {error}; raise the limit of open files of wharfd, or stop idle clients"
                    ));
                    sleep(pause).await;
                    pause = (pause * 2).min(BACK_OFF.1);
                }
            }
        }
    }

    fn guard<I>(
        &self,
        io: I,
        peer: Option<SocketAddr>,
        permit: OwnedSemaphorePermit,
    ) -> Guarded<I> {
        let heard = Arc::new(AtomicBool::new(false));
        if let Some(peer) = peer {
            self.silent().insert(peer, Arc::clone(&heard));
        }
        let silence = Silence {
            limit: Box::pin(sleep(self.first_bytes)),
            bytes: 0,
            first_request: peer.map(|_| self.first_request),
            heard,
        };
        let entry = peer.map(|peer| (Arc::clone(&self.silent), peer));
        Guarded { io, silence: Some(silence), entry, _permit: permit }
    }

    fn silent(&self) -> MutexGuard<'_, HashMap<SocketAddr, Arc<AtomicBool>>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs at most once a minute that connections are refused.
struct Warnings {
    name: String,
    last: Option<Instant>,
    unsaid: u64,
}

impl Warnings {
    fn say(&mut self, message: &str) {
        if self.last.is_some_and(|last| last.elapsed() < WARNING_INTERVAL) {
            self.unsaid += 1;
            return;
        }
        tracing::warn!(listener = %self.name, not_logged_since = self.unsaid, "{message}");
        self.last = Some(Instant::now());
        self.unsaid = 0;
    }
}

/// A connection that ends when it stays silent, and that counts while it is open.
#[derive(Debug)]
pub struct Guarded<I> {
    io: I,
    silence: Option<Silence>,
    entry: Option<(Silent, SocketAddr)>,
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Silence {
    limit: Pin<Box<Sleep>>,
    bytes: usize,
    /// Time limit for the first request, if requests can be attributed to their connection.
    first_request: Option<Duration>,
    heard: Arc<AtomicBool>,
}

impl Silence {
    /// Counts received bytes; true once nothing more is awaited.
    fn ended(&mut self, more: usize) -> bool {
        if self.heard.load(Ordering::Relaxed) {
            return true;
        }
        let before = self.bytes;
        self.bytes = before.saturating_add(more);
        if before < FIRST_BYTES && self.bytes >= FIRST_BYTES {
            match self.first_request {
                Some(limit) => self.limit.as_mut().reset(Instant::now() + limit),
                None => return true,
            }
        }
        false
    }
}

impl<I> Drop for Guarded<I> {
    fn drop(&mut self) {
        if let Some((silent, peer)) = &self.entry {
            silent.lock().unwrap_or_else(PoisonError::into_inner).remove(peer);
        }
    }
}

impl<I: Connected> Connected for Guarded<I> {
    type ConnectInfo = I::ConnectInfo;
    fn connect_info(&self) -> Self::ConnectInfo {
        self.io.connect_info()
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Guarded<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.io).poll_read(context, buffer);
        if let Some(silence) = &mut this.silence {
            if silence.ended(buffer.filled().len() - before) {
                this.silence = None;
            } else if silence.limit.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Guarded<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// Records on which connections a request arrived. Runs before everything that may refuse one.
impl<S> Layer<S> for Connections {
    type Service = Heard<S>;
    fn layer(&self, inner: S) -> Heard<S> {
        Heard { inner, connections: self.clone() }
    }
}

/// The services of a listener, with the record of their connections.
#[derive(Debug, Clone)]
pub struct Heard<S> {
    inner: S,
    connections: Connections,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for Heard<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        let extensions = request.extensions();
        let info = extensions.get::<TcpConnectInfo>().or_else(|| {
            extensions.get::<TlsConnectInfo<TcpConnectInfo>>().map(TlsConnectInfo::get_ref)
        });
        if let Some(peer) = info.and_then(TcpConnectInfo::remote_addr)
            && let Some(heard) = self.connections.silent().remove(&peer)
        {
            heard.store(true, Ordering::Relaxed);
        }
        self.inner.call(request)
    }
}

/// How many connections a listener may have, so that file descriptors are left for the unix
/// sockets, for hosts and for the store. `files` is the limit of the process; none: unlimited.
pub fn share(files: Option<u64>, is_tcp: bool, listeners: usize, configured: usize) -> usize {
    /// Reserved for the runtime, the store, and the listeners.
    const OWN: usize = 32;
    /// Fewer would lock out a person who investigates.
    const LEAST: usize = 4;
    let Some(files) = files else { return configured };
    let free = usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(OWN);
    // Half for TCP, an eighth for unix sockets, the rest for hosts.
    let part = if is_tcp { free / 2 } else { free / 8 };
    configured.min((part / listeners.max(1)).max(LEAST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn limits(first_bytes: u64, first_request: u64) -> Limits {
        Limits {
            handshake_timeout: Duration::from_millis(first_bytes),
            first_request_timeout: Duration::from_millis(first_request),
            ..Limits::default()
        }
    }

    #[test]
    fn every_kind_of_listener_has_its_share_of_the_files() {
        for files in [64, 256, 1024, 20_000] {
            let tcp = share(Some(files), true, 2, 10_000) * 2;
            let unix = share(Some(files), false, 1, 10_000);
            let files = usize::try_from(files).unwrap();
            assert!(tcp >= 4 && unix >= 4, "{files}: {tcp} {unix}");
            assert!(tcp + unix + 32 < files, "{files}: {tcp} {unix} leave nothing for hosts");
        }
        assert_eq!(share(None, true, 1, 1024), 1024);
        assert_eq!(share(Some(20_000), true, 1, 100), 100);
    }

    #[tokio::test]
    async fn connections_beyond_the_most_are_closed_and_make_room_when_they_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Connections::new(2, &limits(60_000, 60_000));
        let connections_open = connections.clone();
        let mut incoming = Box::pin(connections.of(listener, "test".to_owned()));
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let first = incoming.next().await.unwrap().unwrap();
        let _second = incoming.next().await.unwrap().unwrap();
        let mut third = clients.pop().unwrap();
        let mut byte = [0];
        tokio::select! {
            _ = incoming.next() => panic!("a third one was let in"),
            ended = third.read(&mut byte) => assert!(!ended.is_ok_and(|read| read > 0)),
        }
        assert_eq!((connections_open.open(), connections_open.most()), (2, 2));
        drop(first);
        let _fourth = TcpStream::connect(address).await.unwrap();
        incoming.next().await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_silent_connection_ends_and_one_with_a_request_does_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Connections::new(9, &limits(50, 150));
        let mut service =
            connections.layer(tower::service_fn(async |_: Request<()>| Ok::<_, io::Error>(())));
        let mut incoming = Box::pin(connections.of(listener, "test".to_owned()));
        let mut buffer = [0; 64];

        let _silent = TcpStream::connect(address).await.unwrap();
        let mut io = incoming.next().await.unwrap().unwrap();
        let ended = io.read(&mut buffer).await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);

        // Bytes, but never a request.
        let mut slow = TcpStream::connect(address).await.unwrap();
        let mut io = incoming.next().await.unwrap().unwrap();
        slow.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        while let Ok(read) = io.read(&mut buffer).await {
            assert!(read > 0);
        }

        let mut speaks = TcpStream::connect(address).await.unwrap();
        let mut io = incoming.next().await.unwrap().unwrap();
        let mut request = Request::new(());
        request.extensions_mut().insert(io.connect_info());
        service.call(request).await.unwrap();
        let later = async {
            sleep(Duration::from_millis(300)).await;
            speaks.write_all(b"x").await.unwrap();
        };
        let (read, ()) = tokio::join!(io.read(&mut buffer), later);
        assert_eq!(read.unwrap(), 1);
    }
}
