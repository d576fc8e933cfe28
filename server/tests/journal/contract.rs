//! The contract of every journal.

use wharf_server::rollout::journal::{JournalError, NewRollout, SecretKind};
use wharf_server::rollout::model::{Control, HostPlan, Millis, Phase, Revision};

use crate::Kept;
use crate::values::{control, host, id, in_short, paused, phase, rollout};

pub async fn an_old_writer_is_refused(kept: Kept) {
    let journal = kept.journal();
    let old = journal.take_over().await.unwrap();
    journal.create(old, rollout(1, &["a"])).await.unwrap();
    journal.append(old, id(1), &[control(2_000, Control::Pause)]).await.unwrap();
    // Another one takes over, with a handle of its own.
    drop(journal);
    let kept = kept.reopened().await;
    let journal = kept.journal();
    let new = journal.take_over().await.unwrap();
    assert!(new > old);
    let refused = journal.append(old, id(1), &[control(3_000, Control::Abort)]).await;
    assert!(matches!(refused, Err(JournalError::Fenced)), "{refused:?}");
    let refused = journal.create(old, rollout(2, &["b"])).await;
    assert!(matches!(refused, Err(JournalError::Fenced)), "{refused:?}");
    // Nothing of it is there, and the new one writes on.
    assert_eq!(in_short(&journal.records(id(1)).await.unwrap()), [(1, 1_000), (2, 2_000)]);
    assert_eq!(journal.open().await.unwrap(), [id(1)]);
    journal.append(new, id(1), &[control(4_000, Control::Abort)]).await.unwrap();
    journal.create(new, rollout(2, &["b"])).await.unwrap();
}

pub async fn a_container_has_one_rollout_at_a_time(kept: Kept) {
    let journal = kept.journal();
    let epoch = journal.take_over().await.unwrap();
    journal.create(epoch, rollout(1, &["a", "b"])).await.unwrap();
    // The lock is the rollout's: it outlives the process.
    drop(journal);
    let kept = kept.reopened().await;
    let journal = kept.journal();
    let epoch = journal.take_over().await.unwrap();
    match journal.create(epoch, rollout(2, &["c", "b"])).await {
        Err(JournalError::Locked { host: on, container, by }) => {
            assert_eq!((on, container.as_str(), by), (host("b"), "web", id(1)));
        }
        other => panic!("{other:?}"),
    }
    let mut another = rollout(3, &["a", "b"]);
    another.plan.container = "db".parse().unwrap();
    journal.create(epoch, another).await.unwrap();
    journal.create(epoch, rollout(4, &["c"])).await.unwrap();
}

pub async fn a_refused_rollout_leaves_nothing_behind(kept: Kept) {
    let journal = kept.journal();
    let epoch = journal.take_over().await.unwrap();
    journal.create(epoch, rollout(1, &["b"])).await.unwrap();
    let newest = *journal.changes().borrow();
    let refused = journal.create(epoch, rollout(2, &["a", "b"])).await;
    assert!(matches!(refused, Err(JournalError::Locked { .. })), "{refused:?}");
    // The same one twice is a mistake of the caller and changes nothing either.
    let twice = journal.create(epoch, rollout(1, &["z"])).await;
    assert!(matches!(twice, Err(JournalError::Store(_))), "{twice:?}");

    assert_eq!(*journal.changes().borrow(), newest);
    assert_eq!(journal.records(id(2)).await.unwrap(), []);
    assert_eq!(journal.open().await.unwrap(), [id(1)]);
    assert_eq!(journal.list().await.unwrap().len(), 1);
    let secret = |number, name: &'static str| {
        let (journal, name) = (&journal, host(name));
        async move { journal.secret(id(number), Some(&name), SecretKind::Body).await.unwrap() }
    };
    assert_eq!(secret(2, "a").await, None);
    assert_eq!(secret(1, "z").await, None);
    assert_eq!(secret(1, "b").await.as_deref(), Some("body of b in 1"));
    // The host that was free still is, and so are those of the one that came twice.
    journal.create(epoch, rollout(3, &["a", "z"])).await.unwrap();
}

