//! One attempt to make a way to the Engine of a host: forwarding, or what replaces it.

use std::fs;
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::LONGEST_PAUSE;
use super::command;
use super::dial::Dial;
use super::fault::SshError;
use super::place::Place;
use super::said::Said;
use crate::domain::SshAddress;
use crate::engine::pause;

/// For a login. A connection has 10 of these seconds.
const LOGIN: Duration = Duration::from_secs(30);
/// For an answer of the Engine. One that takes longer is a matter of the calls and their deadlines.
const ANSWER: Duration = Duration::from_secs(10);
/// How long ssh may take to say why it closed a connection.
const WORD: Duration = Duration::from_secs(1);
/// How often to try again if the sshd drops the connection because of too many logins.
const DROPPED: u32 = 5;

/// A way that leads to the Engine as long as it is kept.
#[derive(Debug)]
pub(super) struct Way {
    kind: Kind,
    /// What the processes say.
    pub(super) said: Said,
}

#[derive(Debug)]
enum Kind {
    Forwarding(Child),
    Dialing(Dial),
}

impl Way {
    /// Waits until it breaks, and returns why.
    pub(super) async fn broken(&mut self, address: &SshAddress) -> SshError {
        match &mut self.kind {
            Kind::Forwarding(child) => {
                let _: io::Result<ExitStatus> = child.wait().await;
                SshError::of_end(address, &self.said.at_the_end().await)
            }
            Kind::Dialing(dial) => SshError::of_start(address, &dial.failed().await),
        }
    }
}

impl Place {
    /// Makes a way to the Engine.
    pub(super) async fn open(self: &Arc<Self>) -> Result<Way, SshError> {
        let mut attempt = 1;
        loop {
            match self.forward().await {
                Err(error) if error.was_dropped && attempt < DROPPED => {
                    tracing::debug!(host = %self.address, "the sshd is busy; trying again");
                    sleep(pause(attempt, LONGEST_PAUSE)).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn forward(self: &Arc<Self>) -> Result<Way, SshError> {
        let handshake = self.ssh.handshakes.acquire().await;
        // One that a killed process left would look like an answer.
        let _ = fs::remove_file(self.socket());
        let arguments = command::forward(&self.address, &self.name);
        let mut child = command::spawn(&arguments, self.directory.path(), false)
            .await
            .map_err(|error| SshError::of_start(&self.address, &error))?;
        let said = Said::of(child.stderr.take());
        let begun = Instant::now();
        let connected = tokio::select! {
            biased;
            _ = child.wait() => None,
            connected = timeout_at(begun + LOGIN, self.connect()) => Some(connected),
        };
        drop(handshake);
        let stream = match connected {
            None => return Err(SshError::of_end(&self.address, &said.at_the_end().await)),
            Some(Err(_)) => {
                drop(child);
                return Err(SshError::of_silence(&self.address, &said.at_the_end().await));
            }
            Some(Ok(stream)) => stream,
        };
        if is_open(stream, ANSWER).await {
            return Ok(Way { kind: Kind::Forwarding(child), said });
        }
        let refused = said.refusal_since(begun, WORD).await;
        if refused.is_none() && matches!(child.try_wait(), Ok(Some(_))) {
            return Err(SshError::of_end(&self.address, &said.at_the_end().await));
        }
        drop(child);
        let why = refused.unwrap_or_else(|| "the connection was closed".to_owned());
        self.dial(&why).await
    }

    /// The other way, where the sshd does not forward; it also says more if the socket is missing.
    async fn dial(self: &Arc<Self>, forwarding: &str) -> Result<Way, SshError> {
        let said = Said::nothing();
        let begun = Instant::now();
        let dial = Dial::start(Arc::clone(self), said.clone())
            .map_err(|error| SshError::of_start(&self.address, &error))?;
        let stream = self.connect().await;
        if is_open(stream, LOGIN + ANSWER).await {
            tracing::info!(
                host = %self.address, forwarding,
                "the sshd does not forward; each connection is a `docker system dial-stdio` there"
            );
            return Ok(Way { kind: Kind::Dialing(dial), said });
        }
        let why = said.refusal_since(begun, WORD).await;
        let why = why.unwrap_or_else(|| "the connection was closed".to_owned());
        Err(SshError::of_socket(&self.address, forwarding, &why))
    }
}

/// Whether a connection leads to something: it is not closed before it answers.
async fn is_open(mut stream: UnixStream, limit: Duration) -> bool {
    let question = b"HEAD /_ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = async {
        stream.write_all(question).await?;
        stream.read_u8().await
    };
    match timeout(limit, answer).await {
        Ok(answer) => answer.is_ok(),
        // Whoever hangs is there.
        Err(_) => true,
    }
}
