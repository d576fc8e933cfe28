use proptest::prelude::*;

use super::*;
use crate::domain::{HostAddress, HostSource, Labels, Transport};

fn name(text: &str) -> HostName {
    HostName::parse(text).unwrap()
}

fn fleet(hosts: &[(&str, &str)]) -> Snapshot {
    Snapshot::of_hosts(hosts.iter().map(|(host, labels)| {
        Host {
            name: name(host),
            address: HostAddress::parse(&format!("unix:///{host}"), Transport::Plain).unwrap(),
            labels: Labels::from_pairs(
                labels.split_terminator(',').map(|l| l.split_once('=').unwrap()),
            )
            .unwrap(),
            source: HostSource::Api,
            tls: None,
            insecure: false,
            created_at: None,
        }
    }))
}

fn three() -> Snapshot {
    fleet(&[("web1", "env=prod"), ("web2", "env=prod,canary="), ("db1", "")])
}

fn selection(targets: Targets, exclude: &[&str]) -> Selection {
    let exclude = exclude.iter().map(|text| name(text)).collect();
    Selection { targets: Some(targets), exclude }
}

fn by_name(names: &[&str]) -> Targets {
    Targets::Hosts(names.iter().map(|text| name(text)).collect())
}

fn by_label(text: &str) -> Targets {
    Targets::Labels(LabelSelector::parse(text).unwrap())
}

fn chosen(selection: &Selection, snapshot: &Snapshot) -> Result<Vec<String>, String> {
    match select(selection, snapshot) {
        Ok(hosts) => Ok(hosts.iter().map(|host| host.name.to_string()).collect()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn of_many_unknown_hosts_the_first_are_named() {
    let names: Vec<String> = (10..40).map(|index| format!("no{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let error = chosen(&selection(by_name(&names), &[]), &three()).unwrap_err();
    assert!(error.starts_with("no such host: no10, no11, "), "{error}");
    assert!(error.ends_with("no18, no19 and 20 more"), "{error}");
}

#[test]
fn hosts_are_chosen_sorted_and_once() {
    for (targets, exclude, expected) in [
        (by_name(&["web2", "db1", "web2"]), &[][..], &["db1", "web2"][..]),
        (by_label("env=prod"), &[], &["web1", "web2"]),
        (by_label("env=prod,!canary"), &[], &["web1"]),
        (by_label("env!=prod"), &[], &["db1"]),
        (Targets::All, &[], &["db1", "web1", "web2"]),
        (Targets::All, &["web1"], &["db1", "web2"]),
        (by_name(&["web1"]), &["db1"], &["web1"]),
    ] {
        let selection = selection(targets, exclude);
        assert_eq!(chosen(&selection, &three()).unwrap(), expected, "{selection:?}");
    }
}

#[test]
fn nothing_chosen_is_never_everything() {
    for (selection, expected) in [
        (Selection::default(), "no hosts selected"),
        (selection(by_name(&[]), &[]), "no hosts selected"),
        (selection(by_name(&["web1", "wbe2"]), &[]), "no such host: wbe2 (did you mean web2?)"),
        (selection(by_name(&["unlike"]), &[]), "no such host: unlike"),
        (selection(Targets::All, &["WEB9"]), "no such host: WEB9 (did you mean web1?)"),
        (selection(by_label("env=test"), &[]), "none of 3 hosts matches env=test"),
        (selection(by_name(&["web1"]), &["web1"]), "every selected host is excluded"),
    ] {
        let text = chosen(&selection, &three()).unwrap_err();
        assert!(text.starts_with(expected), "{selection:?}: {text}");
    }
    let empty = Snapshot::default();
    for targets in [Targets::All, by_label("env=prod")] {
        let text = chosen(&selection(targets, &[]), &empty).unwrap_err();
        assert!(text.contains("wharf host add"), "{text}");
    }
}

#[test]
fn a_suggestion_is_a_slip_and_not_a_guess() {
    let suggestion = |text: &str| nearest(&name(text), &three()).map(|name| name.to_string());
    assert_eq!(suggestion("web"), Some("web1".to_owned()));
    assert_eq!(suggestion("dbl"), Some("db1".to_owned()));
    assert_eq!(suggestion("x"), None);
    assert_eq!(suggestion("mail"), None);
}

proptest! {
    #[test]
    fn what_is_chosen_is_what_was_asked_for(
        names in proptest::collection::vec("[a-c]", 0..5),
        exclude in proptest::collection::vec("[a-c]", 0..3),
    ) {
        let snapshot = fleet(&[("a", ""), ("b", ""), ("c", "")]);
        let to_names = |texts: &[String]| texts.iter().map(|text| name(text)).collect::<Vec<_>>();
        let selection = Selection {
            targets: Some(Targets::Hosts(to_names(&names))),
            exclude: to_names(&exclude),
        };
        let expected: BTreeSet<_> = names.iter().filter(|n| !exclude.contains(n)).collect();
        match select(&selection, &snapshot) {
            Ok(hosts) => {
                let got: Vec<_> = hosts.iter().map(|host| host.name.to_string()).collect();
                prop_assert_eq!(got.iter().collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>());
            }
            Err(error) => prop_assert!(expected.is_empty(), "{}", error),
        }
    }
}

#[test]
fn changes_leave_cordoned_hosts_out_unless_they_are_named() {
    use std::time::SystemTime;

    use crate::domain::CordonReason;

    let mut snapshot = three();
    let cordon = |reason: &str| Cordon {
        reason: CordonReason::parse(reason).unwrap(),
        by: "ann".to_owned(),
        since: SystemTime::UNIX_EPOCH,
    };
    let cordons = [("web2", cordon("new disk")), ("gone", cordon(""))];
    snapshot.cordon(&cordons.map(|(host, cordon)| (name(host), cordon)).into());
    let chosen = |targets, exclude: &[&str]| {
        let chosen = select_for_changes(&selection(targets, exclude), &snapshot);
        chosen.map_err(|error| error.to_string()).map(|chosen| {
            let names = |hosts: Vec<&HostName>| hosts.iter().map(ToString::to_string).collect();
            let hosts: Vec<String> = names(chosen.hosts.iter().map(|host| &host.name).collect());
            let cordoned: Vec<String> =
                names(chosen.cordoned.iter().map(|(name, _)| name).collect());
            (hosts.join(" "), cordoned.join(" "))
        })
    };
    let of = |hosts: &str, cordoned: &str| Ok((hosts.to_owned(), cordoned.to_owned()));
    assert_eq!(chosen(Targets::All, &[]), of("db1 web1", "web2"));
    assert_eq!(chosen(Targets::All, &["web2"]), of("db1 web1", ""));
    assert_eq!(chosen(by_name(&["web1"]), &[]), of("web1", ""));
    let named =
        "web2 is cordoned by ann: new disk; to end a cordon, run `wharf host uncordon NAME`";
    assert_eq!(chosen(by_name(&["web1", "web2"]), &[]), Err(named.to_owned()));
    assert_eq!(chosen(by_label("canary"), &[]), Err(named.to_owned()), "none is left");
}
