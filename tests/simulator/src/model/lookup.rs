//! How a request finds a container: by full ID, then by name, then by prefix of an ID.

use super::Model;
use super::container::Container;
use super::refusal::Refusal;

impl Model {
    /// The ID of the container that a request names.
    pub(crate) fn resolve(&self, text: &str) -> Result<String, Refusal> {
        let name = text.strip_prefix('/').unwrap_or(text);
        if self.containers.contains_key(name) {
            return Ok(name.to_owned());
        }
        if let Some(holder) = self.name_holder(name) {
            return Ok(holder.to_owned());
        }
        let mut begins = self.containers.keys().filter(|id| id.starts_with(name));
        match (begins.next(), begins.next()) {
            (Some(id), None) if !name.is_empty() => Ok(id.clone()),
            (Some(_), Some(_)) if !name.is_empty() => Err(Refusal::bad_request(format!(
                "Multiple IDs found with provided prefix: {name}"
            ))),
            _ => Err(Refusal::no_such_container(text)),
        }
    }

    /// The ID of the container that has the name.
    pub(crate) fn name_holder(&self, name: &str) -> Option<&str> {
        self.containers().find(|container| container.name == name).map(|found| found.id.as_str())
    }

    pub(crate) fn found(&self, text: &str) -> Result<&Container, Refusal> {
        let id = self.resolve(text)?;
        Ok(&self.containers[&id])
    }

    /// The container of an ID that is known to be there.
    pub(crate) fn at(&mut self, id: &str) -> &mut Container {
        self.containers.get_mut(id).expect("the ID was resolved before")
    }

    /// What a container that is gone had exited with.
    pub(crate) fn exit_code_of_removed(&self, id: &str) -> Option<i64> {
        self.removed.get(id).copied()
    }
}
