//! Renders the plan of a rollout as text. The same plan always gives the same text. Pure.

use std::collections::BTreeMap;

use wharf::v1::{RolloutAction, RolloutOrder, RolloutPlan, RolloutPlanHost};

use super::rollouts::skip_reasons;
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

/// How many hosts with the same change or risk are named; the others are counted.
const MOST_NAMES: usize = 6;

/// The row of a host.
pub fn row(host: &RolloutPlanHost) -> Vec<String> {
    let action = match host.action() {
        RolloutAction::Unspecified => "",
        RolloutAction::Replace => "replace",
        RolloutAction::Create => "create",
        RolloutAction::Adopt => "restore",
        RolloutAction::Skip => "skip",
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
        action.to_owned(),
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

/// The lines before the table: the container and its new image.
pub fn head(plan: &RolloutPlan) -> Vec<String> {
    let digest = match (plan.image_digest.as_str(), plan.image_from.as_str()) {
        ("", "") => String::new(),
        ("", host) => format!(" from {host} ({})", plan.image_id),
        (digest, _) => format!(" ({digest})"),
    };
    let is_undo = plan.hosts.iter().any(|host| host.action() == RolloutAction::Adopt);
    let what = match plan.image.as_str() {
        "" if is_undo => format!("{}: restore the previous version", plan.container),
        "" => format!("{}: every host keeps its image", plan.container),
        image => format!("{} to {image}{digest}", plan.container),
    };
    let is_nothing = plan.hosts.iter().all(|host| host.action() == RolloutAction::Skip);
    let nothing = is_nothing.then(|| {
        let hosts: Vec<_> =
            plan.hosts.iter().map(|host| (host.host.as_str(), host.skip_reason.as_str())).collect();
        skip_reasons(&hosts).map(|why| format!("nothing to change: {why}"))
    });
    let warnings = plan.warnings.iter().map(|warning| format!("warning: {warning}"));
    std::iter::once(what).chain(nothing.flatten()).chain(warnings).collect()
}

/// The lines after the table: differences, risks, and why hosts are skipped, grouped by identical
/// hosts; and how to request exactly this plan.
pub fn details(plan: &RolloutPlan) -> Vec<String> {
    let mut lines = Vec::new();
    for (title, of) in [
        ("changes", (|host| &host.diff) as fn(&RolloutPlanHost) -> &[String]),
        ("risks", |host| &host.risks),
        ("skipped", |host| match host.action() {
            RolloutAction::Skip => std::slice::from_ref(&host.skip_reason),
            _ => &[],
        }),
    ] {
        let mut groups: BTreeMap<&[String], Vec<&str>> = BTreeMap::new();
        for host in plan.hosts.iter().filter(|host| !of(host).is_empty()) {
            groups.entry(of(host)).or_default().push(&host.host);
        }
        for (items, hosts) in groups {
            lines.push(String::new());
            lines.push(format!("{title} on {}:", names(&hosts)));
            lines.extend(items.iter().map(|item| format!("  {item}")));
        }
    }
    let brief = plan.hosts.iter().filter(|host| host.details_omitted).count();
    if brief > 0 || plan.hosts_omitted > 0 {
        lines.push(String::new());
        lines.push(format!(
            "the plan is too large for one response: changes of {brief} hosts, and {} hosts, are not \
             shown; plan fewer hosts to see them",
            plan.hosts_omitted
        ));
    }
    if !plan.fingerprint.is_empty() {
        lines.push(String::new());
        lines.push(format!("to start only this plan, use: --expect-plan {}", plan.fingerprint));
    }
    lines
}

/// The names, or the first of many.
fn names(hosts: &[&str]) -> String {
    match hosts {
        hosts if hosts.len() <= MOST_NAMES => hosts.join(", "),
        hosts => {
            let more = hosts.len() - MOST_NAMES;
            format!("{} and {more} more", hosts[..MOST_NAMES].join(", "))
        }
    }
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
        let named = RolloutPlan { fingerprint: "4f2a".into(), ..Default::default() };
        assert_eq!(details(&named), ["", "to start only this plan, use: --expect-plan 4f2a"]);
        assert_eq!(row(&plan.hosts[0]).len(), COLUMNS.len());
        let mut skips = plan.clone();
        for host in &mut skips.hosts {
            host.diff.clear();
            host.action = RolloutAction::Skip.into();
            host.skip_reason = "it has no container web".into();
        }
        let expected = ["", "skipped on a, b, c:", "  it has no container web"];
        assert_eq!(details(&skips), expected);
        assert_eq!(head(&plan), ["web: every host keeps its image"]);
        let copied = RolloutPlan {
            image: "app:v2".into(),
            image_from: "build1".into(),
            image_id: "sha256:1".into(),
            ..plan.clone()
        };
        assert_eq!(head(&copied), ["web to app:v2 from build1 (sha256:1)"]);
        let mut undo = plan.clone();
        undo.hosts[0].action = RolloutAction::Adopt.into();
        assert_eq!(head(&undo), ["web: restore the previous version"]);
        assert_eq!(names(&["a"; 6]), "a, a, a, a, a, a");
        assert_eq!(names(&["a"; 200]), "a, a, a, a, a, a and 194 more");
    }
}