pub async fn an_end_among_the_records_gives_the_locks_back(kept: Kept) {
    let journal = kept.journal();
    let epoch = journal.take_over().await.unwrap();
    journal.create(epoch, rollout(1, &["a"])).await.unwrap();
    journal.create(epoch, rollout(2, &["b"])).await.unwrap();
    let end = [phase(5_000, Phase::Aborting), phase(6_000, Phase::Aborted)];
    journal.append(epoch, id(1), &end).await.unwrap();
    assert_eq!(journal.open().await.unwrap(), [id(2)]);
    let ended: Vec<_> =
        journal.list().await.unwrap().iter().map(|it| (it.id, it.ended_at)).collect();
    assert_eq!(ended, [(id(2), None), (id(1), Some(Millis(6_000)))]);
    journal.create(epoch, rollout(3, &["a"])).await.unwrap();
    // Those of the other one are not given back with it.
    let refused = journal.create(epoch, rollout(4, &["b"])).await;
    assert!(matches!(refused, Err(JournalError::Locked { by, .. }) if by == id(2)), "{refused:?}");
}

pub async fn a_rollout_is_refused_where_another_holds_a_host_that_it_skips(kept: Kept) {
    let journal = kept.journal();
    let epoch = journal.take_over().await.unwrap();
    journal.create(epoch, rollout(1, &["a", "b"])).await.unwrap();
    let mut skips = rollout(2, &["c"]);
    skips.plan.hosts.insert(host("b"), HostPlan::skipped("already on this version".to_owned()));
    let refused = journal.create(epoch, skips.clone()).await;
    assert!(matches!(refused, Err(JournalError::Locked { by, .. }) if by == id(1)), "{refused:?}");
    // One that skips every host, and so would be done at once, is no exception.
    let mut skips_all = rollout(3, &[]);
    skips_all.plan.hosts.insert(host("a"), HostPlan::skipped("already on this version".to_owned()));
    let refused = journal.create(epoch, skips_all).await;
    assert!(matches!(refused, Err(JournalError::Locked { by, .. }) if by == id(1)), "{refused:?}");
    assert_eq!(journal.list().await.unwrap().len(), 1);
    // A skipped host is not locked: others may work there.
    let end = [phase(5_000, Phase::Aborting), phase(6_000, Phase::Aborted)];
    journal.append(epoch, id(1), &end).await.unwrap();
    journal.create(epoch, skips).await.unwrap();
    journal.create(epoch, rollout(4, &["b"])).await.unwrap();
}

pub async fn a_plan_from_before_the_end_of_another_rollout_is_outdated(kept: Kept) {
    let journal = kept.journal();
    let epoch = journal.take_over().await.unwrap();
    journal.create(epoch, rollout(1, &["a"])).await.unwrap();
    let before = *journal.changes().borrow();
    let end = [phase(5_000, Phase::Aborting), phase(6_000, Phase::Aborted)];
    journal.append(epoch, id(1), &end).await.unwrap();
    let after = *journal.changes().borrow();
    // What was released stays known over a restart.
    drop(journal);
    let kept = kept.reopened().await;
    let journal = kept.journal();
    let epoch = journal.take_over().await.unwrap();
    let planned = |number, planned_at| NewRollout { planned_at, ..rollout(number, &["a"]) };
    let mut skips = NewRollout { planned_at: before, ..rollout(2, &[]) };
    skips.plan.hosts.insert(host("a"), HostPlan::skipped("already on this version".to_owned()));
    for outdated in [planned(3, before), skips] {
        let refused = journal.create(epoch, outdated).await;
        assert!(matches!(refused, Err(JournalError::Outdated { .. })), "{refused:?}");
    }
    journal.create(epoch, NewRollout { planned_at: before, ..rollout(4, &["b"]) }).await.unwrap();
    journal.create(epoch, planned(5, after)).await.unwrap();
}

pub async fn a_pause_gives_no_lock_back(kept: Kept) {
    let journal = kept.journal();
    let epoch = journal.take_over().await.unwrap();
    journal.create(epoch, rollout(1, &["a"])).await.unwrap();
    journal.append(epoch, id(1), &[paused(2_000)]).await.unwrap();
    let refused = journal.create(epoch, rollout(2, &["a"])).await;
    assert!(matches!(refused, Err(JournalError::Locked { .. })), "{refused:?}");
    assert_eq!(journal.open().await.unwrap(), [id(1)]);
}

