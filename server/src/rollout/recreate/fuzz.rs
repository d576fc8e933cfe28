//! Fuzz targets: an inspection is what an Engine likes to send, and a change what a caller likes.
//! Neither makes the plan panic. See `engine/fuzz.rs`.

use bolero::check;
use serde_json::Value;
use wharf_fuzz::{edited, edited_text};

use super::*;
use crate::engine::{ApiVersion, ContainerFacts, Inspection};

const INSPECTIONS: [&str; 2] = [
    r#"{"Id":"aaaaaaaaaaaabbbbbbbbbbbbccccccccccccddddddddddddeeeeeeeeeeeeffff","Name":"/web","Image":"sha256:11","State":{"Running":true,"Health":{"Status":"healthy"}},"Mounts":[{"Type":"volume","Name":"ab","Destination":"/data","RW":true}],"Config":{"Hostname":"aaaaaaaaaaaa","Image":"app:v1","Env":["A=1"],"Cmd":["sh"],"Labels":{"a":"b"},"ExposedPorts":{"80/tcp":{}},"Volumes":{"/data":{}},"Healthcheck":{"Test":["CMD","true"],"Interval":1000000000}},"HostConfig":{"NetworkMode":"front","Memory":5,"MemorySwap":10,"Binds":["/srv:/srv:ro"],"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}]},"Links":["/db:/web/db"],"RestartPolicy":{"Name":"always"},"LogConfig":{"Type":"json-file","Config":{}},"VolumesFrom":["db:ro"]},"NetworkSettings":{"Networks":{"front":{"NetworkID":"n1","Aliases":["aaaaaaaaaaaa","web"],"IPAMConfig":{"IPv4Address":"10.0.0.5"},"MacAddress":"02:42:0a:00:00:05"},"bridge":{}}}}"#,
    r#"{"Id":"bb","Name":"/db","Config":null,"HostConfig":{"NetworkMode":"container:web","AutoRemove":true},"NetworkSettings":null,"Mounts":null}"#,
];

const IMAGE: &str = r#"{"Id":"sha256:11","Os":"linux","Architecture":"amd64","Config":{"Env":["A=1","PATH=/bin"],"Cmd":["sh"],"Labels":{"a":"b"},"Volumes":{"/data":{}},"ExposedPorts":{"80/tcp":{}}}}"#;

fn host(containers: Vec<ContainerFacts>) -> HostFacts {
    HostFacts { api_version: ApiVersion::new(1, 44), containers, ..super::tests::bodies::host(44) }
}

#[test]
fn fuzz_recreate() {
    check!().for_each(|bytes: &[u8]| {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let Ok(inspect) = serde_json::from_slice::<Value>(&edited(first, &INSPECTIONS)) else {
            return;
        };
        let image = serde_json::from_slice(&edited(second, &[IMAGE])).ok();
        let inspect = Inspection::of(inspect);
        let old = OldContainer { inspect, image, named_image: None, changes: None };
        let other = serde_json::from_str(INSPECTIONS[1]).unwrap();
        let host = host(vec![old.inspect.facts.clone(), ContainerFacts::read(&other)]);
        let options = super::tests::bodies::options();
        if let Ok(made) = recreate(&old, &host, &Change::default(), &options) {
            assert!(made.body.is_object() && made.spec_sha.len() == 64);
            let _ = compare(&made.body, &old.inspect.json);
        }
        let _ = twin(&old, &host);
        let _ = (old_facts(&old, &host), dependents_of(&old, &host));
        let _ = has_health_check(&old.inspect.json, old.image.as_ref());
    });
}

#[test]
fn fuzz_unset() {
    let seeds = [
        "env.A\nlabels.a\nports.80/tcp\nvolumes./data",
        "networks.front\nmemory_bytes\nnetwork\ncommand",
        "network_aliases.web\nlog_options.x\nulimits.nofile\nextra_hosts.a\nenv.\nenw.A",
    ];
    let inspect = Inspection::of(serde_json::from_str(INSPECTIONS[0]).unwrap());
    let image = serde_json::from_str(IMAGE).ok();
    let old = OldContainer { inspect, image, named_image: None, changes: None };
    let host = host(vec![old.inspect.facts.clone()]);
    check!().for_each(|bytes: &[u8]| {
        let text = edited_text(bytes, &seeds);
        let unset: Vec<String> = text.lines().map(str::to_owned).collect();
        let wrong = check_unset(&unset);
        for violation in &wrong {
            let line = violation.to_string();
            assert!(!line.chars().any(crate::domain::is_invisible), "{line:?}");
        }
        let change = Change { unset, ..Change::default() };
        let made = recreate(&old, &host, &change, &super::tests::bodies::options());
        assert!(wrong.is_empty() || made.is_err(), "{text:?}");
    });
}
