//! What is on the host: the containers of the rollout, and who holds the names it uses.

use futures_util::future::try_join4;
use serde::Deserialize;
use serde_json::Value;

use super::{CALL, Run};
use crate::domain::ContainerRef;
use crate::engine::{EngineDocument, EngineError, ErrorKind, null_to_default};
use crate::rollout::facts::as_docker;
use crate::rollout::model::{ROLLOUT_LABEL, RestartPolicy, TargetKind};
use crate::rollout::step::{ContainerFacts, Health, Observed, Status};

/// The label of a twin, besides that of the rollout, with the same value: the rollout's ID, which
/// no image can have in a label of its own.
pub(super) const TWIN_LABEL: &str = "io.wharf.rollout.twin";
/// The label that identifies the body a container was made from.
pub(super) const SHA_LABEL: &str = "io.wharf.rollout.spec-sha";

const OPERATION: &str = "GET /containers/{id}/json";

impl Run<'_> {
    /// Looks at the host. Asks by name and by ID at once, and once more for what has another
    /// name by now.
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
            // One that is gone may have been made anew, and the record of that lost.
            Some(id) => self.by_id(id, &holders).await?.or_else(|| self.ours(&holders, true)),
            None => self.ours(&holders, true),
        };
        Ok(seen)
    }

    /// The container of exactly that name.
    pub(super) async fn named(&self, name: &str) -> Result<Option<Inspected>, EngineError> {
        let found = self.inspect(name).await?;
        // The Engine also takes the beginning of an ID for a name.
        Ok(found.filter(|found| found.facts.name == name))
    }

    async fn by_id(
        &self,
        id: &str,
        holders: &[&Option<Inspected>],
    ) -> Result<Option<ContainerFacts>, EngineError> {
        let known = holders.iter().filter_map(|holder| holder.as_ref());
        if let Some(found) = known.into_iter().find(|found| found.facts.id == id) {
            return Ok(Some(found.facts.clone()));
        }
        Ok(self.inspect(id).await?.map(|found| found.facts).filter(|facts| facts.id == id))
    }

    /// The container with this rollout's label, twin or not, among those that hold names.
    fn ours(&self, holders: &[&Option<Inspected>], twin: bool) -> Option<ContainerFacts> {
        holders
            .iter()
            .filter_map(|holder| holder.as_ref())
            .find(|found| {
                found.is_twin == twin
                    && found.facts.rollout.as_deref() == Some(self.task.names.rollout.as_str())
            })
            .map(|found| found.facts.clone())
    }

    async fn inspect(&self, name: &str) -> Result<Option<Inspected>, EngineError> {
        let reference = ContainerRef::parse(name).map_err(|error| {
            EngineError::new(ErrorKind::BadRequest, OPERATION, error.to_string())
        })?;
        let call = self.engine.inspect_container(&reference, false);
        match tokio::time::timeout(CALL, call).await {
            Ok(Ok(document)) => Inspected::read(&document).map(Some),
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

/// What a rollout needs to know of a container, from its inspection.
pub fn container_facts(document: &EngineDocument) -> Result<ContainerFacts, EngineError> {
    Inspected::read(document).map(|found| found.facts)
}

/// A container that was inspected.
pub(super) struct Inspected {
    pub(super) facts: ContainerFacts,
    is_twin: bool,
}

impl Inspected {
    fn read(document: &EngineDocument) -> Result<Self, EngineError> {
        let json = document.parse().map(as_docker).and_then(serde_json::from_value::<Json>);
        let json = json.map_err(|error| {
            EngineError::new(ErrorKind::BadAnswer, OPERATION, format!("unexpected JSON: {error}"))
        })?;
        let Json { id, name, image, restart_count, config, state, host_config } = json;
        let status = Status::parse(&state.status).ok_or_else(|| {
            let message = format!("unknown state {:?} of container {id}", state.status);
            EngineError::new(ErrorKind::BadAnswer, OPERATION, message)
        })?;
        let label = |name: &str| config.labels.get(name).and_then(Value::as_str).map(str::to_owned);
        let facts = ContainerFacts {
            name: name.trim_start_matches('/').to_owned(),
            status,
            running: state.running,
            restart: RestartPolicy {
                name: host_config.restart_policy.name,
                maximum_retry_count: host_config.restart_policy.maximum_retry_count,
            },
            // Go's zero time stands for "never".
            started_at: Some(state.started_at)
                .filter(|at| !at.is_empty() && !at.starts_with("0001")),
            restart_count,
            exit_code: state.exit_code,
            start_error: state.error,
            health: Health::parse(&state.health.status),
            image_id: image,
            rollout: label(ROLLOUT_LABEL),
            spec_sha: label(SHA_LABEL),
            id,
        };
        let is_twin = facts.rollout.is_some() && label(TWIN_LABEL) == facts.rollout;
        Ok(Self { is_twin, facts })
    }
}

fn id_of(found: Option<&Inspected>) -> Option<String> {
    found.map(|found| found.facts.id.clone())
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Json {
    id: String,
    name: String,
    image: String,
    restart_count: i64,
    #[serde(deserialize_with = "null_to_default")]
    config: ConfigJson,
    #[serde(deserialize_with = "null_to_default")]
    state: StateJson,
    #[serde(deserialize_with = "null_to_default")]
    host_config: HostConfigJson,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ConfigJson {
    #[serde(deserialize_with = "null_to_default")]
    labels: serde_json::Map<String, Value>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct StateJson {
    status: String,
    running: bool,
    exit_code: i64,
    #[serde(deserialize_with = "null_to_default")]
    error: String,
    started_at: String,
    #[serde(deserialize_with = "null_to_default")]
    health: HealthJson,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct HealthJson {
    status: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfigJson {
    #[serde(deserialize_with = "null_to_default")]
    restart_policy: RestartPolicyJson,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RestartPolicyJson {
    #[serde(deserialize_with = "null_to_default")]
    name: String,
    maximum_retry_count: i64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::ApiVersion;

    const VERSION: ApiVersion = ApiVersion::new(1, 41);

    #[test]
    fn an_image_with_the_label_of_a_twin_makes_none() {
        let is_twin = |labels: Value| {
            let config = json!({ "Labels": labels });
            let json = json!({ "Config": config, "State": { "Status": "created" } }).to_string();
            Inspected::read(&EngineDocument { json, api_version: VERSION }).unwrap().is_twin
        };
        assert!(is_twin(json!({ ROLLOUT_LABEL: "r1", TWIN_LABEL: "r1" })));
        for label in ["", "true", "r0"] {
            assert!(!is_twin(json!({ ROLLOUT_LABEL: "r1", TWIN_LABEL: label })), "{label:?}");
            assert!(!is_twin(json!({ TWIN_LABEL: label })), "{label:?}");
        }
    }
}
