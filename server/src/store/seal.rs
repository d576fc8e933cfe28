//! Sealing of secrets: XChaCha20-Poly1305 under a key that is kept outside the database.
//!
//! A sealed value is bound to its table and row, so that one who can write the file cannot move
//! a secret to a row where it would be sent elsewhere. Called by the other files of the store.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use chacha20poly1305::aead::{Aead, Generate, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::error::StoreError;
use crate::domain::Secret;

/// First byte of a sealed value, so that another scheme can follow one day.
const SCHEME: u8 = 1;
const NONCE_LENGTH: usize = 24;
const KEY_LENGTH: usize = 32;

/// Nonce of the key for fingerprints. Those of secrets are random, so none is ever the same.
const FINGERPRINT_NONCE: [u8; NONCE_LENGTH] = [0xff; NONCE_LENGTH];

pub(super) struct Sealer {
    cipher: XChaCha20Poly1305,
    fingerprint_key: Zeroizing<[u8; KEY_LENGTH]>,
}

impl Sealer {
    /// Reads the key of a file; none where the file is missing.
    pub(super) fn from_file(path: &Path) -> Result<Option<Self>, StoreError> {
        let failed = |source| StoreError::File {
            path: path.to_owned(),
            action: "read the key for secrets",
            source,
        };
        // A named pipe would keep the start waiting forever.
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(StoreError::KeyNotAFile { path: path.to_owned() });
        }
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let metadata = file.metadata().map_err(failed)?;
        if metadata.permissions().mode() & 0o007 != 0 {
            return Err(StoreError::KeyExposed { path: path.to_owned() });
        }
        if metadata.len() != KEY_LENGTH as u64 {
            return Err(StoreError::KeyLength { path: path.to_owned(), length: metadata.len() });
        }
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        file.read_exact(bytes.as_mut()).map_err(failed)?;
        Ok(Some(Self::new(&bytes)))
    }

    /// Draws a key and writes it to a file that is not there yet, readable by its owner only.
    pub(super) fn create_file(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::File {
            path: path.to_owned(),
            action: "write the key for secrets",
            source,
        };
        let bytes = Zeroizing::new(<[u8; KEY_LENGTH]>::from(
            Key::try_generate().map_err(|_| StoreError::Random)?,
        ));
        // Under another name first: a crash must not leave half a key under the real one.
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".new");
        let unfinished = Path::new(&unfinished);
        match fs::remove_file(unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(unfinished)
            .map_err(failed)?;
        file.write_all(bytes.as_ref()).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(unfinished, path).map_err(failed)?;
        if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
        }
        Ok(Self::new(&bytes))
    }

    /// Seals a secret for one row of one table.
    pub(super) fn seal(
        &self,
        table: &'static str,
        row: &str,
        secret: &Secret,
    ) -> Result<Vec<u8>, StoreError> {
        let nonce = XNonce::try_generate().map_err(|_| StoreError::Random)?;
        let (msg, aad) = (secret.expose().as_bytes(), place(table, row));
        let ciphertext = self
            .cipher
            .encrypt(&nonce, Payload { msg, aad: &aad })
            .expect("a secret is shorter than the 256 GiB that the cipher takes");
        Ok([&[SCHEME], nonce.as_slice(), &ciphertext].concat())
    }

    /// Opens what was sealed for this row of this table, and nothing else.
    pub(super) fn open(
        &self,
        table: &'static str,
        row: &str,
        sealed: &[u8],
    ) -> Result<Secret, StoreError> {
        self.try_open(table, row, sealed)
            .ok_or_else(|| StoreError::Unsealable { table, row: row.to_owned() })
    }

    fn new(bytes: &[u8; KEY_LENGTH]) -> Self {
        let cipher = XChaCha20Poly1305::new(&Key::from(*bytes));
        // The key stream that no secret is sealed with.
        let stream = cipher
            .encrypt(&XNonce::from(FINGERPRINT_NONCE), [0; KEY_LENGTH].as_slice())
            .map(Zeroizing::new)
            .expect("32 bytes are shorter than the 256 GiB that the cipher takes");
        let mut fingerprint_key = Zeroizing::new([0; KEY_LENGTH]);
        fingerprint_key.copy_from_slice(&stream[..KEY_LENGTH]);
        Self { cipher, fingerprint_key }
    }

    /// Tells contents apart that may hold secrets. Without the key nobody can try out what they
    /// might be.
    pub(super) fn fingerprint(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.fingerprint_key.as_slice());
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    fn try_open(&self, table: &str, row: &str, sealed: &[u8]) -> Option<Secret> {
        let (&scheme, rest) = sealed.split_first()?;
        let (nonce, msg) = rest.split_at_checked(NONCE_LENGTH)?;
        if scheme != SCHEME {
            return None;
        }
        let nonce = XNonce::try_from(nonce).ok()?;
        let plain = self.cipher.decrypt(&nonce, Payload { msg, aad: &place(table, row) }).ok()?;
        String::from_utf8(plain).ok().map(Secret::new)
    }
}

/// No table name contains a NUL, so two places never read the same.
fn place(table: &str, row: &str) -> Vec<u8> {
    [table.as_bytes(), &[0], row.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&[byte; KEY_LENGTH])
    }

    #[test]
    fn a_fingerprint_depends_on_the_key_and_on_where_the_parts_end() {
        let of = |byte: u8, parts: &[&[u8]]| sealer(byte).fingerprint(parts);
        assert_eq!(of(1, &[b"a", b"bc"]), of(1, &[b"a", b"bc"]));
        assert_ne!(of(1, &[b"a", b"bc"]), of(1, &[b"ab", b"c"]));
        assert_ne!(of(1, &[b"a", b"bc"]), of(2, &[b"a", b"bc"]), "another key");
    }

    #[test]
    fn a_secret_opens_only_where_and_with_what_it_was_sealed() {
        let secret = Secret::new("hunter2");
        let sealed = sealer(1).seal("logins", "a", &secret).unwrap();
        assert_eq!(sealer(1).open("logins", "a", &sealed).unwrap(), secret);
        assert!(sealer(2).open("logins", "a", &sealed).is_err(), "another key");
        assert!(sealer(1).open("logins", "b", &sealed).is_err(), "another row");
        assert!(sealer(1).open("hosts", "a", &sealed).is_err(), "another table");
        for length in 0..sealed.len() {
            assert!(sealer(1).open("logins", "a", &sealed[..length]).is_err(), "cut at {length}");
        }
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(sealer(1).open("logins", "a", &changed).is_err(), "changed at {index}");
        }
    }

    #[test]
    fn the_same_secret_never_looks_the_same() {
        let secret = Secret::new("hunter2");
        let (one, two) = (sealer(1).seal("t", "r", &secret), sealer(1).seal("t", "r", &secret));
        assert_ne!(one.unwrap(), two.unwrap());
    }

    #[test]
    fn a_key_file_is_private_whole_and_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret.key");
        assert!(Sealer::from_file(&path).unwrap().is_none());
        let sealed = Sealer::create_file(&path).unwrap().seal("t", "r", &Secret::new("x")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = Sealer::from_file(&path).unwrap().unwrap();
        assert_eq!(again.open("t", "r", &sealed).unwrap().expose(), "x");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Sealer::from_file(&path), Err(StoreError::KeyExposed { .. })));
        fs::write(&path, "short").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(Sealer::from_file(&path), Err(StoreError::KeyLength { length: 5, .. })));
    }
}
