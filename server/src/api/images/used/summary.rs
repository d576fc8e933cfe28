//! What there is to say about all hosts: the images and who uses them, the hosts that differ, and what
//! the registries said. Pure.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use wharf::v1;
use wharf::v1::RegistryComparison as Comparison;
use wharf::v1::image_difference::Subject;
use wharf::v1::list_used_images_response::Event;

use super::compare::{Answer, Answers, compare};
use super::fleet::{FleetImages, Placed};
use crate::api::size;
use crate::domain::HostName;

/// The hosts of each image, by [`FleetImages::key`].
type HostsOfImages = BTreeMap<String, BTreeSet<HostName>>;

/// The messages about all hosts; `answers` are those of the registries, if they were asked.
pub fn events(fleet: &FleetImages, answers: Option<&Answers>) -> Vec<Event> {
    let summary = Summary { fleet, answers };
    let images = summary.images().into_iter().map(Event::Image);
    let differences = differences(fleet).into_iter().map(Event::Difference);
    let checks = answers.into_iter().flatten();
    let checks =
        checks.map(|(reference, answer)| Event::Reference(summary.check(reference, answer)));
    images.chain(differences).chain(checks).collect()
}

struct Summary<'a> {
    fleet: &'a FleetImages,
    answers: Option<&'a Answers>,
}

impl Summary<'_> {
    fn images(&self) -> Vec<v1::UsedImage> {
        let fleet = self.fleet;
        let mut by_key: BTreeMap<&str, Vec<Placed<'_>>> = BTreeMap::new();
        for (host, container) in fleet.containers() {
            by_key.entry(fleet.key(&container.image_id)).or_default().push((host, container));
        }
        let mut images: Vec<_> = by_key.into_iter().collect();
        let hosts = |users: &[Placed<'_>]| {
            users.iter().map(|(host, _)| host).collect::<BTreeSet<_>>().len()
        };
        images.sort_by_key(|(key, users)| (Reverse(hosts(users)), *key));
        let mut messages = Vec::new();
        for (key, placed) in images {
            let ids: BTreeSet<&String> = placed.iter().map(|(_, it)| &it.image_id).collect();
            let names: BTreeSet<_> = ids.iter().flat_map(|id| fleet.known(id)).collect();
            let head = v1::UsedImage {
                digest: if names.is_empty() { String::new() } else { key.to_owned() },
                image_ids: ids.iter().map(ToString::to_string).collect(),
                repo_digests: names.iter().map(ToString::to_string).collect(),
                ..v1::UsedImage::default()
            };
            let users = placed.iter().map(|place| self.user(*place)).collect();
            let mut parts = size::batches(users, Message::encoded_len).peekable();
            while let Some(users) = parts.next() {
                let continues = parts.peek().is_some();
                messages.push(v1::UsedImage { users, continues, ..head.clone() });
            }
        }
        messages
    }

    fn user(&self, (host, it): Placed<'_>) -> v1::ImageUser {
        let pulled = self.fleet.pulled(host, it).unwrap_or_default();
        let key = self.fleet.key(pulled);
        v1::ImageUser {
            host: host.to_string(),
            cordoned: self.fleet.cordoned.contains(host),
            container: it.name.clone(),
            container_id: it.id.clone(),
            state: it.state.clone(),
            reference: it.source.to_string(),
            image_id: it.image_id.clone(),
            pulled_image_id: pulled.to_owned(),
            pulled_digest: if key == pulled { String::new() } else { key.to_owned() },
            comparison: self.compared((host, it)).into(),
        }
    }

    fn compared(&self, (host, container): Placed<'_>) -> Comparison {
        match self.answers {
            Some(answers) => compare(self.fleet, host, container, answers),
            None => Comparison::Unspecified,
        }
    }

    fn check(&self, reference: &str, answer: &Answer) -> v1::ReferenceCheck {
        let users = self
            .fleet
            .containers()
            .filter(|(_, it)| it.source.tag().is_some_and(|tag| tag.to_string() == reference));
        let users: Vec<_> = users.collect();
        let newer =
            users.iter().filter(|place| self.compared(**place) == Comparison::Newer).count();
        let (digest, status) = match &answer.named {
            Ok(named) => (named.digest.clone(), tonic_types::pb::Status::default()),
            Err(status) => (String::new(), status.clone()),
        };
        v1::ReferenceCheck {
            reference: reference.to_owned(),
            digest,
            asked_host: answer.asked.as_ref().map(ToString::to_string).unwrap_or_default(),
            status: Some(status),
            containers: u32::try_from(users.len()).unwrap_or(u32::MAX),
            newer: u32::try_from(newer).unwrap_or(u32::MAX),
        }
    }
}

fn differences(fleet: &FleetImages) -> Vec<v1::ImageDifference> {
    let mut by_name: BTreeMap<&str, HostsOfImages> = BTreeMap::new();
    let mut by_reference: BTreeMap<String, (BTreeSet<&str>, HostsOfImages)> = BTreeMap::new();
    for (host, container) in fleet.containers() {
        let key = fleet.key(&container.image_id);
        let add = |images: &mut HostsOfImages| {
            images.entry(key.to_owned()).or_default().insert(host.clone());
        };
        add(by_name.entry(&container.name).or_default());
        if let Some(reference) = container.source.tag() {
            let (names, images) = by_reference.entry(reference.to_string()).or_default();
            names.insert(&container.name);
            add(images);
        }
    }
    let names = by_name
        .into_iter()
        .filter_map(|(name, images)| difference(Subject::Container(name.to_owned()), images));
    // If all have one name, that says it.
    let references = by_reference
        .into_iter()
        .filter(|(_, (names, _))| names.len() > 1)
        .filter_map(|(text, (_, images))| difference(Subject::Reference(text), images));
    names.chain(references).collect()
}

/// The images of what should be one; `None` if it is one.
fn difference(subject: Subject, images: HostsOfImages) -> Option<v1::ImageDifference> {
    if images.len() < 2 {
        return None;
    }
    let mut images: Vec<_> = images.into_iter().collect();
    images.sort_by_key(|(key, hosts)| (Reverse(hosts.len()), key.clone()));
    let majority =
        if images[0].1.len() > images[1].1.len() { images[0].0.clone() } else { String::new() };
    let variant = |(image, hosts): (String, BTreeSet<HostName>)| v1::ImageVariant {
        image,
        hosts: hosts.iter().map(ToString::to_string).collect(),
    };
    let variants = images.into_iter().map(variant).collect();
    Some(v1::ImageDifference { majority, variants, subject: Some(subject) })
}
