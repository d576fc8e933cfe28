//! The image of a rollout on its way from one host to the others. Hosts that copy at the same time
//! share one read of the source.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio_util::task::TaskTracker;

use crate::domain::ImageReference;
use crate::engine::{Engine, ImageCopy, Result, UploadSpace};

/// The copies of one rollout.
#[derive(Default)]
pub struct Copies {
    /// Lives as long as a host uses it; its space on the disk is free afterwards.
    latest: Mutex<Weak<ImageCopy>>,
    readers: TaskTracker,
}

impl Copies {
    /// The copy that other hosts are using, or a new one if there is none, or if that one failed.
    ///
    /// # Errors
    ///
    /// Those of [`ImageCopy::pinned`].
    pub(super) async fn join(
        &self,
        source: Arc<dyn Engine>,
        id: &str,
        name: &ImageReference,
        space: UploadSpace,
    ) -> Result<Arc<ImageCopy>> {
        if let Some(copy) = self.shared(id) {
            return Ok(copy);
        }
        // Not under the lock: a source that is silent would hold up the hosts one after the other.
        let made = ImageCopy::pinned(source, id, name.clone(), space, self.readers.clone()).await?;
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(copy) = usable(&latest, id) {
            return Ok(copy);
        }
        let made = Arc::new(made);
        *latest = Arc::downgrade(&made);
        Ok(made)
    }

    fn shared(&self, id: &str) -> Option<Arc<ImageCopy>> {
        usable(&self.latest.lock().unwrap_or_else(PoisonError::into_inner), id)
    }
}

fn usable(copy: &Weak<ImageCopy>, id: &str) -> Option<Arc<ImageCopy>> {
    copy.upgrade().filter(|copy| copy.id() == id && copy.failure().is_none())
}
