//! Gets the image to the host from another host of the fleet, where it is to come from one. It can be
//! repeated like a pull: what has arrived is found by its ID.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::pull::{Image, read};
use super::{BACKOFF, CALL, PULLS_AGAIN, Run, StepError, is_lost};
use crate::domain::{ImageName, ImageReference, Reason};
use crate::engine::{EngineError, ErrorKind, Transfer};
use crate::rollout::model::{ImageSource, PlannedImage, Trouble};

/// How long to wait for a source that does not answer: a restart of its machine must not fail every
/// host. An abort waits no longer than that either.
const SOURCE_AWAY: Duration = Duration::from_secs(120);

const OPERATION: &str = "POST /images/load";

/// Why an attempt failed.
enum CopyError {
    /// The source does not answer, or broke off: it may come back.
    Source {
        trouble: Trouble,
        /// Whether it had begun to give its image.
        begun: bool,
    },
    /// Anything else.
    Step(StepError),
}

impl Run<'_> {
    /// The image, which this host has or gets from the source.
    pub(super) async fn copy(
        &self,
        planned: &PlannedImage,
        source: &ImageSource,
        present: Option<Image>,
    ) -> Result<Image, StepError> {
        // Needs nothing, and so no source that answers.
        if let Some(image) = present.filter(|image| image.id == source.image_id) {
            return Ok(image);
        }
        let name = ImageReference::parse(&planned.reference).map_err(|error| {
            StepError::Failed(Trouble::new(Reason::ImageNotFound, error.to_string()))
        })?;
        let (mut wait, mut away, mut interrupted) = (BACKOFF.0, None, 0);
        loop {
            let asked = Instant::now();
            let (trouble, begun) = match self.copy_once(&name, source).await {
                Ok(image) => return Ok(image),
                Err(CopyError::Step(error)) => return Err(error),
                Err(CopyError::Source { trouble, begun }) => (trouble, begun),
            };
            if begun {
                interrupted += 1;
                away = None;
            }
            let is_away = away.get_or_insert(asked).elapsed() >= SOURCE_AWAY;
            if is_away || interrupted > PULLS_AGAIN {
                let message = format!(
                    "{}; to try again when {} answers: wharf rollout resume --retry-failed",
                    trouble.message, source.host
                );
                return Err(StepError::Failed(Trouble { message, ..trouble }));
            }
            let (host, source) = (&self.task.host, &source.host);
            tracing::info!(%host, %source, error = %trouble.message, "waiting for the source");
            self.pause(&mut wait).await;
        }
    }

    async fn copy_once(
        &self,
        name: &ImageReference,
        source: &ImageSource,
    ) -> Result<Image, CopyError> {
        let hosts = &self.task.hosts;
        let engine = hosts.engine(&source.host).map_err(|trouble| of_task(of(source, &trouble)))?;
        let join = self.task.copies.join(engine, &source.image_id, name, hosts.upload_space());
        let copy = match tokio::time::timeout(CALL, join).await {
            Ok(Ok(copy)) => copy,
            Ok(Err(error)) => return Err(self.of_source(source, name, &error, false)),
            Err(_) => {
                let message = format!("{} did not answer within {CALL:?}", source.host);
                let trouble = Trouble::new(Reason::HostTimeout, message);
                return Err(CopyError::Source { trouble, begun: false });
            }
        };
        let (sink, progress) = watch::channel(Transfer::default());
        let delivery = copy.deliver(&*self.engine, &sink);
        let delivered = match self.while_it_moves(OPERATION, progress, delivery).await {
            Ok(delivered) => delivered,
            Err(error) => {
                let of_archive = error.kind == ErrorKind::UploadInterrupted;
                let failure = copy.failure().or_else(|| of_archive.then(|| error.clone()));
                return Err(match failure {
                    Some(failure) => self.of_source(source, name, &failure, true),
                    None if is_lost(&error) => {
                        CopyError::Step(StepError::Lost(self.trouble(&error)))
                    }
                    None => of_task(self.trouble(&error)),
                });
            }
        };
        let id = ImageName::parse(&delivered.id)
            .map_err(|error| of_task(Trouble::new(Reason::ImageNotFound, error.to_string())))?;
        let document = self.call(CALL, self.engine.inspect_image(&id)).await;
        document.and_then(|document| read(&document)).map_err(CopyError::Step)
    }

    fn of_source(
        &self,
        source: &ImageSource,
        name: &ImageReference,
        error: &EngineError,
        begun: bool,
    ) -> CopyError {
        match error.kind {
            // That of this server.
            ErrorKind::UploadDiskFull => of_task(self.trouble(error)),
            ErrorKind::ImageNotFound => {
                let message = format!(
                    "{} no longer has the image of the plan, {name} ({}); start the rollout again",
                    source.host, source.image_id
                );
                of_task(Trouble::new(Reason::ImageNotFound, message))
            }
            _ if is_lost(error) || error.kind == ErrorKind::UploadInterrupted => {
                CopyError::Source { trouble: of(source, &self.trouble(error)), begun }
            }
            _ => of_task(of(source, &self.trouble(error))),
        }
    }
}

/// Says that it is about the source and not the host itself.
fn of(source: &ImageSource, trouble: &Trouble) -> Trouble {
    let message = format!("the image does not come from {}: {}", source.host, trouble.message);
    Trouble::new(trouble.reason, message)
}

fn of_task(trouble: Trouble) -> CopyError {
    CopyError::Step(StepError::Failed(trouble))
}
