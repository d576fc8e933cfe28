//! Reads local files to a tar archive, which is made while it is read: nothing of it is kept.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tar::{Builder, EntryType, Header};
use tokio::io::AsyncRead;

use super::place::Source;
use super::stream::{Exactly, streamed};

/// The bits for set-user-ID and set-group-ID.
const SET_ID: u32 = 0o6000;

/// The archive of a source, whose root has the given name; without one, it is the content of a
/// directory. Without `keep_owners`, everything belongs to root, and nothing runs with the rights
/// of its owner: it would have those of root. Sockets are left out, as docker does. If a file
/// cannot be read, the reader fails.
pub fn pack(
    source: Source,
    root: Option<OsString>,
    keep_owners: bool,
) -> impl AsyncRead + Send + Unpin + 'static {
    streamed(move |output| {
        let packer = Packer { builder: Builder::new(output), keep_owners, seen: HashMap::new() };
        let root = root.map_or_else(|| PathBuf::from("."), PathBuf::from);
        packer.run(source.path, root)
    })
}

struct Packer<W: Write> {
    builder: Builder<W>,
    keep_owners: bool,
    /// The first names of files with several, by device and inode.
    seen: HashMap<(u64, u64), PathBuf>,
}

impl<W: Write> Packer<W> {
    fn run(mut self, path: PathBuf, name: PathBuf) -> io::Result<()> {
        let mut waiting = vec![(path, name)];
        while let Some((path, name)) = waiting.pop() {
            let of_path = |error| about(&path, &error);
            let found = fs::symlink_metadata(&path).map_err(of_path)?;
            if found.is_dir() {
                let mut children =
                    fs::read_dir(&path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
                let children = children.as_mut().map_err(|error| about(&path, error))?;
                // The last one is the next one: in the order of their names.
                children.sort_by_key(|child| std::cmp::Reverse(child.file_name()));
                let child = |child: &fs::DirEntry| (child.path(), name.join(child.file_name()));
                waiting.extend(children.iter().map(child));
            }
            self.add(&path, &name, &found)?;
        }
        self.builder.into_inner()?.flush()
    }

    fn add(&mut self, path: &Path, name: &Path, found: &Metadata) -> io::Result<()> {
        let kind = found.file_type();
        if kind.is_socket() {
            return Ok(());
        }
        if kind.is_file() {
            return self.add_file(path, name, found);
        }
        let mut header = self.header(found);
        header.set_size(0);
        if kind.is_symlink() {
            let target = fs::read_link(path).map_err(|error| about(path, &error))?;
            return self.builder.append_link(&mut header, name, target);
        }
        if kind.is_char_device() || kind.is_block_device() {
            let device = found.rdev();
            header.set_device_major(rustix::fs::major(device))?;
            header.set_device_minor(rustix::fs::minor(device))?;
        }
        self.builder.append_data(&mut header, name, io::empty())
    }

    fn add_file(&mut self, path: &Path, name: &Path, found: &Metadata) -> io::Result<()> {
        if found.nlink() > 1 {
            if let Some(first) = self.seen.get(&(found.dev(), found.ino())) {
                let mut header = self.header(found);
                header.set_entry_type(EntryType::Link);
                header.set_size(0);
                return self.builder.append_link(&mut header, name, first);
            }
            self.seen.insert((found.dev(), found.ino()), name.to_owned());
        }
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = File::options().read(true).custom_flags(flags).open(path);
        let file = file.map_err(|error| about(path, &error))?;
        let found = file.metadata().map_err(|error| about(path, &error))?;
        let mut header = self.header(&found);
        header.set_entry_type(EntryType::Regular);
        header.set_size(found.len());
        let content = Exactly::new(file, found.len());
        // What fails here is the file, or the call, which says so itself.
        self.builder.append_data(&mut header, name, content).map_err(|error| about(path, &error))
    }

    fn header(&self, found: &Metadata) -> Header {
        let mut header = Header::new_gnu();
        header.set_metadata(found);
        let mut mode = found.mode() & 0o7777;
        if !self.keep_owners {
            header.set_uid(0);
            header.set_gid(0);
            if !found.is_dir() {
                mode &= !SET_ID;
            }
        }
        header.set_mode(mode);
        // A time before 1970 has no place in the header.
        header.set_mtime(u64::try_from(found.mtime()).unwrap_or(0));
        header
    }
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
