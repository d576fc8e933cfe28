//! The names in an archive of a host, and what they become here. Pure.
//!
//! A host may send anything: no name leads out of the destination, and none is of another file
//! than what was asked for.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::printer::printable;

/// Parts of the longest name. Every directory on the way is opened.
const DEEPEST: usize = 1000;

/// The names that an archive may have, and the one that its root gets here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// The first part of every name; none if the archive is the content of a directory.
    pub root: Option<OsString>,
    /// What that part becomes; with the content of a directory, a part to put before the others.
    pub renamed: Option<OsString>,
}

/// A name that is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// It has `..` in it.
    #[error("the archive has the name \"{0}\", which leads out of the destination")]
    Outside(String),
    /// It is not what was asked for.
    #[error("the archive has the name \"{0}\", which is not part of what was asked for")]
    Stranger(String),
    /// It is none.
    #[error("the archive has the name \"{0}\", which no file can have")]
    Impossible(String),
}

impl Names {
    /// The parts of the name here, without those that do nothing. None: the destination itself.
    pub fn parts(&self, name: &[u8]) -> Result<Vec<OsString>, BadName> {
        let shown = || printable(&String::from_utf8_lossy(name)).chars().take(200).collect();
        let mut parts: Vec<OsString> = Vec::new();
        // The Engine begins the names of the root's content with `/`.
        for part in name.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return Err(BadName::Outside(shown())),
                part if part.contains(&0) || parts.len() == DEEPEST => {
                    return Err(BadName::Impossible(shown()));
                }
                part => parts.push(OsStr::from_bytes(part).to_owned()),
            }
        }
        match (&self.root, &self.renamed) {
            (Some(root), _) if parts.first() != Some(root) => {
                return Err(BadName::Stranger(shown()));
            }
            (Some(_), Some(renamed)) => parts[0].clone_from(renamed),
            (None, Some(renamed)) => parts.insert(0, renamed.clone()),
            (_, None) => {}
        }
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: Option<&str>, renamed: Option<&str>) -> Names {
        Names { root: root.map(Into::into), renamed: renamed.map(Into::into) }
    }

    fn path(names: &Names, name: &str) -> Result<String, BadName> {
        names.parts(name.as_bytes()).map(|parts| parts.join(OsStr::new("/")).into_string().unwrap())
    }

    #[test]
    fn names_get_their_new_root() {
        let plain = names(Some("conf"), None);
        assert_eq!(path(&plain, "conf").unwrap(), "conf");
        assert_eq!(path(&plain, "./conf//a/./b/").unwrap(), "conf/a/b");
        assert_eq!(path(&names(Some("conf"), Some("new")), "conf/conf").unwrap(), "new/conf");
        let content = names(None, None);
        assert_eq!(path(&content, "./").unwrap(), "");
        assert_eq!(path(&content, "/bin/sh").unwrap(), "bin/sh");
        let under = names(None, Some("new"));
        assert_eq!(path(&under, "./").unwrap(), "new");
        assert_eq!(path(&under, "./a").unwrap(), "new/a");
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let content = names(None, None);
        for name in ["..", "../x", "a/../../x", "a/..", "/..", "./../x"] {
            assert!(matches!(path(&content, name), Err(BadName::Outside(_))), "{name}");
        }
        let conf = names(Some("conf"), Some("new"));
        for name in ["", ".", "/", ".bashrc", "conf2", "new", "./.ssh/authorized_keys"] {
            assert!(matches!(path(&conf, name), Err(BadName::Stranger(_))), "{name}");
        }
        assert!(matches!(path(&content, "a\0b"), Err(BadName::Impossible(_))));
        assert!(matches!(path(&content, &"a/".repeat(2000)), Err(BadName::Impossible(_))));
    }

    #[test]
    fn a_name_does_nothing_to_a_terminal() {
        let error = path(&names(None, None), "\u{1b}[2J/../x").unwrap_err();
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
    }
}
