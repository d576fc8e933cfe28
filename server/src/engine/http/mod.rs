//! A Docker Engine over its HTTP API: the only user of reqwest.
//!
//! ```text
//! HttpConnector  makes and shares clients
//!   clients        of reqwest, with and without kept connections
//!   sessions       TLS sessions, for connections that are opened again
//! HttpEngine     the trait, a file for each subject
//!   system, images, containers, exec,
//!   archives, networks, volumes                   what a call means
//!   transfer, build, command                      calls whose answers are streams
//!   logs, stats, events                           the same, followed
//!     link       sends it, opens the answer, classifies failures
//!       opened      reads the answer, whole or chunk by chunk
//!       negotiate   API version, once for each host
//!       lanes       which calls go at the same time, over which connection
//!       tunnel      waits for the way over ssh
//!       traffic     counts all calls of all hosts
//! ```

mod answers;
mod archives;
mod build;
mod clients;
mod command;
mod connector;
mod containers;
mod events;
mod exec;
mod image_archives;
mod images;
mod lanes;
mod link;
mod logs;
mod movement;
mod networks;
mod path;
pub mod probe;
mod sessions;
mod stats;
mod system;
mod traffic;
mod transfer;
mod transport;
mod tunnel;
mod volumes;

use std::sync::Arc;

pub use connector::{ConnectorSettings, HttpConnector};
pub use traffic::{Latency, Traffic};

use self::link::Link;

/// One Docker Engine over HTTP. Created by [`HttpConnector::engine`].
#[derive(Debug)]
pub struct HttpEngine {
    link: Arc<Link>,
}

impl HttpEngine {
    fn new(link: Link) -> Self {
        Self { link: Arc::new(link) }
    }
}
