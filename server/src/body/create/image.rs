//! The image of a container: that of the spec, or that of the body with its `Tag` joined.

use serde_json::Value;

use super::document::ENGINE_JSON;
use super::{Draft, SPEC_IMAGE};
use crate::domain::{ImageName, quoted};

/// `spec` is empty if the spec has no image.
pub(super) fn apply(spec: &str, draft: &mut Draft) {
    if spec.is_empty() {
        join_tag(draft);
        check(draft);
        return;
    }
    // A tag in the body belongs to the image of the body, which the spec replaces.
    if tag(draft).is_ok_and(|tag| tag.is_some()) {
        draft.top.remove("Tag");
    }
    draft.top.set("Image", spec);
    if let Err(error) = ImageName::parse(spec) {
        draft.violations.add(SPEC_IMAGE, error.to_string());
    }
}

fn check(draft: &mut Draft) {
    match draft.top.get("Image") {
        Some(Value::String(image)) if !image.is_empty() => {
            if let Err(error) = ImageName::parse(image) {
                draft.violations.add(ENGINE_JSON, format!("Image: {error}"));
            }
        }
        None | Some(Value::String(_)) if draft.body_usable => draft.violations.add(
            SPEC_IMAGE,
            "no image; set it here or as Image in the body, such as registry/app:v1",
        ),
        None | Some(Value::String(_)) => {}
        Some(_) => draft.violations.add(ENGINE_JSON, "Image must be a string"),
    }
}

fn join_tag(draft: &mut Draft) {
    let tag = match tag(draft) {
        Ok(None) => return,
        Ok(Some(tag)) => tag,
        Err(problem) => return draft.violations.add(ENGINE_JSON, problem),
    };
    let Some(image) = draft.top.text("Image").map(str::to_owned) else { return };
    match joined(&image, &tag) {
        Ok(reference) => {
            draft.top.remove("Tag");
            draft.top.set("Image", reference);
        }
        Err(Some(problem)) => draft.violations.add(ENGINE_JSON, problem),
        Err(None) => {}
    }
}

/// The tag of the body. The Engine does not know this key: it would silently drop a number and use
/// `latest`.
fn tag(draft: &Draft) -> Result<Option<String>, &'static str> {
    match draft.top.get("Tag") {
        None => Ok(None),
        Some(Value::String(tag)) if tag.is_empty() => Ok(None),
        Some(Value::String(tag)) => Ok(Some(tag.clone())),
        Some(_) => Err("Tag must be a string, such as \"v1\""),
    }
}

/// `Err(None)` if the image itself is invalid, which is found without its tag as well.
fn joined(image: &str, tag: &str) -> Result<String, Option<String>> {
    let reference = match ImageName::parse(image).map_err(|_| None)? {
        ImageName::Reference(reference) => reference,
        ImageName::Id(_) => {
            return Err(Some(format!(
                "Image is the ID {} and cannot have the Tag {}; remove the Tag",
                quoted(image),
                quoted(tag)
            )));
        }
    };
    if reference.digest().is_some() {
        return Err(Some(format!(
            "Image {} has a digest and cannot also have the Tag {}; remove one of them",
            quoted(image),
            quoted(tag)
        )));
    }
    match reference.tag() {
        Some(own) if own == tag => Ok(image.to_owned()),
        Some(_) => Err(Some(format!(
            "the tag of Image {} differs from Tag {}; remove one of them",
            quoted(image),
            quoted(tag)
        ))),
        None => match reference.with_tag(tag) {
            Ok(_) => Ok(format!("{image}:{tag}")),
            Err(error) => Err(Some(format!("Tag: {error}"))),
        },
    }
}
