//! `EventService`: what happens on many hosts as one stream.
//!
//! - `order`: the request, checked; pure.
//! - `filter`: which events match; pure.
//! - `place`: a place in the events of a host, and what was read before; pure.
//! - `queue`: what waits for the caller, bounded.
//! - `host`: the events of one host, also while it is away in between.

mod filter;
mod host;
mod order;
mod place;
mod queue;

use std::sync::Arc;

use tonic::{Request, Response, Status};
use wharf::v1;
use wharf::v1::event_service_server::EventService;

use self::host::HostEvents;
use self::order::Order;
use super::edge::{Edge, ResponseStream, checked};

/// The service.
#[derive(Debug, Clone)]
pub struct Events(pub Arc<Edge>);

#[tonic::async_trait]
impl EventService for Events {
    type StreamEventsStream = ResponseStream<v1::StreamEventsResponse>;

    async fn stream_events(
        &self,
        request: Request<v1::StreamEventsRequest>,
    ) -> Result<Response<Self::StreamEventsStream>, Status> {
        let order = checked(&request, Order::read)?;
        let edge = &self.0;
        let mut call = edge.accept(&request, None)?;
        if request.get_ref().fanout.is_none_or(|fanout| fanout.max_parallel == 0) {
            call = call.all_at_once();
        }
        edge.run(
            call,
            order,
            |call, order| async move { HostEvents::new(call, order).read().await },
        )
        .await
    }
}
