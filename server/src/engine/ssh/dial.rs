//! `docker system dial-stdio`: for hosts whose sshd does not forward sockets. Listens on the private
//! socket itself; each connection is an ssh process of its own.

use std::fs;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::command;
use super::place::Place;
use super::said::{Said, shown};

/// How long a login may keep others waiting.
const LOGIN: Duration = Duration::from_secs(30);

/// A listener whose connections lead to the Engine. Dropping it ends them.
#[derive(Debug)]
pub(super) struct Dial(JoinHandle<io::Error>);

impl Dial {
    /// Listens; what goes wrong with a connection is noted in `said`.
    pub(super) fn start(place: Arc<Place>, said: Said) -> io::Result<Self> {
        let _ = fs::remove_file(place.socket());
        // The directory has mode 0700.
        let listener = UnixListener::bind(place.socket())?;
        Ok(Self(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => {
                            connections.spawn(carry(Arc::clone(&place), stream, said.clone()));
                        }
                        Err(error) => return error,
                    },
                    Some(_) = connections.join_next() => {}
                }
            }
        })))
    }

    /// Waits until it no longer listens.
    pub(super) async fn failed(&mut self) -> io::Error {
        (&mut self.0).await.unwrap_or_else(io::Error::other)
    }
}

impl Drop for Dial {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Carries one connection until the host has ended it.
async fn carry(place: Arc<Place>, stream: UnixStream, said: Said) {
    let handshake = place.ssh.handshakes.acquire().await;
    let arguments = command::dial(&place.address);
    let spawned = command::spawn(&arguments, place.directory.path(), true).await;
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return said.refuse(&error.to_string()),
    };
    let own = Said::of(child.stderr.take());
    let (Some(mut stdin), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return;
    };
    let (mut reader, mut writer) = stream.into_split();
    let up = async move {
        let _ = copy(&mut reader, &mut stdin).await;
        // Half of the connection ends here: an exec reads its input to the end.
        drop(stdin);
        std::future::pending::<()>().await;
    };
    let down = async {
        let mut first = [0; 4096];
        // The client speaks first, so the first byte is the end of the login.
        let length = timeout(LOGIN, stdout.read(&mut first)).await;
        drop(handshake);
        let length = match length {
            Ok(read) => read,
            Err(_) => stdout.read(&mut first).await,
        }
        .unwrap_or(0);
        if length == 0 {
            return false;
        }
        if writer.write_all(&first[..length]).await.is_ok() {
            let _ = copy(&mut stdout, &mut writer).await;
        }
        true
    };
    let mut up = pin!(up);
    let has_answered = tokio::select! {
        has_answered = down => has_answered,
        () = &mut up => true,
    };
    if !has_answered {
        let text = own.at_the_end().await;
        let last = text.lines().rfind(|line| !line.trim().is_empty());
        said.refuse(&last.map_or_else(|| "it ended without a word".to_owned(), shown));
    }
}
