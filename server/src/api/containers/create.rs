//! Creates a container: pulls if requested, creates, starts if requested.

use std::time::Duration;

use serde_json::Value;
use tonic::Request;
use wharf::v1;
use wharf::v1::create_container_response::Event;

use super::views;
use crate::api::edge::{Edge, FanoutCall, TRANSFER_LIMIT, checked};
use crate::api::problem::Problem;
use crate::api::transfer::{self, PullOrder};
use crate::body::create::container_body;
use crate::domain::{ContainerName, ContainerRef, ImageName};
use crate::engine::{Created, EngineError, ErrorKind};
use crate::fleet::fanout::HostCall;
use crate::fleet::{Done, HostError};

/// For a creation without a pull.
const CREATE: Duration = Duration::from_secs(120);

/// What the call does on every host.
#[derive(Debug)]
pub struct CreateOrder {
    name: Option<ContainerName>,
    platform: Option<String>,
    body: Value,
    start: bool,
    pull: v1::PullPolicy,
    /// How to pull; `None` for an image by ID, which a registry cannot provide.
    order: Option<PullOrder>,
}

/// Checks a request and chooses its hosts.
pub async fn accept(
    edge: &Edge,
    request: &Request<v1::CreateContainerRequest>,
) -> Result<(FanoutCall<v1::CreateContainerRequest>, CreateOrder), Problem> {
    let message = request.get_ref();
    let (name, platform, pull, body, image) = checked(request, |violations, message| {
        let name = match message.name.as_str() {
            "" => None,
            name => violations.check("name", ContainerName::parse(name)),
        };
        let platform = transfer::platform(violations, &message.platform);
        let pull = v1::PullPolicy::try_from(message.pull);
        let pull = violations.check("pull", pull.map_err(|_| "must be a PullPolicy"));
        let body = violations.take(container_body(message.spec.as_ref(), message.engine.as_ref()));
        let image = body.as_ref().and_then(|body| {
            let image = body.get("Image").and_then(Value::as_str).unwrap_or_default();
            violations.check("spec.image", ImageName::parse(image))
        });
        Some((name, platform, pull?, body?, image?))
    })?;
    let pulls = matches!(pull, v1::PullPolicy::Missing | v1::PullPolicy::Always);
    let mut order = None;
    if let Some(reference) = image.reference() {
        let reference = reference.clone().with_default_tag();
        let login = transfer::login_for(edge, &reference, message.credentials.as_ref()).await?;
        order = Some(PullOrder { reference, platform: platform.clone(), login });
    }
    let timeout = (!pulls).then_some(CREATE);
    let call = edge.accept(request, timeout)?;
    let call = if pulls { call.background_limit(TRANSFER_LIMIT) } else { call };
    let order = CreateOrder { name, platform, body, start: message.start, pull, order };
    Ok((call, order))
}

impl CreateOrder {
    /// Does it on one host.
    pub async fn create(&self, call: &HostCall<Event>) -> Result<Done, HostError> {
        if self.pull == v1::PullPolicy::Always {
            self.pull(call).await?;
        }
        let created = match self.attempt(call).await {
            Err(error)
                if error.kind == ErrorKind::ImageNotFound
                    && self.pull == v1::PullPolicy::Missing =>
            {
                self.pull(call).await?;
                self.attempt(call).await?
            }
            created => created?,
        };
        let started = if self.start { Some(self.start(call, &created).await) } else { None };
        call.emit(Event::Container(v1::CreatedContainer {
            name: self.name_of(call, &created).await,
            started: matches!(started, Some(Ok(()))),
            created: true,
            id: created.id,
            warnings: created.warnings,
        }))
        .await;
        started.transpose().map_err(HostError::Partly)?;
        Ok(Done::CHANGED)
    }

    async fn attempt(&self, call: &HostCall<Event>) -> Result<Created, EngineError> {
        let platform = self.platform.as_deref();
        call.engine.create_container(self.name.as_ref(), platform, &self.body).await
    }

    async fn pull(&self, call: &HostCall<Event>) -> Result<(), HostError> {
        let Some(order) = &self.order else {
            return Ok(());
        };
        order.pull(call, Event::Progress).await.map(drop)
    }

    async fn start(&self, call: &HostCall<Event>, created: &Created) -> Result<(), EngineError> {
        let reference = reference_of(created)?;
        call.engine.start_container(&reference).await.map(drop).map_err(|mut error| {
            let id = created.id.get(..12).unwrap_or(&created.id);
            error.message =
                format!("created as {id}, which stays, and not started: {}", error.message);
            error
        })
    }

    /// The name; queried if the Engine generated it. Not worth a failure.
    async fn name_of(&self, call: &HostCall<Event>, created: &Created) -> String {
        if let Some(name) = &self.name {
            return name.to_string();
        }
        let Ok(reference) = reference_of(created) else { return String::new() };
        let Ok(document) = call.engine.inspect_container(&reference, false).await else {
            return String::new();
        };
        views::container_details(&reference, document).map(|it| it.name).unwrap_or_default()
    }
}

fn reference_of(created: &Created) -> Result<ContainerRef, EngineError> {
    ContainerRef::parse(&created.id).map_err(|error| {
        EngineError::new(ErrorKind::BadAnswer, "POST /containers/create", error.to_string())
    })
}
