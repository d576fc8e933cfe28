//! Images of the model, and transfers from and to its registries.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use wharf_server::domain::{Digest, ImageName, ImageReference, RegistryLogin};
use wharf_server::engine::{
    ApiVersion, ArchiveSink, Change, EngineDocument, EngineError, ErrorKind, HistoryLayer,
    ImageEngine, ImageListing, ImageRemoval, ImageSummary, Listing, ProgressSink, PrunedImages,
    Pulled, Pushed, RemoteImage, Result, Upload, UploadError,
};

use super::{SimEngine, check_login, filters, registry_auth, show};
use crate::answers;
use crate::model::Refusal;
use crate::operation::Operation;

/// Bytes of an archive that are given at once.
const PIECE: usize = 16 << 10;

#[async_trait]
impl ImageEngine for SimEngine {
    async fn list_images(&self, listing: &ImageListing) -> Result<Listing<ImageSummary>> {
        self.at_once(Operation::ListImages, "", |model, _, version| {
            let items = model.list_images(version, &filters(&listing.filters))?;
            let items = items.iter().map(|item| answers::image(item, listing.keep_json)).collect();
            Ok(Listing { items, api_version: version })
        })
        .await
    }

    async fn inspect_image(&self, image: &ImageName) -> Result<EngineDocument> {
        let name = image.to_string();
        self.document(Operation::InspectImage, &name, |model, version| {
            model.inspect_image(version, &name)
        })
        .await
    }

    /// The model keeps one manifest of an image.
    async fn image_manifest(&self, _image: &ImageName) -> Result<Option<String>> {
        Ok(None)
    }

    async fn image_history(&self, image: &ImageName) -> Result<Vec<HistoryLayer>> {
        let name = image.to_string();
        self.at_once(Operation::ImageHistory, &name, |model, _, _| {
            model.image_history(&name).map(|layers| answers::history(&layers))
        })
        .await
    }

    async fn pull_image(
        &self,
        reference: &ImageReference,
        platform: Option<&str>,
        login: Option<&RegistryLogin>,
        progress: &ProgressSink,
    ) -> Result<Pulled> {
        check_login(Operation::Pull, reference, login)?;
        if platform.is_some() {
            let since = ApiVersion::new(1, 32);
            self.require(Operation::Pull, since, "a pull for a platform")?;
        }
        let parameters = reference.engine_pull_params();
        let auth = login.map(registry_auth);
        let name = reference.to_string();
        self.call(Operation::Pull, &name, async |version| {
            let plans = self.host.with(|model, _| {
                model.begin_pull(&parameters.from_image, &parameters.tag, platform, auth.as_ref())
            })?;
            let plan = &plans[0];
            show(&plan.steps, progress).await;
            self.host.with(|model, now| {
                let id = model.finish_pull(now, plan);
                if let (Some(tag), Some(_)) = (reference.tag(), reference.digest()) {
                    model.tag_image(now, &id, &reference.repository(), tag)?;
                }
                let json = model.inspect_image(version, &id)?;
                let architecture = json["Architecture"].as_str().unwrap_or_default();
                if let Some(wanted) = platform.and_then(|platform| platform.split('/').nth(1))
                    && wanted != architecture
                {
                    let message = format!(
                        "the registry has this image for linux/{architecture} and not for {}; it was pulled all the same",
                        platform.unwrap_or_default()
                    );
                    return Err(Refusal { status: 200, kind: ErrorKind::PullFailed, message });
                }
                let newer = answers::newer(&plan.steps);
                let image = EngineDocument { json: json.to_string(), api_version: version };
                Ok(Pulled { digest: Some(plan.digest().to_owned()), newer, image })
            })
        })
        .await
    }

    async fn push_image(
        &self,
        reference: &ImageReference,
        login: Option<&RegistryLogin>,
        progress: &ProgressSink,
    ) -> Result<Pushed> {
        check_login(Operation::Push, reference, login)?;
        if reference.digest().is_some() {
            let message = format!("{reference} has a digest, and only tags can be pushed");
            return Err(EngineError::new(ErrorKind::BadRequest, Operation::Push.name(), message));
        }
        let auth = login.map(registry_auth);
        let name = reference.to_string();
        self.call(Operation::Push, &name, async |_| {
            let tag = reference.tag().unwrap_or("latest");
            let plan = self
                .host
                .with(|model, _| model.begin_push(&reference.repository(), tag, auth.as_ref()))?;
            show(&plan.steps, progress).await;
            if let Some(refusal) = plan.failure {
                return Err(refusal);
            }
            self.host.with(|model, now| model.finish_push(now, &plan));
            Ok(answers::pushed(&plan.steps))
        })
        .await
    }

