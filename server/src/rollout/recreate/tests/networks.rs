use serde_json::{Value, json};

use super::bodies::{ID, body, host, made, old, options, refused};
use crate::domain::Reason;
use crate::rollout::recreate::{Options, not_joined, recreate, twin};
use crate::rollout::spec::Change;

const TWO: &str = r#"{
    "back": {"NetworkID": "n2", "Aliases": ["b", "aaaaaaaaaaaa"], "IPAddress": "10.0.0.2"},
    "front": {"NetworkID": "n1", "Aliases": ["web", "aaaaaaaaaaaa", "host"],
        "IPAMConfig": {"IPv4Address": "10.1.0.2"}, "DriverOpts": {"o": "1"}, "EndpointID": "e",
        "MacAddress": "02:42:00:00:00:01", "Links": null, "DNSNames": ["web"]}
}"#;

fn two() -> Value {
    let networks: Value = serde_json::from_str(TWO).unwrap();
    json!({"NetworkSettings": {"Networks": networks}, "Config": {"Hostname": "host"}})
}

fn endpoints(body: &Value) -> &Value {
    &body["NetworkingConfig"]["EndpointsConfig"]
}

#[test]
fn c17_before_api_1_44_a_creation_takes_its_own_network_only() {
    let recreated = made(&old(two(), json!({})), &host(43), &Change::default());
    let names: Vec<&String> = endpoints(&recreated.body).as_object().unwrap().keys().collect();
    assert_eq!(names, ["front"]);
    assert_eq!(recreated.extra_networks, [("back".to_owned(), json!({"Aliases": ["b"]}))]);
    let recreated = made(&old(two(), json!({})), &host(44), &Change::default());
    assert_eq!(endpoints(&recreated.body).as_object().unwrap().len(), 2);
    assert_eq!(recreated.extra_networks, []);
}

#[test]
fn c18_a_network_by_its_id_becomes_its_name() {
    let mut own = two();
    own["HostConfig"] = json!({"NetworkMode": "n1"});
    let found = body(own, json!({}));
    assert_eq!(found["HostConfig"]["NetworkMode"], "front");
    assert!(endpoints(&found).get("front").is_some());
}

#[test]
fn c19_c20_only_what_was_asked_for_stays() {
    let expected = |aliases: Value| {
        json!({
            "Aliases": aliases,
            "IPAMConfig": {"IPv4Address": "10.1.0.2"},
            "DriverOpts": {"o": "1"},
        })
    };
    for (api, aliases) in [
        (41, json!(["web", "host"])),
        (44, json!(["web"])),
        // The Engine adds nothing any longer: all of them were asked for.
        (45, json!(["web", "aaaaaaaaaaaa", "host"])),
    ] {
        let found = made(&old(two(), json!({})), &host(api), &Change::default()).body;
        assert_eq!(endpoints(&found)["front"], expected(aliases), "1.{api}");
    }
    let mut own = two();
    own["NetworkSettings"]["Networks"]["front"]["GwPriority"] = json!(3);
    let found = made(&old(own, json!({})), &host(48), &Change::default()).body;
    assert_eq!(endpoints(&found)["front"]["GwPriority"], 3);
}

#[test]
fn c21_a_mac_address_goes_where_the_version_takes_it() {
    let mut own = two();
    own["Config"]["MacAddress"] = json!("02:42:0a:00:00:05");
    let old_one = old(own, json!({}));
    let found = made(&old_one, &host(43), &Change::default()).body;
    assert_eq!(found["MacAddress"], "02:42:0a:00:00:05");
    assert_eq!(endpoints(&found)["front"].get("MacAddress"), None);
    let found = made(&old_one, &host(44), &Change::default()).body;
    assert_eq!(found.get("MacAddress"), None);
    assert_eq!(endpoints(&found)["front"]["MacAddress"], "02:42:0a:00:00:05");
    // From 1.52 on it is not among the settings, and that of the run is nobody's wish.
    let found = made(&old(two(), json!({})), &host(52), &Change::default()).body;
    assert!(!found.to_string().contains("02:42"));
}

/// A container in its own network and in `back`, where its endpoint and its state are these.
#[expect(clippy::needless_pass_by_value, reason = "callers have no other use for it")]
fn with_card(own: &Value, state: &Value, endpoint: Value) -> Value {
    let mut own = own.clone();
    own["State"] = state.clone();
    own["NetworkSettings"] = json!({"Networks": {"front": {"NetworkID": "n1"}, "back": endpoint}});
    own["NetworkSettings"]["Networks"]["back"]["NetworkID"] = json!("n2");
    own
}

