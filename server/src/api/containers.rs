//! `ContainerService`: containers on many hosts. The methods are here; creation, which needs
//! several Engine calls, is in `create`, and actions on named containers are in `actions`.

mod actions;
mod create;

use std::sync::Arc;
use std::time::Duration;

use tonic::{Request, Response, Status};
use wharf::v1;
use wharf::v1::container_service_server::ContainerService;

use self::actions::{Action, resolve};
use super::convert;
use super::edge::{Edge, ResponseStream};
use super::items::{ItemDone, each_item};
use super::problem::Finish;
use super::problem::Problem;
use super::{size, views};
use crate::body::update::update_body;
use crate::body::violation::Violations;
use crate::domain::{ContainerName, ContainerRef};
use crate::engine::{Change, ContainerListing, WaitCondition};
use crate::fleet::Done;

/// For calls that an Engine answers from memory.
const QUICK: Duration = Duration::from_secs(30);

/// For calls that start or end processes or touch the disk.
const SLOW: Duration = Duration::from_secs(120);

/// The service.
#[derive(Debug, Clone)]
pub struct Containers(pub Arc<Edge>);

/// A method that applies one [`Action`] to every named container.
macro_rules! act_on_containers {
    ($self:ident, $request:ident, $path:literal, $event:ident, $action:expr) => {{
        use v1::$event::Event;
        let mut violations = Violations::default();
        let message = $request.get_ref();
        let containers =
            convert::container_refs(&mut violations, "containers", &message.containers);
        let action: Action = $action(&mut violations, message);
        violations.finish()?;
        let call = $self.0.accept(
            concat!("/wharf.v1.ContainerService/", $path),
            &$request,
            Some(action.default_timeout()),
        )?;
        let order = Arc::new((containers, action));
        $self
            .0
            .run(call, move |call| {
                let order = Arc::clone(&order);
                async move {
                    let (call, (containers, action)) = (&call, &*order);
                    each_item(call, containers, Event::Item, |container| async move {
                        action.act(call, &container).await
                    })
                    .await
                }
            })
            .await
    }};
}

