//! What the image of a plan is.

use std::sync::Arc;
use std::time::Duration;

use super::gather::Asked;
use super::given::Given;
use crate::domain::{ImageReference, Reason, RegistryLogin};
use crate::engine::{Engine, EngineError, ErrorKind, Platform, RemoteImage};
use crate::rollout::hosts::Hosts;
use crate::rollout::model::PlannedImage;
use crate::rollout::requests::{Order, Refusal, RolloutError};
use crate::rollout::spec::PullWhen;

/// Longest time for the registry.
const REGISTRY: Duration = Duration::from_secs(60);

/// The image that a reference points to.
pub(super) struct Resolved {
    pub image: PlannedImage,
    /// Its platforms; empty if the registry was not queried or does not report them.
    pub platforms: Vec<Platform>,
    /// The image on the host that it comes from, if it comes from one.
    pub given: Option<Given>,
}

/// Queries with the credentials of the order; without any, or if they are refused, with those
/// stored in the server.
async fn resolve_as(
    hosts: &dyn Hosts,
    engine: &dyn Engine,
    reference: &ImageReference,
    given: Option<Arc<RegistryLogin>>,
) -> Result<RemoteImage, EngineError> {
    let registry = reference.registry();
    let kept = || hosts.login(&registry);
    let Some(given) = given else {
        return engine.resolve_image(reference, kept().await.as_deref()).await;
    };
    match engine.resolve_image(reference, Some(&given)).await {
        Err(error) if error.kind == ErrorKind::RegistryAuthRequired => {
            match kept().await.filter(|kept| *kept != given) {
                Some(kept) => engine.resolve_image(reference, Some(&kept)).await,
                None => Err(error),
            }
        }
        resolved => resolved,
    }
}

/// Resolves the reference once for all hosts, so that a moving tag does not split the fleet.
pub(super) async fn resolve(
    hosts: &dyn Hosts,
    order: &Order,
    reference: &ImageReference,
    asked: &[Asked],
) -> Result<Resolved, RolloutError> {
    let planned = |digest: Option<String>, platforms| {
        let reference = reference.clone().with_default_tag().to_string();
        Resolved { image: PlannedImage { reference, digest, from: None }, platforms, given: None }
    };
    let named = reference.digest().map(ToString::to_string);
    let everywhere = asked.iter().all(|it| it.image.is_some() || it.facts.is_err());
    // A reference with a digest is already resolved; it is only queried to detect early that it is
    // missing or for another platform.
    if order.spec.policy.pull == PullWhen::Never || (named.is_some() && everywhere) {
        return Ok(planned(named, Vec::new()));
    }
    // Nobody can ask the registry; each host has its own reason, and the plan is refused with those.
    if asked.iter().all(|it| it.facts.is_err()) {
        return Ok(planned(named, Vec::new()));
    }
    let mut last = None;
    // An Engine without this API, such as Podman, says nothing about the image.
    let mut cannot_tell = true;
    for host in asked.iter().filter(|it| it.facts.is_ok()) {
        let Ok(engine) = hosts.engine(&host.host) else { continue };
        let question = resolve_as(hosts, &*engine, reference, order.login.clone());
        match tokio::time::timeout(REGISTRY, question).await {
            Ok(Ok(found)) => {
                return Ok(planned(named.or(Some(found.digest.to_string())), found.platforms));
            }
            Ok(Err(error)) => {
                let of_host = error.kind.leaves_registry_unasked();
                cannot_tell &= error.kind.is_unknown_to_engine();
                last = Some((error.kind.reason(), error.message));
                if !of_host {
                    break;
                }
            }
            Err(_) => {
                cannot_tell = false;
                let message = "the registry did not answer in time".to_owned();
                last = Some((Reason::RegistryUnavailable, message));
            }
        }
    }
    let last_is_known = last.is_some();
    let (reason, why) = last.unwrap_or_else(|| {
        (Reason::HostUnreachable, "no host is reachable to query it".to_owned())
    });
    if last_is_known && cannot_tell {
        // The pull will show it.
        return Ok(planned(named, Vec::new()));
    }
    // A registry that refuses the query may still allow the pull.
    if named.is_some() && reason != Reason::ImageNotFound {
        return Ok(planned(named, Vec::new()));
    }
    // An image that was never in a registry is fine if every host already has it.
    if everywhere && order.spec.policy.pull == PullWhen::Missing {
        return Ok(planned(None, Vec::new()));
    }
    let message = format!(
        "cannot get {reference} from the registry: {why}; check the name, push it, or log in with: \
         wharf login {} -u USER",
        reference.registry()
    );
    Err(RolloutError::PlanRefused(vec![Refusal { host: None, reason, message }]))
}
