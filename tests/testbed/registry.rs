//! A real registry on a port of 127.0.0.1, for which Engines require no TLS.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::run::Run;
use crate::{LIMIT, eventually, sweep, tools};

/// A running registry, open to all or for one user only; images can be deleted from it. Dropping
/// it ends it and removes its data.
#[derive(Debug)]
pub struct Registry {
    directory: PathBuf,
    address: String,
    login: Option<(String, String)>,
    daemon: Mutex<Daemon>,
}

impl Registry {
    /// A registry that asks nobody for a password.
    pub async fn open() -> anyhow::Result<Registry> {
        Registry::start(None).await
    }

    /// A registry for one user.
    pub async fn with_password(user: &str, password: &str) -> anyhow::Result<Registry> {
        Registry::start(Some((user.to_owned(), password.to_owned()))).await
    }

    /// `127.0.0.1:PORT`: the first part of the references of its images, and the name that
    /// credentials for it go by.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The reference of an image in this registry: `127.0.0.1:PORT/app:v1` for `app:v1`.
    pub fn reference(&self, image: &str) -> String {
        format!("{}/{image}", self.address)
    }

    /// User and password, where it wants them.
    pub fn login(&self) -> Option<(&str, &str)> {
        self.login.as_ref().map(|(user, password)| (user.as_str(), password.as_str()))
    }

    /// `X-Registry-Auth` with the right user and password; none for an open registry.
    pub fn auth(&self) -> Option<String> {
        self.login().map(|(user, password)| registry_auth(&self.address, user, password))
    }

    /// The tags of a repository, sorted; empty where there is no such repository.
    pub async fn tags(&self, repository: &str) -> anyhow::Result<Vec<String>> {
        let (status, body) = self.get(&format!("/v2/{repository}/tags/list")).await?;
        match status {
            200 => {
                let mut tags: Vec<String> =
                    serde_json::from_value::<Option<_>>(body["tags"].clone())?.unwrap_or_default();
                tags.sort();
                Ok(tags)
            }
            404 => Ok(Vec::new()),
            _ => bail!("the tags of {repository}: {status}: {body}"),
        }
    }

    /// The digest, `sha256:…`, that a tag stands for now.
    pub async fn digest(&self, repository: &str, tag: &str) -> anyhow::Result<String> {
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.address);
        let accept = "application/vnd.docker.distribution.manifest.v2+json";
        let request = self.client()?.head(url).header("Accept", accept);
        let response = self.authorized(request).send().await?;
        ensure!(response.status().is_success(), "{repository}:{tag}: {}", response.status());
        digest_of(&response)
    }

    /// Makes `repository:tag` an index of several platforms, whose image is the same for all: the one
    /// that `of` stands for now. Returns the digest of the index and that of the image's manifest.
    pub async fn put_index(
        &self,
        repository: &str,
        of: &str,
        tag: &str,
    ) -> anyhow::Result<(String, String)> {
        let at = |tag: &str| format!("http://{}/v2/{repository}/manifests/{tag}", self.address);
        let accept = MANIFESTS.join(", ");
        let request = self.client()?.get(at(of)).header("Accept", accept);
        let found = self.authorized(request).send().await?.error_for_status()?;
        let media_type = found.headers().get("Content-Type").cloned();
        let media_type = media_type.context("a manifest without a type")?;
        let digest = digest_of(&found)?;
        let size = found.bytes().await?.len();
        let manifest = |architecture: &str| {
            json!({
                "mediaType": media_type.to_str().unwrap_or_default(), "digest": digest, "size": size,
                "platform": { "os": "linux", "architecture": architecture },
            })
        };
        let index = json!({
            "schemaVersion": 2, "mediaType": INDEX,
            "manifests": [manifest("amd64"), manifest("arm64")],
        });
        let request = self.client()?.put(at(tag)).header("Content-Type", INDEX);
        let request = request.body(index.to_string());
        let put = self.authorized(request).send().await?.error_for_status()?;
        Ok((digest_of(&put)?, digest))
    }

    /// One request with the registry's own login: its status, and its JSON or null.
    pub async fn get(&self, path: &str) -> anyhow::Result<(u16, Value)> {
        let request = self.client()?.get(format!("http://{}{path}", self.address));
        let response = self.authorized(request).send().await?;
        let status = response.status().as_u16();
        Ok((status, serde_json::from_slice(&response.bytes().await?).unwrap_or_default()))
    }

    /// What it logged since it was started last: a line a request.
    pub fn log(&self) -> String {
        let daemon = self.daemon();
        daemon.stdout() + &daemon.stderr()
    }

    /// Makes this the password of its user from now on; what [`Registry::login`] says is the old one.
    ///
    /// # Errors
    /// When it is open.
    pub fn change_password(&self, password: &str) -> anyhow::Result<()> {
        let (user, _) = self.login().context("the registry is open")?;
        // The registry reads the file again when its time has changed.
        let path = self.directory.join("htpasswd");
        let before = fs::metadata(&path)?.modified()?;
        fs::write(&path, htpasswd(user, password)?)?;
        let file = fs::File::options().write(true).open(&path)?;
        file.set_modified(before + Duration::from_secs(1))?;
        Ok(())
    }

    /// Stops it with SIGSTOP: connections are accepted, and nothing ever answers.
    pub fn freeze(&self) {
        self.daemon().freeze();
    }

    /// Lets a frozen registry go on.
    pub fn thaw(&self) {
        self.daemon().signal(Signal::CONT);
    }

    /// Ends it with SIGKILL; connections are refused from then on.
    pub fn kill(&self) {
        self.daemon().kill();
    }

    /// Starts it again, with the same data at the same address.
    pub async fn restart(&self) -> anyhow::Result<()> {
        {
            let mut daemon = self.daemon();
            daemon.kill();
            *daemon = spawn(&self.directory)?;
        }
        self.wait_until_ready().await
    }

    async fn start(login: Option<(String, String)>) -> anyhow::Result<Registry> {
        let directory = Run::current()?.new_directory("r")?;
        let address = format!("127.0.0.1:{}", tools::free_port()?);
        write_configuration(&directory, &address, login.as_ref())?;
        let daemon = Mutex::new(spawn(&directory)?);
        let registry = Registry { directory, address, login, daemon };
        registry.wait_until_ready().await?;
        Ok(registry)
    }

    async fn wait_until_ready(&self) -> anyhow::Result<()> {
        let mut ended = None;
        eventually("the registry", async || {
            ended = self.daemon().check_running().err();
            if ended.is_some() {
                return Ok(());
            }
            let (status, body) = self.get("/v2/").await?;
            ensure!(status == 200, "GET /v2/: {status}: {body}");
            Ok(())
        })
        .await?;
        ended.map_or(Ok(()), Err)
    }

    fn authorized(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match self.login() {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        }
    }

    fn client(&self) -> anyhow::Result<reqwest::Client> {
        tools::install_crypto();
        let client = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .timeout(LIMIT)
            .tls_certs_only([]);
        Ok(client.build()?)
    }

    fn daemon(&self) -> MutexGuard<'_, Daemon> {
        self.daemon.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.kill();
        // What this leaves, the reaper takes.
        let _ = sweep::clean(&self.directory);
    }
}

