//! The contract of the store, on real files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::domain::{
    Annotations, ContainerName, HostAddress, HostName, HostSource, Labels, RegistryHost,
    RegistryLogin, Secret, TlsMaterial, Transport,
};

use crate::memory_journal::MemoryJournal;
use crate::rollout::journal::{Journal, NewRollout, NewSecret, SecretKind};
use crate::rollout::model::{
    DependentPlan, Event, HostPlan, Millis, Phase, Plan, Record, RolloutId, TargetKind,
};
use crate::rollout::spec::Policy;

const CANARY: &str = "correct-horse-battery-staple";

pub(super) fn options(directory: &Path) -> StoreOptions {
    StoreOptions { data_dir: directory.to_owned(), secret_key_file: None }
}

pub(super) async fn open(directory: &Path) -> Store {
    Store::open(&options(directory)).await.unwrap()
}

pub(super) async fn refusal(options: &StoreOptions) -> String {
    match Store::open(options).await {
        Ok(_) => panic!("the store opened"),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains('\n'), "{text}");
            text
        }
    }
}

pub(super) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(super) fn name(text: &str) -> HostName {
    HostName::parse(text).unwrap()
}

pub(super) fn host(text: &str, tls: StoredTls) -> StoredHost {
    StoredHost {
        name: name(text),
        source: HostSource::Api,
        address: HostAddress::parse("tcp://10.0.0.5:2376", Transport::Tls).unwrap(),
        labels: Labels::from_pairs([("env", "prod"), ("example.com/role", "web")]).unwrap(),
        tls,
        insecure: true,
        created_at: at(1_700_000_000) + Duration::from_millis(7),
    }
}

pub(super) fn material() -> TlsMaterial {
    let made = rcgen::generate_simple_self_signed(["web1".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    TlsMaterial::new(&*certificate, &*certificate, Secret::new(key)).unwrap()
}

pub(super) fn login(registry: &str, password: &str) -> RegistryLogin {
    let registry = RegistryHost::parse(registry).unwrap();
    RegistryLogin::new(registry, "ann", Secret::new(password), Secret::new("")).unwrap()
}

fn request(request_id: &str) -> NewOperation<'_> {
    let method = "/wharf.v1.ImageService/PullImages";
    NewOperation { request_id, principal: "ann", method, request_sha256: [7; 32] }
}

/// Everything in the data directory but the key.
fn bytes_on_disk(directory: &Path) -> Vec<u8> {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.file_name().unwrap() != "secret.key");
    files.flat_map(|path| fs::read(path).unwrap()).collect()
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[tokio::test]
async fn hosts_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let own = host("own", StoredTls::Own(Arc::new(material())));
    let group = host("group", StoredTls::Group("prod".to_owned()));
    let mut local = host("local", StoredTls::Plain);
    local.source = HostSource::Local;
    local.insecure = false;
    let epoch = {
        let store = open(directory.path()).await;
        for host in [&own, &group, &local] {
            store.insert_host(host).await.unwrap();
        }
        store.epoch()
    };
    let store = open(directory.path()).await;
    assert_eq!(store.hosts().await.unwrap(), [group, local, own]);
    assert_eq!(store.epoch(), epoch);
}

#[tokio::test]
async fn a_directory_that_everybody_may_write_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("data");
    drop(open(&directory).await);
    // Sticky or not: whoever may make files there may make ours before we do.
    for mode in [0o777, 0o1777, 0o702] {
        fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
        let text = refusal(&options(&directory)).await;
        assert!(text.contains("chmod o-w"), "{mode:o}: {text}");
    }
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    drop(open(&directory).await);
}

#[tokio::test]
async fn a_taken_name_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let first = host("web1", StoredTls::Plain);
    store.insert_host(&first).await.unwrap();
    let second = host("web1", StoredTls::Own(Arc::new(material())));
    let refused = store.insert_host(&second).await.unwrap_err();
    assert!(matches!(refused, StoreError::HostTaken(taken) if taken == first.name));
    assert_eq!(store.hosts().await.unwrap(), [first]);
}

#[tokio::test]
async fn labels_of_many_hosts_change_together_and_leave_with_them() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    for text in ["web1", "web2"] {
        store.insert_host(&host(text, StoredTls::Plain)).await.unwrap();
    }
    let labels = Labels::from_pairs([("tier", "db")]).unwrap();
    let change = ["web1", "web2", "gone"].map(|text| (name(text), labels.clone()));
    store.set_host_labels(&change.into()).await.unwrap();
    assert!(store.hosts().await.unwrap().iter().all(|host| host.labels == labels));

    assert!(store.remove_host(&name("web1")).await.unwrap());
    assert!(!store.remove_host(&name("web1")).await.unwrap());
    let without_labels = StoredHost { labels: Labels::default(), ..host("web1", StoredTls::Plain) };
    store.insert_host(&without_labels).await.unwrap();
    assert_eq!(store.hosts().await.unwrap()[0], without_labels, "old labels came back");
}

