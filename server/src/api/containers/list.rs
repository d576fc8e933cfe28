//! `ListContainers`: from the Engines, or from the views of hosts where these can answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tonic::Request;
use wharf::v1;
use wharf::v1::list_containers_response::Event;

use crate::api::answer::outcome_message;
use crate::api::container_form::ContainerForm;
use crate::api::convert;
use crate::api::edge::{Answered, Edge, checked};
use crate::api::time_limits::READ;
use crate::api::view_form::{content_batches, written_batches};
use crate::body::violation::Violations;
use crate::domain::{Host, HostName};
use crate::engine::ContainerListing;
use crate::fleet::fanout::HostCall;
use crate::fleet::view::View;
use crate::fleet::view::filter::Query;
use crate::fleet::view::host::{HostView, ViewNote};
use crate::fleet::view::state::Content;
use crate::fleet::{Done, HostError, HostOutcome};

/// What is listed, and where from.
struct Order {
    listing: ContainerListing,
    /// The same for views; `None` if they are not to answer, or cannot.
    query: Option<Query>,
    /// Whether the caller would be content with a view.
    is_view_wanted: bool,
    least_generation: BTreeMap<HostName, u64>,
    view: View,
}

/// Lists containers.
pub async fn list(
    edge: &Edge,
    request: &Request<v1::ListContainersRequest>,
) -> Answered<v1::ListContainersRequest> {
    let order =
        Arc::new(checked(request, |violations, message| Order::read(violations, message, edge))?);
    let call = edge.accept(request, Some(READ))?;
    let known = Arc::clone(&order);
    let work = |call, order: Arc<Arc<Order>>| async move { order.ask(&call).await };
    let closing = Box::pin(futures_util::stream::empty());
    edge.run_beside(call, order, work, |hosts| known.answered(hosts), closing).await
}

impl Order {
    fn read(
        violations: &mut Violations,
        message: &v1::ListContainersRequest,
        edge: &Edge,
    ) -> Option<Self> {
        let listing = ContainerListing {
            all: message.all,
            filters: convert::filters(violations, &message.filters),
            limit: message.limit,
            size: message.size,
            keep_json: message.include_engine_json,
        };
        let is_view_wanted = match v1::Consistency::try_from(message.consistency) {
            Ok(v1::Consistency::View) => true,
            Ok(v1::Consistency::Unspecified | v1::Consistency::Fresh) => false,
            Err(_) => {
                violations.add("consistency", "must be CONSISTENCY_FRESH or CONSISTENCY_VIEW");
                false
            }
        };
        let mut least_generation = BTreeMap::new();
        for (host, generation) in &message.min_generation {
            let name = violations.check("min_generation", HostName::parse(host));
            least_generation.extend(name.map(|name| (name, *generation)));
        }
        let query = is_view_wanted.then(|| Query::of(&listing)).flatten();
        let view = edge.view.clone();
        Some(Self { listing, query, is_view_wanted, least_generation, view })
    }

    /// The messages of the hosts whose views can answer, and the other hosts.
    fn answered(
        self: &Arc<Self>,
        hosts: Vec<Arc<Host>>,
    ) -> (impl Iterator<Item = v1::ListContainersResponse> + use<>, Vec<Arc<Host>>) {
        let (mut known, mut others) = (Vec::new(), Vec::new());
        for host in hosts {
            match self.known(&host) {
                Some((view, content)) => known.push((host, view, content)),
                None => others.push(host),
            }
        }
        let order = Arc::clone(self);
        // Made when they are read: a caller that reads slowly costs no memory.
        let messages = known
            .into_iter()
            .flat_map(move |(host, view, content)| order.messages(&host.name, &view, &content));
        (messages, others)
    }

    fn known(&self, host: &Arc<Host>) -> Option<(Arc<HostView>, Arc<Content>)> {
        if !self.is_view_wanted {
            return None;
        }
        let view = self.view.follow(host)?;
        self.query.as_ref().filter(|query| query.is_for_podman() || !view.is_podman())?;
        let least = self.least_generation.get(&host.name).copied().unwrap_or(0);
        let content = view.read(least)?;
        Some((view, content))
    }

    /// The messages of a host with a view that can answer.
    fn messages(
        &self,
        host: &HostName,
        view: &HostView,
        content: &Content,
    ) -> impl Iterator<Item = v1::ListContainersResponse> + use<> {
        let name = host.to_string();
        let message = |event| v1::ListContainersResponse { host: name.clone(), event: Some(event) };
        let query = self.query.clone().unwrap_or_default();
        let mut messages: Vec<_> = content_batches(content, &query, &self.view)
            .map(|batch| message(Event::Batch(batch)))
            .collect();
        let outcome = HostOutcome {
            result: Ok(Done::UNCHANGED),
            elapsed: Duration::ZERO,
            view: Some(view.note(content, false)),
        };
        messages.push(message(Event::Outcome(outcome_message(host, &outcome))));
        messages.into_iter()
    }

    /// Asks the Engine of a host.
    async fn ask(&self, call: &HostCall<Event>) -> Result<Done, HostError> {
        let followed = self.view.followed(call.host_name());
        if let (Some(query), Some(view)) = (&self.query, &followed)
            && (query.is_for_podman() || !view.is_podman())
            && view.is_of(&call.engine)
        {
            let content = view.list().await?;
            call.note(view.note(&content, true));
            for batch in content_batches(&content, query, &self.view) {
                call.emit(Event::Batch(batch)).await;
            }
            return Ok(Done::UNCHANGED);
        }
        let asked_at = SystemTime::now();
        let containers = call.engine.write_containers(&self.listing, &ContainerForm).await?;
        let note = ViewNote::unfollowed(asked_at);
        let sync = followed.map(|view| view.sync());
        call.note(ViewNote { sync, ..note });
        for batch in written_batches(containers) {
            call.emit(Event::Batch(batch)).await;
        }
        Ok(Done::UNCHANGED)
    }
}
