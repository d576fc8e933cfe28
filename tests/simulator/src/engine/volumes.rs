//! Volumes of the model.

use async_trait::async_trait;
use serde_json::{Value, json};
use wharf_server::domain::VolumeName;
use wharf_server::engine::volumes::{PRUNE_KEEPS_NAMED, candidates, is_pruned};
use wharf_server::engine::{
    ApiVersion, EngineDocument, Filters, PrunedVolumes, Result, VolumeEngine, VolumeList,
    VolumeListing, volumes_of,
};

use super::{SimEngine, filters};
use crate::operation::Operation;

fn read(items: &[Value], version: ApiVersion, keep_json: bool) -> VolumeList {
    let text = json!({ "Volumes": items }).to_string();
    volumes_of(&text, version, keep_json).expect("the model writes volumes")
}

#[async_trait]
impl VolumeEngine for SimEngine {
    async fn list_volumes(&self, listing: &VolumeListing) -> Result<VolumeList> {
        self.at_once(Operation::ListVolumes, "", |model, _, version| {
            let items = model.list_volumes(version, &filters(&listing.filters))?;
            Ok(read(&items, version, listing.keep_json))
        })
        .await
    }

    async fn inspect_volume(&self, volume: &VolumeName) -> Result<EngineDocument> {
        let name = volume.as_str();
        self.document(Operation::InspectVolume, name, |model, version| {
            model.inspect_volume(version, name)
        })
        .await
    }

    async fn create_volume(&self, body: &Value) -> Result<EngineDocument> {
        let name = body["Name"].as_str().unwrap_or_default();
        self.at_once(Operation::CreateVolume, name, |model, now, version| {
            let json = model.create_volume(now, version, body)?.to_string();
            Ok(EngineDocument { json, api_version: version })
        })
        .await
    }

    async fn remove_volume(&self, volume: &VolumeName, force: bool) -> Result<()> {
        let name = volume.as_str();
        self.at_once(Operation::RemoveVolume, name, |model, _, _| model.remove_volume(name, force))
            .await
    }

    async fn prune_volumes(&self, wanted: &Filters, all: bool) -> Result<PrunedVolumes> {
        self.require(Operation::PruneVolumes, ApiVersion::new(1, 25), "a prune")?;
        self.at_once(Operation::PruneVolumes, "", |model, _, version| {
            let keeps_named = version >= PRUNE_KEEPS_NAMED;
            if !all && !keeps_named {
                let items = model.list_volumes(version, &filters(&candidates(wanted)))?;
                let mut names = Vec::new();
                for volume in read(&items, version, false).volumes.items {
                    if is_pruned(&volume, wanted) {
                        model.remove_volume(&volume.name, false)?;
                        names.push(volume.name);
                    }
                }
                return Ok(PrunedVolumes { names, ..PrunedVolumes::default() });
            }
            let mut wanted = wanted.clone();
            if keeps_named && all {
                wanted.insert("all".to_owned(), vec!["true".to_owned()]);
            }
            let names = model.prune_volumes(version, &filters(&wanted))?;
            Ok(PrunedVolumes { names, space_reclaimed: Some(0), failure: None })
        })
        .await
    }
}
