//! Permanent faults: every rollout still ends, or pauses with a reason that asks for manual repair,
//! within a bounded time. The oracle of seeds checks correctness; this checks that nothing takes
//! forever.

use std::sync::Arc;
use std::time::Duration;

use wharf::v1;
use wharf_server::domain::HostName;
use wharf_server::engine::ErrorKind;
use wharf_server::rollout::model::{Control, PauseCause, Phase, Work};
use wharf_server::rollout::step::Direction;
use wharf_simulator::{Fault, Operation, Plan};

use super::book::Account;
use super::caller::{Order, OrderKind};
use super::ledger::Ledger;
use super::site::Site;
use crate::kill_sweep::simulate;
use crate::seeds::Random;
use crate::world::{New, Setting, host};

/// By then a rollout has ended or asks for a person: longer than every deadline of the policy
/// together, some of which follow each other.
const BOUND: Duration = Duration::from_secs(2 * 3600);

/// The host that the faults are on; the ones beside it are good.
const BROKEN: usize = 1;
const HOSTS: usize = 3;

/// What is wrong, and stays so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stays {
    /// Connections are refused.
    Unreachable,
    /// It takes connections and never answers.
    Hung,
    /// Every such call is answered 500.
    Refuses(Operation),
    /// The registry fails for every host.
    NoRegistry,
    /// Every write of the store fails for so long.
    DiskFull(Duration),
}

/// Since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    /// The plan is stored.
    Planned,
    /// The host pulls.
    Pull,
    /// Its container is replaced.
    Forward,
    /// It failed and is restored.
    Restore,
    /// It went well and is taken back.
    RollBack,
}

const EVERY_SINCE: [Since; 5] =
    [Since::Planned, Since::Pull, Since::Forward, Since::Restore, Since::RollBack];

impl Since {
    fn is_now(self, account: &Account, broken: &HostName) -> bool {
        let host = &account.state.hosts[broken];
        match self {
            Self::Planned => true,
            Self::Pull => host.work == Some(Work::Pull),
            Self::Forward => host.direction() == Some(Direction::Forward) && host.step.is_some(),
            Self::Restore => host.direction() == Some(Direction::Restore),
            Self::RollBack => host.direction() == Some(Direction::RollBack),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Case {
    stays: Stays,
    since: Since,
    on_failure: v1::FailureAction,
    on_unreachable: v1::UnreachableAction,
    /// Somebody aborts the rollout once the fault is there.
    aborted: bool,
}

/// Why a rollout neither ended nor asks for a person; `None` where it does one of them.
fn stuck(case: Case) -> Option<String> {
    simulate(async {
        let bad = |number| match (case.since, number) {
            (Since::Restore, BROKEN) | (Since::RollBack, 2) => New::Ends,
            _ => New::Good,
        };
        let setting = |number| Setting { new: bad(number), ..Setting::default() };
        let settings: Vec<_> = (0..HOSTS).map(setting).collect();
        let site = Site::new(&settings, Ledger::new((Random::new(1), 0), None)).await;
        site.boot().await;
        let said = order(case).see_through(Arc::clone(&site), None).await;
        let id = said.answer.expect("the order is taken");
        let broken = host(BROKEN);
        let begins = site.ledger.until(|book| {
            let account = &book.rollouts[&id];
            case.since.is_now(account, &broken) || account.is_at_rest()
        });
        begins.await;
        break_for_good(&site, case.stays);
        if case.aborted {
            // A store that takes nothing takes no kind either.
            while let Err(error) = site.control(id, Control::Abort).await {
                if site.ledger.book().rollouts[&id].state.phase.is_terminal() {
                    break;
                }
                tokio::time::sleep(Duration::from_secs(60)).await;
                drop(error);
            }
        }
        let done = site.ledger.until(|book| is_done(&book.rollouts[&id]));
        let in_time = tokio::time::timeout(BOUND, done).await.is_ok();
        let book = site.ledger.book();
        let state = &book.rollouts[&id].state;
        let errors = (!book.errors.is_empty()).then(|| format!("{:#?}", book.errors));
        let late = (!in_time).then(|| format!("{:?}, {:?}", state.phase, state.reason));
        late.or(errors).map(|why| format!("{case:?}: {why}"))
    })
}

/// Whether it has ended, or waits for a person and says why.
fn is_done(account: &Account) -> bool {
    let state = &account.state;
    let asks = match &state.phase {
        Phase::Paused { cause: PauseCause::User | PauseCause::Promotion, .. } => false,
        Phase::Paused { .. } => state.reason.as_ref().is_some_and(|it| !it.message.is_empty()),
        _ => false,
    };
    state.phase.is_terminal() || asks
}

fn break_for_good(site: &Arc<Site>, stays: Stays) {
    let broken = host(BROKEN);
    let refuses = |operation, anywhere, kind, text: &'static str| {
        let broken = broken.clone();
        site.set_chaos(Some(Box::new(move |host, call| {
            let is_it = call.operation == operation && (anywhere || *host == broken);
            let fault = is_it.then(|| Fault::Refuse(kind, 500, text.to_owned()));
            Some(Plan { fault, ..Plan::default() })
        })));
    };
    match stays {
        Stays::Unreachable => site.engines[&broken].host().set_unreachable(true),
        Stays::Hung => site.engines[&broken].host().set_hung(true),
        Stays::Refuses(operation) => {
            refuses(operation, false, ErrorKind::Engine, "input/output error");
        }
        Stays::NoRegistry => {
            refuses(Operation::Pull, true, ErrorKind::RegistryUnavailable, "connection refused");
        }
        Stays::DiskFull(time) => {
            site.ledger.set_full(true);
            let ledger = site.ledger.clone();
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                ledger.set_full(false);
            });
        }
    }
}

