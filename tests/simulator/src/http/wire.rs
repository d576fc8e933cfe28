//! A connection whose bytes can be tampered with under hyper: cut off, replaced, slowed.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;

/// A connection with a client.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    control: Control,
    pause: Option<Pin<Box<Sleep>>>,
}

/// Scripts what happens to the bytes of the next answer on a [`Wire`].
#[derive(Debug, Clone, Default)]
pub(super) struct Control(Arc<Mutex<Script>>);

#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// RST; on a unix socket, which has none, an end like any other.
    Reset,
    /// FIN.
    Close,
}

#[derive(Debug, Default)]
struct Script {
    /// Goes out before what hyper writes.
    before: Vec<u8>,
    /// Hyper's bytes are swallowed, and the connection ends after `before`.
    swallow: bool,
    /// Bytes until the end.
    limit: Option<(u64, End)>,
    /// So many bytes at a time.
    pace: Option<(usize, Duration)>,
}

impl Control {
    /// Ends the connection after so many bytes of what is written from here on.
    pub(super) fn end_after(&self, bytes: u64, end: End) {
        self.lock().limit = Some((bytes, end));
    }

    /// Writes these bytes instead of the next answer, and ends the connection.
    pub(super) fn instead(&self, bytes: Vec<u8>) {
        let mut script = self.lock();
        script.before = bytes;
        script.swallow = true;
    }

    /// Writes these bytes before the next answer.
    pub(super) fn before(&self, bytes: Vec<u8>) {
        self.lock().before = bytes;
    }

    /// Writes so many bytes at a time.
    pub(super) fn slow_down(&self, bytes: usize, every: Duration) {
        self.lock().pace = Some((bytes.max(1), every));
    }

    /// Back to normal.
    pub(super) fn clear(&self) {
        *self.lock() = Script::default();
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wire {
    pub(super) fn new(stream: Stream, control: Control) -> Self {
        Self { stream, control, pause: None }
    }

    fn end(&self, end: End) -> io::Error {
        if end == End::Reset {
            self.stream.reset_on_drop();
        }
        io::Error::new(io::ErrorKind::ConnectionAborted, "ended by the script")
    }
}

impl Stream {
    /// Lets the connection end with a reset once it is dropped.
    fn reset_on_drop(&self) {
        let stream = match self {
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
            Self::Unix(_) => return,
        };
        // On a connection that is gone already there is nothing to reset.
        let _ = stream.set_zero_linger();
    }

    /// Ends the connection with a reset, at once.
    pub(super) fn reset(self) {
        self.reset_on_drop();
    }

    fn write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let before = self.control.lock().before.clone();
            if before.is_empty() {
                break;
            }
            let written = ready!(self.stream.write(context, &before))?;
            self.control.lock().before = before[written..].to_vec();
        }
        let (swallow, limit, pace) = {
            let script = self.control.lock();
            (script.swallow, script.limit, script.pace)
        };
        if swallow {
            return Poll::Ready(Err(self.end(End::Close)));
        }
        let mut most = bytes.len();
        if let Some((left, end)) = limit {
            if left == 0 {
                return Poll::Ready(Err(self.end(end)));
            }
            most = most.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        if let Some((at_a_time, every)) = pace {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
            }
            self.pause = Some(Box::pin(sleep(every)));
            most = most.min(at_a_time);
        }
        let written = ready!(self.stream.write(context, &bytes[..most]))?;
        if let Some((left, _)) = &mut self.control.lock().limit {
            *left = left.saturating_sub(written as u64);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
