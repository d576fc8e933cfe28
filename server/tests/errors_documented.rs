//! Every reason that the server can give has its line in docs/errors.md, and no line there
//! is about a reason that is gone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn code_and_document_name_the_same_reasons() {
    let server = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut in_code = BTreeSet::new();
    let mut files = rust_files(&server.join("src/api"));
    files.extend(rust_files(&server.join("src/rollout")));
    files.push(server.join("src/engine/error.rs"));
    for file in files {
        let text = fs::read_to_string(&file).expect("readable source");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        in_code.extend(constants(text, '"'));
    }
    let document = fs::read_to_string(server.join("../docs/errors.md")).expect("docs/errors.md");
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    let in_document: BTreeSet<_> =
        rows.filter_map(|row| constants(row, '`').into_iter().next()).collect();
    assert!(in_code.len() > 30, "the search finds too little: {in_code:?}");
    assert_eq!(in_code, in_document);
}

/// Words such as HOST_TIMEOUT between quotes.
fn constants(text: &str, quote: char) -> Vec<String> {
    let is_constant = |word: &&str| {
        word.len() > 5
            && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
            && (word.contains('_') || *word == "INTERNAL")
            && !word.starts_with("CARGO_")
    };
    text.split(quote).filter(is_constant).map(str::to_owned).collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "tests") {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && path.file_name().is_some_and(|name| name != "tests.rs")
        {
            files.push(path);
        }
    }
    files
}
