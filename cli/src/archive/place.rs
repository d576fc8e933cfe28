//! Docker's rules of `cp`: what is copied to where, and under which name.
//!
//! A path with `/.` at its end is the content of a directory. A directory that exists gets what is
//! copied; otherwise it gets the name of the destination.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::names::Names;

/// Symbolic links that lead to one another, at most.
const MOST_LINKS: usize = 40;

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Missing,
    /// A directory.
    Directory,
    /// A file.
    File,
    /// A device, a named pipe, or a socket.
    Special,
}

/// Where an archive is extracted to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The directory.
    pub directory: PathBuf,
    /// The new name of what is copied; none if it keeps its own.
    pub renamed: Option<OsString>,
}

/// Why something cannot be copied there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// A directory to a file.
    #[error("a directory cannot replace a file")]
    DirectoryToFile,
    /// A file to a directory that does not exist.
    #[error("there is no such directory")]
    NoDirectory,
    /// Anything to a device.
    #[error("it is neither a file nor a directory")]
    Special,
}

/// Where to extract what is copied: `is_directory` says what that is, and `kind` what is at
/// `destination`.
pub fn place(is_directory: bool, destination: &Path, kind: Kind) -> Result<Place, Misfit> {
    match kind {
        Kind::Directory => Ok(Place { directory: destination.to_owned(), renamed: None }),
        Kind::Special => Err(Misfit::Special),
        Kind::File if is_directory => Err(Misfit::DirectoryToFile),
        Kind::Missing if !is_directory && wants_directory(destination) => Err(Misfit::NoDirectory),
        Kind::File | Kind::Missing => {
            let cleaned = clean(destination);
            let directory = match cleaned.parent() {
                Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
                Some(parent) => parent.to_owned(),
                None => return Err(Misfit::NoDirectory),
            };
            let renamed = cleaned.file_name().ok_or(Misfit::NoDirectory)?.to_owned();
            Ok(Place { directory, renamed: Some(renamed) })
        }
    }
}

/// The names in the archive of a path in a container that is extracted to a place.
pub fn names(source: &Path, place: &Place) -> Names {
    let root = if is_content(source) { None } else { clean(source).file_name().map(Into::into) };
    Names { root, renamed: place.renamed.clone() }
}

/// A local file or directory to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// Its name in the archive; none for the content of a directory.
    pub name: Option<OsString>,
    /// Whether it is a directory.
    pub is_directory: bool,
}

