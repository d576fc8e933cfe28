//! `RegistryService`: credentials, checked by Engines and stored in the server; tags, as registries have them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tonic::{Request, Response, Status};
use wharf::v1;
use wharf::v1::registry_service_server::RegistryService;

use super::audit::Subject;
use super::convert;
use super::edge::{Edge, ResponseStream};
use super::problem::Finish;
use super::problem::Problem;
use super::table::{host_problem, registry_problem, store_problem};
use crate::body::violation::Violations;
use crate::domain::{Host, HostName, ImageReference, Reason, RegistryHost, RegistryLogin};
use crate::engine::{EngineError, ErrorKind, LoginAnswer};
use crate::fleet::{Done, HostError};
use crate::registry;

/// An Engine waits for the registry, which may be far away.
const CHECK: Duration = Duration::from_secs(60);

/// Tags to return unless the request says otherwise.
const TAGS: i32 = 1000;

/// The service.
#[derive(Debug, Clone)]
pub struct Registries(pub Arc<Edge>);

#[tonic::async_trait]
impl RegistryService for Registries {
    type CheckLoginStream = ResponseStream<v1::CheckLoginResponse>;

    async fn login(
        &self,
        request: Request<v1::LoginRequest>,
    ) -> Result<Response<v1::LoginResponse>, Status> {
        let subject = Subject::of(&request);
        let login = given_login(request.get_ref().credentials.as_ref())?;
        subject.say(format_args!("registry={}", login.registry()));
        let (service, on) = (self.clone(), request.get_ref().host.clone());
        let work = move |_| async move {
            let (host, answer) = service.check_somewhere(&login, &on).await?;
            let login = match answer.identity_token {
                Some(token) => login.with_identity_token(token),
                None => login,
            };
            let now = SystemTime::now();
            let kept = service.0.store.put_login(&login, now).await;
            kept.map_err(|error| store_problem(&error))?;
            Ok(v1::LoginResponse {
                login: Some(v1::RegistryLogin {
                    registry: login.registry().to_string(),
                    username: login.username().to_owned(),
                    updated_at: Some(convert::system_time(now)),
                }),
                host: host.to_string(),
            })
        };
        self.0.once(&request, work).await
    }

    async fn logout(
        &self,
        request: Request<v1::LogoutRequest>,
    ) -> Result<Response<v1::LogoutResponse>, Status> {
        let registry = RegistryHost::parse(&request.get_ref().registry)
            .map_err(|error| Problem::invalid_field("registry", error))?;
        Subject::of(&request).say(format_args!("registry={registry}"));
        let store = self.0.store.clone();
        let work = move |again: bool| async move {
            let removed = store.remove_login(&registry).await;
            if !removed.map_err(|error| store_problem(&error))? && !again {
                return Err(not_kept(&registry));
            }
            Ok(v1::LogoutResponse {})
        };
        self.0.once(&request, work).await
    }

    async fn list_logins(
        &self,
        _request: Request<v1::ListLoginsRequest>,
    ) -> Result<Response<v1::ListLoginsResponse>, Status> {
        let kept = self.0.store.logins().await.map_err(|error| store_problem(&error))?;
        let login =
            |(registry, username, updated): (RegistryHost, String, SystemTime)| v1::RegistryLogin {
                registry: registry.to_string(),
                username,
                updated_at: Some(convert::system_time(updated)),
            };
        Ok(Response::new(v1::ListLoginsResponse { logins: kept.into_iter().map(login).collect() }))
    }

    async fn check_login(
        &self,
        request: Request<v1::CheckLoginRequest>,
    ) -> Result<Response<Self::CheckLoginStream>, Status> {
        use v1::check_login_response::Event;
        let login = self.given_or_kept(request.get_ref().credentials.as_ref()).await?;
        let edge = &self.0;
        edge.each_host(&request, Some(CHECK), login, |call, login| async move {
            let checked = call.engine.check_login(&login).await;
            let LoginAnswer { status, .. } =
                checked.map_err(|error| HostError::at_registry(login.registry(), error))?;
            call.emit(Event::Check(v1::LoginCheck { status })).await;
            Ok(Done::UNCHANGED)
        })
        .await
    }