#[test]
fn c21_an_address_in_another_network_stays_where_it_can_be_told() {
    let (created, runs, ended) = (
        json!({"Status": "created", "Running": false}),
        json!({"Status": "running", "Running": true}),
        json!({"Status": "exited", "Running": false}),
    );
    let card = |mac: &str| json!({"MacAddress": mac, "IPAddress": "10.0.0.2"});
    let (chosen, derived, bought) = ("02:11:22:33:44:55", "02:42:0a:00:00:02", "00:16:3e:11:22:33");
    let (kept, gone, unclear) = ((true, false), (false, false), (false, true));
    for (api, state, mac, expected) in [
        (43, &runs, chosen, gone),
        (44, &created, chosen, kept),
        (51, &created, chosen, kept),
        (51, &created, "", gone),
        (45, &runs, chosen, kept),
        (45, &runs, derived, gone),
        (51, &runs, derived, gone),
        (51, &runs, chosen, unclear),
        (51, &runs, bought, kept),
        (51, &ended, "", unclear),
        (45, &ended, "", unclear),
    ] {
        let old = old(with_card(&json!({}), state, card(mac)), json!({}));
        let found = made(&old, &host(api), &Change::default());
        let says = found.risks.iter().any(|risk| risk.contains("MAC address"));
        let has =
            found.body.to_string().contains(chosen) || found.body.to_string().contains(bought);
        assert_eq!((has, says), expected, "1.{api} {state} {mac}: {:?}", found.risks);
        if has {
            assert_eq!(endpoints(&found.body)["back"]["MacAddress"], mac);
        }
    }
}

#[test]
fn c21_from_1_52_on_the_address_of_the_main_network_is_asked_for_apart() {
    let mut own = two();
    own["State"] = json!({"Status": "running", "Running": true});
    own["NetworkSettings"]["Networks"]["front"]["MacAddress"] = json!("9a:00:00:00:00:01");
    // Nobody could say.
    let found = made(&old(own.clone(), json!({})), &host(52), &Change::default());
    assert!(found.risks.iter().any(|risk| risk.contains("9a:00:00:00:00:01 in the network")));
    // The Engine said in an older version that there is none, or which one.
    own["Config"]["MacAddress"] = json!("");
    let found = made(&old(own.clone(), json!({})), &host(52), &Change::default());
    assert!(!found.risks.iter().any(|risk| risk.contains("9a:00")), "{:?}", found.risks);
    own["Config"]["MacAddress"] = json!("9a:00:00:00:00:01");
    let found = made(&old(own, json!({})), &host(52), &Change::default());
    assert_eq!(endpoints(&found.body)["front"]["MacAddress"], "9a:00:00:00:00:01");
    assert_eq!(found.body.get("MacAddress"), None);
}

#[test]
fn what_the_engine_of_a_host_does_not_know_is_refused_and_not_dropped() {
    let patch = json!({"NetworkingConfig": {"EndpointsConfig": {"back": {"GwPriority": 7}}}});
    let change = Change { merge_patch: Some(patch), ..Change::default() };
    for api in [41, 47] {
        let found = refused(two(), &host(api), &change);
        assert_eq!(found[0].reason, Reason::EngineUnsupported, "{found:?}");
        assert!(found[0].message.contains("\"back\" requires API version 1.48"), "{found:?}");
    }
    let found = made(&old(two(), json!({})), &host(48), &change);
    assert_eq!(endpoints(&found.body)["back"]["GwPriority"], 7);
    // Podman names 1.41, and shows what it takes.
    let shown = json!({"HostConfig": {"Annotations": {"a": "b"}, "Umask": 18}});
    let found = made(&old(shown.clone(), json!({})), &host(41), &Change::default());
    assert_eq!(found.body["HostConfig"]["Annotations"]["a"], "b");
    // A Docker that is newer than what is spoken with it shows more than it would take.
    let found = refused(shown, &host(55), &Change::default());
    assert!(found.len() == 1 && found[0].message.contains("a umask requires"), "{found:?}");
}

#[test]
fn c22_the_engine_s_own_network_gets_no_names_and_no_addresses() {
    for mode in ["default", "bridge", "", "host", "none"] {
        let name = if mode == "default" || mode.is_empty() { "bridge" } else { mode };
        let own = json!({
            "HostConfig": {"NetworkMode": mode},
            "NetworkSettings": {"Networks": {name: {
                "NetworkID": "n0", "Aliases": ["x"], "IPAMConfig": {"IPv4Address": "172.17.0.9"},
            }}},
        });
        assert_eq!(body(own, json!({})).get("NetworkingConfig"), None, "{mode}");
    }
}

/// A container in the Engine's own network and another one.
fn on_bridge_and_back(mode: &str) -> Value {
    json!({
        "HostConfig": {"NetworkMode": mode},
        "NetworkSettings": {"Networks": {
            "bridge": {"NetworkID": "n0", "IPAddress": "172.17.0.2"},
            "back": {"NetworkID": "n2", "Aliases": ["b"], "IPAddress": "10.0.0.2"},
        }},
    })
}