fn order(case: Case) -> Order {
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let policy = v1::RolloutPolicy {
        min_healthy_time: seconds(4),
        monitor: seconds(2),
        on_failure: case.on_failure.into(),
        on_unreachable: case.on_unreachable.into(),
        max_unreachable: "1".to_owned(),
        ..Default::default()
    };
    let hosts = (0..HOSTS).map(host).collect();
    Order {
        number: 0,
        kind: OrderKind::Image("v2", hosts, Box::new(policy)),
        at: Duration::ZERO,
        patience: Vec::new(),
        pause: Duration::ZERO,
        insists: 0,
    }
}

/// Every way of failing and of not answering that a policy knows.
fn of_every_policy(stays: Stays, since: Since) -> Vec<Case> {
    use v1::FailureAction as OnFailure;
    use v1::UnreachableAction as OnUnreachable;
    let failures = match since {
        // Nothing is taken back otherwise.
        Since::RollBack => vec![OnFailure::Rollback],
        _ => vec![OnFailure::Pause, OnFailure::Rollback, OnFailure::Continue, OnFailure::Abort],
    };
    let silent = [OnUnreachable::Wait, OnUnreachable::Skip, OnUnreachable::Fail];
    let mut cases = Vec::new();
    for on_failure in failures {
        for on_unreachable in silent {
            cases.push(Case { stays, since, on_failure, on_unreachable, aborted: false });
        }
    }
    // What somebody aborts does not ask the policy any longer.
    let (on_failure, on_unreachable) = (cases[0].on_failure, OnUnreachable::Wait);
    cases.push(Case { stays, since, on_failure, on_unreachable, aborted: true });
    cases
}

fn none_is_stuck(cases: impl IntoIterator<Item = Case>) {
    let stuck: Vec<_> = cases.into_iter().filter_map(stuck).collect();
    assert!(stuck.is_empty(), "{}", stuck.join("\n"));
}

#[test]
fn a_host_that_is_gone_for_good() {
    let cases = EVERY_SINCE.into_iter().flat_map(|it| of_every_policy(Stays::Unreachable, it));
    none_is_stuck(cases);
}

#[test]
fn an_engine_that_never_answers_again() {
    let cases = EVERY_SINCE.into_iter().flat_map(|it| of_every_policy(Stays::Hung, it));
    none_is_stuck(cases);
}

#[test]
fn an_engine_that_refuses_one_kind_of_call_for_good() {
    use Operation as O;
    let calls =
        [O::Pull, O::Create, O::Stop, O::Rename, O::Update, O::Start, O::Inspect, O::Remove];
    let since = [Since::Planned, Since::Restore, Since::RollBack];
    let refused = calls.into_iter().flat_map(|call| since.map(|since| (call, since)));
    let cases = refused.flat_map(|(call, since)| of_every_policy(Stays::Refuses(call), since));
    // The policy for hosts that do not answer has no part in it.
    none_is_stuck(cases.filter(|case| case.on_unreachable == v1::UnreachableAction::Wait));
}

#[test]
fn a_registry_that_is_gone_for_good() {
    none_is_stuck(of_every_policy(Stays::NoRegistry, Since::Planned));
}

#[test]
fn a_disk_that_is_full_for_a_while() {
    let full = Stays::DiskFull(Duration::from_secs(600));
    let cases = EVERY_SINCE.into_iter().flat_map(|it| of_every_policy(full, it));
    none_is_stuck(cases.filter(|case| case.on_unreachable == v1::UnreachableAction::Wait));
}
