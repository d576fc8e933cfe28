//! One image on its way from one Engine to others, without a registry.
//!
//! Its archive is read once, when the first target needs it, into an upload that every target reads at
//! its own pace. A target that has the image gets at most its name. What arrived is compared with
//! the image of the source.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{OnceCell, mpsc, watch};
use tokio_util::task::TaskTracker;

use super::image_archive::{image_ids, invalid_archive};
use super::image_arrival::{afterwards, facts_of, find, id_name, platform_of};
use super::operation::LOAD_IMAGES;
use super::wire::ImageFacts;
use super::{
    Arrival, Delivered, Engine, EngineError, ErrorKind, ImageIdentity, ProgressSink, Result,
    Upload, UploadError, UploadSpace, UploadWriter,
};
use crate::domain::{ImageName, ImageReference};

/// Pieces of the archive that may wait for the disk.
const WAITING: usize = 4;

/// An image on its way.
pub struct ImageCopy {
    source: Arc<dyn Engine>,
    image: SourceImage,
    space: UploadSpace,
    background: TaskTracker,
    archive: OnceCell<Archive>,
}

/// The image, and what it is called.
#[derive(Debug, Clone)]
struct SourceImage {
    identity: ImageIdentity,
    /// The name that it is to get; none if it was chosen by an ID or a digest.
    name: Option<ImageReference>,
}

/// The archive while it is read, and afterwards.
struct Archive {
    upload: Upload,
    end: watch::Receiver<Option<End>>,
}

/// The IDs that the image may get from its archive, or why the archive is not complete.
type End = Result<BTreeSet<String>>;

impl ImageCopy {
    /// The image that `source` has under a name. Its archive takes `space` and is read by a task in
    /// `background`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ImageNotFound`] if the source does not have it, and whatever else the source
    /// fails with.
    pub async fn new(
        source: Arc<dyn Engine>,
        image: &ImageName,
        space: UploadSpace,
        background: TaskTracker,
    ) -> Result<Self> {
        let facts = facts_of(&source.inspect_image(image).await?)?;
        let name = match image {
            ImageName::Reference(reference) => {
                Some(reference.clone().with_default_tag()).filter(|name| facts.has_name(name))
            }
            ImageName::Id(_) => None,
        };
        let image = SourceImage { identity: ImageIdentity::of(facts), name };
        Ok(Self { source, image, space, background, archive: OnceCell::new() })
    }

    /// The image that `source` has under an ID. It gets this name on its targets, even if the name now
    /// refers to another image on the source.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub async fn pinned(
        source: Arc<dyn Engine>,
        id: &str,
        name: ImageReference,
        space: UploadSpace,
        background: TaskTracker,
    ) -> Result<Self> {
        let mut copy = Self::new(source, &id_name(id)?, space, background).await?;
        copy.image.name = Some(name.with_default_tag());
        Ok(copy)
    }

    /// The ID of the image on its source.
    #[must_use]
    pub fn id(&self) -> &str {
        self.image.identity.id()
    }

    /// Why the archive did not come whole from the source, if that is known. It does not come
    /// later: only another copy reads the source again.
    #[must_use]
    pub fn failure(&self) -> Option<EngineError> {
        let end = &self.archive.get()?.end;
        end.borrow().as_ref().and_then(|end| end.as_ref().err().cloned())
    }

    /// Makes sure that `target` has the image, with its name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ForeignPlatform`] if the target cannot run it, [`ErrorKind::LoadFailed`] if
    /// another image arrived, [`ErrorKind::UploadInterrupted`] if the source failed, and whatever else
    /// the target fails with.
    pub async fn deliver(&self, target: &dyn Engine, progress: &ProgressSink) -> Result<Delivered> {
        let image = &self.image;
        let before = match &image.name {
            Some(name) => find(target, &ImageName::Reference(name.clone())).await?,
            None => None,
        };
        if let Some(found) = before.as_ref().filter(|found| image.identity.is(found)) {
            return Ok(image.delivered(found, Arrival::Present, None));
        }
        let replaced = before.map(|before| before.id);
        let own_id = id_name(self.id())?;
        if let Some(found) = find(target, &own_id).await? {
            let arrival = match &image.name {
                Some(name) => {
                    target.tag_image(&own_id, name).await?;
                    Arrival::Tagged
                }
                None => Arrival::Present,
            };
            return Ok(image.delivered(&found, arrival, replaced));
        }
        self.check_platform(target).await?;
        let archive = self.archive().await?;
        if let Err(error) = target.load_images(&archive.upload, progress).await {
            return Err(archive.explained(error).await);
        }
        let ids = archive.ids().await.map_err(afterwards)?;
        let found = self.arrived(target, &ids).await.map_err(afterwards)?;
        Ok(image.delivered(&found, Arrival::Loaded, replaced))
    }

    /// The image on a target that loaded it. If the Engine gave it another name, it gets its own.
    async fn arrived(&self, target: &dyn Engine, ids: &BTreeSet<String>) -> Result<ImageFacts> {
        let image = &self.image;
        let is_it = |found: &ImageFacts| image.identity.is(found) || ids.contains(&found.id);
        let named = match &image.name {
            Some(name) => find(target, &ImageName::Reference(name.clone())).await?,
            None => None,
        };
        if let Some(found) = named.filter(is_it) {
            return Ok(found);
        }
        for id in std::iter::once(self.id()).chain(ids.iter().map(String::as_str)) {
            let Ok(id) = id_name(id) else { continue };
            let Some(found) = find(target, &id).await? else { continue };
            if let Some(name) = &image.name {
                target.tag_image(&id, name).await?;
            }
            return Ok(found);
        }
        let message = format!(
            "the Engine reports that it loaded the archive, but {} does not exist there",
            self.id()
        );
        Err(EngineError::new(ErrorKind::LoadFailed, LOAD_IMAGES.name, message))
    }

    async fn check_platform(&self, target: &dyn Engine) -> Result<()> {
        let (image, host) = (self.image.identity.platform(), platform_of(target).await?);
        if host.runs(&image) {
            return Ok(());
        }
        let message =
            format!("the image is for {image}, and this host is {host}; nothing was sent to it");
        Err(EngineError::new(ErrorKind::ForeignPlatform, LOAD_IMAGES.name, message))
    }

    /// The archive, which is read from now on if it was not needed before.
    async fn archive(&self) -> Result<&Archive> {
        let begin = async || {
            let (writer, upload) = self.space.create().await.map_err(|error| stored(&error))?;
            let (result, end) = watch::channel(None);
            let SourceImage { identity, name } = &self.image;
            // By its name, targets get both in one step.
            let image = match name {
                Some(name) if identity.has_name(name) => ImageName::Reference(name.clone()),
                _ => id_name(self.id())?,
            };
            let (source, id) = (Arc::clone(&self.source), self.id().to_owned());
            self.background.spawn(async move {
                result.send_replace(Some(read_archive(&*source, image, &id, writer).await));
            });
            Ok(Archive { upload, end })
        };
        self.archive.get_or_try_init(begin).await
    }
}

