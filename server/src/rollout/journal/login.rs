//! The credentials that came with a rollout, as they are sealed.

use super::{NewSecret, SecretKind};
use crate::domain::{Credential, RegistryHost, RegistryLogin, Secret};

impl NewSecret {
    /// A login, for the rollout as a whole.
    #[must_use]
    pub fn login(login: &RegistryLogin) -> Self {
        let (password, token) = match login.credential() {
            Credential::Password(password) => (password.expose(), ""),
            Credential::IdentityToken(token) => ("", token.expose()),
        };
        let parts = [login.registry().as_str(), login.username(), password, token];
        let text = serde_json::json!(parts).to_string();
        Self { host: None, kind: SecretKind::Login, text }
    }
}

/// Reads what [`NewSecret::login`] writes.
#[must_use]
pub fn read_login(text: &str) -> Option<RegistryLogin> {
    let [registry, username, password, token]: [String; 4] = serde_json::from_str(text).ok()?;
    let registry = RegistryHost::parse(&registry).ok()?;
    RegistryLogin::new(registry, username, Secret::new(password), Secret::new(token)).ok()
}
