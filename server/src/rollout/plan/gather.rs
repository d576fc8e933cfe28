//! What the hosts have to say for a plan.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;

use crate::domain::{ContainerName, HostName, ImageName, ImageReference, Reason};
use crate::engine::EngineError;
use crate::rollout::facts::{self, Facts, OldContainer};
use crate::rollout::hosts::Hosts;
use crate::rollout::model::Trouble;
use crate::rollout::recreate;

/// Maximum number of hosts to query at the same time.
const AT_ONCE: usize = 64;

/// Longest time for the facts of one host.
pub(super) const FACTS: Duration = Duration::from_secs(60);

/// The result of querying one host.
pub(super) struct Asked {
    pub host: HostName,
    pub facts: Result<Facts, Trouble>,
    /// The dependents of the container.
    pub dependents: Vec<OldContainer>,
    /// The image that the reference of the order now points to on this host.
    pub image: Option<Value>,
}

/// The image of the reference on each host that answered.
pub(super) async fn images_on(hosts: &dyn Hosts, asked: &mut [Asked], reference: &ImageReference) {
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
pub(super) async fn ask(
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

/// What is there, and what depends on the container.
pub(super) async fn facts_of(
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
            Reason::HostTimeout,
            format!("no answer within {}", humantime::format_duration(FACTS)),
        )),
    }
}

/// The image that the reference stands for on a host; `None` also where the host does not say.
pub(super) async fn image_on(
    hosts: &dyn Hosts,
    host: &HostName,
    image: &ImageReference,
) -> Option<Value> {
    image_of(hosts, host, &ImageName::Reference(image.clone().with_default_tag())).await
}

/// The image of that name or ID on a host.
pub(super) async fn image_of(
    hosts: &dyn Hosts,
    host: &HostName,
    name: &ImageName,
) -> Option<Value> {
    let engine = hosts.engine(host).ok()?;
    let document = tokio::time::timeout(FACTS, engine.inspect_image(name)).await.ok()?.ok()?;
    document.parse().ok()
}
