//! Renders rollouts as text and tables.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wharf::v1::{HostState, HostStep, PauseCause, Rollout, RolloutState, RolloutStep};

use super::{short_id, units};
use crate::status::{ErrorText, is_ok};
use crate::table::Column;

/// Why a host that needs no change is skipped.
const CURRENT: &str = "already on this version";

/// Columns of `rollout ls` and `rollout history`.
pub const COLUMNS: &[Column] = &[
    Column::new("ROLLOUT"),
    Column::new("CONTAINER"),
    Column::new("IMAGE").shrinks(),
    Column::new("STATE"),
    Column::new("DONE").number(),
    Column::new("FAILED").number(),
    Column::new("CREATED"),
    Column::new("WAVE").wide(),
    Column::new("SKIPPED").wide().number(),
    Column::new("ENDED").wide(),
    Column::new("BY").wide(),
    Column::new("UNDO OF").wide(),
    Column::new("REASON").wide().shrinks(),
    Column::new("ANNOTATIONS").wide().shrinks(),
];

/// Columns of the hosts of one rollout.
pub const HOST_COLUMNS: &[Column] = &[
    Column::new("HOST"),
    Column::new("WAVE").number(),
    Column::new("STATE"),
    Column::new("STEP"),
    Column::new("FOR").number(),
    Column::new("STATUS").shrinks(),
    Column::new("OLD IMAGE").wide().shrinks(),
    Column::new("OLD").wide(),
    Column::new("NEW").wide(),
    Column::new("TRY").wide().number(),
];

/// The short ID of a rollout: the first digits, as in the names of containers.
pub fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// The row of a list.
pub fn row(rollout: &Rollout, now: Timestamp) -> Vec<String> {
    let counts = rollout.counts.unwrap_or_default();
    vec![
        short(&rollout.id).to_owned(),
        rollout.container.clone(),
        match (rollout.image.as_str(), rollout.undo_of.as_str()) {
            ("", undone) if !undone.is_empty() => format!("undo of {}", short(undone)),
            (image, _) => image.to_owned(),
        },
        state(rollout),
        format!("{}/{}", counts.succeeded, counts.total),
        counts.failed.to_string(),
        units::ago(rollout.created_at.as_ref(), now),
        format!("{}/{}", rollout.wave, rollout.waves),
        counts.skipped.to_string(),
        units::ago(rollout.ended_at.as_ref(), now),
        rollout.created_by.clone(),
        short(&rollout.undo_of).to_owned(),
        reason(rollout),
        annotations(rollout).collect::<Vec<_>>().join(","),
    ]
}

/// The annotations of a rollout, each as `KEY=VALUE`.
pub fn annotations(rollout: &Rollout) -> impl Iterator<Item = String> {
    rollout.annotations.iter().map(|(key, value)| format!("{key}={value}"))
}

/// The row of a host. `pull` is the progress of its pull, if any.
pub fn host_row(step: &RolloutStep, pull: Option<&str>, now: Timestamp) -> Vec<String> {
    let is_idle =
        has_ended(step.state()) || matches!(step.state(), HostState::Waiting | HostState::Pulled);
    vec![
        step.host.clone(),
        if step.wave == 0 { String::new() } else { step.wave.to_string() },
        host_state(step.state()),
        if is_idle { String::new() } else { at_work_on(step) },
        if is_idle { String::new() } else { passed(step.since.as_ref(), now) },
        match (step.state(), pull) {
            (HostState::Pulling, Some(pull)) => pull.to_owned(),
            _ => host_status(step),
        },
        step.old_image.clone(),
        short_id(&step.old_container_id),
        short_id(&step.new_container_id),
        step.attempt.to_string(),
    ]
}

/// The state of a rollout: `paused (budget)`.
pub fn state(rollout: &Rollout) -> String {
    let state = word(rollout.state().as_str_name(), "ROLLOUT_STATE_");
    match rollout.pause_cause() {
        PauseCause::Unspecified => state,
        cause => format!("{state} ({})", word(cause.as_str_name(), "PAUSE_CAUSE_")),
    }
}

