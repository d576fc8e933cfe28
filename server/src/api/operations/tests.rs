use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::*;
use crate::api::auth::Identity;
use crate::domain::{Reason, Role};
use crate::store::StoreOptions;

/// A record, and how often work was started.
struct World {
    operations: Operations,
    begun: AtomicUsize,
    _directory: TempDir,
}

impl World {
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let data_dir = directory.path().to_owned();
        let store = Store::open(&StoreOptions { data_dir, secret_key_file: None }).await.unwrap();
        let operations = Operations::new(store);
        Self { operations, begun: AtomicUsize::new(0), _directory: directory }
    }

    /// Removes a host, in a way: the answer has its name.
    fn write(&self, name: &str) -> Identified {
        let path = "/wharf.v1.HostService/RemoveHost";
        let request = v1::RemoveHostRequest { name: name.to_owned(), ..Default::default() };
        Identified {
            id: Uuid::from_u128(1),
            principal: Principal { identity: Identity::Unix, role: Role::Admin },
            path,
            request_sha256: self.operations.digest(path, &request),
            repeatable: true,
        }
    }

    /// Gives whether an earlier try was said to have started.
    async fn once(
        &self,
        name: &str,
        result: Result<(), Reason>,
    ) -> Result<(String, Option<bool>), Reason> {
        let mut told = None;
        let work = |again| {
            told = Some(again);
            self.begun.fetch_add(1, Ordering::Relaxed);
            let answer = v1::HostNames { names: vec![name.to_owned()] };
            std::future::ready(result.map(|()| answer).map_err(|reason| Problem::new(reason, "")))
        };
        let answer: Result<v1::HostNames, _> = self.operations.once(self.write(name), work).await;
        answer.map(|answer| (answer.names.concat(), told)).map_err(|problem| problem.reason)
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn a_write_is_done_once_and_its_answer_given_again() {
    let world = World::new().await;
    assert_eq!(world.once("web", Ok(())).await, Ok(("web".to_owned(), Some(false))));
    for result in [Ok(()), Err(Reason::HostNotFound)] {
        assert_eq!(world.once("web", result).await, Ok(("web".to_owned(), None)));
    }
    assert_eq!(world.begun(), 1);
    assert_eq!(world.once("db", Ok(())).await, Err(Reason::RequestIdReused));
}

#[tokio::test]
async fn a_write_that_was_refused_is_tried_again_as_if_it_were_new() {
    let world = World::new().await;
    let refused = Err(Reason::HostReadOnly);
    assert_eq!(world.once("web", refused).await, Err(Reason::HostReadOnly));
    assert_eq!(world.once("web", Ok(())).await, Ok(("web".to_owned(), Some(false))));
}

#[tokio::test]
async fn after_a_death_in_the_middle_work_is_told_that_it_may_be_done() {
    let world = World::new().await;
    {
        let work = |_| std::future::pending::<Result<v1::HostNames, Problem>>();
        let once = world.operations.once(world.write("web"), work);
        assert!(tokio::time::timeout(Duration::from_millis(50), once).await.is_err());
    }
    // Also after a try that failed for another reason, and so did not find out.
    assert_eq!(world.once("web", Err(Reason::StoreFull)).await, Err(Reason::StoreFull));
    assert_eq!(world.once("web", Ok(())).await, Ok(("web".to_owned(), Some(true))));
    assert_eq!(world.once("web", Ok(())).await, Ok(("web".to_owned(), None)));
}

#[tokio::test]
async fn a_bug_of_the_server_may_have_shown_after_the_effect() {
    let world = World::new().await;
    assert_eq!(world.once("web", Err(Reason::Internal)).await, Err(Reason::Internal));
    assert_eq!(world.once("web", Ok(())).await, Ok(("web".to_owned(), Some(true))));
}
