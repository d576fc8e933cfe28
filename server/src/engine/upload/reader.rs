//! Reads what has arrived of an upload like a file, for those who read archives.

use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::{Stored, UploadWriter};

/// Reads an upload from the start to where it had arrived when this was made. It blocks on the disk.
#[derive(Debug)]
pub struct UploadReader {
    file: Arc<Stored>,
    at: u64,
    length: u64,
}

impl UploadWriter {
    /// A reader of what was written.
    #[must_use]
    pub fn reader(&self) -> UploadReader {
        UploadReader { file: Arc::clone(&self.file), at: 0, length: self.state.borrow().length }
    }
}

impl Read for UploadReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let size = buffer.len().min(left);
        let read = self.file.file.read_at(&mut buffer[..size], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for UploadReader {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        let at = match position {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