/// Looks up what to copy. With `follow`, a symbolic link is what it leads to.
pub fn source(path: &Path, follow: bool) -> io::Result<Source> {
    let ends_with_slash = path.as_os_str().as_bytes().ends_with(b"/");
    let name = clean(path).file_name().map(ToOwned::to_owned);
    let through = follow || ends_with_slash || is_content(path) || name.is_none();
    let path_here = if through { path.canonicalize()? } else { clean(path) };
    let is_directory = path_here.symlink_metadata()?.is_dir();
    if !is_directory && (ends_with_slash || is_content(path)) {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    // `..` has no name of its own.
    let name = name.or_else(|| path_here.file_name().map(ToOwned::to_owned));
    let name = name.filter(|_| !is_content(path));
    Ok(Source { path: path_here, name, is_directory })
}

/// What a local destination is, with the links at its end followed: the link may lead to
/// something that does not exist yet.
pub fn local(path: &Path) -> io::Result<(PathBuf, Kind)> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match path.symlink_metadata() {
            Ok(found) if found.is_symlink() => {
                let target = path.read_link()?;
                path = clean(&path).parent().map(|parent| parent.join(&target)).unwrap_or(target);
            }
            Ok(found) if found.is_dir() => return Ok((path, Kind::Directory)),
            Ok(found) if found.is_file() => return Ok((path, Kind::File)),
            Ok(_) => return Ok((path, Kind::Special)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((path, Kind::Missing));
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from_raw_os_error(rustix::io::Errno::LOOP.raw_os_error()))
}

/// Whether a path is the content of a directory: `DIR/.`, or the root.
pub fn is_content(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    let bytes = &bytes[..end];
    bytes.is_empty() || bytes == b"." || bytes.ends_with(b"/.")
}

/// Whether a path can only be that of a directory.
fn wants_directory(path: &Path) -> bool {
    is_content(path) || path.as_os_str().as_bytes().ends_with(b"/")
}

/// The path without `.`, and without `..` where a name is before it.
pub fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if cleaned.file_name().is_some() => {
                cleaned.pop();
            }
            Component::ParentDir if cleaned.has_root() => {}
            part => cleaned.push(part),
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(
        is_directory: bool,
        destination: &str,
        kind: Kind,
    ) -> Result<(String, String), Misfit> {
        place(is_directory, Path::new(destination), kind).map(|place| {
            let name = place.renamed.unwrap_or_default();
            (place.directory.display().to_string(), name.to_string_lossy().into_owned())
        })
    }

    #[test]
    fn what_exists_decides_where_it_goes() {
        use Kind::{Directory, File, Missing};
        let at = |directory: &str, name: &str| Ok((directory.to_owned(), name.to_owned()));
        assert_eq!(placed(false, "/etc", Directory), at("/etc", ""));
        assert_eq!(placed(true, "/etc/", Directory), at("/etc/", ""));
        assert_eq!(placed(false, "/etc/conf", File), at("/etc", "conf"));
        assert_eq!(placed(false, "/etc/new", Missing), at("/etc", "new"));
        assert_eq!(placed(true, "/etc/new/", Missing), at("/etc", "new"));
        assert_eq!(placed(true, "/etc/new/.", Missing), at("/etc", "new"));
        assert_eq!(placed(false, "new", Missing), at(".", "new"));
        assert_eq!(placed(false, "a/../new", Missing), at(".", "new"));
        assert_eq!(placed(true, "/etc/conf", File), Err(Misfit::DirectoryToFile));
        assert_eq!(placed(false, "/etc/new/", Missing), Err(Misfit::NoDirectory));
        assert_eq!(placed(false, "/etc/new/.", Missing), Err(Misfit::NoDirectory));
        assert_eq!(placed(false, "/dev/null", Kind::Special), Err(Misfit::Special));
    }

    #[test]
    fn only_what_was_asked_for_may_be_in_the_archive() {
        let stays = Place { directory: "/d".into(), renamed: None };
        let root = |path: &str| names(Path::new(path), &stays).root;
        assert_eq!(root("/etc/conf"), Some("conf".into()));
        assert_eq!(root("/etc/conf/"), Some("conf".into()));
        assert_eq!(root("etc/a/../conf"), Some("conf".into()));
        assert_eq!(root("/etc/a/.."), Some("etc".into()));
        for content in ["/etc/.", "/", "//", ".", "/etc/./"] {
            assert_eq!(root(content), None, "{content}");
        }
        assert_eq!(root("/.."), None);
    }

    #[test]
    fn a_source_is_itself_or_what_it_leads_to() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        std::fs::create_dir(base.join("dir")).unwrap();
        std::fs::write(base.join("file"), "x").unwrap();
        std::os::unix::fs::symlink("dir", base.join("link")).unwrap();
        let look = |path: &str, follow| source(&base.join(path), follow).unwrap();
        let is = |path: &str, name: Option<&str>, is_directory| Source {
            path: base.join(path),
            name: name.map(Into::into),
            is_directory,
        };
        assert_eq!(look("file", false), is("file", Some("file"), false));
        assert_eq!(look("link", false), is("link", Some("link"), false));
        assert_eq!(look("link", true), is("dir", Some("link"), true));
        assert_eq!(look("link/", false), is("dir", Some("link"), true));
        assert_eq!(look("link/.", false), is("dir", None, true));
        assert_eq!(look("dir", false), is("dir", Some("dir"), true));
        for wrong in ["file/", "file/.", "nothing"] {
            assert!(source(&base.join(wrong), false).is_err(), "{wrong}");
        }
        std::os::unix::fs::symlink("later", base.join("dangling")).unwrap();
        std::os::unix::fs::symlink("circle", base.join("circle")).unwrap();
        assert_eq!(local(&base.join("link")).unwrap(), (base.join("dir"), Kind::Directory));
        assert_eq!(local(&base.join("dangling")).unwrap(), (base.join("later"), Kind::Missing));
        assert!(local(&base.join("circle")).is_err());
    }
}
