//! Files to and from containers of real Engines, compared with what docker's own `cp` makes.

mod other_engines;
mod rules;
mod tree;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::json;
use testbed::{Engine, Image, tools, unique};
use tonic::Code;

use crate::support::{HOSTS, World, collect, hosts, sorted};
use tree::{describe, entries, plant};

/// Bytes of a large file.
const LARGE: usize = 64 << 20;

/// Bytes that no compression makes smaller, the same every time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}

/// A container that was never started.
async fn create(engine: &Engine, name: &str, body: serde_json::Value) -> anyhow::Result<()> {
    engine.post(&format!("/containers/create?name={name}"), Some(body)).await.map(drop)
}

#[tokio::test]
async fn a_tree_goes_to_three_hosts_and_comes_back_as_it_was() -> anyhow::Result<()> {
    let world = World::start().await?;
    let (image, name) = (world.image(&Image::new("v1")).await?, unique("web"));
    for engine in world.engines() {
        create(engine, &name, json!({"Image": image})).await?;
    }
    let home = world.cli.home().to_owned();
    let run = async |arguments: &[&str], status| world.cli.run(arguments).await?.expect(status);
    plant(&home.join("tree"))?;

    // To containers that do not run, with the owners.
    let to = format!("{name}:/data/tree");
    let output = run(&["cp", "-a", "tree", "-A", &to], 0).await?;
    assert_eq!(sorted(&output), HOSTS.map(|host| format!("{host}/{name}")));
    let alpha = &world.engines()[0];
    ensure!(docker(alpha, &home, &["tree", &format!("{name}:/data/by-docker")])?);
    let by_docker = entries(&world.server, "alpha", &name, "/data/by-docker").await?;
    let expected: Vec<_> = by_docker.iter().map(|line| line.replace("by-docker", "tree")).collect();
    ensure!(expected.len() > 10 && expected.iter().any(|it| it.contains("1234:2345")));
    for host in HOSTS {
        assert_eq!(entries(&world.server, host, &name, "/data/tree").await?, expected, "{host}");
    }

    // And back, compared with the original and with docker's copy.
    ensure!(docker(alpha, &home, &[&format!("{name}:/data/tree"), "docker"])?);
    run(&["cp", &format!("beta/{name}:/data/tree"), "wharf"], 0).await?;
    assert_eq!(describe(&home.join("wharf"), false)?, describe(&home.join("docker"), false)?);
    run(&["cp", "-a", &format!("gamma/{name}:/data/tree"), "owned"], 0).await?;
    assert_eq!(describe(&home.join("owned"), true)?, describe(&home.join("tree"), true)?);

    // Without -a: root's, and without its rights.
    run(&["cp", "tree/tool", &format!("alpha/{name}:/data/tool")], 0).await?;
    let found = entries(&world.server, "alpha", &name, "/data/tool").await?;
    assert!(found[0].contains("0:0") && found[0].contains(" 755 "), "{found:?}");

    // From several hosts, each has its own directory.
    let output =
        run(&["cp", "-l", "tier=web", &format!("{name}:/data/tree/file"), "all"], 0).await?;
    assert_eq!(output.stdout, "");
    assert!(output.stderr.contains("alpha: copied"), "{output:?}");
    for host in ["alpha", "beta"] {
        assert_eq!(fs::read(home.join("all").join(host).join("file"))?, b"hello\n", "{host}");
    }
    assert!(!home.join("all/gamma").exists());
    Ok(())
}