#[tokio::test]
async fn logins_survive_a_restart_sealed() {
    let directory = tempfile::tempdir().unwrap();
    let hub = RegistryHost::parse("docker.io").unwrap();
    let token = login("docker.io", "x").with_identity_token(Secret::new(CANARY));
    let key = material();
    let key_line = key.private_key_pem().unwrap().expose().lines().nth(1).unwrap().to_owned();
    {
        let store = open(directory.path()).await;
        store.put_login(&login("registry.example.com:5000", CANARY), at(1)).await.unwrap();
        store.put_login(&token, at(2)).await.unwrap();
        store.insert_host(&host("own", StoredTls::Own(Arc::new(key)))).await.unwrap();
        let written = bytes_on_disk(directory.path());
        assert!(contains(&written, "registry.example.com:5000"), "looked in the wrong place");
        assert!(!contains(&written, CANARY) && !contains(&written, &key_line));
        store.close().await;
    }
    assert!(!contains(&bytes_on_disk(directory.path()), CANARY));
    let store = open(directory.path()).await;
    assert_eq!(store.login(&hub).await.unwrap(), Some(token));
    let listed = store.logins().await.unwrap();
    let registry = RegistryHost::parse("registry.example.com:5000").unwrap();
    let ann = || "ann".to_owned();
    assert_eq!(listed, [(hub, ann(), at(2)), (registry.clone(), ann(), at(1))]);

    store.put_login(&login("registry.example.com:5000", "new"), at(3)).await.unwrap();
    let kept = store.login(&registry).await.unwrap();
    assert_eq!(kept, Some(login("registry.example.com:5000", "new")));
    assert!(store.remove_login(&registry).await.unwrap());
    assert!(!store.remove_login(&registry).await.unwrap());
    assert_eq!(store.login(&registry).await.unwrap(), None);
}

#[tokio::test]
async fn a_login_moved_to_another_registry_does_not_open() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    store.put_login(&login("registry.example.com", CANARY), at(1)).await.unwrap();
    sqlx::query("UPDATE registry_logins SET registry = 'evil.example.com'")
        .execute(store.pool())
        .await
        .unwrap();
    let moved = RegistryHost::parse("evil.example.com").unwrap();
    let error = store.login(&moved).await.unwrap_err();
    assert!(matches!(error, StoreError::Unsealable { .. }), "{error}");
}

#[tokio::test]
async fn a_retried_write_finds_what_was_done() {
    let directory = tempfile::tempdir().unwrap();
    {
        let store = open(directory.path()).await;
        assert_eq!(store.operation("r1").await.unwrap(), None);
        assert_eq!(store.begin_operation(request("r1"), at(10)).await.unwrap(), Begun::New);
        for host in ["web1", "web2"] {
            store.operation_host_begun("r1", host).await.unwrap();
        }
        store.operation_host_done("r1", "web1", b"fine").await.unwrap();
    }
    let store = open(directory.path()).await;
    let Begun::Again(stored) = store.begin_operation(request("r1"), at(20)).await.unwrap() else {
        panic!("the request was forgotten");
    };
    assert_eq!(stored.hosts["web1"], HostProgress::Done(b"fine".to_vec()));
    assert_eq!(stored.hosts["web2"], HostProgress::Begun);

    store.operation_host_done("r1", "web2", b"").await.unwrap();
    let stored = store.operation("r1").await.unwrap().unwrap();
    assert_eq!(stored.hosts["web2"], HostProgress::Done(Vec::new()));

    // It is worked on again: should the server die now, what the first try said holds no more.
    store.operation_host_begun("r1", "web1").await.unwrap();
    let stored = store.operation("r1").await.unwrap().unwrap();
    assert_eq!(stored.hosts["web1"], HostProgress::Begun);
}

#[tokio::test]
async fn another_request_under_a_used_id_is_found_out() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    store.begin_operation(request("r1"), at(1)).await.unwrap();
    for other in [
        NewOperation { principal: "bob", ..request("r1") },
        NewOperation { method: "/wharf.v1.ImageService/PushImages", ..request("r1") },
        NewOperation { request_sha256: [8; 32], ..request("r1") },
    ] {
        assert_eq!(store.begin_operation(other, at(2)).await.unwrap(), Begun::Different);
    }
    assert_eq!(store.begin_operation(request("r2"), at(2)).await.unwrap(), Begun::New);
}

