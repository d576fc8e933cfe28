//! What a request asks for, checked. Pure.

use wharf::v1;

use super::facts::Source;
use crate::api::convert;
use crate::body::violation::Violations;
use crate::domain::{ContainerName, ImageReference};
use crate::engine::ContainerListing;

/// Which containers to look at.
#[derive(Debug, Default)]
pub struct Order {
    /// Whether to ask the registries.
    pub check_registry: bool,
    all: bool,
    /// Empty: any.
    names: Vec<ContainerName>,
    labels: Vec<String>,
    /// Empty: any.
    references: Vec<ImageReference>,
}

impl Order {
    /// Reads a request.
    pub fn read(violations: &mut Violations, message: &v1::ListUsedImagesRequest) -> Option<Self> {
        let mut names = Vec::new();
        for (index, name) in message.containers.iter().enumerate() {
            let field = format!("containers[{index}]");
            names.extend(violations.check(&field, ContainerName::parse(name)));
        }
        let mut references = Vec::new();
        for (index, reference) in message.references.iter().enumerate() {
            let field = format!("references[{index}]");
            references.extend(violations.check(&field, ImageReference::parse(reference)));
        }
        let labels = convert::container_labels(violations, &message.labels);
        let v1::ListUsedImagesRequest { all, check_registry, .. } = *message;
        Some(Self { check_registry, all, names, labels, references })
    }

    /// What to ask the Engine for. Names are compared here: those of an Engine are patterns.
    pub fn listing(&self) -> ContainerListing {
        let mut listing = ContainerListing { all: self.all, ..ContainerListing::default() };
        if !self.labels.is_empty() {
            listing.filters.insert("label".to_owned(), self.labels.clone());
        }
        listing
    }

    /// Whether a container with these names is wanted.
    pub fn wants_name(&self, names: &[String]) -> bool {
        self.names.is_empty() || self.names.iter().any(|it| names.iter().any(|n| n == it.as_str()))
    }

    /// Whether a container that was created from this is wanted.
    pub fn wants_source(&self, source: &Source) -> bool {
        let Some(reference) = source.reference() else { return self.references.is_empty() };
        self.references.is_empty()
            || self.references.iter().any(|wanted| {
                wanted.repository() == reference.repository()
                    && wanted.tag().is_none_or(|tag| reference.tag() == Some(tag))
                    && wanted.digest().is_none_or(|digest| reference.digest() == Some(digest))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::problem::Finish;

    fn read(change: impl FnOnce(&mut v1::ListUsedImagesRequest)) -> Result<Order, String> {
        let mut message = v1::ListUsedImagesRequest::default();
        change(&mut message);
        let mut violations = Violations::default();
        let order = Order::read(&mut violations, &message);
        violations.finish().map_err(|problem| problem.message)?;
        order.ok_or_else(|| "nothing".to_owned())
    }

    #[test]
    fn wrong_fields_are_named() {
        let refused = read(|it| {
            it.containers = vec!["web".to_owned(), "a/b".to_owned()];
            it.labels = vec!["=x".to_owned()];
            it.references = vec!["App".to_owned()];
        });
        let refused = refused.unwrap_err();
        for field in ["containers[1]", "labels[0]", "references[0]"] {
            assert!(refused.contains(field), "{field}: {refused}");
        }
    }

    #[test]
    fn a_reference_without_a_tag_means_every_tag_of_its_repository() {
        let of = |text: &str| Source::of(text, "sha256:77");
        let order = read(|it| it.references = vec!["nginx".to_owned()]).unwrap();
        assert!(order.wants_source(&of("docker.io/library/nginx:1.27")));
        assert!(order.wants_source(&of("nginx")));
        assert!(!order.wants_source(&of("r.test/nginx")));
        assert!(!order.wants_source(&of("sha256:77")));
        let order = read(|it| it.references = vec!["nginx:1.27".to_owned()]).unwrap();
        assert!(order.wants_source(&of("nginx:1.27")) && !order.wants_source(&of("nginx")));
        assert!(Order::default().wants_source(&of("sha256:77")));
    }

    #[test]
    fn a_name_matches_as_a_whole() {
        let order = read(|it| it.containers = vec!["web".to_owned()]).unwrap();
        assert!(order.wants_name(&["web".to_owned()]) && !order.wants_name(&["web2".to_owned()]));
        assert!(Order::default().wants_name(&[]));
    }
}
