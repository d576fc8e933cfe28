//! Creates the body of `POST /containers/create` from a request.
//!
//! There are two inputs: the typed [`ContainerSpec`] and the Engine's own JSON, which is the base.
//! The spec overrides it; unknown parts stay unchanged and in place. Problems that the Engine would
//! find only at the start of the container, or silently ignore, are refused here with the path of
//! the field. Called by the container service; pure, so that a rollout can preview a spec.
//!
//! Settings that are one value, list or map of the body are set and checked by their rows in
//! [`wharf::settings`], which `table` reads. What needs more has a file by theme: `image`, `process`
//! and `health` (what an image has too), `resources`, `network`, `storage` with `mount`, `isolation`,
//! `restart`; under them `document`, the JSON, and `checks`.

mod checks;
pub(in crate::body) mod document;
mod health;
mod image;
mod isolation;
mod mount;
pub(in crate::body) mod network;
mod process;
pub(in crate::body) mod resources;
pub(in crate::body) mod restart;
mod storage;
pub(in crate::body) mod table;

use serde_json::{Map, Value, json};
use wharf::settings::{self, Setting};
use wharf::v1::{ContainerSpec, EngineJson};

use self::document::{ENGINE_JSON, Section};
use super::unset;
use super::violation::{FieldViolation, Violations};

const SPEC_IMAGE: &str = "spec.image";

/// Keys of the body that are read or merged into, besides those of settings.
const KEYS: [&str; 4] = ["HostConfig", "NetworkingConfig", "Tag", "Volumes"];
/// Those of its `HostConfig`.
const HOST_KEYS: [&str; 2] = ["MaskedPaths", "ReadonlyPaths"];

/// The body under construction.
struct Draft {
    top: Section,
    host: Section,
    violations: Violations,
    /// Whether the JSON could be read: if not, nothing can be reported as missing.
    body_usable: bool,
}

/// The Engine's body for a new container, or all problems of the request.
///
/// Environment, labels, log options and kernel parameters replace the entry of the same key,
/// ports that of the same `port/protocol`, volumes, mounts and tmpfs that of the same target;
/// all other values replace.
pub fn container_body(
    spec: Option<&ContainerSpec>,
    engine: Option<&EngineJson>,
) -> Result<Value, Vec<FieldViolation>> {
    let nothing = ContainerSpec::default();
    let spec = spec.unwrap_or(&nothing);
    let mut draft = Draft::new(engine);
    draft.make_empty(spec);

    image::apply(&spec.image, &mut draft);
    let settings = table::read(spec, "spec.", &mut draft.violations);
    for (setting, value) in &settings {
        draft.put(setting, value.clone());
    }
    process::apply(spec, &mut draft);
    health::apply(spec.health_check.as_ref(), &mut draft);
    resources::apply(spec, &settings, &mut draft);
    // Before checks of the resulting network.
    network::apply(spec, &mut draft);
    storage::apply(spec, &mut draft);
    isolation::apply(spec, &mut draft);
    if let Some(policy) = &spec.restart_policy {
        let field = "spec.restart_policy";
        if let Some(policy) = restart::restart_policy(policy, field, &mut draft.violations) {
            draft.host.set("RestartPolicy", policy);
        }
    }
    let in_spec = match (spec.auto_remove, &spec.restart_policy) {
        (Some(_), _) => Some("spec.auto_remove"),
        (None, Some(_)) => Some("spec.restart_policy"),
        (None, None) => None,
    };
    restart::against_auto_remove(in_spec, &mut draft);
    draft.finish()
}

impl Draft {
    fn new(engine: Option<&EngineJson>) -> Self {
        let mut violations = Violations::default();
        let parsed = document::parse(engine, &mut violations);
        let body_usable = parsed.is_some();
        let keys = table::keys(settings::Section::Body, &KEYS);
        let mut top = Section::new("", parsed.unwrap_or_default(), &keys, &mut violations);
        // The remaining object keeps its position among the other keys.
        let host = match top.get_mut("HostConfig").map(Value::take) {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(host)) => host,
            Some(_) => {
                violations.add(ENGINE_JSON, "HostConfig must be an object");
                Map::new()
            }
        };
        let keys = table::keys(settings::Section::Host, &HOST_KEYS);
        let host = Section::new("HostConfig.", host, &keys, &mut violations);
        Self { top, host, violations, body_usable }
    }

    /// Removes the settings that are to be empty, and says so where "none" differs from "unset".
    fn make_empty(&mut self, spec: &ContainerSpec) {
        if spec.empty.is_empty() {
            return;
        }
        let message = wharf::reflect::dynamic(spec);
        let mut body = std::mem::take(&mut self.top).into_fields();
        body.insert("HostConfig".to_owned(), std::mem::take(&mut self.host).into_fields().into());
        for (index, name) in spec.empty.iter().enumerate() {
            let problem = match unset::read(name) {
                Err(problem) => Some(problem),
                Ok((_, Some(_))) => Some("name a setting, without an entry".to_owned()),
                Ok((setting, None)) if message.has_field_by_name(setting.field) => {
                    Some(format!("{} is set too; leave out one of the two", setting.field))
                }
                Ok((setting, None)) => {
                    unset::remove(&mut body, setting, None);
                    match setting.field {
                        "entrypoint" => body.insert("Entrypoint".to_owned(), json!([""])),
                        "health_check" => {
                            body.insert("Healthcheck".to_owned(), json!({ "Test": ["NONE"] }))
                        }
                        _ => None,
                    };
                    None
                }
            };
            if let Some(problem) = problem {
                self.violations.add(format!("spec.empty[{index}]"), problem);
            }
        }
        let engine = EngineJson { json: Value::Object(body).to_string(), ..EngineJson::default() };
        let made = Self::new(Some(&engine));
        (self.top, self.host) = (made.top, made.host);
    }

    /// Sets what a row of the table says all of.
    fn put(&mut self, setting: &Setting, value: Value) {
        let section = match setting.section {
            settings::Section::Body => &mut self.top,
            _ => &mut self.host,
        };
        match value {
            Value::Object(new) => {
                if let Some(object) = section.object(setting.key, &[], &mut self.violations) {
                    object.extend(new);
                }
            }
            value => section.set(setting.key, value),
        }
    }

    fn finish(mut self) -> Result<Value, Vec<FieldViolation>> {
        let had_one = self.top.get_mut("HostConfig").is_some();
        if had_one || !self.host.is_empty() {
            self.top.set("HostConfig", self.host.into_fields());
        }
        self.violations.or(Value::Object(self.top.into_fields()))
    }
}

#[cfg(test)]
mod tests;