/// The state of a host: `needs-attention`.
pub fn host_state(state: HostState) -> String {
    word(state.as_str_name(), "HOST_STATE_")
}

/// The name of a step: `stop-old`; empty for none.
pub fn host_step(step: HostStep) -> String {
    match step {
        HostStep::Unspecified => String::new(),
        step => word(step.as_str_name(), "HOST_STEP_"),
    }
}

/// The step of a host, and the dependent that it is about: `gate of sidecar`.
fn at_work_on(step: &RolloutStep) -> String {
    let at = host_step(step.step());
    if step.dependent.is_empty() { at } else { format!("{at} of {}", step.dependent) }
}

/// Whether a rollout has ended.
pub fn is_over(state: RolloutState) -> bool {
    matches!(
        state,
        RolloutState::Succeeded
            | RolloutState::Failed
            | RolloutState::RolledBack
            | RolloutState::Aborted
    )
}

/// Whether the rollout is done with a host, for now.
pub fn has_ended(state: HostState) -> bool {
    matches!(
        state,
        HostState::Updated
            | HostState::Restored
            | HostState::RolledBack
            | HostState::Unchanged
            | HostState::Skipped
            | HostState::NeedsAttention
    )
}

/// Whether every host that the plan did not skip ended on the new version.
pub fn is_complete(rollout: &Rollout) -> bool {
    let counts = rollout.counts.unwrap_or_default();
    // Hosts that the plan skips are in no wave.
    let dropped = |step: &RolloutStep| step.wave > 0 && step.state() == HostState::Skipped;
    rollout.state() == RolloutState::Succeeded
        && counts.failed == 0
        && !rollout.steps.iter().any(dropped)
}

/// The reason for the state; empty in normal operation.
pub fn reason(rollout: &Rollout) -> String {
    rollout.reason.as_ref().map(|reason| reason.message.clone()).unwrap_or_default()
}

/// One line about the rollout: `web to app:v2: running, wave 2 of 4, 3 of 10 done, 1 failed`.
pub fn headline(rollout: &Rollout) -> String {
    format!("{}: {}", subject(rollout), progress(rollout))
}

/// The same without the subject.
pub fn progress(rollout: &Rollout) -> String {
    let counts = rollout.counts.unwrap_or_default();
    let mut line = state(rollout);
    if rollout.waves > 1 && rollout.wave > 0 {
        line += &format!(", wave {} of {}", rollout.wave, rollout.waves);
    }
    line += &format!(", {} of {} done", counts.succeeded, counts.total);
    if counts.failed > 0 {
        line += &format!(", {} failed", counts.failed);
    }
    line
}

