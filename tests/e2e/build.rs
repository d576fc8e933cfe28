//! Builds: what is built, what a failed one says, and what becomes of it if the caller goes.

mod context;
mod kinds;
mod load;

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testbed::{Image, Wharf, eventually, unique};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{HOSTS, World};

/// Makes a directory in the home of the user with these files. Returns its path.
fn directory(cli: &Wharf, files: &[(&str, &str)]) -> anyhow::Result<PathBuf> {
    let directory = cli.home().join(unique("context"));
    for (path, content) in files {
        let place = directory.join(path);
        fs::create_dir_all(place.parent().context("a file in a directory")?)?;
        fs::write(place, content)?;
    }
    Ok(directory)
}

fn text(path: &std::path::Path) -> anyhow::Result<&str> {
    path.to_str().context("UTF-8")
}

/// A Dockerfile with two stages, of which the second one fails.
fn dockerfile(base: &str) -> String {
    format!(
        "FROM {base} AS one\nARG WHO=nobody\nLABEL who=$WHO kind=file\nRUN echo said-$WHO; echo wrong >&2\n\
         FROM one AS two\nCOPY . /context\nRUN echo last words; exit 7\n"
    )
}

#[tokio::test]
async fn an_image_is_built_with_its_settings_and_a_failed_step_is_explained() -> anyhow::Result<()>
{
    let world = World::start().await?;
    let base = world.image(&Image::new("v1")).await?;
    let made = directory(&world.cli, &[("Dockerfile", &dockerfile(&base)), ("file", "")])?;
    let (path, name) = (text(&made)?, format!("{}:v1", unique("built")));

    let arguments = ["build", "-A", "-t", &name, "--target", "one", "--build-arg", "WHO=ann"];
    let labels = ["--label", "team=a b", "--label", "kind=given", path];
    let output = world.cli.run(&[&arguments[..], &labels].concat()).await?.expect(0)?;
    for (host, engine) in HOSTS.iter().zip(world.engines()) {
        let image = engine.image(&name).await?.context("the image is there")?;
        let expected = json!({"who": "ann", "kind": "given", "team": "a b"});
        assert_eq!(image["Config"]["Labels"], expected);
        let id = image["Id"].as_str().context("an ID")?;
        let row = output.stdout.lines().find(|line| line.starts_with(host)).context("a row")?;
        assert!(row.contains(&name) && row.contains(&id[7..19]), "{output:?}");
        // Without the colours that the Engine gives it.
        for line in ["said-ann", "wrong"] {
            let line = format!("\n{host:<5} | {line}\n");
            assert!(output.stderr.contains(&line), "{output:?}");
        }
    }

    let other = format!("{}:v1", unique("built"));
    let failed = world.cli.run(&["build", "-H", "alpha", "-t", &other, path]).await?.expect(1)?;
    assert!(failed.stderr.contains("\nlast words\n"), "one host needs no name: {failed:?}");
    let error = failed.stderr.lines().find(|line| line.starts_with("alpha: error: "));
    let error = error.context("an error")?;
    for part in ["returned a non-zero code: 7", "after it wrote: last words", "(BUILD_FAILED)"] {
        assert!(error.contains(part), "{error}");
    }
    let quiet = ["build", "-q", "-H", "alpha", "-o", "json", path];
    let failed = world.cli.run(&quiet).await?.expect(1)?;
    assert_eq!(failed.stderr, "");
    let [line] = &failed.json_lines()?[..] else { panic!("{failed:?}") };
    assert_eq!(line["error"]["reason"], "BUILD_FAILED");
    assert_eq!(world.engines()[0].image(&other).await?, None);

    // What needs BuildKit says so.
    for (number, instruction) in
        ["RUN --mount=type=cache,target=/x true", "RUN <<EOF\ntrue\nEOF"].into_iter().enumerate()
    {
        let text = format!("FROM {base}\n{instruction}\n");
        let failed =
            world.cli.run_with_input(&["build", "-H", "alpha", "-"], &text).await?.expect(1)?;
        assert!(failed.stderr.contains("docker buildx"), "{number}: {failed:?}");
    }
    for (arguments, expected) in [
        (&["build", "-H", "alpha", "--secret", "id=x", path][..], "needs BuildKit"),
        (&["build", "-H", "alpha", "--push", path], "add -t NAME"),
        (&["build", "-t", &other, path], "need an explicit target"),
        (&["build", "-H", "alpha", "-t", "No:v1", path], "tags[0]"),
        (&["build", "-H", "alpha", "/nowhere"], "cannot read /nowhere"),
    ] {
        let refused = world.cli.run(arguments).await?.expect(2)?;
        assert!(refused.stderr.contains(expected), "{refused:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_image_is_pushed_and_private_base_images_are_pulled() -> anyhow::Result<()> {
    let world = World::start().await?;
    let (open, locked) = (&world.fleet.open_registry, &world.fleet.locked_registry);
    let [alpha, beta, _] = world.engines();
    let base = locked.reference(&format!("{}:v1", unique("base")));
    alpha.import(&base, &Image::new(&unique("base"))).await?;
    alpha.push(&base, locked.auth().as_deref()).await?;
    alpha.delete(&format!("/images/{base}")).await?;

    let text = format!("ARG BASE={base}\nFROM ${{BASE}}\nLABEL a=b\n");
    let made = directory(&world.cli, &[("Dockerfile", &text)])?;
    let name = open.reference(&format!("{}:v1", unique("built")));
    let arguments = ["build", "-H", "alpha", "-t", &name, "--push", self::text(&made)?];
    let refused = world.cli.run(&arguments).await?.expect(1)?;
    assert!(refused.stderr.contains("REGISTRY_AUTH_REQUIRED"), "{refused:?}");
    let (user, password) = locked.login().context("a registry with a password")?;
    let login = ["login", locked.address(), "-u", user, "--password-stdin"];
    world.cli.run_with_input(&login, password).await?.expect(0)?;
    let pushed = world.cli.run(&arguments).await?.expect(0)?;
    assert!(!pushed.stderr.contains(password) && !world.wharfd.log().contains(password));
    let id = alpha.image(&name).await?.context("the image is there")?["Id"].clone();
    world.cli.run(&["pull", "-H", "beta", &name]).await?.expect(0)?;
    assert_eq!(beta.image(&name).await?.context("it was pushed")?["Id"], id);
    Ok(())
}

#[tokio::test]
async fn ctrl_c_cancels_the_build() -> anyhow::Result<()> {
    let world = World::start().await?;
    let base = world.image(&Image::new("v1")).await?;
    let mark = unique("mark");
    let text = format!("FROM {base}\nLABEL mark={mark}\nRUN echo begun; sleep 1000\n");
    let made = directory(&world.cli, &[("Dockerfile", &text)])?;
    let name = format!("{}:v1", unique("built"));
    let mut command =
        world.cli.command(&["build", "-H", "alpha", "-t", &name, self::text(&made)?])?;
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stderr.take().context("stderr")?).lines();
    while lines.next_line().await?.context("it goes on")? != "begun" {}
    let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).context("it runs")?;
    kill_process(pid, Signal::INT)?;
    assert_eq!(child.wait().await?.code(), Some(130));
    let said = lines.next_line().await?;
    assert_eq!(said.as_deref(), Some("interrupted; builds in progress are cancelled"));
    let [alpha, ..] = world.engines();
    eventually("the end of the step", async || {
        let list = alpha.get("/containers/json?all=1").await?;
        let is_of = |it: &Value| it["Labels"]["mark"] == json!(mark);
        let left = list.as_array().context("a list")?.iter().any(is_of);
        anyhow::ensure!(!left, "{list}");
        Ok(())
    })
    .await?;
    assert_eq!(alpha.image(&name).await?, None);
    Ok(())
}