#[tokio::test]
async fn of_two_callers_with_one_id_one_begins() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let attempts = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.begin_operation(request("r1"), at(1)).await.unwrap() })
    });
    let results = futures_util::future::join_all(attempts).await;
    let new = results.iter().filter(|begun| matches!(begun, Ok(Begun::New))).count();
    assert_eq!(new, 1);
}

#[tokio::test]
async fn old_writes_are_forgotten_with_their_hosts() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    for (request_id, time) in [("old", 10), ("new", 20)] {
        store.begin_operation(request(request_id), at(time)).await.unwrap();
        store.operation_host_done(request_id, "web1", b"x").await.unwrap();
    }
    assert_eq!(store.prune_operations(at(20)).await.unwrap(), 1);
    assert_eq!(store.operation("old").await.unwrap(), None);
    assert!(store.operation("new").await.unwrap().is_some());
    store.begin_operation(request("old"), at(30)).await.unwrap();
    assert!(store.operation("old").await.unwrap().unwrap().hosts.is_empty());
}

#[tokio::test]
async fn everything_made_is_private() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("deep/data");
    let store = open(&directory).await;
    store.insert_host(&host("web1", StoredTls::Plain)).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    let files: Vec<_> = fs::read_dir(&directory).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(files.len() >= 4, "{files:?}");
    for path in files {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn a_second_wharfd_is_kept_out_until_the_first_ends() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).await;
    let text = refusal(&options(directory.path())).await;
    assert!(text.contains(&format!("another wharfd (process {})", std::process::id())), "{text}");
    drop(first);
    open(directory.path()).await;
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("wharf.db");
    let content = "These are my notes, and not a database at all. ".repeat(40);
    fs::write(&path, &content).unwrap();
    let text = refusal(&options(directory.path())).await;
    assert!(text.contains("wharf.db: not a wharfd database"), "{text}");
    assert_eq!(fs::read_to_string(&path).unwrap(), content);
}

#[tokio::test]
async fn the_login_of_a_rollout_is_kept_until_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let memory = MemoryJournal::new(uuid::Uuid::from_u128(1));
    for journal in [&store as &dyn Journal, &memory] {
        let epoch = journal.take_over().await.unwrap();
        let id = RolloutId(uuid::Uuid::from_u128(2));
        let record = |event| Record { at: Millis(1), event };
        let secret = |kind| NewSecret { host: None, kind, text: "[]".to_owned() };
        let secrets = vec![secret(SecretKind::Login), secret(SecretKind::Request)];
        let rollout = NewRollout { secrets, ..rollout(2, "web", "alpha", &[]) };
        journal.create(epoch, rollout).await.unwrap();
        for (to, kept) in [(Phase::Running { wave: 0 }, true), (Phase::Succeeded, false)] {
            journal.append(epoch, id, &[record(Event::Phase { to, reason: None })]).await.unwrap();
            let login = journal.secret(id, None, SecretKind::Login).await.unwrap();
            assert_eq!(login.is_some(), kept);
        }
        assert!(journal.secret(id, None, SecretKind::Request).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn what_hangs_on_a_container_is_taken_as_long_as_its_rollout_lasts() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let memory = MemoryJournal::new(uuid::Uuid::from_u128(1));
    for journal in [&store as &dyn Journal, &memory] {
        let epoch = journal.take_over().await.unwrap();
        let create = async |number, container, host: &str, dependents: &[&str]| {
            journal.create(epoch, rollout(number, container, host, dependents)).await
        };
        create(1, "web", "alpha", &["side"]).await.unwrap();
        for (container, dependents) in [("side", &[][..]), ("db", &["side"])] {
            let said = create(2, container, "alpha", dependents).await.unwrap_err().to_string();
            assert!(said.starts_with("another rollout is changing side on alpha"), "{said}");
        }
        create(2, "side", "beta", &[]).await.unwrap();
        let first = RolloutId(uuid::Uuid::from_u128(1));
        let event = Event::Phase { to: Phase::Succeeded, reason: None };
        journal.append(epoch, first, &[Record { at: Millis(2), event }]).await.unwrap();
        create(3, "side", "alpha", &[]).await.unwrap();
    }
}

/// A rollout that restarts a container on a host with what depends on it.
pub(super) fn rollout(
    number: u128,
    container: &str,
    host: &str,
    dependents: &[&str],
) -> NewRollout {
    let host = HostName::parse(host).unwrap();
    let replaced =
        HostPlan { kind: TargetKind::Replace, start: true, ..HostPlan::skipped(String::new()) };
    let dependent = |name: &&str| DependentPlan {
        name: ContainerName::parse(name).unwrap(),
        plan: replaced.clone(),
    };
    let dependents = dependents.iter().map(dependent).collect();
    let plan = Plan {
        container: ContainerName::parse(container).unwrap(),
        image: None,
        waves: vec![vec![host.clone()]],
        hosts: [(host, HostPlan { dependents, ..replaced })].into(),
        warnings: Vec::new(),
    };
    NewRollout {
        id: RolloutId(uuid::Uuid::from_u128(number)),
        created_at: Millis(1),
        plan,
        policy: Policy::default(),
        by: "anna".to_owned(),
        undo_of: None,
        annotations: Annotations::default(),
        secrets: Vec::new(),
        planned_at: Revision(u64::MAX),
    }
}

#[tokio::test]
async fn a_store_of_an_earlier_version_is_opened_with_all_that_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    store.begin_operation(request("r1"), at(1)).await.unwrap();
    let epoch = store.take_over().await.unwrap();
    let rollout = rollout(7, "web", "alpha", &[]);
    let (id, record) = (rollout.id, rollout.record());
    store.create(epoch, rollout).await.unwrap();
    // As the version before left it.
    for statement in [
        "ALTER TABLE rollouts ADD COLUMN phase TEXT NOT NULL DEFAULT 'running'",
        "ALTER TABLE operations ADD COLUMN finished_at INTEGER",
        "DROP TABLE host_cordons",
        "DELETE FROM _sqlx_migrations WHERE version > 3",
    ] {
        sqlx::query(statement).execute(store.pool()).await.unwrap();
    }
    store.close().await;
    drop(store);
    let store = open(directory.path()).await;
    let records = store.records(id).await.unwrap();
    assert_eq!(records.into_iter().map(|it| it.record).collect::<Vec<_>>(), [record]);
    assert!(matches!(store.begin_operation(request("r1"), at(2)).await, Ok(Begun::Again(_))));
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (900, 'later', 1, x'00', 0)",
    )
    .execute(store.pool())
    .await
    .unwrap();
    store.close().await;
    drop(store);
    let text = refusal(&options(directory.path())).await;
    assert!(text.contains("newer wharfd (schema 900, this one supports "), "{text}");
}