/// What happened and what to do next, in one sentence.
pub fn conclusion(rollout: &Rollout) -> String {
    let counts = rollout.counts.unwrap_or_default();
    let id = short(&rollout.id);
    let subject = subject(rollout);
    let why = Some(reason(rollout)).filter(|reason| !reason.is_empty());
    let because = why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    let on_new =
        format!("{} of {} on the new version", counts.succeeded, hosts_count(counts.total));
    let undo_hint = match counts.succeeded {
        0 => String::new(),
        _ => format!("; to undo it, run: wharf rollout undo {id}"),
    };
    match rollout.state() {
        RolloutState::Succeeded if counts.total == 0 => {
            let hosts: Vec<_> = rollout
                .steps
                .iter()
                .map(|step| (step.host.as_str(), step.status.as_ref().map_or("", |it| &it.message)))
                .collect();
            let why = skip_reasons(&hosts).unwrap_or_else(|| hosts_count(counts.skipped));
            format!("{subject} changed nothing: {why}; to see more, run: wharf rollout show {id}")
        }
        RolloutState::Succeeded if is_complete(rollout) => {
            let skipped = match counts.skipped {
                0 => String::new(),
                skipped => format!(", {} skipped", hosts_count(skipped)),
            };
            let not_started = match counts.not_started {
                0 => String::new(),
                1 => ", 1 of them not started and so not verified".to_owned(),
                many => format!(", {many} of them not started and so not verified"),
            };
            format!(
                "{subject} succeeded on {}{not_started}{skipped}; to undo it, run: wharf rollout undo {id}",
                hosts_count(counts.total)
            )
        }
        RolloutState::Succeeded => format!(
            "{subject} ended with skipped hosts, {on_new}; to see which, run: wharf rollout show {id}"
        ),
        RolloutState::Failed => format!(
            "{subject} failed with {on_new}{because}; to see why, run: wharf rollout show {id}{undo_hint}"
        ),
        RolloutState::RolledBack => format!(
            "{subject} was rolled back; every host that it changed is as it was before{because}; to see more, run: wharf rollout show {id}"
        ),
        RolloutState::Aborted => format!(
            "{subject} was aborted with {on_new}{because}; to see more, run: wharf rollout show {id}{undo_hint}"
        ),
        RolloutState::Paused if rollout.pause_cause() == PauseCause::Promotion => format!(
            "the canary of {subject} is healthy; to continue, run: wharf rollout promote {id}; to stop, run: wharf rollout abort {id}"
        ),
        RolloutState::Paused => {
            let retry = if counts.failed > 0 { " --retry-failed" } else { "" };
            format!(
                "{subject} is paused with {on_new}{because}; to resume it, run: wharf rollout resume {id}{retry}; to stop it, run: wharf rollout abort {id}"
            )
        }
        _ => format!("{subject} continues; to follow it, run: wharf rollout watch {id}"),
    }
}

/// The status text of a host.
fn host_status(step: &RolloutStep) -> String {
    match &step.status {
        Some(status) if !is_ok(Some(status)) => ErrorText::of_rpc(status).line(),
        Some(status) if !status.message.is_empty() => status.message.clone(),
        _ if step.not_started => "not started".to_owned(),
        _ => step.health.clone(),
    }
}

/// A line about the change of a host, and the last log lines if it failed; nothing if no notable
/// change happened.
pub fn change_lines(before: Option<&RolloutStep>, step: &RolloutStep) -> Vec<String> {
    let mut lines = news(before, step);
    if before.map(|before| &before.warnings) != Some(&step.warnings) {
        lines.extend(warnings(step));
    }
    lines
}

/// Settings that differ from the request without being a failure.
pub fn warnings(step: &RolloutStep) -> impl Iterator<Item = String> {
    step.warnings.iter().map(|warning| format!("{}: warning: {warning}", step.host))
}

fn news(before: Option<&RolloutStep>, step: &RolloutStep) -> Vec<String> {
    let host = &step.host;
    if before.is_some_and(|before| before.state == step.state) {
        let moved = before
            .is_some_and(|before| before.step != step.step || before.dependent != step.dependent);
        let working = matches!(
            step.state(),
            HostState::Updating | HostState::Restoring | HostState::RollingBack
        );
        let what = || format!("{host}: {}: {}", host_state(step.state()), at_work_on(step));
        return if moved && working { vec![what()] } else { Vec::new() };
    }
    let status = host_status(step);
    let mut lines = vec![match step.state() {
        HostState::Updated => {
            format!("{host}: updated, container {}", short_id(&step.new_container_id))
        }
        HostState::Restoring => {
            let at = host_step(step.failed_step());
            let at = if at.is_empty() { at } else { format!(" at {at}") };
            format!("{host}: failed{at}: {status}")
        }
        HostState::Restored => format!("{host}: restored: {status}"),
        HostState::Unchanged
        | HostState::Skipped
        | HostState::NeedsAttention
        | HostState::Unreachable => format!("{host}: {}: {status}", host_state(step.state())),
        state => format!("{host}: {}", host_state(state)),
    }];
    let tail_is_new = before.is_none_or(|before| before.log_tail != step.log_tail);
    if tail_is_new {
        lines.extend(log_tail(step));
    }
    lines
}

/// The last log lines of the container that failed on a host.
pub fn log_tail(step: &RolloutStep) -> impl Iterator<Item = String> {
    step.log_tail.iter().map(|line| format!("{}: | {line}", step.host))
}

