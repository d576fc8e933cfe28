//! Archives as a good and as a hostile host makes them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use tar::Builder;

use super::*;

/// An archive with entries of these kinds, names, and contents or targets.
fn archive(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, name, content) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(if *kind == EntryType::Directory { 0o755 } else { 0o640 });
        header.set_mtime(1_000_000_000);
        header.set_uid(0);
        header.set_gid(0);
        // Written as they are: the builder refuses names such as `..`.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
        if is_link {
            header.as_old_mut().linkname[..content.len()].copy_from_slice(content.as_bytes());
        }
        let content = if is_link { "" } else { content };
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A directory `in` to extract to, with others beside it.
fn scene() -> (tempfile::TempDir, PathBuf) {
    let scene = tempfile::tempdir().unwrap();
    let inside = scene.path().join("in");
    fs::create_dir(&inside).unwrap();
    fs::create_dir(scene.path().join("out")).unwrap();
    fs::write(scene.path().join("out/secret"), "old").unwrap();
    (scene, inside)
}

const ANY: Names = Names { root: None, renamed: None };

use EntryType::{Directory, Link, Regular, Symlink};

#[test]
fn what_is_in_the_archive_is_there_afterwards() {
    let (_scene, inside) = scene();
    let entries = [
        (Directory, "d/", ""),
        (Regular, "d/file", "hello"),
        (Symlink, "d/link", "../../out/secret"),
        (Link, "d/again", "d/file"),
        (Directory, "d/empty/", ""),
    ];
    let names = Names { root: Some("d".into()), renamed: Some("new".into()) };
    for round in 0..2 {
        let bytes = unpack(&*archive(&entries), &inside, &names, false).unwrap();
        assert_eq!(bytes, 5, "{round}");
        let file = inside.join("new/file");
        assert_eq!(fs::read(&file).unwrap(), b"hello");
        let found = file.metadata().unwrap();
        assert_eq!(
            (found.mode() & 0o7777, found.mtime(), found.nlink()),
            (0o640, 1_000_000_000, 2)
        );
        assert_eq!(fs::read_link(inside.join("new/link")).unwrap(), Path::new("../../out/secret"));
        assert!(inside.join("new/empty").is_dir());
        assert_eq!(inside.join("new").metadata().unwrap().mtime(), 1_000_000_000);
        assert_eq!(fs::read_dir(inside.join("new")).unwrap().count(), 4, "nothing is left");
    }
}

#[test]
fn nothing_is_written_outside_of_the_destination() {
    let hostile: [&[(EntryType, &str, &str)]; 9] = [
        &[(Regular, "../out/secret", "new")],
        &[(Regular, "a/../../out/secret", "new")],
        &[(Symlink, "way", "../out"), (Regular, "way/secret", "new")],
        &[(Symlink, "way", "/"), (Directory, "way/evil/", "")],
        &[(Symlink, "a", "b"), (Symlink, "b", "../out"), (Regular, "a/secret", "new")],
        &[(Link, "mine", "../out/secret")],
        &[(Symlink, "way", "../out"), (Link, "mine", "way/secret")],
        &[(Directory, "d/", ""), (Symlink, "d", "../out"), (Regular, "d/secret", "new")],
        &[(Symlink, "d", "../out"), (Directory, "d/", ""), (Regular, "d/secret", "new")],
    ];
    for entries in hostile {
        let (scene, inside) = scene();
        let error = unpack(&*archive(entries), &inside, &ANY, false).unwrap_err();
        assert!(!error.to_string().contains('\n'), "{error}");
        assert_eq!(fs::read(scene.path().join("out/secret")).unwrap(), b"old", "{entries:?}");
        assert_eq!(fs::read_dir(scene.path().join("out")).unwrap().count(), 1, "{entries:?}");
        assert_eq!(fs::read_dir(scene.path()).unwrap().count(), 2, "{entries:?}");
    }
}