#[test]
fn c22_the_engine_s_own_network_is_named_beside_another_one() {
    for mode in ["default", "bridge"] {
        let old = old(on_bridge_and_back(mode), json!({}));
        for api in [44, 45, 51, 55] {
            let found = made(&old, &host(api), &Change::default());
            let expected = json!({mode: {}, "back": {"Aliases": ["b"]}});
            assert_eq!(*endpoints(&found.body), expected, "{mode} 1.{api}");
            assert_eq!(found.joins, ["back", "bridge"]);
        }
        let found = made(&old, &host(43), &Change::default());
        assert_eq!(found.body.get("NetworkingConfig"), None, "the mode says it");
        assert_eq!(found.extra_networks, [("back".to_owned(), json!({"Aliases": ["b"]}))]);
        assert_eq!(found.joins, ["back", "bridge"]);
        let twin = twin(&old, &host(44)).unwrap();
        assert_eq!(endpoints(&twin.body).as_object().unwrap().len(), 2, "{mode}");
        assert_eq!(twin.joins, ["back", "bridge"]);
    }
    // The other way round: its own network is another, and the Engine's was joined later.
    let old = old(on_bridge_and_back("back"), json!({}));
    let found = made(&old, &host(43), &Change::default());
    assert_eq!(found.extra_networks, [("bridge".to_owned(), json!({}))]);
    let found = made(&old, &host(44), &Change::default());
    assert_eq!(endpoints(&found.body)["bridge"], json!({}));
}

#[test]
fn c17_the_network_of_the_mode_is_among_the_endpoints_whatever_was_changed() {
    let old = old(on_bridge_and_back("bridge"), json!({}));
    let mut change = Change::default();
    change.set.network = "front".to_owned();
    let found = made(&old, &host(44), &change);
    assert_eq!(*endpoints(&found.body), json!({"back": {"Aliases": ["b"]}, "front": {}}));
    assert_eq!(found.joins, ["back", "front"]);
    // A patch says what the Engine calls by two names.
    let patch = json!({"HostConfig": {"NetworkMode": "default"}});
    let change = Change { merge_patch: Some(patch), ..Change::default() };
    let found = made(&old, &host(44), &change);
    assert_eq!(*endpoints(&found.body), json!({"back": {"Aliases": ["b"]}, "default": {}}));
    let patch = json!({"HostConfig": {"NetworkMode": "host"}});
    let change = Change { merge_patch: Some(patch), ..Change::default() };
    assert_eq!(made(&old, &host(44), &change).joins, [""; 0]);
    let change = Change { unset: vec!["networks.back".to_owned()], ..Change::default() };
    let found = made(&old, &host(44), &change);
    assert_eq!(found.joins, ["bridge"]);
    assert_eq!(*endpoints(&found.body), json!({"bridge": {}}));
}

#[test]
fn c22_one_that_left_the_engine_s_own_network_does_not_come_back_to_it() {
    let own = json!({
        "HostConfig": {"NetworkMode": "bridge"},
        "NetworkSettings": {"Networks": {"back": {"NetworkID": "n2"}}},
    });
    for api in [41, 44] {
        let found = made(&old(own.clone(), json!({})), &host(api), &Change::default());
        assert_eq!(found.body["HostConfig"]["NetworkMode"], "back", "1.{api}");
        assert_eq!((found.extra_networks, found.joins), (Vec::new(), vec!["back".to_owned()]));
    }
}

#[test]
fn c36_a_network_that_is_missing_is_found_whatever_was_asked_for() {
    let joins = ["back".to_owned(), "bridge".to_owned()];
    let found = |networks: Value| json!({"NetworkSettings": {"Networks": networks}});
    assert_eq!(not_joined(&joins, &found(json!({"back": {}, "bridge": {}, "more": {}}))), None);
    let told = not_joined(&joins, &found(json!({"back": {}}))).unwrap();
    assert!(told.contains("network \"bridge\"; it is in back"), "{told}");
    let told = not_joined(&joins, &found(Value::Null)).unwrap();
    assert!(told.contains("it is in none"), "{told}");
    // A whole specification says itself what it joins.
    let whole = json!({"Image": "app", "HostConfig": {"NetworkMode": "front"}});
    let change = Change { whole: Some(whole), ..Change::default() };
    let old = old(on_bridge_and_back("bridge"), json!({}));
    assert_eq!(made(&old, &host(44), &change).joins, ["front"]);
}

