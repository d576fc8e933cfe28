//! The run of one seed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use wharf_server::rollout::model::{Control, PauseCause, Phase, RolloutId};

use super::book::{Account, in_the_middle};
use super::caller::{Order, OrderKind, Said};
use super::draw::{self, Action};
use super::ledger::Ledger;
use super::oracle;
use super::planted::Plant;
use super::rare::Reached;
use super::site::Site;
use crate::kill_sweep::simulate;
use crate::seeds::Random;
use crate::world::Old;

/// Seeds that are run by default.
const SEEDS: u64 = 240;
/// No rollout of these takes so long.
const LONGEST: Duration = Duration::from_secs(2 * 3600);
/// How long the way back of a rollout waits for its end.
const UNDO_WAITS: Duration = Duration::from_secs(120);

/// How long a moment is waited for.
const MOMENT: Duration = Duration::from_secs(60);

pub struct Trace {
    pub wrongs: Vec<String>,
    pub reached: Reached,
    pub hash: u64,
    /// For people.
    pub story: String,
}

/// The rollouts of orders that were answered; `None` where there is none.
type Answers = watch::Sender<BTreeMap<usize, Option<RolloutId>>>;

pub fn run(seed: u64, plant: Option<Plant>) -> Trace {
    simulate(async {
        let mut random = Random::new(seed ^ 0x0F0F_5EED_0000_0000);
        let settings = draw::settings(&mut random);
        let slow = random.pick(&[0, 0, 3, 40, 300, 300]);
        let ledger = Ledger::new((random.fork(), slow), plant);
        let site = Site::new(&settings, ledger).await;
        let crashes = settings.iter().all(|setting| setting.old != Old::AutoRemove);
        site.set_chaos(Some(Box::new(draw::chaos(random.fork(), crashes))));
        let orders = draw::orders(&mut random, settings.len());
        site.boot().await;
        let mut callers = JoinSet::new();
        let answers = Arc::new(Answers::default());
        for order in orders {
            callers.spawn(call(order, Arc::clone(&site), Arc::clone(&answers)));
        }
        for (wait, action) in draw::actions(&mut random, settings.len()) {
            tokio::time::sleep(wait).await;
            site.boot().await;
            act(&site, action).await;
            site.boot().await;
        }
        calm(&site).await;
        let mut said = Vec::new();
        let all = async {
            while let Some(done) = callers.join_next().await {
                said.push(done.expect("a caller does not panic"));
            }
        };
        let timed_out = tokio::time::timeout(LONGEST, all).await.is_err();
        let mut wrongs = Vec::new();
        if timed_out {
            wrongs.push(format!("callers wait for more than {LONGEST:?}"));
        }
        wrongs.extend(rest(&site).await);
        for _ in 0..3 {
            if !go_on(&site, &mut random).await {
                break;
            }
            wrongs.extend(rest(&site).await);
        }
        wrongs.extend(oracle::wrongs(&site, &said).await);
        oracle::count(&site);
        trace(&site, &said, wrongs)
    })
}

async fn call(order: Order, site: Arc<Site>, answers: Arc<Answers>) -> Said {
    tokio::time::sleep(order.at).await;
    let number = order.number;
    let of = match order.kind {
        OrderKind::Image(..) => None,
        OrderKind::Undo(of) => {
            let mut heard = answers.subscribe();
            let found = heard.wait_for(|answers| answers.contains_key(&of)).await;
            let found = found.ok().and_then(|answers| answers[&of]);
            let Some(id) = found else {
                return Said { order, answer: Err("NOTHING_TO_UNDO".to_owned()) };
            };
            let ended = site.ledger.until(|book| {
                book.rollouts.get(&id).is_some_and(|it| it.state.phase.is_terminal())
            });
            // Where it takes longer, the answer is that it has not ended.
            let _ = tokio::time::timeout(UNDO_WAITS, ended).await;
            Some(id)
        }
    };
    let said = order.see_through(site, of).await;
    answers.send_modify(|answers| {
        answers.insert(number, said.answer.as_ref().ok().copied());
    });
    said
}

async fn act(site: &Site, action: Action) {
    match action {
        Action::Kill(down) => {
            site.kill();
            tokio::time::sleep(down).await;
        }
        Action::KillIn(moment, after) => {
            let come = site.ledger.until(|book| {
                book.rollouts.values().any(|account| in_the_middle(account).contains(&moment))
            });
            if tokio::time::timeout(MOMENT, come).await.is_ok() {
                tokio::time::sleep(after).await;
                site.kill();
            }
        }
        Action::KillAtAppend(after) => site.ledger.book().dies_in = Some(after),
        Action::Freeze(time) => site.freeze(time).await,
        Action::CutOff(host, time) => site.cut_off(&host, time).await,
        Action::DiskFull(time) => {
            site.ledger.set_full(true);
            tokio::time::sleep(time).await;
            site.ledger.set_full(false);
        }
        Action::Control(number, control) => {
            let open: Vec<_> = {
                let book = site.ledger.book();
                let open = book.rollouts.iter().filter(|(_, it)| !it.state.phase.is_terminal());
                open.map(|(id, _)| *id).collect()
            };
            if let Some(id) = open.get(number % open.len().max(1)) {
                let _ = site.control(*id, control).await;
            }
        }
    }
}

