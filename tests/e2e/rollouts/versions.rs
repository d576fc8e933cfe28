//! The versions for upgrades in the tests, in the registry of the fixture.

use futures_util::future::try_join_all;
use testbed::{Fleet, Image, unique};
use tokio::sync::OnceCell;

/// Serves and runs on, unless the host says that it is broken: then it says so and ends with 3.
const FRAGILE: &str = "test -e /gate/broken && { echo broken on purpose; exit 3; }; exec /bin/web";

/// The repository of the versions, made once for all tests.
pub async fn repository() -> anyhow::Result<&'static str> {
    static REPOSITORY: OnceCell<Result<String, String>> = OnceCell::const_new();
    REPOSITORY
        .get_or_init(async || push().await.map_err(|error| format!("{error:#}")))
        .await
        .as_deref()
        .map_err(|error| anyhow::anyhow!("{error}"))
}

async fn push() -> anyhow::Result<String> {
    let fleet = Fleet::shared().await?;
    let repository = fleet.open_registry.reference(&unique("app"));
    let fragile = ["/bin/sh", "-c", FRAGILE];
    let broken = ["/bin/sh", "-c", "echo this version does not start; exit 3"];
    let versions = [
        ("v1", Image::new("v1").command(&["/bin/web"])),
        ("v2", Image::new("v2").command(&fragile).env("VERSION", "2")),
        ("v3", Image::new("v3").command(&broken)),
        ("v4", Image::new("v4").healthcheck("echo not feeling well; false")),
        ("v5", Image::new("v5").command(&fragile).healthcheck("test ! -e /gate/sick")),
    ];
    let [first, others @ ..] = &fleet.engines;
    for (version, image) in &versions {
        let reference = format!("{repository}:{version}");
        first.import(&reference, image).await?;
        first.push(&reference, None).await?;
    }
    // What is there before a rollout. The rest, the rollouts pull.
    for version in ["v1", "v5"] {
        let reference = format!("{repository}:{version}");
        try_join_all(others.iter().map(|engine| engine.pull(&reference, None))).await?;
    }
    Ok(repository)
}
