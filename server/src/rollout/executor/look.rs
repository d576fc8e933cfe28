//! Observes a host: the containers of the rollout, and which containers have the names that it
//! uses.

use futures_util::future::try_join4;

use super::{CALL, Run};
use crate::domain::ContainerRef;
use crate::engine::{ContainerFacts, EngineError, ErrorKind, Inspection};
use crate::rollout::model::{ROLLOUT_LABEL, TWIN_LABEL, TargetKind};
use crate::rollout::step::Observed;

const OPERATION: &str = "GET /containers/{id}/json";

impl Run<'_> {
    /// Observes the host. Queries by name and by ID in parallel, and again for containers that have
    /// been renamed.
    pub(super) async fn look(&self) -> Result<Observed, EngineError> {
        let names = &self.task.names;
        let (target, candidate, backup, reject) = try_join4(
            self.named(&names.target),
            self.named(&names.candidate),
            self.named(&names.backup),
            self.named(&names.reject),
        )
        .await?;
        let holders = [&target, &candidate, &backup, &reject];
        let mut seen = Observed {
            holder: id_of(target.as_ref()),
            candidate_holder: id_of(candidate.as_ref()),
            backup_holder: id_of(backup.as_ref()),
            reject_holder: id_of(reject.as_ref()),
            ..Observed::default()
        };
        if let Some(old) = &self.task.plan.old {
            seen.old = self.by_id(&old.id, &holders).await?;
        }
        let adopted = match &self.task.plan.kind {
            TargetKind::Adopt { id, .. } => Some(id),
            _ => None,
        };
        let progress = &self.state.progress;
        seen.new = match adopted.or(progress.new_id.as_ref()) {
            Some(id) => self.by_id(id, &holders).await?,
            // It was created, and the record of that was lost.
            None => self.ours(&holders, false),
        };
        seen.twin = match &progress.twin_id {
            // A missing container may have been recreated, and the record of that lost.
            Some(id) => self.by_id(id, &holders).await?.or_else(|| self.ours(&holders, true)),
            None => self.ours(&holders, true),
        };
        Ok(seen)
    }

    /// The container of exactly that name.
    pub(super) async fn named(&self, name: &str) -> Result<Option<ContainerFacts>, EngineError> {
        let found = self.inspected(name).await?;
        // The Engine also accepts the beginning of an ID as a name.
        Ok(found.filter(|found| found.name == name))
    }

    async fn by_id(
        &self,
        id: &str,
        holders: &[&Option<ContainerFacts>],
    ) -> Result<Option<ContainerFacts>, EngineError> {
        let mut known = holders.iter().filter_map(|holder| holder.as_ref());
        if let Some(found) = known.find(|found| found.id == id) {
            return Ok(Some(found.clone()));
        }
        Ok(self.inspected(id).await?.filter(|found| found.id == id))
    }

    /// The container with this rollout's label, twin or not, among those with one of the names.
    fn ours(&self, holders: &[&Option<ContainerFacts>], twin: bool) -> Option<ContainerFacts> {
        let mut known = holders.iter().filter_map(|holder| holder.as_ref());
        known.find(|found| self.is_ours(found) && is_twin(found) == twin).cloned()
    }

    /// Whether it has the label of this rollout.
    pub(super) fn is_ours(&self, found: &ContainerFacts) -> bool {
        found.label(ROLLOUT_LABEL) == Some(&self.task.names.rollout)
    }

    async fn inspected(&self, name: &str) -> Result<Option<ContainerFacts>, EngineError> {
        let reference = ContainerRef::parse(name).map_err(|error| {
            EngineError::new(ErrorKind::BadRequest, OPERATION, error.to_string())
        })?;
        let call = self.engine.inspect_container(&reference, false);
        match tokio::time::timeout(CALL, call).await {
            Ok(Ok(document)) => Ok(Some(Inspection::read(&document)?.with_status()?.facts)),
            Ok(Err(error)) if error.kind == ErrorKind::ContainerNotFound => Ok(None),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(EngineError::new(
                ErrorKind::ConnectionLost,
                OPERATION,
                format!("no answer within {CALL:?}"),
            )),
        }
    }
}

fn is_twin(found: &ContainerFacts) -> bool {
    let rollout = found.label(ROLLOUT_LABEL);
    rollout.is_some() && found.label(TWIN_LABEL) == rollout
}

fn id_of(found: Option<&ContainerFacts>) -> Option<String> {
    found.map(|found| found.id.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_image_with_the_label_of_a_twin_makes_none() {
        let is_twin = |labels: Value| {
            is_twin(&ContainerFacts::read(&json!({ "Config": { "Labels": labels } })))
        };
        assert!(is_twin(json!({ ROLLOUT_LABEL: "r1", TWIN_LABEL: "r1" })));
        for label in ["", "true", "r0"] {
            assert!(!is_twin(json!({ ROLLOUT_LABEL: "r1", TWIN_LABEL: label })), "{label:?}");
            assert!(!is_twin(json!({ TWIN_LABEL: label })), "{label:?}");
        }
    }
}
