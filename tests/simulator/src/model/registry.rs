//! Registries that the models of one simulation share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wharf_server::engine::ErrorKind;

use super::content::{ImageContent, digest};
use super::refusal::Refusal;

/// All registries that the hosts of a simulation can reach. Clones are the same registries.
#[derive(Debug, Clone, Default)]
pub struct Registries(Arc<Mutex<BTreeMap<String, SimRegistry>>>);

/// A registry: repositories, and who may use them.
#[derive(Debug, Clone, Default)]
pub struct SimRegistry {
    /// User to password. Empty: anyone may push and pull.
    pub users: BTreeMap<String, String>,
    /// By path, such as `team/app`.
    pub repositories: BTreeMap<String, Repository>,
    /// Connections to it are refused.
    pub down: bool,
    /// Pulls are answered with 429.
    pub rate_limited: bool,
    /// The token it hands out at login instead of having the password kept.
    pub identity_token: Option<String>,
}

/// A repository of a registry.
#[derive(Debug, Clone, Default)]
pub struct Repository {
    /// Tag to digest.
    pub tags: BTreeMap<String, String>,
    /// Digest to what it stands for.
    pub manifests: BTreeMap<String, Manifest>,
}

/// What a digest of a registry stands for.
#[derive(Debug, Clone)]
pub enum Manifest {
    /// One image.
    Image(Arc<ImageContent>),
    /// An image for each architecture.
    Index(BTreeMap<String, Arc<ImageContent>>),
}

/// What a client presents to a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryAuth {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
    /// Token of an earlier login.
    pub identity_token: String,
    /// The registry it is meant for.
    pub server_address: String,
}

/// What the registry makes of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Granted,
    /// None were presented where some are needed.
    Missing,
    Wrong,
}

impl Registries {
    /// Adds a registry, or replaces the one of that name (`host[:port]`).
    pub fn add(&self, name: &str, registry: SimRegistry) {
        self.lock().insert(name.to_owned(), registry);
    }

    /// Changes or looks at a registry. Panics where there is none of that name.
    pub fn with<R>(&self, name: &str, change: impl FnOnce(&mut SimRegistry) -> R) -> R {
        let mut registries = self.lock();
        change(registries.get_mut(name).unwrap_or_else(|| panic!("no registry {name}")))
    }

    /// Puts an image into a registry and gives its digest.
    pub fn publish(
        &self,
        name: &str,
        path: &str,
        tag: &str,
        content: &Arc<ImageContent>,
    ) -> String {
        self.with(name, |registry| registry.publish(path, tag, content))
    }

    /// The registry, if it can be reached.
    pub(crate) fn reach(&self, name: &str) -> Result<SimRegistry, Refusal> {
        let unavailable =
            |message: String| Refusal::new(500, ErrorKind::RegistryUnavailable, message);
        match self.lock().get(name) {
            None => Err(unavailable(format!(
                "Get \"https://{name}/v2/\": dial tcp: lookup {name}: no such host"
            ))),
            Some(registry) if registry.down => Err(unavailable(format!(
                "Get \"http://{name}/v2/\": dial tcp {name}: connect: connection refused"
            ))),
            Some(registry) => Ok(registry.clone()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, SimRegistry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimRegistry {
    /// A registry that anyone may use.
    pub fn open() -> Self {
        Self::default()
    }

    /// A registry that wants a password.
    pub fn with_user(username: &str, password: &str) -> Self {
        let users = [(username.to_owned(), password.to_owned())].into();
        Self { users, ..Self::default() }
    }

    /// Puts an image under a tag and gives its digest.
    pub fn publish(&mut self, path: &str, tag: &str, content: &Arc<ImageContent>) -> String {
        let manifest = Manifest::Image(content.clone());
        self.put(path, tag, content.digest.clone(), manifest)
    }

    /// Puts images for several architectures under one tag and gives the digest of the index.
    pub fn publish_index(
        &mut self,
        path: &str,
        tag: &str,
        contents: &[Arc<ImageContent>],
    ) -> String {
        let members: Vec<&str> = contents.iter().map(|content| content.digest.as_str()).collect();
        let digest = digest(&format!("index {}", members.join(" ")));
        let by_architecture =
            contents.iter().map(|content| (content.architecture.clone(), content.clone()));
        self.put(path, tag, digest, Manifest::Index(by_architecture.collect()))
    }

    pub(crate) fn access(&self, auth: Option<&RegistryAuth>) -> Access {
        if self.users.is_empty() {
            return Access::Granted;
        }
        match auth {
            None => Access::Missing,
            Some(auth) if !auth.identity_token.is_empty() => {
                match self.identity_token.as_deref() == Some(auth.identity_token.as_str()) {
                    true => Access::Granted,
                    false => Access::Wrong,
                }
            }
            Some(auth) if auth.username.is_empty() => Access::Missing,
            Some(auth) if self.users.get(&auth.username) == Some(&auth.password) => Access::Granted,
            Some(_) => Access::Wrong,
        }
    }

    fn put(&mut self, path: &str, tag: &str, digest: String, manifest: Manifest) -> String {
        let repository = self.repositories.entry(path.to_owned()).or_default();
        repository.manifests.insert(digest.clone(), manifest);
        repository.tags.insert(tag.to_owned(), digest.clone());
        digest
    }
}