#[test]
fn c23_addresses_of_overlays_stay_on_request_only() {
    let mut host = host(44);
    host.networks[1].scope = "swarm".to_owned();
    let old = old(two(), json!({}));
    let found = made(&old, &host, &Change::default());
    assert_eq!(endpoints(&found.body)["front"].get("IPAMConfig"), None);
    assert!(found.risks.iter().any(|risk| risk.contains("overlay network \"front\"")));
    let pinned = Options { pin_overlay_addresses: true, ..options() };
    let found = recreate(&old, &host, &Change::default(), &pinned).unwrap();
    assert_eq!(endpoints(&found.body)["front"]["IPAMConfig"]["IPv4Address"], "10.1.0.2");
}

#[test]
fn c10_parameters_of_a_network_card_move_to_its_endpoint() {
    let mut own = two();
    own["HostConfig"] = json!({"Sysctls": {
        "net.ipv4.conf.eth0.rp_filter": "2", "net.core.somaxconn": "9",
    }});
    let old = old(own, json!({}));
    let found = made(&old, &host(47), &Change::default()).body;
    assert_eq!(found["HostConfig"]["Sysctls"].as_object().unwrap().len(), 2);
    let found = made(&old, &host(48), &Change::default()).body;
    assert_eq!(found["HostConfig"]["Sysctls"], json!({"net.core.somaxconn": "9"}));
    assert_eq!(
        endpoints(&found)["front"]["DriverOpts"],
        json!({"o": "1", "com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.rp_filter=2"})
    );
}

#[test]
fn c10_empty_bindings_are_written_out_for_new_engines() {
    let own = json!({"HostConfig": {"PortBindings": {"80/tcp": []}}});
    let found = |api| made(&old(own.clone(), json!({})), &host(api), &Change::default()).body;
    assert_eq!(found(51)["HostConfig"]["PortBindings"]["80/tcp"], json!([]));
    assert_eq!(found(52)["HostConfig"]["PortBindings"]["80/tcp"], json!([{}]));
}

#[test]
fn a_network_that_is_gone_is_refused_and_one_that_was_made_anew_is_told() {
    let gone = json!({
        "HostConfig": {"NetworkMode": "lost"},
        "NetworkSettings": {"Networks": {"lost": {"NetworkID": "n9"}}},
    });
    assert_eq!(refused(gone, &host(41), &Change::default())[0].reason, Reason::NetworkNotFound);
    let anew = json!({"NetworkSettings": {"Networks": {"front": {"NetworkID": "n9"}}}});
    let recreated = made(&old(anew, json!({})), &host(41), &Change::default());
    assert!(recreated.risks[0].contains("was recreated"), "{:?}", recreated.risks);
}

#[test]
fn one_that_left_its_own_network_does_not_come_back_to_it_unsaid() {
    let left = json!({"NetworkSettings": {"Networks": {"back": {"NetworkID": "n2"}}}});
    let recreated = made(&old(left, json!({})), &host(41), &Change::default());
    assert_eq!(recreated.body["HostConfig"]["NetworkMode"], "back");
    assert!(recreated.risks[0].starts_with("it has left its own network"));
}

#[test]
fn c12_what_came_from_the_container_whose_network_it_shares_goes() {
    let own = json!({
        "Config": {
            "Hostname": "parent", "Domainname": "example.org", "ExposedPorts": {"80/tcp": {}},
        },
        "HostConfig": {
            "NetworkMode": format!("container:{}", "b".repeat(64)),
            "PortBindings": {"80/tcp": [{"HostPort": "80"}]},
        },
        "NetworkSettings": {"Networks": {}},
    });
    let mut host = host(41);
    host.containers[0].id = "b".repeat(64);
    let found = made(&old(own, json!({})), &host, &Change::default()).body;
    for key in ["Hostname", "Domainname", "ExposedPorts", "NetworkingConfig"] {
        assert_eq!(found.get(key), None, "{key}");
    }
    assert_eq!(found["HostConfig"].get("PortBindings"), None);
}

#[test]
fn c11_c13_host_names_that_the_engine_made_up_go() {
    for (name, mode, uts, kept) in [
        (&ID[..12], "front", "", false),
        ("web-1", "front", "", true),
        ("abcdefabcdef", "front", "", true),
        ("node-1", "host", "", false),
        ("node-1", "front", "", true),
        ("other", "host", "", true),
        ("anything", "host", "host", false),
    ] {
        let own = json!({
            "Config": {"Hostname": name},
            "HostConfig": {"NetworkMode": mode, "UTSMode": uts},
        });
        let found = body(own, json!({}));
        assert_eq!(found["Hostname"].as_str(), kept.then_some(name), "{name} {mode} {uts}");
    }
}

#[test]
fn c15_links_are_asked_for_by_target_and_alias() {
    let own = json!({"HostConfig": {"Links": ["/db:/web/database", "/a:/web/a"]}});
    let found = body(own, json!({}));
    assert_eq!(found["HostConfig"]["Links"], json!(["/db:database", "/a:a"]));
}
