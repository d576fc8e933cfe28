//! Bytes on their way from one source to the Engines of several hosts.
//!
//! They are written once, to a file without a name, and every Engine reads them at its own pace,
//! also while more arrives: a slow Engine neither holds back the others nor fills the memory. The
//! file is gone with its last reader, or with the process.

mod reader;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use rustix::fs::{Mode, OFlags};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::ErrorKind;

/// Bytes to read at once.
const READ_SIZE: usize = 256 << 10;
/// Bytes of a disk that uploads leave free: the store needs them.
const LEFT_FREE: u64 = 1 << 30;
/// Bytes to write before the free space is looked up again.
const LOOK_AFTER: u64 = 64 << 20;

/// The disk space for uploads of this server.
#[derive(Debug, Clone)]
pub struct UploadSpace(Arc<Space>);

#[derive(Debug)]
struct Space {
    directory: PathBuf,
    most: u64,
    used: AtomicU64,
}

/// Writes an upload. Dropped before [`Self::finish`], its readers fail.
#[derive(Debug)]
pub struct UploadWriter {
    file: Arc<Stored>,
    state: watch::Sender<State>,
    looked_at: u64,
}

/// An upload to read, as often as needed. Its clones are the same upload.
#[derive(Debug, Clone)]
pub struct Upload {
    file: Arc<Stored>,
    state: watch::Receiver<State>,
}

/// Why an upload cannot be stored or read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UploadError {
    /// The limit of the server is reached.
    #[error("the uploads in progress need more than the {0} bytes allowed")]
    Full(u64),
    /// The disk has no room.
    #[error("the disk of {0} has less than 1 GiB left")]
    DiskFull(PathBuf),
    /// The file cannot be made, written, or read.
    #[error("{directory}: {problem}")]
    Disk {
        /// Where it is.
        directory: PathBuf,
        /// What the system says.
        problem: String,
    },
    /// The source ended before it was complete.
    #[error("the source of the data was interrupted")]
    Interrupted,
}

impl From<&UploadError> for ErrorKind {
    fn from(error: &UploadError) -> Self {
        match error {
            UploadError::Interrupted => Self::UploadInterrupted,
            UploadError::Full(_) | UploadError::DiskFull(_) | UploadError::Disk { .. } => {
                Self::UploadDiskFull
            }
        }
    }
}

#[derive(Debug, Clone, Default)]
struct State {
    length: u64,
    is_complete: bool,
    failure: Option<UploadError>,
}

impl State {
    /// Whether there is something at `at`, or never will be.
    fn has(&self, at: u64) -> bool {
        self.is_complete || self.failure.is_some() || self.length > at
    }
}

/// The file, which gives its space back when the last one that uses it is gone.
#[derive(Debug)]
struct Stored {
    file: File,
    space: UploadSpace,
    counted: AtomicU64,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.space.0.used.fetch_sub(self.counted.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl UploadSpace {
    /// Space in `directory`, which is made with the first upload, for `most` bytes.
    #[must_use]
    pub fn new(directory: PathBuf, most: u64) -> Self {
        Self(Arc::new(Space { directory, most, used: AtomicU64::new(0) }))
    }

    /// A new upload without content.
    ///
    /// # Errors
    ///
    /// If the file cannot be made.
    pub async fn create(&self) -> Result<(UploadWriter, Upload), UploadError> {
        let directory = self.0.directory.clone();
        let file = spawn_blocking(move || nameless(&directory)).await;
        let file =
            file.map_err(io::Error::other).flatten().map_err(|error| self.problem(&error))?;
        let stored = Stored { file, space: self.clone(), counted: AtomicU64::new(0) };
        let file = Arc::new(stored);
        let (sender, state) = watch::channel(State::default());
        let writer = UploadWriter { file: Arc::clone(&file), state: sender, looked_at: 0 };
        Ok((writer, Upload { file, state }))
    }

    fn problem(&self, error: &io::Error) -> UploadError {
        let directory = self.0.directory.clone();
        match error.kind() {
            io::ErrorKind::StorageFull => UploadError::DiskFull(directory),
            _ => UploadError::Disk { directory, problem: error.to_string() },
        }
    }

    /// Counts `bytes` more, or none.
    fn take(&self, bytes: u64) -> Result<(), UploadError> {
        let take = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.0.most);
        let taken = self.0.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.map(drop).map_err(|_| UploadError::Full(self.0.most))
    }
}

impl UploadWriter {
    /// Appends `chunk`.
    ///
    /// # Errors
    ///
    /// If there is no room, or the disk fails, or nobody reads the upload any longer.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), UploadError> {
        if self.state.is_closed() {
            return Err(UploadError::Interrupted);
        }
        let (bytes, at) = (chunk.len() as u64, self.state.borrow().length);
        let space = self.file.space.clone();
        space.take(bytes)?;
        self.file.counted.fetch_add(bytes, Ordering::Relaxed);
        let look = at == 0 || at - self.looked_at >= LOOK_AFTER;
        if look {
            self.looked_at = at;
        }
        let file = Arc::clone(&self.file);
        let written = spawn_blocking(move || {
            if look && free(&file.file)? < LEFT_FREE {
                return Err(io::ErrorKind::StorageFull.into());
            }
            file.file.write_all_at(&chunk, at)
        });
        let written = written.await.map_err(io::Error::other).flatten();
        written.map_err(|error| space.problem(&error))?;
        self.state.send_modify(|state| state.length += bytes);
        Ok(())
    }

    /// The upload cannot be completed; its readers fail with `error`.
    pub fn fail(self, error: UploadError) {
        self.state.send_modify(|state| state.failure = Some(error));
    }

