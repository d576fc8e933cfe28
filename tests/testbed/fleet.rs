//! The fixture that the tests of one process share: three Engines and two registries.

use anyhow::anyhow;
use futures_util::future::{try_join_all, try_join3};
use tokio::sync::OnceCell;

use crate::engine::Engine;
use crate::registry::Registry;

/// Three Engines on unix sockets, an open registry, and one with a password.
///
/// Whoever shares it leaves the daemons as they are: a test that stops or kills one starts its
/// own. Names of containers and images come from [`crate::unique`].
#[derive(Debug)]
pub struct Fleet {
    pub engines: [Engine; 3],
    pub open_registry: Registry,
    pub locked_registry: Registry,
}

impl Fleet {
    /// The fleet of this process, started by whoever asks first. It lasts until the process ends.
    pub async fn shared() -> anyhow::Result<&'static Fleet> {
        // A failure is kept as well: were it tried again, every test would wait for it again.
        static FLEET: OnceCell<Result<Fleet, String>> = OnceCell::const_new();
        FLEET
            .get_or_init(async || Fleet::start().await.map_err(|error| format!("{error:#}")))
            .await
            .as_ref()
            .map_err(|error| anyhow!("{error}"))
    }

    /// A fleet for one test alone.
    pub async fn start() -> anyhow::Result<Fleet> {
        let (engines, open_registry, locked_registry) = try_join3(
            try_join_all([Engine::start(), Engine::start(), Engine::start()]),
            Registry::open(),
            Registry::with_password("captain", "hook+line/sinker~?"),
        )
        .await?;
        let engines = engines.try_into().map_err(|_| anyhow!("three Engines were started"))?;
        Ok(Fleet { engines, open_registry, locked_registry })
    }
}
