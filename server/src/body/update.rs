//! Creates the body of `POST /containers/{id}/update` from a request.
//!
//! Like [`super::create`]: the Engine's own JSON is the base, the typed fields override it, and
//! what the Engine would silently ignore is refused. Called by the container service.

use serde_json::Value;
use wharf::settings::Rule;
use wharf::v1::UpdateContainersRequest;

use super::create::document::{ENGINE_JSON, Section, parse};
use super::create::resources::check_together;
use super::create::restart::restart_policy;
use super::create::table;
use super::violation::{FieldViolation, Violations};

/// The Engine's body for a change of existing containers, or all problems of the request. Does not
/// check the hosts and the names of the containers.
pub fn update_body(request: &UpdateContainersRequest) -> Result<Value, Vec<FieldViolation>> {
    let mut violations = Violations::default();
    let parsed = parse(request.engine.as_ref(), &mut violations);
    let body_usable = parsed.is_some();
    let keys = table::keys(wharf::settings::Section::Host, &[]);
    let mut body = Section::new("", parsed.unwrap_or_default(), &keys, &mut violations);

    let settings = table::read(request, "", &mut violations);
    for (setting, value) in &settings {
        // For a new container it means "no limit"; here the Engine would ignore it silently.
        if *value == 0 && matches!(setting.rule, Rule::Number { least, .. } if least > 0) {
            violations.add(setting.field, "0 changes nothing on an update; leave it unset");
        }
        body.set(setting.key, value.clone());
    }
    check_together(&settings, "", true, &body, &mut violations);
    if let Some(policy) = &request.restart_policy {
        if let Some(policy) = restart_policy(policy, "restart_policy", &mut violations) {
            body.set("RestartPolicy", policy);
        }
    } else if body.is_empty() && body_usable {
        let field = if request.engine.is_some() { ENGINE_JSON } else { "memory_bytes" };
        violations.add(field, "nothing to change; set a limit, a restart policy, or `engine`");
    }
    violations.or(Value::Object(body.into_fields()))
}

#[cfg(test)]
mod tests;
