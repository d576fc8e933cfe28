//! The private directory of this process for the sockets of its hosts. Whoever can connect to them
//! is root on those hosts. One that a killed process left is removed when the next one starts.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// The file that the owner of a directory holds locked while it lives.
const LOCK: &str = "lock";
/// The longest name of a socket.
const LONGEST_NAME: &str = "4294967295.sock";
/// `sun_path` holds 108 bytes, one of them for the NUL at the end.
const LONGEST_PATH: usize = 107;

/// A directory with mode 0700; removed when dropped.
#[derive(Debug)]
pub(super) struct PrivateDirectory {
    path: PathBuf,
    _lock: File,
}

impl PrivateDirectory {
    /// A new directory below `parent`, which is created if it is missing. Removes those of
    /// processes that are gone.
    pub(super) fn create(parent: &Path) -> io::Result<Self> {
        let path = parent.join(&Uuid::new_v4().simple().to_string()[..8]);
        if path.join(LONGEST_NAME).as_os_str().len() > LONGEST_PATH {
            let problem = format!(
                "{} is too long for the path of a socket; set a shorter --data-dir",
                parent.display()
            );
            return Err(io::Error::other(problem));
        }
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        // Held while a directory has no lock of its own yet.
        let gate = File::create(parent.join(LOCK))?;
        gate.lock()?;
        remove_stale(parent)?;
        DirBuilder::new().mode(0o700).create(&path)?;
        let lock = File::create(path.join(LOCK))?;
        lock.lock()?;
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        // What stays, the next process removes.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn remove_stale(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)?.flatten() {
        let name = entry.file_name();
        let is_ours = name.to_str().is_some_and(|name| {
            name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        if !is_ours || !entry.file_type()?.is_dir() {
            continue;
        }
        let owned = File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_err());
        if !owned && let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::warn!(path = %entry.path().display(), %error, "old sockets stay");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_lives_stays() {
        let parent = tempfile::tempdir().unwrap();
        let living = PrivateDirectory::create(parent.path()).unwrap();
        assert_eq!(fs::metadata(living.path()).unwrap().permissions().mode() & 0o777, 0o700);
        let killed = parent.path().join("0a1b2c3d");
        fs::create_dir(&killed).unwrap();
        fs::write(killed.join(LOCK), "").unwrap();
        fs::write(killed.join("1.sock"), "").unwrap();
        let foreign = parent.path().join("somebody's");
        fs::create_dir(&foreign).unwrap();
        let next = PrivateDirectory::create(parent.path()).unwrap();
        assert!(!killed.exists());
        assert!(foreign.exists() && living.path().exists() && next.path() != living.path());
        let path = next.path().to_owned();
        drop(next);
        assert!(!path.exists());
    }

    #[test]
    fn a_path_that_no_socket_can_have_is_refused() {
        let parent = Path::new("/tmp").join("x".repeat(90));
        let error = PrivateDirectory::create(&parent).unwrap_err().to_string();
        assert!(error.contains("--data-dir"), "{error}");
        assert!(!parent.exists());
    }
}
