//! A directory as the archive that a build gets, as docker's own client makes it: everything belongs
//! to root, links stay links, wherever they point, and sockets are left out. The order depends on
//! the names only. Files are read while they are sent, so the memory does not depend on their size.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};
use tar::{Builder, EntryType, Header};
use tokio::io::AsyncRead;

use super::ignore::{Inherited, Rules};
use crate::archive::stream::{Exactly, streamed};

/// Bytes of the name of a link in the header of an entry; longer ones get an entry of their own.
const LINK_NAME: usize = 100;

/// What to send of a directory.
#[derive(Debug)]
pub struct Directory {
    /// The directory, without links in its path; none if there is only what replaces files.
    pub root: Option<PathBuf>,
    /// What of it to leave out.
    pub rules: Rules,
    /// Files of the root with other content than they have there, or that are not there.
    pub replaced: BTreeMap<String, Vec<u8>>,
}

/// Something to send.
struct Entry {
    /// Where it is.
    place: PathBuf,
    /// Its path in the archive.
    path: PathBuf,
    metadata: Metadata,
}

/// The first problem with a directory.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {source}", place.display())]
pub struct Unreadable {
    place: PathBuf,
    source: io::Error,
}

type Result<T> = std::result::Result<T, Unreadable>;

fn at(place: &Path) -> impl FnOnce(io::Error) -> Unreadable + '_ {
    move |source| Unreadable { place: place.to_owned(), source }
}

impl Directory {
    /// Looks for what cannot be read, so that it is known before anything is sent. Returns the bytes
    /// of all files.
    pub fn check(&self) -> Result<u64> {
        let mut bytes = 0;
        self.walk(&mut |entry| {
            if entry.metadata.is_file() {
                File::open(&entry.place).map_err(at(&entry.place))?;
                bytes += entry.metadata.len();
            }
            Ok(())
        })?;
        Ok(bytes)
    }

    /// The archive, which is made in a thread of its own as fast as it is read.
    pub fn archive(self) -> impl AsyncRead + Send + Unpin + 'static {
        streamed(move |output| self.write(output).map_err(io::Error::other))
    }

    fn write(&self, output: impl Write) -> anyhow::Result<()> {
        let mut archive = Builder::new(output);
        let mut names = HashMap::new();
        self.walk(&mut |entry| {
            if self.replacement(&entry.path).is_some() {
                return Ok(());
            }
            append(&mut archive, &mut names, entry).map_err(at(&entry.place))
        })?;
        for (name, content) in &self.replaced {
            let mut header = header(EntryType::Regular, 0o600, 0);
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, name, &content[..])?;
        }
        archive.into_inner()?.flush()?;
        Ok(())
    }

    fn replacement(&self, path: &Path) -> Option<&Vec<u8>> {
        self.replaced.get(path.to_str()?)
    }

    fn walk(&self, visit: &mut dyn FnMut(&Entry) -> Result<()>) -> Result<()> {
        match &self.root {
            Some(root) => self.walk_below(root, Path::new(""), &Inherited::default(), visit),
            None => Ok(()),
        }
    }

    /// Visits what is in a directory. Like docker, it does not visit a directory that is left out
    /// for what an exception keeps of it: the Engine makes those with the usual mode.
    fn walk_below(
        &self,
        root: &Path,
        directory: &Path,
        inherited: &Inherited,
        visit: &mut dyn FnMut(&Entry) -> Result<()>,
    ) -> Result<()> {
        let place: PathBuf = root.iter().chain(directory).collect();
        let names = fs::read_dir(&place).map_err(at(&place))?;
        let names = names.map(|entry| entry.map(|entry| entry.file_name()));
        let mut names: Vec<_> = names.collect::<io::Result<_>>().map_err(at(&place))?;
        names.sort_unstable();
        for name in names {
            let path = directory.join(&name);
            let text = path.to_string_lossy().into_owned();
            let verdict = self.rules.verdict(&text, inherited);
            if verdict.is_excluded && !self.rules.has_exception_below(&text) {
                continue;
            }
            let place = place.join(&name);
            let metadata = place.symlink_metadata().map_err(at(&place))?;
            let entry = Entry { place, path, metadata };
            if !verdict.is_excluded {
                visit(&entry)?;
            }
            if entry.metadata.is_dir() {
                self.walk_below(root, &entry.path, &verdict.inherited, visit)?;
            }
        }
        Ok(())
    }
}

/// `names`: of the files with several names, the first one.
fn append<W: Write>(
    archive: &mut Builder<W>,
    names: &mut HashMap<(u64, u64), PathBuf>,
    entry: &Entry,
) -> io::Result<()> {
    let Entry { place, path, metadata } = entry;
    let kind = metadata.file_type();
    let of = |kind: EntryType| header(kind, metadata.mode(), metadata.mtime());
    if kind.is_dir() {
        // With a slash at the end, which counts for the builder's stored layers.
        archive.append_data(&mut of(EntryType::Directory), path.join(""), io::empty())
    } else if kind.is_symlink() {
        let target = fs::read_link(place)?;
        let mut header = of(EntryType::Symlink);
        if target.as_os_str().len() > LINK_NAME {
            return archive.append_link(&mut header, path, target);
        }
        // As it is: the crate would leave out what does not change where it points.
        header.set_link_name_literal(target.as_os_str().as_bytes())?;
        archive.append_data(&mut header, path, io::empty())
    } else if kind.is_file() {
        if metadata.nlink() > 1 {
            let first =
                names.entry((metadata.dev(), metadata.ino())).or_insert_with(|| path.clone());
            if first != path {
                return archive.append_link(&mut of(EntryType::Link), path, first);
            }
        }
        let file = File::open(place)?;
        let size = file.metadata()?.len();
        let mut header = of(EntryType::Regular);
        header.set_size(size);
        archive.append_data(&mut header, path, Exactly::new(file, size))
    } else if kind.is_fifo() {
        archive.append_data(&mut of(EntryType::Fifo), path, io::empty())
    } else if kind.is_socket() {
        Ok(())
    } else {
        let device = if kind.is_block_device() { EntryType::Block } else { EntryType::Char };
        let mut header = of(device);
        header.set_device_major(major(metadata.rdev()))?;
        header.set_device_minor(minor(metadata.rdev()))?;
        archive.append_data(&mut header, path, io::empty())
    }
}

fn header(kind: EntryType, mode: u32, mtime: i64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode & 0o7777);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(u64::try_from(mtime).unwrap_or(0));
    header.set_size(0);
    header
}

#[cfg(test)]
mod tests;
