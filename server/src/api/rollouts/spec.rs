//! Converts the spec of a rollout to a checked value; every problem is named by its path.

use serde_json::Value;
use wharf::v1;

use super::policy;
use crate::body::create::container_body;
use crate::body::violation::{FieldViolation, Violations};
use crate::domain::{ContainerName, HostName, ImageReference, quoted};
use crate::rollout::recreate::{self, check_unset};
use crate::rollout::spec::{Change, Policy, PullWhen, RolloutSpec};

/// Longest merge patch, as every other JSON of the contract.
const LONGEST_JSON: usize = 4 * 1024 * 1024;

/// Checks a spec. `None` if there are problems, which are then in `violations`.
pub fn read(violations: &mut Violations, spec: Option<&v1::RolloutSpec>) -> Option<RolloutSpec> {
    let Some(spec) = spec else {
        violations.add("spec", "must be set");
        return None;
    };
    let container = violations.check("spec.container", ContainerName::parse(&spec.container));
    let change = change(violations, spec);
    let empty = v1::RolloutPolicy::default();
    let message = spec.policy.as_ref().unwrap_or(&empty);
    let policy = policy::read(violations, "spec.policy", message, Policy::default());
    if policy.pull == PullWhen::Never && !spec.image_from.is_empty() {
        let problem = "gives hosts an image that they do not have, which pull_policy never forbids; \
                       remove one of them";
        violations.add("spec.image_from", problem);
    }
    Some(RolloutSpec { container: container?, change: change?, policy })
}

fn change(violations: &mut Violations, spec: &v1::RolloutSpec) -> Option<Change> {
    let image = match spec.image.as_str() {
        "" => None,
        image => violations.check("spec.image", ImageReference::parse(image)),
    };
    let set = spec.set.clone().unwrap_or_default();
    if spec.whole.is_some() {
        let beside = [
            ("spec.set", set != v1::ContainerSpec::default()),
            ("spec.unset", !spec.unset.is_empty()),
            ("spec.merge_patch", spec.merge_patch.is_some()),
        ];
        for (field, _) in beside.into_iter().filter(|(_, is_set)| *is_set) {
            violations.add(field, "changes an existing container; remove it, or remove `whole`");
        }
    } else {
        check_set(violations, &set);
    }
    unset(violations, &spec.unset);
    own_labels(violations, "spec.set.labels", set.labels.keys());
    let merge_patch = spec.merge_patch.as_ref().map(|patch| merge_patch(violations, patch));
    let whole = spec.whole.as_ref().map(|whole| whole_body(violations, whole, &spec.image));
    let merge_patch = match merge_patch {
        Some(patch) => Some(patch?),
        None => None,
    };
    let (whole, image) = match whole {
        // The image of a whole container is that of the rollout: it is pulled and pinned.
        Some(whole) => {
            let whole = whole?;
            let text = whole.get("Image").and_then(Value::as_str).unwrap_or_default();
            let image = match image {
                Some(image) => Some(image),
                None => violations.check("spec.whole.spec.image", ImageReference::parse(text)),
            };
            (Some(whole), image)
        }
        None => (None, image),
    };
    let image_from = match spec.image_from.as_str() {
        "" => None,
        host => Some(image_from(violations, host, image.as_ref())?),
    };
    Some(Change { image, image_from, set, unset: spec.unset.clone(), merge_patch, whole })
}

/// Checks the host that the image comes from. Whether it is known is found with the other hosts.
fn image_from(
    violations: &mut Violations,
    host: &str,
    image: Option<&ImageReference>,
) -> Option<HostName> {
    let field = "spec.image_from";
    match image {
        None => violations.add(field, "says where the image comes from; set `spec.image`"),
        Some(image) if image.digest().is_some() => {
            let problem = "needs an image with a tag: only an image from a registry has a digest";
            violations.add(field, problem);
        }
        Some(_) => {}
    }
    violations.check(field, HostName::parse(host))
}

