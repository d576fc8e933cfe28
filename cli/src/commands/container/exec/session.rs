//! An interactive session with a command: standard input to the server, its output to this
//! terminal. Used by `wharf exec`, `wharf attach`, and `wharf run`.

use std::io::Read;

use futures_util::stream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tonic::Streaming;
use wharf::v1::exec_request::Event as Sent;
use wharf::v1::exec_response::Event;
use wharf::v1::{CloseStdin, ExecRequest, ExecResponse, ExecStarted, OutputSource};

use super::detach::{DetachKeys, Detector, Typed};
use super::terminal::{self, RawMode};
use crate::app::{App, Connection};
use crate::exit::{Failure, status_of};
use crate::printer::{Printer, Stream};

/// Pieces of input that may wait for the server.
const WAITING: usize = 8;
/// Bytes of standard input in one message.
const PIECE: usize = 64 << 10;

/// A session whose command is connected.
pub struct Session {
    requests: mpsc::Sender<ExecRequest>,
    responses: Streaming<ExecResponse>,
    /// What the server said of it.
    pub started: ExecStarted,
}

/// How the user takes part in a session.
pub struct Manner {
    /// `HOST/CONTAINER`, for messages.
    pub place: String,
    /// Whether to send standard input.
    pub stdin: bool,
    /// The keys that detach.
    pub keys: DetachKeys,
}

impl Session {
    /// Opens a session with its first message.
    pub async fn open(connection: &Connection, first: Sent) -> Result<Self, Failure> {
        let (requests, mut waiting) = mpsc::channel::<ExecRequest>(WAITING);
        // There is room.
        let _ = requests.try_send(ExecRequest { event: Some(first) });
        let body = stream::poll_fn(move |context| waiting.poll_recv(context));
        let mut responses = connection.exec().exec(connection.request(body)).await?.into_inner();
        match responses.message().await?.and_then(|response| response.event) {
            Some(Event::Started(started)) => Ok(Self { requests, responses, started }),
            _ => Err(lost()),
        }
    }

    /// Tells the server the size of the terminal.
    pub async fn send_size(&self) {
        if let Some(size) = terminal::size().filter(|_| self.started.tty) {
            let _ = self.requests.send(ExecRequest { event: Some(Sent::Resize(size)) }).await;
        }
    }

    /// Passes both directions on until the command ends, or the user detaches.
    pub async fn run(mut self, app: &App, manner: Manner) -> Result<(), Failure> {
        let Manner { place, stdin, keys } = manner;
        let tty = self.started.tty;
        let raw_mode = (tty && stdin).then(RawMode::enter).flatten();
        let (detach, detached) = oneshot::channel();
        if stdin {
            let detector = tty.then(|| keys.detector());
            let requests = self.requests.clone();
            // A thread of its own: a read of a terminal cannot be cancelled, and nobody waits for
            // it.
            std::thread::spawn(move || read_input(&requests, detector, detach));
        } else {
            let event = Some(Sent::CloseStdin(CloseStdin {}));
            let _ = self.requests.send(ExecRequest { event }).await;
            // Never detached.
            std::mem::forget(detach);
        }
        let requests = self.requests.clone();
        let resize = async move {
            let Ok(mut changes) = signal(SignalKind::window_change()) else {
                return std::future::pending().await;
            };
            loop {
                changes.recv().await;
                if let Some(size) = terminal::size().filter(|_| tty) {
                    let _ = requests.send(ExecRequest { event: Some(Sent::Resize(size)) }).await;
                }
            }
        };
        tokio::select! {
            biased;
            status = print(&app.printer, &mut self.responses) => match status? {
                0 => Ok(()),
                status => Err(Failure::Command(status)),
            },
            Ok(()) = detached => {
                // The command left the cursor somewhere in a line.
                app.printer.raw(Stream::Stderr, b"\r\n");
                drop(raw_mode);
                app.printer.note(&format!("detached from {place}; the command continues"));
                Ok(())
            }
            () = resize => Ok(()),
        }
    }
}

fn lost() -> Failure {
    let message =
        "the server ended the session before the command did; the command may still be running";
    Failure::Connection(message.to_owned())
}

/// Prints the output, up to the exit status of the command.
async fn print(printer: &Printer, responses: &mut Streaming<ExecResponse>) -> Result<u8, Failure> {
    while let Some(response) = responses.message().await? {
        match response.event {
            Some(Event::Output(output)) => {
                let stream = match output.source() {
                    OutputSource::Stderr => Stream::Stderr,
                    _ => Stream::Stdout,
                };
                printer.raw(stream, &output.data);
                if printer.is_closed() {
                    return Err(Failure::OutputClosed);
                }
            }
            Some(Event::Exited(exit)) => return Ok(status_of(exit.exit_code.into())),
            Some(Event::Started(_) | Event::Heartbeat(_)) | None => {}
        }
    }
    Err(lost())
}

/// Sends standard input until its end, or until the user detaches.
fn read_input(
    requests: &mpsc::Sender<ExecRequest>,
    mut detector: Option<Detector>,
    detach: oneshot::Sender<()>,
) {
    let mut piece = vec![0; PIECE];
    let send = |event| requests.blocking_send(ExecRequest { event: Some(event) }).is_ok();
    loop {
        // An error of standard input is its end.
        let length = std::io::stdin().read(&mut piece).unwrap_or(0);
        if length == 0 {
            send(Sent::CloseStdin(CloseStdin {}));
            // Only the keys detach.
            std::mem::forget(detach);
            return;
        }
        let typed = match &mut detector {
            Some(detector) => detector.take(&piece[..length]),
            None => Typed::Input(piece[..length].to_vec()),
        };
        match typed {
            Typed::Input(input) if input.is_empty() => {}
            Typed::Input(input) => {
                if !send(Sent::Stdin(input)) {
                    return;
                }
            }
            Typed::Detach(input) => {
                if !input.is_empty() {
                    send(Sent::Stdin(input));
                }
                let _ = detach.send(());
                return;
            }
        }
    }
}
