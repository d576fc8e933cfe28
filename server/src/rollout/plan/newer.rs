//! The image of a rollout without an image and with pull policy always: the image that the
//! containers' own reference now points to, as with `docker compose up --pull always`. Pure.

use std::collections::BTreeMap;

use super::gather::Asked;
use crate::domain::{HostName, ImageReference, Reason};
use crate::rollout::requests::Refusal;
use crate::rollout::spec::{PullWhen, RolloutSpec};

/// The image name on all hosts; `None` if it is not needed, or no host has the container.
pub(super) fn image(
    spec: &RolloutSpec,
    asked: &[Asked],
) -> Result<Option<ImageReference>, Vec<Refusal>> {
    let change = &spec.change;
    if spec.policy.pull != PullWhen::Always || change.image.is_some() || change.whole.is_some() {
        return Ok(None);
    }
    let names = asked.iter().filter_map(|it| {
        let old = it.facts.as_ref().ok()?.old.as_ref()?;
        Some((&it.host, &*old.inspect.image))
    });
    one_name(names)
}

fn one_name<'a>(
    names: impl Iterator<Item = (&'a HostName, &'a str)>,
) -> Result<Option<ImageReference>, Vec<Refusal>> {
    let mut found: BTreeMap<String, (ImageReference, &HostName)> = BTreeMap::new();
    let mut refusals = Vec::new();
    for (host, name) in names {
        match named(name) {
            Ok(reference) => {
                found.entry(reference.to_string()).or_insert((reference, host));
            }
            Err(problem) => refusals.push(Refusal {
                host: Some(host.clone()),
                reason: Reason::InvalidField,
                message: format!("pull_policy always finds no newer image: {problem}"),
            }),
        }
    }
    if found.len() > 1 {
        let each = found.iter().map(|(name, (_, host))| format!("{name} on {host}"));
        let message = format!(
            "pull_policy always requires one image for all hosts, but the containers have {}; set \
             the image, or use separate rollouts for these hosts",
            each.collect::<Vec<_>>().join(", ")
        );
        refusals.push(Refusal { host: None, reason: Reason::InvalidField, message });
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    Ok(found.into_values().next().map(|(reference, _)| reference))
}

/// The reference that a container was created from, if it can point to another image later.
fn named(name: &str) -> Result<ImageReference, String> {
    let hex = |text: &str| text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit());
    if hex(name.strip_prefix("sha256:").unwrap_or(name)) {
        return Err(format!("the container was created from the image ID {name}; set the image"));
    }
    let reference = ImageReference::parse(name).map_err(|error| error.to_string())?;
    match reference.digest() {
        Some(_) => {
            Err(format!("the container uses a digest, {name}, which never changes; set the image"))
        }
        None => Ok(reference.with_default_tag()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[(&str, &str)]) -> Result<Option<String>, Vec<String>> {
        let hosts: Vec<_> = names.iter().map(|(host, _)| HostName::parse(host).unwrap()).collect();
        let names = hosts.iter().zip(names).map(|(host, (_, name))| (host, *name));
        match one_name(names) {
            Ok(found) => Ok(found.map(|reference| reference.to_string())),
            Err(refusals) => Err(refusals.into_iter().map(|refusal| refusal.message).collect()),
        }
    }

    #[test]
    fn one_name_for_all_hosts_is_pulled() {
        assert_eq!(of(&[]), Ok(None));
        let found = of(&[("a", "r.test/app:v1"), ("b", "r.test/app:v1")]);
        assert_eq!(found, Ok(Some("r.test/app:v1".to_owned())));
        let found = of(&[("a", "r.test/app"), ("b", "r.test/app:latest")]);
        assert_eq!(found, Ok(Some("r.test/app:latest".to_owned())));
    }

    #[test]
    fn what_has_no_newer_image_is_refused() {
        let id = "1".repeat(64);
        for (names, expected) in [
            (vec![("a", "app:v1"), ("b", "app:v2")], "one image for all hosts"),
            (vec![("a", &*id)], "image ID"),
            (vec![("a", &*format!("sha256:{id}"))], "image ID"),
            (vec![("a", &*format!("app@sha256:{id}"))], "which never changes"),
        ] {
            let told = of(&names).unwrap_err();
            assert!(told.len() == 1 && told[0].contains(expected), "{told:?}");
        }
    }
}
