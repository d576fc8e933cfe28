//! Converts a plan to a message. The same plan gives the same message.

use prost::Message;
use wharf::v1;

use crate::api::size::FRAME;
use crate::domain::HostName;
use crate::rollout::fingerprint::Fingerprint;
use crate::rollout::model::{HostPlan, Order, Plan, TargetKind};
use crate::rollout::spec::Policy;

/// Maximum number of paths for each host in a plan. A program may have written millions.
const MOST_LOST_PATHS: usize = 1000;

/// Maximum bytes of a plan in one message, and of these for the short fields of hosts. A plan that
/// is not stored has no second page.
const LARGEST: usize = 3 << 20;
const LARGEST_BRIEF: usize = 2 << 20;

/// The plan in one message. Parts that do not fit are omitted and marked: first long details of
/// hosts, then hosts.
pub fn bounded(plan: &Plan, policy: &Policy) -> v1::RolloutPlan {
    let mut view = head(plan, policy);
    let mut size = view.encoded_len();
    for (name, host) in &plan.hosts {
        let mut brief = host_view(plan, name, host);
        (brief.diff, brief.risks, brief.lost_paths) = (Vec::new(), Vec::new(), Vec::new());
        brief.details_omitted = true;
        size += brief.encoded_len() + FRAME;
        if size > LARGEST_BRIEF {
            break;
        }
        view.hosts.push(brief);
    }
    let omitted = plan.hosts.len() - view.hosts.len();
    view.hosts_omitted = u32::try_from(omitted).unwrap_or(u32::MAX);
    for (brief, (name, host)) in view.hosts.iter_mut().zip(&plan.hosts) {
        let whole = host_view(plan, name, host);
        let more = whole.encoded_len().saturating_sub(brief.encoded_len()) + FRAME;
        if size + more <= LARGEST {
            size += more;
            *brief = whole;
        }
    }
    view
}

/// The parts that are not about one host.
pub fn head(plan: &Plan, policy: &Policy) -> v1::RolloutPlan {
    let image = plan.image.as_ref();
    let from = image.and_then(|image| image.from.as_ref());
    v1::RolloutPlan {
        container: plan.container.to_string(),
        image: image.map(|image| image.reference.clone()).unwrap_or_default(),
        image_digest: image.and_then(|image| image.digest.clone()).unwrap_or_default(),
        waves: plan
            .waves
            .iter()
            .map(|hosts| v1::RolloutWave { hosts: hosts.iter().map(ToString::to_string).collect() })
            .collect(),
        hosts: Vec::new(),
        warnings: plan.warnings.clone(),
        hosts_omitted: 0,
        fingerprint: Fingerprint::of(plan, policy).to_string(),
        image_from: from.map(|from| from.host.to_string()).unwrap_or_default(),
        image_id: from.map(|from| from.image_id.clone()).unwrap_or_default(),
    }
}

/// The wave of a host, from 1; 0 if it is in none.
pub fn wave_of(plan: &Plan, host: &HostName) -> u32 {
    let place = plan.waves.iter().position(|wave| wave.contains(host));
    place.map_or(0, number)
}

/// A wave as people count: from 1.
pub fn number(index: usize) -> u32 {
    u32::try_from(index.saturating_add(1)).unwrap_or(u32::MAX)
}

/// The plan of one host.
pub fn host_view(plan: &Plan, name: &HostName, host: &HostPlan) -> v1::RolloutPlanHost {
    let old = host.old.as_ref();
    let (action, skip_reason, adopted) = match &host.kind {
        TargetKind::Replace => (v1::RolloutAction::Replace, "", ""),
        TargetKind::Create => (v1::RolloutAction::Create, "", ""),
        TargetKind::Adopt { id, .. } => (v1::RolloutAction::Adopt, "", id.as_str()),
        TargetKind::Skip { reason } => (v1::RolloutAction::Skip, reason.as_str(), ""),
    };
    v1::RolloutPlanHost {
        host: name.to_string(),
        wave: wave_of(plan, name),
        action: action.into(),
        skip_reason: skip_reason.to_owned(),
        order: match host.order {
            Order::StopFirst => v1::RolloutOrder::StopFirst,
            Order::StartFirst => v1::RolloutOrder::StartFirst,
        }
        .into(),
        old_image: old.map(|old| old.image.clone()).unwrap_or_default(),
        old_image_id: old.map(|old| old.image_id.clone()).unwrap_or_default(),
        old_container_id: old.map(|old| old.id.clone()).unwrap_or_default(),
        running: old.is_some_and(|old| old.running),
        unhealthy: host.unhealthy,
        start: host.start,
        diff: host.diff.clone(),
        risks: host.risks.clone(),
        spec_sha256: host.spec_sha.clone(),
        adopted_container_id: adopted.to_owned(),
        dependents: host.dependents.iter().map(|it| it.name.to_string()).collect(),
        lost_paths: host.lost_paths.iter().take(MOST_LOST_PATHS).cloned().collect(),
        lost_path_count: u32::try_from(host.lost_paths.len()).unwrap_or(u32::MAX),
        details_omitted: false,
    }
}
