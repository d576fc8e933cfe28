//! The restart policy, of a new container and of an update.

use serde_json::{Value, json};
use wharf::v1::RestartPolicy;

use super::Draft;
use super::document::{ENGINE_JSON, lookup};
use crate::body::violation::Violations;
use crate::domain::quoted;

/// The Engine's form. `field` is the path of the policy in the request.
pub(in crate::body) fn restart_policy(
    policy: &RestartPolicy,
    field: &str,
    violations: &mut Violations,
) -> Option<Value> {
    const NAMES: [&str; 4] = ["no", "always", "unless-stopped", "on-failure"];
    if !NAMES.contains(&policy.name.as_str()) {
        violations.add(
            format!("{field}.name"),
            format!(
                "{} is not a restart policy; write no, always, unless-stopped, or on-failure",
                quoted(&policy.name)
            ),
        );
        return None;
    }
    if policy.maximum_retry_count == 0 {
        return Some(json!({ "Name": policy.name }));
    }
    if policy.name != "on-failure" {
        violations.add(
            format!("{field}.maximum_retry_count"),
            format!("is only for on-failure, not for {}; remove it", policy.name),
        );
    }
    Some(json!({ "Name": policy.name, "MaximumRetryCount": policy.maximum_retry_count }))
}

/// Refuses a container that is both removed and restarted when it stops. Checks the merged body;
/// `in_spec` is whether the spec sets it.
pub(super) fn against_auto_remove(in_spec: Option<&'static str>, draft: &mut Draft) {
    let removed = draft.host.get("AutoRemove").is_some_and(|value| value == true);
    let policy = draft
        .host
        .get("RestartPolicy")
        .and_then(Value::as_object)
        .and_then(|policy| lookup(policy, "Name"))
        .and_then(Value::as_str)
        .filter(|name| !matches!(*name, "" | "no"));
    if let Some(policy) = policy.filter(|_| removed) {
        let problem = format!(
            "a container that is removed when it stops cannot have the restart policy {}; remove one of the two",
            quoted(policy)
        );
        draft.violations.add(in_spec.unwrap_or(ENGINE_JSON), problem);
    }
}
