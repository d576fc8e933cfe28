//! Reads from the journal: one rollout, pages of rollouts, and finding a rollout by ID.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use prost::Message;
use uuid::Uuid;
use wharf::v1;

use super::order;
use super::trouble::{journal_problem, not_found};
use super::view::View;
use crate::api::problem::{Finish, Problem};
use crate::api::size::{FRAME, FULL};
use crate::body::violation::Violations;
use crate::domain::{Annotations, ContainerName, HostName, LabelSelector, quoted};
use crate::rollout::journal::{Journal, Summary};
use crate::rollout::model::{Millis, RolloutId};

/// Default number of rollouts per page.
const DEFAULT_PAGE: usize = 100;

/// Maximum number of rollouts per page.
const MOST_PAGE: usize = 1000;

/// Prefix of page tokens, to refuse those of another kind.
const TOKEN_PREFIX: &str = "rollouts-after:";

/// The same of tokens for the hosts of a rollout.
const HOSTS_PREFIX: &str = "rollout-hosts-after:";

/// Minimum number of digits of a short ID: those in the names of containers.
const SHORTEST_ID: usize = 8;

/// Ended rollouts cached for lists; they never change again.
const MOST_REMEMBERED: usize = 512;

/// Reads rollouts from their journal.
#[derive(Clone)]
pub struct Reads {
    /// The journal.
    pub journal: Arc<dyn Journal>,
    ended: Arc<Mutex<HashMap<RolloutId, Arc<Line>>>>,
}

/// A rollout in a list, with the data for filters.
struct Line {
    rollout: v1::Rollout,
    hosts: BTreeSet<HostName>,
    annotations: Annotations,
}

/// The filters of a list.
struct Filters {
    states: Vec<v1::RolloutState>,
    container: Option<ContainerName>,
    host: Option<HostName>,
    annotations: Option<LabelSelector>,
}

impl Reads {
    /// Reads from `journal`.
    pub fn new(journal: Arc<dyn Journal>) -> Self {
        Self { journal, ended: Arc::default() }
    }

    /// Finds the rollout for the `id` of a request.
    pub async fn resolve(&self, text: &str) -> Result<RolloutId, Problem> {
        let digits: String = text.chars().filter(|letter| *letter != '-').collect();
        let is_id = (SHORTEST_ID..=32).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_id {
            let text = quoted(text);
            let problem = format!("{text} is not an ID; write at least its first 8 digits");
            return Err(Problem::invalid_field("id", problem));
        }
        if let Ok(id) = Uuid::try_parse(&digits) {
            return Ok(RolloutId(id));
        }
        let digits = digits.to_ascii_lowercase();
        let all = self.journal.list().await.map_err(|error| journal_problem(&error))?;
        let mut found = all
            .iter()
            .map(|summary| summary.id)
            .filter(|id| id.0.simple().to_string().starts_with(&digits));
        match (found.next(), found.next()) {
            (None, _) => Err(not_found(text)),
            (Some(id), None) => Ok(id),
            (Some(one), Some(other)) => {
                let problem = format!("{text} matches both {one} and {other}; write more digits");
                Err(Problem::invalid_field("id", problem))
            }
        }
    }

    /// The current state of a rollout.
    pub async fn view(&self, id: RolloutId) -> Result<View, Problem> {
        self.find(id).await?.ok_or_else(|| not_found(&id.to_string()))
    }

    /// The current state of a rollout; `None` if there is none.
    pub async fn find(&self, id: RolloutId) -> Result<Option<View>, Problem> {
        let entries = self.journal.records(id).await.map_err(|error| journal_problem(&error))?;
        Ok(View::of(&entries))
    }

    /// The current state of a rollout, with as many hosts as fit in a message, and the token for
    /// the others.
    pub async fn first_page(&self, id: RolloutId) -> Result<(v1::Rollout, String), Problem> {
        self.page(id, "").await
    }

    /// The hosts of a rollout from those of a token on.
    pub async fn page(&self, id: RolloutId, token: &str) -> Result<(v1::Rollout, String), Problem> {
        let from = read_host_token(id, token)?;
        let (rollout, next) = self.view(id).await?.page(from);
        Ok((rollout, next.map(|next| write_host_token(id, next)).unwrap_or_default()))
    }

