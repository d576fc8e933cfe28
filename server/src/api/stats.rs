//! `StatsService`: what the containers of many hosts use, one frame a second for each host.
//!
//! - `order`: the request, checked; pure.
//! - `host`: the containers of one host, which come and go; a host that is away.
//! - `readers`: one stream of samples for each running container, of which only the latest is kept.
//! - `frame`: samples to messages; pure.

mod frame;
mod host;
mod order;
mod readers;

use std::sync::Arc;
use std::time::Duration;

use tonic::{Request, Response, Status};
use wharf::v1;
use wharf::v1::stats_service_server::StatsService;

use self::host::StatsOfHost;
use self::order::Order;
use super::edge::{Edge, ResponseStream, checked};

/// Time limit for one frame of a host.
const ONCE: Duration = Duration::from_secs(30);

/// The service.
#[derive(Debug, Clone)]
pub struct Stats(pub Arc<Edge>);

#[tonic::async_trait]
impl StatsService for Stats {
    type StreamStatsStream = ResponseStream<v1::StreamStatsResponse>;

    async fn stream_stats(
        &self,
        request: Request<v1::StreamStatsRequest>,
    ) -> Result<Response<Self::StreamStatsStream>, Status> {
        let order = checked(&request, Order::read)?;
        let edge = &self.0;
        let mut call = edge.accept(&request, order.once.then_some(ONCE))?;
        if !order.once {
            call = call.all_at_once();
        }
        edge.run(
            call,
            order,
            |call, order| async move { StatsOfHost::new(call, order).run().await },
        )
        .await
    }
}
