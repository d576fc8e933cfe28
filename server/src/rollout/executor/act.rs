//! The steps themselves, each a call or a few on the Engine. Every one may be repeated: what
//! is so already is success.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::compare::check_networks;
use super::look::{SHA_LABEL, TWIN_LABEL};
use super::{CALL, LOG_LINES, NewBody, Run, StepError};
use crate::domain::{ContainerName, ContainerRef, ImageName, Reason};
use crate::engine::{EngineError, ErrorKind};
use crate::rollout::model::{ROLLOUT_LABEL, RestartPolicy, Step, TargetKind, Trouble};
use crate::rollout::recreate::{self, complete, compose_image};
use crate::rollout::spec::AnonymousVolumes;
use crate::rollout::step::{ContainerFacts, Observed};

/// For creations and starts, which wait for disks.
const SLOW: Duration = Duration::from_secs(120);
/// What a stop takes beyond its grace period.
const STOP_MARGIN: Duration = Duration::from_secs(30);
/// The longest grace period that is waited for where the container's own is not known.
const OWN_STOP: Duration = Duration::from_secs(600);
/// A hook runs for no longer.
const HOOK: Duration = Duration::from_secs(600);
/// A port that the old container held is free only a moment after its stop.
const PORT_RETRIES: u32 = 20;
const PORT_WAIT: Duration = Duration::from_millis(250);
/// How often a name is asked for again that nobody seems to have.
const NAME_WAIT: Duration = Duration::from_millis(500);
/// How often a container with auto-remove is looked after until it is gone.
const GONE_POLL: Duration = Duration::from_millis(100);
/// What a failed hook said, as far as it is repeated.
const OUTPUT_SHOWN: usize = 400;

