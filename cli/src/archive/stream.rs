//! An archive that is made in a thread of its own, as fast as it is read: nothing of it is kept.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};

use bytes::Bytes;
use futures_util::stream;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;

/// Bytes that are passed on at once.
const CHUNK: usize = 256 << 10;
/// Chunks that wait until they are sent.
const WAITING: usize = 4;

/// Where an archive is written to.
pub type Output = BufWriter<Sender>;

/// Passes what is written on.
pub struct Sender(mpsc::Sender<io::Result<Bytes>>);

/// What `write` writes. If it fails, the reader fails.
pub fn streamed(
    write: impl FnOnce(Output) -> io::Result<()> + Send + 'static,
) -> impl AsyncRead + Send + Unpin + 'static {
    let (sender, mut receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let output = BufWriter::with_capacity(CHUNK, Sender(sender.clone()));
        if let Err(error) = write(output) {
            // Nobody listens any more if the call has ended.
            let _ = sender.blocking_send(Err(error));
        }
    });
    StreamReader::new(stream::poll_fn(move |context| receiver.poll_recv(context)))
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = Bytes::copy_from_slice(bytes);
        self.0.blocking_send(Ok(chunk)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As much of a file as its header says. A file that became shorter is an error, because the
/// entries after it would be read from the wrong place.
pub struct Exactly {
    file: File,
    left: u64,
}

impl Exactly {
    /// The next `size` bytes of `file`.
    pub fn new(file: File, size: u64) -> Self {
        Self { file, left: size }
    }
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.file.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::Error::other("it became shorter while it was read"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}
