//! From an order to a plan: asks every host at once for what is there, asks the registry once
//! what the image is, and then decides purely. Nothing is changed on any host.

mod active;
mod assemble;
mod dependents;
mod newer;
mod old_image;
mod sealed;
mod undo;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::facts::{self, Facts, OldContainer};
use super::hosts::Hosts;
use super::journal::{NewSecret, SecretKind};
use super::model::{NewBody, Plan, PlannedImage, Trouble};
use super::reason::{self, Reason};
use super::recreate;
use super::requests::{Order, Refusal, RolloutError};
use super::spec::{Change, PullWhen};
use crate::domain::{ContainerName, HostName, ImageName, ImageReference, RegistryLogin};
use crate::engine::{Engine, EngineError, ErrorKind, Platform, RemoteImage};

pub use active::refuse_active;
pub use undo::plan_undo;

/// Hosts that are asked at once.
const AT_ONCE: usize = 64;

/// Longest time for the facts of one host.
const FACTS: Duration = Duration::from_secs(60);

/// Longest time for the registry.
const REGISTRY: Duration = Duration::from_secs(60);

/// A plan, and what belongs to it and may hold secrets.
#[derive(Debug, Clone)]
pub struct Planned {
    /// What will be done.
    pub plan: Plan,
    /// What is sealed, by host.
    pub bodies: BTreeMap<HostName, HostBodies>,
}

/// What is sealed of each host, as the journal takes it.
#[must_use]
pub fn secrets(bodies: BTreeMap<HostName, HostBodies>) -> Vec<NewSecret> {
    let of_host = |(host, HostBodies { bodies, old }): (HostName, HostBodies)| {
        let kinds = [(SecretKind::Body, Some(bodies)), (SecretKind::Snapshot, old)];
        kinds.into_iter().filter_map(move |(kind, text)| {
            Some(NewSecret { host: Some(host.clone()), kind, text: text? })
        })
    };
    bodies.into_iter().flat_map(of_host).collect()
}

/// What is sealed for one host, as JSON.
#[derive(Debug, Clone)]
pub struct HostBodies {
    /// [`super::model::Bodies`].
    pub bodies: String,
    /// [`Snapshot`]; `None` where there was no old container.
    pub old: Option<String>,
}

/// How to make the old container again without it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its body.
    pub new: NewBody,
    /// Identifies the body.
    pub spec_sha: String,
}

/// What one host has to say for a plan.
struct Asked {
    host: HostName,
    facts: Result<Facts, Trouble>,
    /// What hangs on the container.
    dependents: Vec<OldContainer>,
    /// The image that the reference of the order stands for on this host now.
    image: Option<Value>,
}

/// Plans a rollout.
pub async fn plan(hosts: &dyn Hosts, order: &Order) -> Result<Planned, RolloutError> {
    let names: Vec<_> = order.hosts.iter().map(|host| host.name.clone()).collect();
    let image = order.spec.change.image.as_ref();
    let mut asked = ask(hosts, &names, &order.spec.container, image).await;
    let is_restart = order.spec.change == Change::default();
    let newer = newer::image(&order.spec, &asked).map_err(RolloutError::PlanRefused)?;
    let with_newer = match &newer {
        None => None,
        Some(reference) => {
            images_on(hosts, &mut asked, reference).await;
            let mut order = order.clone();
            order.spec.change.image = Some(reference.clone());
            order.login = hosts.login(&reference.registry()).await;
            Some(order)
        }
    };
    let order = with_newer.as_ref().unwrap_or(order);
    let image = match &order.spec.change.image {
        None => None,
        Some(reference) => Some(resolve(hosts, order, reference, &asked).await?),
    };
    let (image, platforms) = image.map_or((None, Vec::new()), |it| (Some(it.image), it.platforms));
    assemble::assemble(order, is_restart, image, &platforms, asked)
        .map_err(RolloutError::PlanRefused)
}

