//! The same with the real store: a file, in a separate runtime, because the clock of the simulation
//! is paused.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::watch;
use uuid::Uuid;
use wharf_server::domain::HostName;
use wharf_server::rollout::journal::{
    Entry, Journal, JournalError, NewRollout, NewSecret, Result, SecretKind, Summary,
};
use wharf_server::rollout::model::{Epoch, Record, Revision, RolloutId};
use wharf_server::store::{Store, StoreOptions};

use crate::kill_sweep::simulate;
use crate::oracle::{ending, wrongs};
use crate::recorder::Side;
use crate::world::{Cut, New, Setting, World, policy, rolls_back, upgrade};

/// A store whose calls run elsewhere. While one runs, the paused clock does not go on.
#[derive(Clone)]
struct Elsewhere {
    store: Store,
    runtime: Handle,
}

impl Elsewhere {
    async fn there<T: Send + 'static, F: Future<Output = Result<T>> + Send>(
        &self,
        call: impl FnOnce(Store) -> F + Send + 'static,
    ) -> Result<T> {
        let Self { store, runtime } = self.clone();
        let done = tokio::task::spawn_blocking(move || runtime.block_on(call(store))).await;
        done.map_err(|error| JournalError::Store(Box::new(error)))?
    }
}

#[async_trait]
impl Journal for Elsewhere {
    fn store_id(&self) -> Uuid {
        self.store.store_id()
    }

    async fn take_over(&self) -> Result<Epoch> {
        self.there(|store| async move { store.take_over().await }).await
    }

    async fn create(&self, epoch: Epoch, rollout: NewRollout) -> Result<Revision> {
        self.there(move |store| async move { store.create(epoch, rollout).await }).await
    }

    async fn append(&self, epoch: Epoch, id: RolloutId, records: &[Record]) -> Result<Revision> {
        let records = records.to_vec();
        self.there(move |store| async move { store.append(epoch, id, &records).await }).await
    }

    async fn replace_secret(&self, epoch: Epoch, id: RolloutId, secret: NewSecret) -> Result<()> {
        self.there(move |store| async move { store.replace_secret(epoch, id, secret).await }).await
    }

    async fn forget(&self, epoch: Epoch, id: RolloutId) -> Result<()> {
        self.there(move |store| async move { store.forget(epoch, id).await }).await
    }

    async fn records(&self, id: RolloutId) -> Result<Vec<Entry>> {
        self.there(move |store| async move { store.records(id).await }).await
    }

    async fn after(
        &self,
        revision: Revision,
        id: Option<RolloutId>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        self.there(move |store| async move { store.after(revision, id, limit).await }).await
    }

    async fn open(&self) -> Result<Vec<RolloutId>> {
        self.there(|store| async move { Journal::open(&store).await }).await
    }

    async fn list(&self) -> Result<Vec<Summary>> {
        self.there(|store| async move { store.list().await }).await
    }

    async fn secret(
        &self,
        id: RolloutId,
        host: Option<&HostName>,
        kind: SecretKind,
    ) -> Result<Option<String>> {
        let host = host.cloned();
        self.there(move |store| async move { store.secret(id, host.as_ref(), kind).await }).await
    }

    fn changes(&self) -> watch::Receiver<Revision> {
        self.store.changes()
    }
}

/// One run on a file; what is on the file afterwards must be what was seen.
fn run(runtime: &Handle, directory: &Path, cut: Option<(usize, Cut)>) -> crate::oracle::Ending {
    let options = StoreOptions { data_dir: directory.to_owned(), secret_key_file: None };
    let store = runtime.block_on(Store::open(&options)).expect("the store opens");
    let elsewhere = Elsewhere { store: store.clone(), runtime: runtime.clone() };
    let (id, records, end) = simulate(async {
        let bad = Setting { new: New::Ends, ..Setting::default() };
        let settings = [Setting::default(), bad];
        let mut world = World::with_journal(&settings, Arc::new(elsewhere)).await;
        world.order(upgrade(), rolls_back(policy())).await;
        if let Some((number, cut)) = cut {
            world.cut(number, cut);
        }
        world.settle().await;
        assert_eq!(wrongs(&world), Vec::<String>::new());
        let records = world.recorder.seen().records.clone();
        (world.id, records, ending(&world))
    });
    runtime.block_on(store.close());
    drop(store);
    let again = runtime.block_on(Store::open(&options)).expect("the store opens again");
    let stored = runtime.block_on(again.records(id)).expect("the records can be read");
    let stored: Vec<_> = stored.into_iter().map(|entry| entry.record).collect();
    assert_eq!(stored, records);
    runtime.block_on(again.close());
    end
}

#[test]
fn a_rollback_with_kills_ends_as_one_without() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let directory = || tempfile::tempdir().expect("a directory");
    let expected = run(runtime.handle(), directory().path(), None);
    assert_eq!(expected.phase, "RolledBack");
    for number in (0..24).step_by(3) {
        for side in [Side::Before, Side::After] {
            let cut = Some((number, Cut::Kill(side)));
            let found = run(runtime.handle(), directory().path(), cut);
            assert_eq!(found, expected, "{number} {side:?}");
        }
    }
}
