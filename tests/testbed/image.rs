//! Images for the tests: a busybox file system, created here, because there is no registry to pull
//! from. An image is a description; `Engine::import` creates it on an Engine.

use std::fs;

use anyhow::{Context, ensure};
use serde_json::json;
use tar::{EntryType, Header};

use crate::tools;

/// Commands that are links to busybox.
const APPLETS: &[&str] = &[
    "cat", "chmod", "cp", "date", "dd", "echo", "env", "false", "grep", "head", "hostname",
    "httpd", "id", "ip", "kill", "ls", "mkdir", "mount", "mv", "nc", "ps", "pwd", "rm", "sed",
    "sh", "sleep", "sync", "tail", "test", "touch", "tr", "true", "umount", "uname", "wc", "wget",
    "yes",
];

/// Does nothing until it is told to stop, and then stops at once: as PID 1, a program without a
/// handler for SIGTERM costs the whole timeout of `stop`.
const IDLE: &str = "#!/bin/sh\ntrap 'exit 0' TERM INT\nwhile :; do sleep 3600 & wait $!; done\n";

/// Serves `/www` on `$PORT` (8080), `/www/version` being the version of the image.
const WEB: &str = "#!/bin/sh\ntrap 'kill $!; exit 0' TERM INT\n\
                   httpd -f -p \"${PORT:-8080}\" -h /www & wait $!\n";

/// What an image holds and how it starts. Of one version there is one layer, the same wherever
/// and whenever it is made; of two versions the layers differ.
///
/// Besides busybox there are `/bin/idle`, which stops at once on SIGTERM, and `/bin/web`, which
/// serves `/www` on `$PORT` and stops as quickly. `sleep 1000`, in contrast, ignores SIGTERM.
#[derive(Clone, Debug)]
pub struct Image {
    version: String,
    changes: Vec<String>,
    padding: usize,
}

impl Image {
    /// Runs `/bin/idle`; `version` stands in `/version` and `/www/version`.
    pub fn new(version: &str) -> Image {
        Image { version: version.to_owned(), changes: Vec::new(), padding: 0 }
            .command(&["/bin/idle"])
    }

    pub fn command(self, command: &[&str]) -> Image {
        self.change(format!("CMD {}", json!(command)))
    }

    pub fn env(self, key: &str, value: &str) -> Image {
        self.change(format!("ENV {key}={}", json!(value)))
    }

    pub fn label(self, key: &str, value: &str) -> Image {
        self.change(format!("LABEL {key}={}", json!(value)))
    }

    /// A shell command that says whether the container is healthy, asked every second.
    pub fn healthcheck(self, command: &str) -> Image {
        let command = json!(["/bin/sh", "-c", command]);
        self.change(format!("HEALTHCHECK --interval=1s --timeout=5s --retries=2 CMD {command}"))
    }

    /// Any instruction of a Dockerfile that `POST /images/create?changes=` takes.
    pub fn change(mut self, instruction: String) -> Image {
        self.changes.push(instruction);
        self
    }

    /// So many bytes that no compression makes smaller, for a pull that takes a while.
    pub fn padding(mut self, bytes: usize) -> Image {
        self.padding = bytes;
        self
    }

    pub(crate) fn changes(&self) -> &[String] {
        &self.changes
    }

    /// The file system, as an uncompressed archive.
    pub(crate) fn archive(&self) -> anyhow::Result<Vec<u8>> {
        let busybox = tools::system("busybox")?;
        let mut archive = tar::Builder::new(Vec::new());
        for directory in ["bin", "data", "dev", "etc", "proc", "root", "sys", "www"] {
            archive.append_data(&mut header(EntryType::Directory, 0o755, 0), directory, &[][..])?;
        }
        archive.append_data(&mut header(EntryType::Directory, 0o1777, 0), "tmp", &[][..])?;

        let program = fs::read(&busybox).context("reading busybox")?;
        // The name of the dynamic loader stands near the start of a program that needs one.
        let start = &program[..program.len().min(4096)];
        ensure!(
            !start.windows(6).any(|bytes| bytes == b"ld-lin"),
            "{} is not static and will not run in an image by itself; as root, run `{}`",
            busybox.display(),
            tools::APT_GET
        );
        let mut entry = header(EntryType::Regular, 0o755, program.len() as u64);
        archive.append_data(&mut entry, "bin/busybox", &*program)?;
        for applet in APPLETS {
            let mut entry = header(EntryType::Symlink, 0o777, 0);
            archive.append_link(&mut entry, format!("bin/{applet}"), "busybox")?;
        }

        let version = format!("{}\n", self.version);
        let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
        for (path, mode, text) in [
            ("bin/idle", 0o755, IDLE),
            ("bin/web", 0o755, WEB),
            ("etc/passwd", 0o644, passwd),
            ("etc/group", 0o644, "root:x:0:\nnogroup:x:65534:\n"),
            ("version", 0o644, &version),
            ("www/version", 0o644, &version),
        ] {
            let mut entry = header(EntryType::Regular, mode, text.len() as u64);
            archive.append_data(&mut entry, path, text.as_bytes())?;
        }
        if self.padding > 0 {
            let bytes = noise(self.padding);
            let mut entry = header(EntryType::Regular, 0o644, bytes.len() as u64);
            archive.append_data(&mut entry, "padding", &*bytes)?;
        }
        Ok(archive.into_inner()?)
    }
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Bytes of xorshift64: the same every time, and random enough for gzip.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}
