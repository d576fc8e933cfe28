//! Where a way leads, and over which socket.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::sleep;

use super::Ssh;
use super::directory::PrivateDirectory;
use crate::domain::SshAddress;

/// How often to look for the socket.
const POLL: Duration = Duration::from_millis(20);

/// A host over ssh, and its socket on this machine.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) ssh: Arc<Ssh>,
    pub(super) directory: Arc<PrivateDirectory>,
    pub(super) address: SshAddress,
    /// The name of the socket in the directory.
    pub(super) name: String,
}

impl Place {
    /// The socket to connect to.
    pub(super) fn socket(&self) -> PathBuf {
        self.directory.path().join(&self.name)
    }

    /// Connects to the socket as soon as it is there.
    pub(super) async fn connect(&self) -> UnixStream {
        loop {
            match UnixStream::connect(self.socket()).await {
                Ok(stream) => return stream,
                Err(_) => sleep(POLL).await,
            }
        }
    }
}
