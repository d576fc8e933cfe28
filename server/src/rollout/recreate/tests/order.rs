use serde_json::{Value, json};

use super::bodies::{ID, host, made, old, options};
use crate::domain::Reason;
use crate::engine::ContainerFacts;
use crate::rollout::model::Order;
use crate::rollout::model::names;
use crate::rollout::recreate::{Options, being_removed, compare, recreate, retarget};
use crate::rollout::spec::{Change, Dependents, OrderPreference};

fn obstacle(own: Value) -> Option<String> {
    let options = Options {
        order: OrderPreference::StartFirst,
        dependents: Dependents::Recreate,
        ..options()
    };
    let result = recreate(&old(own, json!({})), &host(41), &Change::default(), &options);
    match result {
        Ok(recreated) => {
            assert_eq!(recreated.order, Order::StartFirst);
            None
        }
        Err(refusals) => {
            assert_eq!(refusals[0].reason, Reason::RolloutStartFirstImpossible);
            Some(refusals[0].message.clone())
        }
    }
}

#[test]
fn c32_what_stands_against_start_first() {
    let ports =
        |port: &str| json!({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": port}]}}});
    let data = |writable: bool| {
        json!({
            "Mounts": [{"Type": "volume", "Name": "d", "Destination": "/d", "RW": writable}],
            "HostConfig": {"Binds": [if writable { "d:/d" } else { "d:/d:ro" }]},
        })
    };
    for (own, expected) in [
        (json!({}), None),
        (ports(""), None),
        (ports("8000-8010"), None),
        (ports("8080"), Some("publishes the host port 8080")),
        (json!({"HostConfig": {"NetworkMode": "host"}}), Some("host's network")),
        (data(false), None),
        (data(true), Some("both write to d")),
        (json!({"HostConfig": {"AutoRemove": true}}), Some("auto-remove")),
        (json!({"Config": {"MacAddress": "02:42:00:00:00:01"}}), Some("fixed MAC address")),
        (
            json!({"NetworkSettings": {"Networks": {"front": {
                "NetworkID": "n1", "IPAMConfig": {"IPv4Address": "10.1.0.2"},
            }}}}),
            Some("fixed address in the network front"),
        ),
    ] {
        let found = obstacle(own.clone());
        match expected {
            None => assert_eq!(found, None, "{own}"),
            Some(text) => {
                assert!(found.as_ref().is_some_and(|all| all.contains(text)), "{found:?}");
            }
        }
    }
}

#[test]
fn c32_auto_says_why_it_stops_first() {
    let own = json!({"HostConfig": {"NetworkMode": "host"}});
    let options = Options { order: OrderPreference::Auto, ..options() };
    let recreated =
        recreate(&old(own, json!({})), &host(41), &Change::default(), &options).unwrap();
    assert_eq!(recreated.order, Order::StopFirst);
    assert_eq!(recreated.risks, ["stop-first, because it is in the host's network"]);
}

#[test]
fn c14_dependents_by_name_and_by_id_and_nobody_else() {
    let mut host = host(41);
    for (name, key, mode) in [
        ("a", "NetworkMode", format!("container:{ID}")),
        ("b", "PidMode", "container:web".to_owned()),
        ("c", "IpcMode", format!("container:{}", &ID[..12])),
        ("d", "NetworkMode", "container:website".to_owned()),
        ("e", "NetworkMode", "front".to_owned()),
        // What an earlier rollout keeps of a dependent.
        ("a.old-0123abcd", "PidMode", "container:web".to_owned()),
    ] {
        host.containers.push(ContainerFacts::read(&json!({
            "Id": name.repeat(64), "Name": format!("/{name}"), "HostConfig": {key: mode},
        })));
    }
    host.unread.push("f".repeat(64));
    let old = old(json!({}), json!({}));
    let refusals = recreate(&old, &host, &Change::default(), &options()).unwrap_err();
    assert_eq!(refusals.len(), 3);
    let allowed = Options { dependents: Dependents::Recreate, ..options() };
    let recreated = recreate(&old, &host, &Change::default(), &allowed).unwrap();
    let names: Vec<&str> = recreated.dependents.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(
        recreated.risks.iter().any(|risk| risk.starts_with("1 containers could not be inspected"))
    );
}

#[test]
fn c15_a_legacy_link_makes_a_dependent_and_another_one_does_not() {
    let mut host = host(41);
    for (name, links) in [
        // The default bridge goes by the ID of the target, and shows both names.
        ("app", json!(["/web:/app/backend", "/other:/app/x"])),
        // Other networks have names.
        ("job", json!(["web:backend"])),
        ("one", json!(["/website:/one/backend"])),
    ] {
        host.containers.push(ContainerFacts::read(&json!({
            "Id": name.repeat(21), "Name": format!("/{name}"), "HostConfig": {"Links": links},
        })));
    }
    let old = old(json!({}), json!({}));
    let refusals = recreate(&old, &host, &Change::default(), &options()).unwrap_err();
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert_eq!(refusals[0].reason, Reason::DependentContainer);
    assert!(refusals[0].message.starts_with("the container app has a link to it and could not"));
    let allowed = Options { dependents: Dependents::Recreate, ..options() };
    let recreated = recreate(&old, &host, &Change::default(), &allowed).unwrap();
    assert_eq!((recreated.dependents.len(), recreated.dependents[0].shares[0]), (1, "link"));
    assert_eq!(recreated.risks, [""; 0]);
}

#[test]
fn c15_the_link_of_a_dependent_leads_to_the_new_container() {
    let target = old(json!({}), json!({})).inspect.facts;
    let body = json!({"HostConfig": {"Links": ["/web:backend", "/other:x"]}});
    let new_id = "b".repeat(64);
    let old_one = retarget(&body, &target, ID);
    assert_eq!(old_one["HostConfig"]["Links"], json!([format!("{ID}:backend"), "/other:x"]));
    let new = retarget(&old_one, &target, &new_id);
    assert_eq!(new["HostConfig"]["Links"], json!([format!("{new_id}:backend"), "/other:x"]));
    // The Engine shows the name of what has that ID.
    let shown = |alias: &str| {
        let links = json!(["/other:/app/x", format!("/web:/app/{alias}")]);
        json!({"Config": {}, "HostConfig": {"Links": links}})
    };
    assert_eq!(compare(&new, &shown("backend")), [""; 0]);
    assert_eq!(compare(&new, &shown("front")).len(), 1);
}

#[test]
fn c15_a_link_to_what_a_rollout_renamed_is_written_with_the_name_it_stands_for() {
    let links = |host: &crate::rollout::facts::HostFacts| {
        let links = json!(["/db.old-0123abcd:/web/database", "/x.old-1:/web/x"]);
        let old = old(json!({"HostConfig": {"Links": links}}), json!({}));
        made(&old, host, &Change::default()).body["HostConfig"]["Links"].clone()
    };
    let mut host = host(41);
    assert_eq!(links(&host), json!(["/db.old-0123abcd:database", "/x.old-1:x"]));
    let db = json!({"Id": "d".repeat(64), "Name": "/db"});
    host.containers.push(ContainerFacts::read(&db));
    assert_eq!(links(&host), json!(["/db:database", "/x.old-1:x"]));
}

#[test]
fn c16_names_of_rollouts_are_known_again() {
    for name in [
        names::candidate("web.1", "0123abcd"),
        names::backup("web.1", "0123abcd"),
        names::reject("web.1", "0123abcd"),
    ] {
        assert_eq!(names::target_of(&name), Some("web.1"), "{name}");
    }
    for name in ["web", "web.old-1", "web.old-0123ABCD", "web.tmp-0123abcd", ".old-0123abcd"] {
        assert_eq!(names::target_of(name), None, "{name}");
    }
}

#[test]
fn what_is_being_removed_is_refused_before_anything_is_touched() {
    let refused = |state: Value| {
        let old = old(json!({"State": state}), json!({}));
        recreate(&old, &host(41), &Change::default(), &options()).err().map(|them| {
            assert_eq!(Some(&them[0]), being_removed(&old.inspect).as_ref());
            (them[0].reason, them[0].message.clone())
        })
    };
    let dead = refused(json!({"Status": "dead", "Dead": true})).expect("it is refused");
    assert_eq!(dead.0, Reason::RemovalInProgress);
    assert!(dead.1.contains("an earlier removal failed"), "{dead:?}");
    let going = refused(json!({"Status": "removing"})).expect("it is refused");
    assert!(going.1.contains("retry when it is gone"), "{going:?}");
    assert_eq!(refused(json!({"Status": "exited", "Dead": false})), None);
}
