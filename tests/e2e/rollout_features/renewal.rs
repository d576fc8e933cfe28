//! Credentials that are refused during a rollout, and those that replace them.

use std::sync::Arc;

use serde_json::json;
use testbed::{Image, Registry};
use wharf::v1::{
    CreateRolloutRequest, LoginRequest, RegistryCredentials, ResumeRolloutRequest, Rollout,
    RolloutState,
};

use super::bench::{Bench, reason_of, told};
use crate::support::cut::Proxy;
use crate::support::hosts;

const USER: &str = "ci";
const OLD: &str = "expires";
const NEW: &str = "renewed";

/// A rollout that pauses, because its credentials expired between the plan and the pull.
struct Expired {
    bench: Bench,
    registry: Arc<Registry>,
    rollout: Rollout,
    _proxy: Proxy,
}

impl Expired {
    async fn new() -> anyhow::Result<Expired> {
        let bench = Bench::new(1).await?;
        let v1 = bench.image("v1", &Image::new("v1")).await?;
        bench.run(&json!({"Image": v1})).await?;
        let registry = Arc::new(Registry::with_password(USER, OLD).await?);
        let reference = registry.reference("app:v2");
        let engine = bench.scenes[0].engine;
        engine.import(&reference, &Image::new("v2")).await?;
        engine.push(&reference, registry.auth().as_deref()).await?;
        engine.delete(&format!("/images/{reference}?force=1")).await?;

        let proxy = Proxy::start(engine).await?;
        bench.server.add("proxied", proxy.address()).await?;
        let changing = Arc::clone(&registry);
        proxy.ahead(
            |line| line.contains("/images/create"),
            async move |_| changing.change_password(NEW).expect("a registry with a password"),
        );
        let mut spec = bench.spec(&reference);
        spec.targets = hosts(&["proxied"]);
        let credentials = Some(credentials(&registry, OLD));
        let request = CreateRolloutRequest { spec: Some(spec), credentials, ..Default::default() };
        let begun = bench.rollouts().await?.create_rollout(request).await?.into_inner();
        let rollout = bench.rest(&begun.rollout.unwrap_or_default().id).await?;
        assert_eq!(rollout.state(), RolloutState::Paused, "{}", told(&rollout));
        assert_eq!(reason_of(&rollout.steps[0]), "REGISTRY_AUTH_REQUIRED", "{}", told(&rollout));
        Ok(Expired { bench, registry, rollout, _proxy: proxy })
    }

    /// Tries again what failed; the rollout, when it rests.
    async fn resume(&self, password: Option<&str>) -> anyhow::Result<Rollout> {
        let request = ResumeRolloutRequest {
            id: self.rollout.id.clone(),
            retry_failed: true,
            credentials: password.map(|password| credentials(&self.registry, password)),
            ..Default::default()
        };
        self.bench.rollouts().await?.resume_rollout(request).await?;
        self.bench.rest(&self.rollout.id).await
    }
}

fn credentials(registry: &Registry, password: &str) -> RegistryCredentials {
    RegistryCredentials {
        registry: registry.address().to_owned(),
        username: USER.to_owned(),
        password: password.to_owned(),
        ..Default::default()
    }
}

#[tokio::test]
async fn resume_takes_credentials_in_place_of_those_that_expired() -> anyhow::Result<()> {
    let expired = Expired::new().await?;
    let still = expired.resume(None).await?;
    assert_eq!(still.state(), RolloutState::Paused, "{}", told(&still));
    let message = told(&still);
    assert!(message.contains("wharf rollout resume --retry-failed"), "{message}");
    let done = expired.resume(Some(NEW)).await?;
    assert_eq!(done.state(), RolloutState::Succeeded, "{}", told(&done));
    Ok(())
}

#[tokio::test]
async fn a_login_of_the_server_stands_in_for_credentials_that_expired() -> anyhow::Result<()> {
    let expired = Expired::new().await?;
    let mut registries = expired.bench.server.registries();
    let credentials = Some(credentials(&expired.registry, NEW));
    registries.login(LoginRequest { credentials, ..Default::default() }).await?;
    let done = expired.resume(None).await?;
    assert_eq!(done.state(), RolloutState::Succeeded, "{}", told(&done));
    Ok(())
}
