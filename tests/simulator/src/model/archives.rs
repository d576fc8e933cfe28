//! Archives of images: `GET /images/get` and `POST /images/load`. The lists in an archive are those of
//! the Engine; the configuration of an image is all that the model knows of it.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use wharf_server::domain::ImageReference;
use wharf_server::engine::ErrorKind;

use super::Model;
use super::content::ImageContent;
use super::images::Image;
use super::reference::{Named, familiar, parse};
use super::refusal::Refusal;
use super::time::Time;
use super::transfer::Step;

/// How long the Engine takes for a layer.
const PER_LAYER: Duration = Duration::from_millis(5);

/// A load that can begin.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// What the Engine prints.
    pub steps: Vec<Step>,
    /// What it says instead of the last line.
    pub failure: Option<Refusal>,
    images: Vec<(Arc<ImageContent>, Vec<ImageReference>)>,
}

/// An entry of `manifest.json`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
}

impl Model {
    /// `GET /images/get`: an archive of these images.
    pub fn save_images(&self, names: &[String]) -> Result<Vec<u8>, Refusal> {
        let mut saved: Vec<(&Image, Vec<String>)> = Vec::new();
        for name in names {
            let image = self.images.find(name)?;
            let tag = match parse(name)? {
                Named::Reference(reference) => Some(familiar(&reference)),
                Named::Id(_) => None,
            };
            let tag = tag.filter(|tag| image.tags.contains(tag));
            match saved.iter_mut().find(|(known, _)| known.id == image.id) {
                Some((_, tags)) => tags.extend(tag),
                None => saved.push((image, tag.into_iter().collect())),
            }
        }
        let mut archive = tar::Builder::new(Vec::new());
        let (mut list, mut index) = (Vec::new(), Vec::new());
        for (image, tags) in saved {
            let config = format!("{}.json", &image.content.config_id[7..]);
            add(&mut archive, &config, &json!(*image.content).to_string());
            index.push(json!({"digest": image.content.digest}));
            list.push(Saved { config, repo_tags: Some(tags).filter(|tags| !tags.is_empty()) });
        }
        add(&mut archive, "index.json", &json!({"manifests": index}).to_string());
        add(&mut archive, "manifest.json", &json!(list).to_string());
        Ok(archive.into_inner().unwrap_or_default())
    }

    /// Begins `POST /images/load`. What is wrong with the archive shows in the stream.
    pub fn begin_load(&self, archive: &[u8]) -> LoadPlan {
        let mut plan = LoadPlan { steps: Vec::new(), failure: None, images: Vec::new() };
        match read(archive) {
            Ok(images) => plan.images = images,
            Err(message) => {
                let line = json!({"errorDetail": {"message": message}, "error": message});
                plan.steps.push(Step { after: Duration::ZERO, line });
                plan.failure = Some(Refusal::new(200, ErrorKind::LoadFailed, message));
                return plan;
            }
        }
        for (content, names) in &plan.images {
            for layer in &content.layers {
                let detail = json!({"current": layer.size, "total": layer.size});
                let id = &layer.diff_id[7..19];
                let line = json!({"status": "Loading layer", "progressDetail": detail, "id": id});
                plan.steps.push(Step { after: PER_LAYER, line });
            }
            let mut said: Vec<String> =
                names.iter().map(|name| format!("Loaded image: {}\n", familiar(name))).collect();
            if names.is_empty() {
                said.push(format!("Loaded image ID: {}\n", self.images.id_of(content)));
            }
            let lines = said.into_iter().map(|text| json!({"stream": text}));
            plan.steps.extend(lines.map(|line| Step { after: Duration::ZERO, line }));
        }
        plan
    }

    /// Ends a load: the images are there and have their names.
    pub fn finish_load(&mut self, now: Time, plan: &LoadPlan) {
        for (content, names) in &plan.images {
            let id = self.images.add(content);
            for name in names {
                self.images.name(&id, name, now);
            }
        }
    }
}

fn add(archive: &mut tar::Builder<Vec<u8>>, name: &str, text: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, text.as_bytes()).expect("a vector takes everything");
}

/// An image with its names.
type NamedImage = (Arc<ImageContent>, Vec<ImageReference>);

/// The images of an archive, or the Engine's text about it.
fn read(archive: &[u8]) -> Result<Vec<NamedImage>, String> {
    let mut files = std::collections::BTreeMap::new();
    let broken = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "unexpected EOF".to_owned(),
        _ => "archive/tar: invalid tar header".to_owned(),
    };
    if !archive.len().is_multiple_of(512) {
        return Err("unexpected EOF".to_owned());
    }
    for entry in tar::Archive::new(archive).entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).map_err(broken)?;
        files.insert(name, text);
    }
    let missing = |name: &str| format!("open /tmp/docker-import/{name}: no such file or directory");
    let list = files.get("manifest.json").ok_or_else(|| missing("manifest.json"))?;
    let list: Vec<Saved> = serde_json::from_str(list).map_err(|error| error.to_string())?;
    let image = |saved: Saved| {
        let config = files.get(&saved.config).ok_or_else(|| missing(&saved.config))?;
        let content: ImageContent =
            serde_json::from_str(config).map_err(|error| error.to_string())?;
        let names = saved.repo_tags.unwrap_or_default();
        let names = names.iter().filter_map(|name| ImageReference::parse(name).ok());
        Ok((Arc::new(content), names.map(ImageReference::with_default_tag).collect()))
    };
    list.into_iter().map(image).collect()
}
