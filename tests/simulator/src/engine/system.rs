//! What the model says of the Engine itself.

use std::sync::Arc;

use async_trait::async_trait;
use wharf_server::domain::{RegistryLogin, Secret};
use wharf_server::engine::{
    EngineDocument, EventBatch, EventQuery, EventSink, LoginAnswer, Ping, Result, SystemEngine,
};

use super::{SimEngine, registry_auth};
use crate::follow::EventStream;
use crate::model::Time;
use crate::operation::Operation;

#[async_trait]
impl SystemEngine for SimEngine {
    async fn ping(&self) -> Result<Ping> {
        let begun = tokio::time::Instant::now();
        let (version, min, max) = self
            .at_once(Operation::Ping, "", |model, _, version| {
                Ok((version, model.options().min_api_version, model.options().api_version))
            })
            .await?;
        Ok(Ping {
            api_version: version,
            max_api_version: Some(max),
            min_api_version: Some(min),
            latency: begun.elapsed(),
            is_podman: false,
        })
    }

    async fn version(&self) -> Result<EngineDocument> {
        self.document(Operation::Version, "", |model, _| Ok(model.version())).await
    }

    async fn info(&self) -> Result<EngineDocument> {
        self.document(Operation::Info, "", |model, _| Ok(model.info())).await
    }

    async fn disk_usage(&self) -> Result<EngineDocument> {
        self.document(Operation::DiskUsage, "", |model, version| Ok(model.disk_usage(version)))
            .await
    }

    async fn check_login(&self, login: &RegistryLogin) -> Result<LoginAnswer> {
        let auth = registry_auth(login);
        let answer = self
            .at_once(Operation::Login, login.registry().as_str(), |model, _, _| model.login(&auth))
            .await?;
        let token = answer["IdentityToken"].as_str().unwrap_or_default();
        Ok(LoginAnswer {
            status: answer["Status"].as_str().unwrap_or_default().to_owned(),
            identity_token: (!token.is_empty()).then(|| Secret::new(token)),
        })
    }

    async fn read_events(&self, query: &EventQuery, sink: &EventSink) -> Result<()> {
        let until = query.until.map(Time::from);
        self.call(Operation::Events, "", async |_| {
            let host = Arc::clone(self.host());
            let mut stream = EventStream::new(host, Some(query.since.into()), until);
            let mut batch = EventBatch::default();
            while sink.send(batch).await.is_ok() {
                let Some(events) = stream.next().await else { break };
                batch = EventBatch { events, are_stored: false };
            }
            Ok(())
        })
        .await
    }
}
