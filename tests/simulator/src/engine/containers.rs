//! Containers of the model.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use wharf_server::domain::{ContainerName, ContainerRef};
use wharf_server::engine::{
    ApiVersion, BuildEngine, Change, CommandResult, ContainerEngine, ContainerExit,
    ContainerListing, ContainerSummary, Created, EngineDocument, EngineError, ErrorKind,
    ExecEngine, FileChange, FileEngine, Listing, LogBatch, LogQuery, LogSink, OutputSource,
    ProcessTable, PrunedContainers, Result, StatsSample, StatsSink, WaitCondition, unsupported,
};

use super::{SimEngine, filters};
use crate::answers;
use crate::follow::Following;
use crate::model::{self, ListQuery, Time};
use crate::operation::Operation;
use crate::sampling::Sampling;

#[async_trait]
impl ContainerEngine for SimEngine {
    async fn list_containers(
        &self,
        listing: &ContainerListing,
    ) -> Result<Listing<ContainerSummary>> {
        let query = ListQuery {
            all: listing.all,
            limit: usize::try_from(listing.limit).unwrap_or(usize::MAX),
            size: listing.size,
            filters: filters(&listing.filters),
        };
        self.at_once(Operation::ListContainers, "", |model, _, version| {
            let items = model.list(version, &query)?;
            let items =
                items.iter().map(|item| answers::container(item, listing.keep_json)).collect();
            Ok(Listing { items, api_version: version })
        })
        .await
    }

    async fn create_container(
        &self,
        name: Option<&ContainerName>,
        platform: Option<&str>,
        body: &Value,
    ) -> Result<Created> {
        if platform.is_some() {
            let since = ApiVersion::new(1, 41);
            self.require(Operation::Create, since, "a container for a platform")?;
        }
        let name = name.map(ContainerName::as_str);
        let unknown = unsupported(body, self.spoken());
        if !unknown.is_empty() {
            let message = unknown.join("; ");
            let kind = ErrorKind::Unsupported;
            return Err(EngineError::new(kind, Operation::Create.name(), message));
        }
        self.at_once(Operation::Create, name.unwrap_or_default(), |model, now, version| {
            let (id, warnings) = model.create(now, version, name, platform, body)?;
            Ok(Created { id, warnings })
        })
        .await
    }

    async fn inspect_container(
        &self,
        container: &ContainerRef,
        size: bool,
    ) -> Result<EngineDocument> {
        let name = container.as_str();
        self.call(Operation::Inspect, name, async |version| {
            let json = self.host().inspect(version, name, size)?;
            Ok(EngineDocument { json, api_version: version })
        })
        .await
    }

    async fn inspect_container_as_of(
        &self,
        container: &ContainerRef,
        version: ApiVersion,
    ) -> Result<EngineDocument> {
        let name = container.as_str();
        let found = self.document(Operation::Inspect, name, |model, spoken| {
            model.inspect(spoken.min(version), name, false)
        });
        found.await.map(|it| EngineDocument { api_version: it.api_version.min(version), ..it })
    }

    async fn start_container(&self, container: &ContainerRef) -> Result<Change> {
        let name = container.as_str();
        self.at_once(Operation::Start, name, |model, now, _| model.start(now, name)).await
    }

    async fn stop_container(
        &self,
        container: &ContainerRef,
        timeout: Option<i64>,
    ) -> Result<Change> {
        let name = container.as_str();
        self.call(Operation::Stop, name, async |_| self.host.stop(name, timeout).await).await
    }

    async fn restart_container(
        &self,
        container: &ContainerRef,
        timeout: Option<i64>,
    ) -> Result<()> {
        let name = container.as_str();
        self.call(Operation::Restart, name, async |_| self.host.restart(name, timeout).await).await
    }

    async fn kill_container(&self, container: &ContainerRef, signal: Option<&str>) -> Result<()> {
        let name = container.as_str();
        self.at_once(Operation::Kill, name, |model, now, _| model.kill(now, name, signal)).await
    }

    async fn pause_container(&self, container: &ContainerRef) -> Result<Change> {
        let name = container.as_str();
        self.at_once(Operation::Pause, name, |model, now, _| {
            let paused = model.found(name)?.state.status == crate::model::Status::Paused;
            if paused {
                return Ok(Change::Already);
            }
            model.pause(now, name).map(|()| Change::Made)
        })
        .await
    }

    async fn unpause_container(&self, container: &ContainerRef) -> Result<Change> {
        let name = container.as_str();
        self.at_once(Operation::Unpause, name, |model, now, _| {
            use crate::model::Status::{Restarting, Running};
            if matches!(model.found(name)?.state.status, Running | Restarting) {
                return Ok(Change::Already);
            }
            model.unpause(now, name).map(|()| Change::Made)
        })
        .await
    }

    async fn rename_container(
        &self,
        container: &ContainerRef,
        name: &ContainerName,
    ) -> Result<Change> {
        let old = container.as_str();
        self.at_once(Operation::Rename, old, |model, _, _| {
            if model.found(old)?.name == name.as_str() {
                return Ok(Change::Already);
            }
            model.rename(old, name.as_str()).map(|()| Change::Made)
        })
        .await
    }

