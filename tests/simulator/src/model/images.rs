//! The images of one host: names, lookup, tags, removal, prune. The rules of removal are those of
//! moby's `daemon/images/image_delete.go` at 20.10.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use wharf_server::domain::ImageReference;

use super::content::ImageContent;
use super::reference::{self, Named, familiar, repository_of};
use super::refusal::Refusal;
use super::time::Time;

/// An image on a host.
#[derive(Debug, Clone)]
pub struct Image {
    /// `sha256:…`.
    pub id: String,
    /// What it is.
    pub content: Arc<ImageContent>,
    /// `repository:tag`, sorted.
    pub tags: BTreeSet<String>,
    /// `repository@digest`, sorted.
    pub digests: BTreeSet<String>,
    /// When a tag was last put on it.
    pub tagged: Option<Time>,
}

/// How a container uses an image, for the rules of removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageUser {
    pub container_id: String,
    pub image_id: String,
    pub running: bool,
}

/// The images of one host.
#[derive(Debug, Clone, Default)]
pub(crate) struct Images {
    by_id: BTreeMap<String, Image>,
    containerd_store: bool,
}

impl Images {
    pub fn new(containerd_store: bool) -> Self {
        Self { by_id: BTreeMap::new(), containerd_store }
    }

    /// All, newest first, then by ID.
    pub fn all(&self) -> Vec<&Image> {
        let mut images: Vec<&Image> = self.by_id.values().collect();
        images.sort_by(|a, b| b.content.created.cmp(&a.content.created).then(a.id.cmp(&b.id)));
        images
    }

    pub fn get(&self, id: &str) -> Option<&Image> {
        self.by_id.get(id)
    }

    /// The ID that a reference stands for.
    pub fn holder(&self, familiar: &str) -> Option<&str> {
        self.by_id
            .values()
            .find(|image| image.tags.contains(familiar) || image.digests.contains(familiar))
            .map(|image| image.id.as_str())
    }

    /// Finds an image by reference, ID or the beginning of an ID.
    pub fn find(&self, text: &str) -> Result<&Image, Refusal> {
        let named = reference::parse(text)?;
        let reference = match &named {
            Named::Id(id) => {
                return self.by_id.get(id).ok_or_else(|| Refusal::no_such_image(text));
            }
            Named::Reference(reference) => reference,
        };
        if let Some(id) = self.holder(&familiar(reference)) {
            return Ok(&self.by_id[id]);
        }
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let mut begins = self.by_id.values().filter(|image| image.id[7..].starts_with(digits));
        match (begins.next(), begins.next()) {
            (Some(image), None) => Ok(image),
            _ => Err(Refusal::no_such_image(&familiar(reference))),
        }
    }

    /// Takes an image in; one that is there already stays as it is.
    pub fn add(&mut self, content: &Arc<ImageContent>) -> String {
        let id = self.id_of(content);
        self.by_id.entry(id.clone()).or_insert_with(|| Image {
            id: id.clone(),
            content: content.clone(),
            tags: BTreeSet::new(),
            digests: BTreeSet::new(),
            tagged: None,
        });
        id
    }

    /// The ID of an image in the store of this host.
    pub fn id_of(&self, content: &ImageContent) -> String {
        if self.containerd_store { &content.digest } else { &content.config_id }.clone()
    }

    /// Gives an image a name with tag or digest, taking it from whoever has it.
    pub fn name(&mut self, id: &str, reference: &ImageReference, now: Time) {
        let name = familiar(reference);
        for image in self.by_id.values_mut().filter(|image| image.id != id) {
            image.tags.remove(&name);
        }
        if let Some(image) = self.by_id.get_mut(id) {
            if reference.digest().is_some() {
                image.digests.insert(name);
            } else {
                image.tags.insert(name);
                image.tagged = Some(now);
            }
        }
    }

    /// `DELETE /images/{name}`: the records of what was done.
    pub fn remove(
        &mut self,
        text: &str,
        force: bool,
        users: &[ImageUser],
    ) -> Result<Vec<Value>, Refusal> {
        let image = self.find(text)?;
        let id = image.id.clone();
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let by_id = id[7..].starts_with(digits);
        let single = is_single_reference(image);
        let mut records = Vec::new();
        if by_id {
            if single {
                self.check(&id, !force, users, false).map_err(|conflict| conflict.refusal)?;
                self.untag_all(&id, &mut records);
            }
            self.delete(&id, force, users, &mut records).map_err(|conflict| conflict.refusal)?;
            return Ok(records);
        }
        if let Some(user) = users.iter().find(|user| user.image_id == id)
            && !force
            && single
        {
            return Err(Refusal::conflict(format!(
                "conflict: unable to remove repository reference \"{text}\" (must force) - container {} is using its referenced image {}",
                &user.container_id[..12],
                &id[7..19],
            )));
        }
        let Named::Reference(reference) = reference::parse(text)? else {
            return Err(Refusal::no_such_image(text));
        };
        self.untag(&id, &familiar(&reference), &mut records);
        if self.by_id[&id].tags.is_empty() && self.by_id[&id].digests.is_empty() {
            // What is in use stays, without a name.
            let _ = self.delete(&id, force, users, &mut records);
        }
        Ok(records)
    }

