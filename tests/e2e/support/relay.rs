//! A port that leads to an Engine, and on which a large request stops half-way until the test lets it
//! go on.

use std::sync::Arc;

use anyhow::Context;
use testbed::Engine;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::{Notify, watch};

/// Bytes to the Engine after which a connection stops.
const HALF_WAY: usize = 8 << 20;

/// The port.
pub struct Relay {
    /// As a host has it.
    pub address: String,
    half_way: Arc<Notify>,
    is_open: watch::Sender<bool>,
}

impl Relay {
    /// Leads to an Engine that has a unix socket.
    pub async fn to(engine: &Engine) -> anyhow::Result<Relay> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("tcp://{}", listener.local_addr()?);
        let socket = engine.address().strip_prefix("unix://").context("a unix socket")?.to_owned();
        let half_way = Arc::new(Notify::new());
        let (is_open, opened) = watch::channel(false);
        let told = Arc::clone(&half_way);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(engine) = UnixStream::connect(&socket).await else { continue };
                let (told, mut opened) = (Arc::clone(&told), opened.clone());
                tokio::spawn(async move {
                    let (mut from_client, mut to_client) = client.into_split();
                    let (mut from_engine, mut to_engine) = engine.into_split();
                    let there = async {
                        let mut part = (&mut from_client).take(HALF_WAY as u64);
                        let sent = tokio::io::copy(&mut part, &mut to_engine).await;
                        if sent.is_ok_and(|sent| sent == HALF_WAY as u64) {
                            told.notify_one();
                            let _ = opened.wait_for(|is_open| *is_open).await;
                            let _ = tokio::io::copy(&mut from_client, &mut to_engine).await;
                        }
                        // The client is gone, and the Engine must not wait for the rest.
                        let _ = to_engine.shutdown().await;
                    };
                    let back = tokio::io::copy(&mut from_engine, &mut to_client);
                    // The end of the Engine is the end of the connection.
                    tokio::select! {
                        _ = back => {}
                        () = async { there.await; std::future::pending().await } => {}
                    }
                });
            }
        });
        Ok(Relay { address, half_way, is_open })
    }

    /// Waits until a request has stopped.
    pub async fn half_way(&self) {
        self.half_way.notified().await;
    }

    /// Lets everything through from now on.
    pub fn open(&self) {
        self.is_open.send_replace(true);
    }
}
