//! Selects the hosts of a call. Pure; called by the API before any host is touched.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::inventory::Snapshot;
use crate::domain::{Cordon, Host, HostName, LabelSelector};

/// Maximum number of unknown hosts in an error; the others are counted.
const MOST_NAMED: usize = 10;

/// The selection of a caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// How to select the hosts; unset is an error, never "all".
    pub targets: Option<Targets>,
    /// Hosts to leave out. They must exist, chosen or not.
    pub exclude: Vec<HostName>,
}

/// How hosts are chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// By name; a repeated name counts once.
    Hosts(Vec<HostName>),
    /// By label.
    Labels(LabelSelector),
    /// Every host there is.
    All,
}

/// Why no host is selected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// The caller did not set a selection.
    #[error("no hosts selected; set host names, a label selector, or all hosts")]
    Unset,
    /// Names that no host has.
    #[error("no such host: {}", join(.0))]
    UnknownHosts(Vec<UnknownHost>),
    /// The inventory is empty.
    #[error("no hosts; to add one, run `wharf host add NAME ADDRESS`")]
    EmptyInventory,
    /// No host has the labels.
    #[error("none of {known} matches {selector}; to list their labels, run `wharf host ls`", known = count(*.known))]
    NoneMatched {
        /// The selector.
        selector: LabelSelector,
        /// How many hosts there are.
        known: usize,
    },
    /// Every selected host was excluded.
    #[error("every selected host is excluded; exclude fewer hosts")]
    AllExcluded,
    /// Hosts that were named are cordoned, or all that were selected.
    #[error("{}; to end a cordon, run `wharf host uncordon NAME`", cordoned(.0))]
    Cordoned(Vec<(HostName, Cordon)>),
}

/// The hosts of a call that changes something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The hosts, sorted by name; at least one.
    pub hosts: Vec<Arc<Host>>,
    /// Hosts that were selected and are left out, sorted by name.
    pub cordoned: Vec<(HostName, Cordon)>,
}

/// A name that no host has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownHost {
    /// The name.
    pub name: HostName,
    /// An existing name that may have been intended.
    pub suggestion: Option<HostName>,
}

/// The selected hosts, sorted by name; at least one.
pub fn select(selection: &Selection, snapshot: &Snapshot) -> Result<Vec<Arc<Host>>, SelectError> {
    let targets = match &selection.targets {
        None => return Err(SelectError::Unset),
        Some(Targets::Hosts(names)) if names.is_empty() => return Err(SelectError::Unset),
        Some(targets) => targets,
    };
    let named: &[HostName] = match targets {
        Targets::Hosts(names) => names,
        _ => &[],
    };
    let unknown: BTreeSet<&HostName> = named
        .iter()
        .chain(&selection.exclude)
        .filter(|name| snapshot.get(name).is_none())
        .collect();
    if !unknown.is_empty() {
        let unknown = unknown.into_iter().enumerate().map(|(index, name)| UnknownHost {
            name: name.clone(),
            // Only for the named ones, because it searches all hosts.
            suggestion: (index < MOST_NAMED).then(|| nearest(name, snapshot)).flatten(),
        });
        return Err(SelectError::UnknownHosts(unknown.collect()));
    }
    let chosen: Vec<Arc<Host>> = match targets {
        Targets::Hosts(names) => {
            let names: BTreeSet<&HostName> = names.iter().collect();
            names.into_iter().filter_map(|name| snapshot.get(name)).cloned().collect()
        }
        Targets::Labels(selector) => {
            snapshot.hosts().filter(|host| selector.matches(&host.labels)).cloned().collect()
        }
        Targets::All => snapshot.hosts().cloned().collect(),
    };
    if chosen.is_empty() {
        return Err(match targets {
            Targets::Labels(selector) if !snapshot.is_empty() => {
                SelectError::NoneMatched { selector: selector.clone(), known: snapshot.len() }
            }
            _ => SelectError::EmptyInventory,
        });
    }
    let excluded: BTreeSet<&HostName> = selection.exclude.iter().collect();
    let left: Vec<_> = chosen.into_iter().filter(|host| !excluded.contains(&host.name)).collect();
    if left.is_empty() { Err(SelectError::AllExcluded) } else { Ok(left) }
}

/// The same for a call that changes something there: cordoned hosts are left out, and an error if they
/// were named.
pub fn select_for_changes(
    selection: &Selection,
    snapshot: &Snapshot,
) -> Result<Chosen, SelectError> {
    let selected = select(selection, snapshot)?;
    let mut chosen = Chosen::default();
    for host in selected {
        match snapshot.cordon_of(&host.name) {
            Some(cordon) => chosen.cordoned.push((host.name.clone(), cordon.clone())),
            None => chosen.hosts.push(host),
        }
    }
    let are_named = matches!(selection.targets, Some(Targets::Hosts(_)));
    if !chosen.cordoned.is_empty() && (are_named || chosen.hosts.is_empty()) {
        return Err(SelectError::Cordoned(chosen.cordoned));
    }
    Ok(chosen)
}

impl fmt::Display for UnknownHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.name)?;
        match &self.suggestion {
            Some(suggestion) => write!(formatter, " (did you mean {suggestion}?)"),
            None => Ok(()),
        }
    }
}

/// The closest name, if it is close enough to be a slip: two keys, in a name long enough that
/// two keys are few.
fn nearest(name: &HostName, snapshot: &Snapshot) -> Option<HostName> {
    let lower = name.as_str().to_ascii_lowercase();
    snapshot
        .hosts()
        .map(|host| {
            let known = host.name.as_str().to_ascii_lowercase();
            (strsim::damerau_levenshtein(&lower, &known), &host.name)
        })
        .filter(|(distance, known)| {
            *distance <= 2 && *distance * 3 <= known.as_str().len().max(lower.len())
        })
        .min()
        .map(|(_, known)| known.clone())
}

fn join(unknown: &[UnknownHost]) -> String {
    let named: Vec<_> = unknown.iter().take(MOST_NAMED).map(UnknownHost::to_string).collect();
    let list = named.join(", ");
    match unknown.len() - named.len() {
        0 => list,
        more => format!("{list} and {more} more"),
    }
}

fn cordoned(hosts: &[(HostName, Cordon)]) -> String {
    let named: Vec<_> = hosts.iter().take(MOST_NAMED).collect();
    let mut list: Vec<String> =
        named.iter().map(|(name, cordon)| format!("{name} is {cordon}")).collect();
    if hosts.len() > named.len() {
        list.push(format!("{} more are cordoned", hosts.len() - named.len()));
    }
    list.join("; ")
}

fn count(hosts: usize) -> String {
    if hosts == 1 { "1 host".to_owned() } else { format!("{hosts} hosts") }
}

#[cfg(test)]
mod tests;
