//! Bodies of containers, sealed beside the plan.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Bodies of the containers of one host, as they are sent to the Engine.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Bodies {
    /// Body of the new container; `None` if none is created.
    pub new: Option<NewBody>,
    /// Body of the twin of the old container; `None` if it needs none.
    pub twin: Option<NewBody>,
    /// The dependents of the target, in the order of the plan; they refer to the old container by
    /// ID.
    #[serde(default)]
    pub dependents: Vec<Bodies>,
}

/// A container that is to be created.
#[derive(Clone, Serialize, Deserialize)]
pub struct NewBody {
    /// `POST /containers/create`.
    pub body: Value,
    /// Networks to connect before the start, with their endpoints: those that Engines before API
    /// 1.44 do not accept at creation.
    pub networks: Vec<(String, Value)>,
    /// Names of the networks that the container must be in; empty if none were recorded.
    #[serde(default)]
    pub joins: Vec<String>,
    /// ID of the image to create it from, if known before the pull: the name of the image may point
    /// to another one by then. `None` for the rollout's image.
    #[serde(default)]
    pub image_id: Option<String>,
}

impl NewBody {
    /// The body with the networks that are connected after the creation.
    #[must_use]
    pub fn with_all_networks(&self) -> Value {
        self.whole(self.body.clone())
    }

    /// The body that is sent, with them.
    #[must_use]
    pub fn whole(&self, mut body: Value) -> Value {
        for (name, endpoint) in &self.networks {
            let endpoint = if endpoint.is_null() { json!({}) } else { endpoint.clone() };
            body["NetworkingConfig"]["EndpointsConfig"][name] = endpoint;
        }
        body
    }
}
