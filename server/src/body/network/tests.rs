use wharf::v1::{NetworkAttachment, NetworkPool};

use super::*;

fn pool(subnet: &str) -> NetworkPool {
    NetworkPool { subnet: subnet.into(), ..Default::default() }
}

fn request() -> CreateNetworkRequest {
    CreateNetworkRequest {
        name: "front".into(),
        driver: "bridge".into(),
        options: [("com.docker.network.driver.mtu".into(), "1400".into())].into(),
        labels: [("env".into(), "prod".into())].into(),
        pools: vec![NetworkPool {
            gateway: "10.1.0.254".into(),
            ip_range: "10.1.2.0/24".into(),
            auxiliary_addresses: [("router".into(), "10.1.0.2".into())].into(),
            ..pool("10.1.0.0/16")
        }],
        internal: Some(true),
        ..Default::default()
    }
}

fn body(request: &CreateNetworkRequest) -> Value {
    let mut violations = Violations::default();
    let body = network_body(request, &mut violations);
    assert_eq!(violations.or(()), Ok(()));
    body.unwrap().1
}

/// As Docker 20.10 shows the network of [`request`].
fn inspected() -> Value {
    json!({
        "Name": "front", "Id": "0123", "Created": "2024-01-01T00:00:00Z", "Scope": "local",
        "Driver": "bridge", "EnableIPv6": false, "Internal": true, "Attachable": false,
        "IPAM": {"Driver": "default", "Options": null, "Config": [{
            "Subnet": "10.1.0.0/16", "IPRange": "10.1.2.0/24", "Gateway": "10.1.0.254",
            "AuxiliaryAddresses": {"router": "10.1.0.2"},
        }]},
        "Options": {"com.docker.network.driver.mtu": "1400"}, "Labels": {"env": "prod"},
    })
}

fn fields(request: &CreateNetworkRequest) -> Vec<String> {
    let mut violations = Violations::default();
    network_body(request, &mut violations);
    let found = violations.or(()).expect_err("it is wrong");
    found.into_iter().map(|it| it.field).collect()
}

#[test]
fn a_request_becomes_the_engines_body_with_nothing_that_was_not_asked_for() {
    assert_eq!(
        body(&request()),
        json!({
            "Name": "front", "CheckDuplicate": true, "Driver": "bridge", "Internal": true,
            "IPAM": {"Driver": "default", "Config": [{
                "Subnet": "10.1.0.0/16", "Gateway": "10.1.0.254", "IPRange": "10.1.2.0/24",
                "AuxiliaryAddresses": {"router": "10.1.0.2"},
            }]},
            "Options": {"com.docker.network.driver.mtu": "1400"}, "Labels": {"env": "prod"},
        })
    );
    let bare = CreateNetworkRequest {
        name: "front".into(),
        driver: "default".into(),
        ipam_driver: "default".into(),
        ..Default::default()
    };
    assert_eq!(body(&bare), json!({"Name": "front", "CheckDuplicate": true}));
}

#[test]
fn what_agrees_is_not_different_whatever_the_engine_filled_in() {
    assert!(network_differences(&body(&request()), &inspected()).is_empty());
    let bare = CreateNetworkRequest { name: "front".into(), ..Default::default() };
    assert!(network_differences(&body(&bare), &inspected()).is_empty());
    // Other spellings of the same addresses, and a pool that the Engine added.
    let mut other = inspected();
    other["IPAM"]["Config"][0]["Gateway"] = json!("10.1.0.254/16");
    other["IPAM"]["Config"][0]["Subnet"] = json!("10.1.7.7/16");
    other["IPAM"]["Config"].as_array_mut().unwrap().push(json!({"Subnet": "FD00::1/64"}));
    assert!(network_differences(&body(&request()), &other).is_empty());
    let v6 = CreateNetworkRequest { pools: vec![pool("fd00:0::/64")], ..request() };
    assert!(network_differences(&body(&v6), &other).is_empty());
}

#[test]
fn each_difference_is_named_with_both_sides() {
    let mut other = inspected();
    other["Driver"] = json!("macvlan");
    other["Internal"] = json!(false);
    other["Labels"] = json!({});
    other["Options"] = json!({"com.docker.network.driver.mtu": "1500"});
    other["IPAM"]["Config"][0]["Gateway"] = json!("10.1.0.1");
    other["IPAM"]["Config"][0]["IPRange"] = Value::Null;
    other["IPAM"]["Config"][0]["AuxiliaryAddresses"] = Value::Null;
    assert_eq!(
        network_differences(&body(&request()), &other),
        [
            "driver: here macvlan, asked bridge",
            "internal: here false, asked true",
            "gateway of 10.1.0.0/16: here 10.1.0.1, asked 10.1.0.254",
            "range of 10.1.0.0/16: here unset, asked 10.1.2.0/24",
            "auxiliary address router of 10.1.0.0/16: here unset, asked 10.1.0.2",
            "option com.docker.network.driver.mtu: here \"1500\", asked \"1400\"",
            "label env: here unset, asked \"prod\"",
        ]
    );
    other["IPAM"]["Config"][0]["Subnet"] = json!("10.2.0.0/16");
    let found = network_differences(&body(&request()), &other);
    assert!(found.contains(&"subnet: here 10.2.0.0/16, asked 10.1.0.0/16".to_owned()), "{found:?}");
    let longer = CreateNetworkRequest { pools: vec![pool("10.2.0.0/17")], ..request() };
    let found = network_differences(&body(&longer), &other);
    assert!(found.contains(&"subnet: here 10.2.0.0/16, asked 10.2.0.0/17".to_owned()), "{found:?}");
}

