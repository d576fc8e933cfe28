//! Tests that run once for each kind of Engine.

/// Makes of `async fn NAME(kind: EngineKind) -> anyhow::Result<()>` one test for each kind, named
/// `NAME::KIND`. Where `scripts/test` could not get a kind, its test is skipped, and says so.
macro_rules! on_engines {
    ($name:ident: $($test:ident = $kind:ident),+ $(,)?) => {
        mod $name {
            $(
                #[tokio::test]
                async fn $test() -> anyhow::Result<()> {
                    let kind = testbed::EngineKind::$kind;
                    if kind.is_available()? { super::$name(kind).await } else { Ok(()) }
                }
            )+
        }
    };
    ($name:ident: all) => {
        $crate::support::kinds::on_engines!($name: machine = Machine, docker26 = Docker26,
            docker28 = Docker28, podman4 = Podman4, podman5 = Podman5);
    };
    ($name:ident: newer) => {
        $crate::support::kinds::on_engines!($name: docker26 = Docker26, docker28 = Docker28,
            podman4 = Podman4, podman5 = Podman5);
    };
    ($name:ident: podman) => {
        $crate::support::kinds::on_engines!($name: podman4 = Podman4, podman5 = Podman5);
    };
}

pub(crate) use on_engines;

use anyhow::Context;
use testbed::{Engine, EngineKind, EngineOptions, Fleet, Wharfd};

use super::Server;

/// The Engine of a kind that all tests share.
pub async fn shared(kind: EngineKind) -> anyhow::Result<&'static Engine> {
    Engine::shared(kind).await?.context("an Engine")
}

/// An Engine with the image store of containerd, in which images have other IDs.
pub async fn with_containerd(kind: EngineKind) -> anyhow::Result<Engine> {
    let arguments = vec!["--feature=containerd-snapshotter=true".to_owned()];
    Engine::start_with(EngineOptions { kind, arguments, ..EngineOptions::default() }).await
}

/// A `wharfd` with the host `here`, which is an Engine of this machine's, and this Engine as `there`.
pub async fn here_and(there: &Engine) -> anyhow::Result<(&'static Engine, Wharfd, Server)> {
    let [here, ..] = &Fleet::shared().await?.engines;
    let wharfd = Wharfd::start().await?;
    let server = Server::of(&wharfd).await?;
    server.add("here", here.address()).await?;
    server.add("there", there.address()).await?;
    Ok((here, wharfd, server))
}
