//! What of a directory reaches the Engine, compared with docker's own command line: the builder
//! uses its stored layers only if the context is the same, down to modes and links. So the same image
//! ID from both means the same context.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, ensure};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use testbed::{Engine, EngineKind, Image, Wharf};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{directory, text};
use crate::support::World;

/// Bytes of a file that takes no space, and far too long to read.
const HUGE: u64 = 5 << 30;

/// The two command lines, and an Engine for both.
struct Pair {
    world: World,
    base: String,
}

impl Pair {
    async fn start() -> anyhow::Result<Pair> {
        let world = World::start().await?;
        let base = world.image(&Image::new("v1")).await?;
        Ok(Pair { world, base })
    }

    fn cli(&self) -> &Wharf {
        &self.world.cli
    }

    fn alpha(&self) -> &'static Engine {
        &self.world.engines()[0]
    }

    /// A Dockerfile that takes the whole context.
    fn dockerfile(&self, label: &str) -> String {
        format!("FROM {}\nLABEL case={label:?}\nCOPY . /context/\n", self.base)
    }

    /// Builds with docker and then with wharf, each with this standard input. Returns the ID, which
    /// must be the same.
    async fn same(&self, arguments: &[&str], input: &[u8]) -> anyhow::Result<String> {
        let mut docker: Command = EngineKind::Docker28.program("docker")?.into();
        docker.arg("--host").arg(self.alpha().address()).args(["build", "-q"]).args(arguments);
        docker.env_clear().env("HOME", self.cli().home()).env("DOCKER_BUILDKIT", "0");
        let by_docker = run(docker.current_dir(self.cli().home()), input).await?;
        let mine = [&["build", "-H", "alpha", "-q", "-o", "json"], arguments].concat();
        let by_wharf = run(&mut self.cli().command(&mine)?, input).await?;
        let by_wharf: serde_json::Value = serde_json::from_str(&by_wharf)?;
        let id = by_wharf["id"].as_str().context("an ID")?;
        ensure!(id == by_docker.trim(), "{arguments:?}: {by_wharf}, but docker has {by_docker}");
        Ok(id.to_owned())
    }
}

