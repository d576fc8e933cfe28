//! Bodies of containers, sealed beside the plan.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Bodies of the containers of one host, as they are sent to the Engine.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Bodies {
    /// Of the new container; `None` where none is created.
    pub new: Option<NewBody>,
    /// Of the twin of the old one; `None` where it needs none.
    pub twin: Option<NewBody>,
    /// Of what hangs on the target, in the order of the plan; they name the old one by its ID.
    #[serde(default)]
    pub dependents: Vec<Bodies>,
}

/// A container that is to be created.
#[derive(Clone, Serialize, Deserialize)]
pub struct NewBody {
    /// `POST /containers/create`.
    pub body: Value,
    /// Networks to connect before the start, with their endpoints: what Engines before API
    /// 1.44 do not take at creation.
    pub networks: Vec<(String, Value)>,
    /// Names of the networks that the container must be in; empty where nobody wrote them down.
    #[serde(default)]
    pub joins: Vec<String>,
    /// ID of the image that it is made from, where it is known before the pull: the name of the
    /// image may mean another one by the time that it is made. `None` for the rollout's image.
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
