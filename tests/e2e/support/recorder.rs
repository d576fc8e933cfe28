//! A host that counts connections and records requests: a proxy in front of an Engine.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use testbed::Engine;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};

/// A proxy on a port of 127.0.0.1 for an Engine on a unix socket. It lasts as long as the
/// runtime of its test.
pub struct Recorder {
    address: String,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    opened: AtomicUsize,
    closed: AtomicUsize,
    sent: Mutex<Vec<u8>>,
}

impl Seen {
    fn remember(&self, bytes: &[u8]) {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
    }
}

impl Recorder {
    pub async fn start(engine: &Engine) -> anyhow::Result<Recorder> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("tcp://{}", listener.local_addr()?);
        let socket = engine.address().strip_prefix("unix://").context("a unix socket")?.to_owned();
        let seen = Arc::new(Seen::default());
        let recorder = Recorder { address, seen: Arc::clone(&seen) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                seen.opened.fetch_add(1, Ordering::SeqCst);
                let (seen, socket) = (Arc::clone(&seen), socket.clone());
                tokio::spawn(async move {
                    let Ok(engine) = UnixStream::connect(socket).await else { return };
                    let (mut from_client, mut to_client) = client.into_split();
                    let (mut from_engine, mut to_engine) = engine.into_split();
                    tokio::spawn(async move {
                        let _ = tokio::io::copy(&mut from_engine, &mut to_client).await;
                    });
                    let mut bytes = vec![0; 16 << 10];
                    while let Ok(length @ 1..) = from_client.read(&mut bytes).await {
                        seen.remember(&bytes[..length]);
                        if to_engine.write_all(&bytes[..length]).await.is_err() {
                            break;
                        }
                    }
                    let _ = to_engine.shutdown().await;
                    seen.closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Ok(recorder)
    }

    /// `tcp://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Connections that were opened so far.
    pub fn opened(&self) -> usize {
        self.seen.opened.load(Ordering::SeqCst)
    }

    /// Connections that the client has closed again.
    pub fn closed(&self) -> usize {
        self.seen.closed.load(Ordering::SeqCst)
    }

    /// All that was sent to the Engine so far.
    pub fn sent(&self) -> String {
        let sent = self.seen.sent.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&sent).into_owned()
    }
}
