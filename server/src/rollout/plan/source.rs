//! Finds the image of a rollout on the host that it comes from, where that is not a registry.

use serde_json::Value;

use super::gather::FACTS;
use super::given::Given;
use super::resolve::Resolved;
use crate::domain::{HostName, ImageName, ImageReference, Reason};
use crate::engine::{EngineError, ErrorKind, ImageIdentity};
use crate::rollout::hosts::Hosts;
use crate::rollout::model::{ImageSource, PlannedImage, Trouble};
use crate::rollout::requests::{Refusal, RolloutError};

/// Finds the image on its source.
pub(super) async fn resolve(
    hosts: &dyn Hosts,
    host: &HostName,
    reference: &ImageReference,
) -> Result<Resolved, RolloutError> {
    let refused = |trouble| RolloutError::PlanRefused(vec![Refusal::of(Some(host), trouble)]);
    let reference = reference.clone().with_default_tag();
    let (identity, document) = find(hosts, host, &reference).await.map_err(refused)?;
    let from = ImageSource { host: host.clone(), image_id: identity.id().to_owned() };
    let image = PlannedImage { reference: reference.to_string(), digest: None, from: Some(from) };
    let given = Given { host: host.clone(), identity, document };
    Ok(Resolved { image, platforms: Vec::new(), given: Some(given) })
}

async fn find(
    hosts: &dyn Hosts,
    host: &HostName,
    reference: &ImageReference,
) -> Result<(ImageIdentity, Value), Trouble> {
    let engine = hosts.engine(host)?;
    let name = ImageName::Reference(reference.clone());
    let document = match tokio::time::timeout(FACTS, engine.inspect_image(&name)).await {
        Ok(Ok(document)) => document,
        Ok(Err(error)) => return Err(trouble(reference, &error)),
        Err(_) => {
            let message = format!(
                "no answer within {}, and the image is to come from this host",
                humantime::format_duration(FACTS)
            );
            return Err(Trouble::new(Reason::HostTimeout, message));
        }
    };
    let document: Option<Value> = document.parse().ok();
    let read = document.and_then(|json| Some((ImageIdentity::read(&json)?, json)));
    read.ok_or_else(|| {
        let message = format!("its inspection of {reference} is not valid for a Docker Engine");
        Trouble::new(Reason::EngineBadAnswer, message)
    })
}

fn trouble(reference: &ImageReference, error: &EngineError) -> Trouble {
    let message = match error.kind {
        ErrorKind::ImageNotFound => format!(
            "it does not have {reference}, which is to come from it; build, pull, or load it there, \
             or name a host that has it"
        ),
        _ => format!(
            "{error}; {reference} is to come from this host: make it reachable, or name another host \
             that has it"
        ),
    };
    Trouble::new(error.kind.reason(), message)
}