/// Everything works from now on.
async fn calm(site: &Site) {
    site.set_chaos(None);
    site.ledger.book().dies_in = None;
    site.boot().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    site.boot().await;
}

/// Waits until every rollout rests; what is wrong where one does not.
async fn rest(site: &Site) -> Option<String> {
    let all = site.ledger.until(|book| book.rollouts.values().all(Account::is_at_rest));
    if tokio::time::timeout(LONGEST, all).await.is_ok() {
        return None;
    }
    let book = site.ledger.book();
    let restless = book.rollouts.iter().filter(|(_, it)| !it.is_at_rest());
    let restless = restless.map(|(id, it)| format!("{} {:?}", id.short(), it.state.phase));
    Some(format!("no rest in {LONGEST:?}: {}", restless.collect::<Vec<_>>().join(", ")))
}

/// Somebody looks after what is paused; whether anything was.
async fn go_on(site: &Site, random: &mut Random) -> bool {
    let paused: Vec<_> = {
        let book = site.ledger.book();
        let cause = |(id, it): (&RolloutId, &Account)| match &it.state.phase {
            Phase::Paused { cause, .. } => Some((*id, *cause)),
            _ => None,
        };
        book.rollouts.iter().filter_map(cause).collect()
    };
    let mut any = false;
    for (id, cause) in paused {
        let control = match cause {
            PauseCause::Promotion => Control::Promote,
            _ if random.one_in(4) => Control::Abort,
            _ => Control::Resume { retry_failed: random.one_in(3) },
        };
        any |= site.control(id, control).await.is_ok();
    }
    any
}

fn trace(site: &Site, said: &[Said], wrongs: Vec<String>) -> Trace {
    let book = site.ledger.book();
    let mut records: Vec<_> = book
        .rollouts
        .iter()
        .flat_map(|(id, it)| it.entries.iter().map(move |(revision, it)| (*revision, *id, it)))
        .collect();
    records.sort_by_key(|(revision, ..)| *revision);
    let mut hasher = DefaultHasher::new();
    let mut story = format!("{:#?}\n", site.settings);
    for (_, id, record) in records {
        serde_json::to_string(record).expect("a record is JSON").hash(&mut hasher);
        story += &format!("{} {} {:?}\n", record.at.0, id.short(), record.event);
    }
    for said in said {
        let text = format!("{:?} at {:?}", said.order.kind, said.order.at);
        story += &format!("order {} {text:.60}: {:?}\n", said.order.number, said.answer);
        format!("{:?}", said.answer).hash(&mut hasher);
    }
    Trace { wrongs, reached: book.reached.clone(), hash: hasher.finish(), story }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Half of the seeds; what they reached, and those that failed.
#[expect(clippy::print_stderr, reason = "a seed is told at once: a long run may be cut off")]
fn run_part(part: u64, seeds: u64) -> (Reached, Vec<u64>) {
    let (mut reached, mut failed) = (Reached::default(), Vec::new());
    for seed in (part..seeds).step_by(2) {
        match std::panic::catch_unwind(|| run(seed, None)) {
            Ok(trace) => {
                reached.add(&trace.reached);
                if !trace.wrongs.is_empty() {
                    eprintln!("WHARF_SIM_SEED={seed} {:#?}", trace.wrongs);
                    failed.push(seed);
                }
            }
            Err(_) => {
                eprintln!("WHARF_SIM_SEED={seed} panicked");
                failed.push(seed);
            }
        }
        if failed.len() > 5 {
            break;
        }
    }
    (reached, failed)
}

#[test]
#[expect(clippy::print_stderr, reason = "what was reached is part of the result")]
fn orders_at_random_moments_end_well_and_reach_every_rare_state() {
    if let Some(seed) = number("WHARF_SIM_SEED") {
        let Trace { wrongs, story, .. } = run(seed, None);
        eprintln!("{story}");
        assert!(wrongs.is_empty(), "seed {seed}: {wrongs:#?}");
        return;
    }
    let seeds = number("WHARF_SIM_SEEDS").unwrap_or(SEEDS);
    let (mut reached, mut failed) = (Reached::default(), Vec::new());
    std::thread::scope(|scope| {
        let parts = [0, 1].map(|part| scope.spawn(move || run_part(part, seeds)));
        for part in parts {
            let (part, wrong) = part.join().expect("a part does not panic");
            reached.add(&part);
            failed.extend(wrong);
        }
    });
    eprintln!("{}", reached.table());
    assert!(failed.is_empty(), "WHARF_SIM_SEED = one of {failed:?}");
    let never = reached.never();
    assert!(never.is_empty() || seeds < SEEDS, "no seed reaches {never:?} any more");
}

#[test]
fn a_seed_of_orders_is_a_run() {
    for seed in [1, 2, 3, 5, 8, 13] {
        assert_eq!(run(seed, None).hash, run(seed, None).hash, "seed {seed}");
    }
}
