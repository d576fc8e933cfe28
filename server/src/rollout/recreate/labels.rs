//! Labels that others read a meaning into: those of rollouts, of Compose and of Swarm (C26).

use serde_json::Value;

use super::Notes;
use super::json::{Object, entries, get, text};
use crate::domain::{Reason, quoted};
use crate::rollout::spec::Change;

/// What the labels of rollouts begin with.
pub const OWN_LABELS: &str = "io.wharf.rollout.";
const COMPOSE_IMAGE: &str = "com.docker.compose.image";

/// Takes the labels of an earlier rollout away: the new container gets its own.
pub(super) fn drop_own(config: &mut Object) {
    if let Some(Value::Object(labels)) = config.get_mut("Labels") {
        labels.retain(|key, _| !key.starts_with(OWN_LABELS));
        if labels.is_empty() {
            config.shift_remove("Labels");
        }
    }
}

/// A task of Swarm is Swarm's: it would start another one for it.
pub(super) fn refuse_swarm(inspect: &Value, notes: &mut Notes) {
    let labels = &inspect["Config"]["Labels"];
    let service = labels["com.docker.swarm.service.name"].as_str().unwrap_or("its service");
    if labels.get("com.docker.swarm.task.id").is_some() {
        notes.refuse(
            Reason::SwarmTask,
            format!("it is a task of Swarm; upgrade it with `docker service update` on {service}"),
        );
    }
}

/// Compose compares what its file says with what it wrote into labels.
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

/// The body as it is sent, once the image is on the host: with the labels of the rollout, and with
/// the image's ID, where it is known, where Compose looks for it. Without that, `docker compose up`
/// would take the container for outdated.
#[must_use]
pub fn complete(body: &Value, image_id: Option<&str>, labels: &[(&str, String)]) -> Value {
    let mut body = body.clone();
    let mut all = body.as_object().map(|body| get(body, "Labels").clone()).unwrap_or_default();
    if all.is_null() {
        all = Object::new().into();
    }
    let has_image =
        entries(&all).any(|(key, value)| key == COMPOSE_IMAGE && !text(value).is_empty());
    if let Some(image_id) = image_id.filter(|_| has_image) {
        all[COMPOSE_IMAGE] = image_id.into();
    }
    for (key, value) in labels {
        all[*key] = value.as_str().into();
    }
    body["Labels"] = all;
    body
}