/// `web to app:v2`, or `web to app:v2 from build1`; without a new image, `web`; for an undo, `web (undo
/// of 1a2b3c4d)`.
pub fn subject(rollout: &Rollout) -> String {
    let container = &rollout.container;
    match (rollout.undo_of.as_str(), rollout.image.as_str()) {
        ("", "") => container.clone(),
        ("", image) if !rollout.image_from.is_empty() => {
            format!("{container} to {image} from {}", rollout.image_from)
        }
        ("", image) => format!("{container} to {image}"),
        (undone, _) => format!("{container} (undo of {})", short(undone)),
    }
}

/// Skipped hosts, by reason: `all 3 hosts are already on this version`; `None` without hosts.
pub fn skip_reasons(hosts: &[(&str, &str)]) -> Option<String> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (host, reason) in hosts {
        groups.entry(reason).or_default().push(host);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|(_, one), (_, other)| other.len().cmp(&one.len()).then(one.cmp(other)));
    match &groups[..] {
        [] => None,
        [(reason, hosts)] if *reason == CURRENT => Some(match hosts[..] {
            [host] => format!("{host} is {CURRENT}"),
            _ => format!("all {} hosts are {CURRENT}", hosts.len()),
        }),
        groups => {
            let reasons = groups.iter().map(|(reason, hosts)| match hosts[..] {
                [host] => format!("{host}: {reason}"),
                _ => format!("{} hosts: {reason}", hosts.len()),
            });
            Some(reasons.collect::<Vec<_>>().join("; "))
        }
    }
}

fn hosts_count(count: u32) -> String {
    if count == 1 { "1 host".to_owned() } else { format!("{count} hosts") }
}

fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase().replace('_', "-")
}

