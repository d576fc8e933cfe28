//! `wharf exec`.

use serde_json::json;
use testbed::{Image, unique};

use crate::support::terminal::Terminal;
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
    let mut terminal = Terminal::open(101, 33)?;
    let one = format!("alpha/{name}");
    let mut child = terminal.start(&world.cli, &["exec", "-it", &one, "sh"])?;
    terminal.type_keys(b"echo size-$(busybox stty size)\n")?;
    terminal.until("size-33 101").await?;
    terminal.interrupt_a_command_and_exit().await?;
    assert_eq!(child.wait().await?.code(), Some(5));

    // Detached, the command goes on.
    let mut child = terminal.start(
        &world.cli,
        &["exec", "-it", &one, "sh", "-c", "echo there; sleep 1; touch /later; sleep 1000"],
    )?;
    terminal.until("there").await?;
    terminal.type_keys(b"\x10\x11")?;
    terminal.until("the command continues").await?;
    assert_eq!(child.wait().await?.code(), Some(0));
    testbed::eventually("the command goes on", async || {
        world.cli.run(&["exec", &one, "ls", "/later"]).await?.expect(0).map(drop)
    })
    .await?;
    Ok(())
}
