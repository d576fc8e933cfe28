//! Archives of images, as `docker save` and `GET /images/get` write them: whether something is one,
//! and the images in it. Pure; an archive is a file here.

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, SeekFrom};

use serde::Deserialize;

use super::classify::one_line;
use super::operation::SAVE_IMAGES;
use super::wire::null_to_default;
use super::{EngineError, ErrorKind};

/// Bytes at the start that tell whether something is an archive.
pub const ARCHIVE_START: usize = 512;
/// A record of a tar archive.
const RECORD: usize = 512;
/// Bytes of an archive that are read at most, beside its files: headers and lists. An archive with a
/// thousand layers has less, and an Engine that sends more must not fill the memory.
const MOST_READ: usize = 16 << 20;
/// Bytes at the end in which an Engine may say why there is no more.
const COMPLAINT: usize = 4 << 10;

/// The starts of compressed archives that Engines read: gzip, bzip2, xz, zstd.
const COMPRESSED: [&[u8]; 4] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];

/// Whether something that begins so may be an archive: a tar archive, or something compressed.
#[must_use]
pub fn is_archive(start: &[u8]) -> bool {
    COMPRESSED.iter().any(|begin| start.starts_with(begin))
        || start.first_chunk::<ARCHIVE_START>().is_some_and(is_tar)
}

/// Whether this is a header of a tar archive, which has the sum of its bytes.
fn is_tar(header: &[u8; ARCHIVE_START]) -> bool {
    let field = &header[148..156];
    let digits: String = field.iter().map(|byte| char::from(*byte)).collect();
    let digits = digits.trim_matches(|c: char| c == ' ' || c == '\0');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    let own: u32 = field.iter().map(|byte| u32::from(*byte)).sum();
    // Its own field counts as spaces.
    u32::from_str_radix(digits, 8) == Ok(sum - own + 8 * u32::from(b' '))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SavedImage {
    #[serde(default, deserialize_with = "null_to_default")]
    config: String,
}

#[derive(Deserialize)]
struct Index {
    #[serde(default, deserialize_with = "null_to_default")]
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    #[serde(default, deserialize_with = "null_to_default")]
    digest: String,
}

/// The IDs that Engines give to the images of a complete archive: digests of configurations, and of
/// manifests for Engines with containerd's store.
///
/// # Errors
///
/// If it is not complete, what is wrong. An Engine that fails in the middle of an answer appends the
/// reason to it.
pub(super) fn image_ids(mut archive: impl Read + Seek) -> Result<BTreeSet<String>, String> {
    check_end(&mut archive)?;
    let broken = |error: io::Error| format!("it cannot be read: {error}");
    archive.rewind().map_err(broken)?;
    let mut ids = BTreeSet::new();
    let mut archive = tar::Archive::new(Brief { inner: archive, left: MOST_READ });
    for entry in archive.entries_with_seek().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let name = entry.path_bytes();
        let name = String::from_utf8_lossy(&name).into_owned();
        let mut list = String::new();
        if matches!(name.trim_start_matches("./"), "manifest.json" | "index.json") {
            entry.read_to_string(&mut list).map_err(broken)?;
        }
        if list.is_empty() {
            continue;
        }
        let found: Vec<String> = if name.ends_with("manifest.json") {
            let images: Vec<SavedImage> = parse(&name, &list)?;
            images.iter().filter_map(|image| config_digest(&image.config)).collect()
        } else {
            parse::<Index>(&name, &list)?.manifests.into_iter().map(|it| it.digest).collect()
        };
        ids.extend(found.into_iter().filter(|id| id.starts_with("sha256:")));
    }
    if ids.is_empty() { Err("it has no images".to_owned()) } else { Ok(ids) }
}

/// Reads so much of something and no more; seeks over any amount.
struct Brief<R> {
    inner: R,
    left: usize,
}

impl<R: Read> Read for Brief<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let left = self.left.checked_sub(read);
        self.left = left.ok_or_else(|| io::Error::other("its lists are too long"))?;
        Ok(read)
    }
}

impl<R: Seek> Seek for Brief<R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}

fn parse<'a, T: Deserialize<'a>>(name: &str, text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("{name} in it is not valid: {error}"))
}

/// `<digits>.json` in older archives, `blobs/sha256/<digits>` in newer ones.
fn config_digest(path: &str) -> Option<String> {
    let name = path.rsplit('/').next()?;
    let digits = name.strip_suffix(".json").unwrap_or(name);
    let is_digest = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| format!("sha256:{digits}"))
}

fn check_end(archive: &mut (impl Read + Seek)) -> Result<(), String> {
    let unreadable = |error: io::Error| format!("it cannot be read: {error}");
    let length = archive.seek(SeekFrom::End(0)).map_err(unreadable)?;
    let from = length.saturating_sub(COMPLAINT as u64);
    archive.seek(SeekFrom::Start(from)).map_err(unreadable)?;
    let mut end = ArchiveEnd { length: from, last: Vec::new() };
    archive.take(COMPLAINT as u64).read_to_end(&mut end.last).map_err(unreadable)?;
    end.length = length;
    end.check()
}