    /// `POST /images/prune`: the records of what was done and the bytes that became free.
    pub fn prune(
        &mut self,
        dangling_only: bool,
        keep: impl Fn(&Image) -> bool,
        users: &[ImageUser],
    ) -> (Vec<Value>, u64) {
        let unused = |image: &&Image| !users.iter().any(|user| user.image_id == image.id);
        let chosen: Vec<(String, u64)> = self
            .by_id
            .values()
            .filter(|image| !dangling_only || image.tags.is_empty() && image.digests.is_empty())
            .filter(unused)
            .filter(|image| !keep(image))
            .map(|image| (image.id.clone(), image.content.size()))
            .collect();
        let (mut records, mut freed) = (Vec::new(), 0);
        for (id, size) in chosen {
            self.untag_all(&id, &mut records);
            if self.delete(&id, true, users, &mut records).is_ok() {
                freed += size;
            }
        }
        (records, freed)
    }

    fn untag(&mut self, id: &str, name: &str, records: &mut Vec<Value>) {
        let Some(image) = self.by_id.get_mut(id) else { return };
        image.tags.remove(name);
        image.digests.remove(name);
        records.push(json!({"Untagged": name}));
        let repository = repository_of(name);
        let is_tag = !name.contains('@');
        if is_tag && !image.tags.iter().any(|tag| repository_of(tag) == repository) {
            image.digests.retain(|digest| {
                let others = repository_of(digest) != repository;
                if !others {
                    records.push(json!({"Untagged": digest}));
                }
                others
            });
        }
    }

    fn untag_all(&mut self, id: &str, records: &mut Vec<Value>) {
        let Some(image) = self.by_id.get_mut(id) else { return };
        let names =
            std::mem::take(&mut image.tags).into_iter().chain(std::mem::take(&mut image.digests));
        records.extend(names.map(|name| json!({"Untagged": name})));
    }

    fn delete(
        &mut self,
        id: &str,
        force: bool,
        users: &[ImageUser],
        records: &mut Vec<Value>,
    ) -> Result<(), Conflict> {
        self.check(id, !force, users, true)?;
        self.untag_all(id, records);
        if let Some(image) = self.by_id.remove(id) {
            records.push(json!({"Deleted": id}));
            let still_there = |diff_id: &str| {
                let mut layers = self.by_id.values().flat_map(|image| &image.content.layers);
                layers.any(|layer| layer.diff_id == diff_id)
            };
            let in_use = users.iter().any(|user| user.image_id == id);
            for layer in image.content.layers.iter().rev() {
                if !in_use && !still_there(&layer.diff_id) {
                    records.push(json!({"Deleted": layer.diff_id}));
                }
            }
        }
        Ok(())
    }

    fn check(
        &self,
        id: &str,
        soft: bool,
        users: &[ImageUser],
        references_count: bool,
    ) -> Result<(), Conflict> {
        let short = &id[7..19];
        let refuse = |how: &str, why: String| {
            let message = format!("conflict: unable to delete {short} ({how}) - {why}");
            Err(Conflict { refusal: Refusal::conflict(message) })
        };
        let user = |running: bool| {
            users.iter().find(|user| user.image_id == id && user.running == running)
        };
        if let Some(user) = user(true) {
            let container = &user.container_id[..12];
            return refuse(
                "cannot be forced",
                format!("image is being used by running container {container}"),
            );
        }
        let image = &self.by_id[id];
        if soft && references_count && image.tags.len() + image.digests.len() > 0 {
            return refuse(
                "must be forced",
                "image is referenced in multiple repositories".to_owned(),
            );
        }
        if let Some(user) = user(false).filter(|_| soft) {
            let container = &user.container_id[..12];
            return refuse(
                "must be forced",
                format!("image is being used by stopped container {container}"),
            );
        }
        Ok(())
    }
}

struct Conflict {
    refusal: Refusal,
}

/// Whether all names of an image are one tag with its digest, so that its ID stands for them.
fn is_single_reference(image: &Image) -> bool {
    match (image.tags.len(), image.digests.len()) {
        (0, 0) => false,
        (1, 0) | (0, 1) => true,
        (0 | 1, _) => {
            let names: Vec<&str> =
                image.tags.iter().chain(&image.digests).map(|name| repository_of(name)).collect();
            names.windows(2).all(|pair| pair[0] == pair[1])
        }
        _ => false,
    }
}
