//! Files of containers: what the Engine says of a path, and whether an archive is complete. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;

/// Zeros at the end of every tar archive, in bytes: two empty blocks.
const TRAILER: u64 = 1024;

/// What a path in a container is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathStat {
    /// The last name of the path; `/` for the root.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// In bytes.
    pub size: i64,
    /// As in chmod(2), with set-user-ID, set-group-ID and sticky bit.
    pub mode: u32,
    /// When it was changed, as RFC 3339; empty if unknown.
    pub modified_at: String,
    /// Where a symbolic link leads to, in the container.
    pub link_target: String,
}

/// The kinds of files that matter to who copies them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    #[default]
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, a named pipe, or a socket.
    Special,
}

/// A part of a download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchivePart {
    /// What the path is; the first part.
    Stat(PathStat),
    /// The next piece of the archive.
    Chunk(Bytes),
}

/// Where a download goes.
pub type FileSink = tokio::sync::mpsc::Sender<ArchivePart>;

/// As the header `X-Docker-Container-Path-Stat` has it.
#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    name: String,
    #[serde(default)]
    size: i64,
    /// Go's `os.FileMode`.
    mode: u32,
    #[serde(default)]
    mtime: String,
    #[serde(default, rename = "linkTarget")]
    link_target: String,
}

/// The bits of Go's `os.FileMode`.
mod go {
    pub const DIRECTORY: u32 = 1 << 31;
    pub const SYMLINK: u32 = 1 << 27;
    /// Device, named pipe, socket, character device, irregular.
    pub const SPECIAL: u32 = 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19;
    /// With their places in chmod(2).
    pub const OTHERS: [(u32, u32); 3] = [(1 << 23, 0o4000), (1 << 22, 0o2000), (1 << 20, 0o1000)];
}

impl PathStat {
    /// Reads the header: JSON in base64.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn read(header: &[u8]) -> Result<Self, String> {
        let json = STANDARD.decode(header.trim_ascii()).map_err(|error| error.to_string())?;
        let wire: Wire = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
        let kind = match wire.mode {
            mode if mode & go::DIRECTORY != 0 => FileKind::Directory,
            mode if mode & go::SYMLINK != 0 => FileKind::Symlink,
            mode if mode & go::SPECIAL != 0 => FileKind::Special,
            _ => FileKind::Regular,
        };
        let others = go::OTHERS.iter().filter(|(bit, _)| wire.mode & bit != 0);
        let mode = others.fold(wire.mode & 0o777, |mode, (_, bit)| mode | bit);
        let link_target = if kind == FileKind::Symlink { wire.link_target } else { String::new() };
        let Wire { name, size, mtime: modified_at, .. } = wire;
        Ok(Self { name, kind, size: size.max(0), mode, modified_at, link_target })
    }
}

/// Watches an archive for its end: an Engine that fails in the middle of one just stops.
#[derive(Debug, Default)]
pub(super) struct ArchiveEnd {
    length: u64,
    zeros: u64,
}

impl ArchiveEnd {
    /// The next piece.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        let length = chunk.len() as u64;
        self.length += length;
        match chunk.iter().rposition(|byte| *byte != 0) {
            Some(last) => self.zeros = length - 1 - last as u64,
            None => self.zeros += length,
        }
    }

    /// Whether the archive is complete.
    pub(super) fn is_complete(&self) -> bool {
        self.zeros >= TRAILER && self.length.is_multiple_of(512)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<PathStat, String> {
        PathStat::read(STANDARD.encode(json).as_bytes())
    }

    #[test]
    fn what_docker_says_of_a_path_is_read() {
        let link = read(
            r#"{"name":"link","size":5,"mode":134218239,"mtime":"2026-11-27T16:39:39Z","linkTarget":"/data/sub/f"}"#,
        );
        let expected = PathStat {
            name: "link".to_owned(),
            kind: FileKind::Symlink,
            size: 5,
            mode: 0o777,
            modified_at: "2026-11-27T16:39:39Z".to_owned(),
            link_target: "/data/sub/f".to_owned(),
        };
        assert_eq!(link.unwrap(), expected);
        let kind = |mode: u32| read(&format!(r#"{{"mode":{mode}}}"#)).unwrap();
        assert_eq!(
            (kind(2_147_484_141).kind, kind(2_147_484_141).mode),
            (FileKind::Directory, 0o755)
        );
        assert_eq!(kind(1 << 23 | 0o750).mode, 0o4750);
        assert_eq!(kind(1 << 31 | 1 << 20 | 0o777).mode, 0o1777);
        assert_eq!(kind(1 << 26 | 1 << 21 | 0o666).kind, FileKind::Special);
    }

    #[test]
    fn a_header_that_is_none_is_an_error() {
        for header in [&b""[..], b"!", b"e30=", b"\xff\xfe"] {
            assert!(PathStat::read(header).is_err(), "{header:?}");
        }
    }

    #[test]
    fn an_archive_ends_with_two_empty_blocks() {
        let complete = |chunks: &[&[u8]]| {
            let mut end = ArchiveEnd::default();
            chunks.iter().for_each(|chunk| end.push(chunk));
            end.is_complete()
        };
        let (data, zeros) = ([7; 512], [0; 512]);
        assert!(complete(&[&zeros, &zeros]), "without an entry");
        assert!(complete(&[&data, &zeros, &zeros[..100], &zeros[..412]]));
        assert!(!complete(&[&data, &zeros]));
        assert!(!complete(&[&data, &zeros, &zeros[..100]]));
        assert!(!complete(&[&data, &zeros, &zeros, &data]));
        assert!(!complete(&[&data[..100], &zeros, &zeros]));
        assert!(!complete(&[]));
    }
}
