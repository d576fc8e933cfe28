//! `BuildService`: builds of images from a context that the caller sends once.

use std::sync::Arc;

use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};
use wharf::v1;
use wharf::v1::build_image_response::Event;
use wharf::v1::build_service_server::BuildService;

use super::convert;
use super::edge::{Edge, ResponseStream, TRANSFER_LIMIT, checked};
use super::problem::Problem;
use super::table::store_problem;
use super::transfer::{self, with_progress};
use super::upload;
use super::views;
use crate::body::violation::Violations;
use crate::domain::{ImageReference, RegistryHost, RegistryLogin, quoted};
use crate::engine::{BuildSpec, Built, EngineError, Upload};
use crate::fleet::fanout::HostCall;
use crate::fleet::{Done, HostError};

/// Longest name of a stage, in bytes.
const LONGEST_TARGET: usize = 200;

/// Pieces of output that wait for the caller.
const WAITING_OUTPUT: usize = 4;

/// The service.
#[derive(Debug, Clone)]
pub struct Builds(pub Arc<Edge>);

/// A build as it is done on every host.
#[derive(Debug)]
struct Order {
    spec: BuildSpec,
    context: Upload,
}

#[tonic::async_trait]
impl BuildService for Builds {
    type BuildImageStream = ResponseStream<v1::BuildImageResponse>;

    async fn build_image(
        &self,
        request: Request<Streaming<v1::BuildImageRequest>>,
    ) -> Result<Response<Self::BuildImageStream>, Status> {
        let (request, content) = upload::open(request).await?;
        let (mut spec, registries) = checked(&request, |violations, message| {
            Some((spec(violations, message), registries(violations, &message.login_registries)))
        })?;
        // The Engine cancels a build whose caller is gone, and so does Wharf.
        let call = self.0.accept(&request, None)?.cancelled_with_caller(true);
        let call = call.background_limit(TRANSFER_LIMIT);
        add_stored_logins(&self.0, &mut spec.logins, registries).await?;
        let context = content.store(&self.0).await?;
        let order = Order { spec, context };
        self.0.run(call, order, |call, order| async move { build(&call, &order).await }).await
    }
}

/// Builds on one host.
async fn build(call: &HostCall<Event>, order: &Order) -> Result<Done, HostError> {
    let (sink, progress) = transfer::progress_channel();
    let built = with_progress(call, progress, Event::Progress, async {
        let (output, mut pieces) = mpsc::channel(WAITING_OUTPUT);
        let build = call.engine.build_image(&order.spec, &order.context, &output, &sink);
        tokio::pin!(build);
        let built = loop {
            tokio::select! {
                biased;
                Some(text) = pieces.recv() => emit(call, text).await,
                built = &mut build => break built,
            }
        };
        while let Ok(text) = pieces.try_recv() {
            emit(call, text).await;
        }
        built
    });
    let image = image(&order.spec, &built.await?)?;
    call.emit(Event::Image(image)).await;
    Ok(Done::CHANGED)
}

async fn emit(call: &HostCall<Event>, text: String) {
    call.emit(Event::Output(v1::BuildOutput { text })).await;
}

fn image(spec: &BuildSpec, built: &Built) -> Result<v1::BuiltImage, EngineError> {
    let tags = spec.tags.iter().map(ToString::to_string).collect();
    views::built_image(&built.image, tags)
}

fn spec(violations: &mut Violations, message: &v1::BuildImageRequest) -> BuildSpec {
    let tags = message.tags.iter().enumerate();
    let tags = tags.filter_map(|(index, tag)| reference(violations, index, tag)).collect();
    let credentials = message.credentials.iter().enumerate().filter_map(|(index, credentials)| {
        convert::login(violations, &format!("credentials[{index}]"), credentials, None)
    });
    let mut logins: Vec<RegistryLogin> = Vec::new();
    for login in credentials.collect::<Vec<_>>() {
        if logins.iter().any(|other| other.registry() == login.registry()) {
            let problem = format!("must name each registry once, not {} again", login.registry());
            violations.add("credentials", problem);
        }
        logins.push(login);
    }
    if message.target.len() > LONGEST_TARGET || message.target.contains(char::is_control) {
        let problem = format!("must be one line of at most {LONGEST_TARGET} bytes");
        violations.add("target", problem);
    }
    for (field, map) in [("build_args", &message.build_args), ("labels", &message.labels)] {
        if map.keys().any(|key| key.is_empty() || key.contains(['=', '\0'])) {
            violations.add(field, "must have keys that are not empty and have no `=`");
        }
    }
    let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    BuildSpec {
        tags,
        dockerfile: dockerfile(violations, &message.dockerfile),
        build_args: message.build_args.clone(),
        target: some(&message.target),
        platform: transfer::platform(violations, &message.platform),
        labels: message.labels.clone(),
        no_cache: message.no_cache,
        pull: message.pull,
        logins,
    }
}

fn reference(violations: &mut Violations, index: usize, text: &str) -> Option<ImageReference> {
    let field = format!("tags[{index}]");
    let reference = violations.check(&field, ImageReference::parse(text))?;
    if reference.digest().is_some() {
        violations.add(field, "must not have a digest; a digest follows from the content");
        return None;
    }
    Some(reference.with_default_tag())
}

/// The path of the Dockerfile, which must stay in the context.
fn dockerfile(violations: &mut Violations, text: &str) -> String {
    if text.is_empty() {
        return "Dockerfile".to_owned();
    }
    let stays = !text.starts_with('/') && !text.split('/').any(|part| part == "..");
    if !stays || text.contains(char::is_control) {
        let problem = format!(
            "must be a path in the context, such as docker/Dockerfile, not {}; a Dockerfile from \
             elsewhere can be added to the archive",
            quoted(text)
        );
        violations.add("dockerfile", problem);
    }
    text.to_owned()
}

fn registries(violations: &mut Violations, names: &[String]) -> Vec<RegistryHost> {
    let registry = |(index, name): (usize, &String)| {
        violations.check(&format!("login_registries[{index}]"), RegistryHost::parse(name))
    };
    names.iter().enumerate().filter_map(registry).collect()
}

/// Adds the logins that the server has for `registries`, unless the call has its own.
async fn add_stored_logins(
    edge: &Edge,
    logins: &mut Vec<RegistryLogin>,
    registries: Vec<RegistryHost>,
) -> Result<(), Problem> {
    for registry in registries {
        if logins.iter().any(|login| *login.registry() == registry) {
            continue;
        }
        let stored = edge.store.login(&registry).await;
        logins.extend(stored.map_err(|error| store_problem(&error))?);
    }
    Ok(())
}