/// The value of `X-Registry-Auth`. Base64 in the alphabet for URLs and with padding: with any
/// other, an Engine continues as if there were no header at all.
pub fn registry_auth(address: &str, user: &str, password: &str) -> String {
    let login = json!({ "username": user, "password": password, "serveraddress": address });
    URL_SAFE.encode(login.to_string())
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// What an image can be in a registry. That of one platform, by Docker and by OCI.
const MANIFESTS: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
];

fn digest_of(response: &reqwest::Response) -> anyhow::Result<String> {
    let digest = response.headers().get("Docker-Content-Digest");
    Ok(digest.context("no digest in the answer")?.to_str()?.to_owned())
}

fn write_configuration(
    directory: &Path,
    address: &str,
    login: Option<&(String, String)>,
) -> anyhow::Result<()> {
    let mut configuration = json!({
        "version": "0.1",
        "log": { "level": "info" },
        "storage": {
            "filesystem": { "rootdirectory": directory.join("data") },
            "delete": { "enabled": true },
        },
        "http": { "addr": address, "secret": uuid::Uuid::new_v4().to_string() },
    });
    if let Some((user, password)) = login {
        let path = directory.join("htpasswd");
        fs::write(&path, htpasswd(user, password)?)?;
        configuration["auth"] = json!({ "htpasswd": { "realm": "wharf-testbed", "path": path } });
    }
    // Every JSON text is YAML.
    fs::write(directory.join("registry.yml"), configuration.to_string())?;
    Ok(())
}

/// A line of an htpasswd file. bcrypt is all that the registry takes.
fn htpasswd(user: &str, password: &str) -> anyhow::Result<String> {
    let mut child = Command::new(tools::system("htpasswd")?)
        .args(["-n", "-i", "-B", user])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting htpasswd")?;
    child.stdin.take().context("htpasswd has no input")?.write_all(password.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "htpasswd ended with {}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

fn spawn(directory: &Path) -> anyhow::Result<Daemon> {
    let mut command = Command::new(tools::system("docker-registry")?);
    command.arg("serve").arg(directory.join("registry.yml")).env_clear().current_dir(directory);
    Daemon::spawn("registry", directory, command)
}
