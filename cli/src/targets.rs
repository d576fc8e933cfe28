//! Selects the hosts of a command. Pure.
//!
//! A write without hosts is refused here, before anything is sent. A read without hosts means
//! the whole fleet. Containers may be given as HOST/CONTAINER; the command then becomes one call
//! for each set of hosts with the same containers.

use std::collections::BTreeMap;
use std::time::Duration;

use wharf::v1::host_selector::Selection;
use wharf::v1::{AllHosts, FanoutOptions, HostNames, HostSelector};

use crate::duration;
use crate::exit::Failure;

/// Hosts on the command line.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Hosts")]
pub struct TargetArgs {
    /// Hosts by name, separated by commas; can be repeated
    #[arg(short = 'H', long = "host", value_name = "NAME,…", value_delimiter = ',')]
    pub host: Vec<String>,
    /// Hosts by label, such as env=prod,tier in (web,api),!canary
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// Every host that the server knows
    #[arg(short = 'A', long)]
    pub all_hosts: bool,
    /// Hosts to exclude
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub exclude: Vec<String>,
    /// Also change cordoned hosts; reads go to them anyway
    #[arg(long, hide_short_help = true)]
    pub include_cordoned: bool,
    /// Also try to read from hosts that the server knows to be unreachable
    #[arg(long, hide_short_help = true)]
    pub try_unreachable: bool,
    /// Ask hosts that have not answered a quick read after this time once more, such as 300ms; a tenth
    /// of the hosts at most
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive, hide_short_help = true)]
    pub hedge_after: Option<Duration>,
    /// Time limit per host, such as 10s [default: set by the server]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive, hide_short_help = true)]
    pub host_timeout: Option<Duration>,
    /// Hosts to work on at the same time [default: set by the server]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true, hide_short_help = true)]
    pub max_parallel: Option<u32>,
}

/// Whether a command reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads; without a target, from every host.
    Read,
    /// Changes something, and requires an explicit target.
    Write,
}

/// One call of a command: these containers, or other things with names, on these hosts.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerCall {
    /// The hosts.
    pub targets: HostSelector,
    /// Names or IDs, at least one, in the given order.
    pub containers: Vec<String>,
}

impl TargetArgs {
    /// Whether no host was selected.
    pub fn is_empty(&self) -> bool {
        self.host.is_empty()
            && self.selector.is_none()
            && !self.all_hosts
            && self.exclude.is_empty()
    }

    /// These hosts, or those of `before` if none are selected; the same for each option.
    pub fn or(&self, before: &Self) -> Self {
        let hosts = if self.is_empty() { before } else { self };
        Self {
            include_cordoned: self.include_cordoned || before.include_cordoned,
            try_unreachable: self.try_unreachable || before.try_unreachable,
            hedge_after: self.hedge_after.or(before.hedge_after),
            host_timeout: self.host_timeout.or(before.host_timeout),
            max_parallel: self.max_parallel.or(before.max_parallel),
            ..hosts.clone()
        }
    }

    /// The selector of a call.
    pub fn select(&self, access: Access) -> Result<HostSelector, Failure> {
        let selection = match (&*self.host, &self.selector, self.all_hosts) {
            ([], None, true) => Selection::All(AllHosts {}),
            ([], Some(labels), false) if labels.trim().is_empty() => {
                return Err(Failure::usage(
                    "the selector is empty; specify labels such as -l env=prod, or -A for every host",
                ));
            }
            ([], Some(labels), false) => Selection::Labels(labels.clone()),
            ([], None, false) => match access {
                Access::Read => Selection::All(AllHosts {}),
                Access::Write => {
                    return Err(Failure::usage(
                        "commands that change hosts need an explicit target: -H NAME[,NAME], -l LABELS, or -A for every host",
                    ));
                }
            },
            (names, None, false) => {
                Selection::Hosts(HostNames { names: checked(names, "-H")?.to_vec() })
            }
            _ => {
                return Err(Failure::usage("-H, -l, and -A conflict; use only one of them"));
            }
        };
        let exclude = checked(&self.exclude, "--exclude")?.to_vec();
        Ok(HostSelector { selection: Some(selection), exclude })
    }

