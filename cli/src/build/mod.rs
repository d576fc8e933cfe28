//! The context of a build as the user names it: a directory, or `-` for standard input, which has
//! an archive or a Dockerfile. Whatever is wrong with it is known before any host is touched.

mod archive;
pub mod dockerfile;
pub mod ignore;
pub mod pattern;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use tokio::fs::File as Stdin;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::exit::Failure;
use archive::Directory;
use ignore::{Rules, for_engine};

/// The usual name of a Dockerfile.
const DOCKERFILE: &str = "Dockerfile";
/// The usual name of the rules.
const IGNORE_FILE: &str = ".dockerignore";
/// Largest Dockerfile or file with rules, in bytes.
const LARGEST_TEXT: u64 = 4 << 20;
/// Bytes from which an archive is recognized.
const HEAD: u64 = 512;

/// What a build gets.
pub struct Context {
    /// The Dockerfile in it.
    pub dockerfile: String,
    /// Registries of the images that the Dockerfile uses; empty if it is in an archive.
    pub registries: BTreeSet<String>,
    /// The line of the Dockerfile with a here-document, if there is one.
    pub here_document: Option<usize>,
    /// Its name for errors.
    pub name: String,
    /// Bytes of its files, if known.
    pub bytes: Option<u64>,
    source: Source,
}

enum Source {
    Directory(Directory),
    /// An archive on standard input, of which this was read.
    Archive(Vec<u8>, Stdin),
}

/// A Dockerfile with its place in the context.
struct Dockerfile {
    text: Vec<u8>,
    /// Where it is in the context; none if it comes from elsewhere.
    path: Option<String>,
    /// Rules that are for this Dockerfile only, and their file.
    rules: Option<(PathBuf, String)>,
}

impl Context {
    /// Looks at the context and its Dockerfile. `file` is what `-f` names: it is found from the
    /// current directory, or, in an archive, from its root.
    pub async fn open(
        path: &str,
        file: Option<&str>,
        build_args: &BTreeMap<String, String>,
    ) -> Result<Self, Failure> {
        if path == "-" {
            return Self::of_stdin(file, build_args).await;
        }
        let (root, file) = (directory(path)?, file.map(str::to_owned));
        let text = match file.as_deref() {
            Some("-") => Some(text_of_stdin(Vec::new(), stdin()?).await?),
            _ => None,
        };
        let name = path.to_owned();
        let arguments = build_args.clone();
        // Large directories take a while, and Ctrl-C must work meanwhile.
        let opened = tokio::task::spawn_blocking(move || {
            let dockerfile = match text {
                Some(text) => Dockerfile { text, path: None, rules: None },
                None => Dockerfile::find(&root, file.as_deref())?,
            };
            Self::of_directory(root, dockerfile, name, &arguments)
        });
        opened.await.map_err(|error| Failure::usage(format!("cannot read {path}: {error}")))?
    }

    /// The archive.
    pub fn into_reader(self) -> Box<dyn AsyncRead + Send + Unpin> {
        match self.source {
            Source::Directory(directory) => Box::new(directory.archive()),
            Source::Archive(head, rest) => {
                Box::new(AsyncReadExt::chain(io::Cursor::new(head), rest))
            }
        }
    }

