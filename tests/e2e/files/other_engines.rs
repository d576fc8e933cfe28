//! On Engines of other kinds.

use std::fs;

use anyhow::ensure;
use serde_json::json;
use testbed::{EngineKind, Image};
use tonic::Code;
use wharf::v1::FileKind;

use super::tree::{describe, entries, plant};
use super::{create, stat};
use crate::generations::stage::Stage;
use crate::support::Server;
use crate::support::kinds::on_engines;

on_engines!(files_on_other_engines: newer);

async fn files_on_other_engines(kind: EngineKind) -> anyhow::Result<()> {
    let stage = Stage::of(kind).await?;
    let server = Server::of(stage.wharfd()).await?;
    let (engine, cli, name) = (stage.engine, &stage.cli, &stage.name);
    let image = stage.image("v1", &Image::new("v1")).await?;
    create(engine, name, json!({"Image": image, "HostConfig": {"NetworkMode": "none"}})).await?;
    let home = cli.home().to_owned();
    plant(&home.join("tree"))?;
    let at = |path: &str| format!("one/{name}:{path}");

    cli.run(&["cp", "-a", "tree", &at("/data/tree")]).await?.expect(0)?;
    cli.run(&["cp", "-a", &at("/data/tree"), "back"]).await?.expect(0)?;
    // Podman gives all that it reads from a container to root.
    let owners = !kind.is_podman();
    assert_eq!(describe(&home.join("back"), owners)?, describe(&home.join("tree"), owners)?);
    cli.run(&["cp", "tree/.", &at("/data/tree")]).await?.expect(0)?;
    cli.run(&["cp", &at("/data/tree/."), "."]).await?.expect(0)?;
    assert_eq!(fs::read(home.join("file"))?, b"hello\n");
    cli.run(&["cp", "-L", &at("/data/tree/link"), "followed"]).await?.expect(0)?;
    assert_eq!(fs::read(home.join("followed"))?, b"hello\n");
    let inside = entries(&server, "one", &name, "/data/tree/empty").await?;
    ensure!(inside.len() == 1 && inside[0].starts_with("\"empty"), "{inside:?}");

    let link = stat(&server, "one", &name, "/data/tree/link").await?.expect("it is there");
    assert_eq!((link.kind(), link.link_target.as_str()), (FileKind::Symlink, "/data/tree/file"));
    let file = stat(&server, "one", &name, "/data/tree/file").await?.expect("it is there");
    assert_eq!((file.kind(), file.size_bytes, file.mode), (FileKind::Regular, 6, 0o644));
    let not_found = |reason: &str| Err((Code::NotFound, reason.to_owned()));
    assert_eq!(stat(&server, "one", &name, "/nothing").await?, not_found("PATH_NOT_FOUND"));
    assert_eq!(stat(&server, "one", "nobody", "/").await?, not_found("CONTAINER_NOT_FOUND"));
    for (arguments, reason) in [
        (["cp", &at("/nothing"), "x"], "PATH_NOT_FOUND"),
        (["cp", "file", &at("/nothing/file")], "PATH_NOT_FOUND"),
        (["cp", "file", &format!("one/nobody-{name}:/etc")], "CONTAINER_NOT_FOUND"),
    ] {
        let output = cli.run(&arguments).await?.expect(1)?;
        ensure!(output.stderr.contains(reason), "{arguments:?}: {output:?}");
    }
    engine.delete(&format!("/containers/{name}?force=1")).await?;
    engine.delete(&format!("/images/{image}?force=1")).await?;
    Ok(())
}
