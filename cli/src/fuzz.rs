//! Fuzz targets: reading user files and command lines never panics. `cargo test` runs each target
//! briefly, `scripts/fuzz` for as long as you like.

use std::path::PathBuf;

use bolero::check;
use wharf_fuzz::{edited, edited_text};

use crate::archive::names::Names;
use crate::archive::{place, unpack};
use crate::build::ignore::{Inherited, Rules, for_engine};
use crate::build::pattern::{clean, literal};
use crate::{build, duration, file, printer, spec};

#[test]
fn fuzz_rollout_file() {
    let seeds = [
        include_str!("../../examples/rollout.yaml"),
        "container: web\nimage: app:v2\ntargets: {labels: 'a=b', exclude: [c]}\nunset: [env.OLD]\n",
        "set: {env: [A=1], health_check: {test: [CMD, x], interval: 5s}, memory_bytes: 64m}\n",
        "policy: &a {max_parallel: 25%, canary: 1, gate: {http: {port: 80, path: /}}}\nx: *a\n",
        "merge_patch:\n  json: |\n    {}\n",
    ];
    check!().for_each(|bytes: &[u8]| {
        let text = edited_text(bytes, &seeds);
        if let Err(problem) = file::parse(&text) {
            let line = problem.to_string();
            assert!(!line.is_empty() && !line.contains('\n'), "{line:?}");
        }
    });
}

#[test]
fn fuzz_ignore_file() {
    let seeds = [
        "# comment\n*\n!a/b/keep\n**/*.md\n/b/../c/\n",
        "a?[^b-c]\\*\n**.go\n!x y\n",
        "FROM ${R:-a.example}/x AS y\nCOPY --from=0 \\\n a b\nARG R=1",
    ];
    check!().for_each(|bytes: &[u8]| {
        let text = edited_text(bytes, &seeds);
        let _ = build::dockerfile::registries(&text, &std::collections::BTreeMap::new());
        let cleaned = clean(&text);
        assert_eq!(clean(&cleaned), cleaned);
        let Ok(rules) = Rules::parse(&text) else { return };
        for path in ["a", "a/b/keep", "b/c.md"] {
            let is_excluded = rules.exclude(path);
            assert!(!rules.clone().keeping(path).exclude(path), "{path}");
            // What is left out is never walked, unless an exception may be there.
            let directory = rules.verdict("a", &Inherited::default());
            if directory.is_excluded && !rules.has_exception_below("a") {
                assert!(rules.exclude("a/b/keep"));
            }
            for left_out in [true, false] {
                let lines = for_engine(&text, &[(path, left_out)]);
                assert_eq!(Rules::parse(&lines).map(|rules| rules.exclude(path)), Ok(left_out));
                assert_eq!(lines == text, is_excluded == left_out);
            }
        }
        assert!(!literal(&text).is_empty() || text.is_empty());
    });
}

#[test]
fn fuzz_flags() {
    let seeds = [
        "127.0.0.1:8080-8090:80-90/tcp",
        "[::1]::53/udp",
        "type=bind,source=/a,target=/b,readonly,bind-propagation=rslave",
        "type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=1777",
        "/srv:/data:ro,z",
        "1h30m5.5s",
        "on-failure:3",
        "nofile=1024:2048",
        "512m",
        "1.5",
        "host.docker.internal:host-gateway",
        "/run:rw,size=64m",
    ];
    check!().for_each(|bytes: &[u8]| {
        let text = edited_text(bytes, &seeds);
        if let Ok(ports) = spec::ports::publish(&text) {
            assert!(!ports.is_empty());
        }
        let _ = spec::ports::expose(&text);
        let _ = spec::mounts::mount(&text);
        let _ = spec::mounts::volume(&text);
        let _ = spec::values::bytes(&text);
        let _ = spec::values::bytes_or_unlimited(&text);
        let _ = spec::values::nano_cpus(&text);
        let _ = spec::values::restart_policy(&text);
        let _ = spec::values::ulimit(&text);
        let _ = spec::values::key_value(&text);
        let _ = spec::values::extra_host(&text);
        let _ = spec::values::tmpfs(&text);
        let _ = duration::parse_deadline(&text);
        if let Ok(parsed) = duration::parse(&text) {
            duration::milliseconds(&duration::to_proto(parsed));
        }
    });
}