#[test]
fn absolute_names_are_below_the_destination() {
    let (_scene, inside) = scene();
    unpack(&*archive(&[(Regular, "/etc/conf", "x")]), &inside, &ANY, false).unwrap();
    assert_eq!(fs::read(inside.join("etc/conf")).unwrap(), b"x");
}

#[test]
fn a_link_that_was_here_is_replaced_and_not_followed() {
    let (scene, inside) = scene();
    symlink("../out/secret", inside.join("conf")).unwrap();
    unpack(&*archive(&[(Regular, "conf", "new")]), &inside, &ANY, false).unwrap();
    assert_eq!(fs::read(inside.join("conf")).unwrap(), b"new");
    assert!(!inside.join("conf").is_symlink());
    assert_eq!(fs::read(scene.path().join("out/secret")).unwrap(), b"old");
}

#[test]
fn directories_and_files_do_not_replace_each_other() {
    let (_scene, inside) = scene();
    fs::create_dir(inside.join("d")).unwrap();
    fs::write(inside.join("f"), "x").unwrap();
    for entries in [&[(Regular, "d", "x")], &[(Directory, "f/", "")], &[(Symlink, "d", "f")]] {
        let error = unpack(&*archive(entries), &inside, &ANY, false).unwrap_err();
        assert!(matches!(error, UnpackError::Local { .. }), "{error}");
    }
    assert!(inside.join("d").is_dir());
    assert_eq!(fs::read(inside.join("f")).unwrap(), b"x");
}

#[test]
fn devices_and_pipes_are_refused_by_name() {
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo, EntryType::GNUSparse] {
        let (_scene, inside) = scene();
        let error = unpack(&*archive(&[(kind, "dev/sda", "")]), &inside, &ANY, false).unwrap_err();
        let text = error.to_string();
        assert!(kind == EntryType::GNUSparse || text.starts_with("dev/sda is a device"), "{text}");
    }
}

#[test]
fn rights_of_the_owner_are_kept_only_with_the_owner() {
    let (_scene, inside) = scene();
    let mut tool = archive(&[(Regular, "tool", "x")]);
    let mut header = Header::new_gnu();
    header.as_mut_bytes().copy_from_slice(&tool[..512]);
    header.set_mode(0o6755);
    header.set_cksum();
    tool[..512].copy_from_slice(header.as_bytes());
    let mode = |keep_owners| {
        unpack(&*tool, &inside, &ANY, keep_owners).unwrap();
        inside.join("tool").metadata().unwrap().permissions().mode() & 0o7777
    };
    assert_eq!(mode(false), 0o755);
    if rustix::process::geteuid().is_root() {
        assert_eq!(mode(true), 0o6755);
    }
}

#[test]
fn an_archive_that_ends_too_early_leaves_no_part_of_a_file() {
    let (_scene, inside) = scene();
    fs::write(inside.join("file"), "old").unwrap();
    let whole = archive(&[(Regular, "file", &"x".repeat(2000))]);
    let error = unpack(&whole[..1000], &inside, &ANY, false).unwrap_err();
    assert!(matches!(error, UnpackError::Archive(_)), "{error}");
    assert_eq!(fs::read(inside.join("file")).unwrap(), b"old");
    assert_eq!(fs::read_dir(&inside).unwrap().count(), 1);
}

#[test]
fn a_name_without_end_does_not_fill_the_memory() {
    let (_scene, inside) = scene();
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_cksum();
    let endless = header.as_bytes().chain(io::repeat(b'x'));
    let error = unpack(endless, &inside, &ANY, false).unwrap_err();
    assert!(error.to_string().contains("too long"), "{error}");
}

#[test]
fn an_archive_of_nothing_is_no_copy() {
    let (_scene, inside) = scene();
    let error = unpack(&*archive(&[]), &inside, &ANY, false).unwrap_err();
    assert!(error.to_string().contains("it has no files"), "{error}");
    let error = unpack(&b""[..], &inside, &ANY, false).unwrap_err();
    assert!(error.to_string().contains("it has no files"), "{error}");
}
