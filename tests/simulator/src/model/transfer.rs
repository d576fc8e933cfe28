//! Pulls, pushes, and logins: a plan with the output lines of the Engine and their timing, created
//! when the call starts, and the effect on host or registry when it ends. If the caller disconnects
//! before that, nothing is done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use wharf_server::domain::ImageReference;
use wharf_server::engine::ErrorKind;

use super::Model;
use super::content::ImageContent;
use super::reference::{familiar, invalid_reference};
use super::refusal::Refusal;
use super::registry::{Access, Manifest, RegistryAuth, SimRegistry};
use super::time::Time;

/// A line of a progress stream, and how long it takes to come.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// After the line before it.
    pub after: Duration,
    /// The line.
    pub line: Value,
}

/// A pull that can begin.
#[derive(Debug, Clone)]
pub struct PullPlan {
    /// What the Engine prints.
    pub steps: Vec<Step>,
    reference: ImageReference,
    digest: String,
    content: Arc<ImageContent>,
}

/// A push that can begin.
#[derive(Debug, Clone)]
pub struct PushPlan {
    /// What the Engine prints; where the push fails, the last line says so.
    pub steps: Vec<Step>,
    /// Why it will fail, for callers in process.
    pub failure: Option<Refusal>,
    effect: Option<(String, String, String, Arc<ImageContent>)>,
}

impl Model {
    /// Begins `POST /images/create`: what fails here fails with a status of its own. The tag may
    /// be a digest; an empty one, which pulls every tag on a real Engine, is the caller's worst
    /// mistake and counts all of them.
    pub fn begin_pull(
        &self,
        from_image: &str,
        tag: &str,
        platform: Option<&str>,
        auth: Option<&RegistryAuth>,
    ) -> Result<Vec<PullPlan>, Refusal> {
        let invalid = |error| Refusal::bad_request(invalid_reference(&error));
        let named = ImageReference::parse(from_image).map_err(invalid)?;
        if named.path() == "library/scratch" {
            return Err(Refusal::new(403, ErrorKind::BadRequest, "'scratch' is a reserved name"));
        }
        let host = named.registry().to_string();
        let registry = self.registries.reach(&host)?;
        self.allowed(&registry, &host, auth, &|host| {
            format!("Head \"http://{host}/v2/{}/manifests/{tag}\": ", named.path())
        })?;
        if registry.rate_limited {
            let message = "toomanyrequests: You have reached your pull rate limit.";
            return Err(Refusal::new(429, ErrorKind::RegistryRateLimited, message));
        }
        let wanted: Vec<ImageReference> = if tag.starts_with("sha256:") {
            vec![ImageReference::parse(&format!("{}@{tag}", named.repository())).map_err(invalid)?]
        } else if tag.is_empty() && named.tag().is_none() && named.digest().is_none() {
            let repository = registry.repositories.get(named.path());
            let tags = repository.into_iter().flat_map(|repository| repository.tags.keys());
            tags.filter_map(|tag| named.with_tag(tag).ok()).collect()
        } else if tag.is_empty() {
            vec![named.clone()]
        } else {
            vec![named.with_tag(tag).map_err(invalid)?]
        };
        if wanted.is_empty() {
            return Err(not_found(&named.clone().with_default_tag()));
        }
        wanted.into_iter().map(|reference| self.plan_pull(&registry, reference, platform)).collect()
    }

    /// Ends a pull: the image is there and has its name.
    pub fn finish_pull(&mut self, now: Time, plan: &PullPlan) -> String {
        let id = self.images.add(&plan.content);
        self.images.name(&id, &plan.reference, now);
        let by_digest = format!("{}@{}", plan.reference.repository(), plan.digest);
        if let Ok(by_digest) = ImageReference::parse(&by_digest) {
            self.images.name(&id, &by_digest, now);
        }
        let name = plan.reference.to_string();
        self.emit("image", "pull", &name, &[("name", &name)]);
        id
    }