    /// One page, newest first.
    pub async fn list(
        &self,
        request: &v1::ListRolloutsRequest,
    ) -> Result<v1::ListRolloutsResponse, Problem> {
        let filters = Filters::read(request)?;
        let after = read_token(&request.page_token)?;
        let size = match request.page_size as usize {
            0 => DEFAULT_PAGE,
            size => size.min(MOST_PAGE),
        };
        let mut all = self.journal.list().await.map_err(|error| journal_problem(&error))?;
        all.sort_by_key(|summary| std::cmp::Reverse((summary.created_at, summary.id)));
        let mut rollouts = Vec::new();
        let (mut last, mut bytes) = (None, 0);
        for summary in all {
            let place = (summary.created_at, summary.id);
            if after.is_some_and(|after| place >= after) || !filters.may_match(&summary) {
                continue;
            }
            let Some(line) = self.line(&summary).await? else { continue };
            if !filters.match_line(&line) {
                continue;
            }
            bytes += line.rollout.encoded_len() + FRAME;
            if rollouts.len() == size || (bytes > FULL && !rollouts.is_empty()) {
                let next_page_token = last.map(write_token).unwrap_or_default();
                return Ok(v1::ListRolloutsResponse { rollouts, next_page_token });
            }
            rollouts.push(line.rollout.clone());
            last = Some(place);
        }
        Ok(v1::ListRolloutsResponse { rollouts, next_page_token: String::new() })
    }

    async fn line(&self, summary: &Summary) -> Result<Option<Arc<Line>>, Problem> {
        let remembered = || self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = remembered().get(&summary.id) {
            return Ok(Some(Arc::clone(line)));
        }
        let Some(view) = self.find(summary.id).await? else { return Ok(None) };
        let line = Arc::new(Line {
            rollout: view.summary(),
            hosts: view.hosts().collect(),
            annotations: view.annotations().clone(),
        });
        if view.has_ended() {
            let mut ended = remembered();
            if ended.len() >= MOST_REMEMBERED {
                ended.clear();
            }
            ended.insert(summary.id, Arc::clone(&line));
        }
        Ok(Some(line))
    }
}

impl Filters {
    fn read(request: &v1::ListRolloutsRequest) -> Result<Self, Problem> {
        let mut violations = Violations::default();
        let mut states = Vec::new();
        for (index, state) in request.states.iter().enumerate() {
            match v1::RolloutState::try_from(*state) {
                Ok(state) if state != v1::RolloutState::Unspecified => states.push(state),
                _ => violations.add(format!("states[{index}]"), "must be a rollout state"),
            }
        }
        let container = match request.container.as_str() {
            "" => None,
            name => violations.check("container", ContainerName::parse(name)),
        };
        let host = match request.host.as_str() {
            "" => None,
            name => violations.check("host", HostName::parse(name)),
        };
        let annotations = order::annotation_filter(&mut violations, &request.annotations);
        violations.finish()?;
        Ok(Self { states, container, host, annotations })
    }

    /// Filters that do not need the records.
    fn may_match(&self, summary: &Summary) -> bool {
        let is_over = |state: &v1::RolloutState| *state >= v1::RolloutState::Succeeded;
        let over = summary.ended_at.is_some();
        self.container.as_ref().is_none_or(|container| *container == summary.container)
            && (self.states.is_empty() || self.states.iter().any(|state| is_over(state) == over))
    }

    fn match_line(&self, line: &Line) -> bool {
        (self.states.is_empty() || self.states.contains(&line.rollout.state()))
            && self.host.as_ref().is_none_or(|host| line.hosts.contains(host))
            && self.annotations.as_ref().is_none_or(|it| line.annotations.match_selector(it))
    }
}

impl fmt::Debug for Reads {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reads").finish_non_exhaustive()
    }
}

fn write_host_token(id: RolloutId, place: usize) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{HOSTS_PREFIX}{id}:{place}"))
}

/// The place of the first host of a page.
fn read_host_token(id: RolloutId, token: &str) -> Result<usize, Problem> {
    if token.is_empty() {
        return Ok(0);
    }
    let place = BASE64_URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| text.strip_prefix(&format!("{HOSTS_PREFIX}{id}:"))?.parse().ok());
    place.filter(|place| *place > 0).ok_or_else(|| {
        let message = "must be the `next_page_token` of a response about this rollout, or empty";
        Problem::invalid_field("page_token", message)
    })
}

fn write_token((at, id): (Millis, RolloutId)) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{TOKEN_PREFIX}{}:{id}", at.0))
}

fn read_token(token: &str) -> Result<Option<(Millis, RolloutId)>, Problem> {
    if token.is_empty() {
        return Ok(None);
    }
    let place = BASE64_URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| {
            let (at, id) = text.strip_prefix(TOKEN_PREFIX)?.split_once(':')?;
            Some((Millis(at.parse().ok()?), RolloutId(Uuid::try_parse(id).ok()?)))
        });
    let invalid = || {
        let message = "must be the `next_page_token` of a response of this server, or empty";
        Problem::invalid_field("page_token", message)
    };
    place.map(Some).ok_or_else(invalid)
}
