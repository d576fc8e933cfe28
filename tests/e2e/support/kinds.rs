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
