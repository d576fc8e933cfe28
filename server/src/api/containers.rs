//! `ContainerService`: containers on many hosts. The methods are here; creation, which needs
//! several Engine calls, is in `create`, and actions on named containers are in `actions`.

mod actions;
mod create;
mod list;

use std::sync::Arc;

use tonic::{Request, Response, Status};
use wharf::contract::FanoutRequest;
use wharf::fanout::ItemEvent;
use wharf::v1;
use wharf::v1::container_service_server::ContainerService;

use self::actions::{Action, resolve};
use super::convert;
use super::edge::{Answered, Edge, EventOf, ResponseStream, checked};
use super::items::ItemDone;
use super::time_limits::{CHANGE, READ, SLOW};
use super::{size, views, watch};
use crate::body::update::update_body;
use crate::body::violation::Violations;
use crate::domain::{ContainerName, ContainerRef};
use crate::engine::{Change, WaitCondition};
use crate::fleet::Done;

/// The service.
#[derive(Debug, Clone)]
pub struct Containers(pub Arc<Edge>);

#[tonic::async_trait]
impl ContainerService for Containers {
    type ListContainersStream = ResponseStream<v1::ListContainersResponse>;
    type WatchContainersStream = ResponseStream<v1::WatchContainersResponse>;
    type CreateContainerStream = ResponseStream<v1::CreateContainerResponse>;
    type StartContainersStream = ResponseStream<v1::StartContainersResponse>;
    type StopContainersStream = ResponseStream<v1::StopContainersResponse>;
    type RestartContainersStream = ResponseStream<v1::RestartContainersResponse>;
    type KillContainersStream = ResponseStream<v1::KillContainersResponse>;
    type PauseContainersStream = ResponseStream<v1::PauseContainersResponse>;
    type UnpauseContainersStream = ResponseStream<v1::UnpauseContainersResponse>;
    type RenameContainerStream = ResponseStream<v1::RenameContainerResponse>;
    type UpdateContainersStream = ResponseStream<v1::UpdateContainersResponse>;
    type WaitContainersStream = ResponseStream<v1::WaitContainersResponse>;
    type InspectContainersStream = ResponseStream<v1::InspectContainersResponse>;
    type ListProcessesStream = ResponseStream<v1::ListProcessesResponse>;
    type GetContainerChangesStream = ResponseStream<v1::GetContainerChangesResponse>;
    type RemoveContainersStream = ResponseStream<v1::RemoveContainersResponse>;
    type PruneContainersStream = ResponseStream<v1::PruneContainersResponse>;

    async fn list_containers(
        &self,
        request: Request<v1::ListContainersRequest>,
    ) -> Result<Response<Self::ListContainersStream>, Status> {
        list::list(&self.0, &request).await
    }

    async fn watch_containers(
        &self,
        request: Request<v1::WatchContainersRequest>,
    ) -> Result<Response<Self::WatchContainersStream>, Status> {
        let order = checked(&request, watch::containers::Order::read)?;
        watch::require_views(&self.0)?;
        let stream = watch::containers::stream(Arc::clone(&self.0), order)?;
        Ok(Response::new(Box::pin(stream)))
    }

    async fn create_container(
        &self,
        request: Request<v1::CreateContainerRequest>,
    ) -> Result<Response<Self::CreateContainerStream>, Status> {
        let (call, order) = create::accept(&self.0, &request).await?;
        self.0.run(call, order, |call, order| async move { order.create(&call).await }).await
    }

    async fn start_containers(
        &self,
        request: Request<v1::StartContainersRequest>,
    ) -> Result<Response<Self::StartContainersStream>, Status> {
        self.act(&request, &request.get_ref().containers, |_| Action::Start).await
    }

    async fn stop_containers(
        &self,
        request: Request<v1::StopContainersRequest>,
    ) -> Result<Response<Self::StopContainersStream>, Status> {
        let message = request.get_ref();
        self.act(&request, &message.containers, |violations| {
            let timeout = convert::whole_seconds(violations, "timeout", message.timeout.as_ref());
            let signal = actions::signal(violations, &message.signal);
            Action::Stop { timeout, signal }
        })
        .await
    }

