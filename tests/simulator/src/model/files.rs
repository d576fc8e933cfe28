//! Files in containers. The model keeps the archives that it gets, and gives them back as they
//! were: a directory that got an archive is one, and so are a few that every image has.

use serde_json::{Value, json};
use wharf_server::engine::ErrorKind;

use super::Model;
use super::refusal::Refusal;

/// Directories of every image.
const DIRECTORIES: [&str; 4] = ["/", "/data", "/etc", "/tmp"];

/// Go's bit for directories, and `rwxr-xr-x`.
const DIRECTORY: u32 = 1 << 31 | 0o755;

impl Model {
    /// `GET /containers/{id}/archive`: what a path is, and its archive.
    pub fn archive(&self, container: &str, path: &str) -> Result<(Value, Vec<u8>), Refusal> {
        let found = self.found(container)?;
        let archive = found.archives.get(path).cloned();
        if archive.is_none() && !DIRECTORIES.contains(&path) {
            return Err(no_such_path(container, path));
        }
        let name = path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("/");
        let stat = json!({
            "name": name, "size": 4096, "mode": DIRECTORY, "mtime": "2026-01-02T03:04:05Z",
            "linkTarget": "",
        });
        Ok((stat, archive.unwrap_or_else(|| vec![0; 1024])))
    }

    /// `PUT /containers/{id}/archive`: extracts an archive to a directory.
    pub fn extract(&mut self, container: &str, path: &str, archive: &[u8]) -> Result<(), Refusal> {
        let id = self.resolve(container)?;
        if !DIRECTORIES.contains(&path) && !self.at(&id).archives.contains_key(path) {
            return Err(no_such_path(container, path));
        }
        self.at(&id).archives.insert(path.to_owned(), archive.to_owned());
        Ok(())
    }
}

fn no_such_path(container: &str, path: &str) -> Refusal {
    let message = format!("Could not find the file {path} in container {container}");
    Refusal::new(404, ErrorKind::PathNotFound, message)
}
