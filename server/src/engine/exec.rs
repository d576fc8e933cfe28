//! Commands in containers with their streams: what runs, and its session.

use std::fmt;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use super::frames::{Frame, FrameDecoder, OutputSource};

/// Bytes to read at once, and so the longest piece of output.
const READ_SIZE: usize = 32 << 10;

/// A command to run in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecSpec {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Additional variables, as `NAME=VALUE`.
    pub env: Vec<String>,
    /// `None`: that of the container.
    pub user: Option<String>,
    /// `None`: that of the container.
    pub working_dir: Option<String>,
    /// With all capabilities.
    pub privileged: bool,
    /// Whether it reads standard input.
    pub stdin: bool,
    /// Whether it has a terminal.
    pub tty: bool,
    /// The size of the terminal at the start.
    pub size: Option<TerminalSize>,
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Width.
    pub columns: u16,
    /// Height.
    pub rows: u16,
}

/// A command in progress. Dropping it closes its streams; the command continues.
#[derive(Debug)]
pub struct ExecSession {
    /// The Engine's ID of the command, or of the container whose own command it is.
    pub id: String,
    /// Standard input. A shutdown ends it.
    pub input: SessionInput,
    /// Standard output and error.
    pub output: SessionOutput,
}

/// Standard input of a session.
pub struct SessionInput(Pin<Box<dyn AsyncWrite + Send>>);

/// What a session writes.
pub struct SessionOutput {
    reader: Pin<Box<dyn AsyncRead + Send>>,
    received: BytesMut,
    /// `None` with a terminal, whose output has no frames.
    frames: Option<FrameDecoder>,
}

impl ExecSession {
    /// A session on an open connection.
    pub fn new(
        id: String,
        connection: impl AsyncRead + AsyncWrite + Send + 'static,
        tty: bool,
    ) -> Self {
        let (reader, writer) = tokio::io::split(connection);
        let output = SessionOutput {
            reader: Box::pin(reader),
            received: BytesMut::new(),
            frames: (!tty).then(FrameDecoder::default),
        };
        Self { id, input: SessionInput(Box::pin(writer)), output }
    }
}

impl SessionInput {
    /// The stream to write to.
    pub fn writer(&mut self) -> Pin<&mut (dyn AsyncWrite + Send)> {
        self.0.as_mut()
    }
}

impl SessionOutput {
    /// The next output as it comes; `None` at the end.
    ///
    /// # Errors
    ///
    /// Those of the connection.
    pub async fn next(&mut self) -> std::io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.decoded() {
                return Ok(Some(frame));
            }
            self.received.reserve(READ_SIZE);
            if self.reader.read_buf(&mut self.received).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn decoded(&mut self) -> Option<Frame> {
        match &mut self.frames {
            Some(frames) => frames.next(&mut self.received),
            None if self.received.is_empty() => None,
            None => {
                let data: Bytes = self.received.split().freeze();
                Some(Frame { source: OutputSource::Stdout, data })
            }
        }
    }
}

impl fmt::Debug for SessionInput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionInput")
    }
}

impl fmt::Debug for SessionOutput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SessionOutput")
            .field("frames", &self.frames)
            .finish_non_exhaustive()
    }
}