async fn run(command: &mut Command, input: &[u8]) -> anyhow::Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take().context("an input")?;
    stdin.write_all(input).await?;
    drop(stdin);
    let output = tokio::time::timeout(testbed::LIMIT, child.wait_with_output()).await??;
    ensure!(output.status.success(), "{command:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test]
async fn rules_mean_what_they_mean_to_docker() -> anyhow::Result<()> {
    let pair = Pair::start().await?;
    let files = [
        "a/b/c.md",
        "a/b/keep",
        "a/x.go",
        "b/a.txt",
        "b/keep/deep/y",
        "README.md",
        "main.go",
        "x y",
        ".hidden",
        "[z]",
        "ab/c",
        "star*",
        "a/.dockerignore",
    ];
    let mut ids = BTreeSet::new();
    for rules in [
        "# nothing\n",
        "*\n!a/b/keep\n",
        "**/*.md\n!README.md\n",
        "a\n!a/b\na/b/c.md\n",
        "/b/\n./ab/../main.go\n",
        "**/keep\n",
        "a?\n[ab]/*.txt\n\\[z\\]\nstar\\*\n",
        "[^a-b]*\n!x y\n",
        "**.go\n  x y  \n",
        "a/**\n!a/b/**\n.dockerignore\n",
        "Dockerfile\n.dockerignore\n.hidden\n",
        "b/*\n!b/keep\nb/keep/deep\n",
        "a\n!a/b/keep\nb*\n",
    ] {
        let made = files.map(|file| (file, file));
        let file = pair.dockerfile("rules");
        let special = [("Dockerfile", file.as_str()), (".dockerignore", rules)];
        let made = directory(pair.cli(), &[&made[..], &special].concat())?;
        ids.insert(pair.same(&[text(&made)?], b"").await.with_context(|| rules.to_owned())?);
    }
    assert_eq!(ids.len(), 13, "each set of rules is another context");
    Ok(())
}

#[tokio::test]
async fn files_of_every_kind_arrive_as_docker_sends_them() -> anyhow::Result<()> {
    let pair = Pair::start().await?;
    let rules = "huge\nhuge-directory\n";
    let files = [("Dockerfile", pair.dockerfile("kinds")), (".dockerignore", rules.to_owned())];
    let files = files.each_ref().map(|(path, content)| (*path, content.as_str()));
    let made = directory(pair.cli(), &[&files[..], &[("plain", "x"), ("sub/y", "y")]].concat())?;
    let path = |name: &str| made.join(name);
    symlink("/etc/passwd", path("outside"))?;
    symlink("../../..", path("above"))?;
    symlink("nowhere//./x", path("broken"))?;
    fs::hard_link(path("plain"), path("same"))?;
    fs::set_permissions(path("plain"), fs::Permissions::from_mode(0o4751))?;
    fs::set_permissions(path("sub"), fs::Permissions::from_mode(0o1777))?;
    rustix::fs::chown(path("sub/y"), Some(rustix::fs::Uid::from_raw(1234)), None)?;
    mknodat(CWD, path("null"), FileType::CharacterDevice, Mode::RUSR, makedev(1, 3))?;
    mknodat(CWD, path("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    let _socket = UnixListener::bind(path("socket"))?;
    fs::create_dir(path("huge-directory"))?;
    for huge in ["huge", "huge-directory/one"] {
        File::create(path(huge))?.set_len(HUGE)?;
    }
    pair.same(&[text(&made)?], b"").await?;
    let listed = format!("FROM {}\nCOPY . /c/\nRUN ls -l /c; cat /c/plain\n", pair.base);
    fs::write(path("Dockerfile"), listed)?;
    let output = pair.cli().run(&["build", "-H", "alpha", text(&made)?]).await?.expect(0)?;
    for line in ["outside -> /etc/passwd", "above -> ../../..", "broken -> nowhere//./x", "1,   3 "]
    {
        assert!(output.stderr.contains(line), "{line}: {output:?}");
    }
    assert!(!output.stderr.contains("huge") && !output.stderr.contains("socket"), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn dockerfiles_and_archives_come_from_anywhere() -> anyhow::Result<()> {
    let pair = Pair::start().await?;
    let file = pair.dockerfile("places");
    let outside = pair.cli().write("outside/Dockerfile.other", &file)?;
    let made = directory(pair.cli(), &[("kept", "1"), ("left", "2"), ("in/Other", &file)])?;
    let root = text(&made)?;
    // Without its last line, docker itself makes another image each time: it adds a random name to
    // the file.
    fs::write(made.join(".dockerignore"), "left\nin\n.dockerignore\n")?;
    pair.same(&["-f", text(&outside)?, root], b"").await?;
    pair.same(&["-f", "-", root], file.as_bytes()).await?;
    pair.same(&["-f", text(&made.join("in/Other"))?, root], b"").await?;
    fs::remove_file(made.join(".dockerignore"))?;
    pair.same(&["-f", text(&outside)?, root], b"").await?;
    let plain = format!("FROM {}\nLABEL from=stdin\n", pair.base);
    pair.same(&["-"], plain.as_bytes()).await?;
    let archive = archive(&made)?;
    pair.same(&["-f", "in/Other", "-"], &archive).await?;
    let gzip = compressed(&archive)?;
    pair.same(&["-f", "in/Other", "-"], &gzip).await?;
    Ok(())
}

fn archive(directory: &Path) -> anyhow::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_dir_all("", directory)?;
    Ok(archive.into_inner()?)
}

fn compressed(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut child = std::process::Command::new("gzip")
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    std::io::Write::write_all(&mut child.stdin.take().context("an input")?, bytes)?;
    Ok(child.wait_with_output()?.stdout)
}
