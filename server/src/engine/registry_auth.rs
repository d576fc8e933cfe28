//! How a login is handed to an Engine: the header of pulls and pushes, that of builds, and the body
//! of `/auth`.
//!
//! The header must be base64url *with* padding; Engines silently treat anything else as no
//! credentials (measured on 20.10). Pure.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use http::HeaderValue;
use serde_json::json;

use crate::domain::{Credential, RegistryLogin};

/// The name of the header.
pub(super) const HEADER: &str = "X-Registry-Auth";

/// The name of the header of a build, which can have several logins.
pub(super) const CONFIGURATION_HEADER: &str = "X-Registry-Config";

/// The value of the header of a build: the logins by the addresses of their registries.
pub(super) fn configuration(logins: &[RegistryLogin]) -> HeaderValue {
    let by_address: Vec<String> = logins
        .iter()
        .map(|login| format!("{}:{}", json!(login.registry().server_address()), body(login)))
        .collect();
    encoded(&format!("{{{}}}", by_address.join(",")))
}

/// The value of the header; without a login an empty object, because a push without the
/// header is a 400 on Engines before 28.3.3.
pub(super) fn header(login: Option<&RegistryLogin>) -> HeaderValue {
    encoded(&login.map_or_else(|| "{}".to_owned(), body))
}

fn encoded(text: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(&URL_SAFE.encode(text))
        .expect("base64url has only visible ASCII characters");
    value.set_sensitive(true);
    value
}

/// The login as the Engine's `AuthConfig`. Its `serveraddress` is derived from the registry:
/// the containerd image store drops credentials whose address is not that of the image.
pub(super) fn body(login: &RegistryLogin) -> String {
    let server = login.registry().server_address();
    match login.credential() {
        Credential::Password(password) => json!({
            "username": login.username(),
            "password": password.expose(),
            "serveraddress": server,
        }),
        Credential::IdentityToken(token) => json!({
            "identitytoken": token.expose(),
            "serveraddress": server,
        }),
    }
    .to_string()
}

/// The text without the secret of the login, should an Engine or registry repeat it.
pub(super) fn redact(text: String, login: Option<&RegistryLogin>) -> String {
    // A password this short is a part of ordinary words.
    const SHORTEST: usize = 4;
    let Some(login) = login else { return text };
    let (Credential::Password(secret) | Credential::IdentityToken(secret)) = login.credential();
    if secret.expose().len() < SHORTEST || !text.contains(secret.expose()) {
        return text;
    }
    text.replace(secret.expose(), "[redacted]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{RegistryHost, Secret};

    fn login(registry: &str, password: &str, token: &str) -> RegistryLogin {
        let registry = RegistryHost::parse(registry).unwrap();
        RegistryLogin::new(registry, "ann", Secret::new(password), Secret::new(token)).unwrap()
    }

    #[test]
    fn the_header_is_padded_base64url() {
        assert_eq!(header(None), "e30=");
        // The lengths cover every padding, the bytes every digit of the alphabet.
        for password in ["a", "ab", "abc", "abcd", "\u{3fff}?~>>>???", "\u{fb}\u{ff}é"] {
            let value = header(Some(&login("r.io:5000", password, "")));
            assert!(value.is_sensitive());
            let text = value.to_str().unwrap();
            assert!(!text.contains(['+', '/']) && text.len().is_multiple_of(4), "{text}");
            let json: serde_json::Value =
                serde_json::from_slice(&URL_SAFE.decode(text).unwrap()).unwrap();
            assert_eq!(
                json,
                json!({"username": "ann", "password": password, "serveraddress": "r.io:5000"})
            );
        }
    }

    #[test]
    fn a_build_has_the_logins_by_registry() {
        let logins = [login("r.io:5000", "hunter2", ""), login("docker.io", "", "t0ken")];
        let value = configuration(&logins);
        assert!(value.is_sensitive());
        let decoded = URL_SAFE.decode(value.to_str().unwrap()).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&decoded).unwrap();
        let hub = "https://index.docker.io/v1/";
        assert_eq!(
            json,
            json!({
                "r.io:5000": {"username": "ann", "password": "hunter2", "serveraddress": "r.io:5000"},
                hub: {"identitytoken": "t0ken", "serveraddress": hub},
            })
        );
    }

    #[test]
    fn docker_hub_has_its_old_address_and_tokens_stand_alone() {
        let text = body(&login("docker.io", "", "t0ken"));
        assert_eq!(
            text,
            r#"{"identitytoken":"t0ken","serveraddress":"https://index.docker.io/v1/"}"#
        );
    }

    #[test]
    fn a_secret_that_is_repeated_is_taken_out() {
        let with = login("r.io", "hunter2", "");
        let text = "bad password hunter2".to_owned();
        assert_eq!(redact(text.clone(), Some(&with)), "bad password [redacted]");
        assert_eq!(redact(text.clone(), None), text);
        assert_eq!(redact("a b".to_owned(), Some(&login("r.io", "a", ""))), "a b");
    }
}