#[test]
fn bad_fields_are_all_named() {
    let wrong = CreateNetworkRequest {
        name: "host".into(),
        driver: "a b".into(),
        ipam_driver: "a\n".into(),
        labels: [(String::new(), String::new())].into(),
        ..Default::default()
    };
    assert_eq!(fields(&wrong), ["name", "driver", "ipam_driver", "labels"]);
    for (wrong, field) in [
        (pool(""), "pools[0].subnet"),
        (pool("10.1.0.0"), "pools[0].subnet"),
        (pool("10.1.0.0/33"), "pools[0].subnet"),
        (pool("fd00::/129"), "pools[0].subnet"),
        (NetworkPool { gateway: "10.2.0.1".into(), ..pool("10.1.0.0/16") }, "pools[0].gateway"),
        (NetworkPool { gateway: "fd00::1".into(), ..pool("0.0.0.0/0") }, "pools[0].gateway"),
        (NetworkPool { ip_range: "10.0.0.0/8".into(), ..pool("10.1.0.0/16") }, "pools[0].ip_range"),
        (NetworkPool { ip_range: "x".into(), ..pool("10.1.0.0/16") }, "pools[0].ip_range"),
        (
            NetworkPool {
                auxiliary_addresses: [("a".into(), "1.1.1.1".into())].into(),
                ..pool("10.1.0.0/16")
            },
            "pools[0].auxiliary_addresses",
        ),
    ] {
        let request = CreateNetworkRequest { pools: vec![wrong], ..request() };
        assert_eq!(fields(&request), [field], "{request:?}");
    }
    let twice = vec![pool("10.0.0.0/8"), pool("10.1.0.0/16")];
    assert_eq!(fields(&CreateNetworkRequest { pools: twice, ..request() }), ["pools[1].subnet"]);
}

fn connect(attachment: NetworkAttachment, links: &[&str]) -> ConnectNetworkRequest {
    ConnectNetworkRequest {
        network: Some(attachment),
        container: "web".into(),
        links: links.iter().map(|&link| link.to_owned()).collect(),
        ..Default::default()
    }
}

#[test]
fn an_endpoint_is_compared_in_what_was_asked_for() {
    let attachment = NetworkAttachment {
        name: "front".into(),
        aliases: vec!["www".into()],
        ipv4_address: "10.1.0.5".into(),
        mac_address: "02:42:0A:00:00:05".into(),
        driver_options: [("a".into(), "b".into())].into(),
        ..Default::default()
    };
    let mut violations = Violations::default();
    let asked = connection(&connect(attachment, &["db:store"]), &mut violations).unwrap();
    assert_eq!(violations.count(), 0);
    let mut here = json!({
        "IPAMConfig": {"IPv4Address": "10.1.0.5"}, "Links": ["db:store"], "DriverOpts": {"a": "b"},
        "Aliases": ["www", "0123456789ab"], "MacAddress": "02:42:0a:00:00:05",
    });
    assert!(endpoint_differences(&asked.endpoint, &here).is_empty());
    here["IPAMConfig"] = Value::Null;
    here["IPAddress"] = json!("10.1.0.5");
    assert!(endpoint_differences(&asked.endpoint, &here).is_empty(), "it has the address");
    here["IPAddress"] = json!("10.1.0.6");
    here["Aliases"] = Value::Null;
    here["DNSNames"] = json!(["web"]);
    here["Links"] = Value::Null;
    assert_eq!(
        endpoint_differences(&asked.endpoint, &here),
        [
            "IPv4 address: here 10.1.0.6, asked 10.1.0.5",
            "alias: here unset, asked www",
            "link: here unset, asked db:store",
        ]
    );
    let bare = connect(NetworkAttachment { name: "front".into(), ..Default::default() }, &[]);
    let bare = connection(&bare, &mut violations).unwrap();
    assert!(endpoint_differences(&bare.endpoint, &here).is_empty());
}

#[test]
fn a_container_is_found_in_its_networks_by_name_and_by_id() {
    let container = json!({"NetworkSettings": {"Networks": {
        "front": {"NetworkID": "77"}, "88": {"NetworkID": ""},
    }}});
    assert!(endpoint_in(&container, "front", None).is_some());
    assert!(endpoint_in(&container, "renamed", Some("77")).is_some());
    assert!(endpoint_in(&container, "back", Some("88")).is_some());
    assert!(endpoint_in(&container, "back", Some("99")).is_none());
    assert!(endpoint_in(&json!({}), "front", None).is_none());
    let network = json!({"Containers": {"0123": {"Name": "web"}}});
    assert!(has_endpoint_of(&network, "web") && has_endpoint_of(&network, "0123"));
    assert!(!has_endpoint_of(&network, "we") && !has_endpoint_of(&json!({}), "web"));
}

#[test]
fn what_no_endpoint_can_have_is_refused() {
    let named = |name: &str| NetworkAttachment { name: name.into(), ..Default::default() };
    let wrong_address = NetworkAttachment { ipv4_address: "x".into(), ..named("front") };
    let on_bridge = NetworkAttachment { aliases: vec!["a".into()], ..named("bridge") };
    for (request, field) in [
        (connect(named(""), &[]), "network.name"),
        (connect(named("a/b"), &[]), "network.name"),
        (connect(named("host"), &[]), "network.name"),
        (connect(wrong_address, &[]), "network.ipv4_address"),
        (connect(on_bridge, &[]), "network.aliases"),
        (connect(named("front"), &["a:b:c"]), "links[0]"),
        (
            ConnectNetworkRequest { container: String::new(), ..connect(named("f"), &[]) },
            "container",
        ),
    ] {
        let mut violations = Violations::default();
        connection(&request, &mut violations);
        let found = violations.or(()).expect_err("it is wrong");
        assert_eq!(found[0].field, field, "{request:?}");
    }
}
