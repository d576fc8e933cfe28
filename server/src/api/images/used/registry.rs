//! Asks the registries what references name, through the hosts that use them.
//!
//! Each reference is asked for once, through one host. Another host is asked if that one cannot: because
//! its Engine asks no registry, or does not reach this one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout, timeout_at};

use super::compare::{Answer, Answers, Kind, Named};
use super::fleet::{FleetImages, Question};
use crate::api::edge::Edge;
use crate::api::problem::Problem;
use crate::api::table::{host_problem, store_problem};
use crate::domain::{HostName, ImageReference, Reason, RegistryHost, RegistryLogin};
use crate::engine::{Engine, EngineError, ErrorKind, RemoteImage};
use crate::fleet::HostError;

/// References to ask for at the same time.
const AT_ONCE: usize = 16;

/// Longest time for one answer of a registry.
const LIMIT: Duration = Duration::from_secs(20);

/// Hosts that do not reach a registry before it counts as away.
const MOST_FAILURES: usize = 2;

/// Asks for every reference, until the deadline.
pub async fn ask(edge: &Edge, fleet: &FleetImages, deadline: Option<Instant>) -> Answers {
    let asker = Asker { edge, fleet, state: Mutex::default() };
    let asker = &asker;
    stream::iter(fleet.questions())
        .map(|question| async move {
            let answer = match deadline {
                None => asker.answer(&question).await,
                Some(deadline) => match timeout_at(deadline, asker.answer(&question)).await {
                    Ok(answer) => answer,
                    Err(_) => failed(None, &late()),
                },
            };
            (question.reference.to_string(), answer)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

struct Asker<'a> {
    edge: &'a Edge,
    fleet: &'a FleetImages,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Hosts whose Engines ask no registry.
    unable: BTreeSet<HostName>,
    /// Registries that several hosts do not reach.
    away: BTreeMap<RegistryHost, Answer>,
}

impl Asker<'_> {
    async fn answer(&self, question: &Question) -> Answer {
        let registry = question.reference.registry();
        if let Some(answer) = self.state().away.get(&registry) {
            return answer.clone();
        }
        let login = match self.edge.store.login(&registry).await {
            Ok(login) => login,
            Err(error) => return failed(None, &store_problem(&error)),
        };
        let others = self.fleet.hosts.keys().filter(|host| !question.users.contains(host));
        let mut failures = 0;
        let mut last = failed(None, &nobody());
        for host in question.users.iter().chain(others) {
            if self.state().unable.contains(host) {
                continue;
            }
            let engine = match self.edge.engine(host) {
                Ok(engine) => engine,
                Err(problem) => {
                    last = failed(Some(host), &problem);
                    continue;
                }
            };
            match resolve(&*engine, &question.reference, login.as_ref()).await {
                Ok(found) => {
                    let named = self.named(&*engine, question, login.as_ref(), found).await;
                    return Answer { asked: Some(host.clone()), named: Ok(named) };
                }
                Err(error) if error.kind.is_unknown_to_engine() => {
                    self.state().unable.insert(host.clone());
                }
                Err(error) => {
                    let kind = error.kind;
                    let error = HostError::at_registry(&registry, error);
                    last = failed(Some(host), &host_problem(host, &error));
                    failures += usize::from(kind == ErrorKind::RegistryUnavailable);
                    if failures == MOST_FAILURES {
                        self.state().away.insert(registry, last.clone());
                        break;
                    }
                    if kind != ErrorKind::RegistryUnavailable && !kind.leaves_registry_unasked() {
                        break;
                    }
                }
            }
        }
        last
    }

    /// What the reference names, and what those digests are that hosts have instead.
    async fn named(
        &self,
        engine: &dyn Engine,
        question: &Question,
        login: Option<&RegistryLogin>,
        found: RemoteImage,
    ) -> Named {
        let digest = found.digest.to_string();
        let mut others = BTreeMap::new();
        for other in self.fleet.others(&question.reference, &digest) {
            let reference = format!("{}@{other}", question.reference.repository());
            let Ok(reference) = ImageReference::parse(&reference) else { continue };
            let kind = match resolve(engine, &reference, login).await {
                Ok(found) if found.is_index => Kind::Index,
                Ok(_) => Kind::Manifest,
                Err(error) if error.kind == ErrorKind::ImageNotFound => Kind::Gone,
                Err(error) => {
                    tracing::debug!(%error, %reference, "the registry does not say what this is");
                    continue;
                }
            };
            others.insert(other, kind);
        }
        Named { digest, is_index: found.is_index, others }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn resolve(
    engine: &dyn Engine,
    reference: &ImageReference,
    login: Option<&RegistryLogin>,
) -> Result<RemoteImage, EngineError> {
    match timeout(LIMIT, engine.resolve_image(reference, login)).await {
        Ok(answer) => answer,
        Err(_) => {
            let limit = LIMIT.as_secs();
            let message = format!("{} did not answer within {limit} s", reference.registry());
            let operation = "GET /distribution/{name}/json";
            Err(EngineError::new(ErrorKind::RegistryUnavailable, operation, message))
        }
    }
}

fn failed(host: Option<&HostName>, problem: &Problem) -> Answer {
    Answer { asked: host.cloned(), named: Err(problem.to_proto()) }
}

fn late() -> Problem {
    let message =
        "the deadline of the call expired before the registry answered; set a longer deadline";
    Problem::new(Reason::DeadlineExceeded, message)
}

fn nobody() -> Problem {
    let message = "no selected host can ask a registry, because Podman does not; also select a host \
                   with a Docker Engine";
    Problem::new(Reason::EngineUnsupported, message)
}