pub async fn records_are_in_one_order_for_all_rollouts(kept: Kept) {
    let journal = kept.journal();
    let epoch = journal.take_over().await.unwrap();
    let mut given = Vec::new();
    given.push(journal.create(epoch, rollout(1, &["a"])).await.unwrap());
    given.push(journal.create(epoch, rollout(2, &["b"])).await.unwrap());
    let two = [control(10, Control::Pause), control(11, Control::Abort)];
    given.push(journal.append(epoch, id(1), &two).await.unwrap());
    given.push(journal.append(epoch, id(2), &[control(12, Control::Abort)]).await.unwrap());
    assert_eq!(given.iter().map(|revision| revision.0).collect::<Vec<_>>(), [1, 2, 4, 5]);

    let first = journal.records(id(1)).await.unwrap();
    assert_eq!(in_short(&first), [(1, 1_000), (3, 10), (4, 11)]);
    assert_eq!(first[1].record, two[0]);
    assert!(first.iter().all(|entry| entry.id == id(1)));
    assert_eq!(in_short(&journal.records(id(2)).await.unwrap()), [(2, 2_000), (5, 12)]);
    assert_eq!(journal.records(id(9)).await.unwrap(), []);
    let listed: Vec<_> = journal.list().await.unwrap().iter().map(|it| it.id).collect();
    assert_eq!(listed, [id(2), id(1)], "newest first");
    assert_eq!(journal.open().await.unwrap(), [id(1), id(2)], "oldest first");
}

pub async fn readers_go_on_after_a_revision(kept: Kept) {
    let journal = kept.journal();
    let epoch = journal.take_over().await.unwrap();
    journal.create(epoch, rollout(1, &["a"])).await.unwrap();
    journal.create(epoch, rollout(2, &["b"])).await.unwrap();
    for at in 10..14 {
        let number = u128::from(at % 2) + 1;
        journal.append(epoch, id(number), &[control(at, Control::Pause)]).await.unwrap();
    }
    let after = |revision, rollout, limit| {
        let journal = &journal;
        async move { in_short(&journal.after(Revision(revision), rollout, limit).await.unwrap()) }
    };
    assert_eq!(after(2, None, 3).await, [(3, 10), (4, 11), (5, 12)]);
    assert_eq!(after(5, None, 3).await, [(6, 13)]);
    assert_eq!(after(3, Some(id(1)), 100).await, [(5, 12)]);
    assert_eq!(after(0, Some(id(2)), 2).await, [(2, 2_000), (4, 11)]);
    assert_eq!(after(6, None, 100).await, []);
    assert_eq!(after(600, None, 100).await, [], "a revision that is not there yet");
    assert_eq!(after(0, None, 0).await, []);
}

pub async fn changes_tell_every_write_and_nothing_else(kept: Kept) {
    let journal = kept.journal();
    let mut changes = journal.changes();
    let epoch = journal.take_over().await.unwrap();
    assert!(!changes.has_changed().unwrap(), "to take over is no write");
    let revision = journal.create(epoch, rollout(1, &["a"])).await.unwrap();
    assert!(changes.has_changed().unwrap());
    assert_eq!(*changes.borrow_and_update(), revision);
    let revision = journal.append(epoch, id(1), &[control(10, Control::Pause)]).await.unwrap();
    assert_eq!(*changes.borrow_and_update(), revision);
    // What was told is to be read.
    assert_eq!(journal.records(id(1)).await.unwrap().last().unwrap().revision, revision);
    let _ = journal.create(epoch, rollout(2, &["a"])).await.unwrap_err();
    assert!(!changes.has_changed().unwrap(), "a refused write is none");
}

pub async fn what_was_written_is_there_for_the_next_process(kept: Kept) {
    let journal = kept.journal();
    let (store, epoch) = (journal.store_id(), journal.take_over().await.unwrap());
    let whole = rollout(1, &["a", "b"]);
    journal.create(epoch, whole.clone()).await.unwrap();
    let controls = [control(10, Control::Resume { retry_failed: true }), paused(11)];
    let newest = journal.append(epoch, id(1), &controls).await.unwrap();
    let before = journal.records(id(1)).await.unwrap();
    drop(journal);
    let kept = kept.reopened().await;
    let journal = kept.journal();
    assert_eq!(journal.store_id(), store);
    assert_eq!(*journal.changes().borrow(), newest);
    assert_eq!(journal.records(id(1)).await.unwrap(), before);
    assert_eq!(before[0].record, whole.record());
    assert_eq!(journal.open().await.unwrap(), [id(1)]);
    let body = journal.secret(id(1), Some(&host("b")), SecretKind::Body).await.unwrap();
    assert_eq!(body.as_deref(), Some("body of b in 1"));
    let request = journal.secret(id(1), None, SecretKind::Request).await.unwrap();
    assert_eq!(request.as_deref(), Some("request 1"));
    let snapshot = journal.secret(id(1), Some(&host("b")), SecretKind::Snapshot).await.unwrap();
    assert_eq!(snapshot, None);
    let epoch = journal.take_over().await.unwrap();
    let next = journal.append(epoch, id(1), &[control(20, Control::Abort)]).await.unwrap();
    assert_eq!(next, Revision(newest.0 + 1));
}

