//! What SQLite refuses, and that the store works again once the cause is gone.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::tests::{at, host, login, material, name, open, options, refusal};
use super::*;
use crate::rollout::journal::{Journal, NewSecret, SecretKind};

async fn pragma(store: &Store, text: &'static str) {
    sqlx::query(text).execute(store.pool()).await.unwrap();
}

async fn add(store: &Store, text: &str) -> Result<(), StoreError> {
    store.insert_host(&host(text, StoredTls::Plain)).await
}

fn failure(result: Result<(), StoreError>, directory: &Path) -> Failure {
    let error = result.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(directory.to_str().unwrap()), "the directory is not named: {text}");
    error.failure().unwrap()
}

#[tokio::test]
async fn a_transaction_that_sqlite_rolled_back_spoils_no_later_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let mut transaction = store.begin().await.unwrap();
    // What SQLite does where a commit finds the disk full, and sqlx does not hear of.
    sqlx::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap_err();
    for text in ["web1", "web2"] {
        add(&store, text).await.unwrap();
    }
}

#[tokio::test]
async fn a_full_database_is_told_and_takes_writes_again_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    pragma(&store, "PRAGMA max_page_count = 1").await;
    let mut failed = Vec::new();
    for number in 0..400 {
        if let Err(error) = add(&store, &format!("web{number}")).await {
            failed.push(failure(Err(error), directory.path()));
        }
    }
    assert!(!failed.is_empty() && failed.iter().all(|kind| *kind == Failure::Full), "{failed:?}");
    pragma(&store, "PRAGMA max_page_count = 1000000").await;
    add(&store, "more").await.unwrap();
}

#[tokio::test]
async fn files_that_cannot_be_written_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    add(&store, "web1").await.unwrap();
    pragma(&store, "PRAGMA query_only = 1").await;
    let before = (store.writes().done().count, store.failures());
    assert_eq!(failure(add(&store, "web2").await, directory.path()), Failure::ReadOnly);
    let after = (store.writes().done().count, store.failures());
    assert_eq!(after, (before.0, before.1 + 1), "completed writes, and failures");
    assert_eq!(store.hosts().await.unwrap().len(), 1, "what is there is read");
    pragma(&store, "PRAGMA query_only = 0").await;
    add(&store, "web2").await.unwrap();
    assert_eq!(store.writes().done().count, after.0 + 1);
}

#[tokio::test]
async fn a_lock_of_another_process_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    pragma(&store, "PRAGMA busy_timeout = 20").await;
    let options =
        sqlx::sqlite::SqliteConnectOptions::new().filename(directory.path().join("wharf.db"));
    let other = SqlitePool::connect_with(options).await.unwrap();
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert_eq!(failure(add(&store, "web1").await, directory.path()), Failure::Busy);
    lock.rollback().await.unwrap();
    add(&store, "web1").await.unwrap();
}

#[tokio::test]
async fn a_damaged_page_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("wharf.db");
    let store = open(directory.path()).await;
    add(&store, "web1").await.unwrap();
    let page: i64 =
        sqlx::query_scalar("SELECT rootpage FROM sqlite_master WHERE name = 'host_labels'")
            .fetch_one(store.pool())
            .await
            .unwrap();
    store.close().await;
    drop(store);
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(u64::try_from((page - 1) * 4096).unwrap())).unwrap();
    file.write_all(&[0xee; 4096]).unwrap();
    let store = open(directory.path()).await;
    let read = store.hosts().await.map(drop);
    assert_eq!(failure(read, directory.path()), Failure::Corrupt);
    assert!(store.logins().await.unwrap().is_empty(), "what is whole is read");
}

#[tokio::test]
async fn a_directory_that_is_away_is_told() {
    let parent = tempfile::tempdir().unwrap();
    let (directory, away) = (parent.path().join("data"), parent.path().join("away"));
    fs::create_dir(&directory).unwrap();
    let store = open(&directory).await;
    add(&store, "web1").await.unwrap();
    fs::rename(&directory, &away).unwrap();
    // The connection that is open fails for another reason, and the next cannot be opened.
    let mut transaction = store.begin().await.unwrap();
    sqlx::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap_err();
    for text in ["web2", "web3"] {
        assert_eq!(failure(add(&store, text).await, &directory), Failure::CannotOpen);
    }
    assert!(!directory.exists(), "a new store was begun");
    fs::rename(&away, &directory).unwrap();
    add(&store, "web2").await.unwrap();
    assert_eq!(store.hosts().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_lost_key_is_noticed_whatever_was_sealed() {
    for kind in ["a rollout", "a login", "a private key"] {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("secret.key");
        let store = open(directory.path()).await;
        match kind {
            "a rollout" => {
                let epoch = store.take_over().await.unwrap();
                let text = "{}".to_owned();
                let secrets = vec![NewSecret { host: None, kind: SecretKind::Body, text }];
                let rollout = super::tests::rollout(1, "web", "alpha", &[]);
                let rollout = crate::rollout::journal::NewRollout { secrets, ..rollout };
                store.create(epoch, rollout).await.unwrap();
            }
            "a login" => store.put_login(&login("docker.io", "x"), at(1)).await.unwrap(),
            _ => {
                let own = host("own", StoredTls::Own(Arc::new(material())));
                store.insert_host(&own).await.unwrap();
            }
        }
        drop(store);
        fs::rename(&key, directory.path().join("away")).unwrap();
        let text = refusal(&options(directory.path())).await;
        assert!(text.contains("secret.key: missing"), "{kind}: {text}");
        assert!(!key.exists(), "{kind}: a new key was made");
        fs::rename(directory.path().join("away"), &key).unwrap();
        open(directory.path()).await;
    }
}

#[tokio::test]
async fn a_database_without_content_is_not_taken_for_a_new_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("wharf.db");
    // Its files are at rest: one that is dropped still closes them.
    open(directory.path()).await.close().await;
    fs::write(&path, "").unwrap();
    let text = refusal(&options(directory.path())).await;
    assert!(text.contains("wharf.db: is empty, but") && text.contains("secret.key"), "{text}");
    assert!(text.contains("restore a backup"), "{text}");
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);

    // What a first start leaves behind that was killed at once.
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("wharf.db"), "").unwrap();
    open(directory.path()).await;
}