    async fn of_stdin(
        file: Option<&str>,
        build_args: &BTreeMap<String, String>,
    ) -> Result<Self, Failure> {
        if file == Some("-") {
            return Err(Failure::usage(
                "standard input can be the context or the Dockerfile, not both; remove -f -",
            ));
        }
        let (mut head, mut stdin) = (Vec::new(), stdin()?);
        let read = (&mut stdin).take(HEAD).read_to_end(&mut head).await;
        read.map_err(|error| stdin_failed(&error))?;
        if is_archive(&head) {
            return Ok(Self {
                dockerfile: file.unwrap_or(DOCKERFILE).to_owned(),
                registries: BTreeSet::new(),
                here_document: None,
                name: "standard input".to_owned(),
                bytes: None,
                source: Source::Archive(head, stdin),
            });
        }
        if file.is_some() {
            return Err(Failure::usage(
                "standard input is not an archive, so it is the Dockerfile; remove -f, or send a tar \
                 archive",
            ));
        }
        let text = text_of_stdin(head, stdin).await?;
        if text.iter().all(u8::is_ascii_whitespace) {
            return Err(Failure::usage(
                "standard input is empty; send a Dockerfile or a tar archive, or name a directory",
            ));
        }
        let lines = String::from_utf8_lossy(&text);
        let registries = dockerfile::registries(&lines, build_args);
        let here_document = dockerfile::here_document(&lines);
        let replaced = BTreeMap::from([(DOCKERFILE.to_owned(), text)]);
        let directory = Directory { root: None, rules: Rules::default(), replaced };
        Ok(Self {
            dockerfile: DOCKERFILE.to_owned(),
            registries,
            here_document,
            name: "standard input".to_owned(),
            bytes: None,
            source: Source::Directory(directory),
        })
    }

    fn of_directory(
        root: PathBuf,
        dockerfile: Dockerfile,
        name: String,
        build_args: &BTreeMap<String, String>,
    ) -> Result<Self, Failure> {
        let lines = String::from_utf8_lossy(&dockerfile.text);
        let registries = dockerfile::registries(&lines, build_args);
        let here_document = dockerfile::here_document(&lines);
        let own = root.join(IGNORE_FILE);
        let has_own = own.symlink_metadata().is_ok();
        let is_special = dockerfile.rules.is_some();
        let (place, text) = match dockerfile.rules {
            Some(rules) => rules,
            None if has_own => (own.clone(), text_of(&own)?),
            None => (own, String::new()),
        };
        let invalid = |error| Failure::Usage(format!("{}: {error}", place.display()));
        let rules = Rules::parse(&text).map_err(invalid)?;
        // A name that no file of the context has.
        let added = format!(".dockerfile.{}", uuid::Uuid::new_v4().simple());
        let inside = dockerfile.path.clone();
        let path = inside.clone().unwrap_or_else(|| added.clone());
        // The Engine needs both, and removes what the rules leave out before it builds.
        let needed = [
            (path.as_str(), inside.is_none() || rules.exclude(&path)),
            (IGNORE_FILE, !has_own || rules.exclude(IGNORE_FILE)),
        ];
        let mut replaced = BTreeMap::new();
        if inside.is_none() {
            replaced.insert(added, dockerfile.text);
        }
        if is_special || inside.is_none() {
            let lines = for_engine(&text, &needed);
            replaced.insert(IGNORE_FILE.to_owned(), lines.into_bytes());
        }
        let mut rules = rules.keeping(IGNORE_FILE);
        if let Some(inside) = &inside {
            rules = rules.keeping(inside);
        }
        let directory = Directory { root: Some(root), rules, replaced };
        let bytes = directory.check().map_err(|error| {
            Failure::Usage(format!(
                "{error}; make it readable, or leave it out with a line in {IGNORE_FILE}"
            ))
        })?;
        let (dockerfile, bytes) = (path, Some(bytes));
        Ok(Self {
            dockerfile,
            registries,
            here_document,
            name,
            bytes,
            source: Source::Directory(directory),
        })
    }
}

