use serde_json::{Value, json};

use super::bodies::{body, container, host, made, old, options};
use crate::engine::ContainerFacts;
use crate::engine::{FileChange, FileChangeKind};
use crate::rollout::recreate::{Options, recreate, twin};
use crate::rollout::spec::{AnonymousVolumes, Change};

fn volume(name: &str, target: &str, writable: bool) -> Value {
    json!({
        "Type": "volume", "Name": name, "Source": format!("/var/lib/{name}"),
        "Destination": target, "RW": writable,
    })
}

fn with_volumes() -> Value {
    json!({
        "Mounts": [
            volume("v-tree", "/tree", true),
            volume("v-data", "/data", true),
            volume("named", "/named", true),
            volume("v-ro", "/ro", false),
            {"Type": "bind", "Source": "/etc", "Destination": "/host", "RW": true},
        ],
        "Config": {"Volumes": {"/data/": {}, "/ro": {}}},
        "HostConfig": {
            "Binds": ["named:/named:rw", "/etc:/host"],
            "Mounts": [{"Type": "volume", "Target": "/tree"}],
        },
    })
}

#[test]
fn c24_anonymous_volumes_get_their_names() {
    let recreated = made(&old(with_volumes(), json!({})), &host(41), &Change::default());
    assert_eq!(
        recreated.body["HostConfig"]["Mounts"],
        json!([
            {"Type": "volume", "Source": "v-data", "Target": "/data"},
            {"Type": "volume", "Source": "v-ro", "Target": "/ro", "ReadOnly": true},
            {"Type": "volume", "Target": "/tree", "Source": "v-tree"},
        ])
    );
    assert_eq!(recreated.body.get("Volumes"), None);
    assert_eq!(recreated.inherited_volumes, ["v-data", "v-ro", "v-tree"]);
    assert_eq!(recreated.body["HostConfig"]["Binds"], json!(["named:/named:rw", "/etc:/host"]));
}

#[test]
fn c24_renewed_volumes_are_asked_for_as_before() {
    let renew = Options { anonymous_volumes: AnonymousVolumes::Renew, ..options() };
    let old = old(with_volumes(), json!({}));
    let recreated = recreate(&old, &host(41), &Change::default(), &renew).unwrap();
    assert_eq!(recreated.body["Volumes"], json!({"/data/": {}, "/ro": {}}));
    assert_eq!(
        recreated.body["HostConfig"]["Mounts"],
        json!([{"Type": "volume", "Target": "/tree"}])
    );
    assert_eq!(recreated.inherited_volumes, [""; 0]);
    assert_eq!(recreated.diff.len(), 5, "{:?}", recreated.diff);
}

/// A container that was recreated mounts them under the names that the Engine made up.
#[test]
fn c24_volumes_that_were_kept_once_are_renewed_and_named_ones_stay() {
    let renew = Options { anonymous_volumes: AnonymousVolumes::Renew, ..options() };
    let made_up = "0123456789abcdef".repeat(4);
    let own = json!({
        "Mounts": [volume(&made_up, "/data", true), volume("db", "/db", true)],
        "HostConfig": {"Mounts": [
            {"Type": "volume", "Source": made_up, "Target": "/data"},
            {"Type": "volume", "Source": "db", "Target": "/db"},
        ]},
    });
    let old = old(own, json!({}));
    let kept = made(&old, &host(41), &Change::default()).body;
    assert_eq!(kept["HostConfig"]["Mounts"][0]["Source"], made_up.as_str());
    let renewed = recreate(&old, &host(41), &Change::default(), &renew).unwrap();
    assert_eq!(
        renewed.body["HostConfig"]["Mounts"],
        json!([
            {"Type": "volume", "Target": "/data"},
            {"Type": "volume", "Source": "db", "Target": "/db"},
        ])
    );
}

