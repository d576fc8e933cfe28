use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use super::*;

/// A directory with these files, each with its path as content.
fn directory(files: &[&str]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for file in files {
        let place = directory.path().join(file);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, file).unwrap();
    }
    directory
}

fn of(directory: &TempDir, rules: &str) -> Directory {
    let rules = Rules::parse(rules).unwrap();
    Directory { root: Some(directory.path().to_owned()), rules, replaced: BTreeMap::new() }
}

/// The entries of the archive: kind, path, and content or link.
async fn entries(directory: Directory) -> Vec<(EntryType, String, String)> {
    directory.check().unwrap();
    let mut bytes = Vec::new();
    directory.archive().read_to_end(&mut bytes).await.unwrap();
    let mut archive = tar::Archive::new(&bytes[..]);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        assert_eq!((entry.header().uid().unwrap(), entry.header().gid().unwrap()), (0, 0));
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        if let Some(link) = entry.link_name_bytes() {
            content = String::from_utf8(link.into_owned()).unwrap();
        }
        (entry.header().entry_type(), path, content)
    });
    entries.collect()
}

async fn paths(directory: Directory) -> Vec<String> {
    entries(directory).await.into_iter().map(|(_, path, _)| path).collect()
}

#[tokio::test]
async fn the_order_is_that_of_names_and_rules_apply() {
    let files = ["b/2", "b/1", "a", "left/out/x", "left/keep/y", ".hidden"];
    let made = directory(&files);
    assert_eq!(
        paths(of(&made, "left\n!left/keep")).await,
        [".hidden", "a", "b/", "b/1", "b/2", "left/keep/", "left/keep/y"]
    );
    assert_eq!(paths(of(&made, "*\n!**/1")).await, ["b/1"]);
    assert!(paths(of(&made, "**")).await.is_empty());
}

#[tokio::test]
async fn what_is_left_out_is_not_even_looked_at() {
    let made = directory(&["a", "secret/x"]);
    // Unreadable for everybody: a link that is a circle.
    symlink("circle", made.path().join("circle")).unwrap();
    fs::remove_dir_all(made.path().join("secret")).unwrap();
    symlink("circle/x", made.path().join("secret")).unwrap();
    let circle = of(&made, "secret");
    let found = entries(circle).await;
    assert_eq!(found[1], (EntryType::Symlink, "circle".to_owned(), "circle".to_owned()));
    assert_eq!(found.len(), 2);
    let missing = Directory { root: Some(made.path().join("none")), ..of(&made, "") };
    let error = missing.check().unwrap_err().to_string();
    assert!(error.starts_with("cannot read /") && error.contains("/none: No such"), "{error}");
}

#[tokio::test]
async fn a_large_file_that_is_left_out_costs_nothing() {
    let made = directory(&["a", "b/x"]);
    for huge in ["huge", "b/huge"] {
        File::create(made.path().join(huge)).unwrap().set_len(5 << 30).unwrap();
    }
    let sent = of(&made, "**/huge");
    assert_eq!(sent.check().unwrap(), 4);
    let mut archive = sent.archive();
    let bytes = tokio::io::copy(&mut archive, &mut tokio::io::sink()).await.unwrap();
    assert!(bytes < 10_000, "{bytes}");
}

#[tokio::test]
async fn every_kind_of_file_is_sent_as_it_is() {
    let made = directory(&["a", "z/file"]);
    let path = |name: &str| made.path().join(name);
    let (long, deep) = ("../".repeat(50), "d".repeat(200));
    symlink("/etc/../etc//passwd", path("link")).unwrap();
    symlink(&long, path("long")).unwrap();
    fs::create_dir(path(&deep)).unwrap();
    fs::write(path(&deep).join("e".repeat(100)), "deep").unwrap();
    fs::hard_link(path("a"), path("same")).unwrap();
    fs::set_permissions(path("a"), fs::Permissions::from_mode(0o4711)).unwrap();
    mknodat(CWD, path("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _socket = UnixListener::bind(path("socket")).unwrap();
    let mut sent = of(&made, "");
    sent.replaced.insert(".added".to_owned(), b"new".to_vec());
    let found = entries(sent).await;
    let deep = format!("{deep}/{}", "e".repeat(100));
    for (kind, path, content) in [
        (EntryType::Regular, "a", "a"),
        (EntryType::Regular, &*deep, "deep"),
        (EntryType::Symlink, "link", "/etc/../etc//passwd"),
        (EntryType::Symlink, "long", &long),
        (EntryType::Link, "same", "a"),
        (EntryType::Fifo, "pipe", ""),
        (EntryType::Regular, "z/file", "z/file"),
        (EntryType::Regular, ".added", "new"),
    ] {
        let entry = found.iter().find(|entry| entry.1 == path);
        let entry = entry.unwrap_or_else(|| panic!("no {path}: {found:?}"));
        assert_eq!((entry.0, &*entry.2), (kind, content), "{path}");
    }
    assert!(!found.iter().any(|entry| entry.1 == "socket"));
}

#[test]
fn a_file_that_becomes_shorter_is_an_error() {
    let made = directory(&["a"]);
    let file = File::open(made.path().join("a")).unwrap();
    let mut short = Exactly::new(file, 9);
    let error = io::copy(&mut short, &mut io::sink()).unwrap_err();
    assert!(error.to_string().contains("shorter"), "{error}");
}
