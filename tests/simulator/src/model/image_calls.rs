//! The calls on images that need no registry.

use serde_json::{Map, Value, json};
use wharf_server::domain::ImageReference;
use wharf_server::engine::ApiVersion;

use std::sync::Arc;

use super::Model;
use super::content::ImageContent;
use super::filters::Filters;
use super::images::{Image, ImageUser};
use super::reference::{self, familiar};
use super::refusal::Refusal;
use super::time::Time;

impl Model {
    /// Puts an image on the host under a name, as if it had been loaded. Panics on a name that
    /// is no reference: it comes from a test.
    pub fn load(&mut self, name: &str, content: &Arc<ImageContent>) -> String {
        let named = ImageReference::parse(name).unwrap_or_else(|error| panic!("{error}"));
        let id = self.images.add(content);
        self.images.name(&id, &named.with_default_tag(), self.now);
        id
    }

    /// `GET /images/json`.
    pub fn list_images(
        &self,
        version: ApiVersion,
        filters: &Filters,
    ) -> Result<Vec<Value>, Refusal> {
        filters.only(&["dangling", "label", "before", "since", "reference"])?;
        let dangling = filters.flag("dangling")?;
        let bound = |key: &str| match filters.values(key).first() {
            None => Ok(None),
            Some(name) => self.images.find(name).map(|image| Some(image.content.created)),
        };
        let (before, since) = (bound("before")?, bound("since")?);
        let chosen = self.images.all().into_iter().filter(|image| {
            let nameless = image.tags.is_empty() && image.digests.is_empty();
            let created = image.content.created;
            dangling.is_none_or(|wanted| wanted == nameless)
                && before.is_none_or(|bound| created < bound)
                && since.is_none_or(|bound| created > bound)
                && filters
                    .labels_match(&super::content::string_map(image.content.config.get("Labels")))
                && (filters.values("reference").is_empty()
                    || !matching_tags(image, filters).is_empty())
        });
        Ok(chosen.map(|image| self.image_summary(version, image, filters, false)).collect())
    }

    /// `GET /images/{name}/json`.
    pub fn inspect_image(&self, version: ApiVersion, name: &str) -> Result<Value, Refusal> {
        let prefix = if self.options.api_version.minor <= 41 {
            format!("no such image: {name}: ")
        } else {
            String::new()
        };
        let image = self.images.find(name).map_err(|refusal| refusal.prefixed(&prefix))?;
        let content = &image.content;
        let empty = super::content::template(include_str!("../templates/config.json"));
        let mut json = json!({
            "Id": image.id,
            "RepoTags": image.tags,
            "RepoDigests": image.digests,
            "Parent": "",
            "Comment": "",
            "Created": content.created.rfc3339(),
        });
        if version.minor < 45 {
            json["Container"] = json!("");
            json["ContainerConfig"] = config_json(empty.as_object(), version);
        }
        json["DockerVersion"] = json!("");
        json["Author"] = json!("");
        json["Config"] = config_json(Some(&content.config), version);
        json["Architecture"] = json!(content.architecture);
        json["Os"] = json!("linux");
        json["Size"] = json!(content.size());
        if version.minor < 44 {
            json["VirtualSize"] = json!(content.size());
        }
        let layers: Vec<&str> = content.layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        json["GraphDriver"] = json!({"Data": null, "Name": "overlay2"});
        json["RootFS"] = json!({"Type": "layers", "Layers": layers});
        let tagged = super::time::rfc3339_or_never(image.tagged);
        json["Metadata"] = json!({"LastTagTime": tagged});
        if version.minor >= 52
            && let Some(fields) = json.as_object_mut()
        {
            for field in ["Parent", "Comment", "DockerVersion", "Author"] {
                fields.remove(field);
            }
        }
        Ok(json)
    }

    /// `GET /images/{name}/history`: one entry a layer, newest first.
    pub fn image_history(&self, name: &str) -> Result<Value, Refusal> {
        let image = self.images.find(name)?;
        let last = image.content.layers.len().saturating_sub(1);
        let tags = if image.tags.is_empty() { Value::Null } else { json!(image.tags) };
        let entry = |(place, layer): (usize, &super::Layer)| {
            let top = place == last;
            json!({
                "Comment": "",
                "Created": image.content.created.unix_seconds(),
                "CreatedBy": format!("/bin/sh -c #(nop) ADD {} in / ", &layer.diff_id[..19]),
                "Id": if top { image.id.as_str() } else { "<missing>" },
                "Size": layer.size,
                "Tags": if top { tags.clone() } else { Value::Null },
            })
        };
        Ok(image.content.layers.iter().enumerate().rev().map(entry).collect())
    }

    /// `POST /images/{name}/tag`.
    pub fn tag_image(
        &mut self,
        now: Time,
        source: &str,
        repository: &str,
        tag: &str,
    ) -> Result<(), Refusal> {
        let target = reference::target(repository, tag)?;
        let id = self.images.find(source)?.id.clone();
        self.images.name(&id, &target, now);
        self.emit("image", "tag", &id, &[("name", &target.to_string())]);
        Ok(())
    }

