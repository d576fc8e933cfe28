//! A tree of files with everything that a copy may lose, and descriptions to compare.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::ensure;
use wharf::v1::DownloadArchiveRequest;
use wharf::v1::download_archive_response::Event;

use crate::support::{Server, collect, hosts};

/// Makes the tree.
pub fn plant(root: &Path) -> anyhow::Result<()> {
    let long = "long-".repeat(40);
    for directory in ["", "empty", "deep/er", &format!("deep/{long}")] {
        fs::create_dir_all(root.join(directory))?;
    }
    for (name, content, mode) in [
        ("file", "hello\n", 0o644),
        ("nothing", "", 0o600),
        ("secret", "s", 0o400),
        ("tool", "#!/bin/sh\n", 0o4755),
        ("na me with ü", "x", 0o666),
        (&format!("deep/{long}/{long}"), "long", 0o640),
    ] {
        let path = root.join(name);
        fs::write(&path, content)?;
        if name == "tool" || name == "secret" {
            chown(&path, Some(1234), Some(2345))?;
        }
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_234_567_890);
        File::open(&path)?.set_modified(time)?;
    }
    symlink("file", root.join("link"))?;
    // Docker before 28 refuses relative links that lead out of the destination.
    symlink("/etc/passwd", root.join("way-out"))?;
    symlink("/nothing", root.join("dangling"))?;
    symlink(format!("deep/{long}"), root.join("long-link"))?;
    fs::hard_link(root.join("file"), root.join("same-file"))?;
    fs::set_permissions(root.join("deep/er"), Permissions::from_mode(0o2770))?;
    fs::set_permissions(root.join("empty"), Permissions::from_mode(0o500))?;
    Ok(())
}

/// A line for each file: name, kind, mode, size and times of files, targets, links, content.
pub fn describe(root: &Path, owners: bool) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(path) = waiting.pop() {
        let found = path.symlink_metadata()?;
        let name = path.strip_prefix(root)?.display().to_string();
        let mut line =
            format!("{name:?} {:o}", found.mode() & if owners { 0o177_777 } else { 0o171_777 });
        if found.is_dir() {
            for child in fs::read_dir(&path)? {
                waiting.push(child?.path());
            }
        } else if found.is_symlink() {
            line += &format!(" -> {}", path.read_link()?.display());
        } else {
            let content = fs::read(&path)?;
            line += &format!(" {} links, at {}, {content:?}", found.nlink(), found.mtime());
        }
        if owners {
            line += &format!(" {}:{}", found.uid(), found.gid());
        }
        lines.push(line);
    }
    lines.sort();
    Ok(lines)
}

/// A line for each entry of the archive of a path in a container, but for the times of directories
/// and links.
pub async fn entries(
    server: &Server,
    host: &str,
    container: &str,
    path: &str,
) -> anyhow::Result<Vec<String>> {
    let request = DownloadArchiveRequest {
        targets: hosts(&[host]),
        container: container.to_owned(),
        path: path.to_owned(),
        ..Default::default()
    };
    let answer = collect(server.files().download_archive(request)).await?;
    ensure!(answer.failure(host).is_none(), "{:?}", answer.outcomes);
    let chunks = answer.of(host).filter_map(|event| match event {
        Event::Chunk(chunk) => Some(chunk.as_slice()),
        _ => None,
    });
    let archive = chunks.collect::<Vec<_>>().concat();
    let mut lines = Vec::new();
    for entry in tar::Archive::new(&*archive).entries()? {
        let entry = entry?;
        let header = entry.header();
        let is_file = header.entry_type().is_file();
        let target = entry.link_name()?.map(|target| target.display().to_string());
        lines.push(format!(
            "{:?} {:?} {:o} {}:{} {} bytes {} {}",
            entry.path()?.display().to_string(),
            header.entry_type(),
            header.mode()? & 0o7777,
            header.uid()?,
            header.gid()?,
            header.size()?,
            if is_file { header.mtime()? } else { 0 },
            target.unwrap_or_default(),
        ));
    }
    lines.sort();
    Ok(lines)
}
