//! `LogService`: the logs of containers on many hosts as one stream.
//!
//! - `order`: the request, checked; pure.
//! - `host`: the logs of one host: which containers, what becomes of them, a host that is away.
//! - `outbox`: messages of one host to the caller.
//! - `reader`: one log, from the Engine to chunks.
//! - `position`: places in a log, and what was read before; pure.
//! - `chunks`: entries to whole lines; pure.
//! - `successor`: what to read after the end of a container's log; pure.

mod chunks;
mod host;
mod order;
mod outbox;
mod position;
mod reader;
mod successor;

use std::sync::Arc;

use tonic::{Request, Response, Status};
use wharf::v1;
use wharf::v1::log_service_server::LogService;

use self::host::HostLogs;
use self::order::Order;
use super::edge::{Edge, ResponseStream, checked};

/// The service.
#[derive(Debug, Clone)]
pub struct Logs(pub Arc<Edge>);

#[tonic::async_trait]
impl LogService for Logs {
    type StreamLogsStream = ResponseStream<v1::StreamLogsResponse>;

    async fn stream_logs(
        &self,
        request: Request<v1::StreamLogsRequest>,
    ) -> Result<Response<Self::StreamLogsStream>, Status> {
        let order = checked(&request, Order::read)?;
        let edge = &self.0;
        // The work watches itself for silence; a log may be long and its reader slow.
        let mut call = edge.accept(&request, None)?;
        if order.follow {
            call = call.all_at_once();
        }
        edge.run(call, order, |call, order| async move { HostLogs::new(call, order).read().await })
            .await
    }
}
