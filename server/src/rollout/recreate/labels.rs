//! Labels that others read a meaning into: those of rollouts, of Compose and of Swarm (C26).

use serde_json::Value;

use super::Notes;
use super::json::{Object, entries, get, text};
use crate::domain::{Reason, quoted};
use crate::engine::ContainerFacts;
use crate::rollout::model::names::OWN_LABELS;
use crate::rollout::spec::Change;

const COMPOSE_IMAGE: &str = "com.docker.compose.image";

/// Compose's label of the image; none if it wrote none.
#[must_use]
pub fn compose_image(body: &Value) -> Option<&str> {
    let value = body.get("Labels")?.get(COMPOSE_IMAGE)?.as_str()?;
    (!value.is_empty()).then_some(value)
}

/// Removes the labels of an earlier rollout: the new container gets its own.
pub(super) fn drop_own(config: &mut Object) {
    if let Some(Value::Object(labels)) = config.get_mut("Labels") {
        labels.retain(|key, _| !key.starts_with(OWN_LABELS));
        if labels.is_empty() {
            config.shift_remove("Labels");
        }
    }
}

/// A task of Swarm is Swarm's: it would start another one for it.
pub(super) fn refuse_swarm(old: &ContainerFacts, notes: &mut Notes) {
    let service = old.label("com.docker.swarm.service.name").unwrap_or("its service");
    if old.label("com.docker.swarm.task.id").is_some() {
        notes.refuse(
            Reason::SwarmTask,
            format!("it is a Swarm task; to upgrade it, run `docker service update` on {service}"),
        );
    }
}

/// The project, if it is a Compose container.
pub(super) fn compose_project(old: &ContainerFacts) -> Option<&str> {
    old.label("com.docker.compose.project")
}

/// The risks of replacing a Compose container. Compose counts the containers of a project by
/// labels, regardless of their names and whether they are running.
#[must_use]
pub fn compose_risk(old: &ContainerFacts) -> Option<String> {
    let project = quoted(compose_project(old)?);
    Some(format!(
        "it belongs to the Compose project {project}: do not run `docker compose` on it before the \
         rollout has ended, because Compose would treat the old and the new container as two replicas; \
         the old one is removed at the end, regardless of keep_old, and an undo recreates it \
         from what is stored"
    ))
}

/// Compose compares its file with the labels that it wrote.
pub(super) fn warn_of_compose(base: &Value, change: &Change, notes: &mut Notes) {
    let labels = &base["Labels"];
    let Some(service) = labels["com.docker.compose.service"].as_str() else { return };
    let image = change.image.as_ref().map(ToString::to_string);
    let same_reference = image.as_deref() == base["Image"].as_str()
        && *change == Change { image: change.image.clone(), ..Change::default() };
    let differs = *change != Change::default() && !same_reference;
    if differs {
        notes.risk(format!(
            "it is the service {} of a Compose project: change the project's file too, or its next `up` undoes this",
            quoted(service)
        ));
    }
}

/// The body as sent, once the image is on the host: with the labels of the rollout, and with
/// Compose's label of the image, if known and where Compose expects it. Without it, `docker compose
/// up` would treat the container as outdated.
#[must_use]
pub fn complete(body: &Value, image: Option<&str>, labels: &[(&str, String)]) -> Value {
    let mut body = body.clone();
    let mut all = body.as_object().map(|body| get(body, "Labels").clone()).unwrap_or_default();
    if all.is_null() {
        all = Object::new().into();
    }
    let has_image =
        entries(&all).any(|(key, value)| key == COMPOSE_IMAGE && !text(value).is_empty());
    if let Some(image) = image.filter(|_| has_image) {
        all[COMPOSE_IMAGE] = image.into();
    }
    for (key, value) in labels {
        all[*key] = value.as_str().into();
    }
    body["Labels"] = all;
    body
}
