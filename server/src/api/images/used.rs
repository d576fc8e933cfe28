//! `ListUsedImages`: which image runs where.
//!
//! - `order`: the request, checked; pure.
//! - `host`: asks one host. `facts`: what it says; pure.
//! - `fleet`: the images of all hosts together, and what is to be asked of registries; pure.
//! - `registry`: asks the registries, once for each reference.
//! - `compare`: the image of a container and what its registry has; pure.
//! - `summary`: what there is to say about all hosts; pure.

mod compare;
mod facts;
mod fleet;
mod host;
mod order;
mod registry;
mod summary;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt, stream};
use tonic::Request;
use wharf::v1;

use self::facts::HostFacts;
use self::fleet::FleetImages;
use self::order::Order;
use crate::api::edge::{Answered, Edge, checked};
use crate::api::time_limits::SURVEY;
use crate::domain::HostName;
use crate::fleet::Done;
use crate::fleet::fanout::HostCall;

type Found = Mutex<BTreeMap<HostName, HostFacts>>;

/// Asks every host, and then says what they have in common and what not.
pub async fn list(
    edge: &Arc<Edge>,
    request: &Request<v1::ListUsedImagesRequest>,
) -> Answered<v1::ListUsedImagesRequest> {
    let order = checked(request, Order::read)?;
    let mut call = edge.accept(request, Some(SURVEY))?;
    let deadline = if order.check_registry { call.halve_time() } else { None };
    let found = Arc::new(Found::default());
    let closing = {
        let (edge, found, check) = (Arc::clone(edge), Arc::clone(&found), order.check_registry);
        let events = async move {
            let hosts = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
            let snapshot = edge.inventory.snapshot();
            let is_cordoned = |host: &&HostName| snapshot.cordon_of(host).is_some();
            let cordoned = hosts.keys().filter(is_cordoned).cloned().collect();
            let fleet = FleetImages::new(hosts, cordoned);
            let answers = match check {
                true => Some(registry::ask(&edge, &fleet, deadline).await),
                false => None,
            };
            stream::iter(summary::events(&fleet, answers.as_ref()))
        };
        stream::once(events).flatten().boxed()
    };
    let work = move |call: HostCall<_>, order: Arc<Order>| {
        let found = Arc::clone(&found);
        async move {
            let facts = host::gather(&*call.engine, &order).await?;
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.insert(call.host_name().clone(), facts);
            Ok(Done::UNCHANGED)
        }
    };
    edge.run_then(call, order, work, closing).await
}