    async fn list_tags(
        &self,
        request: Request<v1::ListTagsRequest>,
    ) -> Result<Response<v1::ListTagsResponse>, Status> {
        let v1::ListTagsRequest { repository, limit } = request.get_ref();
        let image = repository_only(repository)?;
        let limit = match limit {
            0 => TAGS,
            given => *given,
        };
        let most = usize::try_from(limit).ok().filter(|most| *most <= registry::MOST_TAGS);
        let most = most.ok_or_else(|| {
            Problem::invalid_field("limit", format!("must be from 0 to {}", registry::MOST_TAGS))
        })?;
        Subject::of(&request).say(format_args!("registry={}", image.registry()));
        let kept = self.0.store.login(&image.registry()).await;
        let login = kept.map_err(|error| store_problem(&error))?;
        let found = registry::tags(&image, login.as_ref()).await;
        let registry::Tags { mut names, more } =
            found.map_err(|error| registry_problem(&image, &error))?;
        let total = i32::try_from(names.len()).unwrap_or(i32::MAX);
        names.truncate(most);
        Ok(Response::new(v1::ListTagsResponse { tags: names, total, truncated: more }))
    }
}

impl Registries {
    /// Checks credentials on the host of that name, or on the first in order of name that
    /// answers.
    async fn check_somewhere(
        &self,
        login: &RegistryLogin,
        name: &str,
    ) -> Result<(HostName, LoginAnswer), Problem> {
        let snapshot = self.0.inventory.snapshot();
        if !name.is_empty() {
            let name =
                HostName::parse(name).map_err(|error| Problem::invalid_field("host", error))?;
            let names = vec![name.to_string()];
            let selection = v1::host_selector::Selection::Hosts(v1::HostNames { names });
            let selector = v1::HostSelector { selection: Some(selection), exclude: Vec::new() };
            let host = self.0.select(Some(&selector))?.swap_remove(0);
            let answer = self.check_on(&host, login).await;
            return answer
                .map(|answer| (name, answer))
                .map_err(|error| host_problem(&host.name, &error));
        }
        let mut last = None;
        for host in snapshot.hosts() {
            match self.check_on(host, login).await {
                Ok(answer) => return Ok((host.name.clone(), answer)),
                Err(error) if answers(&error) => return Err(host_problem(&host.name, &error)),
                Err(error) => last = Some(host_problem(&host.name, &error)),
            }
        }
        Err(last.unwrap_or_else(|| {
            Problem::new(Reason::NoHosts,
                "checking the credentials requires a host, but there are none; to add one, run `wharf host add`",
            )
        }))
    }

    async fn check_on(
        &self,
        host: &Arc<Host>,
        login: &RegistryLogin,
    ) -> Result<LoginAnswer, HostError> {
        let engine = self.0.pool.engine(host)?;
        match tokio::time::timeout(CHECK, engine.check_login(login)).await {
            Ok(answer) => answer.map_err(|error| HostError::at_registry(login.registry(), error)),
            Err(_) => Err(HostError::Timeout { budget: CHECK, goes_on: false }),
        }
    }

    async fn given_or_kept(
        &self,
        credentials: Option<&v1::RegistryCredentials>,
    ) -> Result<RegistryLogin, Problem> {
        if let Some(credentials) = credentials
            && credentials.username.is_empty()
            && credentials.password.is_empty()
            && credentials.identity_token.is_empty()
        {
            let registry = RegistryHost::parse(&credentials.registry)
                .map_err(|error| Problem::invalid_field("credentials.registry", error))?;
            let kept = self.0.store.login(&registry).await;
            return kept.map_err(|error| store_problem(&error))?.ok_or_else(|| not_kept(&registry));
        }
        given_login(credentials)
    }
}

/// Whether the error is about the credentials, rather than only about the host.
fn answers(error: &HostError) -> bool {
    match error {
        HostError::Registry { .. } => true,
        HostError::Engine(EngineError { kind, .. }) => {
            matches!(kind, ErrorKind::RegistryRateLimited | ErrorKind::BadRequest)
        }
        _ => false,
    }
}

fn given_login(credentials: Option<&v1::RegistryCredentials>) -> Result<RegistryLogin, Problem> {
    let credentials =
        credentials.ok_or_else(|| Problem::invalid_field("credentials", "must be given"))?;
    let mut violations = Violations::default();
    let login = convert::login(&mut violations, "credentials", credentials, None);
    violations.finish()?;
    login.ok_or_else(|| Problem::invalid_field("credentials", "must be given"))
}

/// A repository as people write it; a tag would be one that nobody looks at.
fn repository_only(text: &str) -> Result<ImageReference, Problem> {
    let image =
        ImageReference::parse(text).map_err(|error| Problem::invalid_field("repository", error))?;
    if image.tag().is_some() || image.digest().is_some() {
        let without = image.repository();
        let problem = format!("has a tag or a digest; write only the repository: {without}");
        return Err(Problem::invalid_field("repository", problem));
    }
    Ok(image)
}

fn not_kept(registry: &RegistryHost) -> Problem {
    let message =
        format!("no stored credentials for {registry}; to list them, run `wharf registry ls`");
    Problem::new(Reason::LoginNotFound, message)
}
