//! A small disk for the data of a `wharfd`, which a test can fill and free.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;
use testbed::Wharfd;

/// What is written at a time: a page of the file system, so that none is left.
const PAGE: [u8; 4096] = [0; 4096];

/// A mounted tmpfs. Unmounted at the end.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Stops a server, moves its data to a disk of this many KiB, and starts it again there.
    pub async fn under(wharfd: &Wharfd, kib: u32) -> anyhow::Result<SmallDisk> {
        // A server that ends by itself leaves nothing in its log of writes.
        wharfd.terminate().await?;
        let directory = wharfd.data_directory();
        let aside = directory.with_extension("aside");
        fs::rename(&directory, &aside)?;
        fs::create_dir(&directory)?;
        let size = format!("size={kib}k,mode=0700");
        run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs"], &directory)?;
        let disk = SmallDisk(directory.clone());
        let content = format!("{}/.", aside.display());
        run("cp", &["-a", &content], &directory)?;
        wharfd.restart().await?;
        Ok(disk)
    }

    /// Leaves no room.
    pub fn fill(&self) -> anyhow::Result<()> {
        let mut file = File::create(self.filling())?;
        while file.write_all(&PAGE).is_ok() {}
        Ok(())
    }

    /// Makes room again.
    pub fn free(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.filling())?)
    }

    fn filling(&self) -> PathBuf {
        self.0.join("filling")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn run(program: &str, arguments: &[&str], last: &Path) -> anyhow::Result<()> {
    let status = Command::new(program).args(arguments).arg(last).status()?;
    ensure!(status.success(), "{program}: {status}");
    Ok(())
}
