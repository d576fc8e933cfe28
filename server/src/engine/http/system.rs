//! The calls about the Engine itself, and helpers for the calls of the other files.

use std::sync::Arc;

use async_trait::async_trait;

use super::HttpEngine;
use super::events;
use super::link::{Answer, Opened, bad_answer, list_error};
use super::link::{Call, Link, maximum_of};
use crate::domain::RegistryLogin;
use crate::engine::list::{KeptItems, ListDecoder, ListItem, ListItems};
use crate::engine::operation::{DISK_USAGE, INFO, LOGIN, Operation, PING, VERSION};
use crate::engine::{
    ApiVersion, EngineDocument, EngineError, ErrorKind, EventQuery, EventSink, Health, Listing,
    LoginAnswer, Ping, Result, SystemEngine, registry_auth, wire,
};

#[async_trait]
impl SystemEngine for HttpEngine {
    async fn ping(&self) -> Result<Ping> {
        let mut agreed = self.link.negotiated(&PING).await?;
        let call = Call::new(&PING, &["_ping"]);
        let mut answer = self.link.send_with(&call, None).await?;
        if answer.connected {
            // That measured the opening of a connection.
            answer = self.link.send_with(&call, None).await?;
        }
        if let Some(max) = maximum_of(&answer)?
            && agreed.max != Some(max)
        {
            agreed = self.link.negotiate_again(&PING, agreed.version).await?;
        }
        Ok(Ping {
            api_version: agreed.version,
            max_api_version: agreed.max,
            min_api_version: agreed.min,
            latency: answer.latency,
            is_podman: !agreed.is_exact,
        })
    }

    async fn version(&self) -> Result<EngineDocument> {
        let document = self.link.document(Call::new(&VERSION, &["version"])).await?;
        let min = document.parse::<wire::Versions>().ok().and_then(|versions| versions.min);
        if let Some(min) = min.and_then(|text| text.parse().ok()) {
            self.link.version.learn_minimum(min);
        }
        Ok(document)
    }

    async fn info(&self) -> Result<EngineDocument> {
        self.link.document(Call::new(&INFO, &["info"])).await
    }

    async fn disk_usage(&self) -> Result<EngineDocument> {
        // From 1.52 on, the items are only included on request; older Engines ignore the parameter.
        self.link
            .document(Call::new(&DISK_USAGE, &["system", "df"]).with_flag("verbose", true))
            .await
    }

    async fn check_login(&self, login: &RegistryLogin) -> Result<LoginAnswer> {
        let call = Call::new(&LOGIN, &["auth"]).with_json(registry_auth::body(login));
        let answer = self.link.send(call).await.map_err(|error| EngineError {
            message: registry_auth::redact(error.message, Some(login)),
            ..error
        })?;
        if answer.body.is_empty() {
            // 204: accepted, with nothing to store.
            return Ok(LoginAnswer { status: "Login Succeeded".to_owned(), identity_token: None });
        }
        Ok(answer.json::<wire::Login>().await?.into())
    }

    async fn read_events(&self, query: &EventQuery, sink: &EventSink) -> Result<()> {
        events::read(&self.link, query, sink).await
    }

    fn health(&self) -> Option<Health> {
        Some(self.link.health.read(self.link.version.spoken()))
    }

    fn writes(&self) -> u64 {
        self.link.writes.count()
    }
}

impl Link {
    /// Makes a call that returns one JSON object, and keeps it unchanged.
    pub(super) async fn document(self: &Arc<Self>, call: Call) -> Result<EngineDocument> {
        document_of(self.send(call).await?)
    }

    /// The same in an older version than the negotiated one.
    pub(super) async fn document_as_of(
        self: &Arc<Self>,
        call: Call,
        version: ApiVersion,
    ) -> Result<EngineDocument> {
        document_of(self.send_with(&call, Some(version)).await?)
    }

    /// Makes a call that returns a list, and keeps each item's own JSON if `keep_json` is set.
    pub(super) async fn list<T>(self: &Arc<Self>, call: Call, keep_json: bool) -> Result<Listing<T>>
    where
        T: ListItem + Send,
    {
        let (items, api_version) = self.list_into(call, |_| KeptItems::new(keep_json)).await?;
        Ok(Listing { items: items.into_items(), api_version })
    }

    /// Makes a call that returns a list, and gives its items to what `begin` makes for its version.
    pub(super) async fn list_into<I>(
        self: &Arc<Self>,
        call: Call,
        begin: impl Fn(ApiVersion) -> I,
    ) -> Result<(I, ApiVersion)>
    where
        I: ListItems + Send,
    {
        let read = |opened: Opened| {
            let items = begin(spoken(opened.version));
            opened.read(ListDecoder::new(items))
        };
        let answer = self.open(&call, read).await?;
        let (operation, version) = (answer.operation, spoken(answer.version));
        let items = answer.body.finish().map_err(|error| list_error(operation, error))?;
        Ok((items, version))
    }

    /// Refuses what the Engine is too old for: it would ignore it and do something else.
    pub(super) async fn require(
        self: &Arc<Self>,
        operation: &Operation,
        since: ApiVersion,
        what: &str,
    ) -> Result<()> {
        let version = self.negotiated(operation).await?.version;
        if version >= since {
            return Ok(());
        }
        let message =
            format!("{what} requires API version {since}, but the Engine supports {version}");
        Err(EngineError::new(ErrorKind::Unsupported, operation.name, message))
    }
}

pub(super) fn document_of(answer: Answer) -> Result<EngineDocument> {
    let (operation, api_version) = (answer.operation, spoken(answer.version));
    let json = answer.into_text()?;
    wire::check_object(&json).map_err(|problem| bad_answer(operation, &problem))?;
    Ok(EngineDocument { json, api_version })
}

/// The version of a call with the negotiated one.
fn spoken(version: Option<ApiVersion>) -> ApiVersion {
    version.expect("calls other than pings have a version")
}