#[tokio::test]
async fn a_lost_or_foreign_key_is_noticed_once_secrets_exist() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("secret.key");
    drop(open(directory.path()).await);
    fs::remove_file(&key).unwrap();
    {
        let store = open(directory.path()).await;
        store.put_login(&login("docker.io", CANARY), at(1)).await.unwrap();
    }
    let kept = fs::read(&key).unwrap();

    fs::remove_file(&key).unwrap();
    let text = refusal(&options(directory.path())).await;
    assert!(text.contains("secret.key: missing") && text.contains("--secret-key-file"), "{text}");
    assert!(!key.exists(), "a new key must not be made over sealed secrets");

    fs::write(&key, [1; 32]).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let text = refusal(&options(directory.path())).await;
    assert!(text.contains("secret.key: not the key"), "{text}");

    let elsewhere = tempfile::tempdir().unwrap();
    let secret_key_file = Some(elsewhere.path().join("key"));
    fs::write(secret_key_file.as_ref().unwrap(), kept).unwrap();
    fs::set_permissions(secret_key_file.as_ref().unwrap(), fs::Permissions::from_mode(0o600))
        .unwrap();
    let moved = StoreOptions { secret_key_file, ..options(directory.path()) };
    let store = Store::open(&moved).await.unwrap();
    let hub = RegistryHost::parse("docker.io").unwrap();
    assert_eq!(store.login(&hub).await.unwrap(), Some(login("docker.io", CANARY)));
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = refusal(&options(&file.path().join("data"))).await;
    assert!(text.contains("/data: cannot create the data directory"), "{text}");
    assert!(text.contains("--data-dir"), "{text}");
}

#[tokio::test]
async fn nobody_who_watches_the_journal_makes_a_rollout_wait() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let epoch = store.take_over().await.unwrap();
    let id = RolloutId(uuid::Uuid::from_u128(7));
    let record = |to: Phase| Record { at: Millis(1), event: Event::Phase { to, reason: None } };
    // As many watchers as there may be: what they read with is taken all the time.
    let reading = store.reader().acquire().await.unwrap();
    store.create(epoch, rollout(7, "web", "alpha", &[])).await.unwrap();
    let records = [record(Phase::Aborting)];
    let written = store.append(epoch, id, &records);
    tokio::time::timeout(Duration::from_secs(10), written).await.unwrap().unwrap();
    assert_eq!(store.records(id).await.unwrap().len(), 2, "and what is written is read");
    drop(reading);
    assert_eq!(store.after(Revision(0), None, 9).await.unwrap().len(), 2, "by watchers, too");
}