/// What the reference stands for on each host that answered.
async fn images_on(hosts: &dyn Hosts, asked: &mut [Asked], reference: &ImageReference) {
    let answering: Vec<Option<HostName>> =
        asked.iter().map(|it| it.facts.is_ok().then(|| it.host.clone())).collect();
    let found: Vec<_> = futures_util::stream::iter(answering)
        .map(|host| async move {
            match host {
                Some(host) => image_on(hosts, &host, reference).await,
                None => None,
            }
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    for (asked, image) in asked.iter_mut().zip(found) {
        asked.image = image;
    }
}

/// The facts of all hosts, in the order of `names`.
async fn ask(
    hosts: &dyn Hosts,
    names: &[HostName],
    container: &ContainerName,
    image: Option<&ImageReference>,
) -> Vec<Asked> {
    futures_util::stream::iter(names.iter().cloned())
        .map(|host| async move {
            let (facts, dependents) = match facts_of(hosts, &host, container).await {
                Ok((facts, dependents)) => (Ok(facts), dependents),
                Err(trouble) => (Err(trouble), Vec::new()),
            };
            let image = match (&facts, image) {
                (Ok(_), Some(image)) => image_on(hosts, &host, image).await,
                _ => None,
            };
            Asked { host, facts, dependents, image }
        })
        .buffered(AT_ONCE)
        .collect()
        .await
}

async fn facts_of(
    hosts: &dyn Hosts,
    host: &HostName,
    container: &ContainerName,
) -> Result<(Facts, Vec<OldContainer>), Trouble> {
    let engine = hosts.engine(host)?;
    let asked = async {
        let facts = facts::gather(&*engine, container).await?;
        let mut dependents = Vec::new();
        if let Some(old) = &facts.old {
            for dependent in recreate::dependents_of(old, &facts.host) {
                dependents.extend(facts::container(&*engine, &dependent.id).await?);
            }
        }
        Ok((facts, dependents))
    };
    match tokio::time::timeout(FACTS, asked).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err::<_, EngineError>(error)) => {
            Err(Trouble::new(error.kind.reason(), error.to_string()))
        }
        Err(_) => Err(Trouble::new(
            reason::HOST_TIMEOUT,
            format!("no answer within {}", humantime::format_duration(FACTS)),
        )),
    }
}

async fn image_on(hosts: &dyn Hosts, host: &HostName, image: &ImageReference) -> Option<Value> {
    let engine = hosts.engine(host).ok()?;
    let name = ImageName::Reference(image.clone().with_default_tag());
    let document = tokio::time::timeout(FACTS, engine.inspect_image(&name)).await.ok()?.ok()?;
    document.parse().ok()
}

/// What a reference stands for.
struct Resolved {
    image: PlannedImage,
    /// What it is for; empty where the registry was not asked or does not say.
    platforms: Vec<Platform>,
}

/// Asks with the credentials that came with the order; where there are none, or they are refused,
/// with those that the server keeps.
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

/// What the reference stands for, once for all hosts, so that a tag that moves meanwhile
/// does not split the fleet.
async fn resolve(
    hosts: &dyn Hosts,
    order: &Order,
    reference: &ImageReference,
    asked: &[Asked],
) -> Result<Resolved, RolloutError> {
    let planned = |digest: Option<String>, platforms| Resolved {
        image: PlannedImage { reference: reference.clone().with_default_tag().to_string(), digest },
        platforms,
    };
    let named = reference.digest().map(ToString::to_string);
    let everywhere = asked.iter().all(|it| it.image.is_some() || it.facts.is_err());
    // What has its digest in its name is what it is, and is asked for only to find out early
    // that it is missing or for other machines.
    if order.spec.policy.pull == PullWhen::Never || (named.is_some() && everywhere) {
        return Ok(planned(named, Vec::new()));
    }
    let mut last = None;
    // An Engine that does not know the question, such as Podman, says nothing about the image.
    let mut cannot_tell = true;
    for host in asked.iter().filter(|it| it.facts.is_ok()) {
        let Ok(engine) = hosts.engine(&host.host) else { continue };
        let question = resolve_as(hosts, &*engine, reference, order.login.clone());
        match tokio::time::timeout(REGISTRY, question).await {
            Ok(Ok(found)) => {
                return Ok(planned(named.or(Some(found.digest.to_string())), found.platforms));
            }
            Ok(Err(error)) => {
                let of_host = matches!(
                    error.kind,
                    ErrorKind::Unreachable
                        | ErrorKind::NoResources
                        | ErrorKind::ConnectionLost
                        | ErrorKind::Unsupported
                        | ErrorKind::EndpointNotFound
                );
                cannot_tell &=
                    matches!(error.kind, ErrorKind::Unsupported | ErrorKind::EndpointNotFound);
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
        (Reason::HostUnreachable, "no host answers that could ask it".to_owned())
    });
    if last_is_known && cannot_tell {
        // The pull will tell.
        return Ok(planned(named, Vec::new()));
    }
    // A registry that cannot be asked may let pull all the same.
    if named.is_some() && reason != Reason::ImageNotFound {
        return Ok(planned(named, Vec::new()));
    }
    // An image that was never in a registry is fine where every host has it already.
    if everywhere && order.spec.policy.pull == PullWhen::Missing {
        return Ok(planned(None, Vec::new()));
    }
    let message = format!(
        "the registry does not give {reference}: {why}; check the name, push it, or log in with: \
         wharf login {} -u USER",
        reference.registry()
    );
    Err(RolloutError::PlanRefused(vec![Refusal { host: None, reason, message }]))
}
