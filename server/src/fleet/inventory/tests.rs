use std::path::Path;

use super::*;
use crate::domain::{Secret, Transport};
use crate::store::StoreOptions;

async fn store(directory: &Path) -> Store {
    let options = StoreOptions { data_dir: directory.to_owned(), secret_key_file: None };
    Store::open(&options).await.unwrap()
}

async fn inventory(directory: &Path, file: FileHosts) -> Inventory {
    Inventory::open(store(directory).await, file).await.unwrap()
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789)
}

fn name(text: &str) -> HostName {
    HostName::parse(text).unwrap()
}

fn labels(text: &str) -> Labels {
    Labels::from_pairs(text.split_terminator(',').map(|pair| pair.split_once('=').unwrap()))
        .unwrap()
}

fn address(text: &str) -> HostAddress {
    HostAddress::parse(text, Transport::Plain).unwrap()
}

fn new_host(text: &str) -> NewHost {
    NewHost {
        name: name(text),
        address: address(&format!("unix:///run/{text}.sock")),
        labels: labels("env=prod"),
        tls: NewTls::Plain,
        insecure: false,
    }
}

fn material() -> TlsMaterial {
    let ca = rcgen::generate_simple_self_signed(["web1".to_owned()]).unwrap().cert.pem();
    TlsMaterial::new(ca, "", Secret::new("")).unwrap()
}

fn file(hosts: &[(&str, &str)], groups: &[(&str, &TlsMaterial)]) -> FileHosts {
    let hosts = hosts.iter().map(|(host, at)| Host {
        name: name(host),
        address: address(at),
        labels: Labels::default(),
        source: HostSource::File,
        tls: None,
        insecure: false,
        created_at: None,
    });
    FileHosts {
        path: Some("/etc/wharf/wharfd.toml".into()),
        hosts: hosts.map(|host| (host.name.clone(), host)).collect(),
        tls_groups: groups
            .iter()
            .map(|(group, material)| ((*group).to_owned(), Arc::new((*material).clone())))
            .collect(),
    }
}

fn names(inventory: &Inventory) -> Vec<String> {
    inventory.snapshot().hosts().map(|host| host.name.to_string()).collect()
}

#[tokio::test]
async fn changes_are_seen_at_once_and_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let last = {
        let inventory = inventory(directory.path(), FileHosts::default()).await;
        let first = inventory.snapshot();
        for text in ["web1", "web2", "web3"] {
            inventory.add(new_host(text), now()).await.unwrap();
        }
        assert!(first.is_empty(), "a snapshot never changes");
        let changed = inventory
            .update_labels(
                vec![name("web2"), name("web1")],
                labels("tier=web,zone=a"),
                vec![LabelKey::parse("env").unwrap(), LabelKey::parse("zone").unwrap()],
            )
            .await
            .unwrap();
        assert_eq!(changed.iter().map(|h| h.name.as_str()).collect::<Vec<_>>(), ["web1", "web2"]);
        assert_eq!(changed[0].labels, labels("tier=web,zone=a"));
        assert!(inventory.remove(name("web3")).await.unwrap());
        assert!(!inventory.remove(name("web3")).await.unwrap());
        assert_eq!(names(&inventory), ["web1", "web2"]);
        inventory.snapshot()
    };
    let inventory = inventory(directory.path(), FileHosts::default()).await;
    let again: Vec<_> = inventory.snapshot().hosts().cloned().collect();
    assert_eq!(again, last.hosts().cloned().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_host_has_no_more_labels_than_a_page_of_hosts_can_hold() {
    let directory = tempfile::tempdir().unwrap();
    let inventory = inventory(directory.path(), FileHosts::default()).await;
    let some = |range: std::ops::Range<usize>| {
        labels(&range.map(|i| format!("k{i}=v,")).collect::<String>())
    };
    let crowded = NewHost { labels: some(0..MOST_LABELS + 1), ..new_host("web1") };
    let error = inventory.add(crowded, now()).await.unwrap_err();
    assert!(matches!(error, InventoryError::TooManyLabels(_)), "{error}");
    let full = NewHost { labels: some(0..MOST_LABELS), ..new_host("web1") };
    inventory.add(full.clone(), now()).await.unwrap();
    inventory.add(new_host("web2"), now()).await.unwrap();
    let both = || vec![name("web1"), name("web2")];
    let error = inventory.update_labels(both(), labels("more=v"), Vec::new()).await.unwrap_err();
    assert!(error.to_string().contains("web1"), "{error}");
    let snapshot = inventory.snapshot();
    assert_eq!(snapshot.get(&name("web2")).unwrap().labels, labels("env=prod"), "all or none");
    // A label that takes the place of another is no more.
    inventory.update_labels(both(), labels("k0=w"), Vec::new()).await.unwrap();
}

#[tokio::test]
async fn adding_twice_is_fine_and_adding_another_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let known = file(&[("filed", "unix:///run/filed.sock")], &[]);
    let inventory = inventory(directory.path(), known).await;
    let first = inventory.add(new_host("web1"), now()).await.unwrap();
    let again = inventory.add(new_host("web1"), now() + Duration::from_secs(9)).await.unwrap();
    assert_eq!(first, again);

    let other = NewHost { labels: Labels::default(), ..new_host("web1") };
    let refused = inventory.add(other, now()).await.unwrap_err();
    assert!(matches!(&refused, InventoryError::Exists(taken) if *taken == name("web1")));
    let same_as_filed = NewHost { labels: Labels::default(), ..new_host("filed") };
    assert_eq!(inventory.add(same_as_filed, now()).await.unwrap().source, HostSource::File);
    let refused = inventory.add(new_host("filed"), now()).await.unwrap_err();
    assert!(matches!(refused, InventoryError::Exists(_)));
}

