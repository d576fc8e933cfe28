//! The hosts of a rollout in limited space: those in progress, those that failed, and the number
//! of others. Used by the live table and by the table at the end. Pure.

use jiff::Timestamp;
use wharf::v1::{HostState, Rollout, RolloutStep};

use super::rollouts::{HOST_COLUMNS, headline, host_row, host_state, progress, short, subject};
use crate::table;

/// Maximum number of hosts in the table at the end. `wharf rollout show` shows all.
const MOST_ROWS: usize = 20;

/// The space for a table.
#[derive(Debug, Clone, Copy)]
pub struct Space {
    /// Number of lines.
    pub lines: usize,
    /// Columns of the terminal; `None` truncates nothing.
    pub columns: Option<u16>,
    /// With all columns.
    pub wide: bool,
}

/// A live table: title, hosts, and the number of others, in at most `space.lines` lines. `pull`
/// gives the progress of a host's pull.
pub fn live(
    rollout: &Rollout,
    pull: impl Fn(&str) -> Option<String>,
    space: Space,
    now: Timestamp,
) -> Vec<String> {
    let mut lines = head(rollout, space.columns);
    // One line for the titles, and one for the hosts left out.
    let rows = space.lines.saturating_sub(lines.len() + 2).max(1);
    let (shown, hidden) = choose(&rollout.steps, rows);
    let cells: Vec<_> =
        shown.iter().map(|step| host_row(step, pull(&step.host).as_deref(), now)).collect();
    if !cells.is_empty() {
        lines.extend(table::render(HOST_COLUMNS, &cells, space.wide, space.columns));
    }
    if !hidden.is_empty() {
        lines.push(format!("… and {}", tally(&hidden)));
    }
    lines
}

/// The table at the end: all hosts, or, if there are many, those that are not updated.
pub fn at_rest(rollout: &Rollout, wide: bool, columns: Option<u16>, now: Timestamp) -> Vec<String> {
    let steps: Vec<&RolloutStep> = rollout.steps.iter().collect();
    let (shown, hidden) = if steps.len() <= MOST_ROWS {
        (steps, Vec::new())
    } else {
        let (mut notable, mut others): (Vec<_>, Vec<_>) =
            steps.into_iter().partition(|step| is_of_note(step));
        notable.sort_by_key(|step| !has_failed(step));
        let (shown, more) = notable.split_at(notable.len().min(MOST_ROWS));
        others.extend(more);
        (shown.to_vec(), others)
    };
    let rows: Vec<_> = shown.iter().map(|step| host_row(step, None, now)).collect();
    let mut lines = Vec::new();
    if !rows.is_empty() {
        lines.extend(table::render(HOST_COLUMNS, &rows, wide, columns));
    }
    if !hidden.is_empty() {
        let more = if lines.is_empty() { "" } else { "… and " };
        let all = format!("all hosts: wharf rollout show {}", short(&rollout.id));
        lines.push(format!("{more}{} ({all})", tally(&hidden)));
    }
    lines
}

/// One line, or two if one is too long for the terminal: the counts must not be truncated.
fn head(rollout: &Rollout, columns: Option<u16>) -> Vec<String> {
    let line = headline(rollout);
    match columns {
        Some(columns) if line.chars().count() > usize::from(columns) => {
            vec![subject(rollout), format!("  {}", progress(rollout))]
        }
        _ => vec![line],
    }
}

/// All hosts in their order if they fit. Otherwise, hosts in progress and failed hosts, for which
/// a third of the rows is reserved.
fn choose(steps: &[RolloutStep], rows: usize) -> (Vec<&RolloutStep>, Vec<&RolloutStep>) {
    if steps.len() <= rows {
        return (steps.iter().collect(), Vec::new());
    }
    let (working, others): (Vec<_>, Vec<_>) = steps.iter().partition(|step| is_at_work(step));
    let (failed, mut hidden): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|step| has_failed(step));
    let kept = failed.len().min((rows / 3).max(rows.saturating_sub(working.len())));
    let (shown, more) = working.split_at(working.len().min(rows - kept));
    let mut shown = shown.to_vec();
    hidden.extend(more);
    // The last of the failed hosts.
    let (more, last) = failed.split_at(failed.len() - kept);
    shown.extend(last);
    hidden.extend(more);
    (shown, hidden)
}

fn is_at_work(step: &RolloutStep) -> bool {
    matches!(
        step.state(),
        HostState::Pulling | HostState::Updating | HostState::Restoring | HostState::RollingBack
    )
}

