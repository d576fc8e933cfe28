//! The images of all hosts together, and what is to be asked of registries. Pure.

#[cfg(test)]
pub(super) mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::facts::{Container, HostFacts, RepoDigest};
use crate::domain::{HostName, ImageReference};

/// The name of the registry in references of images that Podman built.
const LOCALHOST: &str = "localhost";

/// What all hosts say.
#[derive(Debug, Default)]
pub struct FleetImages {
    /// Those that answered.
    pub hosts: BTreeMap<HostName, HostFacts>,
    /// Those of them that are cordoned.
    pub cordoned: BTreeSet<HostName>,
    /// What any host knows of an image, by ID: the same ID is the same image everywhere.
    digests: BTreeMap<String, BTreeSet<RepoDigest>>,
    /// The number of hosts that know a digest.
    spread: BTreeMap<String, usize>,
}

/// A reference to ask its registry for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// With its tag.
    pub reference: ImageReference,
    /// The hosts with a container that was created from it.
    pub users: Vec<HostName>,
}

/// A container and where it is.
pub type Placed<'a> = (&'a HostName, &'a Container);

impl FleetImages {
    /// Puts together what the hosts say.
    pub fn new(hosts: BTreeMap<HostName, HostFacts>, cordoned: BTreeSet<HostName>) -> Self {
        let mut digests: BTreeMap<String, BTreeSet<RepoDigest>> = BTreeMap::new();
        let mut spread: BTreeMap<String, usize> = BTreeMap::new();
        for facts in hosts.values() {
            for (id, known) in &facts.digests {
                digests.entry(id.clone()).or_default().extend(known.iter().cloned());
            }
            let known: BTreeSet<_> =
                facts.digests.values().flatten().map(|it| &it.digest).collect();
            for digest in known {
                *spread.entry(digest.clone()).or_default() += 1;
            }
        }
        Self { hosts, cordoned, digests, spread }
    }

    /// Whether this image has this digest. In a store of containerd, its ID is one.
    pub fn is_known_as(&self, image_id: &str, digest: &str) -> bool {
        image_id == digest || self.known(image_id).any(|it| it.digest == digest)
    }

    /// The digests of an image in a repository.
    pub fn digests_in(&self, image_id: &str, repository: &str) -> Vec<&str> {
        let known = self.known(image_id).filter(|it| it.repository == repository);
        known.map(|it| it.digest.as_str()).collect()
    }

    /// The ID of the image that the reference of a container names on its host now, if that is another
    /// one.
    pub fn pulled(&self, host: &HostName, container: &Container) -> Option<&str> {
        let named = self.hosts.get(host)?.tags.get(&container.source.tag()?.to_string())?;
        (*named != container.image_id).then_some(named)
    }

    /// The references to ask registries for: those of which a host has an image that came from there.
    pub fn questions(&self) -> Vec<Question> {
        let mut questions: BTreeMap<String, (Question, bool)> = BTreeMap::new();
        for (host, container) in self.containers() {
            let Some(reference) = container.source.tag() else { continue };
            if reference.registry().as_str() == LOCALHOST {
                continue;
            }
            let repository = reference.repository();
            let images = [Some(container.image_id.as_str()), self.pulled(host, container)];
            let mut images = images.into_iter().flatten();
            let is_from_there = images.any(|id| !self.digests_in(id, &repository).is_empty());
            let (question, any) = questions.entry(reference.to_string()).or_insert_with(|| {
                (Question { reference: reference.clone(), users: Vec::new() }, false)
            });
            *any |= is_from_there;
            if question.users.last() != Some(host) {
                question.users.push(host.clone());
            }
        }
        let asked = questions.into_values().filter(|(_, any)| *any);
        asked.map(|(question, _)| question).collect()
    }

    /// The digests that hosts have of the repository of a reference instead of this one.
    pub fn others(&self, reference: &ImageReference, digest: &str) -> BTreeSet<String> {
        let users = self.containers().filter(|(_, it)| it.source.tag() == Some(reference));
        let differing = users.filter(|(_, it)| !self.is_known_as(&it.image_id, digest));
        let repository = reference.repository();
        let known = differing.flat_map(|(_, it)| self.digests_in(&it.image_id, &repository));
        known.map(str::to_owned).collect()
    }

    /// The digest by which most hosts know an image, or its ID if there is none. Digests of an image
    /// are not followed to others that share one of them: two indexes may have the same image for one
    /// platform, and not for another.
    pub fn key<'a>(&'a self, image_id: &'a str) -> &'a str {
        let spread = |digest: &str| self.spread.get(digest).copied().unwrap_or_default();
        let digests = self.known(image_id).map(|it| it.digest.as_str());
        digests.min_by_key(|it| (Reverse(spread(it)), *it)).unwrap_or(image_id)
    }

    /// What any host knows of an image.
    pub fn known(&self, image_id: &str) -> impl Iterator<Item = &RepoDigest> {
        self.digests.get(image_id).into_iter().flatten()
    }

    /// Every container, by host and name.
    pub fn containers(&self) -> impl Iterator<Item = Placed<'_>> {
        self.hosts.iter().flat_map(|(host, facts)| {
            let mut containers: Vec<_> = facts.containers.iter().collect();
            containers.sort_by(|left, right| (&left.name, &left.id).cmp(&(&right.name, &right.id)));
            containers.into_iter().map(move |container| (host, container))
        })
    }
}