#[tonic::async_trait]
impl ContainerService for Containers {
    type ListContainersStream = ResponseStream<v1::ListContainersResponse>;
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
        use v1::list_containers_response::Event;
        let mut violations = Violations::default();
        let message = request.get_ref();
        let listing = Arc::new(ContainerListing {
            all: message.all,
            filters: convert::filters(&mut violations, &message.filters),
            limit: message.limit,
            size: message.size,
            keep_json: message.include_engine_json,
        });
        violations.finish()?;
        let call =
            self.0.accept("/wharf.v1.ContainerService/ListContainers", &request, Some(QUICK))?;
        self.0
            .run(call, move |call| {
                let listing = Arc::clone(&listing);
                async move {
                    let containers = call.engine.list_containers(&listing).await?;
                    for batch in views::container_batches(containers)? {
                        call.emit(Event::Batch(batch)).await;
                    }
                    Ok(Done::UNCHANGED)
                }
            })
            .await
    }

    async fn create_container(
        &self,
        request: Request<v1::CreateContainerRequest>,
    ) -> Result<Response<Self::CreateContainerStream>, Status> {
        let (call, order) = create::accept(&self.0, &request).await?;
        self.0
            .run(call, move |call| {
                let order = Arc::clone(&order);
                async move { order.create(&call).await }
            })
            .await
    }

    async fn start_containers(
        &self,
        request: Request<v1::StartContainersRequest>,
    ) -> Result<Response<Self::StartContainersStream>, Status> {
        act_on_containers!(self, request, "StartContainers", start_containers_response, |_, _| {
            Action::Start
        })
    }

    async fn stop_containers(
        &self,
        request: Request<v1::StopContainersRequest>,
    ) -> Result<Response<Self::StopContainersStream>, Status> {
        act_on_containers!(
            self,
            request,
            "StopContainers",
            stop_containers_response,
            |violations: &mut Violations, message: &v1::StopContainersRequest| {
                let timeout =
                    convert::whole_seconds(violations, "timeout", message.timeout.as_ref());
                let signal = actions::signal(violations, &message.signal);
                Action::Stop { timeout, signal }
            }
        )
    }

    async fn restart_containers(
        &self,
        request: Request<v1::RestartContainersRequest>,
    ) -> Result<Response<Self::RestartContainersStream>, Status> {
        act_on_containers!(
            self,
            request,
            "RestartContainers",
            restart_containers_response,
            |violations: &mut Violations, message: &v1::RestartContainersRequest| {
                let timeout =
                    convert::whole_seconds(violations, "timeout", message.timeout.as_ref());
                let signal = actions::signal(violations, &message.signal);
                Action::Restart { timeout, signal }
            }
        )
    }

    async fn kill_containers(
        &self,
        request: Request<v1::KillContainersRequest>,
    ) -> Result<Response<Self::KillContainersStream>, Status> {
        act_on_containers!(
            self,
            request,
            "KillContainers",
            kill_containers_response,
            |violations, message: &v1::KillContainersRequest| {
                Action::Kill { signal: actions::signal(violations, &message.signal) }
            }
        )
    }

    async fn pause_containers(
        &self,
        request: Request<v1::PauseContainersRequest>,
    ) -> Result<Response<Self::PauseContainersStream>, Status> {
        act_on_containers!(self, request, "PauseContainers", pause_containers_response, |_, _| {
            Action::Pause
        })
    }

    async fn unpause_containers(
        &self,
        request: Request<v1::UnpauseContainersRequest>,
    ) -> Result<Response<Self::UnpauseContainersStream>, Status> {
        act_on_containers!(
            self,
            request,
            "UnpauseContainers",
            unpause_containers_response,
            |_, _| Action::Unpause
        )
    }

    async fn remove_containers(
        &self,
        request: Request<v1::RemoveContainersRequest>,
    ) -> Result<Response<Self::RemoveContainersStream>, Status> {
        act_on_containers!(
            self,
            request,
            "RemoveContainers",
            remove_containers_response,
            |_, message: &v1::RemoveContainersRequest| Action::Remove {
                force: message.force,
                volumes: message.remove_volumes,
                allow_missing: message.allow_missing,
            }
        )
    }

    async fn rename_container(
        &self,
        request: Request<v1::RenameContainerRequest>,
    ) -> Result<Response<Self::RenameContainerStream>, Status> {
        use v1::rename_container_response::Event;
        let mut violations = Violations::default();
        let message = request.get_ref();
        let container = violations.check("container", ContainerRef::parse(&message.container));
        let name = violations.check("new_name", ContainerName::parse(&message.new_name));
        violations.finish()?;
        let order = Arc::new((valid(container)?, valid(name)?));
        let call =
            self.0.accept("/wharf.v1.ContainerService/RenameContainer", &request, Some(QUICK))?;
        self.0
            .run(call, move |call| {
                let order = Arc::clone(&order);
                async move {
                    let (call, (container, name)) = (&call, &*order);
                    each_item(
                        call,
                        std::slice::from_ref(container),
                        Event::Item,
                        |container| async move {
                            let found = resolve(call, &container).await?;
                            let change =
                                call.engine.rename_container(&found.reference, name).await?;
                            Ok(ItemDone { id: found.id, changed: change == Change::Made })
                        },
                    )
                    .await
                }
            })
            .await
    }

    async fn update_containers(
        &self,
        request: Request<v1::UpdateContainersRequest>,
    ) -> Result<Response<Self::UpdateContainersStream>, Status> {
        use v1::update_containers_response::Event;
        let mut violations = Violations::default();
        let message = request.get_ref();
        let containers =
            convert::container_refs(&mut violations, "containers", &message.containers);
        let body = violations.take(update_body(message));
        violations.finish()?;
        let order = Arc::new((containers, valid(body)?));
        let call =
            self.0.accept("/wharf.v1.ContainerService/UpdateContainers", &request, Some(QUICK))?;
        self.0
            .run(call, move |call| {
                let order = Arc::clone(&order);
                async move {
                    let (call, (containers, body)) = (&call, &*order);
                    each_item(call, containers, Event::Item, |container| async move {
                        let found = resolve(call, &container).await?;
                        let warnings = call.engine.update_container(&found.reference, body).await?;
                        if !warnings.is_empty() {
                            let name = container.to_string();
                            call.emit(Event::Warnings(v1::UpdateWarnings { name, warnings })).await;
                        }
                        Ok(ItemDone { id: found.id, changed: true })
                    })
                    .await
                }
            })
            .await
    }

    async fn wait_containers(
        &self,
        request: Request<v1::WaitContainersRequest>,
    ) -> Result<Response<Self::WaitContainersStream>, Status> {
        use v1::wait_containers_response::Event;
        let mut violations = Violations::default();
        let message = request.get_ref();
        let containers =
            convert::container_refs(&mut violations, "containers", &message.containers);
        let condition = match v1::WaitCondition::try_from(message.condition) {
            Ok(v1::WaitCondition::Unspecified | v1::WaitCondition::NotRunning) => {
                Ok(WaitCondition::NotRunning)
            }
            Ok(v1::WaitCondition::NextExit) => Ok(WaitCondition::NextExit),
            Ok(v1::WaitCondition::Removed) => Ok(WaitCondition::Removed),
            Err(_) => Err("must be a WaitCondition"),
        };
        let condition = violations.check("condition", condition);
        violations.finish()?;
        let condition = valid(condition)?;
        let containers = Arc::new(containers);
        let call = self.0.accept("/wharf.v1.ContainerService/WaitContainers", &request, None)?;
        self.0
            .run(call, move |call| {
                let containers = Arc::clone(&containers);
                async move {
                    let call = &call;
                    each_item(call, &containers, Event::Item, |container| async move {
                        let found = resolve(call, &container).await?;
                        let exit = call.engine.wait_container(&found.reference, condition).await?;
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
            })
            .await
    }

    async fn inspect_containers(
        &self,
        request: Request<v1::InspectContainersRequest>,
    ) -> Result<Response<Self::InspectContainersStream>, Status> {
        use v1::inspect_containers_response::Event;
        let mut violations = Violations::default();
        let message = request.get_ref();
        let size = message.size;
        let containers =
            convert::container_refs(&mut violations, "containers", &message.containers);
        violations.finish()?;
        let containers = Arc::new(containers);
        let call =
            self.0.accept("/wharf.v1.ContainerService/InspectContainers", &request, Some(QUICK))?;
        self.0
            .run(call, move |call| {
                let containers = Arc::clone(&containers);
                async move {
                    let call = &call;
                    each_item(call, &containers, Event::Item, |container| async move {
                        let document = call.engine.inspect_container(&container, size).await?;
                        let details = views::container_details(&container, document)?;
                        let id = details.id.clone();
                        call.emit(Event::Container(details)).await;
                        Ok(ItemDone { id, changed: false })
                    })
                    .await
                }
            })
            .await
    }

    async fn list_processes(
        &self,
        request: Request<v1::ListProcessesRequest>,
    ) -> Result<Response<Self::ListProcessesStream>, Status> {
        use v1::list_processes_response::Event;
        let mut violations = Violations::default();
        let message = request.get_ref();
        let container = violations.check("container", ContainerRef::parse(&message.container));
        let ps_args = convert::ps_args(&mut violations, &message.ps_args);
        violations.finish()?;
        let order = Arc::new((valid(container)?, ps_args));
        let call =
            self.0.accept("/wharf.v1.ContainerService/ListProcesses", &request, Some(QUICK))?;
        self.0
            .run(call, move |call| {
                let order = Arc::clone(&order);
                async move {
                    let (container, ps_args) = &*order;
                    let table = call.engine.list_processes(container, ps_args.as_deref()).await?;
                    for part in views::process_lists(table) {
                        call.emit(Event::Processes(part)).await;
                    }
                    Ok(Done::UNCHANGED)
                }
            })
            .await
    }

    async fn get_container_changes(
        &self,
        request: Request<v1::GetContainerChangesRequest>,
    ) -> Result<Response<Self::GetContainerChangesStream>, Status> {
        use v1::get_container_changes_response::Event;
        let mut violations = Violations::default();
        let container =
            violations.check("container", ContainerRef::parse(&request.get_ref().container));
        violations.finish()?;
        let container = Arc::new(valid(container)?);
        let call = self.0.accept(
            "/wharf.v1.ContainerService/GetContainerChanges",
            &request,
            Some(SLOW),
        )?;
        self.0
            .run(call, move |call| {
                let container = Arc::clone(&container);
                async move {
                    let changes = call.engine.container_changes(&container).await?;
                    for batch in views::change_batches(changes) {
                        call.emit(Event::Changes(batch)).await;
                    }
                    Ok(Done::UNCHANGED)
                }
            })
            .await
    }

    async fn prune_containers(
        &self,
        request: Request<v1::PruneContainersRequest>,
    ) -> Result<Response<Self::PruneContainersStream>, Status> {
        use v1::prune_containers_response::Event;
        let mut violations = Violations::default();
        let filters = Arc::new(convert::filters(&mut violations, &request.get_ref().filters));
        violations.finish()?;
        let call =
            self.0.accept("/wharf.v1.ContainerService/PruneContainers", &request, Some(SLOW))?;
        self.0
            .run(call, move |call| {
                let filters = Arc::clone(&filters);
                async move {
                    let pruned = call.engine.prune_containers(&filters).await?;
                    let changed = !pruned.ids.is_empty();
                    let mut space_reclaimed_bytes = pruned.space_reclaimed;
                    let mut parts: Vec<_> = size::batches(pruned.ids, String::len).collect();
                    parts.resize_with(parts.len().max(1), Vec::new);
                    for ids in parts {
                        let part = v1::PrunedContainers { ids, space_reclaimed_bytes };
                        call.emit(Event::Pruned(part)).await;
                        space_reclaimed_bytes = 0;
                    }
                    Ok(Done { changed })
                }
            })
            .await
    }
}

/// A value whose check has passed already.
fn valid<T>(value: Option<T>) -> Result<T, Problem> {
    value.ok_or_else(|| Problem::invalid_field("request", "must be complete"))
}
