//! The root directory of another release, in a separate mount namespace: its programs need their
//! own libraries and helpers in the usual places, and their mounts must not be visible on this
//! machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::daemon::Daemon;
use crate::poll::eventually;
use crate::{run, sweep, tools};

/// Everything but `/usr`, which is the release's and read-only, is in a tmpfs: Engines that share a
/// release do not see each other. A true pivot, so that runc can pivot again below it. `/proc`,
/// `/sys`, `/dev` and the temporary directory are the machine's, so that a path below that one means
/// the same here and there.
const ENTER: &str = r#"set -e
release=$1 engine=$2 temporary=$3 marker=$4 new=$2/root
mkdir -p "$new"
mount -t tmpfs -o mode=755 engine "$new"
cd "$new"
mkdir -p dev proc sys run/lock tmp usr var/lib var/log var/tmp root home opt srv mnt .old
for name in bin sbin lib lib64; do ln -s "usr/$name" "$name"; done
ln -s ../run var/run
cp -a "$release/etc" etc
for name in resolv.conf hosts hostname localtime; do
    if [ -e "/etc/$name" ]; then cat "/etc/$name" >"etc/$name"; fi
done
mount --bind "$release/usr" usr
mount -o remount,bind,ro usr
for name in dev proc sys; do mount --rbind "/$name" "$name"; done
mkdir -p ".$temporary"
mount --bind "$temporary" ".$temporary"
echo "$engine" >".$marker"
pivot_root . .old
cd /
/usr/bin/busybox umount -l /.old
: >"$engine/root.ready"
exec /usr/bin/busybox sleep 2147483647
"#;

/// A namespace that lives as long as its first process, which does nothing.
#[derive(Debug)]
pub(super) struct Root {
    holder: Daemon,
}

impl Root {
    /// Returns when it can be entered.
    pub(super) async fn start(release: &Path, directory: &Path) -> anyhow::Result<Root> {
        let runs = run::root()?;
        let temporary = runs.parent().context("the directory of all runs has a parent")?;
        ensure!(temporary != Path::new("/"), "TMPDIR must not be the root directory");
        let mut command = Command::new(tools::system("unshare")?);
        command
            .args(["--mount", "--propagation", "slave", "--", "/bin/sh", "-c", ENTER, "enter"])
            .args([release, directory, temporary, Path::new(sweep::ROOT_MARKER)])
            .env_clear()
            .env("PATH", PATH)
            .current_dir(directory);
        let root = Root { holder: Daemon::spawn("root", directory, command)? };
        let ready: PathBuf = directory.join("root.ready");
        let mut ended = None;
        eventually("the root of the Engine", async || {
            ended = root.holder.check_running().err();
            if ended.is_some() {
                return Ok(());
            }
            fs::metadata(&ready).map(drop).context("it is not ready")
        })
        .await?;
        ended.map_or(Ok(root), Err)
    }

    /// A program of the release, in the namespace. It becomes the process that is started.
    pub(super) fn command(&self, program: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(tools::system("nsenter")?);
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.holder.pid())).args(["--", program]);
        Ok(command)
    }
}

pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
