//! Commands that last as long as their client is connected: `cat` writes what it reads, and ends with the
//! input, or with Ctrl-D in a terminal; `sleep` reads nothing and has no end.

use std::future::pending;
use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::counters::InFlight;
use super::reply::frame;
use crate::host::SimHost;
use crate::model::Interactive;

/// Ctrl-D, the end of the input in a terminal.
const END: u8 = 4;

/// Runs a command on a connection that is given up to it. Its request counts until its end.
pub(super) async fn run(
    connection: OnUpgrade,
    host: Arc<SimHost>,
    command: Interactive,
    in_flight: InFlight,
) {
    let Ok(connection) = connection.await else { return };
    let mut connection = TokioIo::new(connection);
    if !command.reads {
        pending::<()>().await;
    }
    let mut piece = [0; 8192];
    loop {
        let length = connection.read(&mut piece).await.unwrap_or(0);
        let read = &piece[..length];
        host.with(|model, _| model.type_into(&command.id, read));
        let ends = if command.tty { read.contains(&END) } else { read.is_empty() };
        if ends {
            host.with(|model, _| model.end_exec(&command.id, 0));
        }
        if ends || read.is_empty() {
            // A terminal stays without its client, as with Docker.
            let _ = connection.shutdown().await;
            break;
        }
        let echo = if command.tty { read.to_vec() } else { frame(read) };
        if connection.write_all(&echo).await.is_err() || connection.flush().await.is_err() {
            break;
        }
    }
    in_flight.whole();
}
