use super::super::facts::Source;
use super::*;

/// What a host says, in short names: an image `x` has the ID [`digest`] of `x`.
#[derive(Debug, Clone)]
pub struct Host {
    name: &'static str,
    facts: HostFacts,
}

/// The digest, or the ID, of this name.
pub fn digest(name: &str) -> String {
    let digits: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{}", digits.repeat(64 / digits.len()))
}

impl Host {
    pub fn new(name: &'static str) -> Self {
        Self { name, facts: HostFacts::default() }
    }

    /// An image with `digests`, each `REPOSITORY@NAME`, that `tags` name.
    pub fn image(mut self, id: &str, digests: &[&str], tags: &[&str]) -> Self {
        let known = digests.iter().map(|text| {
            let (repository, name) = text.split_once('@').unwrap();
            RepoDigest { digest: digest(name), repository: repository.to_owned() }
        });
        self.facts.digests.insert(digest(id), known.collect());
        self.facts.tags.extend(tags.iter().map(|tag| ((*tag).to_owned(), digest(id))));
        self
    }

    pub fn runs(mut self, name: &str, source: &str, image: &str) -> Self {
        self.facts.containers.push(Container {
            id: format!("{}-{name}", self.name),
            name: name.to_owned(),
            state: "running".to_owned(),
            image_id: digest(image),
            source: Source::of(source, &digest(image)),
        });
        self
    }
}

/// The host `c` is cordoned.
pub fn fleet(hosts: &[Host]) -> FleetImages {
    let name = |text: &str| HostName::parse(text).unwrap();
    let hosts = hosts.iter().map(|host| (name(host.name), host.facts.clone())).collect();
    FleetImages::new(hosts, [name("c")].into())
}

/// The reference of most containers.
pub const APP: &str = "r.test/app:v1";

/// A host that pulled [`APP`] and runs it as `web`.
pub fn pulled(name: &'static str, id: &str, known: &str) -> Host {
    Host::new(name).image(id, &[known], &[APP]).runs("web", APP, id)
}

#[test]
fn a_registry_is_asked_once_for_each_reference_that_came_from_it() {
    let hosts = [
        pulled("a", "x", "r.test/app@1").runs("web2", APP, "x").runs("db", "db:1", "q"),
        pulled("b", "y", "r.test/app@2").runs("local", "localhost/app:v1", "x"),
        // Built there, under a name that others pulled.
        Host::new("c").image("z", &[], &[APP]).runs("web", APP, "z"),
        Host::new("d").image("x", &["r.test/app@1"], &[]).runs("web", &digest("x"), "x"),
    ];
    let fleet = fleet(&hosts);
    let questions = fleet.questions();
    let users: Vec<_> = questions[0].users.iter().map(HostName::as_str).collect();
    assert_eq!(
        (questions.len(), &*questions[0].reference.to_string(), &*users),
        (1, APP, &["a", "b", "c"][..])
    );
    let others = fleet.others(&questions[0].reference, &digest("2"));
    assert_eq!(others, [digest("1")].into());
    assert_eq!(
        fleet.others(&questions[0].reference, &digest("3")),
        [digest("1"), digest("2")].into()
    );
}
