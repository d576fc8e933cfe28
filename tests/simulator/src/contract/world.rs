//! Shared by the cases: names, images, containers, and polling for conditions.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use wharf_server::domain::{
    ContainerName, ContainerRef, ImageName, ImageReference, RegistryHost, RegistryLogin, Secret,
};
use wharf_server::engine::{
    ApiVersion, Engine, EngineError, ErrorKind, ProgressSink, Result, Transfer,
};

use super::Fixture;

/// How long something may take to become so. Real Engines are slow when many tests run.
const DEADLINE: Duration = Duration::from_secs(30);

/// A fixture, seen by one case.
pub(super) struct World<'a> {
    pub fixture: &'a Fixture,
    pub engine: &'a dyn Engine,
    case: String,
}

impl<'a> World<'a> {
    pub fn new(fixture: &'a Fixture, case: &str) -> Self {
        Self { fixture, engine: &*fixture.engine, case: case.replace('_', "-") }
    }

    /// A name that only this case of this run uses.
    pub fn name(&self, what: &str) -> String {
        format!("{}-{}-{what}", self.fixture.prefix, self.case)
    }

    /// Imports an image of this case, and gives its reference.
    pub async fn image(&self) -> String {
        let reference = format!("{}:v1", self.name("image"));
        (self.fixture.import)(reference.clone(), self.name("v1")).await;
        reference
    }

    /// A body for a container of an image, without network.
    pub fn body(image: &str, more: &Value) -> Value {
        let mut body = json!({"Image": image, "HostConfig": {"NetworkMode": "none"}});
        for (key, value) in more.as_object().into_iter().flatten() {
            match (key.as_str(), value) {
                ("HostConfig", Value::Object(members)) => {
                    for (key, value) in members {
                        body["HostConfig"][key] = value.clone();
                    }
                }
                _ => body[key] = value.clone(),
            }
        }
        body
    }

    /// Creates a container and gives a reference by its ID.
    pub async fn create(&self, what: &str, image: &str, more: Value) -> ContainerRef {
        let created = self.try_create(what, &Self::body(image, &more)).await;
        reference(&created.expect("the container is created"))
    }

    pub async fn try_create(&self, what: &str, body: &Value) -> Result<String> {
        let name = container_name(&self.name(what));
        self.engine.create_container(Some(&name), None, body).await.map(|created| created.id)
    }

    /// Creates and starts a container.
    pub async fn run(&self, what: &str, image: &str, more: Value) -> ContainerRef {
        let container = self.create(what, image, more).await;
        self.start(&container).await;
        container
    }

    /// Starts a container, and waits until its process can be asked to stop.
    pub async fn start(&self, container: &ContainerRef) {
        self.engine.start_container(container).await.expect("it starts");
        let pid = self.state(container).await["Pid"].as_u64().expect("a PID");
        (self.fixture.ready)(pid).await;
    }

    /// Removes containers, whatever they are at.
    pub async fn clean(&self, containers: &[&ContainerRef]) {
        for container in containers {
            match self.engine.remove_container(container, true, true).await {
                Ok(()) => {}
                Err(error) => assert_eq!(error.kind, ErrorKind::ContainerNotFound, "{error}"),
            }
        }
    }

    /// Removes the image of this case under each of its names.
    pub async fn clean_images(&self, references: &[&str]) {
        for reference in references {
            match self.engine.remove_image(&image_name(reference), true, false).await {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind, ErrorKind::ImageNotFound, "{error}"),
            }
        }
    }

    /// The inspection of a container.
    pub async fn inspect(&self, container: &ContainerRef) -> Value {
        let document = self.engine.inspect_container(container, false).await;
        document.expect("it can be inspected").parse().expect("an inspection is JSON")
    }

    /// The `State` of a container.
    pub async fn state(&self, container: &ContainerRef) -> Value {
        self.inspect(container).await["State"].take()
    }

    /// Waits until the inspection of a container is as it should be, and gives it.
    pub async fn until(
        &self,
        container: &ContainerRef,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> Value {
        let begun = Instant::now();
        loop {
            let seen = self.inspect(container).await;
            if is_so(&seen) {
                return seen;
            }
            assert!(
                begun.elapsed() < DEADLINE,
                "not {what} after {DEADLINE:?}: {} {}",
                seen["State"],
                seen["RestartCount"]
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until there is no such container.
    pub async fn until_gone(&self, container: &ContainerRef) {
        let begun = Instant::now();
        loop {
            match self.engine.inspect_container(container, false).await {
                Err(error) if error.kind == ErrorKind::ContainerNotFound => return,
                Err(error) => panic!("{error}"),
                Ok(_) => assert!(begun.elapsed() < DEADLINE, "not gone after {DEADLINE:?}"),
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The API version that is spoken with the Engine.
    pub async fn api_version(&self) -> ApiVersion {
        self.engine.ping().await.expect("it answers").api_version
    }

    /// A login for the locked registry.
    pub fn login(&self, password: &str) -> RegistryLogin {
        login(&self.fixture.locked_registry, &self.fixture.user, password)
    }
}

pub(super) fn login(registry: &str, user: &str, password: &str) -> RegistryLogin {
    let registry = RegistryHost::parse(registry).expect("the registry of a fixture");
    RegistryLogin::new(registry, user, Secret::new(password), Secret::new("")).expect("a login")
}

pub(super) fn container_name(text: &str) -> ContainerName {
    ContainerName::parse(text).expect("a name of a case")
}

pub(super) fn reference(text: &str) -> ContainerRef {
    ContainerRef::parse(text).expect("an ID or name of a case")
}

pub(super) fn image_name(text: &str) -> ImageName {
    ImageName::parse(text).expect("an image of a case")
}

pub(super) fn image_reference(text: &str) -> ImageReference {
    ImageReference::parse(text).expect("an image of a case")
}

/// A place for the progress of a transfer.
pub(super) fn progress() -> ProgressSink {
    ProgressSink::new(Transfer::default())
}

/// The kind of a failure that must be there.
#[track_caller]
pub(super) fn kind<T>(result: Result<T>) -> ErrorKind {
    failure(result).kind
}

/// A failure that must be there.
#[track_caller]
pub(super) fn failure<T>(result: Result<T>) -> EngineError {
    match result {
        Ok(_) => panic!("it should have failed"),
        Err(error) => error,
    }
}