impl Dockerfile {
    /// The one that `-f` names, or else the usual one.
    fn find(root: &Path, file: Option<&str>) -> Result<Self, Failure> {
        let place = match file {
            Some(file) => PathBuf::from(file),
            None => {
                let usual = [DOCKERFILE, "dockerfile"].map(|name| root.join(name));
                let found = usual.into_iter().find(|place| place.symlink_metadata().is_ok());
                found.ok_or_else(|| {
                    let root = root.display();
                    Failure::Usage(format!("{root} has no {DOCKERFILE}; name it with -f"))
                })?
            }
        };
        let failed = |error| Failure::Usage(format!("cannot read {}: {error}", place.display()));
        let real = place.canonicalize().map_err(failed)?;
        let text = bytes_of(&real)?;
        let mut special = place.clone().into_os_string();
        special.push(IGNORE_FILE);
        let special = PathBuf::from(special);
        let rules = match special.is_file() {
            true => Some((special.clone(), text_of(&special)?)),
            false => None,
        };
        let path = match real.strip_prefix(root).map(Path::to_str) {
            Ok(Some(path)) => Some(path.to_owned()),
            // From elsewhere, or with a name that is not text.
            _ => None,
        };
        Ok(Self { text, path, rules })
    }
}

/// The directory without links in its path.
fn directory(path: &str) -> Result<PathBuf, Failure> {
    let is_url = ["http://", "https://", "git://", "git@", "github.com/"];
    let place = Path::new(path);
    match place.canonicalize() {
        Ok(root) if root.is_dir() => Ok(root),
        Ok(_) => Err(Failure::Usage(format!(
            "{path} is not a directory; to build from an archive, run: wharf build - < {path}"
        ))),
        Err(_) if is_url.iter().any(|prefix| path.starts_with(prefix)) => Err(Failure::Usage(
            format!("{path} is not a directory; clone or download it, and name its directory"),
        )),
        Err(error) => Err(Failure::Usage(format!("cannot read {path}: {error}"))),
    }
}

fn bytes_of(place: &Path) -> Result<Vec<u8>, Failure> {
    let failed =
        |problem: String| Failure::Usage(format!("cannot read {}: {problem}", place.display()));
    // A pipe would wait for its other end.
    let metadata = fs::metadata(place).map_err(|error| failed(error.to_string()))?;
    if !metadata.is_file() {
        return Err(failed("it is not a file".to_owned()));
    }
    let mut text = Vec::new();
    let file = fs::File::open(place).map_err(|error| failed(error.to_string()))?;
    let read = file.take(LARGEST_TEXT + 1).read_to_end(&mut text);
    read.map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > LARGEST_TEXT {
        return Err(failed("it is larger than 4 MiB".to_owned()));
    }
    Ok(text)
}

fn text_of(place: &Path) -> Result<String, Failure> {
    Ok(String::from_utf8_lossy(&bytes_of(place)?).into_owned())
}

/// Standard input.
fn stdin() -> Result<Stdin, Failure> {
    let own = io::stdin().as_fd().try_clone_to_owned().map_err(|error| stdin_failed(&error))?;
    Ok(Stdin::from_std(own.into()))
}

/// The Dockerfile on standard input, after what was read of it.
async fn text_of_stdin(mut text: Vec<u8>, stdin: Stdin) -> Result<Vec<u8>, Failure> {
    let read = stdin.take(LARGEST_TEXT + 1).read_to_end(&mut text).await;
    read.map_err(|error| stdin_failed(&error))?;
    if text.len() as u64 > LARGEST_TEXT {
        return Err(Failure::usage(
            "the Dockerfile on standard input is larger than 4 MiB; it is neither a Dockerfile nor \
             a tar archive",
        ));
    }
    Ok(text)
}

fn stdin_failed(error: &io::Error) -> Failure {
    Failure::Usage(format!("cannot read standard input: {error}"))
}

/// Whether it begins as a tar archive does, or as a compressed one.
fn is_archive(head: &[u8]) -> bool {
    let compressed: [&[u8]; 4] = [b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
    if compressed.iter().any(|magic| head.starts_with(magic)) {
        return true;
    }
    let Some(block) = head.first_chunk::<512>() else { return false };
    let header = tar::Header::from_byte_slice(block);
    // The sum counts its own field as spaces.
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    let expected = sum(&block[..148]) + 8 * u32::from(b' ') + sum(&block[156..]);
    header.cksum().is_ok_and(|found| found == expected) && sum(block) > 0
}

#[cfg(test)]
mod tests;