/// The error of an archive from an Engine with this problem.
pub(super) fn invalid_archive(problem: &str) -> EngineError {
    let message = format!("the archive of the image is not valid: {problem}");
    EngineError::new(ErrorKind::BadAnswer, SAVE_IMAGES.name, message)
}

/// The end of an archive that goes by.
#[derive(Debug, Default)]
pub(super) struct ArchiveEnd {
    length: u64,
    last: Vec<u8>,
}

impl ArchiveEnd {
    /// Takes notice of the next bytes.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.last.extend_from_slice(&bytes[bytes.len().saturating_sub(COMPLAINT)..]);
        self.last.drain(..self.last.len().saturating_sub(COMPLAINT));
    }

    /// An archive ends with a record of zeros.
    ///
    /// # Errors
    ///
    /// Why it is not complete.
    pub(super) fn check(&self) -> Result<(), String> {
        let is_whole = self.length > 0 && self.length.is_multiple_of(RECORD as u64);
        if is_whole && self.last.iter().rev().take(RECORD).all(|byte| *byte == 0) {
            return Ok(());
        }
        Err(complaint(&self.last).unwrap_or_else(|| "it ends in the middle".to_owned()))
    }
}

/// What the Engine appended.
fn complaint(end: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Line {
        error_detail: Option<Detail>,
        message: Option<String>,
    }
    #[derive(Deserialize)]
    struct Detail {
        message: Option<String>,
    }
    let text = String::from_utf8_lossy(end);
    let at = text.rfind("{\"errorDetail\"").or_else(|| text.rfind("{\"message\""))?;
    let line: Line = serde_json::from_str(text[at..].trim_end()).ok()?;
    let message = line.error_detail.and_then(|detail| detail.message).or(line.message)?;
    Some(format!("the Engine says: {}", one_line(&message)))
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Cursor;

    use super::*;

    pub const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// An archive with these files.
    pub fn archive_of(files: &[(&str, &str)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn ids(archive: Vec<u8>) -> Result<Vec<String>, String> {
        image_ids(Cursor::new(archive)).map(|ids| ids.into_iter().collect())
    }

    #[test]
    fn the_images_of_every_format_are_found() {
        let id = format!("sha256:{DIGEST}");
        let old = format!(r#"[{{"Config":"{DIGEST}.json","RepoTags":["app:v1"]}}]"#);
        assert_eq!(ids(archive_of(&[("manifest.json", &old)])).unwrap(), std::slice::from_ref(&id));
        let new = format!(r#"[{{"Config":"blobs/sha256/{DIGEST}","RepoTags":null}}]"#);
        let index = r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:index"}]}"#;
        let both = archive_of(&[("blobs/x", "x"), ("index.json", index), ("manifest.json", &new)]);
        assert_eq!(ids(both).unwrap(), [id, "sha256:index".to_owned()]);
    }

    #[test]
    fn an_archive_that_is_not_whole_is_none() {
        let list = format!(r#"[{{"Config":"{DIGEST}.json"}}]"#);
        let whole = archive_of(&[("manifest.json", &list), ("layer.tar", &"x".repeat(9000))]);
        for length in [0, 512, 1024, 5000, whole.len() - 1024, whole.len() - 1] {
            let error = ids(whole[..length].to_vec()).unwrap_err();
            assert_eq!(error, "it ends in the middle", "{length}");
        }
        let mut failed = whole[..3000].to_vec();
        failed.extend_from_slice(
            b"{\"errorDetail\":{\"message\":\"disk\\nbroken\"},\"error\":\"x\"}\r\n",
        );
        assert_eq!(ids(failed).unwrap_err(), "the Engine says: disk broken");
        assert_eq!(ids(archive_of(&[("other", "x")])).unwrap_err(), "it has no images");
        let long = archive_of(&[("manifest.json", &" ".repeat(MOST_READ))]);
        assert_eq!(ids(long).unwrap_err(), "it cannot be read: its lists are too long");
        let large = archive_of(&[("layer.tar", &" ".repeat(MOST_READ)), ("manifest.json", &list)]);
        assert!(ids(large).is_ok(), "what is in its files does not count");
        let invalid = ids(archive_of(&[("manifest.json", "{")])).unwrap_err();
        assert!(invalid.starts_with("manifest.json in it is not valid"), "{invalid}");
    }

    #[test]
    fn what_begins_otherwise_is_no_archive() {
        let tar = archive_of(&[("manifest.json", "[]")]);
        assert!(is_archive(&tar) && is_archive(b"\x1f\x8b\x08") && is_archive(b"\x28\xb5\x2f\xfd"));
        assert!(!is_archive(&tar[..511]) && !is_archive(b"") && !is_archive(&[0; 512]));
        assert!(!is_archive("FROM scratch\n".repeat(100).as_bytes()));
        let mut damaged = tar;
        damaged[0] ^= 1;
        assert!(!is_archive(&damaged));
    }
}
