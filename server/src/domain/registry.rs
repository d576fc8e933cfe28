//! Registries and their logins. Called by the API, the store, and the Engine's `X-Registry-Auth`.

use super::address::TcpHost;
use super::secret::Secret;
use super::text::{quoted, text_value};

/// Longest part of a login, in bytes; tokens of cloud registries have some thousands.
const LONGEST_PART: usize = 32 * 1024;

/// A registry, as `host` or `host:port` in lowercase. Docker Hub, under any name, is `docker.io`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryHost(String);

/// The credentials that the server presents to a registry on behalf of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryLogin {
    registry: RegistryHost,
    username: String,
    credential: Credential,
}

/// The secret of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A password or access token, with a user name.
    Password(Secret),
    /// An identity token, as a registry returns at login; without a user name.
    IdentityToken(Secret),
}

/// Text that names no registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is not a registry: write its host with an optional port, such as registry.example.com:5000, or docker.io for Docker Hub",
    quoted(.0)
)]
pub struct InvalidRegistry(String);

/// Why a login cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLogin {
    /// Neither password nor token.
    #[error("the login has neither a password nor an identity token; set one of them")]
    NoCredential,
    /// Password and token together.
    #[error("the login has both a password and an identity token; set only one of them")]
    TwoCredentials,
    /// A password without a user name.
    #[error("the login has a password but no user name; set the user name")]
    NoUsername,
    /// A user name with control characters.
    #[error("the user name {} contains control characters; remove them", quoted(.0))]
    Username(String),
    /// More than fits in the header of an Engine.
    #[error("the login has a user name, password or token of more than {LONGEST_PART} bytes")]
    TooLong,
}

impl RegistryHost {
    /// Reads a registry as people and `docker login` write it: a scheme, a slash at the end,
    /// and `/v1/` or `/v2/` are left out.
    pub fn parse(text: &str) -> Result<Self, InvalidRegistry> {
        let invalid = || InvalidRegistry(text.to_owned());
        let lower = text.to_ascii_lowercase();
        let bare = ["https://", "http://"]
            .iter()
            .find_map(|scheme| lower.strip_prefix(scheme))
            .unwrap_or(&lower);
        let bare = bare.strip_suffix('/').unwrap_or(bare);
        let bare = ["/v1", "/v2"].iter().find_map(|path| bare.strip_suffix(path)).unwrap_or(bare);
        let after_brackets = bare.rfind(']').map_or(0, |end| end + 1);
        let (host, port) = match bare[after_brackets..].split_once(':') {
            None => (bare, None),
            Some((_, port)) => (&bare[..bare.len() - port.len() - 1], Some(port)),
        };
        let host = TcpHost::parse(host).ok_or_else(invalid)?.to_string();
        Ok(Self(match (host.as_str(), port) {
            ("docker.io" | "index.docker.io" | "registry-1.docker.io", None) => {
                "docker.io".to_owned()
            }
            (_, None) => host,
            (_, Some(port)) => format!("{host}:{}", parse_port(port).ok_or_else(invalid)?),
        }))
    }

    /// Whether this is Docker Hub.
    pub fn is_docker_hub(&self) -> bool {
        self.0 == "docker.io"
    }

    /// The `serveraddress` for the Engine: the registry itself, or for Docker Hub the address that
    /// Docker has always used.
    pub fn server_address(&self) -> &str {
        if self.is_docker_hub() { "https://index.docker.io/v1/" } else { &self.0 }
    }
}

text_value!(RegistryHost, InvalidRegistry);