#[tokio::test]
async fn much_is_copied_exactly_and_errors_name_host_and_reason() -> anyhow::Result<()> {
    let world = World::start().await?;
    let (image, name) = (world.image(&Image::new("v1")).await?, unique("web"));
    world.run(&name, &image).await?;
    let home = world.cli.home().to_owned();
    let run = async |arguments: &[&str], status| world.cli.run(arguments).await?.expect(status);
    let large = noise(LARGE);
    fs::write(home.join("large"), &large)?;
    run(&["cp", "large", "-A", &format!("{name}:/data/large")], 0).await?;
    for host in HOSTS {
        run(&["cp", &format!("{host}/{name}:/data/large"), host], 0).await?;
        assert!(fs::read(home.join(host))? == large, "{host}");
    }

    // An archive on standard output, and on standard input.
    let shell = async |script: &str| {
        let wharf = tools::built("wharf")?;
        let mut command = world.cli.command::<&str>(&[])?;
        let server = command.as_std().get_args().nth(1).context("a server")?.to_owned();
        let environment: Vec<_> = command
            .as_std()
            .get_envs()
            .filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())))
            .collect();
        command = tokio::process::Command::new("bash");
        command.args(["-o", "pipefail", "-c", script]).envs(environment).current_dir(&home);
        command.env("WHARF", wharf).env("WHARF_SERVER", server);
        anyhow::Ok(command.output().await?)
    };
    let script =
        format!("\"$WHARF\" cp alpha/{name}:/data/large - | \"$WHARF\" cp - beta/{name}:/tmp");
    let output = shell(&script).await?;
    ensure!(output.status.success(), "{output:?}");
    run(&["cp", &format!("beta/{name}:/tmp/large"), "again"], 0).await?;
    assert!(fs::read(home.join("again"))? == large);
    let script = format!("(head -c 1000000 large; sleep 0) | \"$WHARF\" cp - alpha/{name}:/tmp");
    let output = shell(&script).await?;
    assert_eq!(output.status.code(), Some(1), "no archive: {output:?}");

    // A container that only one host has; a path that none has; a mount that may not be written.
    let only = unique("only");
    create(&world.engines()[1], &only, json!({"Image": image})).await?;
    fs::write(home.join("f"), "x")?;
    let output = run(&["cp", "f", "-A", &format!("{only}:/etc/f")], 1).await?;
    assert_eq!(output.stdout, format!("beta/{only}\n"));
    assert!(output.stderr.contains("alpha: error: ") && output.stderr.contains("gamma: error: "));
    assert_eq!(output.stderr.matches("CONTAINER_NOT_FOUND").count(), 2, "{output:?}");
    assert!(output.stderr.ends_with("1 of 3 hosts succeeded\n"), "{output:?}");
    for arguments in [
        ["cp", "f", "-H", "alpha", &format!("{name}:/nothing/here")],
        ["cp", "-H", "alpha", &format!("{name}:/nothing"), "."],
    ] {
        let output = run(&arguments, 1).await?;
        assert!(output.stderr.contains("PATH_NOT_FOUND"), "{output:?}");
        assert!(output.stderr.contains("alpha: error: "), "{output:?}");
    }
    let read_only = unique("ro");
    let body = json!({"Image": image, "HostConfig": {"ReadonlyRootfs": true}});
    create(&world.engines()[2], &read_only, body).await?;
    let output = run(&["cp", "f", &format!("gamma/{read_only}:/etc/f")], 1).await?;
    assert!(output.stderr.contains("read-only") && output.stderr.contains("ENGINE_CONFLICT"));

    // Usage errors reach no host.
    for (arguments, text) in [
        (vec!["cp", "f", "g"], "neither SOURCE nor DEST is in a container"),
        (vec!["cp", "missing", "alpha/x:/"], "cannot read missing"),
        (vec!["cp", "f", "alpha/x:"], "has no path"),
        (vec!["cp", "alpha/x:/a", "beta/x:/b"], "both SOURCE and DEST"),
        (vec!["cp", "alpha/x:/a", "no/such/place"], "does not exist"),
        (vec!["cp", "f", "x:/a"], "-H NAME"),
        (vec!["cp", "-A", "x:/a", "-"], "needs one container"),
    ] {
        let output = run(&arguments, 2).await?;
        assert!(output.stderr.contains(text), "{arguments:?}: {output:?}");
    }
    let output = run(&["cp", "f", &format!("nobody/{name}:/etc")], 2).await;
    assert!(output?.stderr.contains("HOST_NOT_FOUND"));
    Ok(())
}

/// Runs docker's own `cp` in a directory. Returns whether it succeeded.
fn docker(engine: &Engine, directory: &Path, arguments: &[&str]) -> anyhow::Result<bool> {
    let mut command = Command::new(tools::system("docker")?);
    command.arg("--host").arg(engine.address()).arg("cp").args(arguments);
    let output = command.env_clear().env("HOME", directory).current_dir(directory).output()?;
    Ok(output.status.success())
}

/// The stat of a path, or why there is none.
async fn stat(
    world: &crate::support::Server,
    host: &str,
    container: &str,
    path: &str,
) -> anyhow::Result<Result<wharf::v1::PathStat, (Code, String)>> {
    use wharf::v1::stat_path_response::Event;
    let request = wharf::v1::StatPathRequest {
        targets: hosts(&[host]),
        container: container.to_owned(),
        path: path.to_owned(),
        ..Default::default()
    };
    let answer = collect(world.files().stat_path(request)).await?;
    let found = answer.of(host).find_map(|event| match event {
        Event::Stat(stat) => Some(stat.clone()),
        _ => None,
    });
    Ok(match answer.failure(host) {
        Some((code, reason, _)) => Err((code, reason)),
        None => Ok(found.context("a stat")?),
    })
}

/// Whether two local directories have the same content.
fn same(one: &Path, other: &Path) -> anyhow::Result<()> {
    let (one, other) = (describe(one, false)?, describe(other, false)?);
    ensure!(one == other, "{one:#?}\n{other:#?}");
    Ok(())
}
