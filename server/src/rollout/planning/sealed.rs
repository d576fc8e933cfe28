//! What is sealed beside the plan of a host: the body of the new container, and what brings the
//! one that it replaces back. Pure.

use serde_json::Value;

use super::{HostBodies, Snapshot};
use crate::rollout::facts::{HostFacts, OldContainer};
use crate::rollout::model::{Bodies, NewBody, Trouble};
use crate::rollout::recreate::{self, Options, Recreated};
use crate::rollout::spec::Change;

/// How a container comes back that is about to be replaced.
#[derive(Default)]
pub(super) struct WayBack {
    /// Its twin, where it removes itself when it stops.
    twin: Option<NewBody>,
    /// One like it, should it be gone by then; `None` where none can be made.
    pub(super) snapshot: Option<Snapshot>,
}

/// How the container comes back, or why its twin cannot be made.
pub(super) fn way_back(old: &OldContainer, host: &HostFacts) -> Result<WayBack, Vec<Trouble>> {
    let facts = recreate::old_facts(old, host);
    let vanishes = facts.auto_remove && facts.running;
    let twin = vanishes.then(|| recreate::twin(old, host)).transpose()?;
    let before = recreate::recreate(old, host, &Change::default(), &Options::as_it_is()).ok();
    let snapshot = before.map(|mut before| {
        // The name of its image may mean another one by the time that it is made again.
        before.body["Image"] = Value::String(facts.image_id.clone());
        let new = body(&before, Some(facts.image_id.clone()));
        Snapshot { new, spec_sha: before.spec_sha }
    });
    let twin = twin.as_ref().map(|twin| body(twin, Some(facts.image_id)));
    Ok(WayBack { twin, snapshot })
}

/// What is sealed of a host.
pub(super) fn seal(
    new: Option<NewBody>,
    back: WayBack,
    dependents: Vec<Bodies>,
) -> Option<HostBodies> {
    let bodies = Bodies { new, twin: back.twin, dependents };
    // JSON values and strings are always written.
    let old = back.snapshot.and_then(|snapshot| serde_json::to_string(&snapshot).ok());
    Some(HostBodies { bodies: serde_json::to_string(&bodies).ok()?, old })
}

/// `image_id` is that of its image, where it is not the rollout's.
pub(super) fn body(made: &Recreated, image_id: Option<String>) -> NewBody {
    NewBody {
        body: made.body.clone(),
        networks: made.extra_networks.clone(),
        joins: made.joins.clone(),
        image_id,
    }
}
