use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

/// A directory with these files.
fn made(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let place = directory.path().join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, content).unwrap();
    }
    directory
}

async fn open(path: &Path, file: Option<&Path>) -> Result<Context, Failure> {
    let file = file.map(|file| file.to_str().unwrap());
    Context::open(path.to_str().unwrap(), file, &BTreeMap::new()).await
}

/// The regular files of the archive.
async fn files(context: Context) -> BTreeMap<String, String> {
    let mut bytes = Vec::new();
    context.into_reader().read_to_end(&mut bytes).await.unwrap();
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.header().entry_type().is_file() {
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            files.insert(path, content);
        }
    }
    files
}

fn names(files: &BTreeMap<String, String>) -> Vec<&str> {
    files.keys().map(String::as_str).collect()
}

async fn refusal(path: &Path, file: Option<&Path>) -> String {
    match open(path, file).await {
        Err(Failure::Usage(message)) => message,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it is accepted"),
    }
}

#[tokio::test]
async fn the_dockerfile_and_the_rules_are_always_sent() {
    let rules = "*\n!kept\n";
    let directory = made(&[
        ("Dockerfile", "FROM a.example/x"),
        (".dockerignore", rules),
        ("kept", ""),
        ("x", ""),
    ]);
    let context = open(directory.path(), None).await.unwrap();
    assert_eq!(context.dockerfile, "Dockerfile");
    assert_eq!(context.registries, BTreeSet::from(["a.example".to_owned()]));
    let sent = files(context).await;
    assert_eq!(names(&sent), [".dockerignore", "Dockerfile", "kept"]);
    assert_eq!(sent[".dockerignore"], rules);
}

#[tokio::test]
async fn the_usual_name_may_be_lower_case_and_links_are_followed_to_it() {
    let directory = made(&[("dockerfile", "FROM x"), ("sub/Other", "FROM y")]);
    let root = directory.path();
    assert_eq!(open(root, None).await.unwrap().dockerfile, "dockerfile");
    symlink("sub/Other", root.join("link")).unwrap();
    let link = open(root, Some(&root.join("link"))).await.unwrap();
    assert_eq!(link.dockerfile, "sub/Other");
    let through = root.join("through");
    symlink(root.join("sub"), &through).unwrap();
    assert_eq!(open(&through, Some(&root.join("sub/Other"))).await.unwrap().dockerfile, "Other");
}

#[tokio::test]
async fn a_dockerfile_from_elsewhere_is_added_under_a_name_of_its_own() {
    let outside = made(&[("Dockerfile", "FROM outside")]);
    let file = outside.path().join("Dockerfile");
    for rules in [None, Some("secret")] {
        let directory = made(&[("Dockerfile", "FROM inside"), ("secret", "")]);
        if let Some(rules) = rules {
            fs::write(directory.path().join(".dockerignore"), rules).unwrap();
        }
        let context = open(directory.path(), Some(&file)).await.unwrap();
        let name = context.dockerfile.clone();
        assert!(name.starts_with(".dockerfile."), "{name}");
        let sent = files(context).await;
        assert_eq!(sent[&name], "FROM outside");
        assert_eq!(sent["Dockerfile"], "FROM inside");
        assert_eq!(sent.contains_key("secret"), rules.is_none());
        // The Engine takes both out again, but not what was there before.
        let expected = match rules {
            None => format!("{name}\n.dockerignore\n"),
            Some(rules) => format!("{rules}\n{name}\n"),
        };
        assert_eq!(sent[".dockerignore"], expected);
    }
}

#[tokio::test]
async fn rules_of_one_dockerfile_take_precedence() {
    let directory = made(&[
        ("a/Dockerfile", "FROM x"),
        ("a/Dockerfile.dockerignore", "x\na/Dockerfile\n"),
        (".dockerignore", "y\n"),
        ("x", ""),
        ("y", ""),
    ]);
    let file = directory.path().join("a/Dockerfile");
    let sent = files(open(directory.path(), Some(&file)).await.unwrap()).await;
    assert_eq!(names(&sent), [".dockerignore", "a/Dockerfile", "a/Dockerfile.dockerignore", "y"]);
    assert_eq!(sent[".dockerignore"], "x\na/Dockerfile\n");
}

#[tokio::test]
async fn what_is_wrong_with_a_context_is_told_with_its_name() {
    let directory = made(&[("Dockerfile", "FROM x"), ("sub/file", "")]);
    let root = directory.path();
    for (path, file, expected) in [
        (root.join("none"), None, "none: No such file"),
        (root.join("Dockerfile"), None, "wharf build - <"),
        (root.join("sub"), None, "has no Dockerfile; name it with -f"),
        (root.to_owned(), Some(root.join("other")), "other: No such file"),
        (root.to_owned(), Some(root.join("sub")), "sub: it is not a file"),
        ("https://example.com/a.git".into(), None, "clone or download it"),
    ] {
        let message = refusal(&path, file.as_deref()).await;
        assert!(message.contains(expected), "{message}");
    }
    fs::write(root.join(".dockerignore"), "ok\n[").unwrap();
    let message = refusal(root, None).await;
    assert!(message.contains(".dockerignore: line 2: \"[\" is not a pattern"), "{message}");
    let large = fs::File::create(root.join("Dockerfile")).unwrap();
    large.set_len(LARGEST_TEXT + 1).unwrap();
    fs::remove_file(root.join(".dockerignore")).unwrap();
    assert!(refusal(root, None).await.contains("larger than 4 MiB"));
}

#[test]
fn archives_are_recognized_by_their_first_bytes() {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    archive.append_data(&mut header, "a", io::empty()).unwrap();
    let archive = archive.into_inner().unwrap();
    assert!(is_archive(&archive[..512]) && is_archive(b"\x1f\x8b\x08...") && is_archive(b"BZh9"));
    assert!(!is_archive(&archive[..511]) && !is_archive(&[0; 512]) && !is_archive(b"FROM x\n"));
    assert!(!is_archive(&[b'x'; 512]));
}