fn has_failed(step: &RolloutStep) -> bool {
    matches!(
        step.state(),
        HostState::NeedsAttention
            | HostState::Unreachable
            | HostState::Restored
            | HostState::Unchanged
    )
}

fn is_of_note(step: &RolloutStep) -> bool {
    let left_out = step.wave > 0 && step.state() == HostState::Skipped;
    is_at_work(step) || has_failed(step) || left_out
}

/// Hosts by state: `160 pulled, 20 updated`.
fn tally(steps: &[&RolloutStep]) -> String {
    let states = (1..).map_while(|number| HostState::try_from(number).ok());
    let counts = states.filter_map(|state| {
        let count = steps.iter().filter(|step| step.state() == state).count();
        (count > 0).then(|| format!("{count} {}", host_state(state)))
    });
    counts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use wharf::v1::{RolloutCounts, RolloutState};

    use super::*;

    /// `working` hosts at work first, then `failed` ones, the others wait.
    fn rollout(hosts: usize, working: usize, failed: usize) -> Rollout {
        let step = |number: usize| RolloutStep {
            host: format!("web{number:03}"),
            wave: 1,
            state: match number {
                number if number < working => HostState::Updating,
                number if number < working + failed => HostState::Restored,
                _ => HostState::Waiting,
            }
            .into(),
            ..Default::default()
        };
        Rollout {
            id: "1a2b3c4d-0000-4000-8000-000000000000".into(),
            container: "web".into(),
            image: "registry.example.com/app:v2".into(),
            state: RolloutState::Running.into(),
            counts: Some(RolloutCounts { total: hosts as u32, ..Default::default() }),
            steps: (0..hosts).map(step).collect(),
            ..Default::default()
        }
    }

    fn drawn(rollout: &Rollout, lines: usize, columns: u16) -> Vec<String> {
        let space = Space { lines, columns: Some(columns), wide: false };
        live(rollout, |_| None, space, Timestamp::UNIX_EPOCH)
    }

    fn hosts(lines: &[String]) -> Vec<&str> {
        let first = |line: &'_ String| line.find(' ').filter(|_| line.starts_with("web0"));
        lines.iter().filter_map(|line| first(line).map(|end| &line[..end])).collect()
    }

    #[test]
    fn few_hosts_stay_in_their_order() {
        let lines = drawn(&rollout(3, 1, 1), 20, 80);
        assert_eq!(hosts(&lines), ["web000", "web001", "web002"]);
        assert_eq!(lines.len(), 5, "{lines:#?}");
    }

    #[test]
    fn many_hosts_leave_room_for_those_that_failed() {
        let lines = drawn(&rollout(200, 40, 30), 19, 80);
        assert_eq!(lines.len(), 19, "{lines:#?}");
        let shown = hosts(&lines);
        assert_eq!(shown[..11].first(), Some(&"web000"));
        assert_eq!(shown.last(), Some(&"web069"), "the last that failed: {shown:?}");
        let last = lines.last().unwrap();
        assert_eq!(last, "… and 130 waiting, 29 updating, 25 restored");
    }

    #[test]
    fn rows_that_nobody_needs_for_work_go_to_failures() {
        let lines = drawn(&rollout(200, 2, 30), 20, 80);
        let shown = hosts(&lines);
        assert_eq!((shown.len(), shown[2]), (17, "web017"), "{shown:?}");
    }

    #[test]
    fn a_narrow_terminal_cuts_no_counts_off() {
        let lines = drawn(&rollout(200, 20, 0), 19, 50);
        assert_eq!(lines[0], "web to registry.example.com/app:v2");
        assert_eq!(lines[1], "  running, 0 of 200 done");
        assert_eq!(lines.len(), 19, "{lines:#?}");
    }

    #[test]
    fn at_the_end_of_many_only_the_others_are_counted() {
        let mut ended = rollout(200, 0, 2);
        let now = Timestamp::UNIX_EPOCH;
        let lines = at_rest(&ended, false, None, now);
        assert_eq!(hosts(&lines), ["web000", "web001"]);
        let last = "… and 198 waiting (all hosts: wharf rollout show 1a2b3c4d)";
        assert_eq!(lines.last().unwrap(), last);
        ended.steps.drain(..2);
        let expected = "198 waiting (all hosts: wharf rollout show 1a2b3c4d)";
        assert_eq!(at_rest(&ended, false, None, now), [expected]);
        ended.steps.truncate(20);
        assert_eq!(at_rest(&ended, false, None, now).len(), 21);
    }
}