impl Run<'_> {
    /// Does a step; returns the ID of the container that it made, if it made one.
    pub(super) async fn act(
        &mut self,
        step: Step,
        seen: &Observed,
    ) -> Result<Option<String>, StepError> {
        let names = &self.task.names;
        match step {
            Step::Create => return self.create(seen).await.map(Some),
            Step::CreateTwin => return self.create_twin(seen).await.map(Some),
            Step::Drain => {
                let old = standing(seen).cloned();
                self.hook(self.task.policy.drain.as_deref(), &old, "drain").await?;
            }
            Step::Verify => {
                self.hook(self.task.policy.verify.as_deref(), &seen.new, "verify").await?;
            }
            Step::StopOld => self.stop_old(seen).await?,
            Step::StopNew => self.stop(&reference(&seen.new, "new")?).await?,
            Step::FenceOld => self.restart_policy(standing(seen), &RestartPolicy::no()).await?,
            Step::FenceNew => self.restart_policy(seen.new.as_ref(), &RestartPolicy::no()).await?,
            Step::UnfenceOld => {
                let policy = self.task.plan.old.as_ref().map(|old| old.restart.clone());
                self.restart_policy(standing(seen), &policy.unwrap_or_default()).await?;
            }
            Step::UnfenceNew => {
                if let TargetKind::Adopt { restart, .. } = &self.task.plan.kind {
                    self.restart_policy(seen.new.as_ref(), restart).await?;
                }
            }
            Step::RenameOld => self.rename(standing(seen), &names.backup).await?,
            Step::RenameNew => self.rename(seen.new.as_ref(), &names.target).await?,
            Step::RenameBack => self.rename(standing(seen), &names.target).await?,
            Step::RenameBad => match &self.task.plan.kind {
                TargetKind::Adopt { name, .. } => self.rename(seen.new.as_ref(), name).await?,
                _ => self.rename(seen.new.as_ref(), &names.reject).await?,
            },
            Step::StartNew => self.start(seen.new.as_ref()).await?,
            Step::StartOld => self.start(standing(seen)).await?,
            Step::Compare => self.compare(seen).await?,
            Step::Gate => self.gate(seen).await?,
            Step::GateOld => self.gate_old(seen).await?,
            Step::Monitor => self.monitor(seen).await?,
            Step::RemoveNew => self.remove(seen.new.as_ref()).await?,
            Step::RemoveTwin => self.remove(seen.twin.as_ref()).await?,
            // Is done when the way of the host is over, and not on it.
            Step::RemoveOld => {}
        }
        Ok(None)
    }

    /// The end of a container's log; nothing where it cannot be had.
    pub(super) async fn log_tail(&self, id: &str) -> Vec<String> {
        let Ok(reference) = ContainerRef::parse(id) else { return Vec::new() };
        let tail = self.engine.log_tail(&reference, LOG_LINES);
        tokio::time::timeout(CALL, tail).await.ok().and_then(Result::ok).unwrap_or_default()
    }

    async fn create(&mut self, seen: &Observed) -> Result<String, StepError> {
        let Some(new) = self.task.bodies.new.clone() else {
            return Err(missing("the body of the new container is missing from the store"));
        };
        let id = match &seen.new {
            // Created before the record of it was lost: only its networks may be missing.
            Some(found) => found.id.clone(),
            None => self.make(&self.new_body(&new).await?, &self.task.names.candidate).await?,
        };
        self.connect(&id, &new).await?;
        self.check_created(&id, &new).await?;
        Ok(id)
    }

    async fn create_twin(&mut self, seen: &Observed) -> Result<String, StepError> {
        let Some(twin) = self.task.bodies.twin.clone() else {
            return Err(missing("the body of the twin is missing from the store"));
        };
        let id = match &seen.twin {
            Some(found) => found.id.clone(),
            None => {
                let body = complete(&twin.body, None, &self.labels(true));
                self.make(&body, &self.task.names.backup).await?
            }
        };
        self.connect(&id, &twin).await?;
        self.check_created(&id, &twin).await?;
        Ok(id)
    }

    /// The body of the new container as it is sent.
    pub(super) async fn new_body(&self, new: &NewBody) -> Result<Value, StepError> {
        let image = self.compose_image(new).await?;
        Ok(complete(&self.body(&new.body), image.as_deref(), &self.labels(false)))
    }

    /// What Compose will compare with the image of the new container. Up to 5.4 that is the image's
    /// ID; later ones take the digest of the manifest for the platform, where the Engine tells it.
    /// Which one made the old container shows in what it wrote there.
    async fn compose_image(&self, new: &NewBody) -> Result<Option<String>, StepError> {
        let image = new.image_id.as_ref().or(self.state.image_id.as_ref());
        let (Some(image), Some(written)) = (image, compose_image(&new.body)) else {
            return Ok(image.cloned());
        };
        let old = self.task.plan.old.as_ref().map(|old| &*old.image_id);
        if written == image || Some(written) == old {
            return Ok(Some(image.clone()));
        }
        let Ok(name) = ImageName::parse(image) else { return Ok(Some(image.clone())) };
        let manifest = self.call(CALL, self.engine.image_manifest(&name)).await?;
        Ok(Some(manifest.unwrap_or_else(|| image.clone())))
    }

    /// Creates a container. Where its name is taken, that may be by what an earlier try made
    /// whose answer was lost, and which the next look finds; or by what that try still makes, and
    /// which nobody sees yet.
    async fn make(&self, body: &Value, name: &str) -> Result<String, StepError> {
        let name = ContainerName::parse(name).map_err(|error| missing(&error.to_string()))?;
        let begun = Instant::now();
        loop {
            let created = self.engine.create_container(Some(&name), None, body);
            let trouble = match self.call(SLOW, created).await {
                Err(StepError::Failed(trouble)) if trouble.reason == Reason::NameInUse => trouble,
                created => return Ok(created?.id),
            };
            let holder = self.call(CALL, self.named(name.as_str())).await?;
            let ours = holder.map(|it| it.facts.rollout.as_ref() == Some(&self.task.names.rollout));
            match ours {
                Some(true) => return Err(StepError::Lost(trouble)),
                None if begun.elapsed() < SLOW => tokio::time::sleep(NAME_WAIT).await,
                Some(false) | None => return Err(StepError::Failed(trouble)),
            }
        }
    }

    /// What finds a container again although the record of it was lost.
    fn labels(&self, twin: bool) -> Vec<(&'static str, String)> {
        let Self { task, .. } = self;
        let mut labels = vec![
            (ROLLOUT_LABEL, task.names.rollout.clone()),
            ("io.wharf.rollout.target", task.names.target.clone()),
            (SHA_LABEL, self.spec_sha()),
        ];
        if let Some(old) = &task.plan.old {
            labels.push(("io.wharf.rollout.prev.id", old.id.clone()));
            labels.push(("io.wharf.rollout.prev.running", old.running.to_string()));
            let RestartPolicy { name, maximum_retry_count } = &old.restart;
            labels.push((
                "io.wharf.rollout.prev.restart",
                json!({ "Name": name, "MaximumRetryCount": maximum_retry_count }).to_string(),
            ));
        }
        if twin {
            labels.push((TWIN_LABEL, task.names.rollout.clone()));
        }
        labels
    }

    async fn connect(&self, id: &str, new: &NewBody) -> Result<(), StepError> {
        let reference = ContainerRef::parse(id).map_err(|error| missing(&error.to_string()))?;
        for (network, endpoint) in &new.networks {
            let connected = self.engine.connect_network(network, &reference, endpoint);
            self.call(SLOW, connected).await?;
        }
        Ok(())
    }

    /// Whether the Engine made what was meant, as far as that must hold before anything stops: a
    /// tag may have moved on the host since the image was pulled, and a network may be left out.
    async fn check_created(&self, id: &str, new: &NewBody) -> Result<(), StepError> {
        let found = self.inspection(id).await?;
        let expected = new.image_id.as_ref().or(self.state.image_id.as_ref());
        let image = found["Image"].as_str().unwrap_or_default();
        if let Some(expected) = expected.filter(|expected| *expected != image) {
            return Err(StepError::Failed(Trouble::new(
                Reason::RolloutImageMoved,
                format!(
                    "the new container has image {image} instead of {expected}: somebody \
                     moved the tag on this host; start the rollout again",
                ),
            )));
        }
        if recreate::tells_networks(&found) { check_networks(new, &found) } else { Ok(()) }
    }

    async fn hook(
        &self,
        command: Option<&[String]>,
        container: &Option<ContainerFacts>,
        name: &str,
    ) -> Result<(), StepError> {
        let Some(command) = command else { return Ok(()) };
        let reference = reference(container, name)?;
        let result = self.call(HOOK, self.engine.run_in_container(&reference, command)).await?;
        if result.exit_code == 0 {
            return Ok(());
        }
        let said: String = result.output.trim().chars().take(OUTPUT_SHOWN).collect();
        Err(StepError::Failed(Trouble::new(
            Reason::RolloutHookFailed,
            match said.as_str() {
                "" => format!("the {name} command ended with {}", result.exit_code),
                said => format!("the {name} command ended with {}: {said}", result.exit_code),
            },
        )))
    }

    async fn stop_old(&self, seen: &Observed) -> Result<(), StepError> {
        let vanishes = self.task.plan.old.as_ref().is_some_and(|old| old.auto_remove);
        let Some(old) = &seen.old else {
            // Its twin took its place in an earlier attempt, and stays when it is stopped.
            return match &seen.twin {
                Some(twin) if twin.running => self.stop(&reference(&seen.twin, "old")?).await,
                _ => Ok(()),
            };
        };
        let reference = reference(&seen.old, "old")?;
        if old.running {
            self.stop(&reference).await?;
        }
        if !vanishes {
            return Ok(());
        }
        // The answer to the stop comes before the Engine has removed it and its name is free.
        let gone = async {
            loop {
                match self.engine.inspect_container(&reference, false).await {
                    Err(error) if error.kind == ErrorKind::ContainerNotFound => return Ok(()),
                    Err(error) => return Err(error),
                    Ok(_) => tokio::time::sleep(GONE_POLL).await,
                }
            }
        };
        self.call(SLOW, gone).await
    }

    async fn stop(&self, container: &ContainerRef) -> Result<(), StepError> {
        let grace = self.task.policy.stop_timeout;
        let seconds = grace.and_then(|grace| i64::try_from(grace.as_secs()).ok());
        let limit = grace.unwrap_or(OWN_STOP) + STOP_MARGIN;
        self.call(limit, self.engine.stop_container(container, seconds)).await.map(drop)
    }

    async fn restart_policy(
        &self,
        container: Option<&ContainerFacts>,
        policy: &RestartPolicy,
    ) -> Result<(), StepError> {
        let reference = reference(&container.cloned(), "old")?;
        let name = if policy.name.is_empty() { "no" } else { &policy.name };
        let body = json!({
            "RestartPolicy": { "Name": name, "MaximumRetryCount": policy.maximum_retry_count }
        });
        self.call(CALL, self.engine.update_container(&reference, &body)).await.map(drop)
    }

    async fn rename(
        &self,
        container: Option<&ContainerFacts>,
        name: &str,
    ) -> Result<(), StepError> {
        let reference = reference(&container.cloned(), name)?;
        let name = ContainerName::parse(name).map_err(|error| missing(&error.to_string()))?;
        self.call(CALL, self.engine.rename_container(&reference, &name)).await.map(drop)
    }

    async fn start(&self, container: Option<&ContainerFacts>) -> Result<(), StepError> {
        let reference = reference(&container.cloned(), "new")?;
        for _ in 0..PORT_RETRIES {
            let mut is_port_in_use = false;
            let start = async {
                let started = self.engine.start_container(&reference).await;
                is_port_in_use = started.as_ref().is_err_and(EngineError::is_port_in_use);
                started
            };
            match self.call(SLOW, start).await {
                Err(StepError::Failed(_)) if is_port_in_use => tokio::time::sleep(PORT_WAIT).await,
                result => return result.map(drop),
            }
        }
        self.call(SLOW, self.engine.start_container(&reference)).await.map(drop)
    }

    async fn remove(&self, container: Option<&ContainerFacts>) -> Result<(), StepError> {
        let reference = reference(&container.cloned(), "new")?;
        // Kept volumes are those of the old container; only renewed ones are its own.
        let volumes = self.task.policy.anonymous_volumes == AnonymousVolumes::Renew;
        let removed = self.engine.remove_container(&reference, false, volumes);
        match tokio::time::timeout(SLOW, removed).await {
            Ok(Err(error)) if error.kind == ErrorKind::ContainerNotFound => Ok(()),
            Ok(result) => self.call(SLOW, async { result }).await,
            Err(_) => self.call(Duration::ZERO, std::future::pending()).await,
        }
    }
}

impl RestartPolicy {
    fn no() -> Self {
        Self { name: "no".to_owned(), maximum_retry_count: 0 }
    }
}

/// The container that stands for the old one: itself, or its twin once it is gone.
fn standing(seen: &Observed) -> Option<&ContainerFacts> {
    seen.old.as_ref().or(seen.twin.as_ref())
}

pub(super) fn reference(
    container: &Option<ContainerFacts>,
    what: &str,
) -> Result<ContainerRef, StepError> {
    let Some(container) = container else {
        return Err(missing(&format!("the container for the step ({what}) does not exist")));
    };
    ContainerRef::parse(&container.id).map_err(|error| missing(&error.to_string()))
}

pub(super) fn missing(what: &str) -> StepError {
    StepError::Failed(Trouble::new(Reason::ContainerNotFound, what))
}
