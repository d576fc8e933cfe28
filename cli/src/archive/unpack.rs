//! Writes an archive of a host to local files.
//!
//! The archive may be hostile. Every directory on the way to a file is opened below the one before
//! it, without following links, so that nothing is written outside of the destination. A file
//! appears under its name when it is complete.

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use tar::{Archive, Entry, EntryType, Header};

use super::names::{BadName, Names};
use crate::printer::printable;

/// Bytes of a file to write at once.
const BUFFER: usize = 128 << 10;
/// Bytes before a file, in which its name may be: the reader keeps them in memory.
const LARGEST_HEADER: u64 = 1 << 20;
/// The bits for set-user-ID and set-group-ID.
const SET_ID: u32 = 0o6000;

/// Why an archive is not extracted to its end.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// A name that is not used.
    #[error(transparent)]
    Name(#[from] BadName),
    /// Something that is not extracted.
    #[error("{0}")]
    Refused(String),
    /// The files here.
    #[error("cannot write {}: {error}", path.display())]
    Local {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The archive cannot be read.
    #[error("cannot read the archive: {0}")]
    Archive(io::Error),
}

type Result<T> = std::result::Result<T, UnpackError>;

/// Extracts `archive` to `directory` and returns the bytes of its files. With `keep_owners`, files
/// get the owners in the archive; otherwise they belong to this user, and nothing runs with the
/// rights of its owner.
pub fn unpack(
    archive: impl Read,
    directory: &Path,
    names: &Names,
    keep_owners: bool,
) -> Result<u64> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let root = rustix::fs::open(directory, flags, Mode::empty())
        .map_err(|error| UnpackError::Local { path: directory.into(), error: error.into() })?;
    let mut unpacker = Unpacker {
        root,
        directory,
        names,
        keep_owners,
        parent: None,
        directories: Vec::new(),
        bytes: 0,
        buffer: vec![0; BUFFER],
    };
    let budget = Rc::new(Cell::new(LARGEST_HEADER));
    let mut archive = Archive::new(Metered { archive, budget: Rc::clone(&budget) });
    let mut is_empty = true;
    for entry in archive.entries().map_err(UnpackError::Archive)? {
        is_empty = false;
        budget.set(u64::MAX);
        let mut entry = entry.map_err(UnpackError::Archive)?;
        unpacker.add(&mut entry)?;
        io::copy(&mut entry, &mut io::sink()).map_err(UnpackError::Archive)?;
        budget.set(LARGEST_HEADER);
    }
    if is_empty {
        // What exists is at least an entry of its own.
        return Err(UnpackError::Archive(io::Error::other("it has no files")));
    }
    unpacker.finish()
}

/// An archive of which no more is read at once than the budget says.
struct Metered<R> {
    archive: R,
    budget: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.archive.read(buffer)?;
        let left = self.budget.get().checked_sub(read as u64);
        let left = left.ok_or_else(|| io::Error::other("a name in it is too long"))?;
        self.budget.set(left);
        Ok(read)
    }
}

struct Unpacker<'a> {
    root: OwnedFd,
    directory: &'a Path,
    names: &'a Names,
    keep_owners: bool,
    /// The directory of the last file.
    parent: Option<(Vec<OsString>, OwnedFd)>,
    /// Directories with what is set at the end: before, nothing could be written to some.
    directories: Vec<(Vec<OsString>, Attributes)>,
    bytes: u64,
    buffer: Vec<u8>,
}

/// What a file has besides its content.
#[derive(Debug, Clone)]
struct Attributes {
    mode: Mode,
    owner: Option<(Uid, Gid)>,
    times: Timestamps,
}