    /// Begins `POST /images/{name}/push` of one tag.
    pub fn begin_push(
        &self,
        name: &str,
        tag: &str,
        auth: Option<&RegistryAuth>,
    ) -> Result<PushPlan, Refusal> {
        let invalid = |error| Refusal::bad_request(invalid_reference(&error));
        let repository = ImageReference::parse(name).map_err(invalid)?;
        let reference = match tag {
            "" => repository.with_default_tag(),
            tag => repository.with_tag(tag).map_err(invalid)?,
        };
        let host = reference.registry().to_string();
        let shown = reference.repository();
        let say = |line: Value| Step { after: Duration::ZERO, line };
        let mut steps =
            vec![say(json!({"status": format!("The push refers to repository [{shown}]")}))];
        let held = self.images.holder(&familiar(&reference));
        let Some(image) = held.and_then(|id| self.images.get(id)) else {
            let any = self.images.all().into_iter().any(|image| {
                image.tags.iter().any(|tag| super::reference::repository_of(tag) == shown)
            });
            let message = if any {
                format!("tag does not exist: {}", familiar(&reference))
            } else {
                format!("An image does not exist locally with the tag: {shown}")
            };
            let refusal = Refusal::new(200, ErrorKind::ImageNotFound, message);
            return Ok(PushPlan::failing(steps, refusal));
        };
        let content = image.content.clone();
        let unpack = |result: Result<(), Refusal>| result.err();
        let registry = match self.registries.reach(&host) {
            Ok(registry) => registry,
            Err(refusal) => return Ok(PushPlan::failing(steps, refusal)),
        };
        for layer in content.layers.iter().rev() {
            steps.push(say(progress("Preparing", short(&layer.diff_id), None)));
        }
        if let Some(refusal) = unpack(self.allowed(&registry, &host, auth, &|_| String::new())) {
            return Ok(PushPlan::failing(steps, refusal));
        }
        let there = layers_of(&registry, reference.path());
        for layer in content.layers.iter().rev() {
            let id = short(&layer.diff_id);
            if there.contains(layer.diff_id.as_str()) {
                steps.push(say(progress("Layer already exists", id, None)));
            } else {
                let bytes = Some((layer.size, layer.size));
                steps.push(Step {
                    after: self.options.timing.layer,
                    line: progress("Pushing", id, bytes),
                });
                steps.push(say(progress("Pushed", id, None)));
            }
        }
        let tag = reference.tag().unwrap_or("latest").to_owned();
        let (digest, size) = (content.digest.clone(), 527);
        steps.push(say(json!({"status": format!("{tag}: digest: {digest} size: {size}")})));
        steps.push(say(
            json!({"progressDetail": {}, "aux": {"Tag": tag, "Digest": digest, "Size": size}}),
        ));
        let effect = Some((host, reference.path().to_owned(), tag, content));
        Ok(PushPlan { steps, failure: None, effect })
    }

    /// Ends a push: the registry has the image, and the host knows its digest.
    pub fn finish_push(&mut self, now: Time, plan: &PushPlan) {
        let Some((host, path, tag, content)) = &plan.effect else { return };
        let digest = self.registries.publish(host, path, tag, content);
        let id = self.images.add(content);
        let reference = ImageReference::parse(&format!("{host}/{path}@{digest}"));
        if let Ok(reference) = reference {
            self.images.name(&id, &reference, now);
        }
    }

    /// `POST /auth`: the answer.
    pub fn login(&self, auth: &RegistryAuth) -> Result<Value, Refusal> {
        let host = registry_host(&auth.server_address);
        let registry = self.registries.reach(&host)?;
        let unauthorized =
            |message: String| Err(Refusal::new(500, ErrorKind::LoginRefused, message));
        match registry.access(Some(auth)) {
            Access::Granted => Ok(json!({
                "IdentityToken": registry.identity_token.clone().unwrap_or_default(),
                "Status": "Login Succeeded",
            })),
            Access::Missing => {
                unauthorized(format!("Get \"http://{host}/v2/\": no basic auth credentials"))
            }
            Access::Wrong => unauthorized(format!(
                "login attempt to http://{host}/v2/ failed with status: 401 Unauthorized"
            )),
        }
    }