#[tokio::test]
async fn plain_tcp_to_another_machine_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let inventory = inventory(directory.path(), FileHosts::default()).await;
    let plain = NewHost { address: address("tcp://10.0.0.5:2375"), ..new_host("web1") };
    let refused = inventory.add(plain.clone(), now()).await.unwrap_err();
    assert!(matches!(refused, InventoryError::Host(HostError::PlainTcp(_))));
    assert!(inventory.snapshot().is_empty());
    inventory.add(NewHost { insecure: true, ..plain }, now()).await.unwrap();
}

#[tokio::test]
async fn hosts_of_the_file_are_changed_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let known = file(&[("filed", "unix:///run/f.sock")], &[]);
    let inventory = inventory(directory.path(), known).await;
    inventory.add(new_host("web1"), now()).await.unwrap();
    let before = inventory.snapshot();

    let refused = inventory.remove(name("filed")).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "host filed comes from /etc/wharf/wharfd.toml and cannot be changed over the API; change the file and send SIGHUP to wharfd"
    );
    let both = vec![name("web1"), name("filed")];
    let refused = inventory.update_labels(both, labels("a=b"), vec![]).await.unwrap_err();
    assert!(matches!(refused, InventoryError::ReadOnly { hosts, .. } if hosts == [name("filed")]));
    let refused = inventory.update_labels(vec![name("gone")], labels("a=b"), vec![]).await;
    assert!(matches!(refused, Err(InventoryError::NotFound(_))));
    assert_eq!(inventory.snapshot(), before, "all or none");
}

#[tokio::test]
async fn a_host_of_the_file_hides_one_of_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let inventory = inventory(directory.path(), FileHosts::default()).await;
    inventory.add(new_host("web1"), now()).await.unwrap();
    inventory.reload_file(file(&[("web1", "unix:///other.sock")], &[])).await.unwrap();
    let snapshot = inventory.snapshot();
    assert_eq!(snapshot.get(&name("web1")).unwrap().source, HostSource::File);
    assert!(snapshot.warnings(&name("web1"))[0].contains("added over the API"));

    inventory.reload_file(file(&[], &[])).await.unwrap();
    let snapshot = inventory.snapshot();
    assert_eq!(snapshot.get(&name("web1")).unwrap().source, HostSource::Api);
    assert!(snapshot.warnings(&name("web1")).is_empty());
}

#[tokio::test]
async fn a_shared_address_is_pointed_out() {
    let directory = tempfile::tempdir().unwrap();
    let known = file(
        &[("a", "unix:///x"), ("b", "unix:///x"), ("c", "unix:///x"), ("d", "unix:///y")],
        &[],
    );
    let inventory = inventory(directory.path(), known).await;
    let snapshot = inventory.snapshot();
    assert_eq!(snapshot.warnings(&name("b")), ["a, c also has the address unix:///x"]);
    assert!(snapshot.warnings(&name("d")).is_empty());
}

