//! Registry credentials of this machine's user: `~/.docker/config.json` (or `$DOCKER_CONFIG`)
//! with its `credHelpers` and `credsStore`. Called by pull, push, build, create and run.
//!
//! Every problem is only a warning: the server may have a login, or none may be needed.
//! Secrets and the output of helpers are never printed.

use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use wharf::v1::RegistryCredentials;

use crate::printer::Printer;

/// The key under which docker stores the login of Docker Hub.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// The answer of credential helpers for an unknown registry.
const NOT_FOUND: &str = "credentials not found";

/// The credentials for the registry of an image, if there are any.
pub async fn for_image(printer: &Printer, reference: &str) -> Option<RegistryCredentials> {
    for_registry(printer, registry_of(reference)).await
}

/// The credentials for a registry, if there are any.
pub async fn for_registry(printer: &Printer, registry: &str) -> Option<RegistryCredentials> {
    let registry = registry.to_owned();
    let path = config_file()?;
    // A helper may prompt the user; Ctrl-C must still work.
    let looked_up = {
        let (registry, path) = (registry.clone(), path.clone());
        tokio::task::spawn_blocking(move || look_up(&path, &registry)).await
    };
    match looked_up.unwrap_or(Err("the look-up failed".to_owned())) {
        Ok(credentials) => credentials,
        Err(problem) => {
            printer.warning(&format!(
                "cannot read credentials for {registry} from {}: {problem}; continuing without credentials",
                path.display()
            ));
            None
        }
    }
}

fn config_file() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let directory = set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")))?;
    Some(directory.join("config.json"))
}

fn look_up(path: &std::path::Path, registry: &str) -> Result<Option<RegistryCredentials>, String> {
    use CredentialRetrievalError as Error;
    let file = match File::open(path) {
        Ok(file) => std::io::BufReader::new(file),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let key = if registry == "docker.io" { HUB_KEY } else { registry };
    let credentials = RegistryCredentials { registry: registry.to_owned(), ..Default::default() };
    match docker_credential::get_credential_from_reader(file, key) {
        Ok(DockerCredential::UsernamePassword(username, password)) => {
            Ok(Some(RegistryCredentials { username, password, ..credentials }))
        }
        Ok(DockerCredential::IdentityToken(identity_token)) => {
            Ok(Some(RegistryCredentials { identity_token, ..credentials }))
        }
        Err(Error::NoCredentialConfigured | Error::ConfigNotFound) => Ok(None),
        Err(Error::HelperFailure { stdout, stderr, .. })
            if stdout.contains(NOT_FOUND) || stderr.contains(NOT_FOUND) =>
        {
            Ok(None)
        }
        Err(Error::HelperFailure { helper, .. }) => Err(format!("{helper} failed")),
        Err(Error::HelperCommunicationError) => {
            Err("cannot start its credential helper; check that it is installed".to_owned())
        }
        Err(Error::MalformedHelperResponse) => {
            Err("the output of its credential helper is not JSON".to_owned())
        }
        Err(Error::CredentialDecodingError | Error::CredentialMismatchError) => {
            Err("the entry is damaged; to replace it, run docker login".to_owned())
        }
        Err(Error::ConfigReadError) => {
            Err("the file is not valid docker configuration JSON".to_owned())
        }
    }
}

/// The registry of a reference: its first part, if that looks like a host.
pub fn registry_of(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => match first {
            "index.docker.io" | "registry-1.docker.io" => "docker.io",
            other => other,
        },
        _ => "docker.io",
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_registry_is_the_part_that_looks_like_a_host() {
        for (reference, registry) in [
            ("busybox", "docker.io"),
            ("library/busybox:1", "docker.io"),
            ("docker.io/library/busybox", "docker.io"),
            ("index.docker.io/a", "docker.io"),
            ("localhost/a", "localhost"),
            ("127.0.0.1:5000/a/b:v1", "127.0.0.1:5000"),
            ("r.example.com/a@sha256:00", "r.example.com"),
        ] {
            assert_eq!(registry_of(reference), registry, "{reference}");
        }
    }

    #[test]
    fn entries_are_found_and_damage_is_told_without_secrets() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        assert_eq!(look_up(&path, "a.example"), Ok(None));
        fs::write(&path, r#"{"auths":{"a.example":{"auth":"dTpwOnc="},"https://index.docker.io/v1/":{"auth":"aHViOnA="},"bad.example":{"auth":"%%hunter2"}}}"#).unwrap();
        let found = look_up(&path, "a.example").unwrap().unwrap();
        assert_eq!((found.username.as_str(), found.password.as_str()), ("u", "p:w"));
        assert_eq!(look_up(&path, "docker.io").unwrap().unwrap().username, "hub");
        assert_eq!(look_up(&path, "other.example"), Ok(None));
        assert!(!look_up(&path, "bad.example").unwrap_err().contains("hunter2"));
        fs::write(&path, "{").unwrap();
        assert!(look_up(&path, "a.example").unwrap_err().contains("not valid docker"));
    }

    #[test]
    fn a_helper_that_is_not_installed_is_told_of() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        fs::write(&path, r#"{"credHelpers":{"a.example":"no-such-helper-here"}}"#).unwrap();
        assert!(look_up(&path, "a.example").unwrap_err().contains("installed"));
    }
}