#[tokio::test]
async fn a_log_of_writes_without_its_database_is_not_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("wharf.db-wal");
    fs::write(&log, "not empty").unwrap();
    let text = refusal(&options(directory.path())).await;
    assert!(text.contains("wharf.db: missing, but") && text.contains("wharf.db-wal"), "{text}");
    fs::write(directory.path().join("wharf.db"), "").unwrap();
    let text = refusal(&options(directory.path())).await;
    assert!(text.contains("wharf.db: is empty, but"), "{text}");
    let mut kept = String::new();
    fs::File::open(&log).unwrap().read_to_string(&mut kept).unwrap();
    assert_eq!(kept, "not empty");
}

/// Copies files of a store while it is open, as `kill -9` leaves them behind.
fn copy(from: &Path, files: &[&str]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for file in files {
        fs::copy(from.join(file), directory.path().join(file)).unwrap();
    }
    directory
}

#[tokio::test]
async fn hosts_logins_and_rollouts_outlast_the_log_of_writes() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let epoch = store.take_over().await.unwrap();
    add(&store, "web1").await.unwrap();
    store.put_login(&login("docker.io", "x"), at(1)).await.unwrap();
    store.create(epoch, super::tests::rollout(1, "web", "alpha", &[])).await.unwrap();
    for log in ["missing", "damaged"] {
        let copy = copy(directory.path(), &["wharf.db", "secret.key"]);
        if log == "damaged" {
            fs::write(copy.path().join("wharf.db-wal"), [0xee; 8192]).unwrap();
        }
        let store = open(copy.path()).await;
        assert_eq!(store.hosts().await.unwrap().len(), 1, "{log}");
        assert_eq!(store.logins().await.unwrap().len(), 1, "{log}");
        assert_eq!(store.list().await.unwrap().len(), 1, "{log}");
    }
}

#[tokio::test]
async fn a_database_without_tables_is_not_taken_for_a_new_store() {
    let directory = tempfile::tempdir().unwrap();
    let database = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(directory.path().join("wharf.db"))
        .create_if_missing(true)
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
    let pool = SqlitePool::connect_with(database).await.unwrap();
    // What a first start leaves behind that was killed.
    open(copy(directory.path(), &["wharf.db"]).path()).await;

    // A `wharfd` that never copied its log of writes had all tables in there.
    super::migrations::migrator().run(&pool).await.unwrap();
    let key = directory.path().join("secret.key");
    fs::write(&key, [7; 32]).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    for log in ["missing", "damaged"] {
        let copy = copy(directory.path(), &["wharf.db", "secret.key"]);
        let path = copy.path().join("wharf.db-wal");
        if log == "damaged" {
            fs::write(&path, [0xee; 8192]).unwrap();
        }
        let text = refusal(&options(copy.path())).await;
        assert!(text.contains("wharf.db: has no tables, but") && text.contains("secret.key"));
        assert!(text.contains("restore a backup"), "{log}: {text}");
        assert_eq!(log == "damaged", fs::read(&path).is_ok_and(|kept| kept == [0xee; 8192]));
    }
    open(copy(directory.path(), &["wharf.db", "wharf.db-wal", "secret.key"]).path()).await;
}

#[tokio::test]
async fn symbolic_links_in_place_of_files_are_refused() {
    let elsewhere = tempfile::tempdir().unwrap();
    let store = open(elsewhere.path()).await;
    add(&store, "web1").await.unwrap();
    store.close().await;
    drop(store);
    let kept = |file: &str| fs::read(elsewhere.path().join(file)).unwrap();
    fs::write(elsewhere.path().join("notes"), "mine").unwrap();
    let database = kept("wharf.db");
    for (link, target) in [
        ("wharf.db", "wharf.db"),
        ("wharf.db-wal", "notes"),
        ("wharf.db-shm", "notes"),
        ("wharfd.lock", "notes"),
        ("wharf.db", "not-there"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        symlink(elsewhere.path().join(target), directory.path().join(link)).unwrap();
        let text = refusal(&options(directory.path())).await;
        assert!(text.contains(&format!("{link}: is a symbolic link")), "{text}");
        assert_eq!(kept("notes"), b"mine", "{link}");
        assert_eq!(kept("wharf.db"), database, "{link}");
        assert!(!elsewhere.path().join("not-there").exists());
    }
}

#[tokio::test]
async fn a_key_that_is_no_file_does_not_hold_the_start_up() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("secret.key");
    fs::create_dir(&key).unwrap();
    let text = refusal(&options(directory.path())).await;
    assert!(text.contains("secret.key: is not a regular file"), "{text}");
    // The store is usable by name, and nothing was lost.
    fs::remove_dir(&key).unwrap();
    add(&open(directory.path()).await, name("web1").as_str()).await.unwrap();
}