    async fn restart_containers(
        &self,
        request: Request<v1::RestartContainersRequest>,
    ) -> Result<Response<Self::RestartContainersStream>, Status> {
        let message = request.get_ref();
        self.act(&request, &message.containers, |violations| {
            let timeout = convert::whole_seconds(violations, "timeout", message.timeout.as_ref());
            let signal = actions::signal(violations, &message.signal);
            Action::Restart { timeout, signal }
        })
        .await
    }

    async fn kill_containers(
        &self,
        request: Request<v1::KillContainersRequest>,
    ) -> Result<Response<Self::KillContainersStream>, Status> {
        let message = request.get_ref();
        self.act(&request, &message.containers, |violations| Action::Kill {
            signal: actions::signal(violations, &message.signal),
        })
        .await
    }

    async fn pause_containers(
        &self,
        request: Request<v1::PauseContainersRequest>,
    ) -> Result<Response<Self::PauseContainersStream>, Status> {
        self.act(&request, &request.get_ref().containers, |_| Action::Pause).await
    }

    async fn unpause_containers(
        &self,
        request: Request<v1::UnpauseContainersRequest>,
    ) -> Result<Response<Self::UnpauseContainersStream>, Status> {
        self.act(&request, &request.get_ref().containers, |_| Action::Unpause).await
    }

    async fn remove_containers(
        &self,
        request: Request<v1::RemoveContainersRequest>,
    ) -> Result<Response<Self::RemoveContainersStream>, Status> {
        let message = request.get_ref();
        self.act(&request, &message.containers, |_| Action::Remove {
            force: message.force,
            volumes: message.remove_volumes,
            allow_missing: message.allow_missing,
        })
        .await
    }

    async fn rename_container(
        &self,
        request: Request<v1::RenameContainerRequest>,
    ) -> Result<Response<Self::RenameContainerStream>, Status> {
        let (container, name) = checked(&request, |violations, message| {
            let container = violations.check("container", ContainerRef::parse(&message.container));
            let name = violations.check("new_name", ContainerName::parse(&message.new_name));
            Some((container?, name?))
        })?;
        let (edge, containers) = (&self.0, vec![container]);
        edge.each_item(
            &request,
            Some(CHANGE),
            containers,
            name,
            |call, container, name| async move {
                let found = resolve(&call, &container).await?;
                let change = call.engine.rename_container(&found.reference, &name).await?;
                Ok(ItemDone { id: found.id, changed: change == Change::Made })
            },
        )
        .await
    }

    async fn update_containers(
        &self,
        request: Request<v1::UpdateContainersRequest>,
    ) -> Result<Response<Self::UpdateContainersStream>, Status> {
        use v1::update_containers_response::Event;
        let (containers, body) = checked(&request, |violations, message| {
            let containers = convert::container_refs(violations, &message.containers);
            Some((containers, violations.take(update_body(message))?))
        })?;
        let edge = &self.0;
        edge.each_item(
            &request,
            Some(CHANGE),
            containers,
            body,
            |call, container, body| async move {
                let found = resolve(&call, &container).await?;
                let warnings = call.engine.update_container(&found.reference, &body).await?;
                if !warnings.is_empty() {
                    let name = container.to_string();
                    call.emit(Event::Warnings(v1::UpdateWarnings { name, warnings })).await;
                }
                Ok(ItemDone { id: found.id, changed: true })
            },
        )
        .await
    }

    async fn wait_containers(
        &self,
        request: Request<v1::WaitContainersRequest>,
    ) -> Result<Response<Self::WaitContainersStream>, Status> {
        use v1::wait_containers_response::Event;
        let (containers, condition) = checked(&request, |violations, message| {
            let containers = convert::container_refs(violations, &message.containers);
            let condition = match v1::WaitCondition::try_from(message.condition) {
                Ok(v1::WaitCondition::Unspecified | v1::WaitCondition::NotRunning) => {
                    Ok(WaitCondition::NotRunning)
                }
                Ok(v1::WaitCondition::NextExit) => Ok(WaitCondition::NextExit),
                Ok(v1::WaitCondition::Removed) => Ok(WaitCondition::Removed),
                Err(_) => Err("must be a WaitCondition"),
            };
            Some((containers, violations.check("condition", condition)?))
        })?;
        let edge = &self.0;
        edge.each_item(&request, None, containers, condition, |call, container, until| async move {
            let found = resolve(&call, &container).await?;
            let exit = call.engine.wait_container(&found.reference, *until).await?;
            call.emit(Event::Exit(v1::ContainerExit {
                name: container.to_string(),
                id: found.id.clone(),
                exit_code: exit.exit_code,
                error: exit.error.unwrap_or_default(),
            }))
            .await;
            Ok(ItemDone { id: found.id, changed: false })
        })
        .await
    }