    async fn save_images(&self, images: &[ImageName], sink: &ArchiveSink) -> Result<()> {
        let names: Vec<String> = images.iter().map(ToString::to_string).collect();
        let archive = self
            .at_once(Operation::SaveImages, &names.join(" "), |model, _, _| {
                model.save_images(&names)
            })
            .await?;
        for piece in archive.chunks(PIECE) {
            if sink.send(piece.to_vec().into()).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn load_images(
        &self,
        archive: &Upload,
        progress: &ProgressSink,
    ) -> Result<Vec<ImageName>> {
        self.call(Operation::LoadImages, "", async |_| {
            let content: Vec<Bytes> =
                archive.content().try_collect().await.map_err(|error| unread(&error))?;
            let plan = self.host.with(|model, _| model.begin_load(&content.concat()));
            show(&plan.steps, progress).await;
            if let Some(refusal) = plan.failure {
                return Err(refusal);
            }
            self.host.with(|model, now| model.finish_load(now, &plan));
            Ok(answers::loaded(&plan.steps))
        })
        .await
    }

    async fn tag_image(&self, source: &ImageName, target: &ImageReference) -> Result<Change> {
        let name = source.to_string();
        if target.digest().is_some() {
            let message = format!("{target} has a digest, which cannot be given to an image");
            return Err(EngineError::new(ErrorKind::BadRequest, Operation::Tag.name(), message));
        }
        let target = target.clone().with_default_tag();
        self.at_once(Operation::Tag, &name, |model, now, _| {
            if model.is_tagged(&name, &target) {
                return Ok(Change::Already);
            }
            let tag = target.tag().unwrap_or_default();
            model.tag_image(now, &name, &target.repository(), tag)?;
            Ok(Change::Made)
        })
        .await
    }

    async fn remove_image(
        &self,
        image: &ImageName,
        force: bool,
        _keep_parents: bool,
    ) -> Result<ImageRemoval> {
        let name = image.to_string();
        self.at_once(Operation::RemoveImage, &name, |model, _, _| {
            model.remove_image(&name, force).map(|records| answers::removal(&records))
        })
        .await
    }

    async fn prune_images(&self, wanted: &wharf_server::engine::Filters) -> Result<PrunedImages> {
        self.require(Operation::PruneImages, ApiVersion::new(1, 25), "a prune")?;
        self.at_once(Operation::PruneImages, "", |model, _, _| {
            let answer = model.prune_images(&filters(wanted))?;
            Ok(PrunedImages {
                removal: answers::removal(&answer["ImagesDeleted"]),
                space_reclaimed: answer["SpaceReclaimed"].as_u64().unwrap_or(0),
            })
        })
        .await
    }

    async fn resolve_image(
        &self,
        reference: &ImageReference,
        login: Option<&RegistryLogin>,
    ) -> Result<RemoteImage> {
        check_login(Operation::Distribution, reference, login)?;
        let since = ApiVersion::new(1, 30);
        self.require(Operation::Distribution, since, "asking the registry for a digest")?;
        let parameters = reference.clone().with_default_tag().engine_pull_params();
        let auth = login.map(registry_auth);
        let digest = self
            .at_once(Operation::Distribution, &reference.to_string(), |model, _, _| {
                model.resolve_digest(&parameters.from_image, &parameters.tag, auth.as_ref())
            })
            .await?;
        let digest = Digest::parse(&digest).map_err(|error| {
            let operation = Operation::Distribution.name();
            EngineError::new(ErrorKind::BadAnswer, operation, error.to_string())
        })?;
        Ok(RemoteImage { digest, is_index: false, platforms: Vec::new() })
    }
}

/// An archive that does not come whole.
fn unread(error: &UploadError) -> Refusal {
    Refusal { status: 0, kind: error.into(), message: error.to_string() }
}