/// Checks the settings on their own. The plan checks them for every host together with the existing
/// container.
fn check_set(violations: &mut Violations, set: &v1::ContainerSpec) {
    if !set.image.is_empty() {
        violations.add("spec.set.image", "must be empty; use `spec.image`");
    }
    // Any image will do, and any network that names and ports work in.
    let mut alone = v1::ContainerSpec { image: "image".to_owned(), ..set.clone() };
    if alone.network.is_empty() && !alone.network_aliases.is_empty() {
        "network".clone_into(&mut alone.network);
    }
    // A limit of swap is measured by the limit of memory that may be there.
    if alone.memory_bytes.is_none() {
        alone.memory_swap_bytes = None;
    }
    if let Err(found) = container_body(Some(&alone), None) {
        move_to(violations, found, "spec.set");
    }
}

fn whole_body(
    violations: &mut Violations,
    whole: &v1::WholeContainer,
    image: &str,
) -> Option<Value> {
    let mut spec = whole.spec.clone().unwrap_or_default();
    if !image.is_empty() && !spec.image.is_empty() && spec.image != image {
        let problem = format!("is {}, but `spec.image` is {image}; remove one of them", spec.image);
        violations.add("spec.whole.spec.image", problem);
    }
    if !image.is_empty() {
        image.clone_into(&mut spec.image);
    }
    match container_body(Some(&spec), whole.engine.as_ref()) {
        Ok(body) => {
            own_labels(violations, "spec.whole", labels(&body));
            Some(body)
        }
        Err(found) => {
            move_to(violations, found, "spec.whole.spec");
            None
        }
    }
}

/// Labels that a body or a patch sets.
fn labels(body: &Value) -> impl Iterator<Item = &String> {
    let labels = body.get("Labels").and_then(Value::as_object).into_iter().flatten();
    labels.filter(|(_, value)| !value.is_null()).map(|(key, _)| key)
}

/// Rollouts find their containers by these labels, and write them each time.
fn own_labels<'a>(
    violations: &mut Violations,
    field: &str,
    keys: impl IntoIterator<Item = &'a String>,
) {
    let mut own: Vec<_> =
        keys.into_iter().filter(|key| key.starts_with(recreate::OWN_LABELS)).collect();
    own.sort();
    for key in own {
        violations.add(field, format!("{}: reserved for rollouts; remove it", quoted(key)));
    }
}

/// Adds violations of a body; their paths begin with `spec.` or `engine.`.
fn move_to(violations: &mut Violations, found: Vec<FieldViolation>, place: &str) {
    for FieldViolation { field, description } in found {
        let field = match field.strip_prefix("spec") {
            Some(rest) => format!("{place}{rest}"),
            None => format!("{}.{field}", place.trim_end_matches(".spec")),
        };
        violations.add(field, description);
    }
}

fn merge_patch(violations: &mut Violations, patch: &v1::EngineJson) -> Option<Value> {
    let field = "spec.merge_patch.json";
    if patch.json.len() > LONGEST_JSON {
        violations.add(field, "must be at most 4 MiB");
        return None;
    }
    match serde_json::from_str(&patch.json) {
        Ok(value @ Value::Object(_)) => {
            if value.get("Image").is_some() {
                let problem = "Image: use `spec.image`, which is pulled and pinned";
                violations.add(field, problem);
            }
            own_labels(violations, field, labels(&value));
            Some(value)
        }
        Ok(_) => {
            violations.add(field, "must be a JSON object");
            None
        }
        Err(error) => {
            violations.add(field, format!("is not JSON: {error}"));
            None
        }
    }
}

/// Checks the names of settings to unset, with the same table that removes them. Whether a
/// container has the entry is found for every host, and is not an error.
fn unset(violations: &mut Violations, settings: &[String]) {
    for violation in check_unset(settings) {
        let field = violation.field.replace("change.", "spec.");
        violations.add(field, violation.description);
    }
}
