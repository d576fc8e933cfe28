//! Builds on every kind of Engine: they differ in what they print and in how they fail.

use anyhow::Context;
use serde_json::json;
use testbed::{EngineKind, Image};

use super::{directory, dockerfile, text};
use crate::generations::stage::Stage;
use crate::support::kinds::on_engines;

on_engines!(an_image_is_built_and_a_failed_step_is_explained: newer);

async fn an_image_is_built_and_a_failed_step_is_explained(kind: EngineKind) -> anyhow::Result<()> {
    let stage = Stage::of(kind).await?;
    let base = stage.image("base", &Image::new("v1")).await?;
    let made = directory(
        &stage.cli,
        &[
            ("Dockerfile", &dockerfile(&base)),
            ("Dockerfile.dockerignore", "left\n"),
            (".dockerignore", "kept\n"),
            ("left", ""),
            ("kept", ""),
        ],
    )?;
    let (path, name) = (text(&made)?, format!("{}:built", stage.name));
    let arguments = ["build", "-A", "-o", "json", "-t", &name, "--target", "one"];
    let more = ["--build-arg", "WHO=ann", "--label", "team=x", path];
    let output = stage.cli.run(&[&arguments[..], &more].concat()).await?.expect(0)?;
    let [line] = &output.json_lines()?[..] else { panic!("{output:?}") };
    let image = stage.engine.image(&name).await?.context("the image is there")?;
    let bare = |id: &serde_json::Value| id.as_str().map(|id| id.replace("sha256:", ""));
    assert_eq!(bare(&line["id"]), bare(&image["Id"]), "{line}");
    assert!(line["tags"][0].as_str().is_some_and(|tag| tag.ends_with(":built")), "{line}");
    for (label, value) in [("who", "ann"), ("kind", "file"), ("team", "x")] {
        assert_eq!(image["Config"]["Labels"][label], json!(value), "{image}");
    }
    assert!(output.stderr.contains("\nsaid-ann\n"), "{output:?}");

    let failed = stage.cli.run(&["build", "-A", "-o", "json", path]).await?.expect(1)?;
    assert!(failed.stderr.contains("\nlast words\n"), "{failed:?}");
    let [line] = &failed.json_lines()?[..] else { panic!("{failed:?}") };
    assert_eq!(line["error"]["reason"], "BUILD_FAILED", "{line}");
    let message = line["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("7") && message.contains("after it wrote: last words"), "{line}");

    // The rules of this Dockerfile, and not the others.
    let text = format!("FROM {base}\nCOPY . /context/\nRUN ls -A /context\n");
    stage.cli.write("Dockerfile.listed", &text)?;
    stage.cli.write("Dockerfile.listed.dockerignore", "left\nDockerfile*\n")?;
    let file = stage.cli.home().join("Dockerfile.listed");
    let arguments = ["build", "-A", "-f", self::text(&file)?, path];
    let listed = stage.cli.run(&arguments).await?.expect(0)?;
    assert!(listed.stderr.contains("\nkept\n") && !listed.stderr.contains("left\n"), "{listed:?}");
    let missing = format!("FROM {base}\nCOPY nothing-here /\n");
    let failed = stage.cli.run_with_input(&["build", "-A", "-"], &missing).await?.expect(1)?;
    assert!(failed.stderr.contains("nothing-here"), "{failed:?}");
    assert!(failed.stderr.contains("(BUILD_FAILED)"), "{failed:?}");
    Ok(())
}
