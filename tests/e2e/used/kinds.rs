//! Engines of other kinds: what they know of images, and Podman, which asks no registry.

use anyhow::Context;
use testbed::{Engine, EngineKind, Image, Registry};
use wharf::v1::{ListUsedImagesRequest, RegistryComparison};

use super::{Told, of};
use crate::generations::stage::Stage;
use crate::support::kinds::on_engines;
use crate::support::{Server, hosts};

on_engines!(an_image_of_several_platforms_is_compared: newer);

/// A container of an index on the host `one`; the machine's own Engine is `two`.
async fn an_image_of_several_platforms_is_compared(kind: EngineKind) -> anyhow::Result<()> {
    let stage = Stage::of(kind).await?;
    let server = Server::of(stage.wharfd()).await?;
    let machine = Engine::shared(EngineKind::Machine).await?.context("the machine's own Engine")?;
    server.add("two", machine.address()).await?;
    let registry = Registry::open().await?;
    let (single, several) = (registry.reference("app:single"), registry.reference("app:v1"));
    let publish = async |image: Image| -> anyhow::Result<String> {
        machine.import(&single, &image).await?;
        machine.push(&single, None).await?;
        machine.delete(&format!("/images/{single}?force=1")).await?;
        Ok(registry.put_index("app", "single", "v1").await?.0)
    };
    let index = publish(Image::new("v1")).await?;
    stage.engine.pull(&several, None).await?;
    stage.engine.run(&stage.name, &several).await?;
    let check = |targets| ListUsedImagesRequest { targets, ..of(&stage.name, true) };
    let both = || hosts(&["one", "two"]);

    let told = Told::by(&server, check(both())).await?;
    let (_, user) = told.user("one", &stage.name)?;
    assert_eq!(user.comparison(), RegistryComparison::Current, "{told:#?}");
    assert_eq!(user.reference, several);
    assert!(told.images[0].repo_digests.iter().any(|it| it.ends_with(&index)), "{told:#?}");

    publish(Image::new("v2")).await?;
    let told = Told::by(&server, check(both())).await?;
    assert_eq!(told.comparison("one", &stage.name)?, RegistryComparison::Newer, "{told:#?}");

    let alone = Told::by(&server, check(hosts(&["one"]))).await?;
    if kind.is_podman() {
        assert_eq!(alone.comparison("one", &stage.name)?, RegistryComparison::Failed);
        let check = ["image", "used", "--check", "-H", "one", "--container", &stage.name];
        let output = stage.cli.run(&check).await?.expect(1)?;
        for part in [
            several.as_str(),
            "ENGINE_UNSUPPORTED",
            "Podman",
            "also select a host with a Docker Engine",
        ] {
            assert!(output.stderr.contains(part), "{part}: {output:?}");
        }
    } else {
        assert_eq!(alone.comparison("one", &stage.name)?, RegistryComparison::Newer);
    }

    // Pulled, and not running.
    stage.engine.pull(&several, None).await?;
    let told = Told::by(&server, check(both())).await?;
    let (_, user) = told.user("one", &stage.name)?;
    assert_eq!(user.comparison(), RegistryComparison::Newer, "{told:#?}");
    assert!(!user.pulled_image_id.is_empty() && user.pulled_image_id != user.image_id, "{told:#?}");
    assert_eq!(user.reference, several);
    Ok(())
}