#[test]
fn c24_volumes_of_another_container_are_taken_from_it_while_it_is_there() {
    let own = json!({
        "Mounts": [volume("shared", "/shared", true)],
        "HostConfig": {"VolumesFrom": ["source:ro"]},
    });
    let mut with_source = host(41);
    with_source.containers.push(ContainerFacts::read(&json!({
        "Id": "c".repeat(64), "Name": "/source", "Mounts": [volume("shared", "/shared", true)],
    })));
    let found = made(&old(own.clone(), json!({})), &with_source, &Change::default()).body;
    assert_eq!(found["HostConfig"]["VolumesFrom"], json!(["source:ro"]));
    assert_eq!(found["HostConfig"].get("Mounts"), None);
    let found = made(&old(own, json!({})), &host(41), &Change::default()).body;
    assert_eq!(found["HostConfig"]["VolumesFrom"], json!([]));
    assert_eq!(found["HostConfig"]["Mounts"][0]["Source"], "shared");
}

#[test]
fn c24_a_volume_that_the_change_replaces_is_not_inherited() {
    let change = Change { unset: vec!["volumes./data".to_owned()], ..Change::default() };
    let recreated = made(&old(with_volumes(), json!({})), &host(41), &change);
    assert_eq!(recreated.inherited_volumes, ["v-ro", "v-tree"]);
}

#[test]
fn c25_only_files_of_its_own_count_as_lost() {
    let change = |kind, path: &str| FileChange { kind, path: path.to_owned() };
    let mut old = old(with_volumes(), json!({}));
    old.changes = Some(vec![
        change(FileChangeKind::Modified, "/etc"),
        change(FileChangeKind::Modified, "/etc/hosts"),
        change(FileChangeKind::Added, "/data"),
        change(FileChangeKind::Added, "/data/x"),
        change(FileChangeKind::Modified, "/var"),
        change(FileChangeKind::Modified, "/var/lib"),
        change(FileChangeKind::Added, "/var/lib/app.db"),
        change(FileChangeKind::Deleted, "/opt/file"),
        change(FileChangeKind::Added, "/database"),
    ]);
    let recreated = made(&old, &host(41), &Change::default());
    let lost = "3 paths changed in its own layer are lost: /database, /opt/file, /var/lib/app.db";
    assert!(recreated.risks.iter().any(|risk| risk == lost), "{:?}", recreated.risks);
    old.changes = None;
    let recreated = made(&old, &host(41), &Change::default());
    assert!(recreated.risks.iter().any(|risk| risk.contains("does not report which files")));
}

#[test]
fn c25_temporary_files_are_named_last_and_none_is_hidden() {
    let mut old = old(with_volumes(), json!({}));
    let paths = [
        "/run/a.pid",
        "/tmp",
        "/tmp/b",
        "/tmp/c",
        "/tmpl",
        "/var/cache/d",
        "/var/log/e",
        "/x.conf",
    ];
    let added = |path: &&str| FileChange { kind: FileChangeKind::Added, path: (*path).to_owned() };
    old.changes = Some(paths.iter().map(added).collect());
    let recreated = made(&old, &host(41), &Change::default());
    let sorted =
        ["/tmpl", "/x.conf", "/run/a.pid", "/tmp/b", "/tmp/c", "/var/cache/d", "/var/log/e"];
    assert_eq!(recreated.lost_paths, sorted);
    let line =
        "7 paths changed in its own layer are lost: /tmpl, /x.conf, /run/a.pid, /tmp/b, /tmp/c, …";
    assert!(recreated.risks.iter().any(|risk| risk == line), "{:?}", recreated.risks);
}

#[test]
fn c30_a_twin_is_the_container_without_its_self_removal() {
    let mut own = with_volumes();
    own["HostConfig"]["AutoRemove"] = json!(true);
    let old = old(own, json!({}));
    let stand_in = twin(&old, &host(41)).unwrap();
    let mut itself = made(&old, &host(41), &Change::default()).body;
    itself["HostConfig"]["AutoRemove"] = json!(false);
    assert_eq!(stand_in.body, itself);
}

#[test]
fn c24_the_same_target_twice_is_refused() {
    let change = Change {
        merge_patch: Some(json!({"HostConfig": {"Tmpfs": {"/data/": ""}}})),
        ..Change::default()
    };
    let refusals = recreate(&old(with_volumes(), json!({})), &host(41), &change, &options())
        .expect_err("the Engine refuses it");
    assert!(refusals[0].message.contains("\"/data\" is mounted twice, in Mounts and Tmpfs"));
    // What the container itself has does not fail.
    assert!(body(with_volumes(), json!({})).is_object());
    assert!(container(json!({})).is_object());
}