pub async fn nothing_is_appended_to_what_is_not_there(kept: Kept) {
    let journal = kept.journal();
    let epoch = journal.take_over().await.unwrap();
    journal.create(epoch, rollout(1, &["a"])).await.unwrap();
    for record in [control(10, Control::Pause), phase(11, Phase::Aborted)] {
        let refused = journal.append(epoch, id(9), &[record]).await;
        let is_named = matches!(refused, Err(JournalError::NotFound(missing)) if missing == id(9));
        assert!(is_named, "{refused:?}");
    }
    assert_eq!(*journal.changes().borrow(), Revision(1));
    assert_eq!(journal.records(id(9)).await.unwrap(), []);
}

pub async fn what_has_ended_can_be_forgotten(kept: Kept) {
    let journal = kept.journal();
    let old = journal.take_over().await.unwrap();
    let epoch = journal.take_over().await.unwrap();
    for number in 1..=3 {
        journal.create(epoch, rollout(number, &["a"])).await.unwrap();
        let end = [phase(4_000, Phase::Aborting), phase(5_000, Phase::Aborted)];
        journal.append(epoch, id(number), &end[..]).await.unwrap();
    }
    journal.create(epoch, rollout(4, &["a"])).await.unwrap();
    let newest = journal.append(epoch, id(4), &[control(6_000, Control::Pause)]).await.unwrap();
    let changes = journal.changes();
    // An old writer forgets nothing, and what is in progress stays.
    let refused = journal.forget(old, id(1)).await;
    assert!(matches!(refused, Err(JournalError::Fenced)), "{refused:?}");
    for number in [1, 3, 4, 9] {
        journal.forget(epoch, id(number)).await.unwrap();
    }
    assert!(!changes.has_changed().unwrap(), "nothing is new");
    drop((journal, changes));
    let kept = kept.reopened().await;
    let journal = kept.journal();
    let listed: Vec<_> = journal.list().await.unwrap().iter().map(|it| it.id).collect();
    assert_eq!(listed, [id(4), id(2)]);
    assert_eq!(journal.open().await.unwrap(), [id(4)]);
    for (number, left) in [(1, false), (2, true), (3, false), (4, true)] {
        assert_eq!(journal.records(id(number)).await.unwrap().is_empty(), !left, "{number}");
        let request = journal.secret(id(number), None, SecretKind::Request).await.unwrap();
        let body = journal.secret(id(number), Some(&host("a")), SecretKind::Body).await.unwrap();
        assert_eq!((request.is_some(), body.is_some()), (left, left), "{number}");
    }
    // Readers go on over what is not there any longer.
    let read = in_short(&journal.after(Revision(2), None, 100).await.unwrap());
    assert_eq!(read, [(4, 2_000), (5, 4_000), (6, 5_000), (10, 4_000), (11, 6_000)]);

    // A revision is never given twice, even if the newest is forgotten.
    let epoch = journal.take_over().await.unwrap();
    let end = [phase(7_000, Phase::Aborting), phase(8_000, Phase::Aborted)];
    let last = journal.append(epoch, id(4), &end).await.unwrap();
    assert_eq!(last.0, newest.0 + 2);
    journal.forget(epoch, id(4)).await.unwrap();
    drop(journal);
    let kept = kept.reopened().await;
    let journal = kept.journal();
    assert_eq!(*journal.changes().borrow(), last);
    let epoch = journal.take_over().await.unwrap();
    // Its ID and its locks are free.
    let next = journal.create(epoch, rollout(4, &["a"])).await.unwrap();
    assert_eq!(next.0, last.0 + 1);
}
