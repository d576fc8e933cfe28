//! The file of tokens: lines of `name:role:token` or `name:role:SHA256-OF-TOKEN`. Read by
//! `settings` at start.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sha2::{Digest, Sha256};

use crate::domain::{Role, quoted};

/// One accepted token. Only its digest is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The name of the caller, for the log.
    pub name: String,
    /// The role of the caller.
    pub role: Role,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Token({}, {})", self.name, self.role)
    }
}

/// Reads the lines, without empty lines and those that begin with `#`. An error has the line and
/// its problem, without the token. `exposed` says that every user of the machine can
/// read the file, which is harmless only where all tokens are hashed.
pub(super) fn parse(text: &str, exposed: bool) -> Result<Vec<Token>, String> {
    let mut names = BTreeSet::new();
    let mut bearers = BTreeMap::new();
    let mut tokens = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = |problem: String| format!("line {}: {problem}", index + 1);
        let token = parse_line(line, exposed).map_err(at)?;
        let Token { name, sha256, .. } = &token;
        if !names.insert(name.clone()) {
            return Err(at(format!("duplicate name {}; rename one", quoted(name))));
        }
        if let Some(other) = bearers.insert(*sha256, name.clone()) {
            return Err(at(format!(
                "{name} has the same token as {other}; generate another with `openssl rand -hex 32`"
            )));
        }
        tokens.push(token);
    }
    if tokens.is_empty() {
        return Err("contains no token; write lines of name:role:token".to_owned());
    }
    Ok(tokens)
}

fn parse_line(line: &str, exposed: bool) -> Result<Token, String> {
    /// What nobody guesses: 16 characters of base64 are 96 bits.
    const SHORTEST: usize = 16;
    let mut parts = line.splitn(3, ':');
    let (Some(name), Some(role), Some(secret)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("write name:role:token with the role reader, operator, or admin".to_owned());
    };
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
    if name.is_empty() || name.len() > 63 || !name.bytes().all(known) {
        return Err(format!(
            "{} is not a valid name: use 1 to 63 of a-z A-Z 0-9 . _ @ -",
            quoted(name)
        ));
    }
    let role = Role::parse(role).map_err(|error| error.to_string())?;
    let sha256 = match decode_sha256(secret) {
        Some(sha256) => sha256,
        None if secret.len() < SHORTEST => {
            return Err(format!(
                "the token of {name} is shorter than {SHORTEST} characters; generate one with `openssl rand -hex 32`"
            ));
        }
        None if !secret.bytes().all(|byte| byte.is_ascii_graphic()) => {
            return Err(format!("the token of {name} contains spaces or non-ASCII characters"));
        }
        None if exposed => {
            return Err(format!(
                "the token of {name} is not hashed, and every user of this machine can read the file; run `chmod o-r` on it, or write the token's SHA-256"
            ));
        }
        None => Sha256::digest(secret).into(),
    };
    Ok(Token { name: name.to_owned(), role, sha256 })
}

fn decode_sha256(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
    if text.len() != 64 {
        return None;
    }
    let mut sha256 = [0; 32];
    for (byte, pair) in sha256.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(sha256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_and_its_digest_are_the_same() {
        let token = "correct-horse-battery";
        let digest: String =
            Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
        let read = |line: &str| parse(&format!("# for people\n\n {line} \n"), false).unwrap();
        let (plain, hashed) =
            (read(&format!("ann:admin:{token}")), read(&format!("ci:operator:{digest}")));
        assert_eq!((&*plain[0].name, plain[0].role), ("ann", Role::Admin));
        assert_eq!((&*hashed[0].name, hashed[0].role), ("ci", Role::Operator));
        assert_eq!(plain[0].sha256, hashed[0].sha256);
        assert!(!format!("{plain:?}").contains("horse"));
    }

    #[test]
    fn a_bad_line_is_named_without_its_token() {
        for (text, expected) in [
            ("", "contains no token"),
            ("# nothing\n", "contains no token"),
            ("ann:admin", "line 1: write name:role:token"),
            ("\nann:root:correct-horse-battery", "line 2: \"root\" is not a role"),
            ("a b:admin:correct-horse-battery", "not a valid name"),
            (":admin:correct-horse-battery", "not a valid name"),
            ("ann:admin:short-horse", "shorter than 16"),
            ("ann:admin:", "shorter than 16"),
            ("ann:admin:correct horse battery", "contains spaces"),
            (
                "a:admin:correct-horse-battery\na:reader:correct-horse-batterz",
                "line 2: duplicate name",
            ),
            (
                "a:reader:correct-horse-battery\nb:admin:correct-horse-battery",
                "line 2: b has the same token as a",
            ),
        ] {
            let problem = parse(text, false).unwrap_err();
            assert!(problem.contains(expected), "{text:?}: {problem}");
            assert!(!problem.contains("horse"), "{problem}");
        }
    }
}