    /// The options of a call.
    pub fn options(&self) -> FanoutOptions {
        FanoutOptions {
            host_timeout: self.host_timeout.map(duration::to_proto),
            max_parallel: self.max_parallel.unwrap_or(0),
            allow_partial: None,
            include_cordoned: self.include_cordoned,
            try_unreachable: self.try_unreachable,
            hedge_after: self.hedge_after.map(duration::to_proto),
        }
    }

    /// The calls for containers that may be given as HOST/CONTAINER, or for other things: `what` is
    /// what they are. No host has two calls unless hosts are chosen by label and named as well.
    pub fn calls(
        &self,
        what: &str,
        given: &[String],
        access: Access,
    ) -> Result<Vec<ContainerCall>, Failure> {
        let mut by_host: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut everywhere: Vec<String> = Vec::new();
        for name in given {
            match name.split_once('/') {
                None if name.is_empty() => {
                    return Err(Failure::Usage(format!("a {what} name is empty")));
                }
                None => push_new(&mut everywhere, name),
                Some((host, container)) => {
                    if host.is_empty() || container.is_empty() || container.contains('/') {
                        return Err(Failure::Usage(format!(
                            "\"{}\" is not a {what}; write NAME or HOST/NAME",
                            name.escape_debug()
                        )));
                    }
                    push_new(by_host.entry(host).or_default(), container);
                }
            }
        }
        // Refuse the contradiction rather than ignore either part.
        if let Some(host) =
            by_host.keys().find(|&&host| self.exclude.iter().any(|name| name == host))
        {
            return Err(Failure::Usage(format!(
                "--exclude excludes {host}, but {host}/{} names it; remove one of them",
                by_host[host][0]
            )));
        }
        if everywhere.is_empty() && !self.is_empty() {
            return Err(Failure::Usage(format!(
                "every {what} already names its host; remove either -H, -l, -A, and --exclude, or the HOST/ before the {what}s"
            )));
        }
        // With hosts selected by name, merge the calls to one per host.
        if !by_host.is_empty() && !everywhere.is_empty() && !self.host.is_empty() {
            self.select(access)?;
            for host in self.host.iter().filter(|&host| !self.exclude.contains(host)) {
                let containers = by_host.entry(host).or_default();
                everywhere.iter().for_each(|name| push_new(containers, name));
            }
            everywhere.clear();
        }
        let mut calls = Vec::new();
        if !everywhere.is_empty() {
            let targets = self.select(access).map_err(|failure| match failure {
                Failure::Usage(message) => {
                    Failure::Usage(format!("{message}; or write HOST/{}", everywhere[0]))
                }
                other => other,
            })?;
            calls.push(ContainerCall { targets, containers: everywhere });
        }
        let mut by_containers: Vec<(Vec<String>, Vec<String>)> = Vec::new();
        for (host, containers) in by_host {
            match by_containers.iter_mut().find(|(shared, _)| *shared == containers) {
                Some((_, hosts)) => hosts.push(host.to_owned()),
                None => by_containers.push((containers, vec![host.to_owned()])),
            }
        }
        calls.extend(
            by_containers
                .into_iter()
                .map(|(containers, names)| ContainerCall { targets: named(names), containers }),
        );
        Ok(calls)
    }
}

/// Hosts by name.
pub fn named(names: Vec<String>) -> HostSelector {
    HostSelector { selection: Some(Selection::Hosts(HostNames { names })), exclude: Vec::new() }
}

fn checked<'a>(names: &'a [String], flag: &str) -> Result<&'a [String], Failure> {
    if names.iter().any(|name| name.trim().is_empty()) {
        return Err(Failure::Usage(format!("{flag} contains an empty host name")));
    }
    Ok(names)
}

