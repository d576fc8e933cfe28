//! `SystemService`: information about the server and the Engines.

use std::sync::Arc;
use std::time::Duration;

use tonic::{Request, Response, Status};
use wharf::v1;
use wharf::v1::system_service_server::SystemService;

use super::auth::Principal;
use super::convert;
use super::edge::{Edge, ResponseStream};
use super::system_views;
use super::time_limits::READ;
use crate::engine::{CLIENT_MAX, CLIENT_MIN};
use crate::fleet::Done;

/// An Engine walks its layers for disk usage.
const DISK_USAGE: Duration = Duration::from_secs(60);

/// The service.
#[derive(Debug, Clone)]
pub struct System(pub Arc<Edge>);

#[tonic::async_trait]
impl SystemService for System {
    type GetEngineVersionStream = ResponseStream<v1::GetEngineVersionResponse>;
    type GetEngineInfoStream = ResponseStream<v1::GetEngineInfoResponse>;
    type GetDiskUsageStream = ResponseStream<v1::GetDiskUsageResponse>;

    async fn get_server_info(
        &self,
        request: Request<v1::GetServerInfoRequest>,
    ) -> Result<Response<v1::GetServerInfoResponse>, Status> {
        let caller = Principal::of(&request);
        let hosts = self.0.inventory.snapshot().hosts().count();
        Ok(Response::new(v1::GetServerInfoResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: Some(convert::system_time(self.0.started_at)),
            hosts: u32::try_from(hosts).unwrap_or(u32::MAX),
            max_engine_api_version: CLIENT_MAX.to_string(),
            min_engine_api_version: CLIENT_MIN.to_string(),
            default_max_parallel: u32::try_from(self.0.default_max_parallel).unwrap_or(u32::MAX),
            caller: caller.to_string(),
            caller_role: convert::role(caller.role).into(),
        }))
    }

    async fn get_engine_version(
        &self,
        request: Request<v1::GetEngineVersionRequest>,
    ) -> Result<Response<Self::GetEngineVersionStream>, Status> {
        use v1::get_engine_version_response::Event;
        let edge = &self.0;
        edge.each_host(&request, Some(READ), (), |call, _| async move {
            let version = system_views::engine_version(call.engine.version().await?)?;
            call.emit(Event::Version(version)).await;
            Ok(Done::UNCHANGED)
        })
        .await
    }

    async fn get_engine_info(
        &self,
        request: Request<v1::GetEngineInfoRequest>,
    ) -> Result<Response<Self::GetEngineInfoStream>, Status> {
        use v1::get_engine_info_response::Event;
        let edge = &self.0;
        edge.each_host(&request, Some(READ), (), |call, _| async move {
            let info = system_views::engine_info(call.engine.info().await?)?;
            call.emit(Event::Info(info)).await;
            Ok(Done::UNCHANGED)
        })
        .await
    }

    async fn get_disk_usage(
        &self,
        request: Request<v1::GetDiskUsageRequest>,
    ) -> Result<Response<Self::GetDiskUsageStream>, Status> {
        use v1::get_disk_usage_response::Event;
        let edge = &self.0;
        edge.each_host(&request, Some(DISK_USAGE), (), |call, _| async move {
            let usage = system_views::disk_usage(call.engine.disk_usage().await?)?;
            call.emit(Event::Usage(usage)).await;
            Ok(Done::UNCHANGED)
        })
        .await
    }
}