/// Time since then: `42s`, `3m05s`, `1h02m`.
fn passed(since: Option<&prost_types::Timestamp>, now: Timestamp) -> String {
    let Some(since) = since else { return String::new() };
    let seconds = now.as_second().saturating_sub(since.seconds).max(0);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::pb;
    use wharf::v1::RolloutCounts;

    use super::*;

    fn rollout(state: RolloutState) -> Rollout {
        Rollout {
            id: "1a2b3c4d-0000-4000-8000-000000000000".into(),
            container: "web".into(),
            image: "app:v2".into(),
            state: state.into(),
            waves: 2,
            wave: 1,
            counts: Some(RolloutCounts { total: 3, succeeded: 3, ..Default::default() }),
            ..Default::default()
        }
    }

    fn step(state: HostState) -> RolloutStep {
        RolloutStep { host: "web1".into(), wave: 1, state: state.into(), ..Default::default() }
    }

    #[test]
    fn every_state_has_a_sentence_with_a_way_on() {
        for state in (1..=10).filter_map(|number| RolloutState::try_from(number).ok()) {
            let sentence = conclusion(&rollout(state));
            assert!(
                sentence.contains("wharf rollout ") && sentence.contains("1a2b3c4d"),
                "{sentence}"
            );
            assert!(!sentence.contains('\n'), "{sentence}");
        }
        assert_eq!(
            conclusion(&rollout(RolloutState::Succeeded)),
            "web to app:v2 succeeded on 3 hosts; to undo it, run: wharf rollout undo 1a2b3c4d"
        );
        assert!(conclusion(&rollout(RolloutState::RolledBack)).contains("host that it changed is"));
        let paused = Rollout { counts: None, ..rollout(RolloutState::Paused) };
        assert!(!conclusion(&paused).contains("--retry-failed"), "nothing failed");
        let aborted = Rollout { counts: None, ..rollout(RolloutState::Aborted) };
        assert!(!conclusion(&aborted).contains("undo"), "there is nothing to take back");
        let message = "1 host failed, limit 0".to_owned();
        let reason = Some(pb::Status { message, ..Default::default() });
        let by_policy = conclusion(&Rollout { reason, ..aborted });
        assert!(by_policy.contains(" (1 host failed, limit 0); to see"), "{by_policy}");
    }

    #[test]
    fn a_host_that_was_dropped_on_the_way_is_no_success() {
        let mut ended = rollout(RolloutState::Succeeded);
        let left_out_by_plan = RolloutStep { wave: 0, ..step(HostState::Skipped) };
        ended.steps = vec![left_out_by_plan, step(HostState::Updated)];
        assert!(is_complete(&ended));
        ended.steps.push(step(HostState::Skipped));
        assert!(!is_complete(&ended));
        assert!(!is_complete(&rollout(RolloutState::RolledBack)));
    }

    #[test]
    fn a_rollout_that_had_nothing_to_do_says_why_and_is_a_success() {
        let skipped = |host: &str, reason: &str| RolloutStep {
            host: host.into(),
            wave: 0,
            status: Some(pb::Status { message: reason.into(), ..Default::default() }),
            ..step(HostState::Skipped)
        };
        let counts = Some(RolloutCounts { skipped: 2, ..Default::default() });
        let steps = vec![skipped("a", CURRENT), skipped("b", CURRENT)];
        let mut ended = Rollout { counts, steps, ..rollout(RolloutState::Succeeded) };
        assert!(is_complete(&ended));
        assert_eq!(
            conclusion(&ended),
            "web to app:v2 changed nothing: all 2 hosts are already on this version; to see more, run: \
             wharf rollout show 1a2b3c4d"
        );
        ended.steps[1] = skipped("b", "it has no container web");
        let sentence = conclusion(&ended);
        assert!(
            sentence.contains("a: already on this version; b: it has no container web"),
            "{sentence}"
        );
    }

    #[test]
    fn a_failure_is_told_with_its_log_once() {
        let message = "HTTP 503, 200 expected".to_owned();
        let failed = RolloutStep {
            failed_step: HostStep::Gate.into(),
            status: Some(pb::Status { code: 9, message, details: Vec::new() }),
            log_tail: vec!["boom".into()],
            ..step(HostState::Restoring)
        };
        let updating = step(HostState::Updating);
        let lines = change_lines(Some(&updating), &failed);
        assert_eq!(
            lines,
            ["web1: failed at gate: HTTP 503, 200 expected (FAILED_PRECONDITION)", "web1: | boom"]
        );
        let restored = RolloutStep { state: HostState::Restored.into(), ..failed.clone() };
        assert_eq!(change_lines(Some(&failed), &restored).len(), 1);
        let at_gate = RolloutStep { step: HostStep::Gate.into(), ..updating.clone() };
        assert_eq!(change_lines(Some(&updating), &at_gate), ["web1: updating: gate"]);
        assert!(change_lines(Some(&at_gate), &at_gate).is_empty());
        let of_side = RolloutStep { dependent: "side".into(), ..at_gate.clone() };
        assert_eq!(change_lines(Some(&at_gate), &of_side), ["web1: updating: gate of side"]);
        assert_eq!(host_row(&of_side, None, Timestamp::default())[3], "gate of side");
    }

    #[test]
    fn a_warning_is_told_once() {
        let updating = step(HostState::Updating);
        let warnings = vec!["requested and found: annotations: a -> none".to_owned()];
        let warned = RolloutStep { warnings, ..updating.clone() };
        let line = "web1: warning: requested and found: annotations: a -> none";
        assert_eq!(change_lines(Some(&updating), &warned), [line]);
        let updated = RolloutStep { state: HostState::Updated.into(), ..warned.clone() };
        assert_eq!(change_lines(Some(&warned), &updated).len(), 1);
    }

    #[test]
    fn rows_have_a_cell_for_every_column() {
        let now = Timestamp::from_second(100).unwrap();
        assert_eq!(row(&rollout(RolloutState::Paused), now).len(), COLUMNS.len());
        let since = prost_types::Timestamp { seconds: 15, nanos: 0 };
        let working = RolloutStep { since: Some(since), ..step(HostState::Updating) };
        let row = host_row(&working, None, now);
        assert_eq!((row.len(), row[4].as_str()), (HOST_COLUMNS.len(), "1m25s"));
    }
}