    /// The upload is complete.
    pub fn finish(self) {
        self.state.send_modify(|state| state.is_complete = true);
    }
}

impl Upload {
    /// Its content from the start. The stream waits for more until the upload is complete.
    pub fn content(
        &self,
    ) -> impl Stream<Item = Result<Bytes, UploadError>> + Send + Sync + use<> + 'static {
        let upload = self.clone();
        unfold((upload, 0_u64, false), |(mut upload, at, failed)| async move {
            if failed {
                return None;
            }
            match upload.read(at).await {
                Ok(Some(chunk)) => {
                    let next = at + chunk.len() as u64;
                    Some((Ok(chunk), (upload, next, false)))
                }
                Ok(None) => None,
                Err(error) => Some((Err(error), (upload, at, true))),
            }
        })
    }

    /// Bytes that have arrived so far, and whether that is all.
    #[must_use]
    pub fn received(&self) -> (u64, bool) {
        let state = self.state.borrow();
        (state.length, state.is_complete)
    }

    /// Waits until all of it has arrived, and returns its length.
    ///
    /// # Errors
    ///
    /// If it cannot be completed.
    pub async fn complete(&self) -> Result<u64, UploadError> {
        self.clone().length_beyond(u64::MAX).await
    }

    /// Waits for content at `at`, and returns how much there is.
    async fn length_beyond(&mut self, at: u64) -> Result<u64, UploadError> {
        let state = self.state.wait_for(|state| state.has(at)).await;
        let state = state.map_err(|_| UploadError::Interrupted)?;
        state.failure.clone().map_or(Ok(state.length), Err)
    }

    /// What there is at `at`; none at the end.
    async fn read(&mut self, at: u64) -> Result<Option<Bytes>, UploadError> {
        let length = self.length_beyond(at).await?;
        let size = usize::try_from(length - at).unwrap_or(READ_SIZE).min(READ_SIZE);
        if size == 0 {
            return Ok(None);
        }
        let file = Arc::clone(&self.file);
        let read = spawn_blocking(move || {
            let mut chunk = vec![0; size];
            file.file.read_exact_at(&mut chunk, at).map(|()| chunk)
        });
        let read = read.await.map_err(io::Error::other).flatten();
        let chunk = read.map_err(|error| self.file.space.problem(&error))?;
        Ok(Some(chunk.into()))
    }
}

/// A file that nobody else can open.
fn nameless(directory: &Path) -> io::Result<File> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(file.into()),
        // Some file systems, such as overlays on old kernels, have only files with names.
        Err(_) => named_and_removed(directory),
    }
}

fn named_and_removed(directory: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let path = directory.join(format!("upload-{}", uuid::Uuid::new_v4()));
    let mut options = File::options();
    let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// Bytes that are free on the disk of `file`.
fn free(file: &File) -> io::Result<u64> {
    let disk = rustix::fs::fstatvfs(file)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, TryStreamExt};

    use super::*;

    fn space(most: u64) -> (tempfile::TempDir, UploadSpace) {
        let directory = tempfile::tempdir().unwrap();
        let space = UploadSpace::new(directory.path().join("uploads"), most);
        (directory, space)
    }

    async fn all(upload: &Upload) -> Result<Vec<u8>, UploadError> {
        let chunks: Vec<Bytes> = upload.content().try_collect().await?;
        Ok(chunks.concat())
    }

    #[tokio::test]
    async fn every_reader_gets_everything_at_its_own_pace() {
        let (directory, space) = space(1 << 20);
        let (mut writer, upload) = space.create().await.unwrap();
        writer.write(Bytes::from_static(b"one ")).await.unwrap();
        let mut early = Box::pin(upload.content());
        assert_eq!(early.next().await.unwrap().unwrap(), "one ");
        let late = tokio::spawn({
            let upload = upload.clone();
            async move { all(&upload).await }
        });
        writer.write(Bytes::from_static(b"two")).await.unwrap();
        assert_eq!(upload.received(), (7, false));
        writer.finish();
        assert_eq!(early.next().await.unwrap().unwrap(), "two");
        assert!(early.next().await.is_none());
        assert_eq!(late.await.unwrap().unwrap(), b"one two");
        assert_eq!(upload.complete().await.unwrap(), 7);
        let left = std::fs::read_dir(directory.path().join("uploads")).unwrap().count();
        assert_eq!(left, 0, "the file has no name");
    }

    #[tokio::test]
    async fn a_source_that_is_interrupted_fails_its_readers() {
        let (_directory, space) = space(1 << 20);
        let (mut writer, upload) = space.create().await.unwrap();
        writer.write(Bytes::from_static(b"half")).await.unwrap();
        drop(writer);
        assert!(matches!(all(&upload).await, Err(UploadError::Interrupted)));
        assert!(matches!(upload.complete().await, Err(UploadError::Interrupted)));
    }

    #[tokio::test]
    async fn uploads_share_the_space_and_give_it_back() {
        let (_directory, space) = space(10);
        let (mut first, kept) = space.create().await.unwrap();
        first.write(Bytes::from_static(b"12345678")).await.unwrap();
        let (mut second, other) = space.create().await.unwrap();
        let refused = second.write(Bytes::from_static(b"123")).await.unwrap_err();
        assert!(matches!(refused, UploadError::Full(10)), "{refused}");
        drop((first, kept));
        second.write(Bytes::from_static(b"123")).await.unwrap();
        drop((second, other));
        assert_eq!(space.0.used.load(Ordering::Relaxed), 0);
    }
}
