//! The image of a container, and what its reference names in the registry. Pure.
//!
//! A host may know an image by the digest of an index of several platforms, or by that of the manifest
//! of one, and the registry may have either under the tag. Digests that differ are therefore two images
//! only if they are of the same kind.

use std::collections::BTreeMap;

use tonic_types::pb;
use wharf::v1::RegistryComparison as Comparison;

use super::facts::{Container, Source};
use super::fleet::FleetImages;
use crate::domain::HostName;

/// What the registries said, by reference.
pub type Answers = BTreeMap<String, Answer>;

/// What a registry said about a reference.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The host that asked last.
    pub asked: Option<HostName>,
    /// What the reference names, or why that is unknown.
    pub named: Result<Named, pb::Status>,
}

/// What a reference names in its registry.
#[derive(Debug, Clone, Default)]
pub struct Named {
    /// `sha256:…`.
    pub digest: String,
    /// Whether it is an index of several platforms.
    pub is_index: bool,
    /// What hosts have instead, by digest; without digests about which the registry said nothing.
    pub others: BTreeMap<String, Kind>,
}

/// What a digest is in a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An index of several platforms.
    Index,
    /// The manifest of one platform.
    Manifest,
    /// Nothing any more.
    Gone,
}

/// Compares the image of a container with what its reference names.
pub fn compare(
    fleet: &FleetImages,
    host: &HostName,
    container: &Container,
    answers: &Answers,
) -> Comparison {
    let reference = match &container.source {
        Source::Tag(reference) => reference,
        Source::Digest(_) => return Comparison::Pinned,
        Source::Id(_) => return Comparison::NoReference,
    };
    let Some(answer) = answers.get(&reference.to_string()) else { return Comparison::Local };
    let Ok(named) = &answer.named else { return Comparison::Failed };
    if fleet.is_known_as(&container.image_id, &named.digest) {
        return Comparison::Current;
    }
    let own = fleet.digests_in(&container.image_id, &reference.repository());
    if own.is_empty() {
        // Stores of containerd forget the digests of an image that loses its tag. If the tag names the
        // image of the registry there, that of the container is another one.
        let pulled = fleet.pulled(host, container);
        let has_newer = pulled.is_some_and(|id| fleet.is_known_as(id, &named.digest));
        return if has_newer { Comparison::Newer } else { Comparison::Local };
    }
    let registry = if named.is_index { Kind::Index } else { Kind::Manifest };
    let differs = |digest: &&str| {
        // What an index of the registry contains is also in the registry.
        matches!(named.others.get(*digest), Some(kind) if *kind == registry || *kind == Kind::Gone)
    };
    if own.iter().any(differs) { Comparison::Newer } else { Comparison::Incomparable }
}

#[cfg(test)]
mod tests {
    use super::super::fleet::tests::{APP, Host, digest, fleet};
    use super::*;

    /// The comparison of the container `web` on the first of these hosts.
    fn compared(hosts: &[Host], named: Result<Named, ()>) -> Comparison {
        let fleet = fleet(hosts);
        let named = named.map_err(|()| pb::Status::default());
        let answers = fleet.questions().into_iter().map(|question| {
            let answer = Answer { asked: None, named: named.clone() };
            (question.reference.to_string(), answer)
        });
        let answers = answers.collect();
        let (host, facts) = fleet.hosts.first_key_value().unwrap();
        compare(&fleet, host, &facts.containers[0], &answers)
    }

    fn named(name: &str, is_index: bool, others: &[(&str, Kind)]) -> Result<Named, ()> {
        let others = others.iter().map(|(name, kind)| (digest(name), *kind)).collect();
        Ok(Named { digest: digest(name), is_index, others })
    }

    fn host(name: &'static str) -> Host {
        Host::new(name).image("x", &["r.test/app@1"], &[APP]).runs("web", APP, "x")
    }

    #[test]
    fn the_same_digest_is_the_same_image_and_another_one_of_its_kind_is_not() {
        assert_eq!(compared(&[host("a")], named("1", false, &[])), Comparison::Current);
        let manifests = named("2", false, &[("1", Kind::Manifest)]);
        assert_eq!(compared(&[host("a")], manifests), Comparison::Newer);
        let indexes = named("2", true, &[("1", Kind::Index)]);
        assert_eq!(compared(&[host("a")], indexes), Comparison::Newer);
        let deleted = named("2", true, &[("1", Kind::Gone)]);
        assert_eq!(compared(&[host("a")], deleted), Comparison::Newer);
        assert_eq!(compared(&[host("a")], Err(())), Comparison::Failed);
    }

    #[test]
    fn an_index_is_not_newer_than_a_manifest_because_its_digest_differs() {
        let index = || named("2", true, &[("1", Kind::Manifest)]);
        assert_eq!(compared(&[host("a")], index()), Comparison::Incomparable);
        assert_eq!(compared(&[host("a")], named("2", true, &[])), Comparison::Incomparable);
        // Another host pulled the index, and got the same image.
        let other = Host::new("b").image("x", &["r.test/app@2"], &[APP]).runs("web", APP, "x");
        assert_eq!(compared(&[host("a"), other], index()), Comparison::Current);
        // Podman knows both digests.
        let podman = Host::new("a").image("x", &["r.test/app@1", "r.test/app@2"], &[APP]);
        assert_eq!(compared(&[podman.runs("web", APP, "x")], index()), Comparison::Current);
        let manifest = named("2", false, &[("1", Kind::Index)]);
        assert_eq!(compared(&[host("a")], manifest), Comparison::Incomparable);
    }

    #[test]
    fn what_cannot_be_asked_says_why() {
        let pinned = format!("r.test/app@{}", digest("1"));
        let of = |image: Host, source: &str| {
            compared(&[image.runs("web", source, "x")], named("2", false, &[]))
        };
        let image = || Host::new("a").image("x", &["r.test/app@1"], &[]);
        assert_eq!(of(image(), &pinned), Comparison::Pinned);
        assert_eq!(of(image(), &digest("x")), Comparison::NoReference);
        // Built there, or from another repository.
        assert_eq!(of(Host::new("a").image("x", &[], &[APP]), APP), Comparison::Local);
        assert_eq!(of(image(), "r.test/other:v1"), Comparison::Local);
    }

    #[test]
    fn an_image_that_has_lost_its_tag_and_its_digests_is_older_than_the_one_that_has_them() {
        let pulled = Host::new("a").image("x", &[], &[]).image("y", &["r.test/app@2"], &[APP]);
        let pulled = || pulled.clone().runs("web", APP, "x");
        assert_eq!(compared(&[pulled()], named("2", false, &[])), Comparison::Newer);
        assert_eq!(compared(&[pulled()], named("3", false, &[])), Comparison::Local);
        // In a store of containerd, the ID is the digest.
        let id = Named { digest: digest("x"), ..Named::default() };
        assert_eq!(compared(&[pulled()], Ok(id)), Comparison::Current);
    }
}