    /// `DELETE /images/{name}`.
    pub fn remove_image(&mut self, name: &str, force: bool) -> Result<Value, Refusal> {
        let users = self.image_users();
        let records = self.images.remove(name, force, &users)?;
        for (key, action) in [("Untagged", "untag"), ("Deleted", "delete")] {
            for id in records.iter().filter_map(|record| record[key].as_str()) {
                self.emit("image", action, id, &[("name", id)]);
            }
        }
        Ok(Value::Array(records))
    }

    /// `POST /images/prune`.
    pub fn prune_images(&mut self, filters: &Filters) -> Result<Value, Refusal> {
        filters.only(&["dangling", "label", "label!", "until"])?;
        let dangling_only = filters.flag("dangling")?.unwrap_or(true);
        let until = filters.until(self.now)?;
        let users = self.image_users();
        let keep = |image: &Image| {
            let labels = super::content::string_map(image.content.config.get("Labels"));
            !filters.labels_match(&labels)
                || until.is_some_and(|until| image.content.created >= until)
        };
        let (records, freed) = self.images.prune(dangling_only, keep, &users);
        let records = if records.is_empty() { Value::Null } else { Value::Array(records) };
        Ok(json!({"ImagesDeleted": records, "SpaceReclaimed": freed}))
    }

    /// Whether the name stands for the image already.
    pub(crate) fn is_tagged(&self, source: &str, target: &ImageReference) -> bool {
        let holder = self.images.holder(&familiar(&target.clone().with_default_tag()));
        holder.is_some() && self.images.find(source).ok().map(|image| image.id.as_str()) == holder
    }

    /// An image as a list shows it; `counted`: with the number of its containers.
    pub(super) fn image_summary(
        &self,
        version: ApiVersion,
        image: &Image,
        filters: &Filters,
        counted: bool,
    ) -> Value {
        let nameless = image.tags.is_empty() && image.digests.is_empty();
        let names = |names: Vec<&String>, none: &str| match (names.is_empty(), version.minor) {
            (false, _) => json!(names),
            (true, 43..) => json!([]),
            (true, _) if nameless => json!([none]),
            (true, _) => Value::Null,
        };
        let tags = if filters.values("reference").is_empty() {
            image.tags.iter().collect()
        } else {
            matching_tags(image, filters)
        };
        let users = self.containers().filter(|container| container.image_id == image.id).count();
        let counted = counted || version.minor >= 51;
        let mut json = json!({
            "Containers": if counted { json!(users) } else { json!(-1) },
            "Created": image.content.created.unix_seconds(),
            "Id": image.id,
            "Labels": image.content.config.get("Labels"),
            "ParentId": "",
            "RepoDigests": names(image.digests.iter().collect(), "<none>@<none>"),
            "RepoTags": names(tags, "<none>:<none>"),
            "SharedSize": if counted { 0 } else { -1 },
            "Size": image.content.size(),
        });
        if version.minor < 44 {
            json["VirtualSize"] = json!(image.content.size());
        }
        json
    }

    fn image_users(&self) -> Vec<ImageUser> {
        let user = |container: &super::Container| ImageUser {
            container_id: container.id.clone(),
            image_id: container.image_id.clone(),
            running: container.state.status.counts_as_running(),
        };
        self.containers().rev().map(user).collect()
    }
}

/// Tags that a `reference` filter lets through: a pattern over the repository, or over
/// repository and tag, in which `*` stands for anything but a slash.
fn matching_tags<'a>(image: &'a Image, filters: &Filters) -> Vec<&'a String> {
    let patterns: Vec<regex::Regex> = filters
        .values("reference")
        .iter()
        .filter_map(|pattern| {
            let body = regex::escape(pattern).replace(r"\*", "[^/]*").replace(r"\?", "[^/]");
            regex::Regex::new(&format!("^{body}$")).ok()
        })
        .collect();
    let matches = |name: &&String| {
        patterns.iter().any(|pattern| {
            pattern.is_match(name) || pattern.is_match(reference::repository_of(name))
        })
    };
    image.tags.iter().filter(matches).collect()
}

/// The `Config` of an image; from 1.52 on without what is empty.
fn config_json(config: Option<&Map<String, Value>>, version: ApiVersion) -> Value {
    const ALWAYS_OPTIONAL: [&str; 8] = [
        "ExposedPorts",
        "Healthcheck",
        "ArgsEscaped",
        "NetworkDisabled",
        "MacAddress",
        "StopSignal",
        "StopTimeout",
        "Shell",
    ];
    /// No settings of images, and gone since 1.50.
    const OF_CONTAINERS: [&str; 9] = [
        "Hostname",
        "Domainname",
        "AttachStdin",
        "AttachStdout",
        "AttachStderr",
        "Tty",
        "OpenStdin",
        "StdinOnce",
        "Image",
    ];
    let empty = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    };
    let members = config.into_iter().flatten();
    let kept = members.filter(|(key, value)| {
        !(empty(value) && (version.minor >= 52 || ALWAYS_OPTIONAL.contains(&key.as_str())))
            && !(version.minor >= 50 && OF_CONTAINERS.contains(&key.as_str()))
    });
    Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect())
}
