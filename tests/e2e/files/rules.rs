//! Each rule of what goes where, beside docker's own `cp`.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;
use testbed::{Image, unique};

use super::tree::entries;
use super::{create, same};
use crate::support::World;

/// What is copied to where in the container.
const IN: [(&[&str], &str); 15] = [
    (&["f"], "/data/new"),
    (&["f"], "/data/dir"),
    (&["f"], "/data/dir/"),
    (&["f"], "/data/file"),
    (&["f"], "/data/nothing/"),
    (&["f"], "/data/to-file"),
    (&["f"], "/data/to-dir"),
    (&["d"], "/data/dir"),
    (&["d"], "/data/new-dir"),
    (&["d"], "/data/file"),
    (&["d/."], "/data/dir"),
    (&["d/."], "/data/new-content"),
    (&["l"], "/data/link"),
    (&["-L", "l"], "/data/no-link"),
    (&["ld/"], "/data/dir"),
];

/// What is copied from the container to where, below a directory.
const OUT: [(&[&str], &str); 12] = [
    (&["/data/file"], "new"),
    (&["/data/file"], "dir"),
    (&["/data/file"], "file"),
    (&["/data/file"], "nothing/"),
    (&["/data/file"], "to-file"),
    (&["/data/dir"], "dir"),
    (&["/data/dir"], "new-dir"),
    (&["/data/dir"], "file"),
    (&["/data/dir/."], "dir"),
    (&["/data/dir/."], "new-content"),
    (&["/data/to-file"], "link"),
    (&["-L", "/data/to-file"], "dir"),
];

#[tokio::test]
async fn what_goes_where_is_as_with_docker() -> anyhow::Result<()> {
    let world = World::start().await?;
    let image = world.image(&Image::new("v1")).await?;
    let engine = &world.engines()[0];
    let home = world.cli.home().to_owned();
    for directory in ["d/sub", "seed/dir", "by-docker/dir", "by-wharf/dir"] {
        fs::create_dir_all(home.join(directory))?;
    }
    for file in ["f", "d/x", "seed/file", "seed/dir/y", "by-docker/file", "by-wharf/file"] {
        fs::write(home.join(file), file.rsplit('/').next().unwrap_or_default())?;
    }
    symlink("f", home.join("l"))?;
    symlink("d", home.join("ld"))?;
    for directory in ["seed", "by-docker", "by-wharf"] {
        symlink("file", home.join(directory).join("to-file"))?;
        symlink("dir", home.join(directory).join("to-dir"))?;
    }
    let docker = |arguments: &[&str]| super::docker(engine, &home, arguments);
    let (one, other) = (unique("one"), unique("other"));
    for container in [&one, &other] {
        create(engine, container, json!({"Image": image})).await?;
        assert!(docker(&["seed/.", &format!("{container}:/data")])?);
    }
    for (source, destination) in IN {
        let by_docker = docker(&[source, &[&*format!("{one}:{destination}")]].concat())?;
        let to = format!("alpha/{other}:{destination}");
        let by_wharf = world.cli.run(&[&["cp", "-a"], source, &[&to]].concat()).await?;
        let what = format!("{source:?} to {destination}");
        assert_eq!(by_wharf.status == 0, by_docker, "{what}: {by_wharf:?}");
        let expected = entries(&world.server, "alpha", &one, "/data").await?;
        assert_eq!(entries(&world.server, "alpha", &other, "/data").await?, expected, "{what}");
    }
    for (source, destination) in OUT {
        let (path, flags) = source.split_last().expect("a path");
        let (from, to) = (format!("{one}:{path}"), format!("by-docker/{destination}"));
        let by_docker = docker(&[flags, &[&from, &to]].concat())?;
        let (from, to) = (format!("alpha/{one}:{path}"), format!("by-wharf/{destination}"));
        let by_wharf = world.cli.run(&[&["cp"], flags, &[&*from, &to]].concat()).await?;
        let what = format!("{source:?} to {destination}");
        assert_eq!(by_wharf.status == 0, by_docker, "{what}: {by_wharf:?}");
        same(&home.join("by-wharf"), &home.join("by-docker"))?;
    }
    Ok(())
}