impl Archive {
    /// The IDs that the image may get, once the archive is complete.
    async fn ids(&self) -> End {
        let mut end = self.end.clone();
        match end.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(ended)) => ended.clone(),
            _ => Err(stored(&UploadError::Interrupted)),
        }
    }

    /// The error of a target, with that of the source if it is the reason.
    async fn explained(&self, error: EngineError) -> EngineError {
        if error.kind != ErrorKind::UploadInterrupted {
            return error;
        }
        match self.ids().await {
            Err(cause) if cause.kind != ErrorKind::UploadInterrupted => {
                EngineError { message: cause.message, ..error }
            }
            _ => error,
        }
    }
}

impl SourceImage {
    fn delivered(
        &self,
        found: &ImageFacts,
        arrival: Arrival,
        replaced: Option<String>,
    ) -> Delivered {
        let (id, name) = (found.id.clone(), self.name.clone());
        Delivered { id, name, arrival, replaced, platform: found.platform() }
    }
}

/// Reads the archive of an image into an upload, which is complete only if the archive is, and has the
/// image with that ID.
async fn read_archive(
    source: &dyn Engine,
    image: ImageName,
    id: &str,
    mut writer: UploadWriter,
) -> End {
    let (sink, mut pieces) = mpsc::channel(WAITING);
    let save = async move { source.save_images(&[image], &sink).await };
    let target = &mut writer;
    let store = async move {
        while let Some(piece) = pieces.recv().await {
            target.write(piece).await?;
        }
        Ok::<_, UploadError>(())
    };
    // Each ends when the other does.
    let (saved, written) = tokio::join!(save, store);
    if let Err(error) = written {
        let failure = stored(&error);
        writer.fail(error);
        return Err(failure);
    }
    // Its readers fail when the writer is dropped.
    saved?;
    let reader = writer.reader();
    let ids = tokio::task::spawn_blocking(move || image_ids(reader));
    let ids = ids.await.unwrap_or_else(|error| Err(error.to_string()));
    let ids = ids.and_then(|ids| {
        let other =
            || format!("it has another image than {id}, so the name of the image has moved");
        if ids.contains(id) { Ok(ids) } else { Err(other()) }
    });
    let ids = ids.map_err(|problem| invalid_archive(&problem))?;
    writer.finish();
    Ok(ids)
}

fn stored(error: &UploadError) -> EngineError {
    EngineError::new(error.into(), LOAD_IMAGES.name, error.to_string())
}