    async fn update_container(
        &self,
        container: &ContainerRef,
        body: &Value,
    ) -> Result<Vec<String>> {
        let name = container.as_str();
        self.at_once(Operation::Update, name, |model, _, _| {
            model.update(name, body).map(|answer| answers::texts(&answer["Warnings"]))
        })
        .await
    }

    async fn wait_container(
        &self,
        container: &ContainerRef,
        condition: WaitCondition,
    ) -> Result<ContainerExit> {
        if condition != WaitCondition::NotRunning {
            let since = ApiVersion::new(1, 30);
            self.require(Operation::Wait, since, "a wait with a condition")?;
        }
        let name = container.as_str();
        let answer = self
            .call(Operation::Wait, name, async |_| self.host.wait(name, condition).await)
            .await?;
        let exit_code = answer["StatusCode"].as_i64().unwrap_or(0);
        Ok(ContainerExit { exit_code, error: None })
    }

    async fn list_processes(
        &self,
        container: &ContainerRef,
        ps_args: Option<&str>,
    ) -> Result<ProcessTable> {
        let name = container.as_str();
        self.at_once(Operation::Top, name, |model, _, _| {
            let answer = model.top(name, ps_args.unwrap_or_default())?;
            let rows = answer["Processes"].as_array().map_or(&[][..], Vec::as_slice);
            Ok(ProcessTable {
                titles: answers::texts(&answer["Titles"]),
                processes: rows.iter().map(answers::texts).collect(),
            })
        })
        .await
    }

    async fn container_changes(&self, container: &ContainerRef) -> Result<Vec<FileChange>> {
        let name = container.as_str();
        self.at_once(Operation::Changes, name, |model, _, _| {
            model.found(name).map(crate::model::Container::changes)
        })
        .await
    }

    async fn run_in_container(
        &self,
        container: &ContainerRef,
        command: &[String],
    ) -> Result<CommandResult> {
        let name = container.as_str();
        self.at_once(Operation::Exec, name, |model, _, _| model.run_command(name, command)).await
    }

    async fn log_tail(&self, container: &ContainerRef, lines: u32) -> Result<Vec<String>> {
        let name = container.as_str();
        let mut tail =
            self.at_once(Operation::Logs, name, |model, _, _| model.log_tail(name)).await?;
        let surplus = tail.len().saturating_sub(lines as usize);
        tail.drain(..surplus);
        Ok(tail)
    }

    async fn read_logs(
        &self,
        container: &ContainerRef,
        query: &LogQuery,
        sink: &LogSink,
    ) -> Result<()> {
        let name = container.as_str();
        let wanted = model::LogQuery {
            since: query.since.map(Time::from),
            until: query.until.map(Time::from),
            tail: query.tail.map(|lines| lines as usize),
            stdout: query.stdout,
            stderr: query.stderr,
        };
        self.call(Operation::Logs, name, async |_| {
            let host = Arc::clone(&self.host);
            let mut log = Following::new(host, name, wanted, query.follow)?;
            let mut batch = LogBatch::default();
            while sink.send(batch).await.is_ok() {
                let Some(view) = log.next().await else { break };
                batch = LogBatch::default();
                for entry in view.entries {
                    // A terminal has one output.
                    let stderr = entry.stderr && !view.tty;
                    let source = if stderr { OutputSource::Stderr } else { OutputSource::Stdout };
                    batch.push(source, entry.time.as_log_time(), entry.text.as_bytes());
                }
            }
            Ok(())
        })
        .await
    }

    async fn read_stats(&self, container: &ContainerRef, sink: &StatsSink) -> Result<()> {
        let name = container.as_str();
        self.call(Operation::Stats, name, async |_| {
            let mut samples = Sampling::new(Arc::clone(&self.host), name)?;
            while let Some(sample) = samples.next().await {
                let sample = sample.to_string();
                let sample = StatsSample::read(sample.as_bytes(), sink.borrow().as_ref());
                // Written above, so it can be read.
                sink.send_replace(sample.ok());
                if sink.is_closed() {
                    break;
                }
            }
            Ok(())
        })
        .await
    }

    async fn remove_container(
        &self,
        container: &ContainerRef,
        force: bool,
        remove_volumes: bool,
    ) -> Result<()> {
        let name = container.as_str();
        self.call(Operation::Remove, name, async |_| {
            let id = self.host.with(|model, _| model.resolve(name))?;
            match self.host.remove(&id, force, remove_volumes).await {
                // Someone else removes it: the caller is told when that is done.
                Err(refusal) if refusal.kind == ErrorKind::RemovalInProgress => {
                    self.host.gone(&id).await;
                    Ok(())
                }
                result => result,
            }
        })
        .await
    }

    async fn prune_containers(
        &self,
        wanted: &wharf_server::engine::Filters,
    ) -> Result<PrunedContainers> {
        self.require(Operation::PruneContainers, ApiVersion::new(1, 25), "a prune")?;
        self.at_once(Operation::PruneContainers, "", |model, _, _| {
            let answer = model.prune_containers(&filters(wanted))?;
            Ok(PrunedContainers {
                ids: answers::texts(&answer["ContainersDeleted"]),
                space_reclaimed: answer["SpaceReclaimed"].as_u64().unwrap_or(0),
            })
        })
        .await
    }
}

/// Sessions are only simulated over HTTP.
impl ExecEngine for SimEngine {}

impl FileEngine for SimEngine {}

impl BuildEngine for SimEngine {}