fn push_new(list: &mut Vec<String>, name: &str) {
    if !list.iter().any(|known| known == name) {
        list.push(name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(names: &[&str]) -> TargetArgs {
        TargetArgs {
            host: names.iter().map(|&name| name.to_owned()).collect(),
            ..TargetArgs::default()
        }
    }

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn call(names: &[&str], containers: &[&str]) -> ContainerCall {
        ContainerCall { targets: named(strings(names)), containers: strings(containers) }
    }

    #[test]
    fn a_write_names_its_hosts_and_a_read_need_not() {
        let none = TargetArgs::default();
        let Err(Failure::Usage(message)) = none.select(Access::Write) else { panic!() };
        assert!(message.contains("-H NAME") && message.contains("-A"), "{message}");
        let all = HostSelector { selection: Some(Selection::All(AllHosts {})), exclude: vec![] };
        assert_eq!(none.select(Access::Read).unwrap(), all);
    }

    #[test]
    fn two_ways_at_once_and_empty_ways_are_refused() {
        let both = TargetArgs { all_hosts: true, ..hosts(&["a"]) };
        let empty = TargetArgs { selector: Some(" ".into()), ..TargetArgs::default() };
        for wrong in [both, empty, hosts(&[""]), hosts(&["a", ""])] {
            assert!(matches!(wrong.select(Access::Read), Err(Failure::Usage(_))), "{wrong:?}");
        }
    }

    #[test]
    fn options_after_the_verb_do_not_hide_hosts_before_it() {
        let timeout = Some(Duration::from_secs(2));
        let options = TargetArgs { host_timeout: timeout, ..TargetArgs::default() };
        let both = options.or(&hosts(&["a"]));
        assert_eq!((both.host.as_slice(), both.host_timeout), (&strings(&["a"])[..], timeout));
        let after = hosts(&["b"]).or(&TargetArgs { host_timeout: timeout, ..hosts(&["a"]) });
        assert_eq!((after.host.as_slice(), after.host_timeout), (&strings(&["b"])[..], timeout));
    }

    #[test]
    fn qualified_names_become_a_call_for_each_set_of_hosts() {
        let none = TargetArgs::default();
        let given = strings(&["web1/web", "web2/web", "db/pg", "db/pg"]);
        assert_eq!(
            none.calls("container", &given, Access::Write).unwrap(),
            [call(&["db"], &["pg"]), call(&["web1", "web2"], &["web"])]
        );
        let mixed = strings(&["web", "b/extra"]);
        assert_eq!(
            hosts(&["a", "b"]).calls("container", &mixed, Access::Write).unwrap(),
            [call(&["a"], &["web"]), call(&["b"], &["extra", "web"])]
        );
    }

    #[test]
    fn an_unqualified_name_needs_hosts_although_another_is_qualified() {
        let given = strings(&["web1/web", "web"]);
        let Err(Failure::Usage(message)) =
            TargetArgs::default().calls("container", &given, Access::Write)
        else {
            panic!()
        };
        assert!(message.ends_with("or write HOST/web"), "{message}");
    }

    #[test]
    fn hosts_that_would_be_passed_over_are_refused() {
        let excluding =
            |host: TargetArgs, excluded: &str| TargetArgs { exclude: strings(&[excluded]), ..host };
        let everywhere = TargetArgs { all_hosts: true, ..TargetArgs::default() };
        for (targets, given) in [
            (hosts(&["b"]), vec!["a/web"]),
            (everywhere.clone(), vec!["a/web", "b/web"]),
            (excluding(TargetArgs::default(), "a"), vec!["a/web"]),
            (excluding(everywhere, "b"), vec!["web", "b/web"]),
        ] {
            let result = targets.calls("container", &strings(&given), Access::Write);
            assert!(matches!(result, Err(Failure::Usage(_))), "{targets:?} {given:?}");
        }
    }

    #[test]
    fn what_is_neither_name_nor_host_and_name_is_refused() {
        for wrong in ["/web", "web1/", "a/b/c", ""] {
            let result = hosts(&["a"]).calls("container", &strings(&[wrong]), Access::Read);
            assert!(matches!(result, Err(Failure::Usage(_))), "{wrong}");
        }
    }
}
