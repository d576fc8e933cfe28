//! The calls about volumes.

use async_trait::async_trait;
use serde_json::Value;

use super::HttpEngine;
use super::link::{Call, bad_answer};
use crate::domain::VolumeName;
use crate::engine::operation::{
    CREATE_VOLUME, INSPECT_VOLUME, LIST_VOLUMES, PRUNE_VOLUMES, REMOVE_VOLUME,
};
use crate::engine::volumes::{PRUNE_KEEPS_NAMED, candidates, is_pruned};
use crate::engine::wire::{VolumePrune, volumes_of};
use crate::engine::{
    EngineDocument, ErrorKind, Filters, PrunedVolumes, Result, VolumeEngine, VolumeList,
    VolumeListing,
};

/// Above this size, a list is parsed in a separate thread.
const PARSED_IN_PLACE: usize = 1 << 20;

#[async_trait]
impl VolumeEngine for HttpEngine {
    async fn list_volumes(&self, listing: &VolumeListing) -> Result<VolumeList> {
        let call = Call::new(&LIST_VOLUMES, &["volumes"]).with_filters(&listing.filters);
        let EngineDocument { json, api_version } = self.link.document(call).await?;
        let keep_json = listing.keep_json;
        if json.len() <= PARSED_IN_PLACE {
            return volumes_of(&json, api_version, keep_json);
        }
        let parsing =
            tokio::task::spawn_blocking(move || volumes_of(&json, api_version, keep_json));
        parsing.await.map_err(|_| bad_answer(&LIST_VOLUMES, "it could not be read"))?
    }

    async fn inspect_volume(&self, volume: &VolumeName) -> Result<EngineDocument> {
        self.link.document(Call::new(&INSPECT_VOLUME, &["volumes", volume.as_str()])).await
    }

    async fn create_volume(&self, body: &Value) -> Result<EngineDocument> {
        let call = Call::new(&CREATE_VOLUME, &["volumes", "create"]).with_json(body.to_string());
        self.link.document(call).await
    }

    async fn remove_volume(&self, volume: &VolumeName, force: bool) -> Result<()> {
        let call =
            Call::new(&REMOVE_VOLUME, &["volumes", volume.as_str()]).with_flag("force", force);
        self.link.send(call).await.map(drop)
    }

    async fn prune_volumes(&self, filters: &Filters, all: bool) -> Result<PrunedVolumes> {
        let keeps_named = self.link.negotiated(&PRUNE_VOLUMES).await?.version >= PRUNE_KEEPS_NAMED;
        if !all && !keeps_named {
            return self.prune_anonymous(filters).await;
        }
        let mut filters = filters.clone();
        if keeps_named && all {
            filters.insert("all".to_owned(), vec!["true".to_owned()]);
        }
        let call = Call::new(&PRUNE_VOLUMES, &["volumes", "prune"]).with_filters(&filters);
        Ok(self.link.send(call).await?.json::<VolumePrune>().await?.into())
    }
}

impl HttpEngine {
    /// Removes the unused volumes without a name, one after the other.
    async fn prune_anonymous(&self, filters: &Filters) -> Result<PrunedVolumes> {
        let listing = VolumeListing { filters: candidates(filters), keep_json: false };
        let found = self.list_volumes(&listing).await?.volumes.items;
        let mut names = Vec::new();
        for volume in found.into_iter().filter(|volume| is_pruned(volume, filters)) {
            let Ok(name) = VolumeName::parse(&volume.name) else { continue };
            match self.remove_volume(&name, false).await {
                Ok(()) => names.push(volume.name),
                // Since the list was made, a container took it, or someone removed it.
                Err(error)
                    if matches!(error.kind, ErrorKind::Conflict | ErrorKind::VolumeNotFound) => {}
                Err(error) if names.is_empty() => return Err(error),
                Err(error) => {
                    let failure = Some(error);
                    return Ok(PrunedVolumes { names, space_reclaimed: None, failure });
                }
            }
        }
        Ok(PrunedVolumes { names, space_reclaimed: None, failure: None })
    }
}
