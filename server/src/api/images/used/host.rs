//! Asks one host for its containers and their images.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::facts::{Container, HostFacts, Source, image_id};
use super::order::Order;
use crate::domain::ContainerRef;
use crate::engine::{ContainerSummary, Engine, EngineError, ErrorKind, ImageListing, Inspection};

/// Containers of one host to inspect at the same time.
const AT_ONCE: usize = 8;

/// Asks one host.
pub async fn gather(engine: &dyn Engine, order: &Order) -> Result<HostFacts, EngineError> {
    let listed = engine.list_containers(&order.listing()).await?.items;
    let wanted = listed.into_iter().filter(|it| order.wants_name(&it.names));
    let found: Vec<Option<Container>> = stream::iter(wanted)
        .map(|summary| container(engine, summary))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let mut containers: Vec<_> = found.into_iter().flatten().collect();
    containers.retain(|it| order.wants_source(&it.source));
    if containers.is_empty() {
        return Ok(HostFacts::default());
    }
    let images = engine.list_images(&ImageListing::default()).await?.items;
    Ok(HostFacts::of(containers, images))
}

/// A container of a list; `None` where it is gone.
async fn container(
    engine: &dyn Engine,
    summary: ContainerSummary,
) -> Result<Option<Container>, EngineError> {
    let image_id = image_id(&summary.image_id);
    let mut source = Source::of(&summary.image, &image_id);
    // Docker lists the ID of an image that has lost its tag; the inspection still has the reference.
    if matches!(source, Source::Id(_))
        && let Ok(container) = ContainerRef::parse(&summary.id)
    {
        match engine.inspect_container(&container, false).await {
            Ok(document) => source = Source::of(&Inspection::read(&document)?.image, &image_id),
            Err(error) if error.kind == ErrorKind::ContainerNotFound => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    let ContainerSummary { id, names, state, .. } = summary;
    let name = names.into_iter().next().unwrap_or_default();
    Ok(Some(Container { id, name, state, image_id, source }))
}
