//! Gets the image to the host before any container is touched, and checks it against the plan. Where it
//! comes from another host, `copy` does that.

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{BACKOFF, CALL, PATIENCE, PULLS_AGAIN, Run, StepError, Stopped, Task};
use crate::domain::{ImageName, ImageReference, Reason, RegistryLogin};
use crate::engine::{EngineDocument, EngineError, ErrorKind, Transfer, null_to_default};
use crate::rollout::model::{HostEnd, HostEvent, Trouble};
use crate::rollout::plan::no_health_check;
use crate::rollout::recreate;
use crate::rollout::requests::PullProgress;
use crate::rollout::spec::{Gate, PullWhen};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Image {
    pub(super) id: String,
    #[serde(default, deserialize_with = "null_to_default")]
    repo_digests: Vec<String>,
    #[serde(default)]
    config: Value,
}

impl Run<'_> {
    /// Gets the image. Changes nothing on a host that does not answer.
    pub(super) async fn pull(&mut self) -> Result<(), Stopped> {
        let (mut wait, mut lost, mut interrupted) = (BACKOFF.0, None, 0);
        loop {
            match self.fetch().await {
                Ok(()) => return self.end(HostEnd::Pulled).await,
                Err(StepError::Stopped) => return Err(Stopped),
                Err(StepError::Lost(trouble)) => {
                    if matches!(trouble.reason, Reason::PullFailed | Reason::LoadFailed) {
                        // The host answered, maybe for long, until the connection broke.
                        interrupted += 1;
                        lost = None;
                    }
                    let is_silent = lost.get_or_insert_with(Instant::now).elapsed() >= PATIENCE;
                    if is_silent || interrupted > PULLS_AGAIN {
                        return self.note(HostEvent::Unreachable { trouble }).await;
                    }
                    tracing::info!(host = %self.task.host, error = %trouble.message, "pulling again");
                    self.pause(&mut wait).await;
                }
                Err(StepError::Failed(trouble)) => {
                    let log_tail = Vec::new();
                    self.held.push(HostEvent::Failed { step: None, trouble, log_tail });
                    return self.end(HostEnd::Unchanged).await;
                }
            }
        }
    }

    async fn fetch(&mut self) -> Result<(), StepError> {
        let Some(planned) = self.task.image.clone() else { return Ok(()) };
        let invalid = |error: &dyn std::fmt::Display| {
            StepError::Failed(Trouble::new(Reason::ImageNotFound, error.to_string()))
        };
        let name = ImageName::parse(&planned.reference).map_err(|error| invalid(&error))?;
        let present = match self.call(CALL, self.engine.inspect_image(&name)).await {
            Ok(document) => Some(read(&document)?),
            Err(StepError::Failed(trouble)) if trouble.reason == Reason::ImageNotFound => None,
            Err(error) => return Err(error),
        };
        if let Some(source) = &planned.from {
            let image = self.copy(&planned, source, present).await?;
            return self.arrived(image, None).await;
        }
        let wanted = planned.digest.as_deref();
        let is_it = |image: &Image| {
            wanted.is_none_or(|wanted| image.repo_digests.iter().any(|it| it.ends_with(wanted)))
        };
        let image = match (present, self.task.policy.pull) {
            (Some(image), PullWhen::Missing | PullWhen::Never) if is_it(&image) => image,
            (None, PullWhen::Never) => {
                return Err(invalid(&format!(
                    "{} is missing, and pull_policy never pulls",
                    planned.reference
                )));
            }
            (Some(_), PullWhen::Never) => {
                return Err(invalid(&format!("{} differs from the plan", planned.reference)));
            }
            _ => {
                let Some(reference) = name.reference() else {
                    return Err(invalid(&format!(
                        "{} cannot be pulled by its ID",
                        planned.reference
                    )));
                };
                self.transfer(reference, wanted).await?
            }
        };
        if !is_it(&image) {
            return Err(invalid(&format!(
                "{} is {:?} here and {} elsewhere",
                planned.reference,
                image.repo_digests,
                wanted.unwrap_or_default()
            )));
        }
        let digest = image.repo_digests.first().and_then(|it| it.split_once('@'));
        let digest = digest.map(|(_, digest)| digest.to_owned());
        let digest = planned.digest.clone().or(digest);
        self.arrived(image, digest).await
    }

    /// Records that the host has the image, if the rollout can use it. What did not come from a
    /// registry has no digest that hosts have in common.
    async fn arrived(&mut self, image: Image, digest: Option<String>) -> Result<(), StepError> {
        self.check_health_check(&image.config)?;
        self.state.image_id = Some(image.id.clone());
        self.write(HostEvent::Pulled { image_id: image.id, digest }).await
    }

    /// Only now are the image's settings known; nothing has been touched so far.
    fn check_health_check(&self, config: &Value) -> Result<(), StepError> {
        let Task { plan, policy, bodies, .. } = self.task;
        let Some(new) = bodies.new.as_ref().filter(|_| plan.start && policy.gate == Gate::Docker)
        else {
            return Ok(());
        };
        match recreate::has_health_check(&new.body, Some(&json!({ "Config": config }))) {
            Some(false) => Err(StepError::Failed(no_health_check())),
            _ => Ok(()),
        }
    }

    /// Pulls by digest, so that every host gets the same image, and tags it as requested.
    async fn transfer(
        &self,
        reference: &ImageReference,
        digest: Option<&str>,
    ) -> Result<Image, StepError> {
        let reference = reference.clone().with_default_tag();
        let pinned = match digest {
            Some(digest) if reference.digest().is_none() => {
                ImageReference::parse(&format!("{reference}@{digest}")).map_err(|error| {
                    StepError::Failed(Trouble::new(Reason::ImageNotFound, error.to_string()))
                })?
            }
            _ => reference,
        };
        let registry = pinned.registry();
        let kept = || self.task.hosts.login(&registry);
        let Some(given) = &self.task.login else {
            return self.transfer_as(&pinned, kept().await.as_deref()).await;
        };
        match self.transfer_as(&pinned, Some(given)).await {
            // The credentials of the rollout may have expired.
            Err(StepError::Failed(trouble))
                if trouble.reason == ErrorKind::RegistryAuthRequired.reason() =>
            {
                match kept().await.filter(|kept| kept != given) {
                    Some(kept) => self.transfer_as(&pinned, Some(&kept)).await,
                    None => Err(StepError::Failed(Trouble {
                        message: format!(
                            "{}; to continue with other credentials: wharf rollout resume --retry-failed \
                             sends those of this machine's docker login, and wharf login stores some in the \
                             server",
                            trouble.message
                        ),
                        ..trouble
                    })),
                }
            }
            pulled => pulled,
        }
    }

    async fn transfer_as(
        &self,
        pinned: &ImageReference,
        login: Option<&RegistryLogin>,
    ) -> Result<Image, StepError> {
        let (sink, progress) = watch::channel(Transfer::default());
        let pull = self.engine.pull_image(pinned, None, login, &sink);
        match self.while_it_moves("POST /images/create", progress, pull).await {
            Ok(pulled) => read(&pulled.image),
            Err(error) if super::is_lost(&error) => Err(StepError::Lost(self.trouble(&error))),
            Err(error) => Err(StepError::Failed(self.trouble(&error))),
        }
    }

    /// Tells the progress of a transfer, and ends it if there is none for too long.
    pub(super) async fn while_it_moves<T>(
        &self,
        operation: &'static str,
        mut progress: watch::Receiver<Transfer>,
        transfer: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        let stalled = self.task.policy.pull_timeout;
        let standstill = async {
            // The limit applies to time without progress, not to the whole pull, because large
            // images take long.
            while let Ok(Ok(())) = tokio::time::timeout(stalled, progress.changed()).await {
                let transfer = progress.borrow_and_update().clone();
                let (rollout, host) = (self.task.rollout, self.task.host.clone());
                // There may be no watcher.
                let _ = self.task.pulls.send(PullProgress { rollout, host, transfer });
            }
        };
        tokio::select! {
            biased;
            ended = transfer => ended,
            () = standstill => Err(EngineError::new(
                ErrorKind::TransferStalled,
                operation,
                format!("no progress for {}", humantime::format_duration(stalled)),
            )),
        }
    }
}

pub(super) fn read(document: &EngineDocument) -> Result<Image, StepError> {
    document.parse().map_err(|error| {
        let message = format!("unexpected JSON of an image: {error}");
        StepError::Failed(Trouble::new(Reason::ImageNotFound, message))
    })
}