    fn plan_pull(
        &self,
        registry: &SimRegistry,
        reference: ImageReference,
        platform: Option<&str>,
    ) -> Result<PullPlan, Refusal> {
        let repository = registry.repositories.get(reference.path());
        let digest = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => Some(digest.to_string()),
            (None, tag) => repository
                .and_then(|repository| repository.tags.get(tag.unwrap_or("latest")).cloned()),
        };
        let found = digest.and_then(|digest| {
            let manifest = repository?.manifests.get(&digest)?.clone();
            Some((digest, manifest))
        });
        let (digest, manifest) = found.ok_or_else(|| not_found(&reference))?;
        let architecture = platform
            .filter(|platform| !platform.is_empty())
            .and_then(|platform| platform.split('/').nth(1))
            .unwrap_or(&self.options.architecture);
        let content = match &manifest {
            Manifest::Image(content) => content.clone(),
            Manifest::Index(members) => members.get(architecture).cloned().ok_or_else(|| {
                Refusal::new(
                    404,
                    ErrorKind::ImageNotFound,
                    format!(
                        "no matching manifest for linux/{architecture} in the manifest list entries"
                    ),
                )
            })?,
        };
        let steps = self.pull_steps(&reference, &digest, &content);
        Ok(PullPlan { steps, reference, digest, content })
    }

    fn pull_steps(
        &self,
        reference: &ImageReference,
        digest: &str,
        content: &ImageContent,
    ) -> Vec<Step> {
        let say = |line: Value| Step { after: Duration::ZERO, line };
        let slow = |line: Value| Step { after: self.options.timing.layer, line };
        let tag = reference
            .digest()
            .map_or(reference.tag().unwrap_or("latest"), |digest| digest.as_str());
        let mut steps =
            vec![say(json!({"status": format!("Pulling from {}", reference.path()), "id": tag}))];
        let images = self.images.all();
        let here = images.iter().any(|image| image.content.digest == content.digest);
        let layers: BTreeSet<&str> = images
            .iter()
            .flat_map(|image| &image.content.layers)
            .map(|layer| layer.blob.as_str())
            .collect();
        if !here {
            for layer in &content.layers {
                let id = short(&layer.blob);
                if layers.contains(layer.blob.as_str()) {
                    steps.push(say(progress("Already exists", id, None)));
                    continue;
                }
                let (half, whole) = ((layer.size / 2, layer.size), (layer.size, layer.size));
                steps.push(say(progress("Pulling fs layer", id, None)));
                steps.push(say(progress("Downloading", id, Some(half))));
                steps.push(slow(progress("Downloading", id, Some(whole))));
                steps.push(say(progress("Download complete", id, None)));
                steps.push(slow(progress("Extracting", id, Some(whole))));
                steps.push(say(progress("Pull complete", id, None)));
            }
        }
        steps.push(say(json!({"status": format!("Digest: {digest}")})));
        let outcome = if here { "Image is up to date for" } else { "Downloaded newer image for" };
        let outcome = format!("Status: {outcome} {}", familiar(reference));
        steps.push(say(json!({"status": outcome})));
        steps
    }

    /// Whether the registry lets these credentials in. The containerd store drops credentials
    /// that are meant for another registry, and says so only in its log.
    fn allowed(
        &self,
        registry: &SimRegistry,
        host: &str,
        auth: Option<&RegistryAuth>,
        missing: &dyn Fn(&str) -> String,
    ) -> Result<(), Refusal> {
        let meant = |auth: &&RegistryAuth| {
            !self.options.containerd_store
                || auth.server_address.is_empty()
                || registry_host(&auth.server_address) == host
        };
        let refuse =
            |message: String| Err(Refusal::new(500, ErrorKind::RegistryAuthRequired, message));
        match registry.access(auth.filter(meant)) {
            Access::Granted => Ok(()),
            Access::Missing => refuse(format!("{}no basic auth credentials", missing(host))),
            Access::Wrong => refuse("unauthorized: authentication required".to_owned()),
        }
    }
}

impl PullPlan {
    /// The digest that the registry gave.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// How long it takes.
    pub fn duration(&self) -> Duration {
        self.steps.iter().map(|step| step.after).sum()
    }
}

impl PushPlan {
    fn failing(mut steps: Vec<Step>, refusal: Refusal) -> Self {
        let message = refusal.message.clone();
        let line = json!({"errorDetail": {"message": message}, "error": message});
        steps.push(Step { after: Duration::ZERO, line });
        Self { steps, failure: Some(refusal), effect: None }
    }
}

fn not_found(reference: &ImageReference) -> Refusal {
    let message = format!(
        "manifest for {} not found: manifest unknown: manifest unknown",
        familiar(reference)
    );
    Refusal::new(404, ErrorKind::ImageNotFound, message)
}

/// The registry of a server address in any of the forms that the Engine takes.
fn registry_host(address: &str) -> String {
    wharf_server::domain::RegistryHost::parse(address)
        .map_or_else(|_| address.to_owned(), |host| host.to_string())
}

fn layers_of(registry: &SimRegistry, path: &str) -> BTreeSet<String> {
    let repository = registry.repositories.get(path);
    let manifests = repository.into_iter().flat_map(|repository| repository.manifests.values());
    let contents = manifests.flat_map(|manifest| match manifest {
        Manifest::Image(content) => vec![content.clone()],
        Manifest::Index(members) => members.values().cloned().collect(),
    });
    contents
        .flat_map(|content| {
            content.layers.iter().map(|layer| layer.diff_id.clone()).collect::<Vec<_>>()
        })
        .collect()
}

fn short(digest: &str) -> &str {
    &digest[7..19]
}

fn progress(status: &str, id: &str, bytes: Option<(u64, u64)>) -> Value {
    let mut line = json!({"status": status, "progressDetail": {}, "id": id});
    if let Some((current, total)) = bytes {
        line["progressDetail"] = json!({"current": current, "total": total});
        line["progress"] = json!(format!("[====>]  {current}B/{total}B"));
    }
    line
}
