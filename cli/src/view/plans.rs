//! A plan of a rollout as text: the same plan, the same text. Pure.

use std::collections::BTreeMap;

use wharf::v1::{RolloutAction, RolloutOrder, RolloutPlan, RolloutPlanHost};

use super::rollouts::left_alone;
use super::short_id;
use crate::table::Column;

/// Columns of the hosts of a plan.
pub const COLUMNS: &[Column] = &[
    Column::new("HOST"),
    Column::new("WAVE").number(),
    Column::new("ACTION"),
    Column::new("ORDER"),
    Column::new("FROM IMAGE").shrinks(),
    Column::new("NOW"),
    Column::new("CONTAINER").wide(),
    Column::new("IMAGE ID").wide(),
    Column::new("SPEC").wide(),
];

/// The row of a host.
pub fn row(host: &RolloutPlanHost) -> Vec<String> {
    let action = match host.action() {
        RolloutAction::Unspecified => String::new(),
        RolloutAction::Replace => "replace".to_owned(),
        RolloutAction::Create => "create".to_owned(),
        RolloutAction::Adopt => "bring back".to_owned(),
        RolloutAction::Skip => format!("skip: {}", host.skip_reason),
    };
    let skipped = host.action() == RolloutAction::Skip;
    let now = match (host.old_container_id.is_empty(), host.running, host.unhealthy) {
        (true, _, _) => "",
        (false, _, true) => "bad",
        (false, true, false) => "running",
        (false, false, false) => "stopped",
    };
    vec![
        host.host.clone(),
        if host.wave == 0 { String::new() } else { host.wave.to_string() },
        action,
        match host.order() {
            _ if skipped => "",
            RolloutOrder::StartFirst => "start-first",
            _ => "stop-first",
        }
        .to_owned(),
        host.old_image.clone(),
        now.to_owned(),
        short_id(&host.old_container_id),
        short_id(&host.old_image_id),
        host.spec_sha256.chars().take(12).collect(),
    ]
}

/// The lines before the table: what becomes of what.
pub fn head(plan: &RolloutPlan) -> Vec<String> {
    let digest = match plan.image_digest.as_str() {
        "" => String::new(),
        digest => format!(" ({digest})"),
    };
    let what = match plan.image.as_str() {
        "" => format!("{}: every host keeps its image", plan.container),
        image => format!("{} to {image}{digest}", plan.container),
    };
    let nothing = plan.waves.is_empty().then(|| {
        let hosts: Vec<_> =
            plan.hosts.iter().map(|host| (host.host.as_str(), host.skip_reason.as_str())).collect();
        left_alone(&hosts).map(|why| format!("nothing would be changed: {why}"))
    });
    let warnings = plan.warnings.iter().map(|warning| format!("warning: {warning}"));
    std::iter::once(what).chain(nothing.flatten()).chain(warnings).collect()
}

/// The lines after the table: differences and risks, hosts with the same ones together.
pub fn details(plan: &RolloutPlan) -> Vec<String> {
    let mut lines = Vec::new();
    for (title, of) in [
        ("changes", (|host| &host.diff) as fn(&RolloutPlanHost) -> &Vec<String>),
        ("risks", |host| &host.risks),
    ] {
        let mut groups: BTreeMap<&Vec<String>, Vec<&str>> = BTreeMap::new();
        for host in plan.hosts.iter().filter(|host| !of(host).is_empty()) {
            groups.entry(of(host)).or_default().push(&host.host);
        }
        for (items, hosts) in groups {
            lines.push(String::new());
            lines.push(format!("{title} on {}:", hosts.join(", ")));
            lines.extend(items.iter().map(|item| format!("  {item}")));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_the_same_changes_stand_together() {
        let host = |name: &str, diff: &str| RolloutPlanHost {
            host: name.into(),
            diff: vec![diff.into()],
            ..Default::default()
        };
        let plan = RolloutPlan {
            container: "web".into(),
            hosts: vec![
                host("a", "image: v1 -> v2"),
                host("b", "env: +X"),
                host("c", "image: v1 -> v2"),
            ],
            ..Default::default()
        };
        assert_eq!(
            details(&plan),
            ["", "changes on b:", "  env: +X", "", "changes on a, c:", "  image: v1 -> v2"]
        );
        assert_eq!(row(&plan.hosts[0]).len(), COLUMNS.len());
    }
}
