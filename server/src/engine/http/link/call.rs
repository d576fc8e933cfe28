//! A request to an Engine, put together by the files that know what the calls mean.

use bytes::Bytes;
use http::HeaderValue;

use crate::engine::operation::Operation;
use crate::engine::{Filters, ProgressSink, Upload};

/// A request to send.
#[derive(Debug, Clone)]
pub(in crate::engine::http) struct Call {
    pub(in crate::engine::http) operation: &'static Operation,
    pub(super) segments: Vec<String>,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Bytes>,
    pub(super) upload: Option<Upload>,
    /// Told how much of the upload the Engine has taken.
    pub(super) progress: Option<ProgressSink>,
    pub(super) registry_auth: Option<HeaderValue>,
    pub(super) registry_config: Option<HeaderValue>,
    pub(super) upgrade: bool,
    /// Whether it is made beside another attempt, over a connection of its own.
    pub(super) is_second: bool,
}

impl Call {
    pub(in crate::engine::http) fn new(operation: &'static Operation, segments: &[&str]) -> Self {
        Self {
            operation,
            segments: segments.iter().map(|segment| (*segment).to_owned()).collect(),
            query: Vec::new(),
            body: None,
            upload: None,
            progress: None,
            registry_auth: None,
            registry_config: None,
            upgrade: false,
            is_second: false,
        }
    }

    /// The same path below another one.
    pub(in crate::engine::http) fn below(mut self, segment: &str) -> Self {
        self.segments.insert(0, segment.to_owned());
        self
    }

    /// Adds a parameter to the query.
    pub(in crate::engine::http) fn with(
        mut self,
        key: &'static str,
        value: impl Into<String>,
    ) -> Self {
        self.query.push((key, value.into()));
        self
    }

    /// Adds a parameter if it has a value.
    pub(in crate::engine::http) fn with_some(
        self,
        key: &'static str,
        value: Option<impl Into<String>>,
    ) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Adds `key=1` if set. The Engine treats a missing one as false.
    pub(in crate::engine::http) fn with_flag(self, key: &'static str, is_set: bool) -> Self {
        if is_set { self.with(key, "1") } else { self }
    }

    /// Adds filters, which the Engine expects as JSON; none if there are none.
    pub(in crate::engine::http) fn with_filters(self, filters: &Filters) -> Self {
        if filters.is_empty() {
            return self;
        }
        let json = serde_json::to_string(filters).expect("strings and lists of them are JSON");
        self.with("filters", json)
    }

    /// Sends a JSON text.
    pub(in crate::engine::http) fn with_json(mut self, json: String) -> Self {
        self.body = Some(json.into());
        self
    }

    /// Sends a tar archive as it arrives.
    pub(in crate::engine::http) fn with_upload(mut self, upload: &Upload) -> Self {
        self.upload = Some(upload.clone());
        self
    }

    /// Reports how much of the upload the Engine has taken.
    pub(in crate::engine::http) fn with_progress(mut self, progress: &ProgressSink) -> Self {
        self.progress = Some(progress.clone());
        self
    }

    /// Asks the Engine to turn the connection into a stream in both directions.
    pub(in crate::engine::http) fn with_upgrade(mut self) -> Self {
        self.upgrade = true;
        self
    }

    /// Sends credentials for a registry.
    pub(in crate::engine::http) fn with_registry_auth(mut self, header: HeaderValue) -> Self {
        self.registry_auth = Some(header);
        self
    }

    /// Sends credentials for several registries.
    pub(in crate::engine::http) fn with_registry_config(mut self, header: HeaderValue) -> Self {
        self.registry_config = Some(header);
        self
    }
}
