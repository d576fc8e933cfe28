//! Ways to Engines over ssh: one process `ssh -N -L` for each host, which forwards a private socket
//! of this machine to the Engine's socket there.
//!
//! It is the user's own ssh, with its configuration, agent, and known hosts. Forwarded connections
//! are no sessions, so there can be any number, and the host needs no docker program. Where
//! forwarding is not possible, each connection is a process `ssh … docker system dial-stdio`.
//!
//! ```text
//! Ssh         what all hosts share: the directory of the sockets, the limit of handshakes
//!   Tunnel       one host: starts the way when it is needed, and again when it breaks
//!     forward       one attempt
//!     dial          the other way
//!       command        arguments and processes
//!       said           what a process writes to its stderr
//!       fault          what that means
//! ```
//!
//! Called by `http`, whose clients connect to [`Tunnel::socket`].

mod command;
mod dial;
mod directory;
mod fault;
mod forward;
mod place;
mod said;
mod tunnel;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use self::directory::PrivateDirectory;
use crate::domain::SshAddress;

pub(super) use fault::SshError;
pub(super) use tunnel::Tunnel;

/// Longest pause between two attempts to reach a host.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What all hosts over ssh share.
#[derive(Debug)]
pub(super) struct Ssh {
    /// Where the directory for the sockets is created.
    parent: PathBuf,
    directory: Mutex<Option<Arc<PrivateDirectory>>>,
    /// Logins in progress: an sshd drops new ones beyond its MaxStartups, 10 by default.
    handshakes: Semaphore,
    next: AtomicU64,
}

impl Ssh {
    /// Creates nothing yet.
    pub(super) fn new(parent: PathBuf, handshakes: usize) -> Arc<Self> {
        Arc::new(Self {
            parent,
            directory: Mutex::default(),
            handshakes: Semaphore::new(handshakes),
            next: AtomicU64::new(1),
        })
    }

    /// The way to a host. Connects to nothing yet.
    pub(super) fn tunnel(self: &Arc<Self>, address: &SshAddress) -> io::Result<Tunnel> {
        let directory = {
            let mut directory = self.directory.lock().unwrap_or_else(PoisonError::into_inner);
            match &*directory {
                Some(directory) => Arc::clone(directory),
                None => {
                    let created = Arc::new(PrivateDirectory::create(&self.parent)?);
                    Arc::clone(directory.insert(created))
                }
            }
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(Tunnel::new(Arc::clone(self), directory, number, address.clone()))
    }
}
