//! The contract of the journal of rollouts, on every implementation alike: the one in memory,
//! which simulations run on, must be no better and no worse than the one on disk.

mod contract;
mod values;

use std::sync::Arc;

use tempfile::TempDir;
use uuid::Uuid;
use wharf_server::rollout::journal::Journal;
use wharf_server::store::{Store, StoreOptions};
use wharf_simulator::MemoryJournal;

/// An implementation of the journal that can be closed and opened again.
enum Kept {
    Memory(MemoryJournal),
    Disk { directory: TempDir, store: Store },
}

impl Kept {
    fn memory() -> Self {
        Self::Memory(MemoryJournal::new(Uuid::from_u128(1)))
    }

    async fn disk() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = open(&directory).await;
        Self::Disk { directory, store }
    }

    fn journal(&self) -> Arc<dyn Journal> {
        match self {
            Self::Memory(journal) => Arc::new(journal.clone()),
            Self::Disk { store, .. } => Arc::new(store.clone()),
        }
    }

    /// As the next process finds it. Memory lasts as long as the simulation.
    async fn reopened(self) -> Self {
        match self {
            Self::Memory(journal) => Self::Memory(journal),
            Self::Disk { directory, store } => {
                store.close().await;
                drop(store);
                let store = open(&directory).await;
                Self::Disk { directory, store }
            }
        }
    }
}

async fn open(directory: &TempDir) -> Store {
    let options = StoreOptions { data_dir: directory.path().to_owned(), secret_key_file: None };
    Store::open(&options).await.expect("the store opens")
}

/// Each test twice.
macro_rules! holds_for_both {
    ($($test:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $test() {
                crate::contract::$test(crate::Kept::memory()).await;
            })*
        }

        mod disk {
            $(#[tokio::test]
            async fn $test() {
                crate::contract::$test(crate::Kept::disk().await).await;
            })*
        }
    };
}

holds_for_both!(
    an_old_writer_is_refused,
    a_container_has_one_rollout_at_a_time,
    a_refused_rollout_leaves_nothing_behind,
    an_end_among_the_records_gives_the_locks_back,
    a_rollout_is_refused_where_another_holds_a_host_that_it_skips,
    a_plan_from_before_the_end_of_another_rollout_is_outdated,
    a_pause_gives_no_lock_back,
    records_are_in_one_order_for_all_rollouts,
    readers_go_on_after_a_revision,
    changes_tell_every_write_and_nothing_else,
    what_was_written_is_there_for_the_next_process,
    nothing_is_appended_to_what_is_not_there,
    what_has_ended_can_be_forgotten,
);