impl Unpacker<'_> {
    fn add<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<()> {
        let name = entry.path_bytes().into_owned();
        let kind = match entry.header().entry_type() {
            EntryType::XGlobalHeader => return Ok(()),
            // As old programs write it.
            EntryType::Regular if name.ends_with(b"/") => EntryType::Directory,
            kind => kind,
        };
        let parts = self.names.parts(&name)?;
        let attributes = self.attributes(entry.header(), kind);
        let attributes = attributes.map_err(UnpackError::Archive)?;
        match kind {
            EntryType::Directory => self.add_directory(parts, attributes),
            EntryType::Regular | EntryType::Continuous => {
                let size = entry.size();
                self.add_file(&parts, &attributes, entry, size)
            }
            EntryType::Symlink | EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                if kind == EntryType::Link {
                    self.add_link(&parts, &self.names.parts(&target)?)
                } else {
                    self.add_symlink(&parts, OsStr::from_bytes(&target), &attributes)
                }
            }
            _ => Err(UnpackError::Refused(format!(
                "{} is a device, a named pipe, or of another kind that is not extracted; to get \
                 the archive as it is, copy to - instead",
                printable(&String::from_utf8_lossy(&name))
            ))),
        }
    }

    fn attributes(&self, header: &Header, kind: EntryType) -> io::Result<Attributes> {
        let mut mode = header.mode()? & 0o7777;
        if !self.keep_owners && kind != EntryType::Directory {
            mode &= !SET_ID;
        }
        let id =
            |id: u64| u32::try_from(id).map_err(|_| io::Error::other(format!("{id} is no owner")));
        let owner = if self.keep_owners {
            let (user, group) = (id(header.uid()?)?, id(header.gid()?)?);
            Some((Uid::from_raw(user), Gid::from_raw(group)))
        } else {
            None
        };
        let seconds = i64::try_from(header.mtime()?).unwrap_or(0);
        let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        Ok(Attributes { mode: Mode::from_bits_truncate(mode), owner, times })
    }

    fn add_directory(&mut self, parts: Vec<OsString>, attributes: Attributes) -> Result<()> {
        self.open(&parts)?;
        self.directories.push((parts, attributes));
        Ok(())
    }

    fn add_file(
        &mut self,
        parts: &[OsString],
        attributes: &Attributes,
        content: &mut impl Read,
        size: u64,
    ) -> Result<()> {
        let mut left = size;
        self.put(parts, |unpacker, parent, new| {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            let file = rustix::fs::openat(parent, new, flags, Mode::RUSR | Mode::WUSR);
            let mut file = File::from(file.map_err(|error| unpacker.local(parts, error))?);
            loop {
                let read = content.read(&mut unpacker.buffer).map_err(UnpackError::Archive)?;
                if read == 0 {
                    break;
                }
                let written = file.write_all(&unpacker.buffer[..read]);
                written.map_err(|error| unpacker.local(parts, error))?;
                unpacker.bytes += read as u64;
                left = left.saturating_sub(read as u64);
            }
            // The reader takes the end of what it has for that of the file.
            if left > 0 {
                return Err(UnpackError::Archive(io::ErrorKind::UnexpectedEof.into()));
            }
            attributes.set(file.as_fd()).map_err(|error| unpacker.local(parts, error))
        })
    }

    /// A link may lead anywhere: it is not followed here.
    fn add_symlink(
        &mut self,
        parts: &[OsString],
        target: &OsStr,
        attributes: &Attributes,
    ) -> Result<()> {
        self.put(parts, |unpacker, parent, new| {
            let made = rustix::fs::symlinkat(target, parent, new).and_then(|()| {
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                if let Some((user, group)) = attributes.owner {
                    rustix::fs::chownat(parent, new, Some(user), Some(group), flags)?;
                }
                rustix::fs::utimensat(parent, new, &attributes.times, flags)
            });
            made.map_err(|error| unpacker.local(parts, error))
        })
    }

    fn add_link(&mut self, parts: &[OsString], target: &[OsString]) -> Result<()> {
        let (name, above) = split(target)?;
        let from = self.open(above)?;
        let from = rustix::io::dup(from).map_err(|error| self.local(target, error))?;
        self.put(parts, |unpacker, parent, new| {
            let linked = rustix::fs::linkat(&from, name, parent, new, AtFlags::empty());
            linked.map_err(|error| unpacker.local(parts, error))
        })
    }

    /// Makes something under a name of its own, and then gives it its name in one step. A
    /// directory is not replaced.
    fn put(
        &mut self,
        parts: &[OsString],
        make: impl FnOnce(&mut Self, BorrowedFd<'_>, &str) -> Result<()>,
    ) -> Result<()> {
        let (name, above) = split(parts)?;
        let parent = self.open(above)?;
        let parent = rustix::io::dup(parent).map_err(|error| self.local(parts, error))?;
        let new = format!(".wharf-{}-{}", std::process::id(), uuid::Uuid::new_v4().simple());
        let made = make(self, parent.as_fd(), &new).and_then(|()| {
            // It fails for a directory.
            let renamed = rustix::fs::renameat(&parent, &*new, &parent, name);
            renamed.map_err(|error| self.local(parts, error))
        });
        // Two names of one file: the rename left both.
        let _ = rustix::fs::unlinkat(&parent, &*new, AtFlags::empty());
        made
    }

    /// Opens a directory, and makes what of it is not there.
    fn open(&mut self, parts: &[OsString]) -> Result<BorrowedFd<'_>> {
        if parts.is_empty() {
            return Ok(self.root.as_fd());
        }
        let is_open = self.parent.as_ref().is_some_and(|(open, _)| *open == parts);
        if !is_open {
            let mut opened: Option<OwnedFd> = None;
            for (depth, part) in parts.iter().enumerate() {
                let above = opened.as_ref().map_or(self.root.as_fd(), OwnedFd::as_fd);
                let below = descend(above, part);
                opened = Some(below.map_err(|error| self.local(&parts[..=depth], error))?);
            }
            self.parent = opened.map(|opened| (parts.to_vec(), opened));
        }
        Ok(self.parent.as_ref().map_or(self.root.as_fd(), |(_, opened)| opened.as_fd()))
    }

    /// The directories get their attributes, those below others first.
    fn finish(mut self) -> Result<u64> {
        for (parts, attributes) in std::mem::take(&mut self.directories).into_iter().rev() {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
            let set = |fd: BorrowedFd<'_>| attributes.set(fd);
            let done = match split(&parts) {
                Ok((name, above)) => {
                    let parent = self.open(above)?;
                    rustix::fs::openat(parent, name, flags, Mode::empty())
                        .map_err(io::Error::from)
                        .and_then(|directory| set(directory.as_fd()))
                }
                Err(_) => set(self.root.as_fd()),
            };
            done.map_err(|error| self.local(&parts, error))?;
        }
        Ok(self.bytes)
    }

    fn local(&self, parts: &[OsString], error: impl Into<io::Error>) -> UnpackError {
        let path = parts.iter().fold(self.directory.to_owned(), |path, part| path.join(part));
        UnpackError::Local { path, error: error.into() }
    }
}

impl Attributes {
    fn set(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        // A change of the owner takes bits of the mode away.
        if let Some((user, group)) = self.owner {
            rustix::fs::fchown(file, Some(user), Some(group))?;
        }
        rustix::fs::fchmod(file, self.mode)?;
        Ok(rustix::fs::futimens(file, &self.times)?)
    }
}

/// The last part, and those before it. None: the destination itself, which is a directory.
fn split(parts: &[OsString]) -> Result<(&OsString, &[OsString])> {
    parts.split_last().ok_or_else(|| BadName::Impossible(".".to_owned()).into())
}

/// Opens a directory below another one, or makes it.
fn descend(above: BorrowedFd<'_>, part: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(above, part, flags, Mode::empty());
    match open() {
        Err(rustix::io::Errno::NOENT) => {
            rustix::fs::mkdirat(above, part, Mode::RWXU)?;
            Ok(open()?)
        }
        opened => Ok(opened?),
    }
}

#[cfg(test)]
mod tests;