    async fn inspect_containers(
        &self,
        request: Request<v1::InspectContainersRequest>,
    ) -> Result<Response<Self::InspectContainersStream>, Status> {
        use v1::inspect_containers_response::Event;
        let (containers, size) = checked(&request, |violations, message| {
            Some((convert::container_refs(violations, &message.containers), message.size))
        })?;
        let edge = &self.0;
        edge.each_item(&request, Some(READ), containers, size, |call, container, size| async move {
            let document = call.engine.inspect_container(&container, *size).await?;
            let details = views::container_details(&container, document)?;
            let id = details.id.clone();
            call.emit(Event::Container(details)).await;
            Ok(ItemDone { id, changed: false })
        })
        .await
    }

    async fn list_processes(
        &self,
        request: Request<v1::ListProcessesRequest>,
    ) -> Result<Response<Self::ListProcessesStream>, Status> {
        use v1::list_processes_response::Event;
        let order = checked(&request, |violations, message| {
            let container = violations.check("container", ContainerRef::parse(&message.container));
            let ps_args = convert::ps_args(violations, &message.ps_args);
            Some((container?, ps_args))
        })?;
        let edge = &self.0;
        edge.each_host(&request, Some(READ), order, |call, order| async move {
            let (container, ps_args) = &*order;
            let table = call.engine.list_processes(container, ps_args.as_deref()).await?;
            for part in views::process_lists(table) {
                call.emit(Event::Processes(part)).await;
            }
            Ok(Done::UNCHANGED)
        })
        .await
    }

    async fn get_container_changes(
        &self,
        request: Request<v1::GetContainerChangesRequest>,
    ) -> Result<Response<Self::GetContainerChangesStream>, Status> {
        use v1::get_container_changes_response::Event;
        let container = checked(&request, |violations, message| {
            violations.check("container", ContainerRef::parse(&message.container))
        })?;
        let edge = &self.0;
        edge.each_host(&request, Some(SLOW), container, |call, container| async move {
            let changes = call.engine.container_changes(&container).await?;
            for batch in views::change_batches(changes) {
                call.emit(Event::Changes(batch)).await;
            }
            Ok(Done::UNCHANGED)
        })
        .await
    }

    async fn prune_containers(
        &self,
        request: Request<v1::PruneContainersRequest>,
    ) -> Result<Response<Self::PruneContainersStream>, Status> {
        use v1::prune_containers_response::Event;
        let filters = checked(&request, |violations, message| {
            Some(convert::filters(violations, &message.filters))
        })?;
        let edge = &self.0;
        edge.each_host(&request, Some(SLOW), filters, |call, filters| async move {
            let pruned = call.engine.prune_containers(&filters).await?;
            let changed = !pruned.ids.is_empty();
            let mut space_reclaimed_bytes = pruned.space_reclaimed;
            for ids in size::batches_or_none(pruned.ids, String::len) {
                let part = v1::PrunedContainers { ids, space_reclaimed_bytes };
                call.emit(Event::Pruned(part)).await;
                space_reclaimed_bytes = 0;
            }
            Ok(Done { changed })
        })
        .await
    }
}

impl Containers {
    /// Does one [`Action`] to every container that a request names.
    async fn act<T>(
        &self,
        request: &Request<T>,
        names: &[String],
        action: impl FnOnce(&mut Violations) -> Action,
    ) -> Answered<T>
    where
        T: FanoutRequest,
        EventOf<T>: ItemEvent,
    {
        let (containers, action) = checked(request, |violations, _| {
            Some((convert::container_refs(violations, names), action(violations)))
        })?;
        let (edge, timeout) = (&self.0, action.default_timeout());
        edge.each_item(request, Some(timeout), containers, action, |call, it, action| async move {
            action.act(&call, &it).await
        })
        .await
    }
}
