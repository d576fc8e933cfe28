//! `wharf exec`.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::json;
use testbed::{Image, unique};

use crate::support::{HOSTS, World, sorted};

async fn world() -> anyhow::Result<(World, String)> {
    let world = World::start().await?;
    let (image, name) = (world.image(&Image::new("v1")).await?, unique("web"));
    world.run(&name, &image).await?;
    Ok((world, name))
}

#[tokio::test]
async fn one_host_is_like_docker_and_several_have_their_names() -> anyhow::Result<()> {
    let (world, name) = world().await?;
    let one = format!("alpha/{name}");
    let script = "printf 'a\\nb'; echo wrong >&2; exit 3";
    let output = world.cli.run(&["exec", &one, "sh", "-c", script]).await?.expect(3)?;
    assert_eq!((&*output.stdout, &*output.stderr), ("a\nb", "wrong\n"));

    let output =
        world.cli.run(&["exec", "-A", &name, "--", "sh", "-c", script]).await?.expect(1)?;
    let mut expected: Vec<String> =
        HOSTS.iter().flat_map(|host| [format!("{host} | a"), format!("{host} | b")]).collect();
    expected.sort();
    assert_eq!(sorted(&output), expected);
    for host in HOSTS {
        assert!(output.stderr.contains(&format!("{host} | wrong")), "{output:?}");
        let error = format!("{host}: error: the command exited with 3 (COMMAND_FAILED)");
        assert!(output.stderr.contains(&error), "{output:?}");
    }
    assert!(output.stderr.contains("0 of 3 hosts succeeded"), "{output:?}");

    let output =
        world.cli.run(&["exec", "-l", "tier=db", "-o", "json", &name, "cat", "/version"]).await?;
    let lines = output.expect(0)?.json_lines()?;
    let expected = [
        json!({"host": "gamma", "source": "stdout", "line": "v1"}),
        json!({"host": "gamma", "exitCode": 0}),
    ];
    assert_eq!(lines, expected);

    let arguments = ["exec", "-i", &one, "tr", "a-z", "A-Z"];
    let output = world.cli.run_with_input(&arguments, "hello\n").await?.expect(0)?;
    assert_eq!(output.stdout, "HELLO\n");
    // A flag of the command, and a variable of this environment.
    let cli = world.cli.clone().env("FROM_HERE", "yes");
    let arguments = ["exec", "-e", "FROM_HERE", "-e", "NOWHERE", &one, "env"];
    let output = cli.run(&arguments).await?.expect(0)?;
    assert!(output.stdout.contains("FROM_HERE=yes\n"), "{output:?}");
    assert!(!output.stdout.contains("NOWHERE"), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_the_way_out() -> anyhow::Result<()> {
    let (world, name) = world().await?;
    let one = format!("alpha/{name}");
    for (arguments, status, text) in [
        (vec!["exec", "-it", &one, "sh"], 2, "use -i without -t"),
        (vec!["exec", "-i", "-A", &name, "sh"], 2, "write HOST/CONTAINER"),
        (vec!["exec", &name, "true"], 2, "need an explicit target"),
        (vec!["exec", "-i", "-o", "json", &one, "true"], 2, "omit -o json"),
        (vec!["exec", "--detach-keys", "ctrl-1", &one, "true"], 2, "is not ctrl-"),
        (vec!["exec", "-w", "tmp", &one, "true"], 2, "must be an absolute path"),
        (vec!["exec", "-i", "nobody/web", "true"], 2, "wharf host ls"),
        (vec!["exec", "alpha/nosuch", "true"], 1, "No such container"),
        (vec!["exec", "-i", "alpha/nosuch", "true"], 1, "No such container"),
    ] {
        let output = world.cli.run(&arguments).await?;
        assert_eq!(output.status, status, "{arguments:?}: {output:?}");
        assert!(output.stderr.contains(text), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}: {output:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_shell_on_a_terminal() -> anyhow::Result<()> {
    let (world, name) = world().await?;
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let size = Winsize { ws_row: 33, ws_col: 101, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&master, size)?;
    let path = ptsname(&master, Vec::new())?;
    let path = path.to_str()?;
    let terminal = || File::options().read(true).write(true).open(path);
    // Without it, the terminal would end with the first process that has it.
    let _kept = terminal()?;
    let shell = |more: &[&str]| -> anyhow::Result<tokio::process::Child> {
        let arguments = [&["exec", "-it"], more].concat();
        let mut command = world.cli.command(&arguments)?;
        command.stdin(terminal()?).stdout(terminal()?).stderr(Stdio::from(terminal()?));
        Ok(command.spawn()?)
    };
    let master = File::from(master);
    let mut typing = master.try_clone()?;
    let (lines, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let mut reading = master.try_clone()?;
    // Ends with the last process that has the terminal.
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = reading.read(&mut piece) {
            let _ = lines.send(piece[..length].to_vec());
        }
    });
    let mut until = async |text: &str| -> anyhow::Result<()> {
        let mut all = String::new();
        while !all.contains(text) {
            let next = tokio::time::timeout(Duration::from_secs(60), seen.recv()).await;
            let piece = next.with_context(|| all.clone())?.context("the terminal is closed")?;
            all.push_str(&String::from_utf8_lossy(&piece));
        }
        Ok(())
    };

    let one = format!("alpha/{name}");
    let mut child = shell(&[&one, "sh"])?;
    typing.write_all(b"echo size-$(busybox stty size)\n")?;
    until("size-33 101").await?;
    // Ctrl-C is a key of the command, not of wharf.
    typing.write_all(b"sh -c 'echo zero-$((40 + 2)); sleep 1000'\n")?;
    until("zero-42").await?;
    typing.write_all(b"\x03")?;
    typing.write_all(b"echo two-$((40 + 2)); exit 5\n")?;
    until("two-42").await?;
    assert_eq!(child.wait().await?.code(), Some(5));

    // Detached, the command goes on.
    let mut child = shell(&[&one, "sh", "-c", "echo there; sleep 1; touch /later; sleep 1000"])?;
    until("there").await?;
    typing.write_all(b"\x10\x11")?;
    until("the command continues").await?;
    assert_eq!(child.wait().await?.code(), Some(0));
    testbed::eventually("the command goes on", async || {
        world.cli.run(&["exec", &one, "ls", "/later"]).await?.expect(0).map(drop)
    })
    .await?;
    Ok(())
}
