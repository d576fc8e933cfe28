//! The sealed data beside the plan of a host: the body of the new container, and how to restore the
//! old one. Pure.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::HostName;
use crate::rollout::facts::{HostFacts, OldContainer};
use crate::rollout::journal::{NewSecret, SecretKind};
use crate::rollout::model::{Bodies, NewBody, Trouble};
use crate::rollout::recreate::{self, Options, Recreated};
use crate::rollout::spec::Change;

/// How to recreate the old container.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Snapshot {
    /// Its body.
    pub(super) new: NewBody,
    /// Identifies the body.
    pub(super) spec_sha: String,
}

/// How a container comes back that is about to be replaced.
#[derive(Default)]
pub(super) struct WayBack {
    /// Its twin, if it has auto-remove.
    twin: Option<NewBody>,
    /// An identical one, if it is gone by then; `None` if that is impossible.
    pub(super) snapshot: Option<Snapshot>,
}

/// How to restore the container, or why its twin cannot be created.
pub(super) fn way_back(old: &OldContainer, host: &HostFacts) -> Result<WayBack, Vec<Trouble>> {
    let facts = recreate::old_facts(old, host);
    let vanishes = facts.auto_remove && facts.running;
    let twin = vanishes.then(|| recreate::twin(old, host)).transpose()?;
    let before = recreate::recreate(old, host, &Change::default(), &Options::as_it_is()).ok();
    let snapshot = before.map(|mut before| {
        // The name of its image may point to another image by then.
        before.body["Image"] = Value::String(facts.image_id.clone());
        let new = body(&before, Some(facts.image_id.clone()));
        Snapshot { new, spec_sha: before.spec_sha }
    });
    let twin = twin.as_ref().map(|twin| body(twin, Some(facts.image_id)));
    Ok(WayBack { twin, snapshot })
}

/// The sealed data of a host.
pub(super) fn seal(
    host: &HostName,
    new: Option<NewBody>,
    back: WayBack,
    dependents: Vec<Bodies>,
) -> Vec<NewSecret> {
    // JSON values and strings are always written.
    let secret = |kind, text: serde_json::Result<String>| {
        Some(NewSecret { host: Some(host.clone()), kind, text: text.ok()? })
    };
    let bodies = serde_json::to_string(&Bodies { new, twin: back.twin, dependents });
    let snapshot = back.snapshot.as_ref().map(serde_json::to_string);
    let snapshot = snapshot.and_then(|text| secret(SecretKind::Snapshot, text));
    secret(SecretKind::Body, bodies).into_iter().chain(snapshot).collect()
}

/// `image_id` is that of its image, if it differs from the rollout's.
pub(super) fn body(made: &Recreated, image_id: Option<String>) -> NewBody {
    NewBody {
        body: made.body.clone(),
        networks: made.extra_networks.clone(),
        joins: made.joins.clone(),
        image_id,
    }
}