#[tokio::test]
async fn a_changed_file_says_what_it_changed_and_whose_connections_go() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (material(), material());
    let start = file(&[("gone", "unix:///g"), ("moved", "unix:///m")], &[("prod", &old)]);
    let inventory = inventory(directory.path(), start).await;
    let mut following = inventory.subscribe();
    let grouped = NewHost {
        address: address("tcp://10.0.0.5:2376"),
        tls: NewTls::Group("prod".to_owned()),
        ..new_host("grouped")
    };
    inventory.add(grouped, now()).await.unwrap();
    inventory.add(new_host("kept"), now()).await.unwrap();
    let before = following.borrow_and_update().clone();

    let next = file(&[("moved", "unix:///m2"), ("fresh", "unix:///f")], &[("prod", &new)]);
    let reloaded = inventory.reload_file(next).await.unwrap();
    assert_eq!(reloaded.added, [name("fresh")]);
    assert_eq!(reloaded.changed, [name("grouped"), name("moved")]);
    assert_eq!(reloaded.removed, [name("gone")]);

    assert!(following.has_changed().unwrap());
    let after = following.borrow_and_update().clone();
    assert_eq!(after.generation(), before.generation() + 1);
    let same = |host: &str| {
        after.get(&name(host)).unwrap().same_connection(before.get(&name(host)).unwrap())
    };
    assert!(!same("grouped") && !same("moved") && same("kept"));
    let kept = name("kept");
    assert!(Arc::ptr_eq(after.get(&kept).unwrap(), before.get(&kept).unwrap()));
}

#[tokio::test]
async fn a_group_in_use_cannot_be_lost() {
    let directory = tempfile::tempdir().unwrap();
    let group = material();
    let inventory = inventory(directory.path(), file(&[], &[("prod", &group)])).await;
    let address = address("tcp://10.0.0.5:2376");
    let tls = NewTls::Group("test".to_owned());
    let wrong = NewHost { address: address.clone(), tls, ..new_host("web1") };
    let refused = inventory.add(wrong, now()).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "no certificate group \"test\"; the configuration file has prod"
    );
    let tls = NewTls::Group("prod".to_owned());
    inventory.add(NewHost { address, tls, ..new_host("web1") }, now()).await.unwrap();
    let before = inventory.snapshot();

    let refused = inventory.reload_file(file(&[("a", "unix:///a")], &[])).await.unwrap_err();
    assert!(refused.to_string().contains("add [tls.prod] again"), "{refused}");
    assert_eq!(inventory.snapshot(), before, "the old file stays in force");

    drop(inventory);
    let reopened = Inventory::open(store(directory.path()).await, FileHosts::default()).await;
    assert!(matches!(reopened, Err(InventoryError::GroupMissing { .. })));
}

#[tokio::test]
async fn the_local_socket_is_taken_in_only_where_nothing_is_known() {
    let socket = || UnixPath::parse("/var/run/docker.sock").unwrap();
    let directory = tempfile::tempdir().unwrap();
    {
        let inventory = inventory(directory.path(), FileHosts::default()).await;
        let local = inventory.take_in_local(socket(), now()).await.unwrap().unwrap();
        assert_eq!((local.name.as_str(), local.source), ("local", HostSource::Local));
        assert_eq!(inventory.take_in_local(socket(), now()).await.unwrap(), None);
        inventory.add(new_host("web1"), now()).await.unwrap();
    }
    let inventory = inventory(directory.path(), FileHosts::default()).await;
    assert_eq!(names(&inventory), ["local", "web1"], "it does not vanish when others come");
    assert!(inventory.remove(name("local")).await.unwrap());
    assert_eq!(inventory.take_in_local(socket(), now()).await.unwrap(), None);
}

#[tokio::test]
async fn racing_callers_agree_with_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let inventory = inventory(directory.path(), FileHosts::default()).await;
    let attempts = (0..20).map(|index| {
        let inventory = inventory.clone();
        tokio::spawn(async move {
            let text = format!("web{}", index % 5);
            if index % 3 == 0 {
                inventory.remove(name(&text)).await.map(|_| ()).unwrap();
            } else {
                inventory.add(new_host(&text), now()).await.map(|_| ()).unwrap();
            }
        })
    });
    for attempt in attempts.collect::<Vec<_>>() {
        attempt.await.unwrap();
    }
    let stored = inventory.shared.store.hosts().await.unwrap();
    let stored: Vec<_> = stored.iter().map(|host| host.name.to_string()).collect();
    assert_eq!(names(&inventory), stored);
}