impl RegistryLogin {
    /// Creates a login; exactly one of `password` and `identity_token` must be set, and a password
    /// requires a user name.
    pub fn new(
        registry: RegistryHost,
        username: impl Into<String>,
        password: Secret,
        identity_token: Secret,
    ) -> Result<Self, InvalidLogin> {
        let username = username.into();
        if [username.as_str(), password.expose(), identity_token.expose()]
            .iter()
            .any(|part| part.len() > LONGEST_PART)
        {
            return Err(InvalidLogin::TooLong);
        }
        if username.chars().any(char::is_control) {
            return Err(InvalidLogin::Username(username));
        }
        let credential = match (password.is_empty(), identity_token.is_empty()) {
            (true, true) => return Err(InvalidLogin::NoCredential),
            (false, false) => return Err(InvalidLogin::TwoCredentials),
            (false, true) if username.is_empty() => return Err(InvalidLogin::NoUsername),
            (false, true) => Credential::Password(password),
            (true, false) => Credential::IdentityToken(identity_token),
        };
        Ok(Self { registry, username, credential })
    }

    /// The same login with the identity token that the registry returned for it.
    #[must_use]
    pub fn with_identity_token(self, token: Secret) -> Self {
        Self { credential: Credential::IdentityToken(token), ..self }
    }

    /// The registry.
    pub fn registry(&self) -> &RegistryHost {
        &self.registry
    }

    /// The user name; may be empty with a token.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The secret.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }
}

/// A port as registries have it: digits only, not 0.
fn parse_port(digits: &str) -> Option<u16> {
    let port = digits.parse().ok()?;
    (port > 0 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn registries_are_canonical() {
        for (text, expected) in [
            ("registry.example.com", "registry.example.com"),
            ("Registry.Example.com:5000", "registry.example.com:5000"),
            ("https://registry.example.com/v2/", "registry.example.com"),
            ("http://127.0.0.1:5051/v1", "127.0.0.1:5051"),
            ("[::1]:5000", "[::1]:5000"),
            ("localhost", "localhost"),
            ("docker.io", "docker.io"),
            ("index.docker.io", "docker.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("registry-1.docker.io", "docker.io"),
        ] {
            assert_eq!(RegistryHost::parse(text).unwrap().as_str(), expected, "{text}");
        }
        for text in [
            "", "https://", "a/b", "user@a", "a:", "a:0", "a:x", "a:99999", "a b", "a?x", "a\n",
            "/v2/",
        ] {
            assert!(RegistryHost::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(
            RegistryHost::parse("docker.io").unwrap().server_address(),
            "https://index.docker.io/v1/"
        );
        assert_eq!(RegistryHost::parse("a:5000").unwrap().server_address(), "a:5000");
    }

    #[test]
    fn a_login_has_exactly_one_proof() {
        let login = |user: &str, password: &str, token: &str| {
            RegistryLogin::new(
                RegistryHost::parse("docker.io").unwrap(),
                user,
                Secret::new(password),
                Secret::new(token),
            )
        };
        assert_eq!(login("a", "", "").unwrap_err(), InvalidLogin::NoCredential);
        assert_eq!(login("a", "x", "y").unwrap_err(), InvalidLogin::TwoCredentials);
        assert_eq!(login("", "x", "").unwrap_err(), InvalidLogin::NoUsername);
        assert_eq!(login("a\n", "x", "").unwrap_err(), InvalidLogin::Username("a\n".into()));
        assert!(login("", "", "t").is_ok());
        let long = "x".repeat(LONGEST_PART + 1);
        for (user, password, token) in [(&*long, "x", ""), ("a", &long, ""), ("a", "", &long)] {
            assert_eq!(login(user, password, token).unwrap_err(), InvalidLogin::TooLong);
        }
        let shown = format!("{:?}", login("ann", "hunter2", "").unwrap());
        assert!(shown.contains("ann") && !shown.contains("hunter2"), "{shown}");
    }

    proptest! {
        #[test]
        fn display_reads_back(text in "\\PC*|(https?://)?[a-z0-9.:/\\[\\]_-]{0,20}") {
            if let Ok(registry) = RegistryHost::parse(&text) {
                prop_assert_eq!(RegistryHost::parse(registry.as_str()).unwrap(), registry);
            }
        }
    }
}
