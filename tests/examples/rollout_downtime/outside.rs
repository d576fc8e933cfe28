//! The view of a caller: which container answers on the port, requested every millisecond.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use testbed::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PAUSE: Duration = Duration::from_millis(1);
/// An answer that takes longer is none.
const LIMIT: Duration = Duration::from_millis(250);

pub struct Outside {
    address: SocketAddr,
}

impl Outside {
    /// Picks a port that is free now.
    pub async fn new() -> anyhow::Result<Outside> {
        let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        Ok(Outside { address })
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Waits until a version answers.
    pub async fn answers(&self, version: &str) -> anyhow::Result<()> {
        eventually("an answer", async || {
            let answer = ask(self.address).await;
            answer.filter(|answer| answer == version).map(drop).context("another answer")
        })
        .await
    }

    /// From the last answer of another version to the first of this one. It asks from now on.
    pub fn watch(&self, version: &str) -> impl Future<Output = anyhow::Result<Duration>> + use<> {
        let (address, version) = (self.address, version.to_owned());
        let watch = tokio::spawn(async move {
            let mut last = Instant::now();
            loop {
                match ask(address).await {
                    Some(answer) if answer == version => return last.elapsed(),
                    Some(_) => last = Instant::now(),
                    None => {}
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        async move { Ok(tokio::time::timeout(testbed::LIMIT, watch).await.context("no answer")??) }
    }
}

/// The version that answers.
async fn ask(address: SocketAddr) -> Option<String> {
    let ask = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(b"GET /version HTTP/1.0\r\n\r\n").await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some(body.trim().to_owned())
    };
    tokio::time::timeout(LIMIT, ask).await.ok()?
}