#[test]
fn fuzz_archive_names() {
    let seeds = ["conf/a/b.txt", "./", "/bin/sh", "conf/../../etc/passwd", "../x", "conf"];
    check!().for_each(|bytes: &[u8]| {
        let name = edited(bytes, &seeds);
        for (root, renamed) in [(None, None), (Some("conf"), None), (Some("conf"), Some("new"))] {
            let names = Names { root: root.map(Into::into), renamed: renamed.map(Into::into) };
            let Ok(parts) = names.parts(&name) else { continue };
            // Joined to a directory, they stay in it.
            let path = parts.iter().fold(PathBuf::from("/to"), |path, part| path.join(part));
            assert_eq!(place::clean(&path), path, "{name:?}");
            assert!(path.starts_with("/to") && !path.as_os_str().as_encoded_bytes().contains(&0));
            if let Some(first) = renamed.or(root) {
                assert_eq!(parts[0], first, "{name:?}");
            }
        }
    });
}

#[test]
fn fuzz_archives() {
    let mut seed = tar::Builder::new(Vec::new());
    for (kind, name, target) in [
        (tar::EntryType::Directory, "d", ""),
        (tar::EntryType::Symlink, "d/way", "../../out"),
        (tar::EntryType::Regular, "d/file", ""),
        (tar::EntryType::Link, "d/again", "d/file"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o700);
        header.set_size(0);
        let appended = match target {
            "" => seed.append_data(&mut header, name, &b""[..]),
            target => seed.append_link(&mut header, name, target),
        };
        appended.unwrap();
    }
    // Headers have checksums, so the edits are of names and kinds, and the sums follow.
    let seed = seed.into_inner().unwrap();
    let scene = tempfile::tempdir().unwrap();
    let (inside, outside) = (scene.path().join("in"), scene.path().join("out"));
    std::fs::create_dir(&outside).unwrap();
    check!().for_each(|bytes: &[u8]| {
        let mut archive = seed.clone();
        for edit in bytes.chunks_exact(3) {
            let at = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % archive.len();
            archive[at] = edit[2];
        }
        for block in archive.chunks_exact_mut(512).filter(|block| block[0] != 0) {
            let mut header = tar::Header::new_gnu();
            header.as_mut_bytes().copy_from_slice(block);
            header.set_cksum();
            block.copy_from_slice(header.as_bytes());
        }
        std::fs::create_dir(&inside).unwrap();
        let any = Names::default();
        if let Err(error) = unpack::unpack(&*archive, &inside, &any, false) {
            assert!(!error.to_string().is_empty());
        }
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(scene.path()).unwrap().count(), 2);
        // Some directories may not be read by their owner.
        let _ = std::fs::remove_dir_all(&inside);
        let _ = std::fs::create_dir_all(&inside);
        std::fs::remove_dir_all(&inside).unwrap();
    });
}

#[test]
fn fuzz_env_files() {
    check!().for_each(|bytes: &[u8]| {
        let bytes = edited(bytes, &["# a comment\nA=1\n\nB\n  C=x y\r\n", "\u{feff}A=1"]);
        let _ = spec::files::parse(&bytes);
    });
}

#[test]
fn fuzz_output() {
    let seeds = [r#"{"name":"web","labels":{"a":"\u001b[2J"},"n":1.5}"#];
    check!().for_each(|bytes: &[u8]| {
        let text = edited_text(bytes, &seeds);
        let shown = printer::printable(&text);
        assert!(!shown.chars().any(printer::does_something), "{shown:?}");
        if let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) {
            let json = value.to_string();
            let escaped = printer::escaped(&json);
            assert!(!escaped.chars().any(printer::does_something), "{escaped:?}");
            // Both are read, since the last digit of a long fraction may change in that.
            let read = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
            assert_eq!(read(&escaped), read(&json));
        }
    });
}
