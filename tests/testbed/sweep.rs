//! Removes the leftovers of a run: daemons, containers, mounts, cgroups, files. Used by the reaper
//! when the owner of a run is gone, by every new run for those whose reaper was killed too, and for
//! a single Engine at the end of a test.

mod podman;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::Signal;

use crate::process::{self, ProcessId};
use crate::run;

/// Below this cgroup the Engines of the testbed put their containers: `wharf-testbed/RUN/ENGINE`.
pub const CGROUP: &str = "wharf-testbed";

/// In the root of an Engine of another release: the directory of the Engine. Whatever sees it
/// there is a process of that Engine.
pub const ROOT_MARKER: &str = "/run/wharf-testbed";

/// What the testbed starts, and what those start with the directory among their arguments.
const PROGRAMS: &[&str] =
    &["dockerd", "containerd", "docker-registry", "wharfd", "runc", "podman", "conmon", "sshd"];

/// The lock that the reaper of a run holds.
const LOCK: &str = "reaper.lock";

/// A run that was found without its owner, and what became of it.
#[derive(Debug)]
pub struct Swept {
    pub directory: PathBuf,
    pub result: anyhow::Result<()>,
}

/// Removes every run below `root` whose owner and whose reaper are gone.
pub fn sweep(root: &Path) -> anyhow::Result<Vec<Swept>> {
    let mut swept = Vec::new();
    for entry in fs::read_dir(root)? {
        let directory = entry?.path();
        let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(owner) = ProcessId::parse(&name) else { continue };
        if owner.is_alive() {
            continue;
        }
        if let Some(_lock) = take_over(&directory) {
            let result = clean(&directory);
            swept.push(Swept { directory, result });
        }
    }
    Ok(swept)
}

/// The life of a reaper: it holds the lock of the run, waits until the owner's end of the pipe is
/// closed, and cleans up.
pub fn reap(directory: &Path, ready: impl FnOnce(), mut owner: impl Read) -> anyhow::Result<()> {
    let lock = File::create(directory.join(LOCK))?;
    lock.lock().context("locking the run")?;
    ready();
    // The owner never writes; the end of the file is all that can come.
    let mut buffer = [0; 16];
    while owner.read(&mut buffer).is_ok_and(|length| length > 0) {}
    clean(directory)
}

/// Ends every process that belongs to `directory`, then removes its mounts, its cgroups and the
/// directory itself. Nothing happens when it does not exist.
pub fn clean(directory: &Path) -> anyhow::Result<()> {
    if !directory.exists() {
        return Ok(());
    }
    let mut cgroups = cgroups(directory)?;
    cgroups.extend(podman::cgroups(directory, &hierarchies()?));
    end_processes(directory, &cgroups)?;
    podman::remove_bridges(directory);
    remove_shim_sockets(directory);
    unmount_below(directory)?;
    for cgroup in &cgroups {
        remove_cgroup(cgroup);
    }
    fs::remove_dir_all(directory).with_context(|| format!("removing {}", directory.display()))
}

/// The lock of the run, unless its reaper or another sweep holds it.
fn take_over(directory: &Path) -> Option<File> {
    let lock = File::create(directory.join(LOCK)).ok()?;
    lock.try_lock().is_ok().then_some(lock)
}

fn end_processes(directory: &Path, cgroups: &[PathBuf]) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mut processes = recorded(directory);
        processes.extend(process::find(PROGRAMS, directory));
        processes.extend(process::with_marker(ROOT_MARKER, directory));
        for cgroup in cgroups {
            collect_members(cgroup, &mut processes);
        }
        processes.retain(|process| process.is_alive());
        if processes.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("these processes do not end: {processes:?}");
        }
        for process in processes {
            process.signal(Signal::KILL);
        }
        #[expect(clippy::disallowed_methods, reason = "runs in `drop` and without a runtime")]
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The processes that `Daemon::spawn` wrote down, here and in the directories below.
fn recorded(directory: &Path) -> Vec<ProcessId> {
    let below = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    std::iter::once(directory.to_owned())
        .chain(below)
        .filter_map(|place| fs::read_dir(place).ok())
        .flat_map(Iterator::flatten)
        .filter(|entry| entry.path().extension() == Some(OsStr::new("process")))
        .filter_map(|entry| ProcessId::parse(&fs::read_to_string(entry.path()).ok()?))
        .collect()
}

/// A shim that is killed leaves its socket in a directory that all containerds share; where it
/// is, containerd keeps beside the state of the container.
fn remove_shim_sockets(directory: &Path) {
    let mut places = vec![directory.to_owned()];
    while let Some(place) = places.pop() {
        for entry in fs::read_dir(&place).into_iter().flatten().flatten() {
            let path = entry.path();
            // Root file systems of containers are not ours to search, and are large.
            let skip = ["rootfs", "data", "root"].map(OsStr::new).contains(&&*entry.file_name());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !skip {
                places.push(path);
            } else if path.file_name() == Some(OsStr::new("address"))
                && let Ok(address) = fs::read_to_string(&path)
                && let Some(socket) = address.strip_prefix("unix://")
                && socket.starts_with("/run/containerd/s/")
            {
                // It is gone where the shim ended by itself.
                let _ = fs::remove_file(socket);
            }
        }
    }
}

/// # Errors
/// When something stays mounted: to remove the directory would then remove what is mounted.
fn unmount_below(directory: &Path) -> anyhow::Result<()> {
    for mount in mounts_below(directory)?.iter().rev() {
        unmount(mount, UnmountFlags::DETACH)
            .with_context(|| format!("unmounting {}", mount.display()))?;
    }
    match mounts_below(directory)?.first() {
        Some(mount) => bail!("{} is still mounted", mount.display()),
        None => Ok(()),
    }
}

/// In the order in which they were mounted.
fn mounts_below(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let table = fs::read("/proc/self/mountinfo").context("reading the mounts")?;
    Ok(table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(unescape)
        .filter(|mount| mount.starts_with(directory) && mount != directory)
        .collect())
}

/// Undoes the `\040` of the kernel's tables.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| first == b'\\');
        let code = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|code| u8::from_str_radix(code, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// The directories of `wharf-testbed/RUN[/ENGINE]` in every hierarchy that is mounted: one with
/// cgroup v2, one for each controller with v1.
fn cgroups(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let below = directory.strip_prefix(run::root()?).unwrap_or(Path::new(""));
    if below.as_os_str().is_empty() {
        return Ok(Vec::new());
    }
    let places = hierarchies()?.into_iter().map(|place| place.join(CGROUP).join(below));
    Ok(places.filter(|cgroup| cgroup.is_dir()).collect())
}

fn hierarchies() -> anyhow::Result<Vec<PathBuf>> {
    let table = fs::read("/proc/self/mounts").context("reading the mounts")?;
    Ok(table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let mut fields = line.split(|byte| *byte == b' ').skip(1);
            let place = unescape(fields.next()?);
            let kind = OsStr::from_bytes(fields.next()?);
            (kind == "cgroup" || kind == "cgroup2").then_some(place)
        })
        .collect())
}

fn collect_members(cgroup: &Path, members: &mut Vec<ProcessId>) {
    let listed = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    let pids = listed.lines().filter_map(|line| line.parse().ok());
    members.extend(pids.filter_map(ProcessId::of));
    for child in children(cgroup) {
        collect_members(&child, members);
    }
}

/// What cannot be removed is empty and costs nothing, so it is left.
fn remove_cgroup(cgroup: &Path) {
    for child in children(cgroup) {
        remove_cgroup(&child);
    }
    let _ = fs::remove_dir(cgroup);
}

fn children(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()).collect()
}
